"""Who may be asked for a prior."""

from __future__ import annotations

from typing import Protocol

from fusar_gpt.priors.field import Footprint, PriorField

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
            PriorError: The source cannot be read; Unavailable if it may be readable later.
            Cancelled: The user stopped waiting.
        """
        ...

    def warm(self, footprint: Footprint, year: int | None) -> None:
        """Start to fetch what ``prior`` will need, and return at once. It never fails: ``prior`` will."""
        ...

    def close(self) -> None:
        """Stop what is being fetched."""
        ...


class NoPrior:
    """The source that knows nothing."""

    name = NONE

    def prior(self, footprint: Footprint, year: int | None) -> PriorField:
        """Always empty."""
        return PriorField.empty(self.name)

    def warm(self, footprint: Footprint, year: int | None) -> None:
        """Nothing to fetch."""

    def close(self) -> None:
        """Nothing to stop."""
