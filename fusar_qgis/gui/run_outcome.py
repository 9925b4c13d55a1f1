"""What a run came to, in words, and what its last message offers to do next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..contract import Ended
from ..contract.prior import WITHOUT_PRIOR
from ..core.request import LayerRequest
from ..core.tally import Tally
from ..layers.unfinished_runs import UnfinishedRun
from ..layers.wording import (
    cells_in_words,
    count_in_words,
    findings_in_words,
    lacks_prior,
    understood_in_words,
)
from ..translation import translate
from .prior_consent import first_reason


@dataclass(frozen=True)
class FollowUps:
    """What the last message of a run may offer.

    Attributes:
        with_prior: Runs the same again, with a prior.
        compare: Compares a run with the same without a prior, or with one.
        again: Runs the same again.
        resume: Goes on with a run.
    """

    with_prior: Callable[[LayerRequest], None]
    compare: Callable[[dict[str, Any], LayerRequest], None]
    again: Callable[[LayerRequest], None]
    resume: Callable[[UnfinishedRun], None]


def results_in_words(tally: Tally) -> str:
    """Return how much of what a run has found."""
    understood = list(map(understood_in_words, sorted(tally.understood)))
    numbers = list(map(count_in_words, tally.counts.areas()))
    counts = tally.numbers()
    if numbers:  # they say how many were detected
        counts = {**counts, "detections": 0, "answers": 0}
    found = [*numbers, *cells_in_words(tally.cells), *findings_in_words(counts)]
    said = ", ".join(found) or translate("RunController", "Nothing found.")
    return ". ".join([*understood, said])


def notice_without_prior(run: dict[str, Any], end: Ended, request: LayerRequest) -> str:
    """Return that there was no prior though one was asked for, and why; empty where that is not so."""
    some = any(warning.startswith(f"{WITHOUT_PRIOR} ") for warning in end.warnings)  # on some chips: told
    if some or not lacks_prior(run):
        return ""
    reason = first_reason(str(run.get("prior_note") or "").split("; "))
    reason = reason or translate("RunController", "none can be had for this place.")
    if not request.prior_network:
        reason = translate("RunController", "it was not fetched from the network.")
    return translate("RunController", "Without a prior: {reason}").format(reason=reason)
