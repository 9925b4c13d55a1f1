"""Captions of a turn, and suggested questions."""

from __future__ import annotations

from ...core.chat import Turn
from ...layers.wording import run_caveats
from ...translation import translate
from .on_map import square_kilometres


def suggestions() -> dict[str, str]:
    """Return a question for each task, in words that the backend understands."""
    return {
        "count": translate("ChatWording", "How many ships are here?"),
        "detect": translate("ChatWording", "Where are the ships?"),
        "locate": translate("ChatWording", "Which grid cells hold ships?"),
        "classify": translate("ChatWording", "What is this?"),
        "describe": translate("ChatWording", "Describe this area."),
    }


def about(turn: Turn) -> str:
    """Return where the question was asked; what it was taken for is said by the answer itself."""
    parts = [turn.target.scene, f"{square_kilometres(turn.target):.3g} km²"]
    boxes = (turn.target.boxes or {}).get("features") or []
    if boxes:
        parts.append(translate("ChatWording", "{n} selected").format(n=len(boxes)))
    return " · ".join(parts)


def caption(turn: Turn) -> str:
    """Return what made the answer: model and prior first, for nothing may be trusted without them."""
    parts = []
    run = turn.run
    if run:
        model = str(run.get("model", "?"))
        if run.get("demonstration"):
            parts.append(translate("ChatWording", "model {model}").format(model=model))
        parts.append(run_caveats(run))
        if run.get("prior", "none") != "none" and run.get("prior_year"):
            parts.append(translate("ChatWording", "year {year}").format(year=run["prior_year"]))
    if turn.chips:
        parts.append(translate("ChatWording", "chips seen: {n}").format(n=turn.chips))
    if turn.first_word_s is not None:
        parts.append(
            translate("ChatWording", "first word after {seconds} s").format(
                seconds=f"{turn.first_word_s:.2f}"
            )
        )
    return " · ".join(parts)
