"""Thinking blocks of reasoning models: found, closed and left out in one way, for prompts and for answers. Pure."""

from __future__ import annotations

import re

_TAG = re.compile(
    r"(?P<left>[<\[◁]\|?)\s?(?P<slash>/?)\s?"
    r"(?P<name>think(?:ing)?|thoughts?|reason(?:ing)?|reflect(?:ion)?|scratchpad|analysis)\b"
    r"[^<>\[\]◁▷|]{0,80}(?P<right>\|?[>\]▷])",
    re.IGNORECASE,
)
_HEADING = re.compile(
    r"^[ \t]*#{1,6}[ \t]*(?:(?P<final>final (?:response|answer))|thinking|reasoning|thought process)\b[ \t:*]*$",
    re.IGNORECASE | re.MULTILINE,
)


def closing_of(generation_prompt: str) -> str:
    """What closes the thinking block that a generation prompt leaves open; nothing where it opens none.

    A verbalizer that is scored after an open `<think>` would be scored inside the thought. `<think>\\n` becomes
    `<think>\\n\\n</think>\\n\\n`, the empty thought that reasoning templates write themselves.
    """
    still_open: list[re.Match[str]] = []
    for tag in _TAG.finditer(generation_prompt):
        if not tag["slash"]:
            still_open.append(tag)
        elif still_open:
            still_open.pop()
    if not still_open:
        return ""
    begun = generation_prompt[still_open[-1].end() :]
    blank = "\n" if begun.strip() else "\n" * max(0, 2 - begun.count("\n"))
    ends = (f"{tag['left']}/{tag['name']}{tag['right']}" for tag in reversed(still_open))
    return f"{blank}{chr(10).join(ends)}\n\n"


def without_thinking(text: str) -> str | None:
    """The text outside its thinking; None where a block was never closed, or closed under another name.

    Blocks nest. A closing tag alone ends a block that the prompt began: all before it is thought. A text that
    begins with the heading `## Thinking` goes on after `## Final Response`. One pass over the text.
    """
    outside: list[str] = []
    still_open: list[str] = []
    start = 0
    for tag in _TAG.finditer(text):
        if not still_open:
            outside.append(text[start : tag.start()])
        if not tag["slash"]:
            still_open.append(tag["name"].casefold())
        elif not still_open:
            outside.clear()
        elif still_open.pop() != tag["name"].casefold():
            return None
        start = tag.end()
    return None if still_open else _after_headings("\n".join([*outside, text[start:]]))


def _after_headings(text: str) -> str | None:
    first = _HEADING.search(text)
    if first is None or first["final"] or text[: first.start()].strip():
        return text
    final = next((h for h in _HEADING.finditer(text) if h["final"]), None)
    return None if final is None else text[final.end() :]
