"""The vector that a search looks for: of words, of examples, and away from others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.errors import TaskError
from fusar_gpt.retrieval.encoder import Encoder


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
    """What an encoder can look for of some texts.

    Raises:
        TaskError: It knows none of their words.
    """
    known = encoder.words
    notes = []
    for text in texts:
        words = dict.fromkeys(encoder.words_of(text))
        unknown = [word for word in words if known and word not in known]
        if words and len(unknown) == len(words):
            raise TaskError(f"{encoder.name} knows none of the words of {text!r}: see those that it knows")
        if unknown:
            notes.append(f"{encoder.name} does not know {', '.join(unknown)}; it searched for the rest.")
    return TextQuery(tuple(texts), (), tuple(notes))


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
