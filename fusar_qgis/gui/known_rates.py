"""How fast runs were on this computer: kept in the profile, for the first estimate of the next run."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from qgis.core import QgsSettings
from qgis.PyQt.QtCore import QLocale

from ..core.endpoint import Endpoint
from ..core.journal import key_of
from ..core.remaining_time import RemainingTime
from ..core.request import LayerRequest
from ..core.setting_names import LARGE_RUN, RATES
from ..layers.wording import time_in_words, time_left
from ..translation import translate

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


class RunPace:
    """How fast one run is, from its own batches, and before they tell from earlier runs."""

    def __init__(self, endpoint: Endpoint, device: Callable[[], str], request: LayerRequest) -> None:
        """``device`` returns what the model runs on; it may be known late."""
        self._endpoint, self._device, self._request = endpoint, device, request
        self._model = ""
        self._is_own = False  # whether the run itself has told how fast it is
        self._remaining = RemainingTime()

    def begin(self, model: str) -> None:
        """The run has started, with this model."""
        self._model = model
        self._remaining = RemainingTime(known_rate(self._key))

    def note(self, done: int) -> None:
        """Note that ``done`` chips are answered now."""
        self._remaining.note(done, time.monotonic())

    def go_on(self) -> None:
        """The run goes on after a pause, which says nothing about the speed."""
        self._is_own = self._is_own or self._remaining.rate is not None
        self._remaining = RemainingTime(self._remaining.rate or known_rate(self._key))

    def keep(self) -> None:
        """Keep how fast it was for the next run."""
        if self._remaining.rate is not None:
            keep_rate(self._key, self._remaining.rate)

    def question(self, total: int) -> str:
        """Return the question whether so many chips shall be looked at, with how long that takes if it is known."""
        rate, chips = known_rate(self._key), QLocale().toString(total)
        if rate is None:
            return translate("RunController", "This area has {chips} chips. Start?").format(chips=chips)
        text = translate("RunController", "This area has {chips} chips, {time} here. Start?")
        return text.format(chips=chips, time=time_in_words(total / rate))

    def left(self, total: int) -> str:
        """Return in words how long the rest takes; empty where that is not known, or nothing is left."""
        seconds = self._remaining.seconds(total)
        if not seconds:
            return ""
        if self._is_own or self._remaining.rate is not None:
            return time_left(seconds)
        text = translate("RunController", "{time}, as last time")
        return text.format(time=time_in_words(seconds))

    @property
    def _key(self) -> str:
        return rate_key(self._endpoint, self._device(), self._model, self._request)


def large_run() -> int:
    """Return the number of chips above which a run asks before it goes on; 0: never."""
    return int(QgsSettings().value(LARGE_RUN, _LARGE, type=int))


def keep_large_run(chips: int) -> None:
    """Keep that number."""
    QgsSettings().setValue(LARGE_RUN, chips)
