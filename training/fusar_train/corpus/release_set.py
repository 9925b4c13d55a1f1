"""The FUSAR-GPT authors' ``detection.jsonl``: one image, its AEF vectors, one question, one answer a line.

Fields: ``id``, ``image``, ``aef`` (``.npz``, the older ``.npy``, or none, as in ``detection_no_aef.jsonl``),
``coordinate_size`` (504 if absent), ``question``, ``answer`` (a list of ``bbox_2d`` and ``label``, as JSON or in a
string, or ``None``). A ``.json`` file holds the same objects in one list. Boxes are in a frame of
coordinate_size x coordinate_size px to which the image is stretched. Only the class that is asked for is
labelled; lines of one image are joined.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError

from fusar_gpt.frames import SceneBox
from fusar_gpt.tasks import ANY, Boxes, Question, Task, prompt_set
from fusar_train.corpus.dataset import Dataset, Read
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import inside, json_rows
from fusar_train.corpus.images import image_facts
from fusar_train.corpus.messages import recognise
from fusar_train.corpus.record import Message, Record, RecordObject
from fusar_train.validation import first_fault


def answer_text(answer: Any) -> Any:
    """An answer as the model writes it; the authors' scripts take a list too, and turn it into JSON."""
    return json.dumps(answer, ensure_ascii=False) if isinstance(answer, list) else answer


_IN_WORDS = (Task.DESCRIBE, Task.ASK)
_BOXES_ASKED = "bbox"  # however a question to detect is worded, it names the format of the answer

FILES = ("detection.jsonl", "detection_no_aef.jsonl")
"""What the authors call the files of a folder, with AEF vectors and without."""


def plain_question(question: str) -> str:
    """A question without the mark of the image that some of them carry; it stands before the words anyway."""
    return question.replace("<image>", "").strip()


class _Line(BaseModel, strict=True):
    image: str
    question: Annotated[str, AfterValidator(plain_question)]
    answer: Annotated[str, BeforeValidator(answer_text)]
    coordinate_size: Annotated[int, Field(gt=0, le=100_000)] = 504
    aef: str | None = None
    id: str | int | None = None
    year: Any = None


def read_release_set(path: Path, dataset: Dataset) -> Iterator[Read]:
    """The records of a ``.jsonl`` or ``.json`` file, or of the first of ``FILES`` that a folder holds.

    They come in the order of first appearance.

    Raises:
        CorpusError: The file is missing; a bad line comes as its error.
    """
    named = [path / name for name in FILES]
    file = next((one for one in named if one.is_file()), named[0]) if path.is_dir() else path
    yield from by_image(file, lambda raw, where: _record(raw, file.parent, where, dataset))


def by_image(file: Path, record_of: Callable[[Any, str], Record]) -> Iterator[Read]:
    """The records of a file of lines, those of one image joined; the errors of bad lines come first.

    ``record_of`` makes a record of one line's object, whose place is its second argument.
    """
    records: dict[Path, Record] = {}
    for where, raw in json_rows(file):
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
    prior = None if line.aef is None else inside(folder, line.aef, where)
    more: dict[str, Any] = {"frame": [side, side], "prompt_set": "release"}
    if type(line.year) is int:
        more["year"] = line.year
    task, target = recognise(line.question)
    if task in _IN_WORDS and _BOXES_ASKED not in line.question:
        image_facts(image, f"{where} image {image}")
        message = Message(task=task, question=line.question, answer=line.answer)
        return dataset.record(
            image, [str(line.id or image.stem)], [], more=more, objects=(), prior=prior, messages=(message,)
        )
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
    return dataset.record(
        image,
        [str(line.id or image.stem)],
        [asked] if target != ANY else {item.label for item in objects},
        more=more,
        objects=objects,
        prior=prior,
        messages=(Message(task=Task.DETECT, target=asked, question=line.question, answer=line.answer),),
    )
