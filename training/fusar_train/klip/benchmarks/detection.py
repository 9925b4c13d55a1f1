"""Detection (FUSAR-KLIP 4.3, table 4): a head like ViTDet's, whose every cell may tell the box of an object near it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fusar_gpt.frames import ChipBox
from fusar_gpt.imagery import ResizePlan
from fusar_train.corpus.chip import LABELS, LabelledBox, LabelledChip
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.record import Record, on_chip, whole_window
from fusar_train.corpus.records import read_leniently
from fusar_train.evaluation.bootstrap import mean
from fusar_train.evaluation.matching import Detections, average_precision, iou_matrix
from fusar_train.klip.batches import grey_image
from fusar_train.klip.benchmarks.asked import check_any, chips_of
from fusar_train.klip.benchmarks.encoders import Encoder, Start, Starts, starts_of, stretched
from fusar_train.klip.benchmarks.fine_tuning import Recipe, fit
from fusar_train.klip.benchmarks.held_out import drawn, groups_apart, splits_of
from fusar_train.klip.benchmarks.neck import Neck
from fusar_train.klip.benchmarks.options import BenchmarkOptions
from fusar_train.klip.benchmarks.section import Figure, Row, Section, measured
from fusar_train.klip.benchmarks.simulated_scenes import simulated_scenes
from fusar_train.klip.settings import KlipError
from fusar_train.pretrain.dense import BoxTargets, dense_loss, dense_targets
from fusar_train.simulation.chip import CHIP_PX

PAPER = tuple(
    Row(name, {"AP50": Figure(value / 100, 0)})
    for name, value in (
        ("FUSAR-KLIP ViT-B, FUSAR-SHIP-Sense", 85.87),
        ("BLIP ViT-B, FUSAR-SHIP-Sense", 83.18),
        ("FUSAR-KLIP ViT-B, SAR-AIRcraft few", 73.04),
        ("MoCo v3 ViT-B, SAR-AIRcraft few", 58.90),
    )
)
"""Of table 4: AP at IoU 0.5, on other data."""
RECIPE = Recipe(epochs=8)
_CHANNELS = 96
_BATCH = 32
_LEAST_SCORE = 0.03
_MOST_BOXES = 100
_SAME = 0.5
"""IoU from which on the less sure of two boxes of one class is dropped."""


@dataclass(frozen=True)
class BoxData:
    """Images with ships and planes, part of them held out.

    Attributes:
        title: What they are.
        images: Records, or uint8 [N, side, side] in memory.
        boxes: The objects of each, in pixels of a side of ``side``.
        difficult: For each object whether it neither counts nor harms.
        side: Of the images that the boxes are told in.
        labels: The classes that are asked about.
        held_out: Bool [N].
        groups: Number of each one's scene, int64 [N]; intervals draw them.
        notes: What a reader of the figures needs.
    """

    title: str
    images: Sequence[Record] | NDArray[np.uint8]
    boxes: Sequence[Sequence[LabelledBox]]
    difficult: Sequence[Sequence[bool]]
    side: int
    labels: tuple[str, ...]
    held_out: NDArray[np.bool_]
    groups: NDArray[np.int64]
    notes: tuple[str, ...]

    def pixels(self, side: int) -> NDArray[np.uint8]:
        """All images stretched to uint8 [N, side, side]; KlipError when one cannot be read."""
        if isinstance(self.images, np.ndarray):
            return stretched(self.images, side)
        return np.stack([grey_image(record, side) for record in self.images])

    def scaled(self, number: int, side: int) -> list[LabelledBox]:
        """The objects of an image in pixels of another side."""
        by = side / self.side
        return [
            LabelledBox(ChipBox(*(edge * by for edge in edges(one.box))), one.label)
            for one in self.boxes[number]
        ]


def edges(box: ChipBox) -> tuple[float, float, float, float]:
    """Left, top, right, bottom."""
    return box.left, box.top, box.right, box.bottom


def sections(options: BenchmarkOptions) -> list[Section]:
    """A table for simulated chips, and one for the records with boxes.

    Raises:
        FusarError: The records or an encoder cannot be read, or no class can be looked for.
    """
    starts = starts_of(options)
    found = [] if options.boxes is None else [read_boxes(options.boxes, options.seed)]
    if chips_of(options):
        found.append(simulated_boxes(chips_of(options), options.seed))
    check_any(found, "--boxes DATA")
    return [_section(data, starts, options, PAPER if data is found[0] else ()) for data in found]


def simulated_boxes(count: int, seed: int) -> BoxData:
    """What looks like a ship or a plane on simulated chips."""
    scenes = simulated_scenes(count, seed)
    note = (
        "Asked for is all that looks like a ship or a plane: which of them are look-alikes only a prior can tell. The "
        "chips are none that the model was trained on."
    )
    return BoxData(
        title="simulated chips",
        images=scenes.images,
        boxes=scenes.objects,
        difficult=[[False] * len(one) for one in scenes.objects],
        side=CHIP_PX,
        labels=LABELS,
        held_out=scenes.held_out,
        groups=np.arange(len(scenes.images)),
        notes=(note,),
    )


def read_boxes(path: Path, seed: int) -> BoxData:
    """Records with ships and planes; asked about are the classes of which every object is listed in all of them.

    Raises:
        CorpusError: Nothing is there.
        KlipError: No class can be looked for, or nothing can be held out.
    """
    kept, bad = [], 0
    for record in read_leniently(path):
        if isinstance(record, CorpusError):
            bad += 1
        else:
            kept.append(record)
    notes = [f"{bad} records cannot be read and are left out."] if bad else []
    kept = drawn(kept, seed, notes)
    held_out, groups = splits_of(kept, notes) or groups_apart(kept, path, seed, notes)
    listed = [set(record.complete()) for record in kept]
    labels = tuple(
        label
        for label in LABELS
        if all(label in those for those in listed)
        and all(any(kept[n].boxes(label) for n in np.flatnonzero(part)) for part in (held_out, ~held_out))
    )
    if not labels:
        raise KlipError(
            f"{path} has neither ships nor planes of which all are listed, to learn from and to test: give "
            "records whose provenance says so (complete), with some in both splits."
        )
    if left := set(LABELS) - set(labels):
        notes.append(
            f"Not asked for: {', '.join(sorted(left))}, of which none is there, or not all are listed."
        )
    side = 1000
    objects = [[one for one in record.objects if one.label in labels] for record in kept]
    plans = [ResizePlan(whole_window(record), side, side, 1, 1) for record in kept]
    boxes = [
        [LabelledBox(on_chip(item.box, plan), item.label) for item in items]
        for plan, items in zip(plans, objects, strict=True)
    ]
    difficult = [[item.difficult for item in items] for items in objects]
    return BoxData(path.name, kept, boxes, difficult, side, labels, held_out, groups, tuple(notes))


def _section(data: BoxData, starts: Starts, options: BenchmarkOptions, paper: tuple[Row, ...]) -> Section:
    columns = ("AP50", *(f"AP50 {label}" for label in data.labels)) if len(data.labels) > 1 else ("AP50",)
    rows, pixels = list[Row](), dict[int, NDArray[np.uint8]]()
    for start in starts.those:
        side = start.make().image_px
        pixels = pixels if side in pixels else {side: data.pixels(side)}
        found = detect(data, start, pixels[side], options)
        rows.append(Row(start.name, scored(data, found, side, columns, options.seed)))
    tested = int(data.held_out.sum())
    objects = sum(len(data.boxes[number]) for number in np.flatnonzero(data.held_out).tolist())
    sizes = ", ".join(str(side) for side in dict.fromkeys(start.make().image_px for start in starts.those))
    notes = (
        f"{len(data.held_out) - tested} images are learned from, {tested} with {objects} objects are tested. Whole "
        f"networks are taught, from images of {sizes} px. AP50: average precision at IoU 0.5, the mean over classes.",
        *data.notes,
        *starts.notes,
    )
    return Section("detection", f"Detection: {data.title}", columns, tuple(rows), paper, notes)


class Detector(nn.Module):
    """An encoder with class logits and a box at each fine cell."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder, self.neck = encoder, Neck(encoder, _CHANNELS)
        self.out = nn.Conv2d(_CHANNELS, len(LABELS) + 4, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits [N, T, 2] and distances to left, top, right and bottom [N, T, 4] in cells, row by row."""
        said = self.out(self.neck(self.encoder(images).grid)).flatten(2).transpose(1, 2)
        classes, boxes = said.split([len(LABELS), 4], dim=-1)
        return classes - 3.5, boxes + 0.5


def targets_of(data: BoxData, numbers: Sequence[int], model: Detector, side: int) -> BoxTargets:
    """What ``pretrain.dense.dense_loss`` wants of some images."""
    nothing = np.zeros((0, 2), np.float32)
    cells = np.full((model.neck.cells, model.neck.cells), -1, np.int64)
    scale = 1 / model.neck.cell_px
    chips = [
        LabelledChip(
            np.zeros((1, 1), np.uint8),
            tuple(
                LabelledBox(ChipBox(*(edge * scale for edge in edges(one.box))), one.label)
                for one, hard in zip(data.scaled(number, side), data.difficult[number], strict=True)
                if not hard and _centre_inside(one.box, side)
            ),
            nothing, nothing, None, cells, data.title,
        )
        for number in numbers
    ]  # fmt: skip
    return dense_targets(chips, 1)


def _centre_inside(box: ChipBox, side: int) -> bool:
    return 0 <= box.left + box.right < 2 * side and 0 <= box.top + box.bottom < 2 * side


def detect(
    data: BoxData, start: Start, pixels: NDArray[np.uint8], options: BenchmarkOptions
) -> list[list[tuple[str, float, ChipBox]]]:
    """Class, score and box of all that a network taught on the rest finds on each image that is held out."""
    device = options.klip.device
    side = pixels.shape[1]
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        model = Detector(start.make()).to(device)
    learned = np.flatnonzero(~data.held_out)
    truth = targets_of(data, learned.tolist(), model, side)
    del truth["sides"]

    def loss(rows: Tensor) -> Tensor:
        shown = torch.from_numpy(pixels[learned[rows.numpy()]]).to(device)
        classes, boxes = model(shown)
        wanted = {name: value[rows].to(device) for name, value in truth.items()}
        cover = classes.new_zeros(*classes.shape[:2], 1)
        return sum(dense_loss((classes, boxes, cover), wanted).values(), classes.new_zeros(()))

    recipe = replace(RECIPE, epochs=options.vision_epochs or RECIPE.epochs, seed=options.seed)
    fit(model, model.encoder, loss, len(learned), recipe, f"detection, {data.title}, {start.name}")
    return _found(model, pixels[data.held_out], device)


@torch.inference_mode()
def _found(
    model: Detector, images: NDArray[np.uint8], device: torch.device
) -> list[list[tuple[str, float, ChipBox]]]:
    found = []
    for at in range(0, len(images), _BATCH):
        classes, boxes = model(torch.from_numpy(images[at : at + _BATCH]).to(device))
        for scores, sides in zip(classes.float().sigmoid().cpu(), boxes.float().cpu(), strict=True):
            found.append(decoded(scores, sides, model.neck.cells, model.neck.cell_px))
    return found


def decoded(scores: Tensor, sides: Tensor, cells: int, cell_px: float) -> list[tuple[str, float, ChipBox]]:
    """The surest boxes of one image, of each class those that no surer one overlaps by half.

    Args:
        scores: [T, 2], of the classes at each cell, row by row.
        sides: [T, 4], distances from the cell's middle to left, top, right and bottom, in cells.
        cells: Rows and columns.
        cell_px: The side of a cell.
    """
    plane = scores.T.reshape(len(LABELS), cells, cells)
    peaks = (plane == functional.max_pool2d(plane[None], 3, 1, 1)[0]).flatten(1).T & (scores > _LEAST_SCORE)
    found = []
    for number, label in enumerate(LABELS):
        places = peaks[:, number].nonzero()[:, 0]
        order = scores[places, number].argsort(descending=True, stable=True)[:_MOST_BOXES]
        boxes = []
        for place in places[order].tolist():
            row, col = divmod(place, cells)
            left, top, right, bottom = sides[place].tolist()
            x, y = col + 0.5, row + 0.5
            box = [x - left, y - top, max(x + right, x - left), max(y + bottom, y - top)]
            boxes.append((label, float(scores[place, number]), ChipBox(*(edge * cell_px for edge in box))))
        found += _without_doubles(boxes)
    return found


def _without_doubles(boxes: list[tuple[str, float, ChipBox]]) -> list[tuple[str, float, ChipBox]]:
    """Boxes, the surest first, without those that overlap a surer one."""
    overlap = iou_matrix([box for *_, box in boxes], [box for *_, box in boxes])
    kept: list[int] = []
    for number in range(len(boxes)):
        if not (overlap[number, kept] >= _SAME).any():
            kept.append(number)
    return [boxes[number] for number in kept]


def scored(
    data: BoxData,
    found: Sequence[Sequence[tuple[str, float, ChipBox]]],
    side: int,
    columns: Sequence[str],
    seed: int,
) -> dict[str, Figure]:
    """AP50 of each class and their mean; intervals draw scenes."""
    tested = np.flatnonzero(data.held_out)
    _, group = np.unique(data.groups[tested], return_inverse=True)
    groups = int(group.max()) + 1
    each = []
    for label in data.labels:
        chips = []
        for place, number in enumerate(tested.tolist()):
            true = [
                (one.box, hard)
                for one, hard in zip(data.scaled(number, side), data.difficult[number], strict=True)
                if one.label == label
            ]
            said = [(box, score) for name, score, box in found[place] if name == label]
            chips.append(
                Detections(
                    int(group[place]),
                    [box for box, _ in said],
                    [score for _, score in said],
                    [box for box, _ in true],
                    [hard for _, hard in true],
                )
            )
        each.append(average_precision(chips, groups, 0.5))
    return measured(dict(zip(columns, [mean(each), *each][: len(columns)], strict=True)), groups, seed)
