"""The vector that a search looks for: of words, of examples, and away from others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.errors import TaskError, TooLarge
from fusar_gpt.retrieval.encoder import Encoder
from fusar_gpt.retrieval.words import Reading, content, examples, in_known_words, plain
from fusar_gpt.tasks.questions import is_chinese

LONGEST = 2000
"""Most characters of a text, as in the contract."""

_NO = (
    r"\b(?:without|(?:with )?no(?! (?:fewer|less|more|longer)\b)|not(?! (?:only|just|far)\b)|(?<!not )far from"
    r"|away from|free of|except(?: for)?|neither|nor|\w+n't)\b"
)
_ENDS = r"(?=[,.;:!?。、]|\b(?:but|nor|and (?:no|not|with))\b|$)"
_ENGLISH = re.compile(rf"{_NO}\s+(?P<unwanted>.+?)\s*{_ENDS}")
_ELSEWHERE = re.compile(r"^(?P<unwanted>.+?) (?:in|at|on|near|beside|along) (?P<wanted>.+)$")
"""In "no ships in the harbour", where nothing else says what to look for."""
_THERE = re.compile(r"\s+(?:(?:in|on|at|around) it|there|in view|in sight|at all)$")

_NONE = r"(?:看不到|不见|(?<!有)没有|无(?![人线论])|不含|不带|(?<!有)没(?!有))"
_CHINESE = (
    re.compile(rf"一[条艘架只个座片]?(?P<unwanted>[^,。;、]+?)[也都]{_NONE}"),
    re.compile(rf"(?:{_NONE}|远离)(?P<unwanted>[^的,。;、]+)的?"),
)
_LOOSE = re.compile(
    r"^(?:[\s,.;:的]|\b(?:and|but|or)\b)+|(?:[\s,.;:]|\b(?:and|but|or|with|that|which|where|there|is|are|has|have)\b)+$"
)


@dataclass(frozen=True)
class TextQuery:
    """Words as they are searched for.

    Attributes:
        wanted: What to find, a text each, of words that the encoder knows.
        unwanted: What is not meant, likewise.
        notes: Whole sentences about what was left out or read as something else.
    """

    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]
    notes: tuple[str, ...]


def read_texts(texts: Sequence[str], encoder: Encoder) -> TextQuery:
    """What an encoder can look for of some texts; those that are blank are left out.

    An encoder without a list of its words gets them as they are. Otherwise words that it does not know are read as
    others (:mod:`~fusar_gpt.retrieval.words`) or left out, and what a text says is *not* there becomes unwanted.

    Raises:
        TaskError: A text holds no word, or none that the encoder knows.
        TooLarge: A text is too long.
    """
    texts = [text for text in texts if text.strip()]
    for text in texts:
        if len(text) > LONGEST:
            raise TooLarge(
                f"the text {text[:40]!r}... has {len(text)} characters and at most {LONGEST} are read: shorten it"
            )
        if not any(char.isalpha() for char in text):
            raise TaskError(f"{_short(text)} holds no words: write what to find, {_such_as(encoder, text)}")
    if not encoder.words:
        return TextQuery(tuple(texts), (), ())
    read = [_Read.of(text, encoder) for text in texts]
    wanted = [one.wanted for one in read]
    unwanted = [part for one in read for part in one.unwanted]
    notes = [*_replaced([*wanted, *unwanted], encoder), *_unknown([*wanted, *unwanted], encoder)]
    for one in read:
        notes += one.notes(encoder)
    return TextQuery(
        tuple(one.text for one in wanted), tuple(one.text for one in unwanted if one.text), tuple(notes)
    )


def split_negation(text: str) -> tuple[str, list[str]]:
    """What a :func:`~fusar_gpt.retrieval.words.plain` text wants, and what it says is not there.

    "open sea without ships" is "open sea" and ["ships"]. Where only what is not there is told, it is wanted as it
    stands, as in "no ships".
    """
    unwanted: list[str] = []

    def take(found: re.Match[str]) -> str:
        if not content(found["unwanted"]):
            return found[0]
        unwanted.append(_THERE.sub("", found["unwanted"]))
        return ","

    wanted = text
    for pattern in (_ENGLISH, *_CHINESE):
        wanted = pattern.sub(take, wanted)
    wanted = _LOOSE.sub("", re.sub(r"\s*,[\s,]*", ", ", wanted))
    if unwanted and not content(wanted) and (elsewhere := _ELSEWHERE.match(unwanted[-1])):
        wanted, unwanted[-1] = elsewhere["wanted"], elsewhere["unwanted"]
    return (wanted, unwanted) if unwanted and content(wanted) else (text, [])


def query_vector(wanted: NDArray[np.float32], unwanted: NDArray[np.float32]) -> NDArray[np.float32]:
    """2 x mean(wanted) - mean(unwanted), of length 1; without any unwanted the mean of the wanted (Rocchio, 1971).

    Args:
        wanted: Unit vectors [N, E], N > 0.
        unwanted: Unit vectors [M, E].
    """
    vector = wanted.mean(axis=0)
    if len(unwanted):
        vector = 2 * vector - unwanted.mean(axis=0)
    found: NDArray[np.float32] = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return found


@dataclass(frozen=True)
class _Read:
    """One text as an encoder can read it; ``denies``: it says only what is not there."""

    wanted: Reading
    unwanted: tuple[Reading, ...]
    denies: bool

    @classmethod
    def of(cls, text: str, encoder: Encoder) -> _Read:
        typed = plain(text)
        wanted, unwanted = split_negation(typed)
        found = in_known_words(wanted, encoder)
        if not found.text:
            raise TaskError(
                f"{encoder.name} knows none of the words of {_short(text)}: use words that it knows, "
                f"{_such_as(encoder, text)}; `fusar checkpoint show {encoder.name}` lists all"
            )
        denies = not unwanted and bool(split_negation(f"x, {typed}")[1])
        return cls(found, tuple(in_known_words(part, encoder) for part in unwanted), denies)

    def notes(self, encoder: Encoder) -> list[str]:
        """Sentences about what is not meant."""
        away = [part.text for part in self.unwanted if part.text]
        if away:
            return [f"Searched for '{self.wanted.text}', away from {_listed(map(_quoted, away))}."]
        if self.denies:
            return [
                f"'{self.wanted.text}' says only what is not there, which {encoder.name} hardly knows: say what is "
                "there, too."
            ]
        return []


def _replaced(read: Iterable[Reading], encoder: Encoder) -> list[str]:
    pairs = dict.fromkeys(pair for one in read for pair in one.replaced)
    said = _listed(f"'{typed}' as '{word}'" for typed, word in pairs)
    return [f"{encoder.name} does not know every word: it read {said}."] if pairs else []


def _unknown(read: Iterable[Reading], encoder: Encoder) -> list[str]:
    words = dict.fromkeys(word for one in read for word in one.unknown)
    said = _listed(map(_quoted, words), "or")
    return [f"{encoder.name} does not know {said}; it searched for the rest."] if words else []


def _such_as(encoder: Encoder, text: str) -> str:
    known = [*map(_quoted, examples(encoder, is_chinese(text)) if encoder.words else ("ship", "airport"))]
    return f"such as {_listed(known)}"


def _listed(items: Iterable[str], word: str = "and") -> str:
    *first, last = list(items) or [""]
    return f"{', '.join(first)} {word} {last}" if first else last


def _quoted(text: str) -> str:
    return f"'{text}'"


def _short(text: str) -> str:
    return _quoted(text if len(text) <= 60 else f"{text[:60]}...")
