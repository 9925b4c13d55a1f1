"""The ranked places of a search, each with a picture of its ground and how it compares, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from qgis.core import QgsCoordinateTransform, QgsCsException, QgsGeometry, QgsPointXY, QgsProject
from qgis.PyQt.QtCore import QAbstractListModel, QModelIndex, QObject, QSize, Qt
from qgis.PyQt.QtGui import QPixmap, QResizeEvent
from qgis.PyQt.QtWidgets import QAbstractItemView, QListView, QWidget

from ...contract import NO_PRIOR, UPLOADED, Finding, Finished, SceneBox, SearchRequest
from ...layers.features import geometry_of
from ...layers.project_runs import ProjectRun
from ...layers.scene import Scene, SceneError, crs_of
from ...layers.scene_pixels import ScenePixels
from ..areas import Area
from ..findings.pictures import PictureMaker, Wanted

SIDE = 64
_PADDING = 4


class PlacesModel(QAbstractListModel):
    """The places of one search, the best first.

    Attributes:
        pictures: Makes the pictures of places that are seen.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.pictures = PictureMaker(self, SIDE)
        self.pictures.arrived.connect(self._on_pictures)
        self._places: Sequence[Finding] = ()
        self._boxes: Sequence[SceneBox | None] = ()
        self._run: ProjectRun | None = None
        self._is_area = False
        self._blank = QPixmap(SIDE, SIDE)
        self._blank.fill(Qt.GlobalColor.transparent)

    def show(self, finished: Finished, scene: Scene, request: SearchRequest) -> None:
        """Show what a search of ``scene`` has found; ``request`` is what the backend was asked."""
        run, source = finished.run, scene.layer.source()
        self.beginResetModel()
        self._places = finished.findings
        self._boxes = _boxes(self._places, source, is_part=request.scene.startswith(UPLOADED))
        self._is_area = request.area is not None
        self._run = ProjectRun(run.id, run.record(), source, None, search=request)
        self.endResetModel()

    def clear(self) -> None:
        """Show nothing."""
        self.beginResetModel()
        self._places, self._boxes, self._run = (), (), None
        self.endResetModel()

    def place(self, row: int) -> Finding:
        """Return the place in a row."""
        return self._places[row]

    def ground(self, row: int) -> Area:
        """Return where the place in a row lies."""
        return Area(geometry_of(self._places[row]), crs_of(self._places[row].crs))

    def ground_of(self, rows: Iterable[int]) -> Area:
        """Return where several places lie, as one."""
        grounds = [self.ground(row) for row in rows]
        return Area(QgsGeometry.unaryUnion([one.outline for one in grounds]), grounds[0].crs)

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802 - as Qt has it
        """Return how many places there are."""
        return 0 if parent.isValid() else len(self._places)

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Return what a place shows."""
        row = index.row()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(self._places[row])
        if role == Qt.ItemDataRole.DecorationRole:
            return self._picture(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._about(self._places[row])
        return None

    def _text(self, place: Finding) -> str:
        lines = [self.tr("Place {rank}").format(rank=place.properties.get("rank"))]
        percentile = place.properties.get("percentile")
        if isinstance(percentile, (int, float)) and math.isfinite(percentile):
            text = self.tr("more like it than {percent} % of the scene")
            if self._is_area:
                text = self.tr("more like it than {percent} % of the area")
            lines.append(text.format(percent=percent_text(percentile)))
        return "\n".join(lines)

    def _about(self, place: Finding) -> str:
        said = place.properties
        lines = [self._text(place)]
        if said.get("matched"):
            lines.append(str(said["matched"]))
        if isinstance(said.get("side_m"), float):
            lines.append(self.tr("A square of {side} m").format(side=f"{said['side_m']:,.0f}"))
        if isinstance(said.get("similarity"), float):
            text = self.tr("Similarity {number}, which ranks the places and says nothing by itself")
            lines.append(text.format(number=f"{said['similarity']:.3f}"))
        return "\n".join(lines)

    def _picture(self, row: int) -> QPixmap:
        box = self._boxes[row] if self._run is not None else None
        if self._run is None or box is None:
            return self._blank
        made = self.pictures.get(Wanted(self._run.id, row, box, NO_PRIOR, alone=True), self._run)
        return self._blank if made is None or made.sar.isNull() else made.sar

    def _on_pictures(self) -> None:
        if self._places:
            self.dataChanged.emit(
                self.index(0), self.index(len(self._places) - 1), [Qt.ItemDataRole.DecorationRole]
            )


class PlacesView(QListView):
    """Shows :class:`PlacesModel`, one place a row, as wide as there is room."""

    def __init__(self, model: PlacesModel, parent: QWidget) -> None:
        super().__init__(parent)
        self.setModel(model)
        self.setUniformItemSizes(True)
        self.setWordWrap(True)
        self.setIconSize(QSize(SIDE, SIDE))
        self.setSpacing(_PADDING // 2)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Lay the rows out again: words wrap at another place."""
        super().resizeEvent(event)
        self.scheduleDelayedItemsLayout()

    def rows(self) -> list[int]:
        """Return the rows that are selected, from above."""
        return sorted(index.row() for index in self.selectedIndexes())


def percent_text(percentile: float) -> str:
    """Return a share in percent, never rounded up: 100 would say that nothing is alike."""
    digits = 1 if percentile < 99.9 else 2
    return f"{math.floor(percentile * 10**digits + 1e-6) / 10**digits:.{digits}f}"


def _boxes(places: Sequence[Finding], source: str, *, is_part: bool) -> list[SceneBox | None]:
    """Return where each place lies in pixels of the whole scene; None where that is not known.

    Pixels of places count from the part that was sent to the backend, where ``is_part``.
    """
    if not is_part:
        return [place.box for place in places]
    try:
        pixels = ScenePixels(source)
    except SceneError:
        return [None] * len(places)
    boxes: list[SceneBox | None] = []
    for place in places:
        outline = geometry_of(place)
        move = QgsCoordinateTransform(crs_of(place.crs), pixels.crs, QgsProject.instance())
        try:
            outline.transform(move)
        except QgsCsException:
            boxes.append(None)
            continue
        corners = pixels.to_pixel(QgsPointXY(vertex) for vertex in outline.vertices())
        across, down = [x for x, _ in corners], [y for _, y in corners]
        boxes.append(SceneBox(min(across), min(down), max(across), max(down)) if corners else None)
    return boxes
