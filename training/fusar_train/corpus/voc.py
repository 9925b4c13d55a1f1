"""Pascal VOC detection sets: SSDD, SAR-AIRcraft-1.0 and others of that layout.

``Annotations/*.xml`` beside ``JPEGImages/``, or both with ``_train``, ``_val``, ``_test`` after the name (as the
official SSDD has them); ``ImageSets/Main/{train,val,test}.txt`` says the split where it exists.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.box_format import is_share
from fusar_train.corpus.dataset import Dataset, Read, find_image, lenient, scene_box
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import without_litter, xml_file
from fusar_train.corpus.record import SPLITS, Record, RecordObject

_FOLDERS = ("Annotations", "Annotation")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class _File:
    """One annotation: its XML, the folder of its image, the words of its id, and the split that a folder names."""

    path: Path
    images: Path
    words: tuple[str, ...]
    split: str | None


@dataclass(frozen=True)
class PixelCount:
    """How boxes count pixels: what is taken from their first corner, and added to their last, to make edges."""

    first: float
    last: float


FROM_ONE = PixelCount(1, 0)
"""VOC's own: the first pixel is 1, and the last one is inside, so xmin 1, xmax 10 are the edges 0 and 10."""

_FROM_ZERO, _EDGES = PixelCount(0, 1), PixelCount(0, 0)


def read_voc(root: Path, dataset: Dataset) -> Iterator[Read]:
    """The records of a folder, sorted by name.

    Boxes count pixels from 1 as VOC does; where any of the whole set begins at 0, from 0, and where one then ends at
    the image's width or height, they are edges already. ``dataset.first_pixel`` overrides the former.

    Raises:
        CorpusError: There are no annotations; a bad one comes as its error, named by file.
    """
    found = list(_annotations(root, dataset))
    if not found:
        raise CorpusError(
            f"{root} has no Annotations/*.xml: give the folder that holds Annotations and JPEGImages."
        )
    splits = _stated_splits(root)
    survey = _survey([file.path for file in found], dataset)
    classes = survey.labels if dataset.complete == "set" else set()
    yield from lenient(
        _record,
        (
            (file, file.split or splits.get(file.path.stem), dataset, classes, survey.counted)
            for file in found
        ),
    )


def voc_box(corners: ET.Element, where: str, counted: PixelCount = FROM_ONE) -> SceneBox:
    """The edges of a ``bndbox``; CorpusError when a corner is missing or no number, or it is inverted."""
    try:
        left, top, right, bottom = (float(corners.findtext(name) or "") for name in _CORNERS)
    except ValueError:
        raise CorpusError(f"{where}: bndbox lacks xmin, ymin, xmax or ymax. Correct or remove it.") from None
    if is_share((left, top, right, bottom)):
        raise CorpusError(f"{where} is smaller than a pixel, as if it were shares of the image. Correct it.")
    first, last = counted.first, counted.last
    return scene_box((left - first, top - first, right + last, bottom + last), where)


def _annotations(root: Path, dataset: Dataset) -> Iterator[_File]:
    """Every annotation; those of one name in several folders or splits get these among their id's words."""
    found = []
    for base in _FOLDERS:
        for split in (None, *SPLITS):
            tail = f"_{split}" if split else ""
            folder = root / f"{base}{tail}"
            for path in without_litter(root, folder.rglob("*.xml"), dataset.notes):
                inner = path.relative_to(folder).parts[:-1]
                found.append(
                    _File(path, root / f"JPEGImages{tail}" / Path(*inner), (*inner, path.stem), split)
                )
    times = Counter(file.words for file in found)
    for file in found:
        words = (file.split, *file.words) if file.split and times[file.words] > 1 else file.words
        yield _File(file.path, file.images, words, file.split)


def _stated_splits(root: Path) -> dict[str, str]:
    splits: dict[str, str] = {}
    for split in SPLITS:
        listed = root / "ImageSets" / "Main" / f"{split}.txt"
        if listed.is_file():
            lines = listed.read_text(encoding="utf-8", errors="replace").splitlines()
            splits.update({line.split()[0]: split for line in lines if line.strip()})
    return splits


@dataclass(frozen=True)
class _Survey:
    """What all annotations tell together: the set's coarse labels, and how its boxes count pixels."""

    labels: set[str]
    counted: PixelCount


def _survey(paths: Sequence[Path], dataset: Dataset) -> _Survey:
    """Files that cannot be read are reported when their turn comes."""
    labels = set[str]()
    zeros, full = 0, 0
    for path in paths:
        try:
            root = xml_file(path)
        except CorpusError:
            continue
        names = [item.findtext("name") or "" for item in root.iter("object")]
        labels |= {dataset.label(name) for name in names if name.strip()}
        for box in root.iter("bndbox"):
            zeros += any((box.findtext(name) or "").strip() in ("0", "0.0") for name in _CORNERS[:2])
            full += _reaches_the_edge(box, root)
    return _Survey(labels, _counted(zeros, full, dataset))


def _counted(zeros: int, full: int, dataset: Dataset) -> PixelCount:
    first = dataset.first_pixel if dataset.first_pixel is not None else 0 if zeros else 1
    if first == 1:
        if zeros:
            dataset.notes["a box that begins at 0 was read as counted from 1, as --first-pixel says"] += zeros
        return FROM_ONE
    told = "boxes are read as counted from 0 instead of VOC's 1" + (
        ", since some begin at 0" if dataset.first_pixel is None else ""
    )
    last = "their last corner as the outer edge, since some end at the image's width or height"
    dataset.notes[f"{told}, {last if full else 'their last pixel as inside'}: see --first-pixel"] += 1
    return _EDGES if full else _FROM_ZERO


def _reaches_the_edge(box: ET.Element, root: ET.Element) -> bool:
    size = root.find("size")
    ends = (("xmax", "width"), ("ymax", "height"))
    return size is not None and any(
        (side := _whole(size, name)) > 0 and (box.findtext(corner) or "").strip() in (f"{side}", f"{side}.0")
        for corner, name in ends
    )


def _record(
    file: _File, split: str | None, dataset: Dataset, classes: set[str], counted: PixelCount
) -> Record:
    path, root = file.path, xml_file(file.path)
    image = find_image((file.images, path.parent.parent / "JPEGImages", path.parent), path.stem)
    if image is None:
        raise CorpusError(
            f"{path} has no image {path.stem}.jpg in {file.images}: add it, or remove the annotation."
        )
    element = root.find("size")
    size = (0, 0) if element is None else (_whole(element, "width"), _whole(element, "height"))
    items = enumerate(root.iter("object"), 1)
    objects = [_object(item, f"{path}, object {number}", dataset, counted) for number, item in items]
    complete = classes or {item.label for item in objects}
    return dataset.record(
        image, file.words, complete, objects=objects, split=split, size=size, where=str(path)
    )


def _object(item: ET.Element, where: str, dataset: Dataset, counted: PixelCount) -> RecordObject:
    name, corners = item.findtext("name") or "", item.find("bndbox")
    if not name.strip() or corners is None:
        raise CorpusError(f"{where} has no name or no bndbox. Correct or remove it.")
    difficult = (item.findtext("difficult") or "0").strip() == "1"
    return dataset.item(name, voc_box(corners, where, counted), difficult)


def _whole(size: ET.Element, name: str) -> int:
    text = (size.findtext(name) or "0").strip()
    return int(text[:10]) if text.isdecimal() else 0
