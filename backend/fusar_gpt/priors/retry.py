"""The errors of sources of priors, and the one retry policy with them."""

from __future__ import annotations

from dataclasses import dataclass

from fusar_gpt import retry
from fusar_gpt.errors import FusarError, PriorError
from fusar_gpt.retry import Deadline

__all__ = ["Deadline", "RetryPolicy", "TransientError", "Unavailable"]


class Unavailable(PriorError):  # noqa: N818 - a state, not a fault
    """A source cannot give its data now: no network, no credentials, too many requests, too slow."""


class TransientError(Unavailable):
    """A failure that another attempt may mend."""


@dataclass(frozen=True)
class RetryPolicy(retry.RetryPolicy):
    """How long and how often a source is tried for one result; ``run`` raises Unavailable when it is given up."""

    transient: type[FusarError] = TransientError
