"""The file of a describer, texts/NAME.jsonl, while it grows: a line a slice and key set, kept whatever happens."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from fusar_gpt.errors import OutputError
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.sidecars import TEXTS_FOLDER, read_texts, text_line
from fusar_train.corpus.texts.sub_texts import SubTexts

_NAME = re.compile(r"\w[\w.-]{0,99}")


class TextsFile:
    """What a describer has said and says; use it with ``with``.

    A line that a killed run left half written is cut off.

    Args:
        folder: Of the records.
        name: Of the describer.

    Raises:
        CorpusError: The name cannot be a file's, or a line of the file makes no sense.
        OutputError: The file cannot be written.

    Attributes:
        path: The file.
        known: The sub-texts by record id and key set.
    """

    def __init__(self, folder: Path, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise CorpusError(f"A describer's name is letters, digits, . _ -, not {name!r}: give --name.")
        self.path = folder / TEXTS_FOLDER / f"{name}.jsonl"
        self.known: dict[tuple[str, str], SubTexts] = {}
        if self.path.is_file():
            self._cut_torn_line()
            self.known = read_texts(self.path)
        self._descriptor: int | None = None

    def __enter__(self) -> TextsFile:
        with self._explained():
            self.path.parent.mkdir(exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._descriptor = os.open(self.path, flags, 0o644)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            if not self.known:  # who has said nothing is no describer
                self.path.unlink(missing_ok=True)

    def refuse_others(self, by: Mapping[str, Any]) -> None:
        """CorpusError when the file holds texts of another model or other templates: readers would not notice."""
        for texts in self.known.values():
            for what in ("model", "templates"):
                if texts.by.get(what) != by.get(what):
                    raise CorpusError(
                        f"{self.path} holds texts of the {what} {texts.by.get(what)!r}, not {by.get(what)!r}: "
                        "give another --name."
                    )

    def add(self, record_id: str, texts: SubTexts) -> None:
        """Writes a line, the whole of it or nothing; OutputError where that fails."""
        assert self._descriptor is not None
        line = (text_line(record_id, texts) + "\n").encode()
        with self._explained():
            end = os.lseek(self._descriptor, 0, os.SEEK_END)
            try:
                if os.write(self._descriptor, line) != len(line):
                    raise OSError("the disk is full")
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, end)
                raise
        self.known[record_id, texts.keys] = texts

    def _cut_torn_line(self) -> None:
        with self._explained(), self.path.open("rb+") as stream:
            end = stream.seek(0, os.SEEK_END)
            tail, begin = b"", end
            while begin and b"\n" not in tail:
                begin = max(begin - 2**16, 0)
                stream.seek(begin)
                tail = stream.read(end - begin)
            whole = begin + tail.rfind(b"\n") + 1
            if whole != end:
                stream.truncate(whole)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"Cannot write {self.path}: {error.strerror or error}. Check the folder and its free space; what was "
                "described is kept."
            ) from error
