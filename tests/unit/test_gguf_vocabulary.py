"""A GGUF vocabulary makes the tokens that the tokenizer makes, or is refused."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from primum.backends.gguf_vocabulary import vocabulary
from primum.errors import BadInput

LINE, UNKNOWN = "\u2581", "<unk>"
PIECES = [
    "th",
    "he",
    "in",
    "an",
    f"{LINE}t",
    f"{LINE}a",
    "the",
    f"{LINE}th",
    f"{LINE}the",
    "ing",
    f"{LINE}an",
]
"""Best first."""
TEXTS = ["the thing", "an ant in the inn", "  two blanks", "thé", "", "anthem\n"]


def sentencepiece(keep: slice = slice(None)) -> Tokenizer:
    letters = sorted({*"".join(PIECES), *"thing two blanks em"} - {" "})
    tokens = [UNKNOWN, *(f"<0x{b:02X}>" for b in range(256)), *letters, *PIECES]
    vocab = {token: i for i, token in enumerate(tokens)}
    merges = [(p[:i], p[i:]) for p in PIECES for i in range(1, len(p)) if p[:i] in vocab and p[i:] in vocab]
    tokenizer = Tokenizer(
        models.BPE(vocab=vocab, merges=merges[keep], byte_fallback=True, unk_token=UNKNOWN, fuse_unk=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(LINE), normalizers.Replace(" ", LINE)])
    return tokenizer


def byte_level(**more: Any) -> Tokenizer:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    vocab = {c: i for i, c in enumerate(sorted(alphabet))} | {"th": 256, "the": 257}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[("t", "h"), ("th", "e")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, **more)
    tokenizer.add_special_tokens(["<|end|>"])
    tokenizer.add_tokens(["[plain]"])
    return tokenizer


def told(tokenizer: Tokenizer, folder: Path, rows: int) -> dict[str, Any]:
    tokenizer.save(str(folder / "tokenizer.json"))
    loaded = SimpleNamespace(unk_token_id=tokenizer.token_to_id(UNKNOWN), chat_template="a template")
    return vocabulary(folder, loaded, 258, rows)


def read(text: str, words: dict[str, Any]) -> list[int]:
    """Tokens as a reader of a SentencePiece vocabulary makes them: the best neighbours first, then the leftmost."""
    ids = {token: i for i, token in enumerate(words["tokenizer.ggml.tokens"])}
    scores = words["tokenizer.ggml.scores"]
    symbols = list(
        (LINE if words["tokenizer.ggml.add_space_prefix"] and text else "") + text.replace(" ", LINE)
    )
    while True:
        unions = [(scores[ids[a + b]], -i) for i, (a, b) in enumerate(pairwise(symbols)) if a + b in ids]
        if not unions:
            break
        at = -max(unions)[1]
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
    return [i for s in symbols for i in ([ids[s]] if s in ids else [ids[f"<0x{b:02X}>"] for b in s.encode()])]


def test_a_sentencepiece_vocabulary_is_read_as_the_tokenizer_reads(tmp_path: Path) -> None:
    tokenizer = sentencepiece()
    size = tokenizer.get_vocab_size()
    words = told(tokenizer, tmp_path, size + 2)
    assert words["tokenizer.ggml.model"] == "llama"
    for text in TEXTS:
        assert read(text, words) == tokenizer.encode(text).ids
    kinds = words["tokenizer.ggml.token_type"]
    assert (kinds[0], kinds[1], kinds[256], kinds[257]) == (2, 6, 6, 1)
    assert kinds[-2:] == [5, 5]
    assert words["tokenizer.ggml.tokens"][-1] == f"[PAD{size + 1}]"


def test_a_byte_level_vocabulary_keeps_its_merges_and_special_tokens(tmp_path: Path) -> None:
    words = told(byte_level(), tmp_path, 260)
    assert (words["tokenizer.ggml.model"], words["tokenizer.ggml.pre"]) == ("gpt2", "gpt-2")
    assert words["tokenizer.ggml.merges"] == ["t h", "th e"]
    assert words["tokenizer.ggml.token_type"][256:] == [1, 1, 3, 4]
    assert words["tokenizer.ggml.eos_token_id"] == 258


@pytest.mark.parametrize("tokenizer", [byte_level(use_regex=False), sentencepiece(slice(0, -1))])
def test_a_way_that_gguf_does_not_know_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no name for"):
        told(tokenizer, tmp_path, 300)


def test_an_unreadable_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({})[:1])
    with pytest.raises(BadInput, match=r"no tokenizer\.json"):
        vocabulary(tmp_path, None, 0, 1)
