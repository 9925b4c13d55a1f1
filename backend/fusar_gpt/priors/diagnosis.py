"""Which sources of priors work from here, in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.priors.opening import open_cache
from fusar_gpt.priors.patience import Patience


def diagnose(settings: PriorSettings) -> Iterator[tuple[str, list[str]]]:
    """Of the cache and of each source: its name, and what was found, line by line, as soon as it is known."""
    patience = Patience(settings.deadline_s, attempts=1)
    cache = open_cache(settings)
    info = cache.info()
    yield (
        "cache",
        [
            f"{info.tiles} tiles, {info.bytes / 1e6:,.0f} of {info.limit_bytes / 1e6:,.0f} MB, in {info.folder}"
        ],
    )

    from fusar_gpt.priors import cog, earth_engine

    pays, index = settings.requester_pays, settings.index_folder
    yield (
        f"cog ({settings.cogs})",
        cog.diagnose(settings.cogs, requester_pays=pays, folder=index, patience=patience),
    )
    yield (
        "earth-engine",
        earth_engine.diagnose(
            settings.ee_project, settings.ee_credentials, settings.ee_url, settings.high_volume, patience
        ),
    )
