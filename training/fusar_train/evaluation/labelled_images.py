"""What is asked about: stored records, simulated chips or held-out SSDD images, one by one, with the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.frames import ChipBox, ScenePoints, SceneWindow
from fusar_gpt.imagery import ResizePlan
from fusar_gpt.model import Card
from fusar_gpt.tasks import ANY, Count, Grid, Task, cell_of
from fusar_gpt.tasks.reading import read_count, read_grid
from fusar_train.corpus.chip import LABELS, MIN_VISIBLE, LabelledBox, LabelledChip, no_prior
from fusar_train.corpus.images import crop
from fusar_train.corpus.overlap import same_ground
from fusar_train.corpus.record import Record, on_chip, resize_plan, resized, whole_window
from fusar_train.corpus.records import read_records
from fusar_train.corpus.ssdd import Annotated, read_voc, shared_ground, whole
from fusar_train.corpus.ssdd import split as split_images
from fusar_train.evaluation.matching import corners
from fusar_train.evaluation.metrics import clip
from fusar_train.evaluation.predictions import LabelledQuestion, PredictionsError, TrueBox, TrueClass
from fusar_train.evaluation.slices import CLEAN, INSHORE, OFFSHORE, OVERLAPPING, slices_of
from fusar_train.simulation import simulate_chip
from fusar_train.simulation.chip import CALIBRATION_STREAM, CHOICE_STREAM, TEST_STREAM, TRAIN_STREAM
from fusar_train.simulation.records import caption
from fusar_train.simulation.varied import simulate_varied_chip

MOST_CLASSIFIED = 10
"""Boxes of one image whose class is asked."""

SHARED_GROUND, HELD_OUT = "test, ground of train", "test, with ground of train"
"""The held-out images of SSDD that show ground that training images show too, and all held-out ones."""

SHIP = "ship"

_SLIVER = 0.05
CALIBRATION = "calibration"
"""The split that calibrations are fitted on: simulated chips of a stream of their own; ``SHARED_GROUND`` of SSDD."""

_STREAMS = {
    "train": TRAIN_STREAM,
    "val": CHOICE_STREAM,
    CALIBRATION: CALIBRATION_STREAM,
    "test": TEST_STREAM,
}

SIMULATED: dict[str, Callable[[int, int], LabelledChip]] = {
    "simulated": simulate_chip,
    "varied": simulate_varied_chip,
}
"""Kinds of simulated chips, by number and stream."""


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """One image with its prior, the questions about it and their truth.

    Attributes:
        pixels: uint8 [H, W] or [H, W, 3] at the card's size; in its own pixels when there is no card.
        values: float32 [S, 64], its own prior; ``positions`` float32 [S, 2] as (y, x). S may be 0.
        questions: In the frame of ``pixels``.
        place: What tells its place from others: the kind of place, or the scene.
        slices: Which of ``slices.SLICES`` it belongs to.
    """

    id: str
    pixels: NDArray[np.uint8]
    values: NDArray[np.float32]
    positions: NDArray[np.float32]
    questions: tuple[LabelledQuestion, ...]
    place: str | None
    slices: frozenset[str] = frozenset()

    @property
    def frame(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def with_vectors(self, values: NDArray[np.float32], positions: NDArray[np.float32]) -> LabelledImage:
        """The same image with another prior."""
        return replace(self, values=values, positions=positions)


@dataclass(frozen=True)
class LabelledImages:
    """A data set and its split: ``make`` makes the image of a number when it is asked for, ``id_of`` gives its id.

    ``notices`` are sentences that whoever reads the figures must know of how the truth was made.
    """

    name: str
    count: int
    id_of: Callable[[int], str]
    make: Callable[[int], LabelledImage]
    notices: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> LabelledImage:
        return self.make(index)

    def subset(self, kept: Sequence[int]) -> LabelledImages:
        """Only some of the images."""
        return replace(
            self, count=len(kept), id_of=lambda i: self.id_of(kept[i]), make=lambda i: self.make(kept[i])
        )

    def brighter(self, db: float) -> LabelledImages:
        """The same images, so many dB brighter or darker, as a wrong stretch of amplitudes shows them."""
        factor = np.float32(10 ** (db / 20))

        def make(index: int) -> LabelledImage:
            image = self.make(index)
            return replace(image, pixels=np.clip(np.rint(image.pixels * factor), 0, 255).astype(np.uint8))

        return replace(self, name=f"{self.name}, {db:+g} dB", make=make)


def open_images(
    data: str,
    split: str,
    card: Card | None,
    limit: int | None = None,
    seed: int = 0,
    *,
    overlaps: bool = False,
) -> LabelledImages:
    """Opens a data set.

    Args:
        data: A folder or file of stored records, ``simulated:N``, ``varied:N``, or ``ssdd:FOLDER``.
        split: "train", "val", "test" or ``CALIBRATION``.
        card: The model that will be asked; None leaves images in their own pixels and asks about all classes.
        limit: Take at most so many images, kept in order.
        seed: Draws those images.
        overlaps: Find the images that show ground of the train split, which are a slice then; this takes minutes.
            Of SSDD those held-out images are taken along then; otherwise they are left out.

    Raises:
        PredictionsError: There is nothing to ask about, or no train split to find overlaps with.
        CorpusError: A stored record makes no sense.
    """
    kind, _, rest = data.partition(":")
    if kind in SIMULATED:
        if not rest.isdecimal() or not 0 < int(rest) <= 10**7:
            raise PredictionsError(f"{data!r} names no number of chips: write it as {kind}:300.")
        found = simulated_images(int(rest), split, card, kind)
    elif kind == "ssdd":
        special = {CALIBRATION: SHARED_GROUND, "test": HELD_OUT if overlaps else "test"}
        found = ssdd_images(Path(rest), special.get(split, split), card)
    else:
        found = stored_images(Path(data), split, card, overlaps=overlaps)
    if not len(found):
        raise PredictionsError(f"{data} holds no image to evaluate: give a data set with some.")
    if limit is None or limit >= len(found):
        return found
    return found.subset(np.sort(np.random.default_rng(seed).permutation(len(found))[:limit]).tolist())


def simulated_images(count: int, split: str, card: Card | None, kind: str = "simulated") -> LabelledImages:
    """Chips of a simulation stream, of a kind of ``SIMULATED``; training never draws from the test stream."""
    name = f"{kind} {split}"

    def id_of(index: int) -> str:
        return f"{name}/{index:06}"

    def make(index: int) -> LabelledImage:
        record = SIMULATED[kind](index, _STREAMS[split])
        slices = slices_of(record.image, record.boxes(ANY), record.boxes(SHIP))
        return image_of(id_of(index), sized(record, card), LABELS, [caption(record)], slices)

    return LabelledImages(name, count, id_of, make)


def ssdd_images(folder: Path, split: str, card: Card | None) -> LabelledImages:
    """Real ship images, whole, without a prior; the split is that of ``corpus.ssdd``.

    Of the ``HELD_OUT`` images, those of ground that no training image shows are "test", the others ``SHARED_GROUND``.
    """
    if not (folder / "Annotations").is_dir():
        raise PredictionsError(f"{folder} is no SSDD folder: it has no Annotations; give one that has.")
    if split not in ("train", "test", SHARED_GROUND, HELD_OUT):
        raise PredictionsError(f"SSDD has no split {split}: take train or test.")
    images, held = split_images(read_voc(folder))
    shared = frozenset[str]() if split == "train" else shared_ground(folder)
    if split != "train":
        parts = {"test": (False,), SHARED_GROUND: (True,), HELD_OUT: (False, True)}
        images = [image for image in held if (image.name in shared) in parts[split]]

    def id_of(index: int) -> str:
        return f"ssdd/{images[index].name}"

    def make(index: int) -> LabelledImage:
        native = _native(images[index])
        record = whole(images[index], max(card.width, card.height)) if card else native
        slices = slices_of(native.image, native.boxes(ANY), native.boxes(SHIP))
        if split != "train":
            slices |= {OVERLAPPING if images[index].name in shared else CLEAN}
        return image_of(id_of(index), sized(record, card), (SHIP,), [], slices)

    return LabelledImages(f"ssdd {split}", len(images), id_of, make)


def _native(image: Annotated) -> LabelledChip:
    """An image in its own pixels."""
    ships = tuple(LabelledBox(ChipBox(*map(float, row)), SHIP) for row in image.boxes)
    return LabelledChip(image.image, ships, *no_prior(), None, np.zeros((0, 0), np.int64), "ssdd")


def stored_images(path: Path, split: str, card: Card | None, *, overlaps: bool = False) -> LabelledImages:
    """Stored records of one split; of all when no record names its split."""
    records = list(read_records(path))
    train = [record for record in records if record.split == "train"]
    splits = {record.split for record in records if record.split}
    if splits and split not in splits:
        raise PredictionsError(f"{path} has no split {split}: take {' or '.join(sorted(splits))}.")
    records = [record for record in records if record.split == split or not splits]
    known, listed = set(card.targets if card else ()), {label for r in records for label in _labels(r)}
    if known and listed and not known & listed:
        mine, other = ", ".join(sorted(known)), ", ".join(sorted(listed))
        raise PredictionsError(
            f"The model knows {mine}, {path} has {other}: take other data or another model."
        )
    name = f"{path.stem} {split if splits else 'all'}"
    overlapping = _overlapping(path, train, records) if overlaps else None
    truths = dict.fromkeys(str(one.provenance["truth"]) for one in records if "truth" in one.provenance)
    return LabelledImages(
        name,
        len(records),
        lambda i: records[i].id,
        lambda i: _stored_image(records[i], card, overlapping),
        tuple(f"The truth of {path.name}: {truth}." for truth in truths),
    )


def _overlapping(path: Path, train: Sequence[Record], records: Sequence[Record]) -> frozenset[str]:
    """The ids of records that show ground of one to train on."""
    if not train or train == records:
        raise PredictionsError(f"{path} has no other split to find overlaps with: leave out --overlaps.")
    both = [*train, *records]
    pairs = same_ground(both, range(len(both)), [i < len(train) for i in range(len(both))])
    return frozenset(both[max(pair.one, pair.other)].id for pair in pairs)


def _slices(record: Record, overlapping: frozenset[str] | None) -> frozenset[str]:
    """The slices of a record by its own pixels; it may state its ``shore``."""
    pixels = record.pixels()
    size = pixels.shape[1], pixels.shape[0]
    plan = ResizePlan(whole_window(record), *size, 1, 1)
    objects = visible([TrueBox(on_chip(o.box, plan), o.label) for o in record.objects], size)
    found = slices_of(pixels, [o.box for o in objects], [o.box for o in objects if o.label == SHIP])
    if (stated := record.provenance.get("shore")) in (INSHORE, OFFSHORE):
        found = found - {INSHORE, OFFSHORE} | {stated}
    if overlapping is None:
        return found
    return found | {OVERLAPPING if record.id in overlapping else CLEAN}


def _stored_image(record: Record, card: Card | None, overlapping: frozenset[str] | None) -> LabelledImage:
    if card:
        pixels, plan = record.chip(card)
        values, positions = record.vectors(plan)
    else:
        pixels = record.pixels()
        height, width = pixels.shape[:2]
        plan = ResizePlan(whole_window(record), width, height, 1, 1)
        values, positions = record.vectors()
    known = set(card.targets if card else ()) or _labels(record)
    frame = (pixels.shape[1], pixels.shape[0])
    boxes = visible(
        [TrueBox(on_chip(o.box, plan), o.label, o.fine, o.difficult) for o in record.objects], frame
    )
    asked = questions_about(
        [box for box in boxes if box.label in known], [c for c in record.complete() if c in known], frame
    )
    asked += stated(record, plan, known)
    slices = _slices(record, overlapping)
    return LabelledImage(record.id, pixels, values, positions, tuple(once(asked)), record.scene, slices)


def _labels(record: Record) -> set[str]:
    return {*record.complete(), *(item.label for item in record.objects)}


def visible(objects: Sequence[TrueBox], frame: tuple[int, int]) -> list[TrueBox]:
    """The objects on a chip; one of which less than 40 % can be seen is difficult, less than 5 % is none."""
    seen = []
    for item in objects:
        share = clip(item.box, frame).area / item.box.area if item.box.area else 0.0
        if share >= _SLIVER:
            seen.append(replace(item, difficult=item.difficult or share < MIN_VISIBLE))
    return seen


def stated(record: Record, plan: ResizePlan, known: set[str]) -> list[LabelledQuestion]:
    """The questions that a record's messages and caption add to those derived from its objects.

    Its own counts and cells are taken for classes that its objects do not cover.
    """
    found = [LabelledQuestion(Task.DESCRIBE, (record.caption,))] if record.caption else []
    for message in record.messages:
        task, answer = message.task, message.answer.strip()
        if task is Task.CLASSIFY and message.box and answer:
            found.append(LabelledQuestion(task, TrueClass(answer), box=on_chip(message.box, plan)))
        elif task is Task.DESCRIBE and answer:
            found.append(LabelledQuestion(task, (answer,)))
        elif task is Task.ASK and answer and message.question.strip():
            found.append(LabelledQuestion(task, (answer,), text=message.question))
        elif message.target and (message.target in known or message.target == ANY):
            reader = {Task.COUNT: read_count, Task.LOCATE: read_grid}.get(task)
            read_answer = reader(answer, True) if reader else None
            if isinstance(read_answer, Count) and read_answer.value is not None:
                found.append(LabelledQuestion(task, read_answer.value, target=message.target))
            elif isinstance(read_answer, Grid) and read_answer.complete:
                found.append(LabelledQuestion(task, read_answer.cells, target=message.target))
    return found


def once(asked: Sequence[LabelledQuestion]) -> list[LabelledQuestion]:
    """No question twice: the first stays, but several captions become the references of one question."""
    texts = [
        text for a in asked if a.task is Task.DESCRIBE and isinstance(a.truth, tuple) for text in a.truth
    ]
    captions = tuple(dict.fromkeys(text for text in texts if isinstance(text, str)))
    found: dict[object, LabelledQuestion] = {}
    for a in asked:
        box = a.box and tuple(corners([a.box])[0].round().tolist())
        kept = replace(a, truth=captions) if a.task is Task.DESCRIBE else a
        found.setdefault((a.task, a.target, a.text, box), kept)
    return list(found.values())


def image_of(
    name: str,
    record: LabelledChip,
    counted: Sequence[str],
    captions: Sequence[str],
    slices: frozenset[str] = frozenset(),
) -> LabelledImage:
    """An image of a record in memory, which lists every object of the classes ``counted``."""
    frame = (record.image.shape[1], record.image.shape[0])
    objects = [TrueBox(item.box, item.label) for item in record.objects]
    asked = questions_about(objects, counted, frame)
    asked += [LabelledQuestion(Task.DESCRIBE, tuple(captions))] if captions else []
    return LabelledImage(
        name, record.image, record.values, record.positions, tuple(asked), record.place, slices
    )


def questions_about(
    objects: Sequence[TrueBox], counted: Sequence[str], frame: tuple[int, int]
) -> list[LabelledQuestion]:
    """What follows from the boxes: detection, counts and cells of each class, classes of some boxes.

    Where a difficult object makes the count doubtful, the class is neither counted nor located.
    """
    found = []
    for label in counted:
        mine = [item for item in objects if item.label == label]
        if not any(item.difficult for item in mine):
            cells = frozenset(cell_of(item.box, frame) for item in mine)
            found += [
                LabelledQuestion(Task.COUNT, len(mine), label),
                LabelledQuestion(Task.LOCATE, cells, label),
            ]
        found.append(LabelledQuestion(Task.DETECT, tuple(mine), label))
    clear = [item for item in objects if not item.difficult][:MOST_CLASSIFIED]
    return [*found, *(LabelledQuestion(Task.CLASSIFY, TrueClass(o.label, o.fine), box=o.box) for o in clear)]


def sized(chip: LabelledChip, card: Card | None) -> LabelledChip:
    """A chip in memory as it is shown to the card's model, objects and prior with it; itself where there is none."""
    width, height = chip.size
    if card is None or (card.width, card.height) == (width, height):
        return chip
    plan = resize_plan(SceneWindow(0, 0, width, height), card)
    objects = tuple(replace(item, box=on_chip(item.box, plan)) for item in chip.objects)
    points = plan.scene_to_chip(ScenePoints.of(chip.positions[:, ::-1] * np.array([width, height])))
    positions = np.stack([points.y / card.height, points.x / card.width], axis=1).astype(np.float32)
    pixels = resized(crop(chip.image, plan.window), plan)
    return replace(chip, image=pixels, objects=objects, positions=positions)
