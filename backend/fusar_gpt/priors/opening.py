"""From what a user names to the source it means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fusar_gpt.errors import PriorError
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.priors.auto import InTurn, in_short
from fusar_gpt.priors.file import FilePrior
from fusar_gpt.priors.patience import Patience
from fusar_gpt.priors.source import NONE, NoPrior, PriorSource

if TYPE_CHECKING:
    from fusar_gpt.priors.cache import TileCache
    from fusar_gpt.priors.tiles import TileSource

AUTO = "auto"
TILED = ("cog", "earth-engine")
"""The sources that tiles are fetched from."""
SPECS = (NONE, AUTO, *TILED)
"""The words that name a source; anything else is the path of a file."""

Tell = Callable[[str], None]


def open_prior(
    spec: str | Path,
    settings: PriorSettings = PriorSettings(),  # noqa: B008 - frozen
    tell: Tell = lambda line: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> PriorSource:
    """The source a user names.

    Args:
        spec: ``none``, ``auto``, ``cog``, ``earth-engine`` or the path of a file.
        settings: How it is fetched.
        tell: Takes what the user should hear, line by line: which source answers, which fails and why.
        cancelled: Whether the user has stopped waiting.

    Raises:
        PriorError: The file is missing or no prior; the source is not configured.
    """
    if spec == NONE:
        return NoPrior()
    if spec not in SPECS:
        return FilePrior(spec) if settings.nodes is None else FilePrior(spec, settings.nodes)
    from fusar_gpt.priors.sampling import Sampling
    from fusar_gpt.priors.tiled import TiledPrior

    patience = Patience(settings.deadline_s, cancelled=cancelled)
    sampling = Sampling(settings.nodes, settings.resampling)
    cache = open_cache(settings)
    sources, left_out = open_sources(str(spec), settings, tell)
    tiled = [TiledPrior(source, cache, sampling, patience, tell) for source in sources]
    return InTurn(str(spec), tiled, left_out=left_out, allow_none=settings.allow_none, tell=tell)


def open_cache(settings: PriorSettings) -> TileCache:
    """The cache of the settings, else the user's own."""
    from fusar_gpt.priors.cache import DEFAULT_LIMIT, TileCache

    return TileCache(settings.cache_folder, settings.cache_bytes or DEFAULT_LIMIT)


def open_sources(spec: str, settings: PriorSettings, tell: Tell) -> tuple[list[TileSource], list[str]]:
    """The tile sources that a word stands for; of ``auto`` those that are configured, and why others are not.

    Raises:
        PriorError: The source named is not configured.
    """
    if spec != AUTO:
        return [open_source(spec, settings, tell)], []
    found, left_out = [], []
    for name in ("cog", "earth-engine"):
        try:
            found.append(open_source(name, settings, tell))
        except PriorError as error:
            left_out.append(in_short(name, error))
            tell(f"prior: without {left_out[-1]}.")
    return found, left_out


def open_source(name: str, settings: PriorSettings, tell: Tell) -> TileSource:
    """The source of tiles of that name. PriorError when it is not configured."""
    if name == "earth-engine":
        from fusar_gpt.priors.earth_engine import EarthEngineTiles

        return EarthEngineTiles(
            settings.ee_project, settings.ee_credentials, settings.ee_url, settings.high_volume
        )
    from fusar_gpt.priors.cog import CogTiles

    return CogTiles(
        settings.cogs, requester_pays=settings.requester_pays, folder=settings.index_folder, tell=tell
    )
