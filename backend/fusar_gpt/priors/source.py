"""Sources of priors: none, a file, or several sources of tiles tried in order; from a user's word to a source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache as once
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fusar_gpt.contract import AUTO_PRIOR, NO_PRIOR, PRIOR_SOURCES
from fusar_gpt.errors import PriorError
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.priors.beside import PriorBeside
from fusar_gpt.priors.failures import host_of
from fusar_gpt.priors.field import Footprint, PriorField, PriorSource
from fusar_gpt.priors.files import FilePrior
from fusar_gpt.priors.reach import Reach
from fusar_gpt.priors.retry import RetryPolicy, TransientError, Unavailable

if TYPE_CHECKING:
    from fusar_gpt.priors.cache import TileCache
    from fusar_gpt.priors.tiled import TiledPrior
    from fusar_gpt.priors.tiles import TileSource

_, _, *TILED = PRIOR_SOURCES

T = TypeVar("T")
Report = Callable[[str], None]
Ranked = list[tuple["TiledPrior", "int | None"]]
"""Sources, and the year to ask each for."""


class NoPrior(PriorSource):
    """Null source: always an empty field."""

    name = NO_PRIOR

    def prior(self, footprint: Footprint, year: int | None) -> PriorField:
        """Always empty."""
        return PriorField.empty(self.name)


class FallbackSource(PriorSource):
    """Tries the sources in order, reports each attempt, and gives the prior of the first that has one.

    What is cached comes first, then the file beside the scene, then what must be fetched; of a simulated scene, whose
    ground is not the real one, the file comes before the cache. A source that has failed comes last from then on. One
    that has no images at a place is passed over; water without data is an answer.

    Args:
        name: What the user asked for.
        sources: In the order in which they are tried.
        beside: The prior files beside the scene.
        left_out: Why others are not among them, a line each, for the message when all fail.
        allow_none: Give an empty prior of the source ``none`` where all fail.
        report: Takes each line once.
        reach: Finds out whether servers answer at all; those that do not are not asked again. None waits for each as
            long as it may take.
    """

    def __init__(
        self,
        name: str,
        sources: Sequence[TiledPrior],
        *,
        beside: PriorBeside | None = None,
        left_out: Sequence[str] = (),
        allow_none: bool = False,
        report: Report = lambda line: None,
        reach: Callable[[Mapping[str, str]], Reach] | None = None,
    ) -> None:
        self.name = name
        self._sources = list(sources)
        self._beside = beside
        self._left_out = tuple(left_out)
        self._allow_none = allow_none
        self._report = once(report)
        self._failed: set[str] = set()
        self._begin_reach = reach
        self._reach: Reach | None = None
        self._told: list[str] | None = None  # who was left out

    def prior(self, footprint: Footprint, year: int | None) -> PriorField:
        """The vectors on a chip.

        Raises:
            Unavailable: No source can give them, and the user has not allowed to go on without.
            Cancelled: The user stopped waiting.
        """
        failures: list[str] = []
        empty: list[PriorField] = []
        cached, others = self._ranked(footprint, year)
        field = self._from_tiles(cached, footprint, failures, empty)
        if field is None and self._beside is not None:
            field = self._beside.prior(footprint, year)
        if field is None:
            self._report_left_out()
            field = self._from_tiles(others, footprint, failures, empty)
        if field is not None:
            return field
        if empty:
            return empty[0]
        if not self._allow_none:
            raise no_prior([*self._left_out, *failures])
        self._report_failures(failures)
        self._report("prior: none at some places.")
        self.missing = "; ".join([*self._left_out, *failures]) or "no source is configured"
        return PriorField.empty(NO_PRIOR)

    def first(self, work: Callable[[TiledPrior], T]) -> T:
        """What ``work`` returns with the first source that does not fail; each failure is reported.

        Raises:
            Unavailable: All fail.
        """
        failures = list(self._left_out)
        self._report_left_out()
        for source in self._sources:
            try:
                return work(source)
            except PriorError as error:
                failures.append(in_short(source.name, error))
                if source is not self._sources[-1]:
                    self._report(f"prior: {failures[-1]}.")
        raise no_prior(failures)

    def at_hand(self, footprint: Footprint, year: int | None) -> str | None:
        """The source that gives the prior of a chip without a network: its name, or ``file``; None if there is none."""
        cached, others = self._ranked(footprint, year)
        if cached:
            return cached[0][0].name
        if self.file_at(footprint):
            return "file"
        return next((source.name for source, _ in others if source.address is None), None)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The servers that may be asked, in order."""
        asked = [source.address for source in self._sources if not source.stopped]
        return tuple(host_of(address) for address in asked if address)

    @property
    def left_out(self) -> list[str]:
        """The sources that are not asked, each with the reason."""
        stopped = [
            f"{source.name}: {source.stopped.rstrip('.')}" for source in self._sources if source.stopped
        ]
        return [*self._left_out, *stopped]

    def file_at(self, footprint: Footprint) -> Path | None:
        """The file beside the scene that reaches a chip."""
        return self._beside.covering(footprint) if self._beside else None

    def prefetch(self, footprint: Footprint, year: int | None) -> None:
        """Start to fetch from the source that ``prior`` would ask first."""
        cached, others = self._ranked(footprint, year)
        if cached or self.file_at(footprint):
            return
        for source, _ in others[:1]:
            reach = self._reach_of(source)
            if reach is None or reach.known(source.name):
                source.prefetch(footprint, year)

    def close(self) -> None:
        """Stop what is being fetched."""
        for source in self._sources:
            source.close()

    def _ranked(self, footprint: Footprint, year: int | None) -> tuple[Ranked, Ranked]:
        """The sources that have it all at hand, and the others, in the order in which to ask; the year to ask for."""
        found = [(source, source.cached(footprint, year)) for source in self._sources]
        if self._beside is not None and self._beside.simulated and self.file_at(footprint):
            found = [(source, None) for source in self._sources]
        cached: Ranked = [(source, used if year is None else year) for source, used in found if used]
        others: Ranked = [(source, year) for source, used in found if not used]
        return cached, sorted(others, key=lambda one: one[0].name in self._failed)

    def _from_tiles(
        self, sources: Ranked, footprint: Footprint, failures: list[str], empty: list[PriorField]
    ) -> PriorField | None:
        """The prior of the first source that has one; takes note of those that fail, and those with nothing there."""
        for source, year in sources:
            self._report_failures(failures)
            cached = source.cached(footprint, year) is not None
            try:
                if not cached:
                    self._check_reach(source)
                field = source.prior(footprint, year)
            except PriorError as error:
                self._failed.add(source.name)
                failures.append(in_short(source.name, error))
                if isinstance(error, TransientError):
                    self._reach = None  # the network may be gone by now: find out before it is asked again
                continue
            self._failed.discard(source.name)
            if len(field) or field.year is not None:
                self._report(f"prior: from {'the cache of ' if cached else ''}{source.name}.")
                return field
            self._report(f"prior: {source.name} has nothing at some places.")
            empty.append(field)
        return None

    def _check_reach(self, source: TiledPrior) -> None:
        """Have a source asked no more if its server does not answer at all."""
        if (reach := self._reach_of(source)) is not None:
            try:
                reach.check(source.name)
            except Unavailable as error:
                source.stop_asking(str(error))

    def _reach_of(self, source: TiledPrior) -> Reach | None:
        if self._begin_reach is None or source.address is None or source.stopped:
            return None
        if self._reach is None:
            asked = [source for source in self._sources if not source.stopped]
            addresses = {one.name: one.address for one in asked if one.address}
            self._reach = self._begin_reach(addresses)
        return self._reach

    def _report_left_out(self) -> None:
        """Before anybody is asked: who is not, and why."""
        if self._told is None:
            self._told = self.left_out
            for line in self._told:
                self._report(f"prior: without {line}.")

    def _report_failures(self, failures: Sequence[str]) -> None:
        for failure in failures:
            if failure not in (self._told or ()):
                self._report(f"prior: {failure}.")


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
    beside: PriorBeside | None = None,
) -> PriorSource:
    """The source a user names.

    Args:
        spec: One of ``PRIOR_SOURCES``, or the path of a file.
        settings: How it is fetched.
        report: Takes what the user should hear, line by line: which source answers, which fails and why.
        cancelled: Whether the user has stopped waiting.
        drivers: Those of GDAL that may open a raster, where it is somebody else's; None is any.
        beside: The prior files beside the scene, for ``auto``.

    Raises:
        PriorError: The file is missing or no prior; the source is not configured, or needs a network that is refused.
    """
    if spec == NO_PRIOR:
        return NoPrior()
    if spec not in PRIOR_SOURCES:
        return open_file(spec, settings, drivers)
    return open_tiled(str(spec), settings, report, cancelled, beside if spec == AUTO_PRIOR else None)


def open_file(spec: str | Path, settings: PriorSettings, drivers: tuple[str, ...] | None) -> FilePrior:
    """The prior of a file. PriorError where it is missing or no prior."""
    nodes = {} if settings.nodes is None else {"nodes": settings.nodes}
    return FilePrior(spec, **nodes, drivers=drivers)


def open_tiled(
    spec: str,
    settings: PriorSettings,
    report: Report,
    cancelled: Callable[[], bool] = lambda: False,
    beside: PriorBeside | None = None,
) -> FallbackSource:
    """The same for sources of tiles. ``auto`` is all that are configured, in the order of the contract.

    Raises:
        PriorError: The source named is not configured, or needs a network that is refused.
    """
    from fusar_gpt.priors.sampling import Sampling
    from fusar_gpt.priors.tiled import TiledPrior

    retry = RetryPolicy(settings.deadline_s, cancelled=cancelled)
    sampling = Sampling(settings.nodes, settings.resampling)
    cache = open_cache(settings)
    auto = spec == AUTO_PRIOR
    tiled, left_out = [], []
    for name in TILED if auto else [spec]:
        try:
            source = open_source(name, settings, report)
        except PriorError as error:
            if not auto:
                raise
            left_out.append(in_short(name, error))
            continue
        tiled.append(TiledPrior(source, cache, sampling, retry, report))
        if source.address and settings.offline:
            host = host_of(source.address)
            if not auto:
                raise PriorError(
                    f"The prior {name} comes from {host}, and no network may be used for it: allow the network, or "
                    "take auto, which goes on with what is at hand."
                )
            tiled[-1].stop_asking("no network may be used")
        elif auto and source.not_configured:
            tiled[-1].stop_asking(source.not_configured)
    return FallbackSource(
        spec,
        tiled,
        beside=beside,
        left_out=left_out,
        allow_none=settings.allow_none,
        report=report,
        reach=partial(Reach, cancelled=cancelled) if auto else None,
    )


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


def describe_source(name: str, settings: PriorSettings) -> tuple[bool, list[str]]:
    """For ``fusar prior doctor``: whether a source of tiles works; and what of it, line by line, last what does not."""
    lines: list[str] = []
    try:
        source = open_source(name, settings, lines.append)
        if source.address and settings.offline:
            return False, ["Not asked, for no network may be used: FUSAR_PRIOR_OFFLINE is set."]
        for line in source.describe(RetryPolicy(settings.deadline_s, attempts=1)):
            lines.append(line)
    except PriorError as error:
        return False, [*lines, str(error)]
    return True, lines
