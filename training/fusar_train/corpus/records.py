"""Reading and writing stored records: a folder with ``records.jsonl``, images and priors, or shards of one."""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fusar_gpt.errors import OutputError
from fusar_gpt.findings.output import whole_file
from fusar_gpt.frames import SceneBox, SceneWindow
from fusar_gpt.tasks import Task
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import inside, json_lines
from fusar_train.corpus.images import AS_THEY_ARE, PNG_LEVEL, image_facts
from fusar_train.corpus.prior_file import Vectors, write_prior
from fusar_train.corpus.stored import SPLITS, Message, StoredObject, StoredRecord

__all__ = ["CorpusError", "Message", "StoredObject", "StoredRecord", "read_records", "write_records"]

RECORDS_FILE = "records.jsonl"
KEYS = ("id", "image", "window", "objects", "prior", "messages", "caption", "scene", "split", "provenance")
STORED_SUFFIXES = (".jpg", ".jpeg", ".png")

_ID = re.compile(r"(?!\.)[\w.-]+(?:/(?!\.)[\w.-]+)*")
_LONGEST_ID = 180
_MAX_PIXEL = 10**7


def read_records(path: Path) -> Iterator[StoredRecord]:
    """The records of a folder, a JSONL file or a shard (``.tar``), one by one.

    Raises:
        CorpusError: Nothing is there, or a record makes no sense: named by file and line.
    """
    for record in read_leniently(path):
        if isinstance(record, CorpusError):
            raise record
        yield record


def read_leniently(path: Path) -> Iterator[StoredRecord | CorpusError]:
    """As ``read_records``, but a bad record comes as its error."""
    from fusar_train.corpus.shards import read_shards, shards_of  # it builds on this module

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
            yield raw if isinstance(raw, CorpusError) else record_of(raw, file.parent, where)
        except CorpusError as error:
            yield error


def record_of(raw: Any, folder: Path, where: str) -> StoredRecord:
    """The record of a JSON object whose paths are relative to ``folder``.

    Raises:
        CorpusError: It lacks a field, or a field makes no sense; ``where`` names it.
    """
    try:
        return _record(raw, folder, where)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        what = f"has no {error}" if isinstance(error, KeyError) else f"makes no sense: {error}"
        raise CorpusError(f"{where} {what}. Correct it, or remove the line.") from error


def _record(raw: Any, folder: Path, where: str) -> StoredRecord:
    if not isinstance(raw, dict):
        raise TypeError("a record is a JSON object")
    if unknown := sorted(set(raw) - set(KEYS)):
        raise ValueError(f"unknown field {unknown[0]!r}")
    where = f"{where} record {str(raw['id'])[:_LONGEST_ID]!r}"
    split = raw.get("split")
    if split is not None and split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)} or null, not {split!r}")
    prior = raw.get("prior")
    return StoredRecord(
        id=checked_id(raw["id"]),
        image=inside(folder, raw["image"], where),
        window=_window(raw.get("window")),
        objects=tuple(_object(item, number) for number, item in enumerate(raw["objects"], 1)),
        prior=None if prior is None else inside(folder, prior, where),
        messages=tuple(_message(item) for item in raw.get("messages") or ()),
        caption=_text(raw.get("caption"), "caption"),
        scene=_text(raw["scene"], "scene") or "",
        split=split,
        provenance=_provenance(raw.get("provenance") or {}),
    )


def checked_id(text: Any) -> str:
    """The id if it can also be a file name; ValueError otherwise."""
    if not isinstance(text, str) or len(text) > _LONGEST_ID or not _ID.fullmatch(text):
        raise ValueError(f"id must be words of letters, digits, . _ - between slashes, not {text!r}")
    return text


def box_of(numbers: Any) -> SceneBox:
    """The box of [left, top, right, bottom]; ValueError when it is inverted or not of finite numbers."""
    edges = [float(number) for number in numbers]
    if len(edges) != 4 or not all(map(math.isfinite, edges)):
        raise ValueError(f"a box has four finite numbers left, top, right, bottom, not {numbers}")
    if max(map(abs, edges)) > _MAX_PIXEL or edges[0] > edges[2] or edges[1] > edges[3]:
        raise ValueError(f"box {numbers} is inverted or beyond every image")
    return SceneBox(*edges)


def _object(raw: Mapping[str, Any], number: int) -> StoredObject:
    try:
        label = _text(raw["label"], "label")
        if not label:
            raise ValueError("it has no label")
        return StoredObject(
            box_of(raw["box"]), label, _text(raw.get("fine"), "fine"), bool(raw.get("difficult"))
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"object {number}: {error}") from error


def _message(raw: Mapping[str, Any]) -> Message:
    box = raw.get("box")
    return Message(
        task=Task(raw["task"]),
        target=_text(raw.get("target"), "target"),
        box=None if box is None else box_of(box),
        question=_text(raw["question"], "question") or "",
        answer=_text(raw["answer"], "answer") or "",
    )


def _window(raw: Any) -> SceneWindow | None:
    if raw is None:
        return None
    if len(raw) != 4 or not all(type(number) is int and abs(number) <= _MAX_PIXEL for number in raw):
        raise ValueError(f"window must be [col, row, width, height] in whole pixels, not {raw}")
    return SceneWindow(*raw)


def _provenance(raw: Any) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise TypeError("provenance must be an object")
    pixel_m, year = raw.get("pixel_m"), raw.get("year")
    if pixel_m is not None and not (isinstance(pixel_m, (int, float)) and 0 < pixel_m < math.inf):
        raise ValueError(f"pixel_m must be metres to a pixel, not {pixel_m!r}")
    if year is not None and type(year) is not int:
        raise ValueError(f"year must be a whole number, not {year!r}")
    for name, kind in (("complete", str), ("frame", int)):
        listed = raw.get(name)
        if listed is not None and not (isinstance(listed, list) and all(type(one) is kind for one in listed)):
            raise ValueError(f"{name} must be a list of {kind.__name__}, not {listed!r}")
    return raw


def _text(value: Any, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {value!r}")
    return value


def json_of_record(record: StoredRecord, image: str, prior: str | None) -> str:
    """The line of a record, with the names its files have beside it."""
    window = record.window
    fields = {
        "id": record.id,
        "image": image,
        "window": None if window is None else [window.col, window.row, window.width, window.height],
        "objects": [_object_fields(item) for item in record.objects],
        "prior": prior,
        "messages": [_message_fields(message) for message in record.messages],
        "caption": record.caption,
        "scene": record.scene,
        "split": record.split,
        "provenance": dict(record.provenance),
    }
    return json.dumps(fields, ensure_ascii=False, allow_nan=False)


def _object_fields(item: StoredObject) -> dict[str, Any]:
    fields: dict[str, Any] = {"box": _edges(item.box), "label": item.label}
    if item.fine is not None:
        fields["fine"] = item.fine
    return fields | ({"difficult": True} if item.difficult else {})


def _message_fields(message: Message) -> dict[str, Any]:
    return {
        "task": message.task.value,
        "target": message.target,
        "box": None if message.box is None else _edges(message.box),
        "question": message.question,
        "answer": message.answer,
    }


def _edges(box: SceneBox) -> list[float]:
    return [box.left, box.top, box.right, box.bottom]


def write_records(records: Iterable[StoredRecord], folder: Path) -> int:
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


def replace_records(records: Iterable[StoredRecord], folder: Path) -> None:
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
            prior = None if record.prior is None else record.prior.relative_to(root).as_posix()
            stream.write(json_of_record(record, image, prior) + "\n")


def unwritable(path: Path, error: OSError) -> OutputError:
    """The error of a disk that is full or may not be written to."""
    reason = error.strerror or str(error)
    return OutputError(
        f"Cannot write {path}: {reason}. Check the folder and its free space; nothing is left."
    )


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
            raise unwritable(self._folder, error) from error

    def add(
        self, record: StoredRecord, pixels: NDArray[np.uint8] | None = None, vectors: Vectors | None = None
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
        self._stream.write(json_of_record(record, image, prior) + "\n")
        self.count += 1

    def _copied_image(self, record: StoredRecord) -> str:
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
                whole = StoredRecord(**{**vars(record), "window": None}).pixels()
                name = self._new_image(record.id, whole)
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
