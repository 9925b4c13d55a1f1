"""Reading and writing records: a folder with ``records.jsonl``, images and priors, or shards of one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fusar_gpt.errors import OutputError
from fusar_gpt.output import whole_file
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import json_lines
from fusar_train.corpus.images import AS_THEY_ARE, PNG_LEVEL, image_facts
from fusar_train.corpus.prior_file import Vectors, write_prior
from fusar_train.corpus.record import RECORDS_FILE, Record
from fusar_train.corpus.shards import read_shards, shards_of
from fusar_train.corpus.sidecars import Sidecars, write_splits

STORED_SUFFIXES = (".jpg", ".jpeg", ".png")


def read_records(path: Path, texts: str | None = None) -> Iterator[Record]:
    """The records of a folder, a JSONL file or a shard (``.tar``), one by one.

    With what lies beside them: the splits of a corpus, and sub-texts.

    Args:
        path: What to read.
        texts: Name of the describer whose sub-texts are read; None takes the only one, or those in the records;
            ``WITHOUT_TEXTS`` those in the records.

    Raises:
        CorpusError: Nothing is there, a record makes no sense: named by file and line; or several describers have
            described the records and none is named.
    """
    for record in read_leniently(path, texts):
        if isinstance(record, CorpusError):
            raise record
        yield record


def read_leniently(path: Path, texts: str | None = None) -> Iterator[Record | CorpusError]:
    """As ``read_records``, but a bad record comes as its error."""
    beside = Sidecars.of(path, texts)
    for record in stored_records(path):
        yield record if isinstance(record, CorpusError) else beside.completed(record)


def stored_records(path: Path) -> Iterator[Record | CorpusError]:
    """The records as they are stored, without what lies beside them; a bad one comes as its error.

    Raises:
        CorpusError: Nothing is there.
    """
    if shards := shards_of(path):
        yield from read_shards(shards)
        return
    file = path / RECORDS_FILE if path.is_dir() else path
    if not file.is_file():
        raise CorpusError(
            f"{path} holds no {RECORDS_FILE} and no shards: make it with fusar-train data import."
        )
    for where, raw in json_lines(file):
        try:
            yield raw if isinstance(raw, CorpusError) else Record.from_json(raw, file.parent, where)
        except CorpusError as error:
            yield error


def write_records(records: Iterable[Record], folder: Path) -> int:
    """Writes a new folder that holds the records, their images and priors; returns how many.

    The folder appears when it is complete, or not at all.

    Raises:
        CorpusError: The folder is there already, an id comes twice, or an image or prior cannot be read.
        OutputError: It cannot be written.
    """
    with RecordFolder(folder) as writer:
        for record in records:
            writer.add(record)
        return writer.count


def replace_splits(records: Sequence[Record], folder: Path) -> None:
    """Stores the splits of records that lie in the folder already: in them, or beside shards that state none.

    Raises:
        CorpusError: The folder has shards whose records state a split: shards are not changed.
        OutputError: It cannot be written.
    """
    stated = (one.split for one in read_shards(shards_of(folder)) if isinstance(one, Record))
    if shards_of(folder) and not any(stated):
        write_splits(records, folder if folder.is_dir() else folder.parent)
    else:
        replace_records(records, folder)


def replace_records(records: Iterable[Record], folder: Path) -> None:
    """Rewrites ``records.jsonl`` of records whose files lie in the folder already; whole or not at all.

    Raises:
        CorpusError: The folder has no ``records.jsonl``: shards are not changed.
        OutputError: It cannot be written.
    """
    root = folder.absolute()
    if not (root / RECORDS_FILE).is_file():
        raise CorpusError(
            f"{folder} has no {RECORDS_FILE} to rewrite: give the folder that the shards came from."
        )
    with whole_file(folder / RECORDS_FILE) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for record in records:
            image = record.image.relative_to(root).as_posix()
            prior = record.prior.relative_to(root).as_posix() if record.prior else None
            stream.write(record.to_json(image, prior) + "\n")


class RecordFolder:
    """Writes a folder of records one by one; use it with ``with``: it is renamed into place at the end.

    Attributes:
        count: Records written so far.
    """

    def __init__(self, folder: Path) -> None:
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise CorpusError(f"{folder} is there already: give the name of a new folder.")
        self._folder = folder.absolute()
        self._images: dict[Path, str] = {}
        self._ids: set[str] = set()
        self.count = 0

    def __enter__(self) -> RecordFolder:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        self._partial = Path(tempfile.mkdtemp(prefix=f".{self._folder.name}-", dir=self._folder.parent))
        self._partial.chmod(0o755)
        self._stream = (self._partial / RECORDS_FILE).open("w", encoding="utf-8")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            self._stream.close()
            if kind is None:
                if self._folder.exists():
                    self._folder.rmdir()
                self._partial.rename(self._folder)
        except OSError as failure:
            error = failure
        shutil.rmtree(self._partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise OutputError(
                f"Cannot write {self._folder}: {error.strerror or error}. Check the folder and its free space; "
                "nothing is left."
            ) from error

    def add(
        self, record: Record, pixels: NDArray[np.uint8] | None = None, vectors: Vectors | None = None
    ) -> None:
        """Stores a record; ``pixels`` and ``vectors`` are stored instead of what its files hold.

        Raises:
            CorpusError: Its id was there before, or its image or prior cannot be read.
        """
        if record.id in self._ids:
            raise CorpusError(f"Two records are called {record.id!r}: give each data set its own --name.")
        self._ids.add(record.id)
        image = self._copied_image(record) if pixels is None else self._new_image(record.id, pixels)
        prior = None
        if record.prior is not None or vectors is not None:
            kept = record.vectors() if vectors is None else vectors
            older = record.prior is not None and record.prior.suffix == ".npy"
            year = record.provenance.get("year") if older else record.prior_year()
            prior = f"priors/{record.id}.npz"
            write_prior(self._room(prior), kept, year)
        self._stream.write(record.to_json(image, prior) + "\n")
        self.count += 1

    def _copied_image(self, record: Record) -> str:
        """The name of the image in the folder; an image that several records show is there once."""
        source = record.image_source()
        if not isinstance(source, Path):
            return self._new_image(record.id, record.pixels())
        if source not in self._images:
            _, mode = image_facts(source, str(source))
            if mode in AS_THEY_ARE and source.suffix.lower() in STORED_SUFFIXES:
                name = f"images/{record.id}{source.suffix.lower()}"
                shutil.copyfile(source, self._room(name))
            else:
                name = self._new_image(record.id, replace(record, window=None).pixels())
            self._images[source] = name
        return self._images[source]

    def _new_image(self, record_id: str, pixels: NDArray[np.uint8]) -> str:
        name = f"images/{record_id}.png"
        Image.fromarray(pixels).save(self._room(name), compress_level=PNG_LEVEL)
        return name

    def _room(self, name: str) -> Path:
        path = self._partial / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
