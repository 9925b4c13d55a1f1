"""Names of tasks, runs and counts for the analyst, with the caveats: demonstration model, no prior, simulated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..contract import NO_PRIOR, SEARCH, Model, Task
from ..core.counting import AreaCount, Cells, areas_of, cells_of
from ..core.request import tasks_of
from ..translation import translate, translate_count

_NAMED = 12
_MOST_WORDS = 60  # characters of what was searched for, in a title


def task_names() -> dict[str, str]:
    """Return the tasks in the analyst's language."""
    return {
        "detect": str(translate("Wording", "Detect")),
        "locate": str(translate("Wording", "Locate")),
        "count": str(translate("Wording", "Count")),
        "classify": str(translate("Wording", "Classify")),
        "describe": str(translate("Wording", "Describe")),
        "ask": str(translate("Wording", "Ask")),
    }


def task_name(task: str) -> str:
    """Return the task in the analyst's language."""
    return task_names().get(task, task)


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


def method_names() -> dict[str, str]:
    """Return what a count can be made from, by ``method``, in the analyst's language."""
    return {
        "detections": str(translate("Wording", "from detections")),
        "sum of chips": str(translate("Wording", "sum of chips")),
        "chip count": str(translate("Wording", "the model's own count")),
    }


def count_in_words(count: AreaCount) -> str:
    """Return a count with what it was made from, such as ``ship: 24 (from detections; chips that agree: 7 of 9)``."""
    number = str(count.number)
    if not count.complete:
        number = translate("Wording", "at least {n}").format(n=number)
    notes = [method_names().get(count.method, count.method)] if count.method else []
    if count.agreeing is not None:
        notes.append(chips_agree().format(n=count.agreeing, chips=count.chips))
    elif count.agreement is not None:
        notes.append(share_agrees().format(n=round(100 * count.agreement)))
    named = f"{count.target}: {number}" if count.target else number
    return f"{named} ({'; '.join(notes)})" if notes else named


def cells_in_words(cells: Cells) -> list[str]:
    """Return for each target which share of the grid holds it, such as ``ship in 3 of 36 cells``."""
    return _cells(cells.by_target())


def result_in_words(kept: dict[str, Any]) -> list[str]:
    """Return the counts of a run and its grid, from what its layers keep of them."""
    return [*map(count_in_words, areas_of(kept)), *_cells(cells_of(kept))]


def _cells(by_target: Mapping[str, tuple[int, int]]) -> list[str]:
    said = []
    for target, (hits, total) in by_target.items():
        if hits:
            text = translate_count("Wording", "{target} in {hits} of %n cell(s)", total)
        else:
            text = translate_count("Wording", "no {target} in %n cell(s)", total)
        target = target or str(translate("Wording", "object"))
        said.append(text.replace("{target}", target).replace("{hits}", str(hits)))
    return said


def findings_in_words(counts: Mapping[str, int]) -> list[str]:
    """Return how many findings there are of each kind that has any, such as ``3 detections``.

    ``counts`` is by kind of finding but for the grid, and ``unclear`` and ``without_data`` as ``RunLayers`` gives it.
    """
    said = (
        ("detections", translate_count("Wording", "%n detection(s)", counts.get("detections", 0))),
        ("answers", translate_count("Wording", "%n answer(s)", counts.get("answers", 0))),
        ("places", translate_count("Wording", "%n place(s)", counts.get("places", 0))),
        ("unclear", translate_count("Wording", "%n not understood", counts.get("unclear", 0))),
        (
            "without_data",
            translate_count("Wording", "%n chip(s) without enough data", counts.get("without_data", 0)),
        ),
    )
    return [words for kind, words in said if counts.get(kind)]


def understood_in_words(understood: str) -> str:
    """Return what a free question was taken for, such as ``understood as: Count ship``."""
    task, _, targets = understood.partition(" ")
    return understood_as().replace("{task}", run_title(task, targets))


def understood_as() -> str:
    """Return the text that names what a question was taken for, as ``{task}``."""
    return str(translate("Wording", "understood as: {task}"))


def chips_agree() -> str:
    """Return the text that says that ``{n}`` of ``{chips}`` chips counted what was detected on them."""
    return str(translate("Wording", "chips that agree: {n} of {chips}"))


def share_agrees() -> str:
    """Return the text that says that ``{n}`` percent of the chips counted what was detected on them."""
    return str(translate("Wording", "{n} % of the chips agree"))


def questions_taken(model: Model) -> str:
    """Return which questions a model takes that answers none in free words."""
    tasks = tasks_of(model, [task.value for task in Task if task is not Task.ASK])
    text = translate("Wording", "This model answers only questions that are one of its tasks: {tasks}.")
    said = text.replace("{tasks}", ", ".join(map(task_name, tasks)))
    if model.taught_questions:
        questions = " ".join(f"“{question}”" for question in model.taught_questions[:_NAMED])
        said += " " + translate("Wording", "And: {questions}").replace("{questions}", questions)
    if model.targets:
        names = ", ".join(model.targets[:_NAMED]) + (", …" if len(model.targets) > _NAMED else "")
        said += " " + translate("Wording", "It knows: {targets}.").replace("{targets}", names)
    return str(said)


def run_title(task: str, targets: str) -> str:
    """Return the run's short name, such as ``Detect ship``."""
    return f"{task_name(task)} {targets}".strip()


def title_of(run: dict[str, Any]) -> str:
    """Return a run's short name, such as ``Detect ship`` or ``Search: ships at a dock``."""
    task = str(run.get("task") or "")
    if task != SEARCH:
        return run_title(task, str(run.get("targets") or ""))
    words = "; ".join(str(run.get("prompts") or "").splitlines())
    if not words:
        return str(translate("Wording", "Search by example"))
    if len(words) > _MOST_WORDS:
        words = words[:_MOST_WORDS].rstrip() + "…"
    return str(translate("Wording", "Search: {words}")).replace("{words}", words)


def run_caveats(run: dict[str, Any]) -> str:
    """Return what is never silent: a demonstration model, no prior (or which), a simulated scene."""
    prior = run.get("prior") or NO_PRIOR
    caveats = [
        translate("Wording", "demonstration model")
        if run.get("demonstration")
        else translate("Wording", "model {model}").format(model=run.get("model", "?")),
    ]
    if prior != NO_PRIOR:
        caveats.append(translate("Wording", "prior {prior}").format(prior=prior))
    elif run.get("task") != SEARCH:  # which looks at the image alone
        caveats.append(translate("Wording", "no prior"))
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
    return f"{title_of(run)} ({run_caveats(run)})"


def time_in_words(seconds: float) -> str:
    """Return about how long ``seconds`` are: ``about 41 min``."""
    if seconds < 60:
        text = translate("Wording", "about {n} s").format(n=max(round(seconds / 5) * 5, 5))
    elif seconds < 5400:
        text = translate("Wording", "about {n} min").format(n=round(seconds / 60))
    else:
        text = translate("Wording", "about {n} h").format(n=round(seconds / 3600, 1))
    return str(text)


def time_left(seconds: float) -> str:
    """Return about how long ``seconds`` are, for the rest of a run."""
    return str(translate("Wording", "{time} left")).format(time=time_in_words(seconds))
