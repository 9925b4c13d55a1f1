"""Simulated chips as stored records, which the two stages, ``fusar-train evaluate`` and ``fusar-train data`` read."""

from __future__ import annotations

from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.chip import LABELS, LabelledChip, Looks
from fusar_train.corpus.record import Record, RecordObject
from fusar_train.corpus.records import RecordFolder
from fusar_train.corpus.texts.cover import TRUTH, Cover, count_cells
from fusar_train.corpus.texts.template import TemplateDescriber
from fusar_train.simulation.chip import CHOICE_STREAM, TEST_STREAM, TRAIN_STREAM, simulate_chip
from fusar_train.simulation.ground import COVER_NAMES, PIXEL_M

STREAMS = {"train": TRAIN_STREAM, "val": CHOICE_STREAM, "test": TEST_STREAM}
COVERS = tuple("shrubland" if name == "shrub" else name for name in COVER_NAMES)
YEAR = 2024
"""Of the vectors (AEF_ATTRIBUTION.txt), so of the chips too."""


def write_chips(out: Path, split: str, first: int, count: int) -> None:
    """Writes a new folder with ``count`` chips of a split's stream, from number ``first`` on.

    Streams never share chips, so folders of different splits do not either. The caption is the template of the
    tiny recipe; questions about the objects are left to whoever knows the model's words.

    Raises:
        CorpusError: The folder is there already.
        OutputError: It cannot be written; nothing is left.
    """
    with RecordFolder(out) as folder:
        for number in range(first, first + count):
            chip = simulate_chip(number, STREAMS[split])
            folder.add(record_of(chip, split, number), chip.image, (chip.values, chip.positions))


def record_of(chip: LabelledChip, split: str, number: int) -> Record:
    """The record of a simulated chip; its image and prior get their files when it is written.

    Its sub-texts are of templates and tell what the image shows ("looks"), not what only the prior can tell: a model
    that sees no prior can learn them. ``cover`` and ``objects`` are the truth.
    """
    name = f"simulated/{split}-{number:06d}"
    record = Record(
        id=name,
        image=Path(f"{name}.png"),
        objects=tuple(RecordObject(SceneBox(*astuple(item.box)), item.label) for item in chip.objects),
        caption=caption(chip),
        scene=name,
        split=split,
        provenance={
            "dataset": "fusar_train.simulation",
            "licence": "GPL-3.0-or-later; AEF vectors CC-BY 4.0",
            "sensor": "simulated SAR",
            "simulated": True,
            "pixel_m": PIXEL_M,
            "year": YEAR,
            "complete": list(LABELS),
            "place": chip.place,
            "cover": Cover.of_cells(count_cells(chip.cover, len(COVERS)), COVERS, TRUTH).to_json(),
            **({"looks": _looks_json(chip.looks)} if chip.looks else {}),
        },
    )
    return replace(record, texts=TemplateDescriber().describe(record, chip.size))


def _looks_json(looks: Looks) -> dict[str, Any]:
    objects = [{"box": list(astuple(item.box)), "label": item.label} for item in looks.objects]
    return {"objects": objects, "open": list(looks.open), "cover": looks.cover}


def caption(chip: LabelledChip) -> str:
    """The template caption of a chip: its kind of place, its land cover, its targets."""
    covers = main_covers(chip)
    text = f"{(chip.place or '').capitalize()}: mostly {covers[0]}"
    text += f", some {covers[1]}" if len(covers) > 1 else ""
    counts = [(label, len(chip.boxes(label))) for label in LABELS]
    targets = [f"{count or 'no'} {label}{'' if count == 1 else 's'}" for label, count in counts]
    return f"{text}. {', '.join(targets)}."


def main_covers(chip: LabelledChip) -> list[str]:
    """Up to two names of land covers, the larger first, each on at least 15 % of the chip."""
    shares = np.bincount(chip.cover[chip.cover >= 0], minlength=len(COVER_NAMES)) / chip.cover.size
    order = np.argsort(-shares, kind="stable")[:2]
    return [COVER_NAMES[c] for c in order if shares[c] >= 0.15 or c == order[0]]
