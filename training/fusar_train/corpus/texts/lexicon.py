"""Figures of texts: words, sentences, vocabulary, lexical diversity (MTLD), likeness of two texts."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CJK = "\u3400-\u9fff"
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+(?:[.'-][^\W{_CJK}]+)*")
_SENTENCE = re.compile(r"[.!?](?=\s|$)|[\u3002\uff01\uff1f]")
_TTR = 0.72
_STOP = """
a about all also an and are as at be been between but by can could each for from has have here in into is it its just
may more most no nor not of off on one only or other over part so some such than that the their them then there these
they this those to too up was were what where whether which while who will with would
"""
STOP_WORDS = frozenset(_STOP.split())


def words(text: str) -> list[str]:
    """The words of a text in lower case: letters and digits, with . - ' inside; a Chinese character is one."""
    return _WORD.findall(text.lower())


def sentences(text: str) -> int:
    """How many sentences a text has; what has no full stop is one."""
    ends = [match.end() for match in _SENTENCE.finditer(text.rstrip())]
    rest = text.rstrip()[ends[-1] if ends else 0 :].strip()
    return len(ends) + bool(rest)


def mtld(tokens: Sequence[str]) -> float | None:
    """The measure of textual lexical diversity: the mean length of runs of words that keep a type-token ratio of .72.

    McCarthy and Jarvis (2010), the mean of forward and backward; None where no word comes twice, as no run ends.
    """
    both = [_one_way(tokens), _one_way(tokens[::-1])]
    known = [value for value in both if value is not None]
    return sum(known) / len(known) if known else None


def _one_way(tokens: Sequence[str]) -> float | None:
    factors, seen, length = 0.0, set[str](), 0
    for token in tokens:
        seen.add(token)
        length += 1
        if len(seen) / length < _TTR:
            factors, seen, length = factors + 1, set(), 0
    if length:
        factors += (1 - len(seen) / length) / (1 - _TTR)
    return len(tokens) / factors if factors else None


def overlap(one: str, other: str) -> float:
    """The words that two texts share, of all their words (Jaccard); 1 where neither has any."""
    mine, yours = set(words(one)), set(words(other))
    return len(mine & yours) / len(mine | yours) if mine | yours else 1.0
