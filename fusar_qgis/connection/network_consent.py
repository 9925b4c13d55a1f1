"""Whether priors may be fetched from the network: what the analyst has said, kept in the settings."""

from __future__ import annotations

from qgis.core import QgsSettings

from ..contract import AUTO_PRIOR, FETCHED_PRIORS
from ..core.setting_names import PRIOR_NETWORK

ASK, ALWAYS, NEVER = "ask", "always", "never"


def kept_consent() -> str:
    """Return what was said: ``ALWAYS``, ``NEVER``, or ``ASK`` where nothing holds for every place."""
    kept = QgsSettings().value(PRIOR_NETWORK, ASK, type=str)
    return str(kept) if kept in (ALWAYS, NEVER) else ASK


def keep_consent(answer: str) -> None:
    """Keep what holds from now on."""
    QgsSettings().setValue(PRIOR_NETWORK, answer)


def may_fetch() -> bool:
    """Return whether priors may be fetched without a question."""
    return kept_consent() == ALWAYS


def is_open(prior: str, *, wished: bool = False) -> bool:
    """Return whether the analyst is to be asked before ``prior`` is fetched.

    So it is where nothing was said, and where a source is named, or ``wished`` for, although the answer was never:
    that is a new wish.
    """
    if prior not in FETCHED_PRIORS:
        return False
    kept = kept_consent()
    return kept == ASK or (kept == NEVER and (wished or prior != AUTO_PRIOR))
