"""The six kinds of questions of FUSAR-KLIP 4.4, made from the truth and the land cover of a record."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fusar_train.corpus.record import Record
from fusar_train.corpus.texts.cover import Cover
from fusar_train.corpus.texts.facts import ClassFacts, Facts
from fusar_train.corpus.texts.wording import plural

COUNT, RECOGNITION, POSITION, MAIN, ALL, REGIONAL = KINDS = (
    "target count", "target recognition", "target position", "main landform", "all landforms", "regional landform",
)  # fmt: skip
NONE = "none"
_CLEAR = 0.05
"""The share of the image by which a main land cover must lead."""
_HALF = 0.5
"""The share of a region that its land cover must have."""
_WAYS = {
    COUNT: ("how many {targets} are there?", "count the {targets}."),
    RECOGNITION: ("what kinds of targets are there?", "which targets does the image show?"),
    POSITION: ("in which region are the {targets}?", "region number of the {targets}?"),
    MAIN: ("what covers most of the ground?", "what is the main kind of ground?"),
    ALL: ("which kinds of ground are there?", "name all kinds of ground."),
    REGIONAL: ("what covers most of region {region}?", "kind of ground in region {region}?"),
}


@dataclass(frozen=True)
class VisualQuestion:
    """A question about an image.

    Attributes:
        kind: One of ``KINDS``.
        about: What it asks for, however it words it.
        text, answer: Its words and the right answer.
    """

    kind: str
    about: str
    text: str
    answer: str


def questions_of(record: Record, facts: Facts, seed: int) -> list[VisualQuestion]:
    """The questions that the facts answer; the same seed words them alike for a record.

    Asked are the number of each class in view (of an absent one where none is), the kinds of targets, the region of a
    class that lies in one, and the main, all and one region's land covers where they are clear.
    """
    rng = np.random.default_rng((seed, zlib.crc32(record.id.encode())))
    made = [*_of_targets(facts), *_of_ground(facts.cover, rng)]
    return [
        VisualQuestion(
            kind,
            f"{kind} {words}",
            _WAYS[kind][int(rng.integers(2))].format(targets=plural(words) if words else "", region=words),
            answer,
        )
        for kind, words, answer in made
    ]


def _of_targets(facts: Facts) -> Iterator[tuple[str, str, str]]:
    known = [each for each in facts.classes if each.complete and not each.doubtful and each.count]
    for each in known:
        yield COUNT, each.label, str(each.count)
        if len(set(each.cells)) == 1:
            yield POSITION, each.label, str(each.cells[0] + 1)
    if not facts.classes and facts.absent:
        yield COUNT, facts.absent[0], "0"
    if _all_known(facts.classes) and (facts.classes or facts.absent):
        yield RECOGNITION, "", listed([each.label for each in facts.classes])


def _all_known(classes: Sequence[ClassFacts]) -> bool:
    return all(each.count and not each.doubtful for each in classes)


def _of_ground(cover: Cover | None, rng: np.random.Generator) -> Iterator[tuple[str, str, str]]:
    if cover is None or not cover.main:
        return
    shares = sorted(cover.shares.values(), reverse=True)
    if len(shares) == 1 or shares[0] - shares[1] >= _CLEAR:
        yield MAIN, "", cover.main[0]
    yield ALL, "", listed(cover.main)
    clear = [
        (cell + 1, name)
        for name, cells in cover.where.items()
        for cell, share in enumerate(cells)
        if share > _HALF
    ]
    if clear:
        region, name = sorted(clear)[int(rng.integers(len(clear)))]
        yield REGIONAL, str(region), name


def listed(names: Sequence[str]) -> str:
    """Several names as one answer, whatever their order."""
    return ", ".join(sorted(names)) or NONE
