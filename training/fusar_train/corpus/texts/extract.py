"""Sub-texts out of a model's answer, by pattern (FUSAR-KLIP 4.2): tolerant of form, never inventing.

Keys may come in any order and case, in bold, numbered, as headings, in a table, as JSON, on one line or with texts
over several, in English or Chinese, with prose around them.
"""

# ruff: noqa: RUF001 - models quote and punctuate like this

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from fusar_train.corpus.texts.sub_texts import KEY_SETS

NAMES: Mapping[str, tuple[str, ...]] = {
    "Count": ("counts", "number", "quantity", "数量", "计数", "个数", "目标数量"),
    "Location": ("locations", "position", "位置", "目标位置"),
    "Feature": ("features", "特征", "散射特征"),
    "Size": ("sizes", "尺寸", "大小", "尺度"),
    "Category": ("categories", "type", "class", "类别", "类型", "种类"),
    "Distribution": ("分布", "分布情况"),
    "Region": ("regions", "区域", "所在区域"),
    "Environment": ("surroundings", "环境", "周边环境", "周围环境"),
    "Terrain": ("terrains", "地形", "地貌"),
    "Functionality": ("function", "functions", "功能", "区域功能"),
    "Layout": ("layouts", "布局", "空间布局"),
    "Boundary": ("boundaries", "边界"),
    "Building": ("buildings", "建筑", "建筑物"),
    "Road": ("roads", "道路", "道路网"),
    "Water": ("water body", "water bodies", "waters", "水体", "水域"),
}  # fmt: skip
"""Other names under which models give a key."""

_OTHER = "other"
"""The key of lines that end a text and begin none of ours."""

_ENDS = (
    "note", "notes", "remark", "remarks", "reasoning", "explanation", "confidence", "summary", "conclusion",
    "disclaimer", "注", "说明", "备注", "总结", "结论",
)  # fmt: skip

_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_ANSWER = re.compile(
    r"^[\W_]*(?:final\s+)?(?:answer|最终答案|答案|回答)[\W_]*$", re.MULTILINE | re.IGNORECASE
)
_FENCE = re.compile(r"^\s*(?:```|~~~|-{3,}\s*$|\*{3,}\s*$|={3,}\s*$|\|[\s:|-]+\|\s*$)")
_BULLET = re.compile(r"^\s*(?:[-*+•·]|\d{1,2}[.)、])\s+")
_SORRY = (
    r"(?:i['’]?m (?:very |really )?sorry|i am sorry|sorry\b|i apologi[sz]e|"
    r"i (?:can(?:no|['’])t|can not|am unable|won['’]t)|i['’]?m (?:unable|not able)|as an ai\b|unfortunately,? i|"
    r"抱歉|很抱歉|对不起|我无法|我不能)"
)
_REFUSAL = re.compile(rf"^\W*{_SORRY}", re.IGNORECASE)
_SAYS_NOTHING = re.compile(
    r"n\.?\s*/?\s*a\.?|not? (?:applicable|available|data|answer|information)|tb[ad]|null|nil|"
    r"unknown|undetermined|unspecified|not specified|"
    r"(?:it |this )?(?:is )?(?:unclear|indeterminate|not determinable|uncertain|"
    r"(?:can(?:no|['’])t|can not|could not) be (?:determined|identified|estimated|told|inferred)|"
    r"(?:unable|impossible) to (?:determine|tell|identify))(?: (?:from|in|by|at|with|given) [^,;.]{1,80})?|"
    r"未知|不详|不明|无法(?:判断|确定|识别)|不适用|不确定|<[^<>]*>|[\W_]*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Extracted:
    """What an answer says.

    Attributes:
        said: The texts by key, in the set's order; a key without a text is missing.
        refused: Nothing is said, and the model says that it will not.
    """

    said: Mapping[str, str]
    refused: bool = False


@dataclass(frozen=True)
class _Begin:
    """Where a key stands: the match's ends in the answer, and the key."""

    start: int
    end: int
    key: str


def extract(answer: str, keys: str, *, cut: bool = False) -> Extracted:
    """The sub-texts of an answer.

    Where a key comes several times, the round of keys that fills most of them counts, the last of those that fill as
    many; what it lacks is taken from the other rounds. "None visible" is a text; "N/A" and "unknown" say nothing, so
    the key is missing.

    Args:
        answer: As the model gave it.
        keys: Name of the key set.
        cut: The answer ends where the limit of tokens fell: the text of its last key is not whole, and not taken.
    """
    text = _THOUGHT.sub("", _printable(answer))
    whole = _said(text, keys, cut)
    marks = list(_ANSWER.finditer(text))
    final = _said(text[marks[-1].end() :], keys, cut) if marks else {}
    said = final if len(final) * 2 > len(whole) else whole
    ordered = {key: said[key] for key in KEY_SETS[keys] if key in said}
    return Extracted(ordered, refused=not ordered and bool(_REFUSAL.match(text.strip())))


def _said(text: str, keys: str, cut: bool) -> dict[str, str]:
    found = _of_json(text, keys)
    if found is None:
        found = list(_of_lines(text, keys, cut))
    rounds: list[dict[str, str]] = [{}]
    for key, raw in found:
        if key not in KEY_SETS[keys] or not (said := _clean(raw)):
            continue
        if key in rounds[-1]:
            rounds.append({})
        rounds[-1][key] = said
    best = max(reversed(rounds), key=len)
    return {key: said for one in (*reversed(rounds), best) for key, said in one.items()}


def _of_json(text: str, keys: str) -> list[tuple[str, str]] | None:
    """The pairs of JSON objects anywhere in the text, without a value that is cut off; None where there is no JSON."""
    decoder, names, found = json.JSONDecoder(strict=False), _names(keys), list[tuple[str, str]]()
    at, is_json = 0, False
    while pair := _json_key(keys).search(text, at):
        at = pair.end()
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            is_json = is_json or text[at : at + 1] in ("", '"', "[", "{")
            continue
        at, is_json = end, True
        if not isinstance(value, (int, float)) or text[end:].lstrip()[:1]:  # or more digits may have followed
            found.append((names[pair["key"].casefold()], _worded(value)))
    return found if is_json else None


def _worded(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {said}" for key, one in value.items() if (said := _worded(one)))
    if isinstance(value, list):
        return ", ".join(said for one in value if (said := _worded(one)))
    return "" if value is None else str(value)


def _of_lines(text: str, keys: str, cut: bool) -> Iterator[tuple[str, str]]:
    begins = _begins(text, keys)
    for number, begin in enumerate(begins):
        last = number + 1 == len(begins)
        if last and cut:
            return
        yield begin.key, _first_paragraph(text[begin.end : len(text) if last else begins[number + 1].start])


def _begins(text: str, keys: str) -> list[_Begin]:
    names = _names(keys)
    found = {
        match.end(): _Begin(match.start(), match.end(), names.get(_folded(match["key"]), _OTHER))
        for pattern in (_within_line(keys), _line_start(keys))
        for match in pattern.finditer(text)
    }
    return [found[end] for end in sorted(found)]


def _first_paragraph(text: str) -> str:
    """The lines up to an empty one, a rule or a fence after the first words; list items joined by semicolons."""
    lines: list[str] = []
    for line in text.split("\n"):
        if _FENCE.match(line) or not line.strip(" \t|*_"):
            if lines:
                break
            continue
        item = _BULLET.match(line)
        said = line[item.end() if item else 0 :].strip().strip("|").strip()
        joint = "; " if item and lines and not lines[-1].endswith((";", ".", ":", "；", "。", "：")) else " "
        lines.append((joint if lines else "") + said)
    return "".join(lines)


def _clean(raw: str) -> str:
    """A text without markdown and quotes around it; empty where it says nothing."""
    said = re.sub(r"\*\*|__|`", "", raw)
    said = re.sub(r"\s+", " ", said).strip(" \t*_|;；,，{}")
    for first, last in ('""', "''", "“”", "[]"):
        if len(said) > 1 and said[0] == first and said[-1] == last:
            said = said[1:-1].strip()
    bare = said.strip(" .!。()（）")
    return "" if _SAYS_NOTHING.fullmatch(bare) or _REFUSAL.match(bare) else said


def _printable(text: str) -> str:
    """Without control and invisible characters, and without halves of characters that no file can hold."""
    text = re.sub(r"\r\n?|[\u2028\u2029]", "\n", text.encode("utf-8", "ignore").decode())
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf"))


def _folded(name: str) -> str:
    return re.sub(r"\s+", " ", name).casefold()


@cache
def _names(keys: str) -> Mapping[str, str]:
    """Keys by each of their names; keys of other sets by their own name alone."""
    own = {name.casefold(): key for key in KEY_SETS[keys] for name in (key, *NAMES[key])}
    return {key.casefold(): key for key in NAMES} | own


def _any_of(names: Sequence[str]) -> str:
    return "|".join(re.escape(name).replace(r"\ ", r"\s+") for name in sorted(names, key=len, reverse=True))


@cache
def _line_start(keys: str) -> re.Pattern[str]:
    """A key at the start of a line, behind bullets, numbers and quotes; alone on it, or with : = | or a dash."""
    name = _any_of([*_names(keys), *_ENDS]) + r"|(?:step|layer|步骤|第)\s*[\d一二三四五]+\s*[步层]?"
    return re.compile(
        r"^[ \t]*(?:(?:[-*+•·>#|]|[(（]?\d{1,2}[.):：、）]|[①-⑳]|[一二三四五六七八][、.])[ \t]*){0,8}"
        rf"[*_`\"'“【\[({{]{{0,4}}(?P<key>{name})[ \t]*(?:[(（/][^)）\n:：]{{1,30}}[)）]?)?[*_`\"'”】\])]{{0,4}}[ \t]*"
        r"(?:[:：=|][*_`]{0,3}|[-–—→][ \t]|(?=\n|\Z))[ \t]*",
        re.MULTILINE | re.IGNORECASE,
    )


@cache
def _within_line(keys: str) -> re.Pattern[str]:
    """A key within a line: behind the end of another text, and with a colon. English ones begin with a capital."""
    own = [name for key in KEY_SETS[keys] for name in (key, *(n for n in NAMES[key] if not n.isascii()))]
    return re.compile(
        rf"(?:(?<=[;,.|。；，、])|(?<=[;,.|]\s))[ \t]*[*_\"']{{0,3}}(?P<key>{_any_of(own)})[*_\"']{{0,3}}"
        r"[ \t]*[:：][*_]{0,3}[ \t]*"
    )


@cache
def _json_key(keys: str) -> re.Pattern[str]:
    return re.compile(rf"\"\s*(?P<key>{_any_of(list(_names(keys)))})\s*\"\s*[:：]\s*", re.IGNORECASE)
