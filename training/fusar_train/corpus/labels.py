"""Class names of public data sets: kept as written, or mapped to the project's words by an explicit map."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from fusar_gpt.tasks import ANY
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import json_file

SHIP, PLANE = "ship", "plane"

Label = tuple[str, str | None]
"""The coarse label, and the fine one or None."""

_COARSE = {
    "ship": SHIP, "ships": SHIP, "boat": SHIP, "vessel": SHIP,
    "plane": PLANE, "airplane": PLANE, "aeroplane": PLANE, "aircraft": PLANE, "air craft": PLANE,
    "harbour": "harbor",
}  # fmt: skip

_FINE = (
    (re.compile(r"S-?[0-9]+"), SHIP),  # FUSAR-GPT's S-1 to S-3 and P-1 to P-13
    (re.compile(r"P-?[0-9]+"), PLANE),
    (re.compile(r"(?:A(?:220|32[01]|330)|ARJ21|Boeing ?7[0-9]7)\S*"), PLANE),
)
_SPELLED = {"A320321": "A320/321"}
"""Folders cannot have a / in their name: SAR-ACD's is the class that SAR-AIRcraft-1.0 writes with one."""

_NO_CLASS = ("", ANY, "none")


class ClassNames:
    """The classes of one data set: each name becomes a label, and no two classes become one unsaid.

    Args:
        mapped: Labels of names, which go before the project's own map (``labels_of``).
        notes: Counts what the user should know of.
    """

    def __init__(self, mapped: Mapping[str, Label] | None = None, notes: Counter[str] | None = None) -> None:
        self._mapped = {written(name).casefold(): label for name, label in (mapped or {}).items()}
        self._notes: Counter[str] = Counter() if notes is None else notes
        self._spelled: dict[tuple[int, str], str] = {}
        self._asked: dict[tuple[int, str], str] = {}

    def of(self, name: str, coarse: str | None = None) -> Label:
        """The label of a class, in the spelling that came first where only the case differs.

        Raises:
            CorpusError: A question would call another class by the same words, or the name has no letter or digit.
        """
        label, fine = self._mapped.get(written(name).casefold()) or labels_of(name, coarse)
        label, fine = self._one(0, label), None if fine is None else self._one(1, fine)
        if name != (fine or label):
            self._notes[f"the class {name!r} is read as {fine or label!r}"] = 1
        return label, fine

    def _one(self, level: int, label: str) -> str:
        spelled = self._spelled.setdefault((level, label.casefold()), label)
        words = plain_name(spelled)
        other = self._asked.setdefault((level, words.casefold()), spelled)
        if other != spelled:
            raise CorpusError(
                f"The classes {other!r} and {spelled!r} would both be called {words!r} in questions: "
                "give them different names with --map FILE."
            )
        return spelled


def labels_of(name: str, coarse: str | None = None) -> Label:
    """The coarse label, and the fine one or None, as written where the name is not in the project's map.

    Args:
        name: The data set's own class name.
        coarse: What every class of the data set is, where its names are all fine ones ("plane" for
            SAR-AIRcraft-1.0); a name that is itself coarse has no fine label.
    """
    spelled = _SPELLED.get(written(name), written(name))
    known = _COARSE.get(spelled.casefold())
    if known is not None:
        return known, None
    if coarse is not None:
        return coarse, spelled
    for pattern, label in _FINE:
        if pattern.fullmatch(spelled):
            return label, spelled
    return spelled, None


def written(name: str) -> str:
    """The name in Unicode's composed form, with single blanks inside and none around."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def plain_name(label: str) -> str:
    """The label in words that a question may hold: each begins with a letter, joined by - where it had / or the like.

    Raises:
        CorpusError: Nothing is left of it, or it means no class.
    """
    words = [re.sub(r"[^\w-]+", "-", word).strip("-_") for word in label.split()]
    words = [word if word[0].isalpha() else f"type-{word}" for word in words if word]
    name = " ".join(words)[:60].rstrip()
    if name.casefold() in _NO_CLASS:
        raise CorpusError(
            f"{label!r} is no name of a class that can be asked for: give it one with --map FILE."
        )
    return name


def class_faults(labels: Iterable[str], where: str) -> Iterator[str]:
    """What is wrong with labels that stand in one data set: names that mean one class, or none."""
    by_words: dict[str, str] = {}
    for label in sorted(labels):
        try:
            words = plain_name(written(label)).casefold()
        except CorpusError:
            yield f"{where}: {label!r} is no name of a class that can be asked for: rename it."
            continue
        if (other := by_words.setdefault(words, label)) != label:
            yield f"{where}: the classes {other!r} and {label!r} are one in questions: give them one name, or two."


def read_map(path: Path) -> dict[str, Label]:
    """A JSON file of labels by class name: {"name": "label"} or {"name": ["label", "fine label"]}.

    Raises:
        CorpusError: It cannot be read, or holds something else.
    """
    content = json_file(path)
    if not isinstance(content, dict) or not content:
        raise CorpusError(f'{path} is no map of classes: write it as {{"name": "label"}}.')
    return {name: _label(said, f"{path}: {name!r}") for name, said in content.items()}


def _label(said: object, where: str) -> Label:
    parts = [said] if isinstance(said, str) else said
    if not isinstance(parts, list) or not 1 <= len(parts) <= 2 or not all(isinstance(p, str) for p in parts):
        raise CorpusError(f"{where} has neither a label nor [label, fine label]: correct it.")
    label, *fine = (written(part) for part in parts)
    for name in (label, *fine):
        plain_name(name)
    return label, fine[0] if fine else None
