"""What is known of a data set as a whole, and how one of its images becomes a record."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.cover_classes import MaskOptions
from fusar_train.corpus.errors import CorpusError, naming
from fusar_train.corpus.files import check_links
from fusar_train.corpus.images import SUFFIXES, Turn, image_facts, turn_of
from fusar_train.corpus.labels import ClassNames
from fusar_train.corpus.record import Record, RecordObject, box_of

Read = Record | CorpusError
"""What a reader yields: a record, or why one could not be read."""

BoxFormat = Literal["xywh", "xyxy", "xywh-share", "xyxy-share"]
"""What four numbers of COCO are: corner and size, or two corners; in pixels, or as shares of the image's sides."""

UNKNOWN = "unknown: ask the data set's makers"
_EXIF = "EXIF orientation:"


@dataclass(frozen=True)
class Dataset:
    """Facts that hold for every record.

    Attributes:
        name: Begins every id.
        licence, sensor, polarisation: As they should stand in the provenance; None if mixed or unknown.
        truth: What whoever measures with its boxes must know of how they were made.
        pixel_m: Metres to a pixel where one value holds for all images.
        year: Year of acquisition, where one holds for all.
        coarse: The coarse label of all classes, where the set's own names are fine ones.
        complete: "set": every class of the set is labelled in every image; "image": only the classes that an
            image shows are known to be labelled in it.
        scene: Pattern whose first group, searched in an image's name, is its scene; by default each image is one.
        box_format: What COCO's boxes are; None where the file must tell.
        first_pixel: Whether VOC's boxes count pixels from 0 or 1; None where the files must tell.
        masks: How scenes with masks are read.
        root: The folder that links must not lead out of, if there is one.
        notes: What a reader took to be so, repaired or left out, and how often: the user must be told.
        names: The classes met so far.
    """

    name: str
    licence: str = UNKNOWN
    sensor: str | None = None
    polarisation: str | None = None
    truth: str | None = None
    pixel_m: float | None = None
    year: int | None = None
    coarse: str | None = None
    complete: str = "set"
    scene: re.Pattern[str] | None = None
    box_format: BoxFormat | None = None
    first_pixel: int | None = None
    masks: MaskOptions = field(default_factory=MaskOptions)
    root: Path | None = None
    notes: Counter[str] = field(default_factory=Counter, compare=False)
    names: ClassNames = field(default_factory=ClassNames, compare=False)

    def record_id(self, *parts: str) -> str:
        """The id of an image from its words, which may hold any character."""
        clean = (re.sub(r"[^\w.-]+", "-", part).strip(".") or "x" for part in parts)
        return "/".join((self.name, *clean))[:180]

    def scene_of(self, words: Sequence[str]) -> str:
        """The group key of an image, from the words of its id."""
        found = self.scene.search(words[-1]) if self.scene else None
        return f"{self.name}/{found[1] if found and found.groups() else '/'.join(words)}"

    def provenance(self, **more: Any) -> dict[str, Any]:
        """The provenance of a record; values that are None are left out."""
        known = {
            "dataset": self.name,
            "licence": self.licence,
            "sensor": self.sensor,
            "polarisation": self.polarisation,
            "pixel_m": self.pixel_m,
            "truth": self.truth,
        }
        known |= {"simulated": False, "year": self.year, **more}
        return {key: value for key, value in known.items() if value is not None}

    def label(self, name: str) -> str:
        """The coarse label of the data set's class ``name``; CorpusError as ``ClassNames.of``."""
        return self.names.of(name, self.coarse)[0]

    def item(self, name: str, box: SceneBox, difficult: bool = False) -> RecordObject:
        """An object of the data set's class ``name``; CorpusError as ``ClassNames.of``."""
        label, fine = self.names.of(name, self.coarse)
        return RecordObject(box, label, fine, difficult)

    def record(
        self,
        image: Path,
        words: Sequence[str],
        complete: Iterable[str],
        *,
        objects: Sequence[RecordObject] = (),
        scene: str | None = None,
        size: tuple[float, float] = (0, 0),
        where: str | None = None,
        more: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Record:
        """The record of an image whose id is made of ``words``, which also tell its scene unless that is given.

        Objects of one class with one box become one. An image with an EXIF orientation is turned, or not, as its
        annotation was made.

        Args:
            image: Its file.
            words: Of its id; a scene's pattern is searched in the last one.
            complete: The labels of which every object is listed.
            objects: What it shows.
            scene: Where something else than its name tells it.
            size: Width and height that the annotation states; 0 where it does not.
            where: Its place in the data set, for errors.
            more: Further entries of the provenance.
            fields: Further fields of the record.

        Raises:
            CorpusError: The image cannot be read, is of another size than stated, a link out of the data set, or
                has an EXIF orientation and nothing tells whether its boxes were drawn before or after turning; or an
                object lies outside it.
        """
        where = where or "/".join(words)
        if self.root is not None:
            check_links(self.root, image, where)
        turn = checked_size(image, size, where, bool(objects))
        _check_inside(objects, image, turn, where)
        kept = list(dict.fromkeys(objects))
        repaired = []
        if again := len(objects) - len(kept):
            self.notes["a box that stood twice was kept once"] += again
            repaired.append(f"{again} boxes that stood twice dropped")
        if turn:
            self.notes[f"an image with an EXIF orientation was {turn}"] += 1
            repaired.append(f"{_EXIF} {turn}")
        facts = {"complete": sorted(set(complete)), "repaired": repaired or None, **(more or {})}
        return Record(
            id=self.record_id(*words),
            image=image,
            scene=scene or self.scene_of(words),
            provenance=self.provenance(**facts),
            objects=tuple(kept),
            **fields,
        )


def _check_inside(objects: Sequence[RecordObject], image: Path, turn: Turn | None, where: str) -> None:
    width, height = image_facts(image, str(image))[0]
    if turn == "turned" and turn_of(image) > 4:
        width, height = height, width
    for number, item in enumerate(objects, 1):
        box = item.box
        if box.left >= width or box.top >= height or box.right <= 0 or box.bottom <= 0:
            edges = f"{box.left:g}, {box.top:g}, {box.right:g}, {box.bottom:g}"
            raise CorpusError(
                f"{where}: object {number}, {edges}, lies outside its {width} x {height} px: correct or remove it."
            )


def was_turned(record: Record) -> bool:
    """Whether the record shows its image as its EXIF orientation turns it."""
    return f"{_EXIF} turned" in record.provenance.get("repaired", ())


def checked_size(image: Path, stated: tuple[float, float], where: str, boxed: bool) -> Turn | None:
    """Refuses an image of another size than its annotation states (0: not stated).

    Returns:
        What to do with an image that has an EXIF orientation, as the annotation has its size; None for all others.

    Raises:
        CorpusError: The sizes differ, so the boxes would not fit; it cannot be told whether the boxes are those of the
            turned image; or the image cannot be read.
    """
    size, _ = image_facts(image, str(image))
    orientation = turn_of(image)
    fits: dict[Turn, tuple[int, int]] = {"left as stored": size}
    if orientation:
        fits["turned"] = size[::-1] if orientation > 4 else size
    if not all(stated):
        fitting = list(fits)
    elif not (fitting := [turn for turn, sides in fits.items() if sides == stated]):
        raise CorpusError(
            f"{where} is made for {stated[0]:g} x {stated[1]:g} px, and {image.name} has {size[0]} x {size[1]}: "
            "get the image that belongs to it."
        )
    if not orientation:
        return None
    if len(fitting) > 1 and boxed:
        raise CorpusError(
            f"{where}: {image.name} has the EXIF orientation {orientation}, and nothing tells whether its boxes were "
            "drawn before or after turning: store the image as its boxes have it, without that entry."
        )
    return fitting[-1]


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
