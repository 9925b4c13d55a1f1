"""COCO detection sets: HRSID, SARDet-100K and others of that layout.

``annotations/*.json`` (or ``Annotations``) whose names hold train, val or test; images in ``JPEGImages``,
``images`` or beside, in a folder of the split's name or not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.box_format import BoxEvidence, Numbers, Size, edges_of, is_share, told_format
from fusar_train.corpus.dataset import BoxFormat, Dataset, Read, find_image, lenient, scene_box
from fusar_train.corpus.errors import CorpusError, naming
from fusar_train.corpus.files import inside, is_litter, json_file, without_litter
from fusar_train.corpus.images import image_facts
from fusar_train.corpus.record import Record, RecordObject, number_of

_SPLIT_FILE = re.compile(r"(?:instances_)?(train|val|test)(?:[0-9]{4})?")
_FOLDERS = ("JPEGImages", "images", "Images", ".")

Annotation = tuple[str, Mapping[str, Any]]
"""Its place, for errors, and what it says."""


def read_coco(root: Path, dataset: Dataset) -> Iterator[Read]:
    """The records of a folder, or of one JSON file whose images lie beside it or beside its folder.

    Boxes are [x, y, width, height] from the image's outer corner, unless ``dataset.box_format`` says otherwise; a file
    whose boxes cannot be that is refused. Polygons give the box where none is stated; otherwise they are not kept.
    ``iscrowd`` becomes difficult.

    Raises:
        CorpusError: There is no annotation file, it is no COCO, or an id of it is that of two images or categories; a
            bad record comes as its error.
    """
    for path, split in _annotation_files(root, dataset):
        yield from _read_file(path, split, dataset)


def coco_box(
    annotation: Mapping[str, Any], where: str, form: BoxFormat = "xywh", size: Size = (1, 1)
) -> SceneBox:
    """The edges of an annotation's ``bbox``, else of its polygons; CorpusError when it has neither."""
    polygons = annotation.get("segmentation")
    with naming(f"{where}: its box"):
        if (numbers := _numbers(annotation)) is not None:
            return scene_box(edges_of(numbers, form, size), where)
        if isinstance(polygons, list) and polygons:
            xs = [number_of(x) for polygon in polygons for x in polygon[0::2]]
            ys = [number_of(y) for polygon in polygons for y in polygon[1::2]]
            return scene_box((min(xs), min(ys), max(xs), max(ys)), where)
    raise CorpusError(f"{where} has neither bbox nor polygons. Correct or remove it.")


def _numbers(annotation: Mapping[str, Any]) -> Numbers | None:
    stated = annotation.get("bbox")
    if not stated:
        return None
    first, second, third, fourth = (number_of(number) for number in stated)
    return first, second, third, fourth


def _annotation_files(root: Path, dataset: Dataset) -> list[tuple[Path, str | None]]:
    """The JSON files to read, each with its split; files that only repeat others (train_test) are left out."""
    if root.is_file():
        files = [root]
    else:
        folders = [folder for name in ("annotations", "Annotations") if (folder := root / name).is_dir()]
        listed = {path.resolve(): path for f in folders or [root] for path in f.glob("*.json")}.values()
        files = without_litter(root, listed, dataset.notes)
    split = {path: found[1] for path in files if (found := _SPLIT_FILE.fullmatch(path.stem.lower()))}
    for path in files if split else ():
        if path not in split:
            dataset.notes[f"{path.name} is none of train, val or test and was left out"] += 1
    if split:
        return list(split.items())
    if len(files) != 1:
        raise CorpusError(
            f"{root} holds {len(files)} JSON files and none called train, val or test: give one file."
        )
    return [(files[0], None)]


@dataclass(frozen=True)
class _File:
    """A COCO file: the names of its categories, its images, and the annotations of each."""

    path: Path
    split: str | None
    names: Mapping[Any, str]
    images: list[Mapping[str, Any]]
    annotations: Mapping[Any, list[Annotation]]
    stray: str | None


def _read_file(path: Path, split: str | None, dataset: Dataset) -> Iterator[Read]:
    file = _parsed(path, split, dataset)
    if file.stray:
        yield CorpusError(f"{file.stray} belongs to an image that is not listed: remove it.")
    form = dataset.box_format or told_format(list(_boxes(file)), str(path))
    every = {dataset.label(name) for name in file.names.values()}
    stated = (one.get("id") for listed in file.annotations.values() for _, one in listed)
    again = _again(key for key in stated if key is not None)

    def record(image: Mapping[str, Any]) -> Record:
        where = _where(file, image)
        found = _image(file, image, where)
        stated = _stated(image, where)
        size = stated if all(stated) else image_facts(found, str(found))[0]
        objects = []
        for place, annotation in file.annotations[image["id"]]:
            _check_id(annotation, place, again, file.annotations[image["id"]])
            objects.append(_object(place, annotation, file.names, dataset, form, size))
        classes = every if dataset.complete == "set" else {item.label for item in objects}
        words = _words(file, image["file_name"])
        return dataset.record(found, words, classes, objects=objects, split=split, size=stated, where=where)

    yield from lenient(record, ((image,) for image in file.images))


def _parsed(path: Path, split: str | None, dataset: Dataset) -> _File:
    content = json_file(path)
    try:
        categories, images = list(content["categories"]), list(content["images"])
        _once("category", [category["id"] for category in categories], path)
        _once("image", [image["id"] for image in images], path)
        names = {category["id"]: str(category["name"]) for category in categories}
        annotations: dict[Any, list[Annotation]] = {image["id"]: [] for image in images}
        stray = None
        for number, annotation in enumerate(content["annotations"]):
            where = f"{path}, annotation number {number}"
            if annotation["image_id"] in annotations:
                annotations[annotation["image_id"]].append((where, annotation))
            else:
                stray = stray or where
        shown = [image for image in images if not _is_litter(image)]
    except (AttributeError, KeyError, TypeError) as error:
        raise CorpusError(
            f"{path} is no COCO detection file (it lacks {error}): give the right one."
        ) from error
    if len(shown) < len(images):
        dataset.notes["an image of a hidden folder is no part of the data and was left out"] += len(
            images
        ) - len(shown)
    _once("file name", [str(image.get("file_name")).replace("\\", "/") for image in shown], path)
    return _File(path, split, names, shown, annotations, stray)


def _once(what: str, keys: Iterable[Any], path: Path) -> None:
    """Refuses a key that comes twice: whose boxes or names are whose cannot be told."""
    for key in _again(keys):
        raise CorpusError(
            f"{path}: the {what} {str(key)[:60]!r} is there twice, as after a careless merge: number them anew, "
            "each image with its annotations."
        )


def _again(keys: Iterable[Any]) -> set[Any]:
    counts = Counter(key if isinstance(key, (int, float, str)) else str(key) for key in keys)
    return {key for key, times in counts.items() if times > 1}


def _check_id(annotation: Mapping[str, Any], where: str, again: set[Any], beside: list[Annotation]) -> None:
    """Refuses an annotation whose id another one has, unless it is the same one again."""
    key = annotation.get("id")
    if isinstance(key, (int, float, str)) and key in again:
        same = [one for _, one in beside if one.get("id") == key and one != annotation]
        copies = sum(one == annotation for _, one in beside)
        if same or copies < 2:
            raise CorpusError(
                f"{where} has the id {str(key)[:60]!r} of another one, as after a careless merge: its image may be "
                "another too. Number them anew, each image with its annotations."
            )


def _is_litter(image: Mapping[str, Any]) -> bool:
    return is_litter(PurePosixPath(str(image.get("file_name")).replace("\\", "/")))


def _boxes(file: _File) -> Iterator[BoxEvidence]:
    """Every box that can be read, with what speaks for its format; the others are told when their turn comes."""
    for image in file.images:
        try:
            size = _stated(image)
            if not all(size):
                size = image_facts(_image(file, image, ""), "")[0]
        except CorpusError:
            continue
        for _, annotation in file.annotations[image["id"]]:
            try:
                numbers = _numbers(annotation)
            except (TypeError, ValueError):
                continue
            if numbers is not None:
                yield BoxEvidence(numbers, size, _area(annotation))


def _area(annotation: Mapping[str, Any]) -> float | None:
    try:
        return number_of(annotation.get("area"))
    except ValueError:
        return None


def _where(file: _File, image: Mapping[str, Any]) -> str:
    return f"{file.path}, image {str(image['id'])[:60]}"


def _stated(image: Mapping[str, Any], where: str = "") -> Size:
    """Width and height as the file states them; 0 where it does not."""
    with naming(f"{where}: its size"):
        width, height = (number_of(image.get(name) or 0) for name in ("width", "height"))
    return width, height


def _image(file: _File, image: Mapping[str, Any], where: str) -> Path:
    path, split, name = file.path, file.split, image.get("file_name")
    base = path.parent.parent if path.parent.name.lower() == "annotations" else path.parent
    inner = inside(base, name, where).relative_to(
        base.absolute()
    )  # refuses a name that leads out of the folder
    folders = [base / folder for folder in _FOLDERS]
    deeper = [folder / tail for folder in folders for tail in ((split, f"{split}2017") if split else ())]
    found = find_image([*deeper, *folders], str(inner))
    if found is None:
        raise CorpusError(
            f"{where}: there is no {name} in {base}/JPEGImages or images: add it, or remove the image."
        )
    return found


def _words(file: _File, name: str) -> list[str]:
    """The words of an image's id: its split, the folders of its name, and its name without suffix."""
    path = PurePosixPath(name.replace("\\", "/"))
    known = {*_FOLDERS, file.split, f"{file.split}2017"}
    folders = [part for part in path.parts[:-1] if part not in known]
    return [*([file.split] if file.split else []), *folders, path.stem]


def _object(
    where: str,
    annotation: Mapping[str, Any],
    names: Mapping[Any, str],
    dataset: Dataset,
    form: BoxFormat,
    size: Size,
) -> RecordObject:
    category = annotation.get("category_id")
    if not isinstance(category, (int, float, str)) or category not in names:
        raise CorpusError(f"{where} has category {str(category)[:60]}, which is not listed: correct it.")
    box = coco_box(annotation, where, form, size)
    if not form.endswith("share") and is_share(_numbers(annotation) or (0, 0, 0, 0)):
        raise CorpusError(f"{where} is smaller than a pixel, as if it were shares of the image: correct it.")
    return dataset.item(names[category], box, annotation.get("iscrowd") == 1)
