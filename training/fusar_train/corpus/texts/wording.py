"""Words for numbers, classes, places in the image and land cover, and the choice among phrasings."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np

from fusar_train.corpus.labels import PLANE, SHIP
from fusar_train.corpus.texts.cover import CROPS

T = TypeVar("T")
NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_SYNONYMS = {SHIP: ("ship", "vessel"), PLANE: ("plane", "aircraft")}
_SAME_PLURAL = ("aircraft", "craft", "sheep", "series", "species", "others", "debris")
_SINGULAR_S = ("bus", "gas", "canvas", "apparatus", "campus")
_PLURAL_COVERS = ("trees", CROPS, "shrubs", "clouds")
CELL_NAMES = (
    "the upper left", "the upper middle", "the upper right", "the middle left", "the centre", "the middle right",
    "the lower left", "the lower middle", "the lower right",
)  # fmt: skip
_ROWS = {
    (0,): "the upper third", (1,): "the middle band from left to right", (2,): "the lower third",
    (0, 1): "the upper two thirds", (1, 2): "the lower two thirds",
}  # fmt: skip
_COLUMNS = {
    (0,): "the left third", (1,): "the middle band from top to bottom", (2,): "the right third",
    (0, 1): "the left two thirds", (1, 2): "the right two thirds",
}  # fmt: skip
_AXES = (
    (tuple(frozenset(range(3 * n, 3 * n + 3)) for n in range(3)), _ROWS),
    (tuple(frozenset(range(n, 9, 3)) for n in range(3)), _COLUMNS),
)
_BEFORE_SUBJECT = (
    "of ",
    "with ",
    "in ",
    "around ",
    "by ",
    "part by part",
    "seen ",
    "everywhere ",
    "all around",
)
ALL_CELLS = frozenset(range(9))
EVERYWHERE = "in all parts of the image"


class Chooser:
    """Draws among phrasings, fast: all draws of a record come from one call of its generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._draws: Iterator[int] = itertools.cycle(rng.integers(1 << 30, size=64).tolist())

    def of(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[next(self._draws) % len(options)]


def number(n: int, choose: Chooser) -> str:
    """A number of things, in a word or in digits."""
    if n < 2:
        return choose.of(("one", "one", "a single")) if n else "no"
    return NUMBERS[n] if n < len(NUMBERS) and choose.of((True, True, False)) else str(n)


def listed(items: Sequence[str], word: str = "and") -> str:
    """One, two or more items as a list."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {word} {items[-1]}"


def a(noun: str) -> str:
    """The noun with its article."""
    vowel = re.match(
        r"(?!u[bcfhjkqrstn][aeiou]|uni|eu|one\b)[aeiou]|hour|(?:[AEFHILMNORSX](?=[A-Z0-9-]|\b))", noun
    )
    return f"{'an' if vowel else 'a'} {noun}"


@lru_cache(maxsize=4096)
def plural(noun: str) -> str:
    """The plural of an English noun; a name that is no lower-case word stays and is followed by "targets"."""
    last = noun.rpartition(" ")[2]

    if not re.fullmatch(r"[a-z-]+", last):
        return f"{noun} targets"
    if (
        last in _SAME_PLURAL
        or last.endswith("craft")
        or (re.search(r"[^s]s$", last) and last not in _SINGULAR_S)
    ):
        return noun
    if re.search(r"(?:s|x|z|ch|sh)$", last):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if re.search(r"[^aeiou]y$", last) else f"{noun}s"


def nouns(label: str, unsure: bool, choose: Chooser) -> tuple[str, str]:
    """What one target of a class and several are called; "ship-like target" where the image leaves open what it is."""
    if label in _SYNONYMS:
        one = choose.of(_SYNONYMS[label])
    else:
        one = " ".join(label.replace("_", " ").split())
        one = one.lower() if re.fullmatch(r"[A-Z][a-z]+(?:[ -][A-Za-z]?[a-z]+)*", one) else one
    several = plural(one)
    if several == f"{one} targets":
        one = f"{one} target"
    return (f"{one}-like target", f"{one}-like targets") if unsure else (one, several)


def is_plural(cover: str) -> bool:
    """Whether a land cover takes a plural verb."""
    last = cover.rpartition(" ")[2]
    return last in _PLURAL_COVERS or (
        last.endswith("s") and not last.endswith(("ss", "us")) and last != "grass"
    )


@lru_cache(maxsize=512)
def where(cells: frozenset[int]) -> str:
    """Where some cells of the 3 x 3 grid are, beginning with a preposition, in thirds where they fill some."""
    if cells == ALL_CELLS:
        return EVERYWHERE
    if len(cells) >= 7:
        return f"everywhere but in {listed([CELL_NAMES[cell] for cell in sorted(ALL_CELLS - cells)])}"
    ways = [_by_lines(cells, *axis) for axis in _AXES]
    return f"in {listed(min(ways, key=len))}"


def _by_lines(
    cells: frozenset[int], lines: Sequence[frozenset[int]], names: Mapping[tuple[int, ...], str]
) -> list[str]:
    full = tuple(n for n, line in enumerate(lines) if line <= cells)
    said = [names[full]] if full in names else [names[n,] for n in full]
    rest = cells.difference(*(lines[n] for n in full))
    return said + [CELL_NAMES[cell] for cell in sorted(rest)]


def metres(value: float) -> str:
    """A length in metres to two digits, in kilometres from 1,000 m on."""
    n = rounded(value)
    return f"{n / 1000:g} km" if n >= 1000 else f"{n:g} m"


def rounded(value: float) -> float:
    """The value to two significant digits."""
    return float(f"{value:.2g}")


def percent(share: float) -> int:
    """A share in percent: to 5 from 10 on, to 1 below, never 0 for what is there."""
    n = 100 * share
    return max(round(n), 1) if n < 10 else 5 * round(n / 5)


def share_words(share: float, choose: Chooser) -> str:
    """About how much of the image a share is."""
    n = percent(share)
    known = {25: "a quarter", 50: "half", 75: "three quarters"}
    if n >= 100:
        return "nearly all"
    if n in known and choose.of((True, False)):
        return f"about {known[n]}"
    return f"{choose.of(('about', 'roughly', 'some'))} {n} %"


@lru_cache(maxsize=1024)
def variants(phrase: str, several: bool) -> tuple[str, ...]:
    """All wordings of a phrase: of "[a|b]" each alternative, of "<is|are>" the one for one or for several."""
    agreed = re.sub(r"<([^|>]*)\|([^>]*)>", r"\2" if several else r"\1", phrase)
    parts = re.split(r"\[([^\]]*)\]", agreed)
    return tuple("".join(each) for each in itertools.product(*_options(parts)))


def _options(parts: Sequence[str]) -> Iterable[Sequence[str]]:
    return [part.split("|") if odd % 2 else (part,) for odd, part in enumerate(parts)]


@lru_cache(maxsize=1024)
def wordings(phrases: tuple[str, ...], several: bool) -> tuple[tuple[str, ...], ...]:
    """The wordings of each phrase of a table."""
    return tuple(variants(phrase, several) for phrase in phrases)


def worded(phrases: tuple[str, ...], choose: Chooser, several: bool, **fields: str) -> str:
    """A clause by one of the phrases, in the number of its subject, its fields filled in."""
    which = wordings(phrases, several)
    clause = choose.of(choose.of(which))
    return clause.format(**fields)


def sentence(clause: str, doubt: str = "") -> str:
    """The clause as a sentence, after words of doubt where there are any."""
    if doubt.endswith("that ") and clause.startswith(_BEFORE_SUBJECT):
        doubt = doubt[:-1] + ", "
    clause = doubt + clause
    return f"{clause[0].upper()}{clause[1:]}."
