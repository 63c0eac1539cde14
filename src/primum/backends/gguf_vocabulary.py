"""A tokenizer's vocabulary in GGUF's terms, so that llama.cpp and its kin make the same tokens. No library.

GGUF holds no tokenizer but a vocabulary and the name of a way to use it. Two ways are known here: byte-level BPE
with a splitting rule that GGUF has a name for (`gpt2`), and SentencePiece's BPE with bytes to fall back on
(`llama`), whose readers merge by score, best first: there a token's score is minus the rank of its merge.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from primum.errors import BadInput

_NORMAL, _UNKNOWN, _CONTROL, _USER, _UNUSED, _BYTE = 1, 2, 3, 4, 5, 6
_LLAMA_3 = (
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
    "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
)
_LINE = "\u2581"
"""What SentencePiece writes for a blank."""


def vocabulary(folder: Path, tokenizer: Any, end_of_turn: int, rows: int) -> dict[str, Any]:
    """Metadata keys `tokenizer.*` of a GGUF file, for an embedding of `rows` rows.

    `folder` holds tokenizer.json, `tokenizer` is the loaded one. Raises BadInput where a reader of the file would
    split text otherwise than the tokenizer does.
    """
    try:
        content = json.loads((folder / "tokenizer.json").read_bytes())
    except (OSError, ValueError):
        raise BadInput("gguf: the base has no tokenizer.json that can be read; export --to merged") from None
    way = _way(content)
    if way is None:
        raise BadInput(
            "gguf: the base's tokenizer splits text in a way that GGUF has no name for, so every reader would make "
            "other tokens; export --to merged or --to mlx"
        )
    merges = _pairs(content["model"]["merges"])
    ids = {**content["model"]["vocab"], **{t["content"]: t["id"] for t in content["added_tokens"]}}
    tokens = {i: text for text, i in ids.items()}
    special = {t["id"]: t["special"] for t in content["added_tokens"]}
    unknown = tokenizer.unk_token_id
    found = {
        **way,
        "tokenizer.ggml.tokens": [tokens.get(i, f"[PAD{i}]") for i in range(rows)],
        "tokenizer.ggml.token_type": [_kind(i, tokens.get(i), special, unknown) for i in range(rows)],
        "tokenizer.ggml.eos_token_id": end_of_turn,
        "tokenizer.ggml.eot_token_id": end_of_turn,
        "tokenizer.ggml.add_bos_token": False,  # the chat template writes it where there is one
        "tokenizer.chat_template": tokenizer.chat_template,
    }
    if way["tokenizer.ggml.model"] == "gpt2":
        found["tokenizer.ggml.merges"] = [" ".join(pair) for pair in merges]
    ranks = {"".join(pair): rank for rank, pair in reversed(list(enumerate(merges)))}
    found["tokenizer.ggml.scores"] = [-float(ranks.get(tokens.get(i, ""), len(merges))) for i in range(rows)]
    return found


def _way(content: dict[str, Any]) -> dict[str, Any] | None:
    """How a reader must use the vocabulary, in GGUF's words; None where GGUF has none."""
    model, before, normal = content["model"], content.get("pre_tokenizer"), content.get("normalizer")
    if model.get("type") != "BPE":
        return None
    if model.get("byte_fallback"):
        if before is not None or normal is None or not _blanks_are_lines(normal):
            return None
        if not _merges_by_token(model["vocab"], _pairs(model["merges"])):
            return None
        return {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.add_space_prefix": normal["type"] == "Sequence",
        }
    rule = _splitting_rule(before) if before and normal is None else None
    return rule and {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": rule}


def _splitting_rule(before: dict[str, Any]) -> Any:
    """GGUF's name of the rule by which text is cut before its bytes are merged, if it has one."""
    if _is_byte_level(before, regex=True):
        return "gpt-2"
    parts = before.get("pretokenizers", [])
    is_llama_3 = len(parts) == 2 and parts[0].get("pattern") == {"Regex": _LLAMA_3}
    return "llama-bpe" if is_llama_3 and _is_byte_level(parts[1], regex=False) else None


def _pairs(merges: list[Any]) -> list[tuple[str, str]]:
    """The merges, best first, of either form of tokenizer.json."""
    parted = (m.split(" ", 1) if isinstance(m, str) else m for m in merges)
    return [(first, second) for first, second in parted]


def _merges_by_token(vocab: dict[str, int], merges: list[tuple[str, str]]) -> bool:
    """True where merging any two neighbours whose union is a token, best token first, is what the merges say.

    That is how readers of a SentencePiece vocabulary go about it, which knows no pairs.
    """
    made = ["".join(pair) for pair in merges]
    runs = sum(1 for i, token in enumerate(made) if i == 0 or made[i - 1] != token)
    possible = {(t[:i], t[i:]) for t in set(made) | set(vocab) for i in range(1, len(t))}
    known = {(a, b) for a, b in possible if a in vocab and b in vocab and a + b in vocab}
    return runs == len(set(made)) and known <= set(merges)


def _is_byte_level(part: dict[str, Any], *, regex: bool) -> bool:
    return (
        part.get("type") == "ByteLevel"
        and not part.get("add_prefix_space")
        and part.get("use_regex", True) is regex
    )


def _blanks_are_lines(normal: dict[str, Any]) -> bool:
    """Blanks become lines, with or without one put before the text; nothing else is changed."""
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": _LINE}
    return normal in (
        replace,
        {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": _LINE}, replace]},
    )


def _kind(index: int, text: str | None, special: dict[int, bool], unknown: int | None) -> int:
    if text is None:
        return _UNUSED
    if index == unknown:
        return _UNKNOWN
    if index in special:
        return _CONTROL if special[index] else _USER
    if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
        return _BYTE
    return _NORMAL
