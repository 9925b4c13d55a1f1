"""What is known of a data set as a whole, and how one of its images becomes a record."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.errors import CorpusError, naming
from fusar_train.corpus.images import SUFFIXES, image_facts
from fusar_train.corpus.labels import labels_of
from fusar_train.corpus.record import Record, RecordObject, box_of

Read = Record | CorpusError
"""What a reader yields: a record, or why one could not be read."""

UNKNOWN = "unknown: ask the data set's makers"


@dataclass(frozen=True)
class Dataset:
    """Facts that hold for every record.

    Attributes:
        name: Begins every id.
        licence, sensor: As they should stand in the provenance; sensor None if mixed or unknown.
        pixel_m: Metres to a pixel where one value holds for all images.
        year: Year of acquisition, where one holds for all.
        coarse: The coarse label of all classes, where the set's own names are fine ones.
        complete: "set": every class of the set is labelled in every image; "image": only the classes that an
            image shows are known to be labelled in it.
        scene: Pattern whose first group, searched in an image's name, is its scene; by default each image is one.
    """

    name: str
    licence: str = UNKNOWN
    sensor: str | None = None
    pixel_m: float | None = None
    year: int | None = None
    coarse: str | None = None
    complete: str = "set"
    scene: re.Pattern[str] | None = None

    def record_id(self, *parts: str) -> str:
        """The id of an image from its words, which may hold any character."""
        clean = (re.sub(r"[^\w.-]+", "-", part).strip(".") or "x" for part in parts)
        return "/".join((self.name, *clean))[:180]

    def scene_of(self, stem: str) -> str:
        """The group key of an image."""
        found = self.scene.search(stem) if self.scene else None
        return f"{self.name}/{found[1] if found and found.groups() else stem}"

    def provenance(self, **more: Any) -> dict[str, Any]:
        """The provenance of a record; values that are None are left out."""
        known = {
            "dataset": self.name,
            "licence": self.licence,
            "sensor": self.sensor,
            "pixel_m": self.pixel_m,
        }
        known |= {"simulated": False, "year": self.year, **more}
        return {key: value for key, value in known.items() if value is not None}

    def item(self, name: str, box: SceneBox, difficult: bool = False) -> RecordObject:
        """An object of the data set's class ``name``."""
        label, fine = labels_of(name, self.coarse)
        return RecordObject(box, label, fine, difficult)

    def record(
        self,
        image: Path,
        words: Sequence[str],
        complete: Iterable[str],
        *,
        scene: str | None = None,
        more: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Record:
        """The record of an image whose id is made of ``words``; the last one tells its scene unless that is given.

        ``complete`` are the labels of which every object is listed, ``more`` further entries of the provenance.
        """
        provenance = self.provenance(complete=sorted(set(complete)), **(more or {}))
        scene = scene or self.scene_of(words[-1])
        return Record(id=self.record_id(*words), image=image, scene=scene, provenance=provenance, **fields)


def checked_size(image: Path, stated: tuple[float, float], where: str) -> None:
    """Refuses an image of another size than its annotation states (0: not stated).

    Raises:
        CorpusError: The sizes differ, so the boxes would not fit; or the image cannot be read.
    """
    size, _ = image_facts(image, str(image))
    if all(stated) and stated != size:
        raise CorpusError(
            f"{where} is made for {stated[0]:g} x {stated[1]:g} px, and {image.name} has {size[0]} x {size[1]}: "
            "get the image that belongs to it."
        )


def scene_box(edges: Sequence[object], where: str) -> SceneBox:
    """A box of continuous pixel edges; CorpusError when it is inverted, empty or no numbers."""
    with naming(where):
        box = box_of(edges)
        if box.area <= 0:
            raise ValueError(f"box {list(edges)} is empty")
    return box


def lenient(make: Callable[..., Record], items: Iterable[tuple[Any, ...]]) -> Iterator[Read]:
    """The records that ``make`` makes of each item's parts; a bad one comes as its error."""
    for parts in items:
        try:
            yield make(*parts)
        except CorpusError as error:
            yield error


def find_image(folders: Iterable[Path], name: str) -> Path | None:
    """The image of that name, with or without suffix, in the first folder that has it."""
    for folder in folders:
        whole = folder / name
        if whole.suffix.lower() in SUFFIXES and whole.is_file():
            return whole
        for suffix in SUFFIXES:
            for spelled in (suffix, suffix.upper()):
                if (path := folder / f"{name}{spelled}").is_file():
                    return path
    return None
