"""How long the rest of a run takes, from when its batches of chips were answered."""

from __future__ import annotations

_TOGETHER_S = 0.5
_KNOWN_AFTER_S = 1.0


class RemainingTime:
    """Counts whole batches: the chips of one are answered together, and their number says nothing about the speed.

    The first batch starts the clock and is not counted: the model may have been loading, or a run that is taken up
    again may have had those chips already.
    """

    def __init__(self, known_rate: float | None = None) -> None:
        """``known_rate`` is how many chips a second such runs have answered before; used until this one tells."""
        self._known_rate = known_rate
        self._first: tuple[float, int] | None = None  # when the batch began to arrive, chips done with it
        self._last: tuple[float, int] = (0.0, 0)

    def note(self, done: int, now: float) -> None:
        """Note that ``done`` chips are answered at ``now``, in seconds of any clock that only goes forward."""
        if self._first is None:
            self._first = self._last = (now, done)
        elif done > self._last[1]:
            began = self._last[0]
            is_same = now - began < _TOGETHER_S
            if is_same and began == self._first[0]:
                self._first = (began, done)
            self._last = (began if is_same else now, done)

    def seconds(self, total: int) -> float | None:
        """Return how long the chips take that are missing from ``total``; None while that is not known."""
        rate = self.rate or self._known_rate
        return None if rate is None else (total - self._last[1]) / rate

    @property
    def rate(self) -> float | None:
        """How many chips a second are answered, as the batches of this run tell; None while they do not."""
        if self._first is None:
            return None
        (began, first), (now, done) = self._first, self._last
        if now - began < _KNOWN_AFTER_S or done <= first:
            return None
        return (done - first) / (now - began)
