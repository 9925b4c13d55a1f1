"""The FUSAR-GPT authors' ``detection.jsonl``: one image, its AEF vectors, one question, one answer a line.

Fields: ``id``, ``image``, ``aef`` (``.npz``, the older ``.npy``, or none), ``coordinate_size`` (504 if absent),
``question``, ``answer`` (a JSON list of ``bbox_2d`` and ``label``, or ``None``). Boxes are in a frame of
coordinate_size x coordinate_size px to which the image is stretched. Only the class that is asked for is
labelled; lines of one image are joined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from fusar_gpt.frames import SceneBox
from fusar_gpt.tasks import ANY, Boxes, Question, Task, prompt_set
from fusar_train.corpus.dataset import Dataset, Read
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import inside, json_lines
from fusar_train.corpus.images import image_facts
from fusar_train.corpus.messages import recognise
from fusar_train.corpus.record import Message, Record, RecordObject
from fusar_train.validation import first_fault


class _Line(BaseModel, strict=True):
    image: str
    question: str
    answer: str
    coordinate_size: Annotated[int, Field(gt=0, le=100_000)] = 504
    aef: str | None = None
    id: str | int | None = None
    year: Any = None


def read_release_set(path: Path, dataset: Dataset) -> Iterator[Read]:
    """The records of a ``.jsonl`` file, or of the ``detection.jsonl`` of a folder, in order of first appearance.

    Raises:
        CorpusError: The file is missing; a bad line comes as its error.
    """
    file = path / "detection.jsonl" if path.is_dir() else path
    yield from by_image(file, lambda raw, where: _record(raw, file.parent, where, dataset))


def by_image(file: Path, record_of: Callable[[Any, str], Record]) -> Iterator[Read]:
    """The records of a file of lines, those of one image joined; the errors of bad lines come first.

    ``record_of`` makes a record of one line's object, whose place is its second argument.
    """
    records: dict[Path, Record] = {}
    for where, raw in json_lines(file):
        try:
            if isinstance(raw, CorpusError):
                raise raw
            record = record_of(raw, where)
        except CorpusError as error:
            yield error
            continue
        known = records.get(record.image)
        records[record.image] = record if known is None else joined(known, record)
    yield from records.values()


def joined(one: Record, other: Record) -> Record:
    """Two records of one image as one."""
    return replace(
        one,
        objects=tuple(_merged(one.objects, other.objects)),
        messages=tuple(dict.fromkeys(one.messages + other.messages)),
        provenance={**one.provenance, "complete": sorted({*one.complete(), *other.complete()})},
    )


def _merged(objects: Iterable[RecordObject], more: Iterable[RecordObject]) -> Iterable[RecordObject]:
    """Objects without repetition; a second name for the same box is its fine label."""
    by_box = {item.box: item for item in objects}
    for item in more:
        known = by_box.setdefault(item.box, item)
        other = item.label if item.label != known.label else None
        by_box[item.box] = replace(known, fine=known.fine or item.fine or other)
    return by_box.values()


def _record(raw: Any, folder: Path, where: str, dataset: Dataset) -> Record:
    try:
        line = _Line.model_validate(raw)
    except ValidationError as error:
        raise CorpusError(
            f"{where} makes no sense: {first_fault(error)}: is it a line of the authors' detection.jsonl?"
        ) from error
    image, side = inside(folder, line.image, where), line.coordinate_size
    task, target = recognise(line.question)
    target = target if task is Task.DETECT and target else ANY
    said = prompt_set("release").parse(Question(Task.DETECT, target=target), line.answer, (side, side))
    if not isinstance(said, Boxes) or not said.complete:
        raise CorpusError(
            f"{where} answer is neither None nor a list of bbox_2d and label: correct or remove it."
        )
    (width, height), _ = image_facts(image, f"{where} image {image}")
    x, y = width / side, height / side
    objects = tuple(
        dataset.item(
            one.label, SceneBox(one.box.left * x, one.box.top * y, one.box.right * x, one.box.bottom * y)
        )
        for one in said.boxes
    )
    asked = dataset.item(target, SceneBox(0, 0, 1, 1)).label
    more: dict[str, Any] = {"frame": [side, side], "prompt_set": "release"}
    if type(line.year) is int:
        more["year"] = line.year
    return dataset.record(
        image,
        [str(line.id or image.stem)],
        [asked] if target != ANY else {item.label for item in objects},
        more=more,
        objects=objects,
        prior=None if line.aef is None else inside(folder, line.aef, where),
        messages=(Message(task=Task.DETECT, target=asked, question=line.question, answer=line.answer),),
    )
