"""Names of tasks and runs for the analyst, with the caveats: demonstration model, no prior, simulated."""

from __future__ import annotations

from typing import Any

from ..contract import NO_PRIOR
from ..translation import translate


def task_name(task: str) -> str:
    """Return the task in the analyst's language."""
    names = {
        "detect": translate("Wording", "Detect"),
        "locate": translate("Wording", "Locate"),
        "count": translate("Wording", "Count"),
        "classify": translate("Wording", "Classify"),
        "describe": translate("Wording", "Describe"),
        "ask": translate("Wording", "Ask"),
    }
    return str(names.get(task, task))


def task_explanation(task: str) -> str:
    """Return what the task gives."""
    explanations = {
        "detect": translate("Wording", "a box around each object"),
        "locate": translate("Wording", "the cells of a 3 by 3 grid with objects"),
        "count": translate("Wording", "how many objects there are"),
        "classify": translate("Wording", "what each of your polygons is"),
        "describe": translate("Wording", "the area in words"),
        "ask": translate("Wording", "a question of your own"),
    }
    return str(explanations.get(task, ""))


def run_title(task: str, targets: str) -> str:
    """Return the run's short name, such as ``Detect ship``."""
    return f"{task_name(task)} {targets}".strip()


def run_caveats(run: dict[str, Any]) -> str:
    """Return what is never silent: a demonstration model, no prior (or which), a simulated scene."""
    prior = run.get("prior") or NO_PRIOR
    caveats = [
        translate("Wording", "demonstration model")
        if run.get("demonstration")
        else translate("Wording", "model {model}").format(model=run.get("model", "?")),
        translate("Wording", "no prior")
        if prior == NO_PRIOR
        else translate("Wording", "prior {prior}").format(prior=prior),
    ]
    if run.get("prior_simulated"):
        caveats.append(translate("Wording", "simulated prior"))
    if run.get("scene_simulated"):
        caveats.append(translate("Wording", "simulated scene"))
    return ", ".join(caveats)


def lacks_prior(run: dict[str, Any]) -> bool:
    """Return whether a prior was asked for and none was had."""
    return (run.get("prior") or NO_PRIOR) == NO_PRIOR != (run.get("prior_asked") or NO_PRIOR)


def run_name(run: dict[str, Any]) -> str:
    """Return the title with the caveats, for a layer group or a message."""
    title = run_title(str(run.get("task", "")), str(run.get("targets") or ""))
    return f"{title} ({run_caveats(run)})"


def time_left(seconds: float) -> str:
    """Return about how long ``seconds`` are, for the rest of a run."""
    if seconds < 60:
        text = translate("Wording", "about {n} s left").format(n=max(round(seconds / 5) * 5, 5))
    elif seconds < 5400:
        text = translate("Wording", "about {n} min left").format(n=round(seconds / 60))
    else:
        text = translate("Wording", "about {n} h left").format(n=round(seconds / 3600, 1))
    return str(text)
