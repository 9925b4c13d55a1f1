"""The table of the project's findings, with its filter, tied to the map, and decisions about many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from qgis.core import Qgis, QgsVectorLayer
from qgis.gui import QgisInterface
from qgis.PyQt import sip
from qgis.PyQt.QtCore import (
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPoint,
    Qt,
    QTimer,
    pyqtSignal,
)
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QAction,
    QInputDialog,
    QLabel,
    QMenu,
    QTableView,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from ...core import review
from ...layers.decisions import NEWS, Decisions, reviewer
from ...layers.project_runs import ProjectRun, ProjectRuns
from ...layers.styles import hidden_count
from ..areas import show_on_map
from ..keys import Keys
from ..messages import show_message
from .bulk import BulkDecisions
from .filters import Filters
from .pictures import SIDE
from .reader import AT_ONCE, LayerReader, layers_of, rows_of
from .rows import Filter, Rows
from .table_model import PRIOR, FindingsModel

_AROUND = 6.0  # the map shows this many times the finding's box
_RELOAD_MS = 1000
_WIDTHS = (SIDE + 8, 70, 80, 60, 90, 100, SIDE + 8)


class FindingsPanel(QWidget):
    """All findings of the project's runs.

    ``menu_wanted`` brings the table's context menu, to be filled; the selected rows are the map's selection.
    """

    menu_wanted = pyqtSignal(object)

    def __init__(self, iface: QgisInterface, runs: ProjectRuns, parent: QWidget) -> None:
        """``runs`` tells of the project's runs; it is not owned."""
        super().__init__(parent)
        self._iface, self._runs = iface, runs
        self._names = {
            review.ACCEPTED: self.tr("accepted"),
            review.REJECTED: self.tr("rejected"),
            review.RELABELLED: self.tr("relabelled"),
            review.ADDED: self.tr("added"),
        }
        self.model = FindingsModel(self)
        self.model.decisions = self._names
        self.filters = Filters(self._names, self)
        self.table = QTableView()
        self.bulk = BulkDecisions(self)
        self.count = QLabel()
        self.count.setWordWrap(True)
        self._parts: dict[str, Rows] = {}
        self._layers: dict[str, QgsVectorLayer] = {}
        self._layer_runs: dict[str, ProjectRun] = {}
        self._connected: dict[str, list[tuple[Any, Any]]] = {}
        self._stale: set[str] = set()
        self._is_selecting = False
        self._hidden = 0  # on the map
        self._count_timer = QTimer(self)
        self._count_timer.setSingleShot(True)
        self._count_timer.timeout.connect(self._count_hidden)
        self._reader = LayerReader(self)
        self._reader.done.connect(self._on_read)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_RELOAD_MS)
        self._timer.timeout.connect(self._read_stale)
        self._set_up()
        self._runs.changed.connect(self._on_runs)
        NEWS.told.connect(self._on_decided)
        self._on_runs()

    def remove(self) -> None:
        """Let go of the project."""
        self._keys.remove()
        self.bulk.cancel()
        self._runs.changed.disconnect(self._on_runs)
        NEWS.told.disconnect(self._on_decided)
        self._reader.stop()
        self._timer.stop()
        self._count_timer.stop()
        self.model.pictures.stop()
        for name in list(self._layers):
            self._forget(name)

    def _set_up(self) -> None:
        table = self.table
        table.setModel(self.model)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSortingEnabled(True)
        table.horizontalHeader().setSortIndicator(0, Qt.SortOrder.AscendingOrder)
        table.horizontalHeader().setStretchLastSection(True)
        # With the table's own the header looks at every row that is selected: 0.2 s of 20,000.
        table.horizontalHeader().setSelectionModel(QItemSelectionModel(self.model, table))
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(SIDE + 4)
        for column, width in enumerate(_WIDTHS):
            table.setColumnWidth(column, width)
        table.horizontalHeader().moveSection(PRIOR, 1)  # beside the radar image
        table.clicked.connect(self._go_to)
        table.activated.connect(self._go_to)
        table.selectionModel().selectionChanged.connect(self._select_on_map)
        table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        table.customContextMenuRequested.connect(self._show_menu)
        self.model.modelReset.connect(self._select_rows)  # sorting and filtering lose the selection
        self.filters.changed.connect(self._filter)
        self.bulk.started.connect(self._on_deciding)
        self.bulk.over.connect(self._on_bulk_over)
        bar = QToolBar()
        shortcuts = {}
        for text, key, do in (
            (self.tr("Accept"), "A", partial(self._decide, review.ACCEPTED)),
            (self.tr("Reject"), "R", partial(self._decide, review.REJECTED)),
            (self.tr("Relabel…"), "L", self._relabel),
            (self.tr("Undo"), "U", self.bulk.undo),
        ):
            action = QAction(text, self)
            action.setToolTip(self.tr("{action}: key {key}").format(action=text, key=key))
            action.triggered.connect(partial(_call, do))
            bar.addAction(action)
            shortcuts[action] = (key,)
        self._actions = list(shortcuts)
        self._keys = Keys(shortcuts, self)
        self._keys.listen_to([table])
        column = QVBoxLayout(self)
        for widget in (self.filters, bar, self.bulk, table, self.count):
            column.addWidget(widget)

    def _show_menu(self, place: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.menu_wanted.emit(menu)
        if menu.actions():
            menu.popup(self.table.viewport().mapToGlobal(place))

    def _on_runs(self) -> None:
        there: dict[str, QgsVectorLayer] = {}
        for run in self._runs.all():
            for layer in layers_of(run):
                there[layer.id()] = layer
                self._layer_runs[layer.id()] = run
        for gone in set(self._layers) - set(there):
            self._forget(gone)
        self.bulk.forget(list(there.values()))
        for name, layer in there.items():
            if name not in self._layers:
                self._layers[name] = layer
                self._listen_to(name, layer)
                self._stale.add(name)
        self._read_stale()
        self._show()

    def _forget(self, name: str) -> None:
        layer = self._layers.pop(name)
        self._layer_runs.pop(name, None)
        self._parts.pop(name, None)
        self._stale.discard(name)
        self._reader.forget(name)
        for signal, slot in self._connected.pop(name, ()):
            if not sip.isdeleted(layer):
                signal.disconnect(slot)

    def _living(self) -> dict[str, QgsVectorLayer]:
        """Return the layers but those that have just left the project."""
        return {name: layer for name, layer in self._layers.items() if not sip.isdeleted(layer)}

    def _listen_to(self, name: str, layer: QgsVectorLayer) -> None:
        self._connected[name] = [
            (layer.dataChanged, partial(self._on_changed, name, True)),
            (layer.afterCommitChanges, partial(self._on_changed, name, True)),
            (layer.repaintRequested, partial(self._on_changed, name, False)),
            (layer.customPropertyChanged, self._on_property),
            (layer.selectionChanged, self._select_rows),
        ]
        for signal, slot in self._connected[name]:
            signal.connect(slot)

    def _on_changed(self, name: str, surely: bool, *_: object) -> None:
        """Read a layer again soon: while a run goes on, its layer is only repainted."""
        known = self._parts.get(name)
        if surely:
            self._reader.forget(name)
        if surely or known is None or len(known) != self._layers[name].featureCount():
            self._stale.add(name)
            if not self._timer.isActive():
                self._timer.start()

    def _on_decided(self, decisions: Decisions, keys: list[int]) -> None:
        """Show at once what is decided on a few findings, here or in the review; many are read again soon."""
        layer = decisions.layer
        name = layer.id()
        if name in self._parts and len(keys) <= AT_ONCE:
            now = rows_of(layer, self._layer_runs[name], keys)
            self._parts[name] = self._parts[name].with_others(keys, now)
            self._show()

    def _read_stale(self) -> None:
        if self.bulk.is_busy:
            self._timer.start()
            return
        for name in self._stale:
            self._reader.read(self._layers[name], self._layer_runs[name])
        self._stale.clear()

    def _on_read(self, name: str, rows: Rows) -> None:
        if name in self._layers:
            self._parts[name] = rows
            self._show()

    def _show(self) -> None:
        rows = Rows.joined([self._parts[name] for name in self._layers if name in self._parts])
        self.filters.offer(rows)
        with self._keeping_the_view():
            self.model.show(rows, self._layer_runs, self.filters.chosen())
        self.filters.show_rows(rows)
        self._count_hidden()

    def _filter(self, chosen: Filter) -> None:
        with self._keeping_the_view():
            self.model.filter_by(chosen)
        self.filters.show_rows(self.model.rows)
        self._say_count()

    @contextmanager
    def _keeping_the_view(self) -> Iterator[None]:
        """Keep the table where it was scrolled to."""
        at = self.table.verticalScrollBar().value()
        yield
        self.table.verticalScrollBar().setValue(at)

    def _on_property(self, name: str) -> None:
        """A layer's least score on the map is among its variables."""
        if name.startswith("variable"):
            self._count_timer.start()

    def _count_hidden(self) -> None:
        self._hidden = sum(map(hidden_count, self._living().values()))
        self._say_count()

    def _say_count(self) -> None:
        shown, everything = self.model.rowCount(), len(self.model.rows)
        text = self.tr("Findings: {n}").format(n=everything)
        if shown < everything:
            text = self.tr("Shown: {shown} of {n} · hidden by the filter: {hidden}").format(
                shown=shown, n=everything, hidden=everything - shown
            )
        if self._hidden:
            on_map = self.tr("hidden on the map by its least confidence: {n}").format(n=self._hidden)
            text = f"{text} · {on_map}"
        self.count.setText(text if everything else self.tr("No findings yet. Interpret an area first."))

    def _selected(self) -> dict[str, list[int]]:
        places: list[int] = []
        for one in self.table.selectionModel().selection():  # selectedRows() takes 0.2 s for 20,000
            places += range(one.top(), one.bottom() + 1)
        return self.model.keys(places)

    def _select_on_map(self, *_: object) -> None:
        if self._is_selecting:
            return
        self._is_selecting = True
        chosen = self._selected()
        for name, layer in self._living().items():
            keys = chosen.get(name, [])
            if keys or layer.selectedFeatureCount():
                layer.selectByIds(keys)
        self._is_selecting = False

    def _select_rows(self, *_: object) -> None:
        """Select the rows of what is selected on the map."""
        if self._is_selecting:
            return
        self._is_selecting = True
        selection, last = QItemSelection(), self.model.columnCount() - 1
        places = [
            place
            for one, layer in self._living().items()
            for place in self.model.places(one, layer.selectedFeatureIds())
        ]
        for first, end in _ranges(sorted(places)):
            selection.select(self.model.index(first, 0), self.model.index(end, last))
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect
        self.table.selectionModel().select(selection, flags)
        if places:
            self.table.scrollTo(self.model.index(min(places), 0))
        self._is_selecting = False

    def _go_to(self, index: QModelIndex) -> None:
        """Show a finding on the map and let it flash."""
        for name, keys in self.model.keys([index.row()]).items():
            layer = self._layers[name]
            place = [layer.getFeature(keys[0]).geometry()]
            if not show_on_map(self._iface.mapCanvas(), place, layer.crs(), _AROUND):
                self._tell(self.tr("The map cannot show that place in its coordinate system."))

    def _decide(self, decision: str, label: str | None = None) -> None:
        """Note a decision about all rows that are selected."""
        keys = {self._layers[name]: some for name, some in self._selected().items()}
        self.bulk.decide(keys, lambda layer: Decisions(layer, reviewer(), queued=False), decision, label)

    def _relabel(self) -> None:
        if not self._selected():
            return
        classes = sorted(set(self.model.rows.label.tolist()) - {""})
        title, question = self.tr("Relabel"), self.tr("What are the selected findings?")
        label, fine = QInputDialog.getItem(self, title, question, classes, 0, True)
        if fine and label.strip():
            self._decide(review.RELABELLED, label.strip())

    def _on_bulk_over(self, text: str, level: Qgis.MessageLevel) -> None:
        for action in self._actions:
            action.setEnabled(True)
        if text:
            self._tell(text, level)

    def _on_deciding(self) -> None:
        for action in self._actions:
            action.setEnabled(False)

    def _tell(self, text: str, level: Qgis.MessageLevel = Qgis.MessageLevel.Critical) -> None:
        show_message(self._iface.messageBar(), self.tr("Findings"), text, level)


def _ranges(places: list[int]) -> list[tuple[int, int]]:
    """Return runs of places that follow each other, as (first, last)."""
    ranges: list[tuple[int, int]] = []
    for place in places:
        if ranges and ranges[-1][1] == place - 1:
            ranges[-1] = (ranges[-1][0], place)
        else:
            ranges.append((place, place))
    return ranges


def _call(do: Callable[[], None], _: bool) -> None:
    do()
