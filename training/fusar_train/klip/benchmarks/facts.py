"""One-fact queries: how many of the first ten images show what a single sub-text tells, key by key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusar_train.evaluation.bootstrap import Statistic, mean, ratio
from fusar_train.klip.benchmarks.options import BenchmarkOptions, Described
from fusar_train.klip.benchmarks.section import Row, Section, measured
from fusar_train.klip.data import SLOTS, SubText

FIRST = 10
PRECISION, CHANCE, CEILING = f"P@{FIRST}", "chance", "ceiling"
COLUMNS = (PRECISION, CHANCE, CEILING)
_QUERIES = 200
"""Most queries of a key and version."""


@dataclass(frozen=True)
class Query:
    """A text and the numbers of the images that are right for it."""

    text: str
    right: Sequence[int]


def sections(options: BenchmarkOptions) -> list[Section]:
    """P@10 of sub-texts drawn from the images themselves, with what chance gives and what can be reached."""
    described = options.described
    statistics: dict[str, dict[str, Statistic]] = {}
    drawn = draw_queries(described, options.seed)
    known = [key for key in drawn if drawn[key]]
    size = max((len(drawn[key]) for key in known), default=0)
    for key in known:
        statistics[key] = precision(described, drawn[key], size)
    rows = [Row(key, measured(statistics[key], size, options.seed)) for key in known]
    if len(known) > 1:
        together = {name: mean([statistics[key][name] for key in known]) for name in COLUMNS}
        rows.append(Row("mean over keys", measured(together, size, options.seed)))
    notes = (
        "The query is one sub-text; an image is right where its own sub-texts tell the same fact of that key. Images "
        "of which nothing is told of it count as wrong.",
        f"Ceiling: what a perfect order would reach, as some facts are shown by fewer than {FIRST} images. Up to "
        f"{_QUERIES} sub-texts a key and language are drawn; n counts them. Intervals are over queries.",
    )
    return [Section("one-fact", "Queries of one fact", COLUMNS, tuple(rows), (), notes)]


def draw_queries(described: Described, seed: int) -> Mapping[str, list[Query]]:
    """Queries by key; of a key of which all images tell the same there are none.

    Facts are drawn as often as they are told.
    """
    rng = np.random.default_rng(seed)
    shown: dict[int, dict[int, dict[int, None]]] = defaultdict(lambda: defaultdict(dict))
    told: dict[tuple[int, int], list[SubText]] = defaultdict(list)
    for number, several in enumerate(described.data.sub_texts):
        for one in several:
            shown[one.slot][one.fact][number] = None  # once, in however many versions it is told
            told[one.slot, one.version].append(one)
    queries: dict[str, list[Query]] = {" ".join(SLOTS[slot]): [] for slot in sorted(shown)}
    for slot, version in sorted(told):
        if len(shown[slot]) > 1:
            mine = told[slot, version]
            some = [mine[place] for place in rng.permutation(len(mine))[:_QUERIES]]
            queries[" ".join(SLOTS[slot])] += [
                Query(described.text_of([one]), list(shown[slot][one.fact])) for one in some
            ]
    return queries


def precision(described: Described, queries: Sequence[Query], size: int) -> dict[str, Statistic]:
    """P@10, chance and ceiling of some queries, as figures over ``size`` queries of which these are the first."""
    vectors = described.text_vectors([query.text for query in queries])
    found = found_right(vectors, described.vectors, queries)
    right = np.array([len(query.right) for query in queries]) / len(described)
    depth = min(FIRST, len(described))
    values = {
        PRECISION: found,
        CHANCE: right,
        CEILING: np.minimum(right * len(described) / depth, 1.0),
    }
    there = np.arange(size) < len(queries)
    padded = {name: np.pad(value, (0, size - len(value))) for name, value in values.items()}
    return {name: ratio(value, there.astype(np.float64)) for name, value in padded.items()}


def found_right(
    vectors: NDArray[np.float32], images: NDArray[np.float32], queries: Sequence[Query]
) -> NDArray[np.float64]:
    """The share of right ones among the ten images most like each query's vector, float64 [queries].

    Images that are equally like share the places among them, so that a model that tells nothing apart gets chance.
    """
    shares = []
    for vector, query in zip(vectors, queries, strict=True):
        right = np.zeros(len(images), bool)
        right[list(query.right)] = True
        shares.append(precision_at(images @ vector, right, FIRST))
    return np.array(shares)


def precision_at(alike: NDArray[np.float32], right: NDArray[np.bool_], depth: int) -> float:
    """The expected share of right ones among the first ``depth`` of N by likeness [N], ties in any order."""
    depth = min(depth, len(alike))
    bound = np.partition(alike, -depth)[-depth]
    above, level = alike > bound, alike == bound
    places = depth - int(above.sum())
    return float(((above & right).sum() + places * (level & right).sum() / level.sum()) / depth)
