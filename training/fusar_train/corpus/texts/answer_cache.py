"""Answers that were paid for, by what was asked: a corpus that is built anew, or described again, costs nothing."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fusar_gpt.folders import user_folder
from fusar_train.corpus.texts.cost import Measured, Tokens
from fusar_train.corpus.texts.endpoint import Answer

_TABLE = """CREATE TABLE IF NOT EXISTS answers (
    question TEXT PRIMARY KEY, text TEXT NOT NULL, cut INTEGER NOT NULL,
    endpoint TEXT NOT NULL, model TEXT NOT NULL, templates TEXT NOT NULL,
    estimated INTEGER NOT NULL, sent INTEGER, answered INTEGER
) WITHOUT ROWID"""
_BUSY_S = 30


def default_file() -> Path:
    """In $FUSAR_CACHE, else in the platform's place for what can be made again."""
    home = os.environ.get("FUSAR_CACHE")
    folder = Path(home).expanduser() if home else user_folder("cache") / "fusar-gpt"
    return folder / "descriptions.sqlite"


def question_key(*parts: bytes | str) -> str:
    """SHA-256 over all that decides an answer: picture, texts, model, settings; the endpoint does not."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


class AnswerCache:
    """Answers in a file that several runs may share.

    A file that cannot be used is told once, and the run goes on without it.

    Args:
        file: Where; ``default_file()`` if not given.
        tell: Takes a sentence that the user should read.
    """

    def __init__(self, tell: Callable[[str], None], file: Path | None = None) -> None:
        self._tell = tell
        self._file = file or default_file()
        self._connection: sqlite3.Connection | None = None
        with self._tolerant():
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                self._file, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(_TABLE)

    def get(self, key: str) -> Answer | None:
        """The answer to a question; None where it is not known."""
        found = None
        if self._connection:
            with self._tolerant():
                found = self._connection.execute(
                    "SELECT text, cut, endpoint FROM answers WHERE question = ?", (key,)
                ).fetchone()
        return None if found is None else Answer(str(found[0]), bool(found[1]), endpoint=str(found[2]))

    def put(self, key: str, answer: Answer, model: str, templates: str, estimated: int) -> None:
        """Keeps an answer, with the tokens that were estimated for the question."""
        sent, answered = (answer.tokens.sent, answer.tokens.answered) if answer.tokens else (None, None)
        row = (key, answer.text, answer.cut, answer.endpoint, model, templates, estimated, sent, answered)
        if self._connection:
            with self._tolerant():
                self._connection.execute(
                    "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row
                )

    def measured(self, model: str, templates: str) -> Measured:
        """What was counted for a model's answers to these templates."""
        row = None
        if self._connection:
            with self._tolerant():
                row = self._connection.execute(
                    "SELECT count(*), total(estimated), total(sent), total(answered) FROM answers "
                    "WHERE model = ? AND templates = ? AND sent IS NOT NULL",
                    (model, templates),
                ).fetchone()
        return Measured(int(row[0]), int(row[1]), Tokens(int(row[2]), int(row[3]))) if row else Measured()

    def close(self) -> None:
        """Closes the file."""
        if self._connection:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _tolerant(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            self._tell(
                f"Answers are not kept in {self._file} ({error}): a second run would pay for them again."
            )
            self.close()
