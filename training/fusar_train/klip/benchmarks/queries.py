"""Typed queries: what an analyst would type, each with its truth as conditions on what an image shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from fusar_gpt.retrieval import KlipTokenizer
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.record import Record
from fusar_train.corpus.texts.facts import ClassFacts, Facts
from fusar_train.evaluation.bootstrap import Statistic, ratio
from fusar_train.klip.benchmarks.facts import CEILING, CHANCE, COLUMNS, FIRST, PRECISION, Query, found_right
from fusar_train.klip.benchmarks.options import BenchmarkOptions
from fusar_train.klip.benchmarks.section import Figure, Row, Section, measured
from fusar_train.klip.data import STRANGE
from fusar_train.validation import Number, SettingsError, first_fault

BUILT_IN = Path(__file__).with_name("queries.yaml")
_STRICT = ConfigDict(extra="forbid")
_Region = Annotated[int, Field(strict=True, ge=1, le=9)]
_Words = Annotated[tuple[str, ...], Field(min_length=1)]
_KINDS = ("count", "arrangement", "length_m", "cover", "place")
_MOST_QUERIES = 1000
_TOO_STRANGE = 0.5
"""The share of unknown words from which a language is left out."""


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Condition:
    """One thing that a right image shows; exactly one of the first five entries says what.

    Attributes:
        count: Targets of a class, as many as ``least`` to ``most``.
        arrangement: How the targets of a class lie: one of ``words``.
        length_m: The longer side of a class's targets in metres: that of at least one is ``least`` to ``most``.
        cover: Land covers, whose summed share of the image (or of ``regions``) is ``least`` to ``most``, 0 to 1.
        place: The kind of place is one of these.
        regions: Only there; numbers 1 to 9 of the 3 x 3 grid, row by row.
        words: See ``arrangement``.
        least, most: Limits, both included.
    """

    count: str | None = None
    arrangement: str | None = None
    length_m: str | None = None
    cover: _Words | None = None
    place: _Words | None = None
    regions: tuple[_Region, ...] | None = None
    words: tuple[Literal["single", "pair", "row", "cluster", "scattered"], ...] = ()
    least: Number | None = None
    most: Number | None = None

    @model_validator(mode="after")
    def _fit_together(self) -> Condition:
        named = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(named) != 1:
            raise ValueError(f"a condition has exactly one of {', '.join(_KINDS)}, not {named or 'none'}")
        limits = self.least is not None or self.most is not None
        if limits == (named[0] in ("place", "arrangement")):
            raise ValueError(f"{named[0]} {'has no' if limits else 'needs'} least or most")
        if (named[0] == "arrangement") != bool(self.words):
            raise ValueError("words say how the targets lie, and stand beside arrangement only")
        if self.regions is not None and named[0] not in ("count", "cover"):
            raise ValueError("regions stand beside count and cover only")
        return self

    def holds(self, facts: Facts) -> bool | None:
        """Whether it is so; None where the facts do not tell."""
        if self.place is not None:
            return None if facts.place is None else facts.place in self.place
        if self.cover is not None:
            return self._covered(facts, self.cover)
        label = self.count or self.arrangement or self.length_m
        if label in facts.absent:
            return bool(self.count) and self._within(0)
        seen = next((each for each in facts.classes if each.label == label), None)
        if seen is None or seen.doubtful or not seen.complete:
            return None
        return self._of_targets(seen, facts)

    def _of_targets(self, seen: ClassFacts, facts: Facts) -> bool | None:
        if self.arrangement:
            return seen.arrangement in self.words if seen.arrangement else None
        if self.length_m:
            if not (facts.pixel_m and seen.extents):
                return None
            return any(self._within(max(extent) * facts.pixel_m) for extent in seen.extents)
        if self.regions is None:
            return self._within(seen.count)
        if not seen.cells:
            return None
        return self._within(sum(cell + 1 in self.regions for cell in seen.cells))

    def _covered(self, facts: Facts, names: Sequence[str]) -> bool | None:
        cover = facts.cover
        if cover is None:
            return None
        if self.regions is None:
            return self._within(sum(cover.shares.get(name, 0.0) for name in names))
        if not cover.where:
            return None
        cells = [
            cover.where[name][region - 1] for name in names if name in cover.where for region in self.regions
        ]
        return self._within(sum(cells) / len(self.regions))

    def _within(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class TypedQuery:
    """A query in an analyst's words.

    An image is right when all of ``all_of``, one of ``any_of`` (if there are any) and none of ``none_of`` hold.

    Attributes:
        text: The words.
        language: "en", "zh" or another tag; figures are told by language, too.
        all_of, any_of, none_of: The conditions.
    """

    text: Annotated[str, Field(min_length=1, max_length=500)]
    language: str = "en"
    all_of: tuple[Condition, ...] = ()
    any_of: tuple[Condition, ...] = ()
    none_of: tuple[Condition, ...] = ()

    @model_validator(mode="after")
    def _judged(self) -> TypedQuery:
        if not (self.all_of or self.any_of or self.none_of):
            raise ValueError("a query needs conditions, under all_of, any_of or none_of")
        return self

    def right(self, facts: Facts) -> bool | None:
        """Whether an image of such facts is right; None where they do not tell."""
        every = [one.holds(facts) for one in self.all_of]
        every += [_not(one.holds(facts)) for one in self.none_of]
        if self.any_of:
            every.append(_any([one.holds(facts) for one in self.any_of]))
        return _not(_any([_not(one) for one in every]))


def _not(verdict: bool | None) -> bool | None:
    return None if verdict is None else not verdict


def _any(verdicts: Sequence[bool | None]) -> bool | None:
    """Whether one holds; None where that depends on one that is not known."""
    return True if True in verdicts else None if None in verdicts else False


def read_queries(path: Path) -> tuple[TypedQuery, ...]:
    """The queries of a YAML file, a list of them under ``queries``.

    Raises:
        SettingsError: It cannot be read, or an entry makes no sense.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not (isinstance(content, dict) and list(content) == ["queries"] and content["queries"]):
            raise SettingsError(f"{path} holds no queries: it is a list under the one entry queries.")
        found = TypeAdapter(
            Annotated[tuple[TypedQuery, ...], Field(max_length=_MOST_QUERIES)]
        ).validate_python(content["queries"])
    except ValidationError as error:
        raise SettingsError(
            f"{path} makes no sense: query {first_fault(error).strip()}. Correct it."
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(
            f"{path} cannot be read as YAML ({reason}): correct it or give another."
        ) from error
    return found


def sections(options: BenchmarkOptions) -> list[Section]:
    """P@10 of each typed query and their means; queries that cannot be judged are left out and named."""
    described = options.described
    facts = [known_facts(record) for record in described.data.records]
    judged = []
    left: dict[str, list[str]] = {}
    queries = read_queries(options.queries or BUILT_IN)
    foreign = _foreign(queries, described.klip.tokenizer)
    for query in queries:
        verdicts = [None if each is None else query.right(each) for each in facts]
        right = [number for number, verdict in enumerate(verdicts) if verdict]
        if why := _left_out(verdicts, foreign=query.language in foreign):
            left.setdefault(why, []).append(query.text)
        else:
            judged.append((query, Query(query.text, right)))
    notes = [
        f"Right are images whose truth meets the query's conditions, of {len(facts)} images. Images that do not tell "
        "count as wrong. Intervals of the means are over queries.",
        *(f"Left out, as {why}: {'; '.join(texts)}" for why, texts in left.items()),
    ]
    if not judged:
        return [Section("queries", "Typed queries", COLUMNS, (), (), tuple(notes))]
    kept, asked = zip(*judged, strict=True)
    vectors = described.text_vectors([one.text for one in asked])
    found = found_right(vectors, described.vectors, asked).tolist()
    strange = [one.text for one in asked if described.klip.tokenizer.unknown_share([one.text]) > STRANGE]
    if strange:
        notes.append(f"With words that are unknown to the tokenizer: {'; '.join(strange)}")
    rows = (*_means(kept, asked, found, len(facts), options.seed), *_each(asked, found, len(facts)))
    return [Section("queries", "Typed queries", COLUMNS, rows, (), tuple(notes))]


def known_facts(record: Record) -> Facts | None:
    """What the truth tells of an image, None where it makes no sense."""
    try:
        return Facts.of(record, prior=False)
    except CorpusError:
        return None


def _foreign(queries: Sequence[TypedQuery], tokenizer: KlipTokenizer) -> set[str]:
    """The languages most of whose words the model does not know; of others, no query is left out for its words."""
    texts: dict[str, list[str]] = {}
    for query in queries:
        texts.setdefault(query.language, []).append(query.text)
    return {language for language, mine in texts.items() if tokenizer.unknown_share(mine) > _TOO_STRANGE}


def _left_out(verdicts: Sequence[bool | None], *, foreign: bool) -> str | None:
    if foreign:
        return "the model does not know their language"
    if all(verdict is None for verdict in verdicts):
        return "the records do not tell which images are right"
    return None if any(verdicts) else "no image is right"


def _figures(right: Sequence[int], images: int, found: float) -> Mapping[str, float]:
    share = len(right) / images
    return {PRECISION: found, CHANCE: share, CEILING: min(len(right) / min(FIRST, images), 1.0)}


def _each(asked: Sequence[Query], found: Sequence[float], images: int) -> list[Row]:
    return [
        Row(one.text, {name: Figure(value, 1) for name, value in _figures(one.right, images, share).items()})
        for one, share in zip(asked, found, strict=True)
    ]


def _means(
    kept: Sequence[TypedQuery], asked: Sequence[Query], found: Sequence[float], images: int, seed: int
) -> list[Row]:
    values = [_figures(one.right, images, share) for one, share in zip(asked, found, strict=True)]
    languages = list(dict.fromkeys(query.language for query in kept))
    groups = {"mean": [True] * len(kept)}
    if len(languages) > 1:
        groups |= {f"mean, {language}": [q.language == language for q in kept] for language in languages}
    rows = []
    for name, mine in groups.items():
        there = np.array(mine, float)
        statistics: dict[str, Statistic] = {
            column: ratio(np.array([one[column] for one in values]) * there, there) for column in COLUMNS
        }
        rows.append(Row(name, measured(statistics, len(kept), seed)))
    return rows
