"""The sub-texts of terrain, each with the facts that it tells in one canonical form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from fusar_train.corpus.texts import phrases as p
from fusar_train.corpus.texts.cover import BUILT, CROPS, OPEN, PRIOR, QUAYS, ROADS, WATER, Cover
from fusar_train.corpus.texts.facts import Facts
from fusar_train.corpus.texts.target_texts import NOTHING, Said, doubt, joined
from fusar_train.corpus.texts.wording import (
    EVERYWHERE,
    NUMBERS,
    Chooser,
    is_plural,
    listed,
    percent,
    sentence,
    share_words,
    where,
    worded,
)

_NEARLY_ALL = 0.95
_CLEAR = 0.25
"""Of the image's third: as far apart must the middles of two covers be that one lies on a side of the other."""


def terrain(facts: Facts, choose: Chooser) -> Said:
    """The main land covers and their shares."""
    cover = facts.cover
    if cover is None or not cover.main:
        return NOTHING
    first, *others = cover.main[:3]
    if cover.shares[first] >= _NEARLY_ALL:
        return _told(
            facts, choose, f"all {first}", worded(p.NEARLY_ALL, choose, is_plural(first), cover=first)
        )
    rest = listed([f"{name} ({share_words(cover.shares[name], choose)})" for name in others])
    rest = worded(p.REST, choose, True, rest=rest) if others else ""
    fields = {"cover": first, "share": share_words(cover.shares[first], choose), "rest": rest}
    told = "+".join(f"{name} {percent(cover.shares[name])}" for name in cover.main[:3])
    return _told(facts, choose, told, worded(p.TERRAIN, choose, is_plural(first), **fields))


def functionality(facts: Facts, choose: Chooser) -> Said:
    """What the place, or its land cover, is used for."""
    cover = facts.cover
    uses = [p.USES[facts.place]] if facts.place in p.USES else []
    if cover is not None:
        large = [name for name in (BUILT, CROPS) if cover.shares.get(name, 0.0) >= 0.2]
        uses += [p.USES[name] for name in large if not (uses and name == BUILT)]
    if not uses:
        return NOTHING
    unsure = facts.open and facts.place in p.USES
    clause = worded(p.FUNCTION_OPEN if unsure else p.FUNCTION, choose, False, uses=listed(uses))
    told = "+".join(uses) + "~" * unsure
    return (told, sentence(clause)) if facts.place in p.USES else _told(facts, choose, told, clause)


def location(facts: Facts, choose: Chooser) -> Said:
    """Where the main land covers lie."""
    cover = facts.cover
    if cover is None:
        return NOTHING
    names = [name for name in cover.main[:3] if cover.shares[name] >= 0.1 and name in cover.where]
    return joined([_located(facts, cover, name, choose) for name in names])


def _located(facts: Facts, cover: Cover, name: str, choose: Chooser) -> Said:
    cells = cover.cells(name)
    place, told = where(cells), f"{name}@{''.join(map(str, sorted(cells)))}"
    if all(share >= 0.5 for share in (cover.where[name][cell] for cell in cells)):
        table = p.COVER_WHERE
    else:
        table = p.COVER_MOST
    fields = {"cover": name, "the_cover": f"the {name}", "where": place}
    return _told(facts, choose, told, worded(table, choose, is_plural(name), **fields))


def layout(facts: Facts, choose: Chooser) -> Said:
    """Which land covers lead in how many of the nine parts of the image."""
    cover = facts.cover
    if cover is None or not cover.where:
        return NOTHING
    leads = Counter(max(cover.where, key=lambda name: cover.where[name][cell]) for cell in range(9))
    order = sorted(leads, key=lambda name: (-leads[name], name))
    first, *others = order
    told = "+".join(f"{name} {leads[name]}" for name in order)
    if not others:
        return _told(facts, choose, told, worded(p.LAYOUT_ONE, choose, is_plural(first), cover=first))
    n = NUMBERS[leads[first]]
    fields = {
        "leads": listed([n, *(f"{name} {NUMBERS[leads[name]]}" for name in others)]),
        "leads_in": listed([f"in {n}", *(f"{name} in {NUMBERS[leads[name]]}" for name in others)]),
        "others": listed([f"{name} in {NUMBERS[leads[name]]}" for name in others]),
    }
    return _told(facts, choose, told, worded(p.LAYOUT, choose, is_plural(first), cover=first, n=n, **fields))


def boundary(facts: Facts, choose: Chooser) -> Said:
    """Between which land covers there is a boundary, and where: that of water first."""
    cover = facts.cover
    if cover is None or not cover.main or not cover.where:
        return NOTHING
    first = cover.main[0]
    if cover.shares[first] >= _NEARLY_ALL:
        return _told(
            facts, choose, f"none, {first}", worded(p.NO_BOUNDARY, choose, is_plural(first), cover=first)
        )
    pair = sides(cover)
    if pair is None:
        return NOTHING
    (one, ones), (other, others) = pair
    cells = frozenset(c for c in range(9) if ones[c] >= 0.1 and others[c] >= 0.1)
    parts = []
    if cells:
        told = f"{one}|{other}@{''.join(map(str, sorted(cells)))}"
        clause = worded(p.BOUNDARY, choose, True, one=one, other=other, where=where(cells))
        parts.append(_told(facts, choose, told, clause))
    side = side_of(ones, others)
    if side:
        clause = worded(p.BOUNDARY_SIDE, choose, is_plural(one), one=one, other=other, side=side)
        parts.append(_told(facts, choose, f"{one} {side}", clause))
    return joined(parts)


Shares = tuple[float, ...]


def sides(cover: Cover) -> tuple[tuple[str, Shares], tuple[str, Shares]] | None:
    """What lies on either side of the shore, or else the two main covers, each with its share of the cells."""
    known = [cover.where[name] for name in (WATER, OPEN) if name in cover.where]
    wet = [name for name in (WATER, OPEN) if cover.shares.get(name, 0.0) >= 0.05 and name in cover.where]
    if len(wet) == 1 and abs(sum(cover.shares.values()) - 1) < 0.03:
        dry = tuple(max(1 - sum(shares), 0.0) for shares in zip(*known, strict=True))
        if sum(dry) / len(dry) >= 0.05:
            return (wet[0], cover.where[wet[0]]), ("land" if wet[0] == WATER else "other ground", dry)
    main = [name for name in cover.main[:2] if name in cover.where]
    if len(main) < 2:
        return None
    return (main[0], cover.where[main[0]]), (main[1], cover.where[main[1]])


def side_of(ones: Shares, others: Shares) -> str:
    """On which side of another a cover lies, by the middles of their cells."""
    dx, dy = (a - b for a, b in zip(_middle(ones), _middle(others), strict=True))
    if max(abs(dx), abs(dy)) < _CLEAR:
        return ""
    if abs(dx) > abs(dy):
        return "to the right of" if dx > 0 else "to the left of"
    return "below" if dy > 0 else "above"


def _middle(shares: Shares) -> tuple[float, float]:
    total = sum(shares)
    x = sum(share * (cell % 3) for cell, share in enumerate(shares)) / total
    return x, sum(share * (cell // 3) for cell, share in enumerate(shares)) / total


def building(facts: Facts, choose: Chooser) -> Said:
    """Built-up land and quays."""
    return _one_of(facts, choose, (BUILT, QUAYS))


def road(facts: Facts, choose: Chooser) -> Said:
    """Roads and other paved strips, where the land cover knows them."""
    return _one_of(facts, choose, (ROADS,)) if facts.cover and ROADS in facts.cover.shares else NOTHING


def water(facts: Facts, choose: Chooser) -> Said:
    """Water, and smooth dark surfaces that may be water."""
    return _one_of(facts, choose, (WATER, OPEN))


def _one_of(facts: Facts, choose: Chooser, names: tuple[str, ...]) -> Said:
    """Share and place of each of some land covers; that the first is absent, where this is known."""
    cover = facts.cover
    if cover is None:
        return NOTHING
    seen = [name for name in names if cover.shares.get(name, 0.0) >= 0.005 and name in cover.where]
    parts = [_covered(facts, cover, name, choose) for name in seen]
    if OPEN in seen:
        parts.append(("", sentence(choose.of(p.MAY_BE_WATER))))
    if not seen and cover.absent(names[0]):
        clause = worded(p.NO_COVER, choose, is_plural(names[0]), cover=names[0])
        parts.append((f"{names[0]} 0", sentence(clause)))
    return joined(parts)


def _covered(facts: Facts, cover: Cover, name: str, choose: Chooser) -> Said:
    share = cover.shares[name]
    if share >= _NEARLY_ALL:
        return _told(facts, choose, f"all {name}", worded(p.NEARLY_ALL, choose, is_plural(name), cover=name))
    cells = cover.cells(name)
    place = where(cells)
    place = place if place == EVERYWHERE or cover.where[name][min(cells)] >= 0.5 else f"most of all {place}"
    told = f"{name} {percent(share)}@{''.join(map(str, sorted(cells)))}"
    fields = {"cover": name, "share": share_words(share, choose), "where": place}
    return _told(facts, choose, told, worded(p.COVERED, choose, is_plural(name), **fields))


def _told(facts: Facts, choose: Chooser, told: str, clause: str) -> Said:
    assert facts.cover is not None
    told = f"prior {told}" if facts.cover.source == PRIOR else told
    return told, sentence(clause, doubt(facts, choose))


TERRAIN: Mapping[str, Callable[[Facts, Chooser], Said]] = {
    "Terrain": terrain,
    "Functionality": functionality,
    "Location": location,
    "Layout": layout,
    "Boundary": boundary,
    "Building": building,
    "Road": road,
    "Water": water,
}
