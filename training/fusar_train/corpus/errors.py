"""What goes wrong with data a user gave."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fusar_gpt.errors import FusarError

_LONGEST = 300


class CorpusError(FusarError):
    """A data set, record, image or prior is missing, damaged or not what it should be; the record is named."""


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Raises what makes no sense inside as a CorpusError that names the place."""
    try:
        yield
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        what = f"there is no {error}" if isinstance(error, KeyError) else str(error)[:_LONGEST]
        raise CorpusError(f"{where}: {what}. Correct or remove it.") from error
