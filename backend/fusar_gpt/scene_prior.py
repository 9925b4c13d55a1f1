"""The prior of a scene: the source that a request asks for, the year, each chip's footprint, and what is at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from fusar_gpt import lonlat
from fusar_gpt.contract import AUTO_PRIOR, FETCHED_PRIORS, PRIOR_SOURCES, InterpretRequest, PriorStatus
from fusar_gpt.errors import PriorError
from fusar_gpt.frames import ScenePoints
from fusar_gpt.imagery import Chip, RasterPolicy, Scene
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.priors import FilePrior, Footprint, PriorSource, open_prior
from fusar_gpt.priors.beside import PriorBeside, files_beside
from fusar_gpt.priors.files import POINT_FILES
from fusar_gpt.priors.source import FallbackSource, open_file

Admit = Callable[[Path], Path]
"""Looks at a prior file that nobody named before it is opened; gives its real path, or raises FusarError."""


def admit_raster(path: Path) -> Path:
    """A file beside the scene may come with the scene from anywhere: only drivers that follow nothing open it."""
    if path.suffix.lower() not in POINT_FILES:
        RasterPolicy().check(path)
    return path


def open_scene_prior(
    request: InterpretRequest,
    scene: Scene,
    settings: PriorSettings,
    report: Callable[[str], None],
    cancelled: Callable[[], bool] = lambda: False,
    policy: RasterPolicy | None = None,
    admit: Admit = admit_raster,
) -> PriorSource:
    """The source of the priors that a request asks for.

    Args:
        request: Names the source, and whether a network may be used.
        scene: What it is about.
        settings: How priors are fetched.
        report: Takes each line about where they come from.
        cancelled: Whether the user has stopped waiting.
        policy: Which rasters may be opened, where the file is somebody else's; None trusts the one that is named.
        admit: Looks at the files beside the scene.

    Raises:
        PriorError: The file named is no prior; the source is not configured, or needs a network that is refused.
    """
    settings = settings_of(request, settings)

    def open_beside(path: Path) -> FilePrior:
        return open_file(admit(path), settings, RasterPolicy.drivers)

    beside = None
    if request.prior == AUTO_PRIOR:
        beside = PriorBeside(files_beside(scene.path), open_beside, report, simulated=scene.simulated)
    return open_prior(request.prior, settings, report, cancelled, policy.drivers if policy else None, beside)


def settings_of(request: InterpretRequest, settings: PriorSettings) -> PriorSettings:
    """The settings, as far as a request decides them too; ``auto`` always goes on without a prior."""
    return replace(
        settings,
        allow_none=settings.allow_none or request.allow_no_prior or request.prior == AUTO_PRIOR,
        offline=settings.offline or not request.prior_network,
    )


def check_network(request: InterpretRequest, settings: PriorSettings) -> None:
    """Refuse a source that is named and lies on a network where none may be used. Raises PriorError."""
    if request.prior in FETCHED_PRIORS and request.prior != AUTO_PRIOR and settings.offline:
        open_prior(request.prior, settings).close()


def prior_asked(request: InterpretRequest) -> str:
    """What the request asks for: a word, or ``file:`` and a file's name, as a source is called in a run."""
    return request.prior if request.prior in PRIOR_SOURCES else f"file:{Path(request.prior).name}"


def prior_year(request: InterpretRequest, scene: Scene) -> int | None:
    """The year that the prior should describe: the one asked for, else that of the acquisition; None where unknown."""
    return request.year or (scene.acquired.year if scene.acquired else None)


def footprint(scene: Scene, chip: Chip) -> Footprint:
    """The chip's spatiotemporal bounding box (FUSAR-GPT eq. 1) and the real mapping to chip pixels (eq. 3)."""
    outline = ScenePoints.of(
        np.asarray(chip.footprint.segmentize(chip.plan.window.width / 8).exterior.coords)
    )
    west, south, east, north = lonlat.bounds(scene.to_lonlat(outline).xy())
    return Footprint(
        west=west,
        south=south,
        east=east,
        north=north,
        width=chip.plan.width,
        height=chip.plan.height,
        lonlat_to_chip=lambda points: chip.plan.scene_to_chip(scene.from_lonlat(points)),
        scene_to_chip=chip.plan.scene_to_chip,
        scene_width=scene.width,
        scene_height=scene.height,
    )


def prior_status(
    request: InterpretRequest,
    scene: Scene,
    chips: Iterable[Chip],
    settings: PriorSettings,
    policy: RasterPolicy | None = None,
    admit: Admit = admit_raster,
) -> PriorStatus:
    """Where the prior of the chips would come from. Nothing is fetched, and no server is asked.

    ``hosts`` are named whether or not the request allows the network, for those who have yet to be asked.
    """
    said: list[str] = []
    asked = replace(request, prior_network=True)
    try:
        source = open_scene_prior(asked, scene, settings, said.append, policy=policy, admit=admit)
    except PriorError as error:
        return PriorStatus(said=(str(error),))
    if isinstance(source, FilePrior):
        return PriorStatus(at_hand="file", file=request.prior)
    if not isinstance(source, FallbackSource):
        return PriorStatus()
    try:
        return _status_of(source, scene, chips, prior_year(request, scene), said)
    finally:
        source.close()


def _status_of(
    source: FallbackSource, scene: Scene, chips: Iterable[Chip], year: int | None, said: list[str]
) -> PriorStatus:
    at_hand: str | None = None
    file: Path | None = None
    hosts: tuple[str, ...] = ()
    for chip in chips:
        place = footprint(scene, chip)
        file = file or source.file_at(place)
        here = source.at_hand(place, year)
        if here is None:
            at_hand, hosts = None, source.hosts
            said += [f"Without {line}." for line in source.left_out]
            break
        at_hand = at_hand or here
    lines = [line.removeprefix("prior: ") for line in dict.fromkeys(said)]
    return PriorStatus(at_hand, str(file) if file else None, hosts, tuple(lines))
