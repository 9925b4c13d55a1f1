"""Class names of public data sets in the project's words: a coarse label, and the fine one that was given."""

from __future__ import annotations

import re

SHIP, PLANE = "ship", "plane"

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


def labels_of(name: str, coarse: str | None = None) -> tuple[str, str | None]:
    """The coarse label, and the fine one or None.

    Args:
        name: The data set's own class name.
        coarse: What every class of the data set is, where its names are all fine ones ("plane" for
            SAR-AIRcraft-1.0); a name that is itself coarse has no fine label.
    """
    plain = plain_name(name)
    known = _COARSE.get(plain.lower())
    if known is not None:
        return known, None
    if coarse is not None:
        return coarse, plain
    for pattern, label in _FINE:
        if pattern.fullmatch(plain):
            return label, plain
    return plain.lower(), None


def plain_name(name: str) -> str:
    """The name in words that a question may hold: each begins with a letter, joined by - where it had / or the like."""
    words = [re.sub(r"[^A-Za-z0-9_-]+", "-", word).strip("-_") for word in name.split()]
    words = [word if word[0].isalpha() else f"type-{word}" for word in words if word]
    return " ".join(words)[:60].rstrip() or "object"
