"""Pascal VOC detection sets: SSDD, SAR-AIRcraft-1.0 and others of that layout.

``Annotations/*.xml`` beside ``JPEGImages/``, or both with ``_train``, ``_val``, ``_test`` after the name (as the
official SSDD has them); ``ImageSets/Main/{train,val,test}.txt`` says the split where it exists.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.dataset import Dataset, Read, checked_size, find_image, lenient, scene_box
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import xml_file
from fusar_train.corpus.labels import labels_of
from fusar_train.corpus.record import SPLITS, Record, RecordObject

_FOLDERS = ("Annotations", "Annotation")


def read_voc(root: Path, dataset: Dataset) -> Iterator[Read]:
    """The records of a folder, sorted by name.

    VOC counts pixels from 1 and includes the last one: its xmin 1, xmax 10 are the edges 0 and 10.

    Raises:
        CorpusError: There are no annotations; a bad one comes as its error, named by file.
    """
    found = list(_annotations(root))
    if not found:
        raise CorpusError(
            f"{root} has no Annotations/*.xml: give the folder that holds Annotations and JPEGImages."
        )
    splits = _stated_splits(root)
    classes = _classes([path for path, _, _ in found], dataset) if dataset.complete == "set" else set()
    yield from lenient(
        _record,
        ((path, images, split or splits.get(path.stem), dataset, classes) for path, images, split in found),
    )


def voc_box(corners: ET.Element, where: str) -> SceneBox:
    """The edges of a ``bndbox``; CorpusError when a corner is missing or no number, or it is inverted."""
    try:
        left, top, right, bottom = (
            float(corners.findtext(name) or "") for name in ("xmin", "ymin", "xmax", "ymax")
        )
    except ValueError:
        raise CorpusError(f"{where}: bndbox lacks xmin, ymin, xmax or ymax. Correct or remove it.") from None
    return scene_box((left - 1, top - 1, right, bottom), where)


def _annotations(root: Path) -> Iterator[tuple[Path, Path, str | None]]:
    """Each XML file with the folder of its image and the split its folder is named after."""
    for base in _FOLDERS:
        for split in (None, *SPLITS):
            tail = f"_{split}" if split else ""
            for path in sorted((root / f"{base}{tail}").glob("*.xml")):
                yield path, root / f"JPEGImages{tail}", split


def _stated_splits(root: Path) -> dict[str, str]:
    splits: dict[str, str] = {}
    for split in SPLITS:
        listed = root / "ImageSets" / "Main" / f"{split}.txt"
        if listed.is_file():
            lines = listed.read_text(encoding="utf-8", errors="replace").splitlines()
            splits.update({line.split()[0]: split for line in lines if line.strip()})
    return splits


def _classes(paths: list[Path], dataset: Dataset) -> set[str]:
    """All coarse labels of the set; files that cannot be read are reported when their turn comes."""
    labels = set()
    for path in paths:
        try:
            names = [item.findtext("name") or "" for item in xml_file(path).iter("object")]
        except CorpusError:
            continue
        labels |= {labels_of(name, dataset.coarse)[0] for name in names if name.strip()}
    return labels


def _record(path: Path, images: Path, split: str | None, dataset: Dataset, classes: set[str]) -> Record:
    root = xml_file(path)
    image = find_image((images, path.parent.parent / "JPEGImages", path.parent), path.stem)
    if image is None:
        raise CorpusError(
            f"{path} has no image {path.stem}.jpg in {images}: add it, or remove the annotation."
        )
    size = root.find("size")
    if size is not None:
        checked_size(image, (_whole(size, "width"), _whole(size, "height")), str(path))
    items = enumerate(root.iter("object"), 1)
    objects = tuple(_object(item, f"{path}, object {number}", dataset) for number, item in items)
    complete = classes or {item.label for item in objects}
    return dataset.record(image, [path.stem], complete, objects=objects, split=split)


def _object(item: ET.Element, where: str, dataset: Dataset) -> RecordObject:
    name, corners = (item.findtext("name") or "").strip(), item.find("bndbox")
    if not name or corners is None:
        raise CorpusError(f"{where} has no name or no bndbox. Correct or remove it.")
    difficult = (item.findtext("difficult") or "0").strip() == "1"
    return dataset.item(name, voc_box(corners, where), difficult)


def _whole(size: ET.Element, name: str) -> int:
    text = (size.findtext(name) or "0").strip()
    return int(text) if text.isdecimal() else 0
