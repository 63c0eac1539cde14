"""Messages to tokens: one way for training, scoring and generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from primum.backends.base_files import PLAIN_TEMPLATE
from primum.errors import BadInput

_PROBE = "primum probe"
_PLAIN_ROLES = ["\n\nUser:", "\n\nAssistant:"]


class Chat:
    """The chat template and tokenizer of a base model.

    `template` is the base's own or Primum's plain one. The rendered message is the user turn, followed by the
    generation prompt; the thinking block is closed where the template knows `enable_thinking`. An answer's
    tokens are those that follow the prompt, in training as in scoring. Raises BadInput when there is no chat
    template or no end-of-turn token.
    """

    def __init__(self, tokenizer: Any, base_id: str, template: Literal["own", "plain"] = "own") -> None:
        self.tokenizer = tokenizer
        if template == "plain":
            tokenizer.chat_template = PLAIN_TEMPLATE
        if not tokenizer.chat_template:
            raise BadInput(
                f"base model '{base_id}': its tokenizer has no chat template; use an instruct model, or set "
                "model.chat_template: plain"
            )
        try:
            self._probe = self._render([_PROBE])[0]
            end = self._end_of_turn()
        except Exception as error:  # jinja and the template raise what they like
            raise BadInput(
                f"base model '{base_id}': its chat template fails ({type(error).__name__})"
            ) from None
        if end is None:
            raise BadInput(f"base model '{base_id}': its tokenizer names no end-of-turn token (eos_token)")
        self.end_of_turn: int = end
        self.pad: int = self.end_of_turn if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self._special = [token for token in tokenizer.all_special_tokens if len(token) > 1]
        self._special += _PLAIN_ROLES if template == "plain" else []

    def prompts(self, messages: Sequence[str]) -> list[list[int]]:
        """Tokens of each message as a user turn with the generation prompt."""
        return self._tokens(self._render([self._harmless(m) for m in messages])) if messages else []

    def answer(self, words: str) -> list[int]:
        """Tokens of an answer right after the generation prompt, without the end of the turn.

        Taken from prompt and answer tokenized together, where that leaves the prompt's own tokens as they
        are.
        """
        alone, joint = self._tokens([self._probe, self._probe + words])
        if joint[: len(alone)] == alone and len(joint) > len(alone):
            return joint[len(alone) :]
        return self._tokens([words])[0]

    def text(self, tokens: Sequence[int]) -> str:
        """Read generated tokens back, without special ones."""
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True))

    def _harmless(self, message: str) -> str:
        """Split what marks a turn where it stands in a record's text, so that it cannot speak as the assistant."""
        for token in self._special:
            if token in message:
                message = message.replace(token, f"{token[0]} {token[1:]}")
        return message

    def _render(self, messages: Sequence[str]) -> list[str]:
        turns = [[{"role": "user", "content": m}] for m in messages]
        return list(
            self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True, enable_thinking=False
            )
        )

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return list(self.tokenizer(list(texts), add_special_tokens=False)["input_ids"])

    def _end_of_turn(self) -> int | None:
        """Return the first special token that the template writes after an assistant's answer, else eos."""
        turns = [{"role": "user", "content": _PROBE}, {"role": "assistant", "content": "xyzzy"}]
        rest = str(self.tokenizer.apply_chat_template(turns, tokenize=False)).rpartition("xyzzy")[2]
        special = set(self.tokenizer.all_special_ids)
        found = [token for token in self._tokens([rest])[0] if token in special] if rest else []
        return found[0] if found else self.tokenizer.eos_token_id
