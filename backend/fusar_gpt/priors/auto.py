"""Sources asked one after the other, with every step said aloud."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from fusar_gpt.errors import PriorError
from fusar_gpt.priors.field import Footprint, PriorField
from fusar_gpt.priors.source import NONE, PriorSource
from fusar_gpt.priors.tiles import Unavailable


class CachingSource(PriorSource, Protocol):
    """A source that knows what it has at hand."""

    def cached(self, footprint: Footprint, year: int | None) -> bool:
        """Whether ``prior`` would need no network."""
        ...


class InTurn:
    """Gives the prior of the first source that has one.

    What is cached comes before what must be fetched, and who has failed comes last from then on. A source that
    has nothing at a place is passed over; water without data is an answer.

    Args:
        name: What the user asked for.
        sources: In the order in which they are asked.
        left_out: Why others are not among them, a line each, for the message when all fail.
        allow_none: Give an empty prior of the source ``none`` where all fail.
        tell: Takes each line once.
    """

    def __init__(
        self,
        name: str,
        sources: Sequence[CachingSource],
        *,
        left_out: Sequence[str] = (),
        allow_none: bool = False,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.name = name
        self._sources = list(sources)
        self._left_out = tuple(left_out)
        self._allow_none = allow_none
        self._tell = tell
        self._told: set[str] = set()
        self._failed: set[str] = set()

    def prior(self, footprint: Footprint, year: int | None) -> PriorField:
        """The vectors on a chip.

        Raises:
            Unavailable: No source can give them, and the user has not allowed to go on without.
            Cancelled: The user stopped waiting.
        """
        failures: list[str] = []
        nothing: PriorField | None = None
        for at_hand, source in self._ranked(footprint, year):
            self._say(*(f"prior: {failure}." for failure in failures))
            try:
                field = source.prior(footprint, year)
            except PriorError as error:
                self._failed.add(source.name)
                failures.append(in_short(source.name, error))
                continue
            self._failed.discard(source.name)
            if len(field) or field.year is not None:
                self._say(f"prior: from {'the cache of ' if at_hand else ''}{source.name}.")
                return field
            self._say(f"prior: {source.name} has nothing at some places.")
            nothing = field if nothing is None else nothing
        return self._none(failures) if nothing is None else nothing

    def warm(self, footprint: Footprint, year: int | None) -> None:
        """Start to fetch from the source that ``prior`` would ask first."""
        for at_hand, source in self._ranked(footprint, year)[:1]:
            if not at_hand:
                source.warm(footprint, year)

    def close(self) -> None:
        """Stop what is being fetched."""
        for source in self._sources:
            source.close()

    def _ranked(self, footprint: Footprint, year: int | None) -> list[tuple[bool, CachingSource]]:
        """Whether each source has it all at hand, and the source, in the order in which to ask."""
        found = [(_at_hand(source, footprint, year), source) for source in self._sources]
        return sorted(found, key=lambda one: (not one[0], one[1].name in self._failed))

    def _none(self, failures: Sequence[str]) -> PriorField:
        if not self._allow_none:
            raise no_prior([*self._left_out, *failures])
        self._say(
            *(f"prior: {failure}." for failure in failures), "prior: none at some places, as you allowed."
        )
        return PriorField.empty(NONE)

    def _say(self, *lines: str) -> None:
        for line in lines:
            if line not in self._told:
                self._told.add(line)
                self._tell(line)


def _at_hand(source: CachingSource, footprint: Footprint, year: int | None) -> bool:
    try:
        return source.cached(footprint, year)
    except PriorError:  # a footprint that is too large: ``prior`` will say so
        return False


def in_short(name: str, error: PriorError) -> str:
    """Why a source fails, to stand in a list."""
    return f"{name}: {str(error).rstrip('.')}"


def no_prior(failures: Sequence[str]) -> Unavailable:
    """That all sources have failed, each with its reason."""
    why = "; ".join(failures) or "no source is configured"
    return Unavailable(
        f"There is no prior ({why}): see fusar prior doctor, or interpret without one: --allow-no-prior."
    )
