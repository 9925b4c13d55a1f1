"""COCO detection sets: HRSID, SARDet-100K and others of that layout.

``annotations/*.json`` (or ``Annotations``) whose names hold train, val or test; images in ``JPEGImages``,
``images`` or beside, in a folder of the split's name or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.dataset import Dataset, Read, checked_size, find_image, lenient, scene_box
from fusar_train.corpus.errors import CorpusError, naming
from fusar_train.corpus.files import inside, json_file
from fusar_train.corpus.labels import labels_of
from fusar_train.corpus.record import Record, RecordObject

_SPLIT_FILE = re.compile(r"(?:instances_)?(train|val|test)(?:[0-9]{4})?")
_FOLDERS = ("JPEGImages", "images", "Images", ".")


def read_coco(root: Path, dataset: Dataset) -> Iterator[Read]:
    """The records of a folder, or of one JSON file whose images lie beside it or beside its folder.

    Boxes are [x, y, width, height] from the image's outer corner. Polygons give the box where none is stated;
    otherwise they are not kept. ``iscrowd`` becomes difficult.

    Raises:
        CorpusError: There is no annotation file, or it is no COCO; a bad record comes as its error.
    """
    for path, split in _annotation_files(root):
        yield from _read_file(path, split, dataset)


def coco_box(annotation: Mapping[str, Any], where: str) -> SceneBox:
    """The edges of an annotation's ``bbox``, else of its polygons; CorpusError when it has neither."""
    stated, polygons = annotation.get("bbox"), annotation.get("segmentation")
    with naming(f"{where}: its box"):
        if stated:
            x, y, width, height = (float(number) for number in stated)
            return scene_box((x, y, x + width, y + height), where)
        if isinstance(polygons, list) and polygons:
            xs = [float(x) for polygon in polygons for x in polygon[0::2]]
            ys = [float(y) for polygon in polygons for y in polygon[1::2]]
            return scene_box((min(xs), min(ys), max(xs), max(ys)), where)
    raise CorpusError(f"{where} has neither bbox nor polygons. Correct or remove it.")


def _annotation_files(root: Path) -> list[tuple[Path, str | None]]:
    """The JSON files to read, each with its split; files that only repeat others (train_test) are left out."""
    if root.is_file():
        files = [root]
    else:
        folders = [folder for name in ("annotations", "Annotations") if (folder := root / name).is_dir()]
        files = sorted(
            {path.resolve(): path for f in folders or [root] for path in f.glob("*.json")}.values()
        )
    split = {path: found[1] for path in files if (found := _SPLIT_FILE.fullmatch(path.stem.lower()))}
    if split:
        return list(split.items())
    if len(files) != 1:
        raise CorpusError(
            f"{root} holds {len(files)} JSON files and none called train, val or test: give one file."
        )
    return [(files[0], None)]


def _read_file(path: Path, split: str | None, dataset: Dataset) -> Iterator[Read]:
    content = json_file(path)
    try:
        names = {category["id"]: str(category["name"]) for category in content["categories"]}
        images = list(content["images"])
        by_image: dict[Any, list[tuple[str, dict[str, Any]]]] = {image["id"]: [] for image in images}
        stray = []
        for number, annotation in enumerate(content["annotations"]):
            where = f"{path}, annotation number {number}"
            if annotation["image_id"] in by_image:
                by_image[annotation["image_id"]].append((where, annotation))
            else:
                stray.append(where)
    except (AttributeError, KeyError, TypeError) as error:
        raise CorpusError(
            f"{path} is no COCO detection file (it lacks {error}): give the right one."
        ) from error
    if stray:
        yield CorpusError(f"{stray[0]} belongs to an image that is not listed: remove it.")
    every = {labels_of(name, dataset.coarse)[0] for name in names.values()}

    def record(image: Mapping[str, Any], annotations: list[tuple[str, dict[str, Any]]]) -> Record:
        where = f"{path}, image {image['id']}"
        file = _image(path, split, image.get("file_name"), where)
        stated = (image.get("width"), image.get("height"))
        width, height = (float(side) if isinstance(side, (int, float)) else 0.0 for side in stated)
        checked_size(file, (width, height), where)
        objects = [_object(where, annotation, names, dataset) for where, annotation in annotations]
        classes = every if dataset.complete == "set" else {item.label for item in objects}
        words = [split, file.stem] if split else [file.stem]
        return dataset.record(file, words, classes, objects=tuple(objects), split=split)

    yield from lenient(record, ((image, by_image[image["id"]]) for image in images))


def _image(path: Path, split: str | None, name: object, where: str) -> Path:
    base = path.parent.parent if path.parent.name.lower() == "annotations" else path.parent
    inside(base, name, where)  # refuses a name that leads out of the folder
    folders = [base / folder for folder in _FOLDERS]
    deeper = [folder / tail for folder in folders for tail in ((split, f"{split}2017") if split else ())]
    image = find_image([*deeper, *folders], str(name))
    if image is None:
        raise CorpusError(
            f"{where}: there is no {name} in {base}/JPEGImages or images: add it, or remove the image."
        )
    return image


def _object(
    where: str, annotation: Mapping[str, Any], names: Mapping[Any, str], dataset: Dataset
) -> RecordObject:
    category = annotation.get("category_id")
    if category not in names:
        raise CorpusError(f"{where} has category {category!r}, which is not listed: correct it.")
    return dataset.item(names[category], coco_box(annotation, where), annotation.get("iscrowd") == 1)
