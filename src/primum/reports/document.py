"""A text of headings, paragraphs and tables, as plain values: Markdown beside a report, HTML inside it.

What only a person can write is a `Todo`; it stands out in both, so that nobody takes it for answered.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup, escape

from primum.reports import tables

MARK = "TO BE WRITTEN BY A PERSON"


class Todo(str):
    """What a person must write: the run did not establish it."""

    __slots__ = ()


@dataclass(frozen=True)
class Section:
    """A heading with paragraphs, and a table where it has columns."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Document:
    """A titled text; `name` is its file name without suffix and its anchor in the page."""

    name: str
    title: str
    opening: tuple[str, ...]
    sections: tuple[Section, ...]


def markdown(document: Document) -> str:
    """The document as a file; nothing in it becomes HTML."""
    parts = [f"# {tables.plain(document.title)}", *map(_paragraph, document.opening)]
    for section in document.sections:
        parts += [f"## {tables.plain(section.heading)}", *map(_paragraph, section.paragraphs)]
        if section.columns:
            rows = [[_paragraph(cell, plain=False) for cell in row] for row in section.rows]
            parts.append(tables.markdown(section.columns, rows).rstrip())
    return "\n\n".join(parts) + "\n"


def _paragraph(text: str, *, plain: bool = True) -> str:
    said = tables.plain(text) if plain else text  # a table escapes its cells itself
    return f"**{MARK}:** {said}" if isinstance(text, Todo) else said


def html(document: Document) -> Markup:
    """The document as a part of a page; every text is escaped."""
    parts = [Markup('<section id="{}"><h2>{}</h2>').format(document.name, document.title)]
    parts += [_spoken(text) for text in document.opening]
    for section in document.sections:
        parts.append(Markup("<h3>{}</h3>").format(section.heading))
        parts += [_spoken(text) for text in section.paragraphs]
        if section.columns:
            parts.append(_table(section))
    return Markup("\n").join([*parts, Markup("</section>")])


def _spoken(text: str) -> Markup:
    return Markup("<p>{}</p>").format(_cell(text))


def _cell(text: str) -> Markup:
    if isinstance(text, Todo):
        return Markup('<span class="badge not">{}</span> {}').format(MARK, _with_code(str(text)))
    return _with_code(text)


def _with_code(text: str) -> Markup:
    """Text in which `commands` look like commands, as Markdown shows them."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a lone backtick is one
        return escape(text)
    shown = (
        Markup("<code>{}</code>").format(part) if i % 2 else escape(part) for i, part in enumerate(parts)
    )
    return Markup("").join(shown)


def _table(section: Section) -> Markup:
    heading = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in section.columns)
    body = Markup("\n").join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            row[0], Markup("").join(Markup("<td>{}</td>").format(_cell(cell)) for cell in row[1:])
        )
        for row in section.rows
    )
    return Markup(
        '<table class="left cards"><thead><tr>{}</tr></thead>\n<tbody>\n{}\n</tbody></table>'
    ).format(heading, body)
