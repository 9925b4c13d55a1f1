"""Retrieval (FUSAR-KLIP 4.4): an image by its text and a text by its image, plain and by facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from fusar_train.corpus.texts.sub_texts import KEY_SETS
from fusar_train.evaluation.bootstrap import Statistic, mean, ratio
from fusar_train.klip.benchmarks.options import BenchmarkOptions, Described
from fusar_train.klip.benchmarks.section import Figure, Row, Section, measured
from fusar_train.klip.benchmarks.truth import COUNTS, KnownFacts, facts_of_texts, facts_of_truth
from fusar_train.klip.data import SLOTS, UNKNOWN_FACT, SubText

DEPTHS = (1, 5, 10)
TO_IMAGE, TO_TEXT, MEAN = "text \u2192 image", "image \u2192 text", "mean"
COLUMNS = (*(f"{way} R@{k}" for way in (TO_IMAGE, TO_TEXT) for k in DEPTHS), MEAN)
_QUERIES = 512

Right = Callable[[slice], NDArray[np.bool_]]
"""Which of M candidates are right for some of N queries, bool [n, M]."""


def _paper(name: str, *percent: float) -> Row:
    return Row(name, {column: Figure(value / 100, 0) for column, value in zip(COLUMNS, percent, strict=True)})


PAPER = (
    _paper("CLIP, ViT-B", 14.29, 19.88, 23.60, 9.44, 24.84, 34.53, 21.10),
    _paper("BLIP, ViT-B", 15.53, 29.19, 39.75, 15.53, 52.05, 65.96, 36.34),
    _paper("FUSAR-KLIP, ViT-B", 20.50, 38.51, 50.93, 20.25, 49.57, 68.45, 41.37),
    _paper("FUSAR-KLIP, ViT-L", 26.70, 39.13, 51.55, 29.81, 61.86, 75.90, 47.49),
)
"""Table 6; its TXT and IMG as the paper explains them."""


@dataclass(frozen=True)
class TextedImages:
    """Images with a text each.

    Attributes:
        name: What the texts are.
        records: The numbers of the N images.
        told: The sub-texts of each one's text.
        texts: Their words.
    """

    name: str
    records: list[int]
    told: list[tuple[SubText, ...]]
    texts: list[str]


@dataclass(frozen=True)
class Ranks:
    """Where the first right candidate of N queries stands.

    Attributes:
        first: Its rank from 1 on, float64 [N]; infinite where none is right. Candidates that are as like as the first
            right one stand before it.
        right: How many are right, int64 [N].
        candidates: How many there are.
    """

    first: NDArray[np.float64]
    right: NDArray[np.int64]
    candidates: int

    def statistic(self, depth: int) -> Statistic:
        """R@depth over the queries."""
        return ratio((self.first <= depth).astype(np.float64), np.ones(len(self.first)))

    def chance(self, depth: int) -> float:
        """What blind choice of ``depth`` candidates would give."""
        drawn = min(depth, self.candidates)
        return float(np.mean(hypergeom.sf(0, self.candidates, self.right, drawn)))


def sections(options: BenchmarkOptions) -> list[Section]:
    """R@1, 5 and 10 both ways and their mean, with intervals over images."""
    described = options.described
    asked = list(texted_images(described))
    return [_plain(described, asked, options.seed), _by_facts(options, asked)]


def texted_images(described: Described) -> Iterator[TextedImages]:
    """The texts of both key sets together, and of each; those of each version, such as a language, apart."""
    for version in range(described.versions):
        mine = [[one for one in told if one.version == version] for told in described.data.sub_texts]
        there = {SLOTS[one.slot][0] for told in mine for one in told}
        wanted = [keys for keys in KEY_SETS if keys in there]
        for sets in ([wanted] if len(wanted) > 1 else []) + [[keys] for keys in wanted]:
            numbers = [
                number for number, told in enumerate(mine)
                if {SLOTS[one.slot][0] for one in told} >= set(sets)
            ]  # fmt: skip
            told = [tuple(one for one in mine[number] if SLOTS[one.slot][0] in sets) for number in numbers]
            if numbers:
                name = f"{' and '.join(sets)}{described.version_name(version)}"
                yield TextedImages(name, numbers, told, [described.text_of(one) for one in told])


def _plain(described: Described, asked: Iterable[TextedImages], seed: int) -> Section:
    rows, notes = [], []
    for one in asked:
        images, texts = described.vectors[one.records], described.text_vectors(one.texts)
        _, first, number = np.unique(one.texts, return_index=True, return_inverse=True)
        own = np.arange(len(images))
        there = first_right(texts, images, equal(own, own))
        back = first_right(images, texts[first], equal(number, np.arange(len(first))))
        rows += _rows(one.name, there, back, seed)
        notes.append(f"{len(first)} different texts of {one.name}")
    return Section(
        "retrieval",
        "Retrieval of the one image, or text, among all",
        COLUMNS,
        tuple(rows),
        PAPER,
        (
            f"Among the texts are {'; '.join(notes)}.",
            "Right are only the image described, even if others look the same, and the text in the image's very words.",
            "The paper's TXT stands below text \u2192 image and its IMG below image \u2192 text, as it explains them; "
            "the code that it builds on (BLIP) names them the other way round.",
        ),
    )


def _by_facts(options: BenchmarkOptions, asked: Iterable[TextedImages]) -> Section:
    described, rows = options.described, []
    if options.facts is None:
        known = facts_of_truth(described.data.records)
    else:
        known = facts_of_texts(described.data, options.facts)
    notes = [
        f"A hit shows the same as the text tells of: {', '.join(known.names)}.",
        "What a text or an image leaves open, such as a land cover that the text does not speak of, counts neither way "
        "for the text, and as not shown for the image.",
    ]
    if options.facts is None:
        bounds = ", ".join(map(str, COUNTS))
        notes.append(f"Counts are equal in classes, which begin at {bounds}; facts are those of the truth.")
    for one in asked if known.names else ():
        if found := _ranks_by_facts(described, one, known.of(one.records)):
            rows += _rows(one.name, *found, options.seed)
    if not rows:
        notes = ["Left out: the records' truth tells neither counts nor land cover. Name keys with --facts."]
    return Section("facts", "Retrieval by facts", COLUMNS, tuple(rows), (), tuple(notes))


def _ranks_by_facts(described: Described, one: TextedImages, known: KnownFacts) -> tuple[Ranks, Ranks] | None:
    told, shown = known.told(one.told), known.rows
    asking = (told != UNKNOWN_FACT).any(1)
    if not asking.any():
        return None
    images, texts = described.vectors[one.records], described.text_vectors(one.texts)
    there = first_right(texts[asking], images, lambda rows: true_of(told[asking][rows, None], shown[None]))
    back = first_right(
        images[asking], texts[asking], lambda rows: true_of(told[asking][None], shown[asking][rows, None])
    )
    return there, back


def equal(queries: NDArray[np.intp], candidates: NDArray[np.intp]) -> Right:
    """Right are candidates of the query's number."""
    return lambda rows: queries[rows, None] == candidates


def true_of(told: NDArray[np.int64], shown: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether all that texts tell is shown by images: facts int64 [..., C], broadcast against each other."""
    spoken = told != UNKNOWN_FACT
    return np.asarray(((told == shown) | ~spoken).all(-1) & spoken.any(-1))


def first_right(queries: NDArray[np.float32], candidates: NDArray[np.float32], right: Right) -> Ranks:
    """The rank of the first right candidate of each query, by likeness.

    Args:
        queries: Unit vectors [N, E].
        candidates: Unit vectors [M, E].
        right: Tells the right ones of some queries.
    """
    ranks, counts = [], []
    for at in range(0, len(queries), _QUERIES):
        rows = slice(at, at + _QUERIES)
        alike, good = queries[rows] @ candidates.T, right(rows)
        best = np.where(good, alike, -np.inf).max(1, keepdims=True)
        before = ((alike >= best) & ~good).sum(1) + 1.0
        ranks.append(np.where(good.any(1), before, np.inf))
        counts.append(good.sum(1))
    return Ranks(np.concatenate(ranks), np.concatenate(counts), len(candidates))


def _rows(name: str, there: Ranks, back: Ranks, seed: int) -> list[Row]:
    """What was measured, and what chance would give."""
    both = {f"{way} R@{k}": (ranks, k) for way, ranks in ((TO_IMAGE, there), (TO_TEXT, back)) for k in DEPTHS}
    statistics = {column: ranks.statistic(k) for column, (ranks, k) in both.items()}
    statistics[MEAN] = mean(list(statistics.values()), len(there.first))
    blind = {column: ranks.chance(k) for column, (ranks, k) in both.items()}
    blind[MEAN] = float(np.mean(list(blind.values())))
    found = measured(statistics, len(there.first), seed)
    chance = {column: Figure(value, len(there.first)) for column, value in blind.items()}
    return [Row(name, found), Row(f"{name}: chance", chance)]
