"""An incremental decoder of server-sent events (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE_END = re.compile("\r\n|\r|\n")


@dataclass(frozen=True)
class ServerEvent:
    """One event of the stream: its type, its data and the last event id seen so far."""

    kind: str
    data: str
    last_id: str


class SseDecoder:
    """Turns the bytes of a stream, cut anywhere, into events; an unfinished event waits for its rest."""

    def __init__(self) -> None:
        # Incremental, because a chunk may end in the middle of a Chinese character.
        self._text = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._line = ""
        self._at_start = True
        self._kind = ""
        self._data: list[str] = []
        self._last_id = ""

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        """Yield the events that ``chunk`` completes; consume the whole iterator before feeding again."""
        for line in self._lines(self._text.decode(chunk)):
            event = self._take(line)
            if event is not None:
                yield event

    def _lines(self, text: str) -> list[str]:
        if self._at_start and text:
            self._at_start = False
            text = text.removeprefix("\ufeff")
        text = self._line + text
        # A carriage return at the end may be the first half of a CRLF: wait for what follows.
        held = "\r" if text.endswith("\r") else ""
        *lines, rest = _LINE_END.split(text.removesuffix("\r"))
        self._line = rest + held
        return lines

    def _take(self, line: str) -> ServerEvent | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._kind = value
        elif field == "data":
            self._data.append(value)
        elif field == "id" and "\0" not in value:
            self._last_id = value
        return None

    def _dispatch(self) -> ServerEvent | None:
        kind, data = self._kind or "message", self._data
        self._kind, self._data = "", []
        return ServerEvent(kind, "\n".join(data), self._last_id) if data else None
