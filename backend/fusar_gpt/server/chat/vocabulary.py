"""The English and Chinese names that analysts use for the classes of a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Iterable

_GROUPS: tuple[tuple[str, str, str], ...] = (
    (
        "ship",
        "ships?|vessels?|boats?",
        "舰船|艦船|船舶|船只|船隻|轮船|輪船|货船|貨船|军舰|軍艦|舰艇|艦艇|船|舰|艦",
    ),
    ("helicopter", "helicopters?", "直升飞机|直升飛機|直升机|直升機"),
    ("airport", "airports?|airfields?", "飞机场|飛機場|机场|機場"),
    ("plane", "(?:air|aero)?planes?|aircrafts?|jets?", "飞机|飛機|战机|戰機|客机|客機"),
    ("storage tank", "(?:storage|oil|fuel) tanks?", "储油罐|储罐|儲罐|油罐"),
    ("tank", "tanks?", "坦克"),
    ("bridge", "bridges?", "桥梁|橋梁|桥|橋"),
    ("harbor", "harbou?rs?|ports?", "港口|海港"),
    ("vehicle", "vehicles?|cars?|trucks?", "车辆|車輛|汽车|汽車|卡车|卡車"),
    ("building", "buildings?|houses?", "建筑物|建築物|建筑|建築|房屋|楼房|房子"),
)
"""English name, its forms as a pattern, and its Chinese forms; answers use the first Chinese one."""

_SMALL_WORDS = re.compile(r"\b(?:the|a|an|any|some|all)\b|[\W_]|[吗嗎呢的有]")
_IN = re.compile(r"\b(?:in|at|on|near|by|along|around|inside|within|from)(?: (?:the|a|an|this|that|its))? $")
_THERE = re.compile("[里裡中内內旁边邊附]")


class Vocabulary:
    """The classes of a checkpoint and the words that mean them."""

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
        self._places = set(self._targets) - set(targets) if targets else set()
        self._words = re.compile("|".join(f"({form})" for form, _ in pairs))

    def named(self, words: str) -> tuple[str, ...]:
        """The classes that casefolded text names, each once, in order; not the place in "ships in port"."""
        found = []
        for match in self._words.finditer(words):
            target = self._targets[(match.lastindex or 1) - 1]
            place = _IN.search(words[max(match.start() - 20, 0) : match.start()]) or _THERE.match(
                words, match.end()
            )
            if not (place and target in self._places):
                found.append(target)
        return tuple(dict.fromkeys(found))

    def replaced(self, words: str, by: str) -> str:
        """The text with every class name replaced."""
        return self._words.sub(by, words)

    def without(self, words: str) -> str:
        """The text without class names, articles and punctuation."""
        return _SMALL_WORDS.sub("", self.replaced(words, " "))


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
