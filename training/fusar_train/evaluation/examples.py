"""What is asked about: stored records, simulated chips or held-out SSDD images, one by one, with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fusar_gpt.frames import ChipBox, SceneWindow
from fusar_gpt.imagery import ResizePlan
from fusar_gpt.model import Card
from fusar_gpt.tasks import ANY, Count, Grid, Task, cell_of
from fusar_gpt.tasks.reading import read_count, read_grid
from fusar_train.corpus.chip import LABELS, MIN_VISIBLE, LabelledBox, LabelledChip, no_prior
from fusar_train.corpus.record import Record, on_chip
from fusar_train.corpus.records import read_records
from fusar_train.corpus.ssdd import Annotated, read_voc, whole
from fusar_train.corpus.ssdd import split as split_images
from fusar_train.evaluation.metrics import corners
from fusar_train.evaluation.predictions import Asked, Name, PredictionsError, Target
from fusar_train.evaluation.task_statistics import clip
from fusar_train.simulation import simulate_chip
from fusar_train.simulation.chip import CHOICE_STREAM, TEST_STREAM, TRAIN_STREAM
from fusar_train.simulation.records import caption

MOST_CLASSIFIED = 10
"""Boxes of one image whose class is asked."""

_SLIVER = 0.05
_STREAMS = {"train": TRAIN_STREAM, "val": CHOICE_STREAM, "test": TEST_STREAM}


@dataclass(frozen=True, eq=False)
class Example:
    """One image with its prior, the questions about it and their truth.

    Attributes:
        image: uint8 [H, W] or [H, W, 3] at the card's size; in its own pixels when there is no card.
        values: float32 [S, 64], its own prior; ``positions`` float32 [S, 2] as (y, x). S may be 0.
        asked: the questions in the frame of ``image``.
        place: what tells its place from others: the kind of place, or the scene.
    """

    id: str
    image: NDArray[np.uint8]
    values: NDArray[np.float32]
    positions: NDArray[np.float32]
    asked: tuple[Asked, ...]
    place: str | None

    @property
    def frame(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]

    def with_vectors(self, values: NDArray[np.float32], positions: NDArray[np.float32]) -> Example:
        """The same image with another prior."""
        return replace(self, values=values, positions=positions)


class Examples(Protocol):
    """A data set: examples are made when they are taken."""

    @property
    def name(self) -> str:
        """The data set and its split."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...

    def id_of(self, index: int) -> str:
        """The id of an example, without making it."""
        ...


def open_examples(
    data: str, split: str, card: Card | None, limit: int | None = None, seed: int = 0
) -> Examples:
    """Opens a data set.

    Args:
        data: a folder or file of stored records, ``simulated:N``, or ``ssdd:FOLDER``.
        split: "train", "val" or "test".
        card: the model that will be asked; None leaves images in their own pixels and asks about all classes.
        limit: take at most so many images, kept in order.
        seed: draws those images.

    Raises:
        PredictionsError: There is nothing to ask about.
        CorpusError: A stored record makes no sense.
    """
    kind, _, rest = data.partition(":")
    found: Examples
    if kind == "simulated":
        found = SimulatedExamples(_whole_number(rest, data), split, card)
    elif kind == "ssdd":
        found = SsddExamples(Path(rest), split, card)
    else:
        found = StoredExamples(Path(data), split, card)
    if not len(found):
        raise PredictionsError(f"{data} holds no image to evaluate: give a data set with some.")
    if limit is None or limit >= len(found):
        return found
    kept = np.sort(np.random.default_rng(seed).permutation(len(found))[:limit])
    return SomeExamples(found, kept.tolist())


def _whole_number(text: str, data: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 10**7:
        raise PredictionsError(f"{data!r} names no number of chips: write it as simulated:300.")
    return int(text)


@dataclass(frozen=True)
class SomeExamples:
    """Some examples of a data set."""

    examples: Examples
    kept: Sequence[int]

    @property
    def name(self) -> str:
        """As the whole data set's."""
        return self.examples.name

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, index: int) -> Example:
        return self.examples[self.kept[index]]

    def id_of(self, index: int) -> str:
        """The id of an example, without making it."""
        return self.examples.id_of(self.kept[index])


class SimulatedExamples:
    """Chips of a simulation stream; training never draws from the test stream."""

    def __init__(self, count: int, split: str, card: Card | None) -> None:
        self.name = f"simulated {split}"
        self._count, self._stream, self._card = count, _STREAMS[split], card

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Example:
        record = simulate_chip(index, self._stream)
        example = example_of(self.id_of(index), record, LABELS, [caption(record)])
        return sized(example, self._card)

    def id_of(self, index: int) -> str:
        """Stream and number."""
        return f"{self.name}/{index:06}"


class SsddExamples:
    """Real ship images, whole; the split is that of ``corpus.ssdd``. They have no prior."""

    def __init__(self, folder: Path, split: str, card: Card | None) -> None:
        if not (folder / "Annotations").is_dir():
            raise PredictionsError(f"{folder} is no SSDD folder: it has no Annotations; give one that has.")
        parts = dict(zip(("train", "test"), split_images(read_voc(folder)), strict=True))
        if split not in parts:
            raise PredictionsError(f"SSDD has no split {split}: take train or test.")
        self.name = f"ssdd {split}"
        self._images, self._card = parts[split], card

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Example:
        image = self._images[index]
        record = whole(image, max(self._card.width, self._card.height)) if self._card else _native(image)
        return sized(example_of(self.id_of(index), record, ("ship",), []), self._card)

    def id_of(self, index: int) -> str:
        """The image's name."""
        return f"ssdd/{self._images[index].name}"


def _native(image: Annotated) -> LabelledChip:
    """An image in its own pixels."""
    ships = tuple(LabelledBox(ChipBox(*map(float, row)), "ship") for row in image.boxes)
    return LabelledChip(image.image, ships, *no_prior(), None, np.zeros((0, 0), np.int64), "ssdd")


class StoredExamples:
    """Stored records of one split; of all when no record names its split."""

    def __init__(self, path: Path, split: str, card: Card | None) -> None:
        records = list(read_records(path))
        there = {record.split for record in records if record.split}
        if there and split not in there:
            raise PredictionsError(f"{path} has no split {split}: take {' or '.join(sorted(there))}.")
        self._records = [record for record in records if record.split == split or not there]
        self._card = card
        self.name = f"{path.stem} {split if there else 'all'}"
        known, listed = (
            set(card.targets if card else ()),
            {label for r in self._records for label in _labels(r)},
        )
        if known and listed and not known & listed:
            mine, other = ", ".join(sorted(known)), ", ".join(sorted(listed))
            raise PredictionsError(
                f"The model knows {mine}, {path} has {other}: take other data or another model."
            )

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Example:
        record, card = self._records[index], self._card
        if card:
            image, plan = record.chip(card)
            values, positions = record.vectors(plan)
        else:
            image = record.pixels()
            height, width = image.shape[:2]
            plan = ResizePlan(record.window or SceneWindow(0, 0, width, height), width, height, 1, 1)
            values, positions = record.vectors()
        known = set(card.targets if card else ()) or set(_labels(record))
        frame = (image.shape[1], image.shape[0])
        objects = visible(
            [Target(on_chip(o.box, plan), o.label, o.fine, o.difficult) for o in record.objects], frame
        )
        asked = [
            *questions(
                [o for o in objects if o.label in known], [c for c in record.complete() if c in known], frame
            ),
            *stated(record, plan, known),
        ]
        return Example(record.id, image, values, positions, tuple(once(asked)), record.scene)

    def id_of(self, index: int) -> str:
        """The record's id."""
        return self._records[index].id


def _labels(record: Record) -> set[str]:
    return {*record.complete(), *(item.label for item in record.objects)}


def visible(objects: Sequence[Target], frame: tuple[int, int]) -> list[Target]:
    """The objects on a chip; one of which less than 40 % can be seen is difficult, less than 5 % is none."""
    seen = []
    for item in objects:
        share = clip(item.box, frame).area / item.box.area if item.box.area else 0.0
        if share >= _SLIVER:
            seen.append(replace(item, difficult=item.difficult or share < MIN_VISIBLE))
    return seen


def stated(record: Record, plan: ResizePlan, known: set[str]) -> list[Asked]:
    """The questions that a record's messages and caption add to those derived from its objects.

    Its own counts and cells are taken for classes that its objects do not cover.
    """
    found = [Asked(Task.DESCRIBE, (record.caption,))] if record.caption else []
    for message in record.messages:
        task, answer = message.task, message.answer.strip()
        if task is Task.CLASSIFY and message.box and answer:
            found.append(Asked(task, Name(answer), box=on_chip(message.box, plan)))
        elif task is Task.DESCRIBE and answer:
            found.append(Asked(task, (answer,)))
        elif task is Task.ASK and answer and message.question.strip():
            found.append(Asked(task, (answer,), text=message.question))
        elif message.target and (message.target in known or message.target == ANY):
            reader = {Task.COUNT: read_count, Task.LOCATE: read_grid}.get(task)
            read_answer = reader(answer, True) if reader else None
            if isinstance(read_answer, Count) and read_answer.value is not None:
                found.append(Asked(task, read_answer.value, target=message.target))
            elif isinstance(read_answer, Grid) and read_answer.complete:
                found.append(Asked(task, read_answer.cells, target=message.target))
    return found


def once(asked: Sequence[Asked]) -> list[Asked]:
    """No question twice: the first stays, but several captions become the references of one question."""
    texts = [
        text for a in asked if a.task is Task.DESCRIBE and isinstance(a.truth, tuple) for text in a.truth
    ]
    captions = tuple(dict.fromkeys(text for text in texts if isinstance(text, str)))
    found: dict[object, Asked] = {}
    for a in asked:
        box = a.box and tuple(corners([a.box])[0].round().tolist())
        kept = replace(a, truth=captions) if a.task is Task.DESCRIBE else a
        found.setdefault((a.task, a.target, a.text, box), kept)
    return list(found.values())


def example_of(name: str, record: LabelledChip, counted: Sequence[str], captions: Sequence[str]) -> Example:
    """An example of a record in memory, which lists every object of the classes ``counted``."""
    frame = (record.image.shape[1], record.image.shape[0])
    objects = [Target(item.box, item.label) for item in record.objects]
    asked = questions(objects, counted, frame)
    asked += [Asked(Task.DESCRIBE, tuple(captions))] if captions else []
    return Example(name, record.image, record.values, record.positions, tuple(asked), record.place)


def questions(objects: Sequence[Target], counted: Sequence[str], frame: tuple[int, int]) -> list[Asked]:
    """What follows from the boxes: detection, counts and cells of each class, classes of some boxes.

    Where a difficult object makes the count doubtful, the class is neither counted nor located.
    """
    found = []
    for label in counted:
        mine = [item for item in objects if item.label == label]
        if not any(item.difficult for item in mine):
            cells = frozenset(cell_of(item.box, frame) for item in mine)
            found += [Asked(Task.COUNT, len(mine), label), Asked(Task.LOCATE, cells, label)]
        found.append(Asked(Task.DETECT, tuple(mine), label))
    clear = [item for item in objects if not item.difficult][:MOST_CLASSIFIED]
    return [*found, *(Asked(Task.CLASSIFY, Name(o.label, o.fine), box=o.box) for o in clear)]


def sized(example: Example, card: Card | None) -> Example:
    """The example at the card's size: image resized, boxes scaled."""
    width, height = example.frame
    if card is None or (card.width, card.height) == (width, height):
        return example
    across, down = card.width / width, card.height / height

    def scaled(box: ChipBox) -> ChipBox:
        return ChipBox(box.left * across, box.top * down, box.right * across, box.bottom * down)

    def moved(asked: Asked) -> Asked:
        if asked.task is Task.DETECT and isinstance(asked.truth, tuple):
            boxes = [replace(t, box=scaled(t.box)) for t in asked.truth if isinstance(t, Target)]
            return replace(asked, truth=tuple(boxes))
        return replace(asked, box=asked.box and scaled(asked.box))

    image = Image.fromarray(example.image).resize((card.width, card.height), Image.Resampling.BICUBIC)
    return replace(example, image=np.asarray(image), asked=tuple(map(moved, example.asked)))
