"""xView3's scoring of points at sea: detections within 200 m, all and close to shore, vessel, fishing and length.

As the challenge scored: labels of low confidence are no targets, and detections that meet one are left out; per scene,
detections and labels are assigned to each other at the least total distance, pairs from 200 m on at a prohibitive one.
Close to shore are labels within 2 km of it and detections within 2.2 km. One deviation: scenes with labels but no
detection close to shore count as missed, where the challenge passed over them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree

from fusar_train.evaluation.predictions import PredictionsError

PIXEL_M = 10.0
"""Pixel side of the challenge's scenes."""
TOLERANCE_M = 200.0
SHORE_KM = 2.0
LONGEST_M = 500.0
"""Lengths are compared up to this."""

_PROHIBITIVE_M = 1e8
_GEOD = Geod(ellps="WGS84")
_PLACES = (("detect_scene_row", "detect_scene_column"), ("detect_lat", "detect_lon"))


@dataclass(frozen=True)
class Point:
    """A detection or a label; what a file does not say is None.

    Attributes:
        scene: The scene's id.
        pixel: Row and column in the scene; ``lonlat`` longitude and latitude in degrees.
        shore_km: Distance from the shore.
        confidence: Of a label, "HIGH", "MEDIUM" or "LOW".
    """

    scene: str
    pixel: tuple[float, float] | None = None
    lonlat: tuple[float, float] | None = None
    is_vessel: bool | None = None
    is_fishing: bool | None = None
    length_m: float | None = None
    shore_km: float | None = None
    confidence: str = "HIGH"


@dataclass(frozen=True)
class Score:
    """The challenge's figures in [0, 1]; None where ``notices`` say why it is left out."""

    detection: dict[str, float]
    close_to_shore: dict[str, float] | None
    vessel_f1: float | None
    fishing_f1: float | None
    length: float | None
    aggregate: float | None
    scenes: int
    labels: int
    detections: int
    notices: tuple[str, ...]


@dataclass(frozen=True)
class _Pairs:
    """Matched detections and labels, and how many of each there were."""

    pairs: list[tuple[Point, Point]]
    detections: int
    labels: int

    def figures(self) -> dict[str, float]:
        """Precision, recall and F1; 0 where one is undefined, as the challenge has it."""
        return _figures(len(self.pairs), self.detections - len(self.pairs), self.labels - len(self.pairs))


def score(detections: Sequence[Point], labels: Sequence[Point]) -> Score:
    """Scores detections on the scenes that both they and the labels name; PredictionsError where there is none."""
    scenes = sorted({one.scene for one in detections} & {one.scene for one in labels})
    if not scenes:
        raise PredictionsError("Detections and labels name no scene in common: compare their scene_id.")
    notices = []
    for mine, others, what in ((labels, detections, "labels"), (detections, labels, "detections")):
        if apart := {one.scene for one in mine} - {one.scene for one in others}:
            notices.append(f"Left out: {len(apart)} scenes that only the {what} name.")
    found, true = _by_scene(detections, scenes), _by_scene(labels, scenes)
    sure = {scene: [one for one in true[scene] if one.confidence != "LOW"] for scene in scenes}
    kept = {scene: _without_low(found[scene], true[scene]) for scene in scenes}
    whole = _matched(kept, sure, scenes)
    near = _near_shore(kept, sure, scenes, notices)
    known = _known_parts(whole.pairs, [one for scene in scenes for one in kept[scene]], notices)
    parts = [near and near["F1"], *known]
    detection = whole.figures()
    total = None
    if all(part is not None for part in parts):
        total = detection["F1"] * (1 + sum(part or 0.0 for part in parts)) / 5
    return Score(detection, near, *known, total, len(scenes), whole.labels, whole.detections, tuple(notices))


def lines(score: Mapping[str, Any]) -> Iterator[str]:
    """A score's fields as lines for the terminal."""
    yield f"xView3: {score['detections']} detections, {score['labels']} labels, {score['scenes']} scenes"
    for name in ("detection", "close_to_shore"):
        if figures := score[name]:
            shown = ", ".join(f"{key} {100 * value:.1f}" for key, value in figures.items())
            yield f"  {name.replace('_', ' '):16} {shown}"
    for name in ("vessel_f1", "fishing_f1", "length", "aggregate"):
        if score[name] is not None:
            yield f"  {name.replace('_', ' '):16} {100 * score[name]:.1f}"
    yield from score["notices"]


def distances_m(found: Sequence[Point], true: Sequence[Point]) -> NDArray[np.float64]:
    """Metres [N, M] between points: of 10 m pixels where all have one, else along the ellipsoid.

    Raises:
        PredictionsError: Some have pixels only, others degrees only.
    """
    both = [*found, *true]
    if all(one.pixel for one in both):
        a, b = (np.array([one.pixel for one in some], dtype=float).reshape(-1, 2) for some in (found, true))
        return np.asarray(np.linalg.norm(a[:, None] - b[None], axis=-1) * PIXEL_M)
    if not all(one.lonlat for one in both):
        raise PredictionsError(
            "Detections and labels have no place in common: give both detect_scene_row and detect_scene_column, or "
            "both detect_lat and detect_lon."
        )
    a, b = (np.array([one.lonlat for one in some], dtype=float).reshape(-1, 2) for some in (found, true))
    rows, cols = np.meshgrid(np.arange(len(a)), np.arange(len(b)), indexing="ij")
    _, _, away = _GEOD.inv(a[rows, 0], a[rows, 1], b[cols, 0], b[cols, 1])
    return np.asarray(away, dtype=float).reshape(len(a), len(b))


def match(found: Sequence[Point], true: Sequence[Point]) -> list[tuple[int, int]]:
    """The numbers of detections and labels that are pairs: least total distance, each below 200 m."""
    if not (found and true):
        return []
    away = distances_m(found, true)
    costs = np.where(away < TOLERANCE_M, away, _PROHIBITIVE_M)
    return [(i, j) for i, j in zip(*linear_sum_assignment(costs), strict=True) if away[i, j] < TOLERANCE_M]


def _matched(
    found: Mapping[str, Sequence[Point]], true: Mapping[str, Sequence[Point]], scenes: Iterable[str]
) -> _Pairs:
    pairs = [(found[s][i], true[s][j]) for s in scenes for i, j in match(found[s], true[s])]
    return _Pairs(pairs, sum(map(len, found.values())), sum(map(len, true.values())))


def _without_low(found: Sequence[Point], true: Sequence[Point]) -> list[Point]:
    low = {i for i, j in match(found, true) if true[j].confidence == "LOW"}
    return [one for i, one in enumerate(found) if i not in low]


def _near_shore(
    found: Mapping[str, Sequence[Point]],
    true: Mapping[str, Sequence[Point]],
    scenes: Sequence[str],
    notices: list[str],
) -> dict[str, float] | None:
    points = [one for scene in scenes for one in (*found[scene], *true[scene])]
    if any(one.shore_km is None for one in points):
        notices.append(
            "Close to shore is left out: labels and detections need distance_from_shore_km, or detections --shore."
        )
        return None
    margin = SHORE_KM + TOLERANCE_M / 1000

    def within(some: Mapping[str, Sequence[Point]], limit: float) -> dict[str, list[Point]]:
        return {s: [p for p in some[s] if p.shore_km is not None and p.shore_km <= limit] for s in scenes}

    return _matched(within(found, margin), within(true, SHORE_KM), scenes).figures()


def _known_parts(
    pairs: Sequence[tuple[Point, Point]], found: Sequence[Point], notices: list[str]
) -> tuple[float | None, float | None, float | None]:
    """Vessel F1, fishing F1 and the length figure, over matched pairs whose truth is known."""
    lacking = [
        name
        for name, field in (
            ("is_vessel", "is_vessel"),
            ("is_fishing", "is_fishing"),
            ("vessel_length_m", "length_m"),
        )
        if any(getattr(one, field) is None for one in found) or not found
    ]
    if lacking:
        notices.append(f"Left out, with the aggregate: detections do not say {', '.join(lacking)}.")
    vessel = [(p.is_vessel, t.is_vessel) for p, t in pairs if t.is_vessel is not None]
    fishing = [(p.is_fishing, t.is_fishing) for p, t in pairs if t.is_vessel and t.is_fishing is not None]
    lengths = [(p.length_m or 0.0, t.length_m) for p, t in pairs if t.length_m]
    errors = [abs(min(p, LONGEST_M) - min(t, LONGEST_M)) / min(t, LONGEST_M) for p, t in lengths]
    length = 1 - min(sum(errors) / len(errors), 1.0) if errors else 0.0
    return (
        None if "is_vessel" in lacking else _class_f1(vessel),
        None if "is_fishing" in lacking else _class_f1(fishing),
        None if "vessel_length_m" in lacking else length,
    )


def _class_f1(pairs: Sequence[tuple[bool | None, bool | None]]) -> float:
    both, said, true = (sum(map(bool, marks)) for marks in _marks(pairs))
    return _figures(both, said - both, true - both)["F1"]


def _marks(pairs: Sequence[tuple[bool | None, bool | None]]) -> list[list[bool]]:
    said, true = [bool(p) for p, _ in pairs], [bool(t) for _, t in pairs]
    return [[a and b for a, b in zip(said, true, strict=True)], said, true]


def _figures(right: int, wrong: int, missed: int) -> dict[str, float]:
    def share(above: int, below: int) -> float:
        return above / below if below else 0.0

    f1 = share(2 * right, 2 * right + wrong + missed)
    return {"P": share(right, right + wrong), "R": share(right, right + missed), "F1": f1}


def _by_scene(points: Iterable[Point], scenes: Sequence[str]) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {scene: [] for scene in scenes}
    for one in points:
        if one.scene in found:
            found[one.scene].append(one)
    return found


def with_shore(points: Sequence[Point], folder: Path) -> list[Point]:
    """Points with their distance from the shoreline points of ``SCENE_shoreline.npy``, float [N, 2] rows and columns.

    Raises:
        PredictionsError: A file is missing or not of that form, or a point has no pixel. Pickled arrays are not loaded.
    """
    trees: dict[str, KDTree | None] = {}
    found = []
    for one in points:
        if one.shore_km is not None:
            found.append(one)
            continue
        if one.pixel is None:
            raise PredictionsError(
                "--shore needs detect_scene_row and detect_scene_column of every detection."
            )
        if one.scene not in trees:
            trees[one.scene] = _shoreline(folder / f"{one.scene}_shoreline.npy")
        tree = trees[one.scene]
        away = math.inf if tree is None else float(tree.query(one.pixel)[0])
        found.append(replace(one, shore_km=away * PIXEL_M / 1000))
    return found


def _shoreline(path: Path) -> KDTree | None:
    """The points of a shoreline; None for a scene without one."""
    try:
        points = np.load(path, allow_pickle=False)
        if points.size and not (
            points.ndim == 2 and points.shape[1] == 2 and np.isfinite(points.astype(float)).all()
        ):
            raise ValueError(f"it holds {list(points.shape)} of {points.dtype}")
    except (OSError, ValueError, EOFError) as error:
        raise PredictionsError(
            f"{path} is no array of rows and columns [N, 2] ({error}): pickled contours are not loaded, save their "
            "points as one array of numbers."
        ) from error
    return KDTree(points.astype(float)) if points.size else None


def read_points(path: Path) -> list[Point]:
    """The detections or labels of a CSV with the challenge's columns.

    Raises:
        PredictionsError: The file cannot be read, lacks a column for the scene or the place, or a value is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream, strict=True)
            columns = set(rows.fieldnames or ())
            if "scene_id" not in columns or not any(set(place) <= columns for place in _PLACES):
                raise PredictionsError(
                    f"{path} lacks scene_id, or detect_scene_row and detect_scene_column, or detect_lat and "
                    "detect_lon: give a CSV with the columns of xView3."
                )
            return [_point(row, f"{path}, row {number}") for number, row in enumerate(rows, 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise PredictionsError(f"{path} cannot be read: {reason}. Give a CSV of xView3's columns.") from error


def _point(row: Mapping[str, str | None], where: str) -> Point:
    def value(name: str, of: Callable[[str], float | bool]) -> float | bool | None:
        text = (row.get(name) or "").strip()
        if text.lower() in ("", "nan", "none", "null"):
            return None
        try:
            return of(text)
        except (KeyError, ValueError):
            raise PredictionsError(f"{where}: {name} is {text!r}: correct or remove that row.") from None

    def place(names: tuple[str, str]) -> tuple[float, float] | None:
        first, second = (value(name, _number) for name in names)
        return None if first is None or second is None else (float(first), float(second))

    pixel, latlon = place(_PLACES[0]), place(_PLACES[1])
    if not (row.get("scene_id") or "").strip() or (pixel is None and latlon is None):
        raise PredictionsError(f"{where} has no scene_id or no place: correct or remove that row.")
    vessel, fishing = value("is_vessel", _truth), value("is_fishing", _truth)
    length, shore = value("vessel_length_m", _number), value("distance_from_shore_km", _number)
    return Point(
        scene=(row["scene_id"] or "").strip(),
        pixel=pixel,
        lonlat=None if latlon is None else (latlon[1], latlon[0]),
        is_vessel=None if vessel is None else bool(vessel),
        is_fishing=None if fishing is None else bool(fishing),
        length_m=None if length is None else float(length),
        shore_km=None if shore is None else float(shore),
        confidence=(row.get("confidence") or "HIGH").strip().upper(),
    )


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _truth(text: str) -> bool:
    return {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}[text.lower()]
