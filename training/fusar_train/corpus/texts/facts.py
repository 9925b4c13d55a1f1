"""What is known of a record's image and may be said of it: targets, ground, land cover."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fusar_gpt.frames import SceneBox
from fusar_gpt.tasks import cell_of
from fusar_train.corpus.errors import naming
from fusar_train.corpus.record import Record, RecordObject, box_of
from fusar_train.corpus.texts.cover import TRUTH, Cover, prior_cover

_WHOLE = 0.9
"""A box that covers so much of the image is no box of a target but the image itself, as in folders of classes."""
_POINT_PX = 6
_SLENDER = 2.0
_ROW = 0.15
_CLUSTER = 1 / 3

Extent = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class ClassFacts:
    """The targets of one class that are visible in the image.

    Attributes:
        label: Its name.
        count: Those that are certain.
        doubtful: Those that the annotators were not sure of.
        complete: Every one is listed, so that they may be counted.
        open: The image leaves open whether they are what they look like.
        cells: The cell of the 3 x 3 grid, 0 to 8 row by row, of each certain one's centre; empty where no box tells.
        extents: (width, height) of the boxes in pixels, of whole ones where there are any.
        cut: How many are cut by the image's edge.
        lies: How many lie "across", "upright", "compact" (compact or oblique), or are a "point".
        arrangement: "single", "pair", "row", "cluster", "scattered" or "" where boxes tell no place.
        spacing: Median distance in pixels of each to its nearest neighbour; 0 for a single one.
        fine: Fine classes, sorted.
    """

    label: str
    count: int
    doubtful: int = 0
    complete: bool = True
    open: bool = False
    cells: tuple[int, ...] = ()
    extents: tuple[Extent, ...] = ()
    cut: int = 0
    lies: Mapping[str, int] = ()  # type: ignore[assignment]
    arrangement: str = ""
    spacing: float = 0.0
    fine: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of one image.

    Attributes:
        size: (width, height) in pixels.
        pixel_m: Metres to a pixel, None when unknown.
        classes: Of the targets in view, the most frequent first.
        absent: Complete classes of which there is none.
        place: The kind of place ("port"), None when unknown.
        shore: "inshore" or "offshore", None when unknown.
        cover: Land cover, None when nothing tells it. Its source says whether truth or a prior does.
        data_share: Share of the image with data, None when unknown.
    """

    size: tuple[int, int]
    pixel_m: float | None
    classes: tuple[ClassFacts, ...]
    absent: tuple[str, ...]
    place: str | None
    shore: str | None
    cover: Cover | None
    data_share: float | None

    @classmethod
    def of(cls, record: Record, size: tuple[int, int] | None = None, *, prior: bool = True) -> Facts:
        """The facts of a record: how its image looks where the provenance tells ("looks"), else the truth.

        Args:
            record: Its land cover is that of the provenance; only without one, what the prior resembles.
            size: (width, height) of its window; read from the image by default.
            prior: Whether the prior is looked at where no truth tells the land cover.

        Raises:
            CorpusError: The provenance makes no sense, or image or prior cannot be read.
        """
        size = size or record.size()
        stated = record.provenance
        with naming(f"The provenance of {record.id}"):
            looks = dict(stated.get("looks") or {})
            objects = _objects(looks) if looks else record.objects
            cover = looks.get("cover") or stated.get("cover")
            truth = Cover.of_json(cover, TRUTH) if cover else None
            share = stated.get("data_share")
            share = None if share is None else float(share)
        complete = set(record.complete())
        origin = (record.window.col, record.window.row) if record.window else (0, 0)
        classes = _classes(objects, origin, size, complete, set(looks.get("open") or ()))
        return cls(
            size=size,
            pixel_m=stated.get("pixel_m"),
            classes=classes,
            absent=tuple(sorted(complete - {each.label for each in classes})),
            place=_word(stated.get("place")),
            shore=_word(stated.get("shore")),
            cover=truth or (prior_cover(record) if prior else None),
            data_share=share,
        )

    @property
    def ground_m(self) -> Extent | None:
        """(width, height) of the image in metres."""
        return (self.pixel_m and (self.size[0] * self.pixel_m, self.size[1] * self.pixel_m)) or None

    @property
    def open(self) -> bool:
        """Whether the image leaves open what its smooth dark surfaces are."""
        return self.cover is not None and self.cover.open


def _word(stated: Any) -> str | None:
    return " ".join(stated.split())[:60] or None if isinstance(stated, str) else None


def _objects(looks: Mapping[str, Any]) -> tuple[RecordObject, ...]:
    return tuple(RecordObject(box_of(each["box"]), str(each["label"])) for each in looks["objects"])


def _classes(
    objects: Sequence[RecordObject],
    origin: tuple[int, int],
    size: tuple[int, int],
    complete: set[str],
    unsure: set[str],
) -> tuple[ClassFacts, ...]:
    by_label: dict[str, list[tuple[RecordObject, SceneBox]]] = {}
    for item in objects:
        box = _clipped(item.box, origin, size)
        if box is not None:
            by_label.setdefault(item.label, []).append((item, box))
    found = [
        replace(
            _class(label, shown, size),
            complete=label in complete,
            open=label in unsure,
        )
        for label, shown in by_label.items()
    ]
    return tuple(sorted(found, key=lambda each: (-each.count, each.label)))


def _clipped(box: SceneBox, origin: tuple[int, int], size: tuple[int, int]) -> SceneBox | None:
    """The part of a box inside the image, in pixels from its corner."""
    left, top = max(box.left - origin[0], 0.0), max(box.top - origin[1], 0.0)
    right, bottom = min(box.right - origin[0], size[0]), min(box.bottom - origin[1], size[1])
    return SceneBox(left, top, right, bottom) if left < right and top < bottom else None


def _class(label: str, shown: Sequence[tuple[RecordObject, SceneBox]], size: tuple[int, int]) -> ClassFacts:
    certain = [(item, box) for item, box in shown if not item.difficult]
    boxes = [box for _, box in certain]
    facts = ClassFacts(
        label=label,
        count=len(certain),
        doubtful=len(shown) - len(certain),
        lies={},
        fine=tuple(sorted({item.fine for item, _ in certain if item.fine})),
    )
    area = size[0] * size[1]
    if not boxes or any((b.right - b.left) * (b.bottom - b.top) >= _WHOLE * area for b in boxes):
        return facts
    whole = [b for b in boxes if b.left > 0 and b.top > 0 and b.right < size[0] and b.bottom < size[1]]
    centres = [((b.left + b.right) / 2, (b.top + b.bottom) / 2) for b in boxes]
    return replace(
        facts,
        cells=tuple(cell_of(b, size) - 1 for b in boxes),
        extents=tuple((b.right - b.left, b.bottom - b.top) for b in whole or boxes),
        cut=len(boxes) - len(whole),
        lies=Counter(_lie(b.right - b.left, b.bottom - b.top) for b in boxes),
        arrangement=_arrangement(centres, max(size)),
        spacing=_spacing(centres),
    )


def _lie(width: float, height: float) -> str:
    if max(width, height) < _POINT_PX:
        return "point"
    if width >= _SLENDER * height:
        return "across"
    return "upright" if height >= _SLENDER * width else "compact"


def _arrangement(centres: Sequence[tuple[float, float]], side: float) -> str:
    """How points (x, y) lie: "row" by the spread across their main axis, "cluster" by their extent."""
    if len(centres) < 3:
        return "pair" if len(centres) == 2 else "single"
    n = len(centres)
    mx, my = sum(x for x, _ in centres) / n, sum(y for _, y in centres) / n
    xx = sum((x - mx) ** 2 for x, _ in centres) / n
    yy = sum((y - my) ** 2 for _, y in centres) / n
    xy = sum((x - mx) * (y - my) for x, y in centres) / n
    middle, half = (xx + yy) / 2, math.hypot((xx - yy) / 2, xy)
    if math.sqrt(max(middle - half, 0.0)) <= _ROW * math.sqrt(middle + half):
        return "row"
    wide = max(x for x, _ in centres) - min(x for x, _ in centres)
    tall = max(y for _, y in centres) - min(y for _, y in centres)
    return "cluster" if max(wide, tall) <= _CLUSTER * side else "scattered"


def _spacing(centres: Sequence[tuple[float, float]]) -> float:
    nearest = sorted(
        min(math.dist(a, b) for j, b in enumerate(centres) if i != j)
        for i, a in enumerate(centres)
        if len(centres) > 1
    )
    return nearest[len(nearest) // 2] if nearest else 0.0
