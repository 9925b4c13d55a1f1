"""The menu beside the search field: where to look, for how many places, and with which encoder."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from qgis.core import QgsGeometry
from qgis.gui import QgisInterface, QgsMapTool, QgsRubberBand
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import QActionGroup, QMenu, QToolButton, QWidget

from ... import compat
from ...contract import Info
from ..area_tool import AreaTool
from ..areas import Area, selected_area, view_area
from ..choices import remember, remembered
from .query import USUAL_TOP

_TOPS = (10, 20, 50, 100, 200, 1000)
_TOP, _ENCODER = "search_top", "search_encoder"
SCENE, VIEW, DRAWN, SELECTED = "scene", "view", "drawn", "selected"


class ScopeMenu(QToolButton):
    """Says where a search looks; its menu changes that, and what else is seldom changed."""

    asks_to_draw = pyqtSignal(bool)  # that a rectangle is to be drawn now, or no more
    changed = pyqtSignal()  # where to look, or for how many places

    def __init__(self, iface: QgisInterface, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("FusarSearchScope")
        self._iface, self._canvas = iface, iface.mapCanvas()
        self._where = SCENE
        self._drawn: Area | None = None
        self._encoders: dict[str, str] = {}
        self._former_tool: QgsMapTool | None = None
        self._tool = AreaTool(self._canvas)
        self._tool.drawn.connect(self._take_drawn)
        self._tool.deactivated.connect(self._on_tool_gone)
        self._outline = QgsRubberBand(self._canvas, compat.POLYGON)
        self._outline.setStrokeColor(QColor("#0072b2"))
        self._outline.setFillColor(QColor(0, 0, 0, 0))
        self._outline.setWidth(2)
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._fill)
        self.setMenu(self._menu)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.setAutoRaise(True)
        self.setToolTip(self.tr("Where to search, and for how many places"))
        self._refresh()

    def remove(self) -> None:
        """Take everything off the map."""
        self._tool.drawn.disconnect(self._take_drawn)
        self._tool.deactivated.disconnect(self._on_tool_gone)
        self._tool.remove()
        self._canvas.scene().removeItem(self._outline)

    def offer(self, info: Info) -> None:
        """Offer the encoders of the backend."""
        self._encoders = {one.name: one.title for one in info.encoders}

    @property
    def top(self) -> int:
        """How many places are wanted."""
        kept = remembered(_TOP)
        return int(kept) if kept.isdigit() and int(kept) in _TOPS else USUAL_TOP

    @property
    def encoder(self) -> str | None:
        """The encoder that is chosen among several; None leaves it to the backend."""
        kept = remembered(_ENCODER)
        return kept if len(self._encoders) > 1 and kept in self._encoders else None

    def area(self) -> Area | None:
        """Return where to look; None means the whole scene. Raises AreaError where nothing is selected."""
        if self._where == VIEW:
            return view_area(self._canvas)
        if self._where == SELECTED:
            return selected_area(self._iface.activeLayer())
        return self._drawn if self._where == DRAWN else None

    def _names(self) -> dict[str, str]:
        return {
            SCENE: self.tr("Scene"),
            VIEW: self.tr("View"),
            DRAWN: self.tr("Drawn"),
            SELECTED: self.tr("Selected"),
        }

    def _fill(self) -> None:
        for old in self._menu.findChildren(QMenu):
            old.deleteLater()
        self._menu.clear()
        tips = {
            SCENE: self.tr("The whole s&cene"),
            VIEW: self.tr("What the map &shows"),
            DRAWN: self.tr("&Draw a rectangle…"),
            SELECTED: self.tr("The selected &polygons"),
        }
        self._choices(self._menu, tips.items(), self._where, self._look_in)
        self._menu.addSeparator()
        tops = self._menu.addMenu(self.tr("&Number of places"))
        self._choices(tops, ((one, str(one)) for one in _TOPS), self.top, partial(self._keep, _TOP))
        if len(self._encoders) > 1:
            encoders = self._menu.addMenu(self.tr("&Encoder"))
            chosen = self.encoder or next(iter(self._encoders))
            self._choices(encoders, self._encoders.items(), chosen, partial(self._keep, _ENCODER))

    def _choices(self, menu: QMenu, choices: Iterable[tuple[Any, str]], chosen: Any, do: Any) -> None:
        group = QActionGroup(menu)
        for value, text in choices:
            action = menu.addAction(text)
            action.setCheckable(True)
            action.setChecked(value == chosen)
            action.setActionGroup(group)
            action.triggered.connect(partial(_call, do, value))

    def _keep(self, name: str, value: object) -> None:
        remember(name, str(value))
        self.changed.emit()

    def _look_in(self, where: str) -> None:
        if where == DRAWN:
            self._former_tool = self._canvas.mapTool()
            self._canvas.setMapTool(self._tool)
            self.asks_to_draw.emit(True)
            return
        self._where, self._drawn = where, None
        self._refresh()
        self.changed.emit()

    def _take_drawn(self, outline: QgsGeometry) -> None:
        self._drawn = Area(QgsGeometry(outline), self._canvas.mapSettings().destinationCrs())
        self._where = DRAWN
        if self._former_tool is not None:
            self._canvas.setMapTool(self._former_tool)
        else:
            self._canvas.unsetMapTool(self._tool)
        self._refresh()
        self.changed.emit()

    def _on_tool_gone(self) -> None:
        self._former_tool = None
        self.asks_to_draw.emit(False)

    def _refresh(self) -> None:
        self.setText(self._names()[self._where])
        if self._drawn is not None:
            self._outline.setToGeometry(self._drawn.outline, self._drawn.crs)
        else:
            self._outline.reset(compat.POLYGON)


def _call(do: Any, value: object, _: bool = False) -> None:
    do(value)
