"""Simulated chips as stored records, which the two stages, ``fusar-train evaluate`` and ``fusar-train data`` read."""

from __future__ import annotations

from pathlib import Path

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.mixture import CHOICE_STREAM, TEST_STREAM, TRAIN_STREAM
from fusar_train.corpus.questions import describe
from fusar_train.corpus.record import LABELS, Record
from fusar_train.corpus.records import RecordFolder, StoredObject, StoredRecord
from fusar_train.simulation.chip import simulate_chip
from fusar_train.simulation.ground import PIXEL_M

STREAMS = {"train": TRAIN_STREAM, "val": CHOICE_STREAM, "test": TEST_STREAM}
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
            folder.add(stored(chip, split, number), chip.image, (chip.values, chip.positions))


def stored(chip: Record, split: str, number: int) -> StoredRecord:
    """The stored form of a chip of ours; its image and prior get their files when it is written."""
    name = f"simulated/{split}-{number:06d}"
    boxes = [(SceneBox(o.box.left, o.box.top, o.box.right, o.box.bottom), o.label) for o in chip.objects]
    return StoredRecord(
        id=name,
        image=Path(f"{name}.png"),
        window=None,
        objects=tuple(StoredObject(box, label) for box, label in boxes),
        prior=None,
        messages=(),
        caption=describe(chip).answer,
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
        },
    )
