"""Segmentation (FUSAR-KLIP 4.3, table 4): a mask transformer as in Segmenter, on land cover and on water."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fusar_gpt.errors import FusarError
from fusar_train.corpus.cover_classes import MaskOptions, read_classes
from fusar_train.corpus.dataset import Dataset
from fusar_train.corpus.formats import FORMATS
from fusar_train.corpus.mask_pairs import find_pairs
from fusar_train.corpus.masks import read_windows
from fusar_train.evaluation.bootstrap import mean, ratio
from fusar_train.klip.benchmarks.asked import check_any, chips_of
from fusar_train.klip.benchmarks.encoders import Encoder, Start, Starts, starts_of, stretched
from fusar_train.klip.benchmarks.fine_tuning import Recipe, fit
from fusar_train.klip.benchmarks.neck import Neck
from fusar_train.klip.benchmarks.options import BenchmarkOptions
from fusar_train.klip.benchmarks.section import Figure, Row, Section, measured
from fusar_train.klip.benchmarks.simulated_scenes import simulated_scenes
from fusar_train.klip.settings import KlipError
from fusar_train.simulation.looks import NAMES

COLUMNS = ("OA", "mIoU")
PAPER = tuple(
    Row(name, {"OA": Figure(accuracy / 100, 0), "mIoU": Figure(iou / 100, 0)})
    for name, accuracy, iou in (
        ("FUSAR-KLIP ViT-B, FUSAR-MAP", 81.37, 43.01),
        ("MAE ViT-B, FUSAR-MAP", 79.65, 41.23),
        ("FUSAR-KLIP ViT-B, AIR-PolarSAR-Seg", 76.75, 51.75),
        ("CLIP ViT-B, AIR-PolarSAR-Seg", 74.35, 50.48),
    )
)
"""Of table 4, on other data."""
RECIPE = Recipe(epochs=8)
_CHANNELS, _HEADS = 96, 4
_BATCH = 16
_TILE_PX = 64
_CROPS = 8
"""Random crops an epoch for each tile of the ground that is learned from."""
_LEAST_CROPS, _MOST_CROPS = 160, 3000
_LEARNT_EVERY = 4
"""Of the pixels, every fourth in each direction is learned from."""
_HELD_OUT = 0.25
"""The part of a single scene that is held out; of several scenes, one in five."""
_UNKNOWN = -1


Pixels = NDArray[np.uint8]
Classes = NDArray[np.int16]
Patch = tuple[Pixels, Classes]


@dataclass(frozen=True)
class Ground:
    """Images with the class of each pixel.

    Attributes:
        images: uint8 [h, w] each.
        classes: Number of each pixel's class, int16 [h, w]; -1 where there is none.
    """

    images: Sequence[Pixels]
    classes: Sequence[Classes]


@dataclass(frozen=True)
class MaskData:
    """Ground to learn from and ground to test.

    Attributes:
        title: What it is.
        names: Of the classes.
        learned: What is learned from; images may be larger than a tile.
        tested: Tiles of ``tile_px``.
        tile_px: The side of what the encoders see, before it is stretched for them.
        notes: What a reader of the figures needs.
    """

    title: str
    names: tuple[str, ...]
    learned: Ground
    tested: Ground
    tile_px: int
    notes: tuple[str, ...]


def sections(options: BenchmarkOptions) -> list[Section]:
    """A table for simulated land cover, and one for the masks.

    Raises:
        FusarError: The masks or an encoder cannot be read.
    """
    starts = starts_of(options)
    found = [] if options.water is None else [read_masks(options.water, options.water_classes)]
    if chips_of(options):
        found.append(simulated_cover(chips_of(options), options.seed))
    check_any(found, "--water DIR")
    return [_section(data, starts, options, PAPER if data is found[0] else ()) for data in found]


def simulated_cover(count: int, seed: int) -> MaskData:
    """What simulated chips show at each pixel."""
    scenes = simulated_scenes(count, seed)
    learned, tested = (
        Ground(list(scenes.images[part]), list(scenes.cover[part].astype(np.int16)))
        for part in (~scenes.held_out, scenes.held_out)
    )
    note = "The chips are none that the model was trained on."
    return MaskData("simulated land cover", NAMES, learned, tested, scenes.images.shape[1], (note,))


def read_masks(root: Path, classes: str) -> MaskData:
    """The scenes and masks of a folder; whole scenes are held out, or a quarter of the only one.

    Args:
        root: As for ``fusar-train data import``.
        classes: What the masks' codes mean: a product's name or a file.

    Raises:
        CorpusError: There are no pairs, or nobody knows what the codes mean.
        KlipError: Too little can be read.
    """
    notes: Counter[str] = Counter()
    known = next((one for name, (_, one) in FORMATS.items() if name == classes), Dataset("masks"))
    dataset = replace(known, masks=MaskOptions(read_classes(classes), tile_px=None), root=root, notes=notes)
    found, faults, names = list[tuple[str, Pixels, Classes]](), list[str](), tuple[str, ...]()
    pairs = find_pairs(root, None, notes)
    faults += map(str, pairs.faults)
    for pair in pairs.pairs:
        assert dataset.masks.classes is not None
        try:
            for one in read_windows(pair, dataset.masks.classes, dataset):
                truth = np.where(one.known, one.named, _UNKNOWN).astype(np.int16)
                found.append((dataset.scene_of(pair.words), one.pixels, truth))
                names = one.names
        except FusarError as error:
            faults.append(str(error))
    if not found:
        raise KlipError(f"{root} has no scene with a mask that can be read; the first fault: {faults[0]}")
    said = [f"{text}." for text in notes]
    if faults:
        said.append(f"{len(faults)} scenes are left out; the first: {faults[0]}")
    learned, tested = _parted(found, said)
    tiles = Ground(*map(list, zip(*(tile for one in tested for tile in tiles_of(*one)), strict=True)))
    return MaskData(
        root.name, names, Ground(*map(list, zip(*learned, strict=True))), tiles, _TILE_PX, tuple(said)
    )


def _parted(
    found: Sequence[tuple[str, Pixels, Classes]], notes: list[str]
) -> tuple[list[Patch], list[Patch]]:
    """What is learned from and what is tested; KlipError where a part is smaller than a tile."""
    groups = sorted({group for group, *_ in found})
    if len(groups) > 1:
        out = set(groups[:: max(min(len(groups), 5), 2)])
        notes.append(f"Held out: {len(out)} of {len(groups)} groups of scenes.")
        learned = [(image, truth) for group, image, truth in found if group not in out]
        tested = [(image, truth) for group, image, truth in found if group in out]
    else:
        notes.append(
            "All scenes are of one group, so the last quarter of each is held out: the test is of the same ground and "
            "day, and its figures flatter."
        )
        halves = [_quartered(image, truth) for _, image, truth in found]
        learned, tested = [first for first, _ in halves], [last for _, last in halves]
    kept = [[one for one in part if min(one[0].shape) >= _TILE_PX] for part in (learned, tested)]
    if not all(kept):
        raise KlipError(
            f"Too little ground to learn from and to test: give scenes of at least {4 * _TILE_PX} px, or several."
        )
    return kept[0], kept[1]


def _quartered(image: Pixels, truth: Classes) -> tuple[Patch, Patch]:
    """The first three quarters of a scene's longer side, and the last."""
    if image.shape[1] > image.shape[0]:
        at = int(image.shape[1] * (1 - _HELD_OUT))
        return (image[:, :at], truth[:, :at]), (image[:, at:], truth[:, at:])
    at = int(image.shape[0] * (1 - _HELD_OUT))
    return (image[:at], truth[:at]), (image[at:], truth[at:])


def tiles_of(image: Pixels, truth: Classes) -> list[Patch]:
    """Tiles that cover an image; a pixel that two of them show has its class in the first one only."""
    left = truth.copy()
    found = []
    for row in _corners(image.shape[0]):
        for col in _corners(image.shape[1]):
            there = slice(row, row + _TILE_PX), slice(col, col + _TILE_PX)
            if (left[there] != _UNKNOWN).any():
                found.append((image[there], left[there].copy()))
                left[there] = _UNKNOWN
    return found


def _corners(side: int) -> list[int]:
    return [min(at, side - _TILE_PX) for at in range(0, side, _TILE_PX)]


def _section(data: MaskData, starts: Starts, options: BenchmarkOptions, paper: tuple[Row, ...]) -> Section:
    there = [
        name
        for number, name in enumerate(data.names)
        if any((t == number).any() for t in data.tested.classes)
    ]
    rows = [Row("always the most frequent class", _most_frequent(data, options.seed))]
    for start in starts.those:
        said = segment(data, start, options)
        rows.append(Row(start.name, scored(data, said, options.seed)))
    notes = (
        f"{len(data.learned.images)} images are learned from, {len(data.tested.images)} tiles of {data.tile_px} px are "
        f"tested. Classes: {', '.join(there)}. Whole networks are taught. OA: the share of pixels that are right; "
        "mIoU: the mean intersection over union of the classes that are there or are said.",
        *data.notes,
        *starts.notes,
    )
    return Section("segmentation", f"Segmentation: {data.title}", COLUMNS, tuple(rows), paper, notes)


def _most_frequent(data: MaskData, seed: int) -> dict[str, Figure]:
    counts = sum(np.bincount(t[t >= 0], minlength=len(data.names)) for t in data.learned.classes)
    often = int(np.argmax(counts))
    return scored(data, [np.full_like(truth, often) for truth in data.tested.classes], seed)


class Segmenter(nn.Module):
    """An encoder, a layer in which its tokens and one vector a class look at each other, and their products.

    The tokens are made finer before the products, as those of a small ViT are coarse.
    """

    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.inward = nn.Linear(encoder.channels, _CHANNELS)
        self.classes = nn.Parameter(torch.randn(1, classes, _CHANNELS) * 0.02)
        self.layer = nn.TransformerEncoderLayer(
            _CHANNELS,
            _HEADS,
            4 * _CHANNELS,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.neck = Neck(encoder, _CHANNELS, _CHANNELS)
        self.mask_norm = nn.LayerNorm(classes)

    def forward(self, images: Tensor, side: int) -> Tensor:
        """Logits [N, classes, side, side] of images uint8 [N, image_px, image_px]."""
        grid = self.encoder(images).grid
        tokens = self.inward(grid.flatten(2).transpose(1, 2))
        both = self.layer(torch.cat([tokens, self.classes.expand(len(images), -1, -1)], 1))
        tokens, classes = both[:, : tokens.shape[1]], both[:, tokens.shape[1] :]
        fine = self.neck(tokens.transpose(1, 2).reshape(len(images), _CHANNELS, *grid.shape[2:]))
        products = torch.einsum(
            "nchw,nkc->nhwk", functional.normalize(fine, dim=1), functional.normalize(classes, dim=-1)
        )
        masks = self.mask_norm(products).permute(0, 3, 1, 2)
        return functional.interpolate(masks, size=(side, side), mode="bilinear", align_corners=False)


def segment(data: MaskData, start: Start, options: BenchmarkOptions) -> list[Classes]:
    """The class of each pixel of each tile that is tested, by a network taught on the rest."""
    device = options.klip.device
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        model = Segmenter(start.make(), len(data.names)).to(device)
    px = model.encoder.image_px
    count, draw = _examples(data, options.seed)

    def loss(rows: Tensor) -> Tensor:
        images, truth = draw(rows.numpy())
        shown = torch.from_numpy(stretched(images, px)).to(device)
        few = truth[:, _LEARNT_EVERY // 2 :: _LEARNT_EVERY, _LEARNT_EVERY // 2 :: _LEARNT_EVERY]
        wanted = torch.from_numpy(few.astype(np.int64)).to(device)
        return functional.cross_entropy(model(shown, wanted.shape[1]), wanted, ignore_index=_UNKNOWN)

    recipe = replace(RECIPE, batch=_BATCH, epochs=options.vision_epochs or RECIPE.epochs, seed=options.seed)
    fit(model, model.encoder, loss, count, recipe, f"segmentation, {data.title}, {start.name}")
    return _said(model, data, px, device)


Drawn = Callable[[NDArray[np.int64]], Patch]


def _examples(data: MaskData, seed: int) -> tuple[int, Drawn]:
    """How many examples an epoch has, and what gives some of them, of larger images a random part."""
    images, classes, side = data.learned.images, data.learned.classes, data.tile_px
    areas = np.array([image.size for image in images], float)
    if all(image.shape == (side, side) for image in images):
        return len(images), lambda rows: (
            np.stack([images[n] for n in rows]),
            np.stack([classes[n] for n in rows]),
        )
    count = int(np.clip(_CROPS * areas.sum() / side**2, _LEAST_CROPS, _MOST_CROPS))
    rng = np.random.default_rng((seed, 2))

    def draw(rows: NDArray[np.int64]) -> tuple[Pixels, Classes]:
        crops, truths = list[Pixels](), list[Classes]()
        for number in rng.choice(len(images), len(rows), p=areas / areas.sum()):
            row, col = (int(rng.integers(edge - side + 1)) for edge in images[number].shape)
            there = slice(row, row + side), slice(col, col + side)
            turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
            for kept, whole in ((crops, images[number]), (truths, classes[number])):
                turned = np.rot90(whole[there], turns)
                kept.append(turned[:, ::-1] if mirror else turned)
        return np.stack(crops), np.stack(truths)

    return count, draw


@torch.inference_mode()
def _said(model: Segmenter, data: MaskData, px: int, device: torch.device) -> list[Classes]:
    said = []
    for at in range(0, len(data.tested.images), _BATCH):
        images = np.stack(data.tested.images[at : at + _BATCH])
        logits = model(torch.from_numpy(stretched(images, px)).to(device), data.tile_px)
        said += list(logits.argmax(1).to(torch.int16).cpu().numpy())
    return said


def scored(data: MaskData, said: Sequence[Classes], seed: int) -> dict[str, Figure]:
    """OA and mIoU over all pixels with a class; intervals draw tiles."""
    size = len(data.names)
    shared, either = np.zeros((2, len(said), size))
    for number, (given, truth) in enumerate(zip(said, data.tested.classes, strict=True)):
        known = truth != _UNKNOWN
        right = np.bincount(truth[known & (given == truth)], minlength=size)
        shared[number] = right
        either[number] = (
            np.bincount(truth[known], minlength=size) + np.bincount(given[known], minlength=size) - right
        )
    pixels = np.array([(truth != _UNKNOWN).sum() for truth in data.tested.classes], float)
    ious = [ratio(shared[:, k], either[:, k], len(said)) for k in range(size)]
    figures = {"OA": ratio(shared.sum(1), pixels, len(said)), "mIoU": mean(ious, len(said))}
    return measured(figures, len(said), seed)
