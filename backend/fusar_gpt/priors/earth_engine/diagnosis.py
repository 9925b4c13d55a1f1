"""What ``fusar prior doctor`` says of Earth Engine."""

from __future__ import annotations

from pathlib import Path

from fusar_gpt.errors import PriorError
from fusar_gpt.priors.earth_engine.tiles import EarthEngineTiles
from fusar_gpt.priors.patience import Patience
from fusar_gpt.priors.tiles import Tile

_SOMEWHERE = Tile(zone=10, south=False, col=430, row=3263)  # San Francisco
_OVER_QUOTA = (
    "Quota: the project has used up its non-commercial quota and is slowed down, see "
    "https://developers.google.com/earth-engine/guides/noncommercial_tiers."
)


def diagnose(
    project: str | None = None,
    credentials: Path | None = None,
    url: str | None = None,
    high_volume: bool = False,
    patience: Patience = Patience(),  # noqa: B008 - frozen
) -> list[str]:
    """Line by line: the credentials, the project, whether Earth Engine answers, its years, the quota.

    It stops at the first that fails. The arguments are those of ``Access.of``.

    Raises:
        Cancelled: ``patience.cancelled()`` became true.
    """
    lines: list[str] = []
    try:
        tiles = EarthEngineTiles(project, credentials, url, high_volume)
        from fusar_gpt.priors.earth_engine.session import credentials_found, restricted

        kind, own_project = credentials_found(tiles.access, patience)
        lines.append(f"Credentials: {kind}.")
        lines.append(f"Project: {project or own_project or 'none'}.")
        years = tiles.years(_SOMEWHERE, patience)
        lines.append(f"Earth Engine answers at {tiles.access.host}.")
        lines.append(
            f"AEF at San Francisco: {years[0]} to {years[-1]}." if years else "AEF: no images found."
        )
        lines.append(_OVER_QUOTA if restricted() else "Quota: no complaint.")
    except PriorError as error:
        lines.append(str(error))
    return lines
