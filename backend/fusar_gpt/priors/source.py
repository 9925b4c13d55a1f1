"""Sources of priors: none, a file, or several sources of tiles tried in order; from a user's word to a source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache as once
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fusar_gpt.contract import NO_PRIOR, PRIOR_SOURCES
from fusar_gpt.errors import PriorError
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.priors.field import Footprint, PriorField, PriorSource
from fusar_gpt.priors.files import FilePrior
from fusar_gpt.priors.retry import RetryPolicy, Unavailable

if TYPE_CHECKING:
    from fusar_gpt.priors.cache import TileCache
    from fusar_gpt.priors.tiled import TiledPrior
    from fusar_gpt.priors.tiles import TileSource

_, AUTO, *TILED = PRIOR_SOURCES

T = TypeVar("T")
Report = Callable[[str], None]


class NoPrior(PriorSource):
    """Null source: always an empty field."""

    name = NO_PRIOR

    def prior(self, footprint: Footprint, year: int | None) -> PriorField:
        """Always empty."""
        return PriorField.empty(self.name)


class FallbackSource(PriorSource):
    """Tries the sources in order, reports each attempt, and gives the prior of the first that has one.

    What is cached comes before what must be fetched, and a source that has failed comes last from then on. One that
    has no images at a place is passed over; water without data is an answer.

    Args:
        name: What the user asked for.
        sources: In the order in which they are tried.
        left_out: Why others are not among them, a line each, for the message when all fail.
        allow_none: Give an empty prior of the source ``none`` where all fail.
        report: Takes each line once.
    """

    def __init__(
        self,
        name: str,
        sources: Sequence[TiledPrior],
        *,
        left_out: Sequence[str] = (),
        allow_none: bool = False,
        report: Report = lambda line: None,
    ) -> None:
        self.name = name
        self._sources = list(sources)
        self._left_out = tuple(left_out)
        self._allow_none = allow_none
        self._report = once(report)
        self._failed: set[str] = set()

    def prior(self, footprint: Footprint, year: int | None) -> PriorField:
        """The vectors on a chip.

        Raises:
            Unavailable: No source can give them, and the user has not allowed to go on without.
            Cancelled: The user stopped waiting.
        """
        failures: list[str] = []
        nothing: PriorField | None = None
        for cached, source in self._ranked(footprint, year):
            for failure in failures:
                self._report(f"prior: {failure}.")
            try:
                field = source.prior(footprint, year)
            except PriorError as error:
                self._failed.add(source.name)
                failures.append(in_short(source.name, error))
                continue
            self._failed.discard(source.name)
            if len(field) or field.year is not None:
                self._report(f"prior: from {'the cache of ' if cached else ''}{source.name}.")
                return field
            self._report(f"prior: {source.name} has nothing at some places.")
            nothing = field if nothing is None else nothing
        if nothing is not None:
            return nothing
        if not self._allow_none:
            raise no_prior([*self._left_out, *failures])
        for failure in failures:
            self._report(f"prior: {failure}.")
        self._report("prior: none at some places, as you allowed.")
        return PriorField.empty(NO_PRIOR)

    def first(self, work: Callable[[TiledPrior], T]) -> T:
        """What ``work`` returns with the first source that does not fail; each failure is reported.

        Raises:
            Unavailable: All fail.
        """
        failures = list(self._left_out)
        for source in self._sources:
            try:
                return work(source)
            except PriorError as error:
                failures.append(in_short(source.name, error))
                if source is not self._sources[-1]:
                    self._report(f"prior: {failures[-1]}.")
        raise no_prior(failures)

    def prefetch(self, footprint: Footprint, year: int | None) -> None:
        """Start to fetch from the source that ``prior`` would ask first."""
        for cached, source in self._ranked(footprint, year)[:1]:
            if not cached:
                source.prefetch(footprint, year)

    def close(self) -> None:
        """Stop what is being fetched."""
        for source in self._sources:
            source.close()

    def _ranked(self, footprint: Footprint, year: int | None) -> list[tuple[bool, TiledPrior]]:
        """Whether each source has it all at hand, and the source, in the order in which to ask."""
        found = [(source.cached(footprint, year), source) for source in self._sources]
        return sorted(found, key=lambda one: (not one[0], one[1].name in self._failed))


def in_short(name: str, error: PriorError) -> str:
    """Why a source fails, as an item of a list."""
    return f"{name}: {str(error).rstrip('.')}"


def no_prior(failures: Sequence[str]) -> Unavailable:
    """The error that all sources have failed, each with its reason."""
    why = "; ".join(failures) or "no source is configured"
    return Unavailable(
        f"There is no prior ({why}): see fusar prior doctor, or interpret without one: --allow-no-prior."
    )


def open_prior(
    spec: str | Path,
    settings: PriorSettings = PriorSettings(),  # noqa: B008 - frozen
    report: Report = lambda line: None,
    cancelled: Callable[[], bool] = lambda: False,
    drivers: tuple[str, ...] | None = None,
) -> PriorSource:
    """The source a user names.

    Args:
        spec: One of ``PRIOR_SOURCES``, or the path of a file.
        settings: How it is fetched.
        report: Takes what the user should hear, line by line: which source answers, which fails and why.
        cancelled: Whether the user has stopped waiting.
        drivers: Those of GDAL that may open a raster, where it is somebody else's; None is any.

    Raises:
        PriorError: The file is missing or no prior; the source is not configured.
    """
    if spec == NO_PRIOR:
        return NoPrior()
    if spec not in PRIOR_SOURCES:
        nodes = {} if settings.nodes is None else {"nodes": settings.nodes}
        return FilePrior(spec, **nodes, drivers=drivers)
    return open_tiled(str(spec), settings, report, cancelled)


def open_tiled(
    spec: str, settings: PriorSettings, report: Report, cancelled: Callable[[], bool] = lambda: False
) -> FallbackSource:
    """The same for sources of tiles. ``auto`` is all that are configured, in the order of the contract.

    Raises:
        PriorError: The source named is not configured.
    """
    from fusar_gpt.priors.sampling import Sampling
    from fusar_gpt.priors.tiled import TiledPrior

    retry = RetryPolicy(settings.deadline_s, cancelled=cancelled)
    sampling = Sampling(settings.nodes, settings.resampling)
    cache = open_cache(settings)
    tiled, left_out = [], []
    for name in TILED if spec == AUTO else [spec]:
        try:
            source = open_source(name, settings, report)
        except PriorError as error:
            if spec != AUTO:
                raise
            left_out.append(in_short(name, error))
            report(f"prior: without {left_out[-1]}.")
        else:
            tiled.append(TiledPrior(source, cache, sampling, retry, report))
    return FallbackSource(spec, tiled, left_out=left_out, allow_none=settings.allow_none, report=report)


def open_cache(settings: PriorSettings) -> TileCache:
    """The cache of the settings, else the user's own."""
    from fusar_gpt.priors.cache import DEFAULT_LIMIT, TileCache

    return TileCache(settings.cache_folder, settings.cache_bytes or DEFAULT_LIMIT)


def open_source(name: str, settings: PriorSettings, report: Report) -> TileSource:
    """The source of tiles of that name. PriorError when it is not configured."""
    if name == "earth-engine":
        from fusar_gpt.priors.earth_engine import EarthEngineTiles

        return EarthEngineTiles(
            settings.ee_project, settings.ee_credentials, settings.ee_url, settings.high_volume
        )
    from fusar_gpt.priors.cog import CogTiles

    index = open_cache(settings).folder / "index"
    return CogTiles(settings.cogs, requester_pays=settings.requester_pays, folder=index, report=report)


def describe_source(name: str, settings: PriorSettings) -> list[str]:
    """For ``fusar prior doctor``: what works of a source of tiles, line by line, and last what does not."""
    lines: list[str] = []
    try:
        for line in open_source(name, settings, lines.append).describe(
            RetryPolicy(settings.deadline_s, attempts=1)
        ):
            lines.append(line)
    except PriorError as error:
        lines.append(str(error))
    return lines
