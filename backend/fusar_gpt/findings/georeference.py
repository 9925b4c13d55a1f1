"""Answers about a chip become findings on the ground."""

from __future__ import annotations

import math
import uuid

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from fusar_gpt import lonlat
from fusar_gpt.certainty import BoxCertainty, Certainty
from fusar_gpt.contract import ENOUGH_DATA, Finding, Layer, Run, Value
from fusar_gpt.findings.coverage import Coverage, without_data
from fusar_gpt.findings.finding import overlap
from fusar_gpt.frames import ChipBox, LonLatPoints, SceneBox, ScenePoints, chip_corners, scene_corners
from fusar_gpt.imagery import Chip, Scene, outline_of
from fusar_gpt.tasks import Answer, Boxes, Count, Grid, Label, LabelledBox, Question, Text

CHIP_COUNT = "chip count"
"""The ``method`` of the model's own count of one chip (the paper's counting task)."""
DETECTIONS = "detections"
"""The ``method`` of an area's count: detections, merged where chips overlap, whose centres lie in the area."""
_ELLIPSOID = pyproj.Geod(ellps="WGS84")
_BEND_PX = 0.05
"""How far an edge in degrees may lie from the straight one in pixels."""
_POLE = 90 - 1e-9
_HAIR_PX = 1e-3


def georeference(
    answer: Answer,
    question: Question,
    chip: Chip,
    scene: Scene,
    run: Run,
    sure: Certainty,
    prior_nodes: int,
    coverage: Coverage,
) -> list[Finding]:
    """The findings in one answer, in the order of the answer.

    Boxes become detections, a grid becomes its nine cells, everything else one row of ``answers``. A grid or
    box answer that was cut off or not understood leaves a row of ``answers`` with the model's own words, so
    that silence is never mistaken for an empty sea; such a grid gives no cells at all. Detections are clipped
    to the scene: what a model says of ground it did not see, off the scene or where that has no data, is left out,
    and a row of ``answers`` says so.

    Args:
        answer: What the model said about the chip.
        question: What was asked.
        chip: The chip it was asked about.
        scene: The scene the chip was cut from.
        run: The run, whose provenance every finding carries.
        sure: How sure the model is of the answer.
        prior_nodes: How many prior vectors lay on the chip.
        coverage: Where on the chip the scene has data.
    """
    maker = _Maker(question, chip, scene, run, coverage, prior_nodes)
    if isinstance(answer, Boxes):
        views = [maker.detection(*pair) for pair in zip(answer.boxes, sure.boxes, strict=True)]
        found = [view for view in views if view is not None]
    elif isinstance(answer, Grid) and answer.complete:
        found = [
            maker.cell(cell, cell in answer.cells)
            for cell in range(1, 10)
            if maker.sees(maker.cell_box(cell))
        ]
    else:
        found = []
    if not (isinstance(answer, (Boxes, Grid)) and answer.complete):
        found.append(maker.row(answer, sure))
    elif coverage.share < ENOUGH_DATA:
        found.append(maker.no_data("so little was seen of it"))
    return [finding for finding in found if _is_placed(finding)]


def not_asked(question: Question, chip: Chip, scene: Scene, run: Run, coverage: Coverage) -> Finding:
    """The row of ``answers`` about ground that has too little data to ask the model about it."""
    return _Maker(question, chip, scene, run, coverage).no_data("so the model was not asked")


class _Maker:
    """Makes the findings of one answer; knows what they all share."""

    def __init__(
        self, question: Question, chip: Chip, scene: Scene, run: Run, coverage: Coverage, prior_nodes: int = 0
    ) -> None:
        self._question, self._chip, self._scene, self._run = question, chip, scene, run
        self._coverage = coverage
        self._shared = run.provenance() | {"chip": chip.index, "prior_nodes": prior_nodes}
        self._made = 0

    def detection(self, found: LabelledBox, sure: BoxCertainty) -> Finding | None:
        placed = overlap(self._on_scene(found.box), SceneBox(0, 0, self._scene.width, self._scene.height))
        if placed is None or not self.sees(found.box):
            return None
        columns: dict[str, Value] = {
            "label": found.label,
            "objectness": _number(sure.objectness),
            "confidence": _number(sure.confidence),
        }
        if self._scene.georeferenced:
            columns["length_m"], columns["width_m"] = ground_size(placed, self._scene)
        columns["target"] = self._question.target
        return self._finding("detections", placed, columns)

    def sees(self, box: ChipBox) -> bool:
        """Whether the scene has data on enough of a box of the chip."""
        return self._coverage.share_of(box) >= ENOUGH_DATA

    def cell_box(self, cell: int) -> ChipBox:
        row, col = divmod(cell - 1, 3)
        width, height = self._chip.plan.width, self._chip.plan.height
        return ChipBox(col * width / 3, row * height / 3, (col + 1) * width / 3, (row + 1) * height / 3)

    def cell(self, cell: int, hit: bool) -> Finding:
        columns: dict[str, Value] = {"cell": cell, "hit": hit, "target": self._question.target}
        return self._finding("grid", self._on_scene(self.cell_box(cell)), columns)

    def no_data(self, then: str) -> Finding:
        share = without_data(self._coverage.share)
        text = f"no data on {share} of this ground, {then}"
        return self._row({"count": None, "label": None, "text": text, "score": None, "complete": False})

    def row(self, answer: Answer, sure: Certainty) -> Finding:
        columns: dict[str, Value] = {
            "count": answer.value if isinstance(answer, Count) else None,
            "label": answer.label if isinstance(answer, Label) else None,
            "text": _words(answer),
            "score": _number(sure.probability),
            "confidence": _number(sure.confidence),
            "method": CHIP_COUNT if isinstance(answer, Count) else None,
            "complete": answer.complete,
        }
        return self._row(columns)

    def _row(self, said: dict[str, Value]) -> Finding:
        asked: dict[str, Value] = {
            "task": self._question.task.value,
            "target": self._question.target,
            "question": self._question.text,
            "understood": self._question.understood,
        }
        columns = asked | said | {"data_share": self._coverage.share}
        box = self._question.box
        return self._finding("answers", self._on_scene(box) if box else self._footprint(), columns)

    def _footprint(self) -> SceneBox:
        return SceneBox(*self._chip.footprint.bounds)

    def _on_scene(self, box: ChipBox) -> SceneBox:
        """A chip is an upright window of the scene, so an upright box stays one."""
        corners = self._chip.plan.chip_to_scene(chip_corners(box))
        return SceneBox(corners.x.min(), corners.y.min(), corners.x.max(), corners.y.max())

    def _finding(self, layer: Layer, box: SceneBox, columns: dict[str, Value]) -> Finding:
        self._made += 1
        name = f"{self._run.id} {self._chip.index} {self._question} {self._made}"
        return finding_at(box, self._scene, self._run, layer, columns | self._shared, name)


def finding_at(
    box: SceneBox, scene: Scene, run: Run, layer: Layer, columns: dict[str, Value], name: str
) -> Finding:
    """The finding at a box of the scene, without lon and lat if that lies nowhere; ``name`` decides its id."""
    outline = None
    if scene.georeferenced:
        centre = scene.to_lonlat(ScenePoints.of([(box.left + box.right) / 2, (box.top + box.bottom) / 2]))
        columns = columns | {"lon": float(centre.x[0]), "lat": float(centre.y[0])}
        outline = outline_of(lonlat_polygon(box, scene))
    return Finding(
        id=str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        layer=layer,
        geometry=outline_of(orient(shapely.Polygon(scene.to_ground(scene_corners(box)).xy()))),
        crs=run.scene_crs,
        lonlat=outline,
        box=box,
        properties=columns,
    )


def _is_placed(finding: Finding) -> bool:
    """Whether every corner is finite, on the ground and in degrees."""
    outlines = [shape(outline) for outline in (finding.geometry, finding.lonlat) if outline]
    return bool(np.isfinite(shapely.get_coordinates(outlines)).all())


def ground_size(box: SceneBox, scene: Scene) -> tuple[float, float]:
    """Length and width in metres on the WGS84 ellipsoid: the longer and the shorter pair of sides."""
    corners = scene.to_lonlat(scene_corners(box))
    x, y = corners.x, corners.y
    _, _, sides = _ELLIPSOID.inv(x, y, x[[1, 2, 3, 0]], y[[1, 2, 3, 0]])
    across, down = (sides[0] + sides[2]) / 2, (sides[1] + sides[3]) / 2
    return float(max(across, down)), float(min(across, down))


def lonlat_polygon(box: SceneBox, scene: Scene) -> BaseGeometry:
    """A box of the scene in WGS84 degrees, its edges bent as they are there, as RFC 7946 wants it.

    That is counter-clockwise, cut where it crosses the antimeridian, and holding the pole that the box holds.
    """

    def in_degrees(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        return scene.to_lonlat(ScenePoints.of(pixels)).xy()

    def bend(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        off = scene.from_lonlat(_middles(in_degrees(pixels))).xy() - (pixels[1:] + pixels[:-1]) / 2
        return np.hypot(off[:, 0], off[:, 1])

    corners = scene_corners(_beside_poles(box, scene)).xy()
    ring = in_degrees(lonlat.refine(np.concatenate([corners, corners[:1]]), bend, _BEND_PX))
    return lonlat.split(shapely.Polygon(ring)) if np.isfinite(ring).all() else shapely.Polygon(ring)


def _beside_poles(box: SceneBox, scene: Scene) -> SceneBox:
    """The box, smaller by a hair where an edge runs through a pole: there is no telling which way round it goes."""
    left, top, right, bottom = box.left, box.top, box.right, box.bottom
    for x, y in scene.from_lonlat(LonLatPoints.of([(0, 90), (0, -90)])).xy():
        left += _HAIR_PX * (abs(x - left) < _HAIR_PX / 2)
        right -= _HAIR_PX * (abs(x - right) < _HAIR_PX / 2)
        top += _HAIR_PX * (abs(y - top) < _HAIR_PX / 2)
        bottom -= _HAIR_PX * (abs(y - bottom) < _HAIR_PX / 2)
    return SceneBox(left, top, right, bottom)


def _middles(degrees: NDArray[np.float64]) -> LonLatPoints:
    """The middles of a line's N - 1 edges, each going the shorter way; at a pole along the other end's meridian."""
    start, end = degrees[:-1], degrees[1:]
    step = np.where((np.abs([start[:, 1], end[:, 1]]) > _POLE).any(axis=0), 0, end[:, 0] - start[:, 0])
    lon = np.where(np.abs(start[:, 1]) > _POLE, end[:, 0], start[:, 0]) + lonlat.around(step, 0.0) / 2
    return LonLatPoints(lon, (start[:, 1] + end[:, 1]) / 2)


def _words(answer: Answer) -> str | None:
    """The model's own words where no column holds what it meant."""
    if isinstance(answer, Text):
        return answer.text
    return None if answer.complete else answer.raw


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
