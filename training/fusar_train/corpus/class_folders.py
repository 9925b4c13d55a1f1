"""Chips in folders named after their class, as FUSAR-Ship has them: ``Cargo/BulkCarrier/Ship_C01S02N0001.tiff``.

The folders of classes may lie in one called ``images`` or the like, as in SAR-ACD, and in one for each split.

The whole chip is the box of its object, since nobody boxed it; other objects may be visible, so nothing can be
counted and only classification is asked. FUSAR-Ship's ``meta.csv`` gives the ship's MMSI, which groups the chips of
one ship into one scene.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.dataset import Dataset, Read, lenient
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import without_litter
from fusar_train.corpus.image_tables import SPLIT_NAMES
from fusar_train.corpus.images import SUFFIXES, image_facts, turn_of
from fusar_train.corpus.labels import SHIP, written
from fusar_train.corpus.record import Record, RecordObject

_SHIP_FILE = "Ship_"
_ABOVE = {"images", "image", "imgs", "jpegimages", "chips", "data"}
"""Folders that hold those of the classes."""


def read_class_folders(root: Path, dataset: Dataset) -> Iterator[Read]:
    """The chips of all folders, sorted by path.

    Raises:
        CorpusError: There are none, or ``meta.csv`` is no table; a bad chip comes as its error.
    """
    ships = _ships(root / "meta.csv")
    images = (p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.parent != root)
    paths = without_litter(root, images, dataset.notes)
    if not paths:
        raise CorpusError(
            f"{root} has no folders with images: give the folder that holds one folder a class."
        )
    placed = _placed(paths, root, dataset)
    yield from lenient(_record, ((chip, ships.get(chip.path.stem), dataset) for chip in placed))


@dataclass(frozen=True)
class _Chip:
    """A chip's file, the split that a folder names, and the folders from its class on."""

    path: Path
    split: str | None
    classes: tuple[str, ...]


def _placed(paths: Sequence[Path], root: Path, dataset: Dataset) -> list[_Chip]:
    """The chips, their folders without those above the classes."""
    chips = [_Chip(path, None, path.relative_to(root).parent.parts) for path in paths]
    while all(len(chip.classes) > 1 for chip in chips):
        above = {chip.classes[0].lower() for chip in chips}
        if above <= _ABOVE:
            chips = [replace(chip, classes=chip.classes[1:]) for chip in chips]
        elif above <= set(SPLIT_NAMES) and not any(chip.split for chip in chips):
            dataset.notes[f"the folders {', '.join(sorted(above))} are taken for splits, not for classes"] = 1
            chips = [_Chip(c.path, SPLIT_NAMES[c.classes[0].lower()], c.classes[1:]) for c in chips]
        else:
            break
    return chips


def _ships(path: Path) -> dict[str, str]:
    """MMSI by chip."""
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except csv.Error as error:
        raise CorpusError(f"{path} is no table ({error}): correct or remove it.") from error
    return {str(row["id"]): str(row["mmsi"]) for row in rows if row.get("id") and row.get("mmsi")}


def _record(chip: _Chip, mmsi: str | None, dataset: Dataset) -> Record:
    path, classes = chip.path, chip.classes
    (width, height), _ = image_facts(path, str(path))
    if turn_of(path) > 4:  # the box is the whole chip, as it is shown
        width, height = height, width
    label, fine = dataset.names.of(classes[0], dataset.coarse)
    if path.name.startswith(_SHIP_FILE):
        label, fine = SHIP, written(classes[0])
    return dataset.record(
        path,
        [*([chip.split] if chip.split else []), *classes, path.stem],
        (),
        split=chip.split,
        scene=f"{dataset.name}/mmsi-{mmsi}" if mmsi else None,
        more={"subclass": "/".join(classes[1:]) or None},
        size=(width, height),
        objects=(RecordObject(SceneBox(0, 0, width, height), label, fine),),
    )
