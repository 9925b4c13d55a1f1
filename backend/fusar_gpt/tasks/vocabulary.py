"""The English and Chinese names that analysts use for the classes of a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Iterable

_GROUPS: tuple[tuple[str, str, str], ...] = (
    ("ship", "ships?|vessels?|boats?", "舰船|艦船|船舶|船只|船隻|轮船|輪船|舰艇|艦艇|船|舰|艦"),
    ("helicopter", "helicopters?", "直升飞机|直升飛機|直升机|直升機"),
    ("airport", "airports?|airfields?", "飞机场|飛機場|机场|機場"),
    ("plane", "(?:air|aero)?planes?|aircrafts?", "飞机|飛機"),
    ("storage tank", "(?:storage|oil|fuel) tanks?", "储油罐|储罐|儲罐|油罐"),
    ("tank", "tanks?", "坦克"),
    ("bridge", "bridges?", "桥梁|橋梁|桥|橋"),
    ("harbor", "harbou?rs?|ports?", "港口|海港"),
    ("vehicle", "vehicles?", "车辆|車輛"),
    ("building", "buildings?", "建筑物|建築物|建筑|建築"),
)
"""English name, its forms as a pattern, and its Chinese forms; answers use the first Chinese one.

Only words that mean the whole class: a freighter is a ship, but a question for freighters is none for ships.
"""

_PLACES = ("airport", "harbor")
"""Classes that may only say where to look, as in "ships in port"."""

CLASS = "\u00a7"
"""Stands for a class in a text."""

_IN = re.compile(r"\b(?:in|at|on|inside|within|of|for)(?: (?:the|a|an|this|that|its))? $")
_THERE = re.compile("[里裡中内內上的]|有|停")


class Vocabulary:
    """The classes of a checkpoint and the words that mean them.

    Attributes:
        places: Classes that it does not know, and that may only say where to look.
    """

    def __init__(self, targets: Iterable[str]) -> None:
        """A vocabulary.

        Args:
            targets: The classes of the card; empty for a checkpoint that takes any class.
        """
        targets = list(targets)
        meant: dict[str, list[str]] = {}
        for name, english, chinese in _GROUPS:
            forms = re.compile(rf"{english}|{chinese}")
            known = next((target for target in targets if forms.fullmatch(target.casefold())), None)
            # A class that the checkpoint does not know keeps its common name, so that the answer can say so.
            meant.setdefault(known or name, []).extend([rf"\b(?:{english})\b", *chinese.split("|")])
        for target in targets:
            meant.setdefault(target, []).append(rf"\b{re.escape(target.casefold())}(?:e?s)?\b")
        pairs = [(form, target) for target, forms in meant.items() for form in forms]
        pairs.sort(key=lambda pair: (pair[0].isascii(), -len(pair[0])))  # 飞机场 before 飞机
        self._targets = [target for _, target in pairs]
        self.places = {target for target in _PLACES if target not in targets}
        self._words = re.compile("|".join(f"({form})" for form, _ in pairs))

    def read(self, words: str) -> tuple[tuple[str, ...], str]:
        """The classes that casefolded text asks about, each once, in order, and the text with ``CLASS`` for each.

        The place in "ships in port" is none of them, and is left out of the text.
        """
        found = list(self._words.finditer(words))
        named = [match for match in found if not self._is_place(match, words)] or found
        kept = {match.start() for match in named}
        marked = self._words.sub(lambda match: f" {CLASS} " if match.start() in kept else " ", words)
        return tuple(dict.fromkeys(map(self._target, named))), marked

    def _target(self, match: re.Match[str]) -> str:
        return self._targets[(match.lastindex or 1) - 1]

    def _is_place(self, match: re.Match[str], words: str) -> bool:
        before = words[max(match.start() - 20, 0) : match.start()]
        beside = _IN.search(before) or _THERE.match(words, match.end())
        return self._target(match) in self.places and beside is not None


def chinese_name(target: str) -> str:
    """The Chinese name of a class, else its own name."""
    for _, english, chinese in _GROUPS:
        if re.fullmatch(english, target.casefold()):
            return chinese.split("|")[0]
    return target


def singular(noun: str) -> str:
    """The singular of an English noun, by the usual rules."""
    if noun.endswith("ies") and len(noun) > 4:
        return f"{noun[:-3]}y"
    if noun.endswith(("sses", "xes", "ches", "shes")):
        return noun[:-2]
    return noun[:-1] if noun.endswith("s") and not noun.endswith("ss") else noun


def plural(noun: str) -> str:
    """The plural of an English class name."""
    if noun.endswith(("craft", "s")):
        return noun
    return f"{noun}es" if noun.endswith(("x", "ch", "sh")) else f"{noun}s"
