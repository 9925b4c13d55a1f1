"""Tokens and cost of a description: estimated before anything is sent, counted after.

A request's tokens are those of its texts, of its picture, and a few for the form. Texts count as the pieces that
byte-pair tokenizers cut (words, up to three digits, runs of signs), which came within 3 % of o200k_base on the shipped
templates. Pictures count by the formula of the model's family. Once the endpoint has counted some answers of this
model to these templates, both are scaled to what it counted, and an answer is as long as those were on average.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

ANSWER_TOKENS = 150
"""Of eight sub-texts, until answers are known."""

ENOUGH = 5
"""Answers that say what the next will cost."""

_PIECE = re.compile(r"[A-Za-z]+|\d{1,3}|[^\w\s]+|[^\x00-\x7f]|\n")
_LONG_WORD = 12
_PIECES_TO_TOKENS = 1.02
_FORM = 8


@dataclass(frozen=True)
class Tokens:
    """Tokens that were sent, and that were answered."""

    sent: int
    answered: int

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.sent + other.sent, self.answered + other.answered)


NO_TOKENS = Tokens(0, 0)


@dataclass(frozen=True)
class Prices:
    """What a million tokens cost, in whatever currency they are stated."""

    sent: float
    answered: float

    def of(self, tokens: Tokens) -> float:
        """The cost."""
        return (self.sent * tokens.sent + self.answered * tokens.answered) / 1e6


@dataclass(frozen=True)
class Measured:
    """What an endpoint counted so far: answers, and the tokens estimated and counted for them."""

    answers: int = 0
    estimated: int = 0
    counted: Tokens = NO_TOKENS

    @property
    def enough(self) -> bool:
        """Whether the next are estimated by it."""
        return self.answers >= ENOUGH and self.estimated > 0

    def scaled(self, sent: int) -> int:
        """The tokens to send, by what the formulas say."""
        return round(sent * self.counted.sent / self.estimated) if self.enough else sent

    def answer(self) -> int:
        """The tokens of an answer."""
        return round(self.counted.answered / self.answers) if self.enough else ANSWER_TOKENS

    def __add__(self, other: Measured) -> Measured:
        return Measured(
            self.answers + other.answers, self.estimated + other.estimated, self.counted + other.counted
        )


def text_tokens(text: str) -> int:
    """About how many tokens a text has."""
    pieces = _PIECE.findall(text)
    return round(_PIECES_TO_TOKENS * sum(1 + (len(piece) >= _LONG_WORD) for piece in pieces))


def request_tokens(text: str, picture: tuple[int, int], rule: str) -> int:
    """About how many tokens a request has whose picture is that (width, height)."""
    return text_tokens(text) + IMAGE_RULES[rule](*picture) + _FORM


def rule_of(model: str) -> str:
    """The formula for a model's pictures by its name; Qwen's for all that are not known."""
    return next((rule for pattern, rule in _FAMILIES if re.search(pattern, model.lower())), "qwen")


def _tiles(width: int, height: int, base: int = 85, tile: int = 170) -> int:
    """GPT-4o, GPT-4.1: within 2048 px, the shorter side at most 768, in tiles of 512."""
    share = min(1.0, 2048 / max(width, height))
    share = min(share, 768 / min(width * share, height * share) * share)
    return base + tile * math.ceil(width * share / 512) * math.ceil(height * share / 512)


def _patches(width: int, height: int, weight: float) -> int:
    """The small GPT-4.1 and later: patches of 32 px, at most 1,536 of them, each of that weight."""
    share = min(1.0, math.sqrt(1536 * 32**2 / (width * height)))
    return math.ceil(weight * min(math.ceil(width * share / 32) * math.ceil(height * share / 32), 1536))


def _qwen(width: int, height: int) -> int:
    """Qwen2-VL, Qwen2.5-VL: a token for 28 x 28 px, and one at either end."""
    return max(round(width / 28), 1) * max(round(height / 28), 1) + 2


def _area(width: int, height: int) -> int:
    """Claude: a token for 750 px, at most 1,568 px a side."""
    share = min(1.0, 1568 / max(width, height))
    return math.ceil(width * share * height * share / 750)


IMAGE_RULES: Mapping[str, Callable[[int, int], int]] = MappingProxyType(
    {
        "tiles": _tiles,
        "patches": lambda width, height: _patches(width, height, 1.0),
        "patches-mini": lambda width, height: _patches(width, height, 1.62),
        "patches-nano": lambda width, height: _patches(width, height, 2.46),
        "qwen": _qwen,
        "area": _area,
    }
)
"""How families of models count a picture of that width and height."""

_FAMILIES = (
    (r"gpt-(4\.1|5)\S*-nano", "patches-nano"),
    (r"gpt-(4\.1|5)\S*-mini|o4-mini", "patches-mini"),
    (r"gpt-4|gpt-5|chatgpt|\bo[13]\b", "tiles"),
    (r"claude", "area"),
)
