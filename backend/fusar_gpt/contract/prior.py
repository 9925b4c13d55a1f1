"""What a server says of the prior of a request before it is run (``POST /prior``): nothing is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WITHOUT_PRIOR = "No prior"
"""How a run's warning begins that it had no prior though one was asked for: a colon follows, or on how many chips."""


@dataclass(frozen=True)
class PriorStatus:
    """Where the prior of a request would come from.

    Attributes:
        at_hand: The source that gives it without a network: ``file``, or a source whose tiles are all in the cache.
        file: The prior file that lies beside the scene, or that its sample brings, as the server sees it.
        hosts: Who would be asked over the network, in order, where nothing is at hand.
        said: Whole sentences about what was passed over and why.
    """

    at_hand: str | None = None
    file: str | None = None
    hosts: tuple[str, ...] = ()
    said: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PriorStatus:
        """From the answer. Raises ValueError, KeyError or TypeError."""
        return cls(
            at_hand=data["at_hand"],
            file=data["file"],
            hosts=tuple(str(host) for host in data["hosts"]),
            said=tuple(str(line) for line in data["said"]),
        )
