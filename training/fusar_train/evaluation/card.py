"""The model card: what the tiny model is, what it was trained on, what it can do in figures, how to make it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from fusar_train.evaluation.measure import MISSES, PRIOR_COLUMNS, TWIN

Figures = Mapping[str, float]

TEXT = """# FUSAR-GPT tiny

**A demonstration model. Do not rely on its answers.** It exists so that FUSAR-GPT for QGIS can be tried on a laptop
without a download; it has about {parameters:.1f} million parameters where the real model has seven billion.

A small Qwen2.5-VL with token-wise linear modulation (TLM) by AlphaEarth Foundations vectors, trained from scratch.
224 x 224 px chips of 672 m, prompt set `compact`, targets ship and plane; it can count, locate (3 x 3), classify,
detect, describe (by a template) and answer the five questions it has been taught:
{questions}.
Any other question gets an answer too, but it will mean nothing.

## Data and licence

- Simulated SAR chips (`fusar_train.simulation`), endless and from fixed seeds, with priors made of real AEF vectors of
  2024 of the same land cover. The AlphaEarth Foundations Satellite Embedding dataset is produced by Google and Google
  DeepMind (CC-BY 4.0). Some chips were shown without a prior or with another chip's.
- {real}

## Training

`fusar-train tiny --out DIR{option}` makes such a model with `training/fusar_train/pretrain/tiny.yaml`. This copy:

{run}

## Figures

{sets}
Asked through the serving engine and read by the serving parser, greedy. Chance: "commonest answer" always says what
is commonest in the test set (for detect: nothing); "next chip's truth" answers with the truth of another chip.
Reproduce: `fusar-train card --model DIR --out DIR --count {count}{option}{compared}`.
All figures are in `figures.json`.

{tables}### What the project wants of it

{goals}
### What the prior does to exact counts of ships

{prior}
{twin}### Which simulated ships get a box (right prior)

{misses}
## Limits

- The simulated figures are upper bounds: the simulation is simpler than the world, and its prior fits its land cover.
- Real images other than those of the training data's sensors have not been measured.
- One model, no spread over seeds is known. A share measured on 200 chips is uncertain by up to 7 points (95 %).
- On SSDD there is only one class, so the class of a box says nothing there.
"""

REAL = (
    "Real SAR ship chips of SSDD ({train} images trained on, {test} others held out). SSDD carries no data licence "
    "that we could find, therefore these weights are for **research and demonstration only**; no SSDD image ships "
    "with them."
)
TWIN_RUN = """The twin, for comparison without a prior:

{run}
"""
NO_REAL = "No real SAR image was used."
ROWS = (
    ("count {0}", "exact count"),
    ("count {0}, chips with any", "exact count, chips with any"),
    ("locate {0} acc100", "grid Acc@100"),
    ("locate {0} acc100, chips with any", "grid Acc@100, chips with any"),
    ("locate {0} acc50", "grid Acc@50"),
    ("locate {0} top1", "grid Top1"),
    ("detect {0} @0.25 F1", "detection F1 at IoU .25"),
    ("detect {0} @0.5 F1", "detection F1 at IoU .5"),
)
COMMON_ROWS = (("classify", "class of a given box"), ("describe exact", "caption, word for word"))
GOALS = {
    ("simulated", "right prior"): {
        "count ship": 0.95,
        "locate ship acc100": 0.92,
        "classify": 0.98,
        "detect ship @0.5 F1": 0.85,
        "detect plane @0.5 F1": 0.85,
    },
    ("ssdd", "no prior"): {"count ship": 0.75, "locate ship acc100": 0.75, "detect ship @0.5 F1": 0.8},
}


def table(title: str, columns: Mapping[str, Figures]) -> str:
    """One markdown table: a row a figure, a column a condition."""
    lines = [f"### {title}", "", f"| | {' | '.join(columns)} |", "| --- |" + " ---: |" * len(columns)]
    for key, name in titles().items():
        values = [figures.get(key) for figures in columns.values()]
        if any(value is not None for value in values):
            cells = ["" if value is None else f"{value:.3f}" for value in values]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", ""])


def titles() -> dict[str, str]:
    """What a figure of the tables is called, by its name."""
    rows = [(key.format(label), f"{label}: {name}") for label in ("ship", "plane") for key, name in ROWS]
    return dict([*rows, *COMMON_ROWS])


def goals(results: Mapping[str, Mapping[str, Figures]]) -> str:
    """A markdown table of what was wanted beside what was reached."""
    lines = ["| | goal | reached |", "| --- | ---: | ---: |"]
    for (data, column), wanted in GOALS.items():
        for key, goal in wanted.items():
            if data in results and key in results[data][column]:
                lines.append(f"| {data}, {titles()[key]} | {goal:.2f} | {results[data][column][key]:.3f} |")
    return "\n".join([*lines, ""])


def kinds(missed: Mapping[str, Figures]) -> str:
    """A markdown table of the ships of each kind, and the shares of them that get a good, a loose or no box."""
    names = list(next(iter(missed.values()), {}))
    lines = [f"| ships | {' | '.join(names)} |", "| --- |" + " ---: |" * len(names)]
    for kind, (number, *shares) in ((kind, figures.values()) for kind, figures in missed.items()):
        lines.append(f"| {kind} | {number:.0f} | {' | '.join(f'{share:.3f}' for share in shares)} |")
    return "\n".join([*lines, ""])


def prior_effect(columns: Mapping[str, Figures]) -> str:
    """What its own and another place's prior change in ship counting, and what learning with priors costs, as a list.

    Another place's prior cannot tell more than none: against its own, it costs at least what that brings.
    """
    points = {name: 100 * figures["count ship"] for name, figures in columns.items()}
    right, none, wrong = (points[name] for name in PRIOR_COLUMNS.values())
    lines = [
        f"- Its own prior brings {right - none:+.1f} points over none (goal: at least +20).",
        f"- Another place's prior brings {wrong - none:+.1f} points over none (goal: better than -10), "
        f"{wrong - right:+.1f} over its own.",
    ]
    if TWIN in points:
        twin = points[TWIN]
        lines.append(f"- Without a prior it is {none - twin:+.1f} points from its twin (goal: within 2).")
    return "\n".join([*lines, ""])


def write_card(
    folder: Path, results: Mapping[str, Mapping[str, Figures]], facts: Mapping[str, object]
) -> None:
    """Writes ``figures.json`` and ``README.md`` into a checkpoint's folder.

    Args:
        folder: the checkpoint.
        results: what ``measure_all`` returned.
        facts: ``parameters`` (millions), ``questions``, ``count`` (simulated test chips), ``run`` (how long it was
            trained), if there is a twin, ``twin`` (how it was trained) and, when real images were used, ``train`` and
            ``test``, their numbers.
    """
    (folder / "figures.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    real, twin = "ssdd" in results, facts.get("twin")
    sets = f"Simulated: {facts['count']} chips of a stream that training never draws from. "
    sets += f"SSDD: the {facts['test']} held-out images, whole, one chip each." if real else ""
    tables = table("Simulated chips", results["simulated"])
    tables += table("SSDD, real images (no prior exists for them)", results["ssdd"]) if real else ""
    text = TEXT.format(
        **{"train": 0, "test": 0, **facts, "twin": TWIN_RUN.format(run=twin) if twin else ""},
        compared=" --twin TWIN" if twin else "",
        real=REAL.format(**facts) if real else NO_REAL,
        option=" --real SSDD_FOLDER" if real else "",
        sets=sets,
        tables=tables,
        goals=goals(results),
        prior=prior_effect(results["simulated"]),
        misses=kinds(results[MISSES]),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
