"""Classification (FUSAR-KLIP 4.3, table 4): a linear probe and fine-tuning, with groups of like images kept apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.record import Record
from fusar_train.corpus.records import read_leniently
from fusar_train.evaluation.bootstrap import Statistic, mean, ratio
from fusar_train.klip.batches import grey_image
from fusar_train.klip.benchmarks.asked import check_any, chips_of
from fusar_train.klip.benchmarks.encoders import Encoder, Start, Starts, starts_of, stretched, vectors_of
from fusar_train.klip.benchmarks.fine_tuning import Recipe, fit, varied
from fusar_train.klip.benchmarks.held_out import drawn, folds, groups_apart, splits_of
from fusar_train.klip.benchmarks.options import BenchmarkOptions
from fusar_train.klip.benchmarks.section import Figure, Row, Section, measured
from fusar_train.klip.benchmarks.simulated_ships import ship_chips
from fusar_train.klip.settings import KlipError

COLUMNS = ("top-1", "top-3", "balanced", "by group")
_PROBE = {"logisticregression__C": [1e-4, 1e-3, 1e-2, 1e-1]}
_INNER_FOLDS = 3
PAPER = tuple(
    Row(name, {"top-1": Figure(first / 100, 0), "top-3": Figure(third / 100, 0)})
    for name, first, third in (
        ("FUSAR-KLIP ViT-B, SAR-ACD", 91.11, 99.84),
        ("MoCo v3 ViT-B, SAR-ACD", 71.87, 95.72),
        ("CLIP ViT-B, SAR-ACD", 38.65, 83.05),
        ("FUSAR-KLIP ViT-B, FUSAR-SHIP", 69.15, 96.54),
        ("MAE ViT-B, FUSAR-SHIP", 67.89, 94.22),
        ("CLIP ViT-B, FUSAR-SHIP", 64.21, 94.12),
    )
)
"""Table 4: fine-tuned; its data are not ours, and its split of SAR-ACD does not keep like images apart."""
_BATCH = 64


@dataclass(frozen=True)
class ClassData:
    """Images with one class each, part of them held out.

    Attributes:
        title: What they are.
        records: The images: records, or chips uint8 [side, side] in memory.
        labels: Number of each one's class, int64 [N].
        groups: Number of each one's scene or group of like images, int64 [N].
        held_out: Bool [N].
        names: Of the classes.
        notes: What a reader of the figures needs.
    """

    title: str
    records: Sequence[Record] | NDArray[np.uint8]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    names: tuple[str, ...]
    notes: tuple[str, ...]

    def images(self, side: int) -> NDArray[np.uint8]:
        """All images stretched to uint8 [N, side, side]; KlipError when one cannot be read."""
        if isinstance(self.records, np.ndarray):
            return stretched(self.records, side)
        return np.stack([grey_image(record, side) for record in self.records])


def sections(options: BenchmarkOptions) -> list[Section]:
    """A table for each set of records, and one for simulated ships.

    Raises:
        FusarError: A set or an encoder cannot be read, or there is nothing to classify in a set.
    """
    starts = starts_of(options)
    found = [] if options.classes is None else [read_classes(options.classes, options.seed)]
    if chips_of(options):
        found.append(simulated_ships(chips_of(options), options.seed))
    check_any(found, "--classes DATA")
    return [_section(data, starts, options, PAPER if data is found[0] else ()) for data in found]


def read_classes(path: Path, seed: int) -> ClassData:
    """The records of a data set that show one object each, by their fine classes where they have any.

    Their own splits are kept where some are of the split test; else one in five groups is held out.

    Raises:
        CorpusError: Nothing is there.
        KlipError: Fewer than two classes can be learned and tested.
    """
    notes, bad, kept = list[str](), 0, list[Record]()
    for record in read_leniently(path):
        if isinstance(record, CorpusError):
            bad += 1
        else:
            kept.append(record)
    single = [one for one in kept if len(one.objects) == 1]
    if bad:
        notes.append(f"{bad} records cannot be read and are left out.")
    if others := len(kept) - len(single):
        notes.append(f"{others} records do not show exactly one object and are left out.")
    single = drawn(single, seed, notes)
    called = [one.objects[0].fine or one.objects[0].label for one in single]
    if rare := _rare(single, called):
        notes.append(
            f"Left out, as all their images are of one group or one split: {', '.join(sorted(rare))}."
        )
    known = [(one, name) for one, name in zip(single, called, strict=True) if name not in rare]
    records = [one for one, _ in known]
    names = tuple(sorted({name for _, name in known}))
    if len(names) < 2:
        raise KlipError(
            f"{path} has no two classes that can be learned and tested: give records of one object each, of at least "
            "two classes, and each in several scenes."
        )
    labels = np.array([names.index(name) for _, name in known])
    held_out, groups = splits_of(records, notes) or groups_apart(records, path, seed, notes, labels)
    return ClassData(path.name, records, labels, groups, held_out, names, tuple(notes))


def _rare(records: Sequence[Record], called: Sequence[str]) -> set[str]:
    """The classes that lie in a single group, or in one part where a split test is given."""
    splits = {one.split == "test" for one in records}
    seen: dict[str, set[object]] = {}
    for one, name in zip(records, called, strict=True):
        seen.setdefault(name, set()).add(one.split == "test" if len(splits) > 1 else one.scene)
    return {name for name, those in seen.items() if len(those) < 2}


def simulated_ships(count: int, seed: int) -> ClassData:
    """Simulated ships of all kinds, a third as many to test, each of a place of its own."""
    chips, labels, names = ship_chips(count + count // 3, seed)
    held_out = np.arange(len(chips)) >= count
    note = "One ship a chip, in the middle of 336 m of open sea; each chip is a group of its own."
    return ClassData("simulated ships", chips, labels, np.arange(len(chips)), held_out, names, (note,))


def _section(data: ClassData, starts: Starts, options: BenchmarkOptions, paper: tuple[Row, ...]) -> Section:
    rows, images = [], {}
    for start in starts.those:
        side = start.make().image_px
        if side not in images:
            images = {side: data.images(side)}
        for name, scores in (
            ("linear probe", probe(data, start, images[side], options)),
            ("fine-tuned", fine_tune(data, start, images[side], options)),
        ):
            rows.append(Row(f"{start.name}, {name}", scored(data, scores, options.seed)))
    held = data.held_out
    notes = [
        f"{(~held).sum()} images of {len(set(data.groups[~held]))} groups are learned from, {held.sum()} of "
        f"{len(set(data.groups[held]))} are tested; {len(data.names)} classes: {', '.join(data.names)}. Chance is "
        f"{_chance(data):.1%} top-1 and {1 / len(data.names):.1%} balanced.",
        *data.notes,
        "Balanced: the mean over classes. By group: the mean over groups of like images. Intervals draw groups.",
        *starts.notes,
    ]
    return Section(
        "classification", f"Classification: {data.title}", COLUMNS, tuple(rows), paper, tuple(notes)
    )


def _chance(data: ClassData) -> float:
    """The top-1 of always saying the class that is most frequent among what is learned from."""
    often = Counter(data.labels[~data.held_out].tolist()).most_common(1)[0][0]
    return float((data.labels[data.held_out] == often).mean())


def probe(
    data: ClassData, start: Start, images: NDArray[np.uint8], options: BenchmarkOptions
) -> NDArray[np.float32]:
    """Scores [M, classes] of what is held out, by logistic regression on the encoder's vectors.

    Its penalty is chosen on groups of what is learned from.
    """
    vectors = vectors_of(start.make(), images, options.klip.device)
    learned = ~data.held_out
    labels, groups = data.labels[learned], data.groups[learned]
    inner = [
        (a, b)
        for a, b in folds(labels, groups, _INNER_FOLDS, options.seed)
        if len(set(labels[a])) == len(data.names)
    ]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    if inner:
        model = GridSearchCV(model, _PROBE, cv=inner)
    model.fit(vectors[learned], labels)
    return np.asarray(model.predict_proba(vectors[data.held_out]), np.float32)


class Classifier(nn.Module):
    """An encoder with a linear head on its normalised vector."""

    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.norm = nn.BatchNorm1d(encoder.vector_size)
        self.head = nn.Linear(encoder.vector_size, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [N, classes] of images uint8 [N, side, side]."""
        logits: Tensor = self.head(self.norm(self.encoder(images).vectors))
        return logits


RECIPE = Recipe(epochs=16, rate=2e-3)


def fine_tune(
    data: ClassData, start: Start, images: NDArray[np.uint8], options: BenchmarkOptions
) -> NDArray[np.float32]:
    """Scores [M, classes] of what is held out, by the whole network taught on the rest."""
    model = Classifier(start.make(), len(data.names)).to(options.klip.device)
    learned = np.flatnonzero(~data.held_out)
    labels = torch.from_numpy(data.labels)

    def loss(rows: Tensor) -> Tensor:
        numbers = learned[rows.numpy()]
        shown = varied(torch.from_numpy(images[numbers])).to(options.klip.device)
        return functional.cross_entropy(
            model(shown), labels[numbers].to(options.klip.device), label_smoothing=0.1
        )

    recipe = replace(RECIPE, epochs=options.vision_epochs or RECIPE.epochs, seed=options.seed)
    fit(model, model.encoder, loss, len(learned), recipe, f"{data.title}, {start.name}")
    return _scores(model, images[data.held_out], options.klip.device)


@torch.inference_mode()
def _scores(model: Classifier, images: NDArray[np.uint8], device: torch.device) -> NDArray[np.float32]:
    parts = [
        model(torch.from_numpy(images[at : at + _BATCH]).to(device)).float().cpu().numpy()
        for at in range(0, len(images), _BATCH)
    ]
    return np.concatenate(parts)


def scored(data: ClassData, scores: NDArray[np.float32], seed: int) -> dict[str, Figure]:
    """The figures of scores [M, classes] of what is held out."""
    labels = data.labels[data.held_out]
    _, group = np.unique(data.groups[data.held_out], return_inverse=True)
    groups = int(group.max()) + 1
    order = np.argsort(-scores, axis=1, kind="stable")
    right = [(order[:, :most] == labels[:, None]).any(1).astype(float) for most in (1, 3)]

    def share(marks: NDArray[np.float64], those: NDArray[np.bool_]) -> Statistic:
        right = np.bincount(group[those], marks[those], groups)
        return ratio(right.astype(float), np.bincount(group[those], minlength=groups).astype(float))

    everything = np.ones(len(labels), bool)
    each = [share(right[0], labels == number) for number in range(len(data.names))]
    counts = np.bincount(group, minlength=groups)
    by_group = ratio(np.bincount(group, right[0], groups) / counts, np.ones(groups))
    found = [share(right[0], everything), share(right[1], everything), mean(each), by_group]
    return measured(dict(zip(COLUMNS, found, strict=True)), groups, seed)
