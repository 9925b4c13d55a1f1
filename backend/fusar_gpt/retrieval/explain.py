"""Why a place was found, in words: what the encoder itself says of it, where that shares a word with the query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fusar_gpt.retrieval.query import split_negation
from fusar_gpt.retrieval.words import concepts, plain

_KINDS = ("Category", "Region", "Terrain")
"""Keys that name what is there, and little else."""


def matched(said: Mapping[str, str], wanted: Sequence[str]) -> str | None:
    """Which of an encoder's words are those of a query: "Category: ships; Region: a port".

    Each thing that was looked for is told once, by a key that names kinds if it can be, and shortly. English and
    Chinese synonyms are the same word, and what is said not to be there is no match.

    Args:
        said: What it wrote, by key: as :meth:`~fusar_gpt.retrieval.encoder.Describer.describe`.
        wanted: The texts that were looked for.

    Returns:
        None where nothing matches.
    """
    keys_of: dict[str, list[str]] = {}
    for key in sorted(said, key=lambda key: (key.split()[-1] not in _KINDS, len(said[key]))):
        for concept in concepts(_there(plain(said[key]))):
            keys_of.setdefault(concept, []).append(key)
    asked = (concept for text in wanted for concept in concepts(plain(text)))
    told = dict.fromkeys(keys_of[concept][0] for concept in asked if concept in keys_of)
    return "; ".join(f"{key.split()[-1]}: {said[key]}" for key in told) or None


def _there(text: str) -> str:
    """What a text says is there: nothing of one that only denies."""
    wanted, unwanted = split_negation(f"x, {text}")
    return wanted if unwanted else text
