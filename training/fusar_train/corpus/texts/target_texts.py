"""The sub-texts of targets, each with the facts that it tells in one canonical form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fusar_train.corpus.labels import PLANE, SHIP
from fusar_train.corpus.texts import phrases as p
from fusar_train.corpus.texts.cover import BUILT, PRIOR, QUAYS
from fusar_train.corpus.texts.facts import ClassFacts, Facts
from fusar_train.corpus.texts.wording import (
    Chooser,
    a,
    is_plural,
    listed,
    metres,
    nouns,
    number,
    percent,
    rounded,
    sentence,
    where,
    worded,
)

Said = tuple[str, str]
"""The facts and the text; both are empty where the key cannot be known."""

NOTHING: Said = ("", "")
_MOST_CLASSES = 3
_MOST_ABSENT = 3
SIZES_M = {SHIP: (50, 150), PLANE: (25, 45)}
_SIZES = ("small", "medium-sized", "large")
_ORDER = ("across", "upright", "compact", "point")


def joined(parts: Sequence[Said]) -> Said:
    """Several statements as one sub-text."""
    kept = [part for part in parts if part[1]]
    return ";".join(facts for facts, _ in kept if facts), " ".join(text for _, text in kept)


def count(facts: Facts, choose: Chooser) -> Said:
    """How many of each class, as far as they may be counted; a class that is not complete has at least so many."""
    items, told, more = [], [], []
    for each in facts.classes:
        one, many = nouns(each.label, each.open, choose)
        if each.count:
            n = number(each.count, choose)
            n = n if each.complete else f"at least {n.replace('a single', 'one')}"
            items.append(f"{n} {one if each.count == 1 else many}")
            told.append(f"{each.label}{'~' if each.open else ''}{'=' if each.complete else '>='}{each.count}")
        if each.doubtful:
            more.append(_doubtful(each, one, many, choose))
    several = len(items) > 1 or any(each.count > 1 for each in facts.classes)
    main = sentence(worded(p.PRESENT, choose, several, items=listed(items))) if items else ""
    return joined([(";".join(told), main), _absent(facts, choose), *more])


def _doubtful(each: ClassFacts, one: str, many: str, choose: Chooser) -> Said:
    several = each.doubtful > 1
    n = number(each.doubtful, choose) if several else "one"
    items = f"{n} {'more ' if each.count else ''}{'objects' if several else 'object'}"
    clause = worded(p.DOUBTFUL, choose, several, items=items, kind=many if several else a(one))
    return f"{each.label}?={each.doubtful}", sentence(clause)


def _absent(facts: Facts, choose: Chooser) -> Said:
    names = facts.absent
    if not names or (facts.classes and len(names) > _MOST_ABSENT):
        return NOTHING
    told = ";".join(f"{name}=0" for name in names)
    called = [nouns(name, False, choose) for name in names]
    fields = {"names": listed([several for _, several in called], "or")}
    fields |= {"name": listed([one for one, _ in called], "or")}
    return told, sentence(worded(p.NONE, choose, True, **fields))


def location(facts: Facts, choose: Chooser) -> Said:
    """In which cells of the 3 x 3 grid the targets of each class lie."""
    return joined([_located(each, choose) for each in facts.classes[:_MOST_CLASSES] if each.cells])


def _located(each: ClassFacts, choose: Chooser) -> Said:
    cells = frozenset(each.cells)
    clause = worded(p.LOCATED, choose, each.count > 1, subject=_subject(each, choose), where=where(cells))
    return f"{each.label}@{''.join(str(cell) for cell in sorted(cells))}", sentence(clause)


def feature(facts: Facts, choose: Chooser) -> Said:
    """The outlines of the targets, and whether the image's edge cuts them."""
    parts = []
    for each in facts.classes[:_MOST_CLASSES]:
        if each.lies:
            parts.append(_outline(each, choose))
        if each.cut:
            table = p.CUT_ONE if each.count == 1 else p.CUT_SOME
            some = "one" if each.cut == 1 else "some"
            parts.append((f"cut={some}", sentence(worded(table, choose, each.cut > 1))))
    return joined(parts)


def _outline(each: ClassFacts, choose: Chooser) -> Said:
    kinds = sorted(each.lies, key=lambda kind: (-each.lies[kind], _ORDER.index(kind)))
    most = len(kinds) > 1 and 2 * each.lies[kinds[0]] > each.count
    forms = [p.LIES[kind] for kind in kinds]
    form = forms[0]
    if len(kinds) > 1:
        form = (
            f"{'mostly' if most else 'partly'} {forms[0]}, {listed(['partly ' + each for each in forms[1:]])}"
        )
    several = each.count > 1
    form = form if several else form.replace("points", "a point")
    clause = worded(p.FEATURE, choose, several, subject=_subject(each, choose), form=form)
    return f"{each.label}:{'most ' if most else ''}{'+'.join(kinds)}", sentence(clause)


def size(facts: Facts, choose: Chooser) -> Said:
    """The extent of the targets' boxes in metres, or as a share of the image where no pixel size is known."""
    shown = [each for each in facts.classes[:_MOST_CLASSES] if each.extents and not _all_cut(each)]
    return joined([_sized(each, facts, choose) for each in shown])


def _all_cut(each: ClassFacts) -> bool:
    return each.cut == each.count


def _sized(each: ClassFacts, facts: Facts, choose: Chooser) -> Said:
    subject = _subject(each, choose)
    measure = _measure(facts)
    if each.count == 1:
        width, height = (
            measure(side, whole) for side, whole in zip(each.extents[0], facts.size, strict=True)
        )
        table = p.SIZE_ONE if facts.pixel_m else p.SIZE_SHARE
        clause = worded(table, choose, False, subject=subject, width=width, height=height)
        said = (f"{each.label}:{width} x {height}", sentence(clause))
        return joined([said, _size_class(each, facts, choose)])
    longer = sorted(max(extent) for extent in each.extents)
    low, high = measure(longer[0], max(facts.size)), measure(longer[-1], max(facts.size))
    of = "" if facts.pixel_m else " of the longer side of the image"
    fields = {"subject": subject, "low": low + of * (low == high), "high": high + of}
    table = p.SIZE_SAME if low == high else p.SIZE_RANGE
    return f"{each.label}:{low}-{high}", sentence(worded(table, choose, True, **fields))


def _measure(facts: Facts) -> Callable[[float, int], str]:
    """How a length in pixels is told: in metres, else as a share of the image's side."""
    if facts.pixel_m:
        pixel_m = facts.pixel_m
        return lambda pixels, _: metres(pixels * pixel_m)
    return lambda pixels, side: f"{max(round(100 * pixels / side), 1)} %"


def _size_class(each: ClassFacts, facts: Facts, choose: Chooser) -> Said:
    if each.label not in SIZES_M or not facts.pixel_m:
        return NOTHING
    length = rounded(max(each.extents[0]) * facts.pixel_m)
    name = _SIZES[sum(length >= limit for limit in SIZES_M[each.label])]
    one = nouns(each.label, each.open, choose)[0]
    clause = worded(p.SIZE_CLASS, choose, False, size=name, a_size=a(name), a_noun=a(one))
    return name, sentence(clause)


def category(facts: Facts, choose: Chooser) -> Said:
    """The classes of the targets and their types; which classes are absent."""
    seen = [each for each in facts.classes if each.count]
    if not seen:
        return _no_targets(facts, choose)
    sure, unsure = ([each for each in seen if each.open is state] for state in (False, True))
    parts = []
    if sure:
        parts.append(_kinds(sure, choose))
    if unsure:
        several = sum(each.count for each in unsure) > 1
        kinds = listed([_kind(each.label, several, choose) for each in unsure], "or")
        clause = worded(p.CATEGORY_OPEN, choose, several, kinds=kinds)
        parts.append(("+".join(f"{each.label}~" for each in unsure), sentence(clause)))
    parts += [_types(each, choose) for each in seen[:_MOST_CLASSES] if each.fine]
    return joined(parts)


def _kind(label: str, several: bool, choose: Chooser) -> str:
    one, many = nouns(label, False, choose)
    return many if several else a(one)


def _kinds(seen: Sequence[ClassFacts], choose: Chooser) -> Said:
    told = "+".join(sorted(each.label for each in seen))
    if len(seen) == 1 and seen[0].count == 1:
        one = nouns(seen[0].label, False, choose)[0]
        return told, sentence(worded(p.CATEGORY_ONE, choose, False, a_noun=a(one), class_name=seen[0].label))
    kinds = listed([nouns(each.label, False, choose)[1] for each in seen])
    return told, sentence(worded(p.CATEGORY, choose, True, kinds=kinds))


def _types(each: ClassFacts, choose: Chooser) -> Said:
    several = len(each.fine) > 1
    fields = {"subject": _subject(each, choose), "types": listed(each.fine)}
    return f"{each.label}:{'+'.join(each.fine)}", sentence(worded(p.FINE, choose, several, **fields))


def _no_targets(facts: Facts, choose: Chooser) -> Said:
    if not facts.absent or facts.classes:
        return NOTHING
    clause = worded(p.NO_TARGETS, choose, len(facts.absent) > 1, names=listed(facts.absent, "or"))
    return "none of " + "+".join(facts.absent), sentence(clause)


def distribution(facts: Facts, choose: Chooser) -> Said:
    """How the targets of each class lie to one another, and how far apart; only where all are known for certain."""
    known = [each for each in facts.classes[:_MOST_CLASSES] if each.complete and not each.doubtful]
    return joined([_arranged(each, facts, choose) for each in known if each.arrangement])


def _arranged(each: ClassFacts, facts: Facts, choose: Chooser) -> Said:
    one, several = nouns(each.label, each.open, choose)
    subject = f"the {one if each.count == 1 else several}"
    kind = "only one" if each.count == 1 and len(facts.classes) > 1 else each.arrangement
    clause = worded(p.ARRANGED[kind], choose, each.count > 1, subject=subject, noun=one, nouns=several)
    said = (f"{each.label}:{kind}", sentence(clause))
    if not facts.pixel_m or each.count < 2:
        return said
    distance = metres(each.spacing * facts.pixel_m)
    table = p.SPACED_PAIR if each.count == 2 else p.SPACED
    return joined([said, (distance, sentence(worded(table, choose, True, distance=distance)))])


def region(facts: Facts, choose: Chooser) -> Said:
    """The kind of place, the shore, the ground covered."""
    parts: list[Said] = []
    if facts.place:
        table = p.REGION_OPEN if facts.open else p.REGION
        place = p.PLACES.get(facts.place) or a(facts.place)
        parts.append((facts.place + "~" * facts.open, sentence(worded(table, choose, False, place=place))))
    if facts.shore in p.SHORE:
        parts.append((facts.shore, sentence(choose.of(p.SHORE[facts.shore]))))
    if facts.ground_m:
        width, height = map(metres, facts.ground_m)
        it = "it" if parts else "the image"
        clause = worded(p.GROUND, choose, False, width=width, height=height, it=it)
        parts.append((f"{width} x {height}", sentence(clause)))
    if facts.data_share is not None and facts.data_share < 0.99:
        share = str(percent(1 - facts.data_share))
        parts.append((f"no data {share}", sentence(worded(p.NO_DATA, choose, False, percent=share))))
    return joined(parts)


def environment(facts: Facts, choose: Chooser) -> Said:
    """What lies around the targets, or in the image where there are none."""
    if facts.cover is None:
        return NOTHING
    seen = [each for each in facts.classes[:_MOST_CLASSES] if each.cells]
    told = [_around(each, facts, choose) for each in seen]
    if seen:
        return joined(told)
    covers = [name for name in facts.cover.main if facts.cover.shares[name] >= 0.2][:3]
    if not covers:
        return NOTHING
    clause = worded(p.SURROUNDINGS, choose, _many(covers), covers=listed(covers))
    return _of_source(facts, "+".join(covers)), sentence(clause, doubt(facts, choose))


def _around(each: ClassFacts, facts: Facts, choose: Chooser) -> Said:
    assert facts.cover is not None
    cells = frozenset(each.cells)
    covers = [name for name, _ in facts.cover.around(cells)[:2]]
    if not covers:
        return NOTHING
    several = each.count > 1
    subject = _subject(each, choose)
    phrase = choose.of(p.AROUND)
    agrees = several if phrase.startswith("{subject}") else _many(covers)
    clause = worded((phrase,), choose, agrees, subject=subject, covers=listed(covers))
    parts = [(_of_source(facts, f"{each.label}:{'+'.join(covers)}"), sentence(clause, doubt(facts, choose)))]
    beside = dict(facts.cover.around(cells, 0.1))
    near = [name for name in (QUAYS, BUILT) if name in beside and name not in covers]
    if near and len(cells) == 1:
        clause = worded(p.ALONGSIDE, choose, _many(near), built=listed(near))
        parts.append((f"near {'+'.join(near)}", sentence(clause, doubt(facts, choose))))
    return joined(parts)


def doubt(facts: Facts, choose: Chooser) -> str:
    """Words of doubt before what only the prior tells."""
    return choose.of(p.DOUBTS) if facts.cover is not None and facts.cover.source == PRIOR else ""


def _of_source(facts: Facts, told: str) -> str:
    return f"prior {told}" if facts.cover is not None and facts.cover.source == PRIOR else told


def _many(covers: Sequence[str]) -> bool:
    return len(covers) > 1 or is_plural(covers[0])


def _subject(each: ClassFacts, choose: Chooser) -> str:
    one, several = nouns(each.label, each.open, choose)
    return f"the {one if each.count == 1 else several}"


TARGETS: Mapping[str, Callable[[Facts, Chooser], Said]] = {
    "Count": count,
    "Location": location,
    "Feature": feature,
    "Size": size,
    "Category": category,
    "Distribution": distribution,
    "Region": region,
    "Environment": environment,
}
