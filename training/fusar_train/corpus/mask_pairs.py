"""Which files of a folder are scenes, and which are their masks: by folders of equal names, or by endings."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import without_litter

SUFFIXES = (".tif", ".tiff", ".img", ".jp2", ".png")

PAIRS = (
    ("S1RTC/*", "LULC/*"), ("S1GRD/*", "LULC/*"), ("*_S1Hand", "*_LabelHand"), ("S1_*", "water_*"),
    ("images/*", "masks/*"), ("images/*", "labels/*"), ("image/*", "mask/*"), ("image/*", "label/*"),
    ("scenes/*", "masks/*"), ("sar/*", "masks/*"), ("sar/*", "landcover/*"), ("S1/*", "LULC/*"), ("S1/*", "masks/*"),
    ("*_image", "*_mask"), ("*_image", "*_label"),
    ("*", "*_mask"), ("*", "*_label"), ("*", "*_water"), ("*", "*_lulc"), ("*", "*_landcover"),
)  # fmt: skip
"""What scenes and masks are called, the first that fits; * stands for the same text in both."""


@dataclass(frozen=True)
class Pair:
    """A scene and its mask, and the words that tell them from others."""

    image: Path
    mask: Path
    words: tuple[str, ...]


@dataclass(frozen=True)
class Pairs:
    """The pairs of a folder, sorted, and what is wrong with each file that has no partner."""

    pairs: list[Pair]
    faults: list[CorpusError]


def find_pairs(root: Path, names: tuple[str, str] | None, notes: Counter[str]) -> Pairs:
    """The scenes and masks of a folder.

    Args:
        root: The folder.
        names: As one of ``PAIRS``; None takes the first of these that has a pair.
        notes: Counts the rasters that are neither.

    Raises:
        CorpusError: There are no pairs, or two files of one kind are named alike.
    """
    files = (path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    rasters = without_litter(root, files, notes)
    for images, masks in (names,) if names else PAIRS:
        found_masks = _found(rasters, root, masks)
        taken = set(found_masks.values())
        scenes = [path for path in rasters if path not in taken]
        found_images = _found(scenes, root, images)
        if found_images.keys() & found_masks.keys():
            break
    else:
        how = "--pair IMAGES=MASKS" if names is None else "another --pair"
        raise CorpusError(
            f"{root} holds no scene with a mask of the same name: say what they are called with {how}."
        )
    for path in sorted({*rasters} - {*found_images.values(), *found_masks.values()}):
        notes[f"files that are neither {images} nor {masks} were left out, such as {path.name}"] += 1
    pairs = [
        Pair(path, found_masks[words], words) for words, path in found_images.items() if words in found_masks
    ]
    lone = [(path, "mask", masks) for words, path in found_images.items() if words not in found_masks]
    lone += [(path, "scene", images) for words, path in found_masks.items() if words not in found_images]
    faults = [
        CorpusError(f"{path} has no {what} {wanted}: add it, or remove the file.")
        for path, what, wanted in sorted(lone)
    ]
    return Pairs(sorted(pairs, key=lambda pair: pair.words), faults)


def read_pair(text: str) -> tuple[str, str]:
    """The two patterns of "IMAGES=MASKS", each with one *; ValueError for another text."""
    images, equals, masks = text.partition("=")
    if not equals or images.count("*") != 1 or masks.count("*") != 1:
        raise ValueError("must be IMAGES=MASKS with one * in each, such as S1/*.tif=LULC/*.tif")
    first, second = (pattern.strip().removesuffix(".*") for pattern in (images, masks))
    if first.lower() == second.lower():
        raise ValueError("IMAGES and MASKS must differ")
    return first, second


def _found(paths: list[Path], root: Path, pattern: str) -> dict[tuple[str, ...], Path]:
    """The files that a pattern fits, by the folders above it and what stands for its *.

    Of files that differ in their suffix alone, the first by ``SUFFIXES`` is taken: others are pictures of it.
    """
    kinds = (suffix,) if (suffix := Path(pattern).suffix.lower()) in SUFFIXES else SUFFIXES
    pattern = pattern[: -len(kinds[0])] if len(kinds) == 1 else pattern
    *folders, name = pattern.replace("\\", "/").split("/")
    before, after = map(re.escape, name.split("*")) if "*" in name else ("", "")
    above = "".join(f"{re.escape(folder)}/" for folder in folders)
    kind = re.compile(
        rf"(?:(?P<above>.+)/)?{above}(?P<inner>(?:.+/)?){before}(?P<key>[^/]+){after}", re.IGNORECASE
    )
    found: dict[tuple[str, ...], Path] = {}
    for path in sorted(paths, key=lambda path: SUFFIXES.index(path.suffix.lower())):
        fits = kind.fullmatch(path.relative_to(root).with_suffix("").as_posix())
        if fits is None or path.suffix.lower() not in kinds:
            continue
        outer = f"{fits['above'] or ''}/{fits['inner']}" if folders else ""
        words = (*(part for part in outer.split("/") if part), fits["key"])
        if (other := found.setdefault(words, path)).with_suffix("") != path.with_suffix(""):
            raise CorpusError(
                f"{other} and {path} are both {'/'.join(words)}: name their folders with --pair IMAGES=MASKS."
            )
    return found
