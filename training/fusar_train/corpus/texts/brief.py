"""Brief sub-texts in English and in Chinese: the same few words' worth of coarse facts, for small dual encoders.

A tower of few layers reads eight phrases ten times as fast as eight sentences, and coarse facts repeat often enough to
be learned. Two texts of equal ``by["facts"]`` say the same, in whichever language.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median

from fusar_train.corpus.texts import phrases
from fusar_train.corpus.texts.cover import BUILT, OPEN, QUAYS, ROADS, WATER, Cover
from fusar_train.corpus.texts.facts import ClassFacts, Facts
from fusar_train.corpus.texts.target_texts import SIZES_M
from fusar_train.corpus.texts.terrain_texts import side_of, sides

_MOST_CLASSES = 3
_EXACT = 9
"""Counts above are told in fives."""
_MOST_OF = 0.75
"""The share of what is located that an area must hold."""
_SIZES = ("small", "medium", "large")
_OF_IMAGE = (0.05, 0.15)
"""Of the image's side: the limits of sizes where no pixel size, or no usual length, is known."""
_AMOUNTS = ((0.1, "little"), (0.3, "some"), (1.01, "much"))
_LEADS = ((8, "everywhere"), (6, "most"), (4, "half"), (0, "patchwork"))
_LIMIT = 0.15

Cells = frozenset[int]
AREAS: Mapping[Cells, str] = {
    **{
        Cells({cell}): name
        for cell, name in enumerate(
            ("upper left", "upper middle", "upper right", "left middle", "centre", "right middle",
             "lower left", "lower middle", "lower right")
        )
    },
    Cells({0, 1, 2}): "top", Cells({3, 4, 5}): "middle row", Cells({6, 7, 8}): "bottom",
    Cells({0, 3, 6}): "left edge", Cells({1, 4, 7}): "middle column", Cells({2, 5, 8}): "right edge",
    Cells({0, 1, 3, 4}): "upper left part", Cells({1, 2, 4, 5}): "upper right part",
    Cells({3, 4, 6, 7}): "lower left part", Cells({4, 5, 7, 8}): "lower right part",
    Cells(range(6)): "upper part", Cells(range(3, 9)): "lower part",
    Cells({0, 1, 3, 4, 6, 7}): "left part", Cells({1, 2, 4, 5, 7, 8}): "right part",
    Cells(range(9)): "all over",
}  # fmt: skip
"""The areas of the 3 x 3 grid that are told, cells 0 to 8 row by row; the smaller ones first."""


@dataclass(frozen=True)
class Statement:
    """One fact, and what its words are made of.

    Attributes:
        fact: In its canonical form.
        kind: Which phrase tells it.
        label, count: The targets that it is about; how many there are decides between one and several.
        words: Other words of the phrase by name, each a term of ``brief_words``.
    """

    fact: str
    kind: str
    label: str = ""
    count: int = 0
    words: Mapping[str, str] = field(default_factory=dict)


def statements(facts: Facts, keys: str) -> dict[str, list[Statement]]:
    """What is told of an image by key; a key of which nothing is known has none.

    Args:
        facts: Of the image.
        keys: The key set, "targets" or "terrain".
    """
    return {key: list(told(facts)) for key, told in TABLES[keys].items()}


def _seen(facts: Facts) -> list[ClassFacts]:
    """In the order of their names, so that equal facts are written alike."""
    return sorted([each for each in facts.classes if each.count][:_MOST_CLASSES], key=lambda each: each.label)


def _count(facts: Facts) -> Iterator[Statement]:
    for each in _seen(facts):
        n = each.count if each.count <= _EXACT else 5 * round(each.count / 5)
        kind = "count" if n <= _EXACT else "about"
        if each.complete:
            yield Statement(f"{each.label}={n}", kind, each.label, each.count, {"n": str(n)})
        else:
            yield Statement(f"{each.label}>={n}", "least", each.label, each.count, {"n": str(n)})
    for label in facts.absent[:_MOST_CLASSES]:
        yield Statement(f"{label}=0", "none", label, 2)


def _location(facts: Facts) -> Iterator[Statement]:
    for each in _seen(facts):
        if each.cells:
            at = area_of(Counter(each.cells))
            told = f"{each.label}@{_digits(at)}"
            yield Statement(told, "located", each.label, each.count, {"area": AREAS[at]})


def area_of(amounts: Mapping[int, float]) -> Cells:
    """The smallest area that holds most of some amounts by cell; of several, the one that holds more."""
    total = sum(amounts.values())
    held = {cells: sum(amounts.get(cell, 0) for cell in cells) for cells in AREAS}
    return min(
        (cells for cells in AREAS if held[cells] >= _MOST_OF * total),
        key=lambda cells: (len(cells), -held[cells]),
    )


def _digits(cells: Cells) -> str:
    return "".join(map(str, sorted(cells)))


def _feature(facts: Facts) -> Iterator[Statement]:
    for each in _seen(facts):
        if each.lies:
            kind = max(each.lies, key=lambda lie: each.lies[lie])
            kind = kind if 2 * each.lies[kind] > each.count else "mixed"
            yield Statement(f"{each.label}:{kind}", f"lies {kind}", each.label, each.count)


def _size(facts: Facts) -> Iterator[Statement]:
    for each in _seen(facts):
        if each.extents and each.cut < each.count:
            length = median(max(extent) for extent in each.extents)
            limits: tuple[float, float] = _OF_IMAGE
            if facts.pixel_m and each.label in SIZES_M:
                length, limits = length * facts.pixel_m, SIZES_M[each.label]
            else:
                length /= max(facts.size)
            name = _SIZES[sum(length >= limit for limit in limits)]
            yield Statement(f"{each.label}:{name}", f"size {name}", each.label, each.count)


def _category(facts: Facts) -> Iterator[Statement]:
    for each in _seen(facts):
        yield Statement(each.label, "category", each.label, each.count)
        for fine in each.fine[:_MOST_CLASSES]:
            yield Statement(f"{each.label}:{fine}", "fine", each.label, each.count, {"fine": fine})
    if not facts.classes and facts.absent:
        yield Statement("none of " + "+".join(facts.absent), "no targets")


def _distribution(facts: Facts) -> Iterator[Statement]:
    for each in _seen(facts):
        if each.complete and not each.doubtful and each.arrangement:
            told = f"{each.label}:{each.arrangement}"
            yield Statement(told, f"lie {each.arrangement}", each.label, each.count)


def _region(facts: Facts) -> Iterator[Statement]:
    if facts.place:
        yield Statement(facts.place, "place", words={"place": facts.place})
    elif facts.shore in phrases.SHORE:
        yield Statement(facts.shore, f"shore {facts.shore}")


def _environment(facts: Facts) -> Iterator[Statement]:
    cover = facts.cover
    if cover is None or not cover.main:
        return
    known = [each for each in _seen(facts) if each.cells]
    for each in known:
        around = cover.around(frozenset(each.cells))
        if around:
            name = around[0][0]
            yield Statement(f"{each.label}:{name}", "around", each.label, each.count, {"cover": name})
    if not known:
        yield Statement(cover.main[0], "surroundings", words={"cover": cover.main[0]})


def _terrain(facts: Facts) -> Iterator[Statement]:
    if facts.cover is None:
        return
    main = [name for name in facts.cover.main[:2] if facts.cover.shares[name] >= _LIMIT]
    if len(main) == 2:
        yield Statement("+".join(main), "two covers", words={"cover": main[0], "other": main[1]})
    elif main:
        yield Statement(main[0], "one cover", words={"cover": main[0]})


def _functionality(facts: Facts) -> Iterator[Statement]:
    use = phrases.USES.get(facts.place or "")
    if not use and facts.cover is not None and facts.cover.main:
        use = phrases.USES.get(facts.cover.main[0])
    if use:
        yield Statement(use, "use", words={"use": use})


def _cover_location(facts: Facts) -> Iterator[Statement]:
    if facts.cover is None:
        return
    for name in facts.cover.main[:2]:
        if facts.cover.shares[name] >= _LIMIT and any(facts.cover.where.get(name, ())):
            at = _cover_area(facts.cover, name)
            yield Statement(f"{name}@{_digits(at)}", "covers", words={"cover": name, "area": AREAS[at]})


def _cover_area(cover: Cover, name: str) -> Cells:
    return area_of(dict(enumerate(cover.where[name])))


def _layout(facts: Facts) -> Iterator[Statement]:
    cover = facts.cover
    if cover is None or not cover.where:
        return
    leads = Counter(max(cover.where, key=lambda name: cover.where[name][cell]) for cell in range(9))
    name, parts = max(leads.items(), key=lambda item: (item[1], item[0]))
    how = next(how for least, how in _LEADS if parts >= least)
    yield Statement(f"{name} {how}", f"leads {how}", words={"cover": name})


def _boundary(facts: Facts) -> Iterator[Statement]:
    cover = facts.cover
    pair = sides(cover) if cover is not None and cover.main and cover.where else None
    if pair is None:
        if cover is not None and len(cover.main) == 1:
            yield Statement("none", "no boundary", words={"cover": cover.main[0]})
        return
    (one, ones), (other, others) = pair
    side = side_of(ones, others) or "beside"
    yield Statement(f"{one} {side} {other}", f"side {side}", words={"cover": one, "other": other})


def _amount(*names: str) -> Callable[[Facts], Iterator[Statement]]:
    """How much there is of some land covers, and where; that the first is absent, where this is known."""

    def told(facts: Facts) -> Iterator[Statement]:
        cover = facts.cover
        if cover is None:
            return
        seen = [
            name for name in names if cover.shares.get(name, 0) >= 0.01 and any(cover.where.get(name, ()))
        ]
        for name in seen:
            at = _cover_area(cover, name)
            much = next(word for limit, word in _AMOUNTS if cover.shares[name] < limit)
            words = {"cover": name, "area": AREAS[at]}
            yield Statement(f"{name} {much}@{_digits(at)}", f"amount {much}", words=words)
        if not seen and cover.absent(names[0]):
            yield Statement(f"{names[0]} 0", "no cover", words={"cover": names[0]})

    return told


TABLES: Mapping[str, Mapping[str, Callable[[Facts], Iterator[Statement]]]] = {
    "targets": {
        "Count": _count,
        "Location": _location,
        "Feature": _feature,
        "Size": _size,
        "Category": _category,
        "Distribution": _distribution,
        "Region": _region,
        "Environment": _environment,
    },
    "terrain": {
        "Terrain": _terrain,
        "Functionality": _functionality,
        "Location": _cover_location,
        "Layout": _layout,
        "Boundary": _boundary,
        "Building": _amount(BUILT, QUAYS),
        "Road": _amount(ROADS),
        "Water": _amount(WATER, OPEN),
    },
}
