"""What ``fusar prior doctor`` says of the COGs."""

from __future__ import annotations

from pathlib import Path

from fusar_gpt.errors import PriorError
from fusar_gpt.prior_options import MIRROR
from fusar_gpt.priors.cog.tiles import CogTiles
from fusar_gpt.priors.patience import Patience


def diagnose(
    root: str = MIRROR,
    *,
    anonymous: bool = True,
    requester_pays: str | None = None,
    folder: Path | None = None,
    patience: Patience = Patience(),  # noqa: B008 - frozen
) -> list[str]:
    """Line by line: who asks, whether the index and a COG can be read, and the years. It stops at the first that fails.

    Raises:
        Cancelled: ``patience.cancelled()`` became true.
    """
    lines: list[str] = []
    try:
        tiles = CogTiles(root, anonymous=anonymous, requester_pays=requester_pays, folder=folder)
        try:
            lines += tiles.describe(patience)
        finally:
            tiles.close()
    except PriorError as error:
        lines.append(str(error))
    return lines
