"""The table of findings: plain columns behind an order, filtered and sorted by numpy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from qgis.PyQt.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt

from ...contract import NO_PRIOR, SEARCH, SceneBox
from ...layers.project_runs import ProjectRun
from .pictures import PictureMaker, Pictures, Wanted
from .rows import Filter, Rows, order_of

COLUMNS = ("", "label", "confidence", "length", "review", "run", "prior")
PICTURE, PRIOR = 0, COLUMNS.index("prior")


class FindingsModel(QAbstractTableModel):
    """The findings that a filter shows, in the order of one column.

    Attributes:
        rows: All of them.
        order: The numbers of the rows shown, int [shown].
        pictures: Makes the thumbnails of rows that are seen.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.rows, self.order = Rows.of(()), np.zeros(0, dtype=int)
        self.pictures = PictureMaker(self)
        self.pictures.arrived.connect(self._on_pictures)
        self._filter, self._column, self._descending = Filter(), "", False
        self._runs: dict[str, ProjectRun] = {}
        self.decisions: dict[str, str] = {}
        """The names of decisions, in the analyst's language."""

    def show(self, rows: Rows, runs: dict[str, ProjectRun], chosen: Filter) -> None:
        """Show what ``chosen`` lets through of other rows; ``runs`` are the runs by the ids of their layers."""
        self._runs = runs
        self.beginResetModel()
        self.rows, self._filter = rows, chosen
        self._order()
        self.endResetModel()

    def filter_by(self, chosen: Filter) -> None:
        """Show only what ``chosen`` lets through."""
        self.beginResetModel()
        self._filter = chosen
        self._order()
        self.endResetModel()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; the pictures' keeps the order of the layers."""
        self.beginResetModel()
        self._column = COLUMNS[column] if column >= 0 else ""
        self._descending = order == Qt.SortOrder.DescendingOrder
        self._order()
        self.endResetModel()

    def keys(self, places: Iterable[int]) -> dict[str, list[int]]:
        """Return the feature ids of the rows at ``places`` of the table, by layer id."""
        keys: dict[str, list[int]] = {}
        numbers = self.order[list(places)]
        layers = self.rows.layer[numbers]
        for layer in np.unique(layers).tolist():
            keys[layer] = self.rows.key[numbers[layers == layer]].tolist()
        return keys

    def places(self, layer: str, keys: Iterable[int]) -> list[int]:
        """Return the places in the table of a layer's features; those that are hidden have none."""
        is_one = (self.rows.layer == layer) & np.isin(self.rows.key, list(keys))
        return [int(place) for place in np.flatnonzero(is_one[self.order])]

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802 - as Qt has it
        """Return how many are shown."""
        return 0 if parent.isValid() else len(self.order)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008, N802 - as Qt has it
        """Return the number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:  # noqa: N802
        """Return the name of a column."""
        if orientation != Qt.Orientation.Horizontal or role != Qt.ItemDataRole.DisplayRole:
            return None
        names = (
            self.tr("SAR"),
            self.tr("Class"),
            self.tr("Confidence"),
            self.tr("Length"),
            self.tr("Review"),
            self.tr("Run"),
            self.tr("Prior"),
        )
        return names[section]

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Return what a cell shows."""
        number, column = self.order[index.row()], index.column()
        if column not in (PICTURE, PRIOR):
            shown = role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole)
            return self._text(COLUMNS[column], number) if shown else None
        if role == Qt.ItemDataRole.DecorationRole:
            made = self._pictures(number)
            return None if made is None else made.sar if column == PICTURE else made.prior
        if role == Qt.ItemDataRole.DisplayRole:
            return self._instead(number, is_prior=column == PRIOR)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._about_picture(number, is_prior=column == PRIOR)
        return None

    def _text(self, column: str, number: int) -> str:
        value = getattr(self.rows, column)[number]
        if column == "confidence":
            return "" if np.isnan(value) else f"{value:.2f}"
        if column == "length":
            return "" if np.isnan(value) else f"{value:.0f} m"
        return self.decisions.get(str(value), str(value)) if column == "review" else str(value)

    def _wanted(self, number: int) -> Wanted | None:
        """Return what there are pictures of; None where a person drew the box, or the run is gone."""
        layer, box = str(self.rows.layer[number]), self.rows.box[number]
        if layer not in self._runs or np.isnan(box).any():
            return None
        left, top, right, bottom = box.tolist()
        prior = str(self.rows.prior[number])
        alone = self._runs[layer].run.get("task") == SEARCH
        return Wanted(layer, int(self.rows.key[number]), SceneBox(left, top, right, bottom), prior, alone)

    def _pictures(self, number: int) -> Pictures | None:
        wanted = self._wanted(number)
        return None if wanted is None else self.pictures.get(wanted, self._runs[wanted.layer])

    def _instead(self, number: int, *, is_prior: bool) -> str:
        """Return what a cell says that has no picture; nothing while one may come."""
        if is_prior and str(self.rows.prior[number]) in ("", NO_PRIOR):
            return str(self.tr("No prior"))
        wanted = self._wanted(number)
        made = None if wanted is None else self.pictures.known(wanted)
        if wanted is None:
            return str(self.tr("No picture"))
        if made is None or not (made.prior_said if is_prior else made.sar_said):
            return ""
        return str(self.tr("Not at hand") if is_prior else self.tr("No picture"))

    def _about_picture(self, number: int, *, is_prior: bool) -> str:
        wanted = self._wanted(number)
        made = None if wanted is None else self.pictures.known(wanted)
        if wanted is None:
            return str(self.tr("Where this was seen in the scene is not known."))
        said = "" if made is None else made.prior_said if is_prior else made.sar_said
        if said:
            return said
        if is_prior:
            text = self.tr("{source}; A01, A16, A09 as red, green, blue")
            return str(text.format(source=self.rows.prior[number]))
        return self._text("run", number)

    def _order(self) -> None:
        self.order = order_of(self.rows, self._filter, self._column, descending=self._descending)

    def _on_pictures(self) -> None:
        if len(self.order):
            roles = [Qt.ItemDataRole.DecorationRole, Qt.ItemDataRole.DisplayRole]
            for column in (PICTURE, PRIOR):
                last = self.index(len(self.order) - 1, column)
                self.dataChanged.emit(self.index(0, column), last, roles)
