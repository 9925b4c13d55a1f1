"""How fast runs were on this computer: kept in the profile, for the first estimate of the next run."""

from __future__ import annotations

from urllib.parse import urlsplit

from qgis.core import QgsSettings

from ..core.endpoint import Endpoint
from ..core.journal import key_of
from ..core.request import LayerRequest
from ..core.setting_names import LARGE_RUN, RATES

_LARGE = 2000


def rate_key(endpoint: Endpoint, device: str, model: str, request: LayerRequest) -> str:
    """Return the name of the rate of runs like this: the same backend, device, model, task and number of targets."""
    host = urlsplit(endpoint.url).hostname
    return key_of([host, device, model, request.task.value, max(1, len(request.targets))])


def known_rate(key: str) -> float | None:
    """Return how many chips a second such runs have answered; None where that is not known."""
    rate = QgsSettings().value(f"{RATES}/{key}", 0.0, type=float)
    return float(rate) if rate > 0 else None


def keep_rate(key: str, rate: float) -> None:
    """Keep how many chips a second such a run has answered."""
    QgsSettings().setValue(f"{RATES}/{key}", rate)


def large_run() -> int:
    """Return the number of chips above which a run asks before it goes on; 0: never."""
    return int(QgsSettings().value(LARGE_RUN, _LARGE, type=int))


def keep_large_run(chips: int) -> None:
    """Keep that number."""
    QgsSettings().setValue(LARGE_RUN, chips)
