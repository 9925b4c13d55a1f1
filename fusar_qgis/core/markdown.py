"""Renders a model's Markdown as safe HTML: a small subset; everything else stays plain text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Python 3.9 cannot evaluate a union
    _Run = tuple[str | None, str]  # where it leads, and its HTML

_INLINE = re.compile(
    r"(?<!`)(?P<tick>`{1,2})(?!`)(?P<code>[^\n]{1,400}?)(?<!`)(?P=tick)(?!`)"
    r"|(?P<two>\*\*|(?<!\w)__)(?=[^\s*_])(?P<bold>[^\n]{1,400}?)(?<=[^\s*_])(?P=two)"
    r"|(?P<one>\*|(?<!\w)_)(?=[^\s*_])(?P<italic>[^\n*_]{1,400}?)(?<=\S)(?P=one)(?!\w)"
)
_HEADING = re.compile(r"#{1,6} +")
_BULLET = re.compile(r"(?P<indent> {0,8})[-*+•] +")
_NUMBER = re.compile(r"(?P<indent> {0,8})(?=\d{1,4}[.)] )")
_FENCE = re.compile(r" {0,3}(```|~~~)(?P<language>[\w+-]*)\s*$")
# What XML cannot hold, or what is more than a character to Qt's text documents.
_ODD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufdd0\ufdd1\ufffc\ufffe\uffff]")
_SHORT = 160
_INDENT_PX = 16


@dataclass(frozen=True)
class Link:
    """The characters [start, end) of a text, in code points, and what they lead to: our own word, not the model's."""

    start: int
    end: int
    target: str


def to_html(text: str, links: Sequence[Link] = ()) -> str:
    """Return ``text`` as HTML of paragraphs, ``b``, ``i``, ``code``, ``pre`` and ``a`` with our targets only.

    Markdown's own links and images stay text. Where links overlap, the first in the list has the characters. A link
    that covers several lines or many words would make a wall of it: it becomes a mark at its end.
    """
    text = clean(text)
    return "".join(_blocks(text, _placed(text, links)))


def clean(text: str) -> str:
    """Return ``text``, of the same length, without characters that are none to XML or to Qt."""
    return _ODD.sub("\ufffd", text)


def tamed(text: str) -> str:
    """Return ``text``, which may be Markdown, so that no HTML, link or image of it takes effect in Markdown."""
    for character, harmless in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("[", "\\["), ("]", "\\]")):
        text = text.replace(character, harmless)
    return text


@dataclass(frozen=True)
class _Links:
    """For each character the target it belongs to, and after which characters a mark stands."""

    text: str
    targets: dict[int, str]
    marks: dict[int, tuple[str, ...]]

    def runs(self, start: int, end: int, style: str = "") -> Iterator[_Run]:
        """The characters [start, end), escaped, in ``style`` (tags of ours), each run with its target."""
        here = start
        while here < end:
            target, stop = self.targets.get(here), here + 1
            while stop < end and self.targets.get(stop) == target and stop not in self.marks:
                stop += 1
            piece = escape(self.text[here:stop])
            for tag in style.split():
                piece = f"<{tag}>{piece}</{tag}>"
            yield target, piece
            for mark in self.marks.get(stop, ()):
                yield None, "&nbsp;"
                yield mark, "⌖"
            here = stop


def _placed(text: str, links: Sequence[Link]) -> _Links:
    targets: dict[int, str] = {}
    marks: dict[int, tuple[str, ...]] = {}
    for link in links:
        start, end = max(0, link.start), min(len(text), link.end)
        while end > start and text[end - 1].isspace():
            end -= 1
        if end <= start:
            continue
        if end - start > _SHORT or "\n" in text[start:end]:
            marks[end] = (*marks.get(end, ()), link.target)
        else:
            for place in range(start, end):
                targets.setdefault(place, link.target)
    return _Links(text, targets, marks)


def _blocks(text: str, links: _Links) -> Iterator[str]:
    paragraph: list[str] = []
    fenced: list[str] = []
    fence, place = "", 0
    for line in text.split("\n"):
        start, place = place, place + len(line) + 1
        end = start + len(line.rstrip())
        mark = _FENCE.match(line)
        if fence or mark:
            yield from _flushed(paragraph)
            if fence and mark and mark[1] == fence and not mark["language"]:
                yield _pre(fenced)
                fence, fenced = "", []
            elif fence:
                fenced.append(_joined(links.runs(start, end)))
            elif mark:
                fence = mark[1]
            continue
        block = _line_block(line, start, end, links)
        if block is None and line.strip():
            paragraph.append(_inline(start, end, links))
        else:
            yield from _flushed(paragraph)
            yield block or ""
    yield from _flushed(paragraph)
    if fenced:
        yield _pre(fenced)


def _flushed(paragraph: list[str]) -> Iterator[str]:
    if paragraph:
        yield f"<p>{'<br>'.join(paragraph)}</p>"
        paragraph.clear()


def _pre(lines: list[str]) -> str:
    return f'<pre style="white-space: pre-wrap">{chr(10).join(lines)}</pre>'


def _line_block(line: str, start: int, end: int, links: _Links) -> str | None:
    """The line as a block of its own, or None: it belongs to a paragraph."""
    if heading := _HEADING.match(line):
        return f"<p><b>{_inline(start + heading.end(), end, links)}</b></p>"
    if bullet := _BULLET.match(line):
        return _item(len(bullet["indent"]), "•&nbsp;" + _inline(start + bullet.end(), end, links))
    if number := _NUMBER.match(line):
        return _item(len(number["indent"]), _inline(start + number.end(), end, links))
    return None


def _item(indent: int, html: str) -> str:
    # No list of HTML's: the number belongs to the text, and its first words may be a link.
    left = _INDENT_PX * (1 + indent // 2)
    return f'<p style="margin-left: {left}px; text-indent: -{_INDENT_PX}px">{html}</p>'


def _inline(start: int, end: int, links: _Links) -> str:
    return _joined(_styled(start, end, links))


def _styled(start: int, end: int, links: _Links, style: str = "") -> Iterator[_Run]:
    while found := _INLINE.search(links.text, start, end):
        yield from links.runs(start, found.start(), style)
        if found["code"] is not None:
            yield from links.runs(*found.span("code"), f"{style} code")
        elif found["bold"] is not None:
            yield from _styled(*found.span("bold"), links, f"{style} b")
        else:
            yield from _styled(*found.span("italic"), links, f"{style} i")
        start = found.end()
    yield from links.runs(start, end, style)


def _joined(runs: Iterable[_Run]) -> str:
    """The runs as HTML; neighbours that lead to the same place are one link, one stop of the Tab key."""
    pieces = []
    for target, group in groupby(runs, key=itemgetter(0)):
        html = "".join(piece for _, piece in group)
        pieces.append(html if target is None else f'<a href="{escape(target)}">{html}</a>')
    return "".join(pieces)
