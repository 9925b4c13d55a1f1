"""What a user decides about SCIO."""

from __future__ import annotations

from dataclasses import dataclass

RULE_NAMES = ("text", "algorithm", "summed", "alone", "gain")
"""The keys of ``rules.RULES``, for those who cannot wait for it to be imported."""
ACCEPTANCE_NAMES = ("alone", "text", "algorithm")
"""Those of ``rebuild.ACCEPTANCES``."""


@dataclass(frozen=True)
class ScioOptions:
    """How texts are screened and rebuilt between the phases of a run.

    Attributes:
        rule: What is noise, a name of ``rules.RULES``.
        share: What part is called noise by rules that rank.
        rebuild: Whether noise is rewritten, or only kept out of what the decoder learns.
        margin: By how much a rewritten sub-text must be better, as its acceptance says.
        acceptance: When a rewritten one is taken, a name of ``rebuild.ACCEPTANCES``.
        every_key: Rewrite counts and places, too, which the decoder hardly ever writes rightly.
    """

    rule: str = "gain"
    share: float = 0.1
    rebuild: bool = True
    margin: float = 1.0
    acceptance: str = "alone"
    every_key: bool = False
