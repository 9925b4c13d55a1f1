"""Wrong sub-texts planted among right ones, to measure whether a screen finds them (FUSAR-KLIP's SCIO, 3.3).

What real describers say wrongly nobody knows; here what is wrong is known, and kept apart from
the texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fusar_gpt.output import whole_file
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.sidecars import TEXTS_FOLDER, read_texts, text_line, texts_file
from fusar_train.corpus.texts.sub_texts import KEY_SETS, SubTexts
from fusar_train.corpus.texts.wording import NUMBERS

COUNT, PLACE, OTHER = "count", "place", "other"
KINDS: Mapping[str, str] = {
    COUNT: "another number in the same sentence",
    PLACE: "other parts of the image in the same sentence",
    OTHER: "the sub-text of another slice",
}
"""What is planted: wrong counts, wrong places, and what another slice says of the same key."""

TextsByRecord = Mapping[tuple[str, str], SubTexts]
"""Sub-texts by record id and key set, as ``sidecars.read_texts`` gives them."""

_DONORS = 40
"""Slices that are asked for a wrong sub-text before a key is left as it is: they may all say the same."""
_KIND_OF = {"Count": COUNT, "Location": PLACE}
_UNIT = r"(?!\s*(?:%|per|m\b|km\b|met(?:er|re)s?|kilomet|pixels?|px|x\b|by\b|GHz|dB|degrees?|°|\d|[.,]\d))"
_NUMBER = re.compile(
    rf"(?<![\w.,-])(?:(\d+)(\s*(?:-|to|\u2013)\s*)(\d+)|(\d+|{'|'.join(NUMBERS[2:])}))\b{_UNIT}",
    re.IGNORECASE,
)
_ACROSS = {"left": "right", "right": "left", "west": "east", "east": "west"}
_DOWN = {
    "upper": "lower",
    "lower": "upper",
    "top": "bottom",
    "bottom": "top",
    "north": "south",
    "south": "north",
}
_CENTRE = "middle|cent(?:re|er)"
_PLACE = re.compile(
    rf"\b(?:(?:{'|'.join(_DOWN)}|{_CENTRE})[- ]?)?(?:{'|'.join(_ACROSS)}|{_CENTRE})(?:ern)?\b"
    rf"|\b(?:{'|'.join(_DOWN)})(?:ern)?\b",
    re.IGNORECASE,
)
_FROM_TO = re.compile(
    r"\bfrom (?:left to right|top to bottom|north to south|west to east)\b|\bright[- ]angle"
)
_Changed = tuple[str, str]
"""A wrong text and the facts that it tells; no facts where the describer told none."""


@dataclass(frozen=True)
class Planted:
    """One wrong sub-text.

    Attributes:
        id, keys, key: Where it stands.
        kind: Of ``KINDS``.
        right, wrong: What stood there and what does now.
        facts: What the wrong text tells, where the describer told the facts of the right one.
        donor: The record of which it is right; None where a number or places were changed.
    """

    id: str
    keys: str
    key: str
    kind: str
    right: str
    wrong: str
    facts: str = ""
    donor: str | None = None


def plant(
    texts: TextsByRecord, share: float, seed: int, kinds: Sequence[str] = tuple(KINDS)
) -> tuple[dict[tuple[str, str], SubTexts], list[Planted]]:
    """Makes a share of all sub-texts wrong.

    A planted text differs from the right one, and so do its facts where the describer told them: a wrong text that says
    the same in other words would be no noise. Counts are changed in Count, places in Location; other keys get what
    another slice says of them, as does a count or a place that stands in no number or place word.

    Args:
        texts: The right ones.
        share: Of all sub-texts, 0 to 1; fewer are planted only where there are not so many that can be made wrong.
        seed: The same gives the same, in whatever order the texts come.
        kinds: Some of ``KINDS``.

    Returns:
        All texts, and what was planted, sorted. The texts do not tell which: all have the same ``by["noise"]``.

    Raises:
        CorpusError: The share is out of bounds, a kind is unknown, or there is no text.
    """
    if not 0 < share <= 1:
        raise CorpusError(f"A share of noise of {share:g} makes no sense: give one above 0 and up to 1.")
    if unknown := set(kinds) - set(KINDS):
        raise CorpusError(f"There is no kind of noise {sorted(unknown)[0]!r}: take of {', '.join(KINDS)}.")
    spots = [(*at, key) for at in sorted(texts) for key in KEY_SETS[at[1]] if key in texts[at].said]
    if not spots:
        raise CorpusError("There are no sub-texts to make wrong: run fusar-train corpus describe.")
    rng = np.random.default_rng(seed)
    wanted = max(round(share * len(spots)), 1)
    donors: dict[tuple[str, str], list[str]] = {}
    for record_id, keys, key in spots:
        donors.setdefault((keys, key), []).append(record_id)
    planted: list[Planted] = []
    for n in rng.permutation(len(spots)):
        record_id, keys, key = spots[n]
        one = _wrong(texts, (record_id, keys), key, donors[keys, key], kinds, rng)
        if one is not None:
            planted.append(one)
        if len(planted) == wanted:
            break
    return _noisy(texts, planted, {"share": share, "seed": seed}), sorted(
        planted, key=lambda one: (one.id, one.keys, one.key)
    )


def _noisy(
    texts: TextsByRecord, planted: Sequence[Planted], how: Mapping[str, float]
) -> dict[tuple[str, str], SubTexts]:
    noisy = {at: replace(one, by={**one.by, "noise": how}) for at, one in texts.items()}
    for one in planted:
        right = noisy[one.id, one.keys]
        by = dict(right.by)
        if one.facts:
            by["facts"] = {**by["facts"], one.key: one.facts}
        noisy[one.id, one.keys] = replace(right, said={**right.said, one.key: one.wrong}, by=by)
    return noisy


def _wrong(
    texts: TextsByRecord,
    at: tuple[str, str],
    key: str,
    donors: Sequence[str],
    kinds: Sequence[str],
    rng: np.random.Generator,
) -> Planted | None:
    """A wrong sub-text for one key; None where none can be had."""
    kind = _KIND_OF.get(key, OTHER)
    kind = kind if kind in kinds else OTHER
    if kind not in kinds:
        return None
    right, facts = texts[at].said[key], _facts(texts[at], key)
    changed = {COUNT: _other_count, PLACE: _other_place, OTHER: _no_change}[kind](right, facts, rng)
    if changed is not None:
        return Planted(*at, key, kind, right, *changed)
    for n in rng.integers(len(donors), size=_DONORS):
        other = texts[donors[n], at[1]]
        if not _tells(texts[at], other, key):
            return Planted(*at, key, kind, right, other.said[key], _facts(other, key), donors[n])
    return None


def _facts(texts: SubTexts, key: str) -> str:
    return str(texts.by.get("facts", {}).get(key, ""))


def _tells(one: SubTexts, other: SubTexts, key: str) -> bool:
    """Whether all that the other says is right of the one too: by their facts, else by their words."""
    facts, others = (_atoms(_facts(each, key)) for each in (one, other))
    if facts and others:
        return others <= facts
    return one.said[key].casefold() == other.said[key].casefold()


def _atoms(facts: str) -> set[str]:
    """The single facts of a canonical form: "ship:water+quays;row" holds that of water, of quays and of the row."""
    found = set()
    for part in filter(None, facts.replace("~", "").split(";")):
        of, colon, several = part.rpartition(":")
        found |= {of + colon + each for each in several.split("+")}
    return found


def _no_change(text: str, facts: str, rng: np.random.Generator) -> _Changed | None:
    return None


def _other_count(text: str, facts: str, rng: np.random.Generator) -> _Changed | None:
    """The text with its first number of two or more changed, plural as before; None without one."""
    for match in _NUMBER.finditer(text):
        low, between, high, single = match.groups()
        n = _value(low or single)
        if n < 2:
            continue
        reach = max(3, n // 2)
        new = n
        while new == n:
            new = int(rng.integers(max(2, n - reach), n + reach + 1))
        said = _written(new, single) if single else f"{new}{between}{new + max(_value(high) - n, 1)}"
        told = re.sub(rf"=({n})(?!\d)", f"={new}", facts, count=1)
        if not facts or told != facts:
            return text[: match.start()] + said + text[match.end() :], told
    return None


def _value(word: str) -> int:
    return int(word[:9]) if word.isdigit() else NUMBERS.index(word.lower())


def _written(n: int, like: str) -> str:
    if like.isdigit() or n >= len(NUMBERS):
        return str(n)
    return NUMBERS[n].capitalize() if like[0].isupper() else NUMBERS[n]


def _other_place(text: str, facts: str, rng: np.random.Generator) -> _Changed | None:
    """The text with its places mirrored, to tell other places; None where every mirror tells the same."""
    mirrors = [(True, False), (False, True), (True, True)]
    for n in rng.permutation(len(mirrors)):
        across, down = mirrors[n]
        changed = _mirrored(text, {**(_ACROSS if across else {}), **(_DOWN if down else {})})
        told = re.sub(r"(?<=@)\d+", lambda cells: _mirrored_cells(cells[0], across, down), facts)  # noqa: B023
        if _places(changed) != _places(text) and (not facts or told != facts):
            return changed, told
    return None


def _mirrored(text: str, names: Mapping[str, str]) -> str:
    """The text with the words of places exchanged; "from left to right" stays."""
    kept = [match.span() for match in _FROM_TO.finditer(text)]

    def word(match: re.Match[str]) -> str:
        new = names[match[0].lower()]
        return new.capitalize() if match[0][0].isupper() else new

    def place(match: re.Match[str]) -> str:
        if any(start <= match.start() < end for start, end in kept):
            return match[0]
        return re.sub("|".join(names), word, match[0], flags=re.IGNORECASE)

    return _PLACE.sub(place, text)


def _mirrored_cells(cells: str, across: bool, down: bool) -> str:
    """The cells "0" to "8" of a 3 x 3 grid that is mirrored left to right, or top to bottom, sorted."""
    rows_cols = (divmod(int(cell), 3) for cell in cells)
    return "".join(sorted(str(3 * (2 - r if down else r) + (2 - c if across else c)) for r, c in rows_cols))


def _places(text: str) -> list[tuple[int, str]]:
    """The places that each sentence names, sorted: the same ones in another order are the same."""
    parts = enumerate(_FROM_TO.sub("", text.lower()).split(". "))
    return sorted((n, match[0]) for n, part in parts for match in _PLACE.finditer(part))


def write_noise(
    folder: Path,
    describer: str | None,
    share: float,
    seed: int,
    kinds: Sequence[str] = tuple(KINDS),
    name: str | None = None,
) -> tuple[Path, Path]:
    """Plants noise in what one describer said; returns the files of the texts and of the truth.

    They are texts/NAME-noise20.jsonl and texts/NAME-noise20.truth.json where a share of .2 was asked for.

    ``read_records`` reads the noisy texts as those of one more describer, and never the truth.

    Args:
        folder: Holds the records.
        describer: Whose texts; None takes the only one's.
        share: As in ``plant``.
        seed: As in ``plant``.
        kinds: As in ``plant``.
        name: Of the noisy texts, instead of NAME-noise20.

    Raises:
        CorpusError: As ``plant``; nobody of this name has described the records; or the noisy texts are there already.
        OutputError: They cannot be written.
    """
    file = texts_file(folder, describer)
    if file is None:
        raise CorpusError(f"{folder} is described by nobody: run fusar-train corpus describe.")
    name = name or f"{file.stem}-noise{100 * share:g}"
    out, truth = (folder / TEXTS_FOLDER / f"{name}{end}" for end in (".jsonl", ".truth.json"))
    for path in (out, truth):
        if path.exists():
            raise CorpusError(f"{path} is there already: remove it, or take another share.")
    noisy, planted = plant(read_texts(file), share, seed, kinds)
    stated = {"texts": file.name, "share": share, "seed": seed, "planted": [vars(one) for one in planted]}
    with whole_file(truth) as temporary:
        temporary.write_text(json.dumps(stated, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    with whole_file(out) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.writelines(f"{text_line(record_id, said)}\n" for (record_id, _), said in noisy.items())
    return out, truth
