"""ms-swift's JSONL, both ways: ``messages`` with an ``<image>`` tag, ``images``, and ``objects`` for boxes.

Boxes stand in the texts as ``<bbox>`` and in ``objects.bbox`` as absolute pixels of the image file, so that
ms-swift itself resizes them with the image. ``QWENVL_BBOX_FORMAT=new`` makes it write a ``<bbox>`` as
[x1, y1, x2, y2], which is the form of the prompt set ``release``.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, replace
from pathlib import Path, PurePath
from typing import Any

from PIL import Image

from fusar_gpt.frames import SceneBox
from fusar_gpt.output import whole_file
from fusar_gpt.tasks import ANY, SEARCHES, Task
from fusar_train.corpus.dataset import Dataset, Read
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import inside, is_litter
from fusar_train.corpus.images import image_facts
from fusar_train.corpus.messages import recognise
from fusar_train.corpus.record import Message, Record
from fusar_train.corpus.release_set import by_image
from fusar_train.corpus.swift_line import BBOX, IMAGE, REF, SwiftLine, read_line

_CORNERS = re.compile(r"\[\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*\]")
_LABELLED = re.compile(rf'({BBOX}, "label": )"([^"\\]*)"')


def write_swift(records: Iterable[Record], path: Path) -> int:
    """Writes one line for each message; returns how many. Windows are cut to images beside the file.

    Raises:
        CorpusError: A record has no messages, or texts with coordinates in another form than ``release``.
        OutputError: It cannot be written.
    """
    lines = 0
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for record in records:
            if not record.messages:
                raise CorpusError(f"Record {record.id} has no messages: run fusar-train data derive first.")
            image = str(_image_file(record, path))
            for message in record.messages:
                stream.write(json.dumps(_line(record, message, image), ensure_ascii=False) + "\n")
                lines += 1
    return lines


def read_swift(path: Path, dataset: Dataset) -> Iterator[Read]:
    """One record for each image, with the pairs of question and answer of all its lines as messages.

    Raises:
        CorpusError: The file is missing; a bad line, or one with several images, comes as its error.
    """
    records: list[Record] = []
    for read in by_image(path, lambda raw, where: _record(raw, path.parent, where, dataset)):
        if isinstance(read, CorpusError):
            yield read
        else:
            records.append(read)
    yield from _with_own_ids(records)


def _line(record: Record, message: Message, image: str) -> dict[str, Any]:
    """A message as ms-swift's object; coordinates become placeholders for boxes of the image's pixels."""
    question, answer, boxes, labels = message.question, message.answer, list[list[float]](), list[str]()
    if message.task in (Task.CLASSIFY, Task.DETECT):
        if record.provenance.get("prompt_set", "release") != "release":
            raise CorpusError(
                f"Record {record.id}: only the prompt set release can go to ms-swift: derive with it."
            )
        question, boxes = _taken_out(question, record)
        answer, more = _taken_out(answer, record)
        boxes += more
        labels = [label for _, label in _LABELLED.findall(answer)]
        answer = _LABELLED.sub(rf'\g<1>"{REF}"', answer)
    line: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": IMAGE + question},
            {"role": "assistant", "content": answer},
        ],
        "images": [image],
    }
    return line | {"objects": {"ref": labels, "bbox": boxes}} if boxes else line


def _taken_out(text: str, record: Record) -> tuple[str, list[list[float]]]:
    """The text with each [x1, y1, x2, y2] as a placeholder, and those boxes in pixels of the image."""
    width, height = record.size()
    frame = record.text_frame()
    scale = (width / frame[0], height / frame[1]) * 2
    found = [[int(n) * s for n, s in zip(corners, scale, strict=True)] for corners in _CORNERS.findall(text)]
    return _CORNERS.sub(BBOX, text), found


def _image_file(record: Record, path: Path) -> Path:
    if record.window is None and isinstance(record.image_source(), Path):
        return record.image.absolute()
    file = path.absolute().with_suffix("") / f"{record.id}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(record.pixels()).save(file)
    return file


def _record(raw: Any, folder: Path, where: str, dataset: Dataset) -> Record:
    line = read_line(raw, where)
    if is_litter(PurePath(line.image)) and not Path(line.image).is_absolute():
        raise CorpusError(f"{where} shows {line.image}, which is no part of the data: remove the line.")
    path = Path(line.image)
    image = path if path.is_absolute() else inside(folder, line.image, where)
    size, _ = image_facts(image, f"{where} image {image}")
    boxes, names = line.boxes(size, where), line.names(where)
    asked = _messages(line, boxes, where)
    if asked and asked[0].task is Task.CLASSIFY and names[:1] == [None]:
        names[0] = asked[0].answer
    if None in names:
        dataset.notes["a box that nothing names is of the class 'object'"] += names.count(None)
    targets = {one.target for one in asked if one.task in SEARCHES} - {None, ANY}
    return dataset.record(
        image,
        [image.stem],
        {dataset.label(str(target)) for target in targets},
        objects=[dataset.item(name or "object", box) for name, box in zip(names, boxes, strict=True)],
        messages=asked,
        caption=next((one.answer for one in asked if one.task is Task.DESCRIBE), None),
        where=where,
    )


def _messages(line: SwiftLine, boxes: Sequence[SceneBox], where: str) -> tuple[Message, ...]:
    """The pairs of user and assistant, their placeholders filled with whole pixels of the image, in order."""
    rest_boxes, rest_refs = iter(boxes), iter(line.refs)

    def next_box(_: object) -> str:
        return str([round(edge) for edge in astuple(next(rest_boxes))])

    def filled(text: str) -> str:
        return re.sub(REF, lambda _: next(rest_refs), re.sub(BBOX, next_box, text))

    turns = [(role, text.replace(IMAGE, "").strip("\n")) for role, text in line.turns]
    marked = [BBOX in text for _, text in turns]
    turns = [(role, filled(text)) for role, text in turns]
    spoken = [
        (*turn, boxed) for turn, boxed in zip(turns, marked, strict=True) if turn[0] in ("user", "assistant")
    ]
    if len(spoken) % 2 or any(role != ("user", "assistant")[i % 2] for i, (role, _, _) in enumerate(spoken)):
        raise CorpusError(f"{where} must alternate between user and assistant: correct or remove it.")
    made = []
    for (_, question, boxed), (_, answer, _) in zip(spoken[0::2], spoken[1::2], strict=True):
        task, target = recognise(question)
        box = boxes[0] if task is Task.CLASSIFY and boxed else None
        made.append(Message(task=task, target=target, box=box, question=question, answer=answer))
    return tuple(made)


def _with_own_ids(records: Iterable[Record]) -> Iterator[Record]:
    """Images of one name in several folders get the folders' names too."""
    listed = list(records)
    folders: dict[str, list[Path]] = defaultdict(list)
    for record in listed:
        folders[record.id].append(record.image.parent)
    for record in listed:
        alike = folders[record.id]
        if len(alike) == 1:
            yield record
            continue
        head, _, stem = record.id.rpartition("/")
        inner = record.image.parent.relative_to(os.path.commonpath(alike)).parts
        words = "/".join(re.sub(r"[^\w-]+", "-", part) or "x" for part in (*inner, stem))
        own = f"{head}/{words}"
        yield replace(record, id=own, scene=own if record.scene == record.id else record.scene)
