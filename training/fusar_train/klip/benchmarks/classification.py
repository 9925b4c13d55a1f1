"""Classification (FUSAR-KLIP 4.3, table 4): a linear probe and fine-tuning, with groups of like images kept apart."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.record import Record
from fusar_train.corpus.records import read_leniently
from fusar_train.evaluation.bootstrap import Statistic, estimate, mean, ratio
from fusar_train.klip.batches import grey_image
from fusar_train.klip.benchmarks.encoders import Encoder, Start, vectors_of
from fusar_train.klip.benchmarks.fine_tuning import Recipe, fit, varied
from fusar_train.klip.benchmarks.section import Figure, Row, Section
from fusar_train.klip.benchmarks.simulated_ships import ship_chips
from fusar_train.klip.benchmarks.vision import VisionOptions, figures_of
from fusar_train.klip.settings import KlipError

COLUMNS = ("top-1", "top-3", "balanced", "by group")
_PROBE = {"logisticregression__C": [1e-4, 1e-3, 1e-2, 1e-1]}
_INNER_FOLDS = 3
_HELD_OUT = 5
"""One in so many groups is held out, as the paper's 4 : 1."""
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
_MOST = 20_000
"""Images of a set that are read, drawn by the seed."""
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
            return np.stack([_stretched(chip, side) for chip in self.records])
        return np.stack([grey_image(record, side) for record in self.records])


def _stretched(chip: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(chip).resize((side, side), Image.Resampling.BICUBIC))


def sections(options: VisionOptions) -> list[Section]:
    """A table for each set of records, and one for simulated ships.

    Raises:
        FusarError: A set or an encoder cannot be read, or there is nothing to classify in a set.
    """
    found = [read_classes(path, options.seed) for path in options.classes]
    if options.simulated:
        found.append(simulated_ships(options.simulated, options.seed))
    return [_section(data, options) for data in found]


def read_classes(path: Path, seed: int) -> ClassData:
    """The records of a data set that show one object each, by their fine classes where they have any.

    Their own splits are kept where some are of the split test; else one in five groups is held out.

    Raises:
        CorpusError: Nothing is there.
        KlipError: Fewer than two classes can be learned and tested.
    """
    notes, bad, kept = [], 0, []
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
    if len(single) > _MOST:
        drawn = np.random.default_rng(seed).permutation(len(single))[:_MOST]
        notes.append(f"Of {len(single)} records, {_MOST} are drawn.")
        single = [single[number] for number in sorted(drawn)]
    called = [one.objects[0].fine or one.objects[0].label for one in single]
    test = np.array([one.split == "test" for one in single], bool)
    scenes = [one.scene for one in single]
    return _divided(path.name, single, called, scenes, test if test.any() and not test.all() else None, notes, seed)


def _divided(
    title: str,
    records: Sequence[Record],
    called: Sequence[str],
    scenes: Sequence[str],
    test: NDArray[np.bool_] | None,
    notes: list[str],
    seed: int,
) -> ClassData:
    """The set with its held-out part; classes that cannot be both learned and tested are left out."""
    rare = _rare(called, scenes, test)
    kept = [number for number, name in enumerate(called) if name not in rare]
    names = tuple(sorted({called[number] for number in kept}))
    if rare:
        notes.append(f"Classes with images of one group or one split only are left out: {', '.join(sorted(rare))}.")
    if len(names) < 2:
        raise KlipError(
            f"{title} has no two classes that can be learned and tested: give records of one object each, of at least "
            "two classes, and each in several scenes."
        )
    labels = np.array([names.index(called[number]) for number in kept])
    order = {name: number for number, name in enumerate(dict.fromkeys(scenes))}
    groups = np.array([order[scenes[number]] for number in kept])
    if test is None:
        held_out = _groups_apart(labels, groups, seed)
        notes.append(f"Held out: one in {_HELD_OUT} groups, none of which is learned from.")
    else:
        held_out = test[kept]
        both = np.isin(groups[held_out], groups[~held_out])
        notes.append("Held out: the records of the split test.")
        if both.any():
            notes.append(f"{both.sum()} of them are of scenes that are learned from, too: these figures flatter.")
    return ClassData(title, [records[n] for n in kept], labels, groups, held_out, names, tuple(notes))


def _rare(called: Sequence[str], scenes: Sequence[str], test: NDArray[np.bool_] | None) -> set[str]:
    """The classes that lie in a single group, or in a single split where splits are given."""
    parts = scenes if test is None else test.tolist()
    seen: dict[str, set[object]] = {}
    for name, part in zip(called, parts, strict=True):
        seen.setdefault(name, set()).add(part)
    return {name for name, those in seen.items() if len(those) < 2}


def _groups_apart(labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """About one in five images, of whole groups, of all classes alike; each class stays in both parts."""
    for attempt in range(20):
        rng = np.random.default_rng((seed, attempt))
        for _, test in folds(labels, groups, _HELD_OUT, int(rng.integers(2**31))):
            held_out = np.zeros(len(labels), bool)
            held_out[test] = True
            if len(set(labels[held_out])) == len(set(labels[~held_out])) == len(set(labels)):
                return held_out
    raise KlipError("No split of the groups leaves every class in both parts: give splits with the records.")


def folds(
    labels: NDArray[np.int64], groups: NDArray[np.int64], count: int, seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Learned and tested numbers of each fold; no group is in both."""
    count = min(count, len(set(groups.tolist())))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class may be rarer than there are folds
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        return list(splitter.split(np.zeros(len(labels)), labels, groups))


def simulated_ships(count: int, seed: int) -> ClassData:
    """Simulated ships of all kinds, a third as many to test, each of a place of its own."""
    chips, labels, names = ship_chips(count + count // 3, seed)
    held_out = np.arange(len(chips)) >= count
    note = "One ship a chip, in the middle of 336 m of open sea; each chip is a group of its own."
    return ClassData("simulated ships", chips, labels, np.arange(len(chips)), held_out, names, (note,))


def _section(data: ClassData, options: VisionOptions) -> Section:
    rows, images = [], {}
    for start in options.starts.those:
        side = start.make().image_px
        if side not in images:
            images = {side: data.images(side)}
        for name, scores in (
            ("linear probe", probe(data, start, images[side], options)),
            ("fine-tuned", fine_tune(data, start, images[side], options)),
        ):
            rows.append(Row(f"{start.name}, {name}", measured(data, scores, options.seed)))
    held = data.held_out
    notes = [
        f"{(~held).sum()} images of {len(set(data.groups[~held]))} groups are learned from, {held.sum()} of "
        f"{len(set(data.groups[held]))} are tested; {len(data.names)} classes: {', '.join(data.names)}. Chance is "
        f"{_chance(data):.1%} top-1 and {1 / len(data.names):.1%} balanced.",
        *data.notes,
        "Balanced: the mean over classes. By group: the mean over groups of like images. Intervals draw groups.",
        *options.starts.notes,
    ]
    return Section("classification", f"Classification: {data.title}", COLUMNS, tuple(rows), PAPER, tuple(notes))


def _chance(data: ClassData) -> float:
    """The top-1 of always saying the class that is most frequent among what is learned from."""
    often = Counter(data.labels[~data.held_out].tolist()).most_common(1)[0][0]
    return float((data.labels[data.held_out] == often).mean())


def probe(
    data: ClassData, start: Start, images: NDArray[np.uint8], options: VisionOptions
) -> NDArray[np.float32]:
    """Scores [M, classes] of what is held out, by logistic regression on the encoder's vectors.

    Its penalty is chosen on groups of what is learned from.
    """
    vectors = vectors_of(start.make(), images, options.where)
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
    """An encoder with a linear head on its vector."""

    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.norm = nn.LayerNorm(encoder.vector_size)
        self.head = nn.Linear(encoder.vector_size, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [N, classes] of images uint8 [N, side, side]."""
        logits: Tensor = self.head(self.norm(self.encoder(images).vectors))
        return logits


RECIPE = Recipe(epochs=20)


def fine_tune(
    data: ClassData, start: Start, images: NDArray[np.uint8], options: VisionOptions
) -> NDArray[np.float32]:
    """Scores [M, classes] of what is held out, by the whole network taught on the rest."""
    model = Classifier(start.make(), len(data.names)).to(options.where)
    learned = np.flatnonzero(~data.held_out)
    labels = torch.from_numpy(data.labels)

    def loss(rows: Tensor) -> Tensor:
        numbers = learned[rows.numpy()]
        shown = varied(torch.from_numpy(images[numbers])).to(options.where)
        return functional.cross_entropy(model(shown), labels[numbers].to(options.where), label_smoothing=0.1)

    recipe = replace(RECIPE, epochs=options.epochs or RECIPE.epochs, seed=options.seed)
    fit(model, model.encoder, loss, len(learned), recipe, f"{data.title}, {start.name}")
    return _scores(model, images[data.held_out], options.where)


@torch.inference_mode()
def _scores(model: Classifier, images: NDArray[np.uint8], device: torch.device) -> NDArray[np.float32]:
    parts = [
        model(torch.from_numpy(images[at : at + _BATCH]).to(device)).float().cpu().numpy()
        for at in range(0, len(images), _BATCH)
    ]
    return np.concatenate(parts)


def measured(data: ClassData, scores: NDArray[np.float32], seed: int) -> dict[str, Figure]:
    """The figures of scores [M, classes] of what is held out."""
    labels = data.labels[data.held_out]
    _, group = np.unique(data.groups[data.held_out], return_inverse=True)
    groups = int(group.max()) + 1
    order = np.argsort(-scores, axis=1, kind="stable")
    right = [(order[:, :most] == labels[:, None]).any(1).astype(float) for most in (1, 3)]

    def share(marks: NDArray[np.float64], those: NDArray[np.bool_]) -> Statistic:
        sums = [np.bincount(group[those], one[those], groups) for one in (marks, np.ones(len(marks)))]
        return ratio(*sums)

    everything = np.ones(len(labels), bool)
    each = [share(right[0], labels == number) for number in range(len(data.names))]
    counts = np.bincount(group, minlength=groups)
    by_group = ratio(np.bincount(group, right[0], groups) / counts, np.ones(groups))
    found = [share(right[0], everything), share(right[1], everything), mean(each), by_group]
    return dict(figures_of(zip(COLUMNS, estimate(found, groups, seed), strict=True)))
