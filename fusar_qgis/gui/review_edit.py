"""The map tool that changes the box of the finding under review: handles to drag, inside to move, a knob to turn."""

from __future__ import annotations

import math
from collections.abc import Callable

from qgis.core import QgsCsException, QgsPointXY
from qgis.gui import QgsMapCanvas, QgsMapMouseEvent, QgsMapTool, QgsRubberBand
from qgis.PyQt.QtCore import QPoint, QPointF, Qt, QTimer, pyqtSignal
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import QAction, QApplication

from .. import compat
from ..core.oriented_box import OrientedBox, Point
from ..layers.box_placing import BoxPlacing
from ..layers.scene import SceneError
from .keys import Keys

_HANDLE_PX = 9
_KNOB_PX = 28  # from the middle of the upper edge
_REACH_PX = 9  # from the middle of a handle
_LEAST_REACH_PX = 3
_STEP = math.radians(15)
_REST_MS = 600  # after the last arrow key
_INK = QColor("#0072b2")
_SIDES = {"Left": (-1, 0), "Right": (1, 0), "Up": (0, -1), "Down": (0, 1)}
_NOWHERE = (QgsCsException, SceneError)

Drag = Callable[[Point, bool], OrientedBox]
"""Gives the box for a place of the mouse in scene pixels, and whether Shift is down."""


class BoxTool(QgsMapTool):
    """Lets the analyst change one box; everywhere else it moves the map, and a click chooses what is there.

    ``edited`` brings the box when the hand lets go of it, ``chosen`` the map point of a click beside it.
    """

    edited = pyqtSignal(object)
    chosen = pyqtSignal(QgsPointXY)

    def __init__(self, canvas: QgsMapCanvas) -> None:
        super().__init__(canvas)
        self._placing: BoxPlacing | None = None
        self._box: OrientedBox | None = None
        self._shown: OrientedBox | None = None  # while it is dragged or nudged
        self._drag: Drag | None = None
        self._pressed: QPoint | None = None
        self._is_panning = False
        self._is_on = False  # QGIS still calls the tool active while it is deactivated
        self._outline = self._band(compat.POLYGON)
        self._stalk = self._band(compat.LINE)
        self._handles = self._band(compat.POINT, QgsRubberBand.IconType.ICON_FULL_BOX)
        self._knob = self._band(compat.POINT, QgsRubberBand.IconType.ICON_CIRCLE)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self.finish)
        self._keys = Keys(self._key_actions(), self)
        canvas.extentsChanged.connect(self._draw)

    def remove(self) -> None:
        """Take everything of the tool off the canvas; the tool is not used again."""
        self.canvas().extentsChanged.disconnect(self._draw)
        self._rest.stop()
        self._keys.remove()
        self.canvas().unsetMapTool(self)
        for band in (self._outline, self._stalk, self._handles, self._knob):
            self.canvas().scene().removeItem(band)
        self.deleteLater()

    def show_box(self, box: OrientedBox | None, placing: BoxPlacing | None) -> None:
        """Let this box be changed from now on, in pixels of the scene of ``placing``; None takes the handles away."""
        self._rest.stop()
        self._box, self._placing = box, placing
        self._give_up()

    def finish(self) -> None:
        """Hand over what the arrow keys have done so far."""
        self._rest.stop()
        box, self._shown = self._shown, None
        if box is not None and self._drag is None:
            self.edited.emit(box)

    def activate(self) -> None:
        """Show the handles, and take the arrow keys of the map."""
        super().activate()
        self._is_on = True
        self._keys.listen_to([self.canvas()])
        self._draw()

    def deactivate(self) -> None:
        """Hide the handles when another tool takes over."""
        self._keys.remove()
        self.finish()
        self._is_on = False
        self._give_up()
        super().deactivate()

    def canvasPressEvent(self, event: QgsMapMouseEvent) -> None:  # noqa: N802
        """Take hold of a handle, the box or the map."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        self.finish()
        self._pressed = event.pixelPoint()
        self._drag = self._hold(QPointF(self._pressed))

    def canvasMoveEvent(self, event: QgsMapMouseEvent) -> None:  # noqa: N802
        """Show the box as it would be, or move the map."""
        if self._pressed is None:
            self.setCursor(self._cursor(QPointF(event.pixelPoint())))
            return
        way = event.pixelPoint() - self._pressed
        is_begun = self._shown is not None or self._is_panning
        if not is_begun and way.manhattanLength() < QApplication.startDragDistance():
            return
        if self._drag is not None:
            self._follow(event)
        else:
            self._is_panning = True
            self.canvas().panAction(event)

    def canvasReleaseEvent(self, event: QgsMapMouseEvent) -> None:  # noqa: N802
        """Hand over the box; a click beside it chooses another finding."""
        if event.button() != Qt.MouseButton.LeftButton or self._pressed is None:
            return
        drag, box, is_panning = self._drag, self._shown, self._is_panning
        self._drag, self._shown, self._pressed, self._is_panning = None, None, None, False
        if is_panning:
            self.canvas().panActionEnd(event.pixelPoint())
        elif box is not None:
            self.edited.emit(box)
        elif drag is None:
            self.chosen.emit(event.mapPoint())

    def _follow(self, event: QgsMapMouseEvent) -> None:
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        mouse = self._pixel(QPointF(event.pixelPoint()))
        if mouse is not None and self._drag is not None:
            self._shown = self._drag(mouse, shift)
            self._draw()

    def _hold(self, at: QPointF) -> Drag | None:
        """Return what a drag that begins at a point of the canvas does to the box; None if it holds nothing."""
        box, placing, mouse = self._box, self._placing, self._pixel(at)
        if box is None or placing is None or mouse is None:
            return None
        width, height = placing.scene.width, placing.scene.height

        def held(place: Point, change: Callable[[Point], OrientedBox]) -> Drag:
            dx, dy = place[0] - mouse[0], place[1] - mouse[1]
            return lambda to, _: change((_between(to[0] + dx, width), _between(to[1] + dy, height)))

        part, number = self._part(at)
        if part == "knob":
            start = math.atan2(mouse[1] - box.y, mouse[0] - box.x) - box.angle
            return lambda to, shift: box.turned_to(
                math.atan2(to[1] - box.y, to[0] - box.x) - start, _STEP if shift else 0
            )
        if part == "corner":
            return held(box.corners[number], lambda to: box.with_corner(number, to))
        if part == "edge":
            return held(box.edge_middle(number), lambda to: box.with_edge(number, to))
        if part == "inside":
            return lambda to, _: box.moved(to[0] - mouse[0], to[1] - mouse[1]).inside(width, height)
        return None

    def _part(self, at: QPointF) -> tuple[str, int]:
        """Return what of the box lies at a point of the canvas, with the number of the corner or edge."""
        corners = self._on_canvas(self._box.corners) if self._box is not None else []
        if not corners or self._box is None:
            return "", 0
        sides = [_apart(corners[n], corners[(n + 1) % 4]) for n in range(4)]
        reach = max(
            min(_REACH_PX, min(sides) / 4), _LEAST_REACH_PX
        )  # of a small box the inside can be held too
        knob = self._knob_at(corners)
        if knob is not None and _apart(knob, at) <= _REACH_PX:
            return "knob", 0
        for number, corner in enumerate(corners):
            if _apart(corner, at) <= reach:
                return "corner", number
        for number in range(4):
            if _off_line(at, corners[number], corners[(number + 1) % 4]) <= reach:
                return "edge", number
        mouse = self._pixel(at)
        return ("inside", 0) if mouse is not None and self._box.holds(mouse) else ("", 0)

    def _cursor(self, at: QPointF) -> Qt.CursorShape:
        part, number = self._part(at)
        if part in ("corner", "edge") and self._box is not None:
            (centre,) = self._on_canvas([(self._box.x, self._box.y)])
            place = self._box.corners[number] if part == "corner" else self._box.edge_middle(number)
            (handle,) = self._on_canvas([place])
            way = math.degrees(math.atan2(handle.y() - centre.y(), handle.x() - centre.x())) % 180
            return (
                Qt.CursorShape.SizeHorCursor,
                Qt.CursorShape.SizeFDiagCursor,
                Qt.CursorShape.SizeVerCursor,
                Qt.CursorShape.SizeBDiagCursor,
            )[round(way / 45) % 4]
        shapes = {"knob": Qt.CursorShape.PointingHandCursor, "inside": Qt.CursorShape.SizeAllCursor}
        return shapes.get(part, Qt.CursorShape.OpenHandCursor)

    def _key_actions(self) -> dict[QAction, tuple[str, ...]]:
        actions: dict[QAction, tuple[str, ...]] = {}
        for key, way in _SIDES.items():
            action = QAction(self)
            action.triggered.connect(lambda _=False, way=way: self._nudge(way))
            actions[action] = (key,)
        leave = QAction(self)
        leave.triggered.connect(self._give_up)
        actions[leave] = ("Esc",)
        return actions

    def _nudge(self, way: tuple[int, int]) -> None:
        """Move the box by the step to a neighbouring scene pixel that leads that way on the map."""
        box, placing = self._shown or self._box, self._placing
        if box is None or placing is None or self._drag is not None:
            return
        steps = ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))
        places = self._on_canvas([(box.x, box.y), *((box.x + dx, box.y + dy) for dx, dy in steps)])
        if not places:
            return

        def share(place: QPointF) -> float:
            to = place - places[0]
            return float((to.x() * way[0] + to.y() * way[1]) / (math.hypot(to.x(), to.y()) or 1))

        dx, dy = max(zip(steps, places[1:]), key=lambda one: share(one[1]))[0]  # noqa: B905 - Python 3.9
        self._shown = box.moved(dx, dy).inside(placing.scene.width, placing.scene.height)
        self._draw()
        self._rest.start()

    def _give_up(self) -> None:
        """Drop what is half done: the box is as it was."""
        self._rest.stop()
        if self._drag is not None:
            self._pressed = None  # the hand still holds the button
        self._drag, self._shown = None, None
        self._draw()

    def _draw(self) -> None:
        for band, kind in (
            (self._outline, compat.POLYGON),
            (self._stalk, compat.LINE),
            (self._handles, compat.POINT),
            (self._knob, compat.POINT),
        ):
            band.reset(kind)
        box = self._shown or self._box
        corners = self._on_canvas(box.corners) if box is not None and self._is_on else []
        if not corners:
            return
        middles = [(corners[n] + corners[(n + 1) % 4]) / 2 for n in range(4)]
        for corner in corners:
            self._outline.addPoint(self._map_point(corner), False)
        for handle in (*corners, *middles):
            self._handles.addPoint(self._map_point(handle), False)
        knob = self._knob_at(corners)
        if knob is not None:
            self._knob.addPoint(self._map_point(knob), False)
            for end in (middles[0], knob):
                self._stalk.addPoint(self._map_point(end), False)
        for band in (self._outline, self._stalk, self._handles, self._knob):
            band.updatePosition()
            band.update()
            band.show()

    def _knob_at(self, corners: list[QPointF]) -> QPointF | None:
        """Return where the knob lies, beside the middle of the upper edge; None of a box that has no size there."""
        middle, centre = (corners[0] + corners[1]) / 2, (corners[0] + corners[2]) / 2
        way = middle - centre
        length = math.hypot(way.x(), way.y())
        return middle + way * (_KNOB_PX / length) if length else None

    def _on_canvas(self, points: tuple[Point, ...] | list[Point]) -> list[QPointF]:
        """Return where points in scene pixels are on the canvas; nothing where the map cannot show them."""
        if self._placing is None:
            return []
        settings = self.canvas().mapSettings()
        try:
            places = self._placing.to_map(points, settings.destinationCrs())
        except _NOWHERE:
            return []
        return [self.canvas().getCoordinateTransform().transform(one).toQPointF() for one in places]

    def _map_point(self, at: QPointF) -> QgsPointXY:
        return self.canvas().getCoordinateTransform().toMapCoordinatesF(at.x(), at.y())

    def _pixel(self, at: QPointF) -> Point | None:
        """Return the scene pixel at a point of the canvas; None where there is none."""
        if self._placing is None:
            return None
        try:
            return self._placing.to_pixel(self._map_point(at), self.canvas().mapSettings().destinationCrs())
        except _NOWHERE:
            return None

    def _band(self, kind: object, icon: object = None) -> QgsRubberBand:
        band = QgsRubberBand(self.canvas(), kind)
        band.setStrokeColor(_INK)
        band.setSecondaryStrokeColor(QColor(255, 255, 255, 220))
        band.setFillColor(QColor(255, 255, 255, 0 if icon is None else 255))
        band.setWidth(2)
        if icon is not None:
            band.setSecondaryStrokeColor(QColor())
            band.setIcon(icon)
            band.setIconSize(_HANDLE_PX)
        return band


def _between(value: float, most: float) -> float:
    return min(max(value, 0.0), most)


def _apart(one: QPointF, two: QPointF) -> float:
    return math.hypot(one.x() - two.x(), one.y() - two.y())


def _off_line(at: QPointF, start: QPointF, end: QPointF) -> float:
    """Return how far a point is from a line between two others."""
    way, to = end - start, at - start
    length = way.x() ** 2 + way.y() ** 2
    share = _between((to.x() * way.x() + to.y() * way.y()) / length, 1.0) if length else 0.0
    return _apart(at, start + way * share)
