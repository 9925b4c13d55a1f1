"""Measure whether a search finds what is asked for, and print the tables of bench/RESULTS.md.

    .venv/bin/python bench/search_quality.py words [--scenes 2] [--chips 28] [--first 40000000] [--keep DIR]
    .venv/bin/python bench/search_quality.py like SAR_ACD [--seeds 5]

words: the typed queries of search_queries.yaml over whole simulated scenes that nothing was trained on. A scene is a
grid of simulated chips of 224 px at 3 m, so half of its slices show parts of two chips and a quarter parts of four; a
place that is found is right by the truth within its footprint. Chance is the share of the slices that are right, the
ceiling what a perfect order would reach; "told" asks for the same facts in the words of the encoder's own texts.
like: each chip of one half of SAR-ACD as an example, searched for among the other half, no group of like chips in both.
Intervals are 95 %, bootstrapped.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass as checked
from tables import row

from fusar_gpt.contract import Finished, SearchRequest
from fusar_gpt.errors import TaskError
from fusar_gpt.frames import SceneBox
from fusar_gpt.imagery import open_scene
from fusar_gpt.retrieval.encoder import Encoder, open_encoder
from fusar_gpt.retrieval.query import query_vector
from fusar_gpt.retrieval.slicing import Lattice, lattice
from fusar_gpt.search import search
from fusar_train.corpus.chip import LABELS, clip_objects
from fusar_train.corpus.record import Record, RecordObject
from fusar_train.corpus.texts.brief import Statement
from fusar_train.corpus.texts.brief_words import LANGUAGES
from fusar_train.corpus.texts.cover import TRUTH, Cover, count_cells
from fusar_train.corpus.texts.facts import Facts
from fusar_train.corpus.texts.wording import Chooser
from fusar_train.evaluation.bootstrap import estimate, ratio
from fusar_train.klip.benchmarks.facts import FIRST, precision_at
from fusar_train.klip.benchmarks.held_out import folds
from fusar_train.klip.benchmarks.queries import Condition, TypedQuery
from fusar_train.simulation.chip import CHIP_PX, MARGIN, TEST_STREAM, compose, observe
from fusar_train.simulation.ground import PIXEL_M
from fusar_train.simulation.looks import NAMES, looks_of, shown_cover
from fusar_train.simulation.scene import SIMULATED, write_raster

QUERIES = Path(__file__).with_name("search_queries.yaml")
WORDINGS = ("en", "en", "zh")
EXAMPLES = {"one example": (1, 0), "three": (3, 0), "three, and one that is not meant": (3, 1)}


@checked(frozen=True, kw_only=True)
class AskedFact:
    """What a slice must show, what an analyst types for it, and the statements that tell it."""

    right: Mapping[Literal["all_of"], tuple[Condition, ...]]
    typed: tuple[str, ...]
    told: tuple[Mapping[str, Any], ...]

    def holds(self, facts: Facts) -> bool:
        """Whether a slice of such facts shows it."""
        return TypedQuery(text=self.typed[0], all_of=self.right["all_of"]).right(facts) is True

    def told_texts(self) -> list[str]:
        """The fact in the words of brief texts, as many wordings as are typed."""
        choosers = [Chooser(np.random.default_rng(number)) for number in range(len(self.typed))]
        return [
            " ".join(LANGUAGES[language].told([Statement("", **one)], choose) for one in self.told)
            for language, choose in zip(WORDINGS, choosers, strict=True)
        ]


@dataclass(frozen=True)
class Truth:
    """What a scene shows.

    Attributes:
        cover: The number in ``NAMES`` of what each pixel shows, uint8 [h, w].
        boxes: Left, top, right, bottom of all that look like ships or planes, [N, 4].
        labels: The class of each.
    """

    cover: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    labels: Sequence[str]

    def within(self, box: SceneBox) -> Facts:
        """The facts of a square window, by the rules for a chip."""
        left, top, side = round(box.left), round(box.top), round(box.right - box.left)
        near = np.flatnonzero(
            (self.boxes[:, :2] < (left + side, top + side)).all(1) & (self.boxes[:, 2:] > (left, top)).all(1)
        )
        moved = [tuple(self.boxes[n] - (left, top, left, top)) for n in near]
        objects, _ = clip_objects(moved, [self.labels[n] for n in near.tolist()], side, side)
        cover = count_cells(self.cover[top : top + side, left : left + side], len(NAMES))
        record = Record(
            id="slice",
            image=Path(),
            objects=tuple(RecordObject(SceneBox(*astuple(item.box)), item.label) for item in objects),
            scene="scene",
            provenance={
                "pixel_m": PIXEL_M,
                "complete": list(LABELS),
                "cover": Cover.of_cells(cover, NAMES, TRUTH).to_json(),
            },
        )
        return Facts.of(record, (side, side), prior=False)


def write_mosaic(path: Path, first: int, chips: int) -> Truth:
    """Writes a scene of ``chips`` x ``chips`` simulated chips from number ``first`` on; returns its truth."""
    side = chips * CHIP_PX
    amplitude, cover = np.zeros((1, side, side), np.uint16), np.zeros((side, side), np.uint8)
    boxes, labels = list[NDArray[np.float64]](), list[str]()
    inside = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    for number in range(chips**2):
        site, _, rng = compose(first + number, TEST_STREAM)
        top, left = (CHIP_PX * at for at in divmod(number, chips))
        here = (slice(top, top + CHIP_PX), slice(left, left + CHIP_PX))
        db = observe(site, rng)[inside]
        amplitude[0][here] = np.clip(np.rint(1000 * 10 ** (db / 20)), 1, 65535)
        cover[here] = shown_cover(site, MARGIN)
        for item in looks_of(site, MARGIN).objects:
            boxes.append(np.add(astuple(item.box), (left, top, left, top)))
            labels.append(item.label)
    tags = {"FUSAR_SIMULATED": "YES", "TIFFTAG_IMAGEDESCRIPTION": SIMULATED, "FUSAR_SEED": str(first)}
    write_raster(path, amplitude, PIXEL_M, tags, ["HH"], 0)
    return Truth(cover, np.array(boxes), labels)


def slices_of(path: Path, encoder: Encoder) -> Lattice:
    """The slices that a search of a scene looks at, where the encoder was taught what is simulated."""
    with open_scene(path) as scene:
        return lattice(scene, encoder.image_px, encoder.image_px * PIXEL_M)


def found_places(path: Path, text: str, encoder: Encoder, folder: Path) -> list[SceneBox]:
    """Where a search finds its first ten places; nowhere where it knows none of the words."""
    try:
        *_, last = search(SearchRequest(str(path), (text,), top=FIRST, heat=False), encoder, folder=folder)
    except TaskError as error:
        print(f"refused: {error}")
        return []
    assert isinstance(last, Finished)
    return [place.box for place in last.findings]


def words(args: argparse.Namespace) -> None:
    """Precision among the first ten of each query, its means, chance, ceiling, and the same as told."""
    encoder = open_encoder(args.encoder, device="cpu")
    asked = TypeAdapter(tuple[AskedFact, ...]).validate_python(
        yaml.safe_load(QUERIES.read_text(encoding="utf-8"))["facts"]
    )
    scores = list[dict[str, NDArray[np.float64]]]()
    with nullcontext(args.keep) if args.keep else tempfile.TemporaryDirectory() as folder:
        for number in range(args.scenes):
            Path(folder).mkdir(parents=True, exist_ok=True)
            path = Path(folder) / f"chips-{args.first + number * args.chips**2}.tif"
            truth = write_mosaic(path, args.first + number * args.chips**2, args.chips)
            scores.append(scene_scores(path, truth, asked, encoder, Path(folder) / "index"))
    mean = {name: np.mean([one[name] for one in scores], axis=0) for name in scores[0]}
    report(asked, mean, args.scenes)


def scene_scores(
    path: Path, truth: Truth, asked: Sequence[AskedFact], encoder: Encoder, index: Path
) -> dict[str, NDArray[np.float64]]:
    """By column, a figure of each fact and wording, [facts, wordings]."""
    slices = slices_of(path, encoder)
    facts = [truth.within(SceneBox(*box)) for box in slices.boxes(np.arange(len(slices))).tolist()]
    right = np.array([[each.holds(one) for one in facts] for each in asked])
    wordings = len(WORDINGS)

    def precision(each: AskedFact, text: str) -> float:
        found = found_places(path, text, encoder, index)
        return sum(each.holds(truth.within(box)) for box in found) / FIRST

    return {
        "P@10": np.array([[precision(each, text) for text in each.typed] for each in asked]),
        "chance": np.repeat(right.mean(1)[:, None], wordings, 1),
        "ceiling": np.repeat(np.minimum(right.sum(1) / FIRST, 1)[:, None], wordings, 1),
        "told": np.array([[precision(each, text) for text in each.told_texts()] for each in asked]),
    }


def report(asked: Sequence[AskedFact], scores: Mapping[str, NDArray[np.float64]], scenes: int) -> None:
    """The tables: by query, and means with intervals over queries and over facts."""
    row("query", *scores, "told as")
    row("---", *["---:"] * len(scores), "---")
    for number, each in enumerate(asked):
        for wording, (typed, told) in enumerate(zip(each.typed, each.told_texts(), strict=True)):
            row(typed, *(f"{100 * values[number, wording]:.0f}" for values in scores.values()), told)
    print(f"\n{len(asked)} facts x {len(WORDINGS)} wordings, {scenes} scenes\n")
    row("mean over", *scores)
    row("---", *["---:"] * len(scores))
    wordings = {"all": [0, 1, 2], "English": [0, 1], "Chinese": [2]}
    for name, some in wordings.items():
        row(f"{name}, intervals over queries", *(interval(v[:, some].ravel()) for v in scores.values()))
    row("all, intervals over facts", *(interval(v.mean(1)) for v in scores.values()))


def interval(values: NDArray[np.float64], groups: NDArray[np.int64] | None = None) -> str:
    """A mean in percent with its interval over the values, or over groups of them."""
    each = np.arange(len(values)) if groups is None else groups
    sums, sizes = np.bincount(each, values).astype(float), np.bincount(each).astype(float)
    (found,) = estimate([ratio(sums, sizes)], len(sums), 0)
    value, low, high = (100 * (edge or 0) for edge in (found.value, found.low, found.high))
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def like(args: argparse.Namespace) -> None:
    """Precision among the first ten of other groups, by class and as a mean, for one example and for several."""
    encoder = open_encoder(args.encoder, device="cpu")
    with (args.data / "chips.csv").open(encoding="utf-8") as file:
        chips = list(csv.DictReader(file))
    names = sorted({chip["class"] for chip in chips})
    classes = np.array([names.index(chip["class"]) for chip in chips])
    groups = np.unique([int(chip["similar_group_80"]) for chip in chips], return_inverse=True)[1]
    images = np.stack([grey(args.data / "images" / chip["id"], encoder.image_px) for chip in chips])
    vectors = encoder.embed_images(images)
    runs: list[tuple[Any, ...]] = []
    for seed in range(args.seeds):
        for mine, others in folds(classes, groups, 2, seed):
            rng = np.random.default_rng(seed)
            for chip in mine:
                right = classes[others] == classes[chip]
                found = [
                    precision_at(vectors[others] @ query, right, FIRST)
                    for query in queries_of(chip, mine, classes, groups, vectors, rng)
                ]
                runs.append((chip, right.mean(), *found))
    table = np.array(runs)
    numbers = table[:, 0].astype(int)
    print(f"{len(chips)} chips, {groups.max() + 1} groups, {args.seeds} divisions, both ways; over groups\n")
    row("class", "chips", "chance", *EXAMPLES)
    row("---", *["---:"] * (2 + len(EXAMPLES)))
    for number, name in enumerate(names):
        some = classes[numbers] == number
        columns = [interval(values, groups[numbers][some]) for values in table[some, 1:].T]
        row(name, f"{(classes == number).sum()}", *columns)
    row("all", f"{len(chips)}", *(interval(values, groups[numbers]) for values in table[:, 1:].T))


def queries_of(
    chip: int,
    mine: NDArray[np.int64],
    classes: NDArray[np.int64],
    groups: NDArray[np.int64],
    vectors: NDArray[np.float32],
    rng: np.random.Generator,
) -> list[NDArray[np.float32]]:
    """The vector of each way to give examples: the chip itself, others of its class but not its group, and not so."""
    same = mine[(classes[mine] == classes[chip]) & (groups[mine] != groups[chip])]
    positive = [chip, *rng.permutation(same)[: max(n for n, _ in EXAMPLES.values()) - 1]]
    negative = rng.permutation(mine[classes[mine] != classes[chip]])
    return [query_vector(vectors[positive[:n]], vectors[negative[:m]]) for n, m in EXAMPLES.values()]


def grey(path: Path, side: int) -> NDArray[np.uint8]:
    """A picture in grey levels as the encoder takes it."""
    with Image.open(path) as image:
        return np.array(image.convert("L").resize((side, side), Image.Resampling.BICUBIC))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", default="klip-tiny")
    parts = parser.add_subparsers(required=True)
    asked = parts.add_parser("words")
    asked.add_argument("--scenes", type=int, default=2)
    asked.add_argument("--chips", type=int, default=28, help="of a side")
    asked.add_argument("--first", type=int, default=40_000_000, help="number of the first chip")
    asked.add_argument("--keep", type=Path, help="a folder for scenes and indexes")
    asked.set_defaults(run=words)
    alike = parts.add_parser("like")
    alike.add_argument("data", type=Path)
    alike.add_argument("--seeds", type=int, default=5)
    alike.set_defaults(run=like)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
