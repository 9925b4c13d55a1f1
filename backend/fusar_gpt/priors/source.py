"""Who may be asked for a prior."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from fusar_gpt.priors.field import Footprint, PriorField
from fusar_gpt.priors.file import FilePrior

NONE = "none"


class PriorSource(Protocol):
    """Gives the prior of a chip. A source belongs to one run: ask it from one thread at a time."""

    @property
    def name(self) -> str:
        """What the provenance of a run calls it."""
        ...

    def prior(self, footprint: Footprint, year: int | None) -> PriorField:
        """The vectors on a chip, of ``year`` where the source has several; empty where there are none.

        Raises:
            PriorError: The source cannot be read.
        """
        ...


class NoPrior:
    """The source that knows nothing."""

    name = NONE

    def prior(self, footprint: Footprint, year: int | None) -> PriorField:
        """Always empty."""
        return PriorField.empty(self.name)


def open_prior(spec: str | Path) -> PriorSource:
    """The source a user names: ``"none"`` or the path of a file.

    Raises:
        PriorError: The file is missing or no prior.
    """
    return NoPrior() if spec == NONE else FilePrior(spec)
