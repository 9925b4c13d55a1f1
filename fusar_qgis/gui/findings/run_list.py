"""The list of the project's runs: what was asked when, with what, and what came out; open, repeat, rename, remove."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qgis.core import QgsGeometry, QgsProject
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QLocale, Qt
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QInputDialog,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ...core.request import LayerRequest
from ...layers.project_runs import ProjectRun, ProjectRuns
from ...layers.run_groups import run_label, started
from ..areas import show_on_map

_AROUND = 1.2  # the map shows this many times a run's extent

_WIDEST = 220  # pixels of a column: a tip has the whole text

Again = Callable[[LayerRequest], None]


class RunList(QWidget):
    """A table of runs, the newest first; double-click opens a run's ground.

    Args:
        runs: Tells of the project's runs; it is not owned.
        again: Runs a request once more, beside what is there.
    """

    def __init__(self, iface: QgisInterface, runs: ProjectRuns, again: Again, parent: QWidget) -> None:
        super().__init__(parent)
        self._iface, self._runs, self._again = iface, runs, again
        self._known: dict[str, ProjectRun] = {}
        self.table = QTreeWidget(self)
        self.table.setRootIsDecorated(False)
        self.table.setUniformRowHeights(True)
        self.table.setSortingEnabled(True)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        titles = (self.tr("Started"), self.tr("Question"), self.tr("Findings"), self.tr("Scene"))
        self.table.setHeaderLabels([*titles, self.tr("Model"), self.tr("Prior"), self.tr("Duration")])
        self.table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
        self.table.itemDoubleClicked.connect(self.open)
        self.table.itemSelectionChanged.connect(self._enable)
        buttons = QHBoxLayout()
        self._buttons = [
            self._button(self.tr("Zoom to It"), self.tr("Show the ground of the run on the map"), self.open),
            self._button(
                self.tr("Run Again"),
                self.tr("Ask the same again; its findings come beside these"),
                self.repeat,
            ),
            self._button(
                self.tr("Rename…"), self.tr("Give its group in the Layers panel a name"), self.rename
            ),
            self._button(
                self.tr("Remove…"),
                self.tr("Take its layers out of the project; their file keeps the findings"),
                self.discard,
            ),
        ]
        for button in self._buttons:
            buttons.addWidget(button)
        buttons.addStretch()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addLayout(buttons)
        runs.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Read the runs anew; the chosen one stays chosen."""
        chosen = self.chosen()
        self._known = {run.id: run for run in self._runs.all()}
        self.table.clear()
        for run in self._known.values():
            item = _Row(self._words(run), run)
            self.table.addTopLevelItem(item)
            item.setSelected(chosen is not None and chosen.id == run.id)
        for column in range(self.table.columnCount()):
            self.table.resizeColumnToContents(column)
            self.table.setColumnWidth(column, min(self.table.columnWidth(column), _WIDEST))
        self._enable()

    def chosen(self) -> ProjectRun | None:
        """Return the run that is selected."""
        items = self.table.selectedItems()
        return self._known.get(items[0].data(0, Qt.ItemDataRole.UserRole)) if items else None

    def open(self, *_: object) -> None:
        """Zoom to the ground of the chosen run and make its first layer the active one."""
        run = self.chosen()
        if run is None:
            return
        layers = list(run.layers.values())
        grounds = [QgsGeometry.fromRect(layer.extent()) for layer in layers if layer.featureCount()]
        show_on_map(self._iface.mapCanvas(), grounds, layers[0].crs(), _AROUND)
        self._iface.setActiveLayer(layers[0])

    def repeat(self) -> None:
        """Run the chosen one's request once more."""
        run = self.chosen()
        if run is not None and run.request is not None:
            self._again(run.request)

    def rename(self) -> None:
        """Ask for another name of the chosen run's group."""
        run = self.chosen()
        group = None if run is None else _group(run)
        if group is None:
            return
        name, sure = QInputDialog.getText(
            self,
            self.tr("Rename Run"),
            self.tr("Name in the Layers panel:"),
            QLineEdit.EchoMode.Normal,
            group.name(),
        )
        if sure and name.strip():
            group.setName(name.strip())
            self.refresh()

    def discard(self) -> None:
        """Take the chosen run's layers out of the project, after a question."""
        run = self.chosen()
        if run is None or not self._is_sure(run):
            return
        group = _group(run)
        QgsProject.instance().removeMapLayers([layer.id() for layer in run.layers.values()])
        if group is not None and not group.children() and group.parent() is not None:
            group.parent().removeChildNode(group)

    def _is_sure(self, run: ProjectRun) -> bool:
        kept = all(layer.providerType() == "ogr" for layer in run.layers.values())
        text = (
            self.tr("Its layers leave the project. Their GeoPackage keeps the findings.")
            if kept
            else self.tr("Its findings are only in memory and are lost with its layers.")
        )
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self,
            self.tr("Remove the run?"),
            f"{self._words(run)[1]}\n\n{text}",
            buttons.Yes | buttons.No,
            buttons.No,
        )
        return bool(answer == buttons.Yes)

    def _words(self, run: ProjectRun) -> list[str]:
        """Return what the row says, a text for each column."""
        about: dict[str, Any] = run.run
        group = _group(run)
        findings = sum(max(layer.featureCount(), 0) for layer in run.layers.values())
        prior = str(about.get("prior") or "")
        seconds = run.seconds
        return [
            QLocale().toString(started(run.run), QLocale.FormatType.ShortFormat),
            group.name() if group is not None else run_label(about),
            str(findings),
            str(about.get("scene") or ""),
            self.tr("{model} (demonstration)").format(model=about.get("model", ""))
            if about.get("demonstration")
            else str(about.get("model", "")),
            self.tr("none") if prior in ("", "none") else prior,
            "" if seconds is None else self.tr("{n} s").format(n=round(seconds, 1)),
        ]

    def _button(self, text: str, tip: str, do: Callable[[], None]) -> QPushButton:
        button = QPushButton(text, self)
        button.setToolTip(tip)
        button.clicked.connect(do)
        return button

    def _enable(self) -> None:
        run = self.chosen()
        for button in self._buttons:
            button.setEnabled(run is not None)
        self._buttons[1].setEnabled(run is not None and run.request is not None)


class _Row(QTreeWidgetItem):
    """A run's row, which sorts its time and its numbers as what they are."""

    def __init__(self, words: list[str], run: ProjectRun) -> None:
        super().__init__(words)
        self.setData(0, Qt.ItemDataRole.UserRole, run.id)
        self._keys: dict[int, Any] = {
            0: started(run.run).toMSecsSinceEpoch(),
            2: int(words[2]),
            6: run.seconds or 0.0,
        }
        for column in (2, 6):
            self.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        for column, text in enumerate(words):
            self.setToolTip(column, text)

    def __lt__(self, other: QTreeWidgetItem) -> bool:
        column = self.treeWidget().sortColumn() if self.treeWidget() is not None else 0
        if isinstance(other, _Row) and column in self._keys:
            return bool(self._keys[column] < other._keys[column])
        return bool(self.text(column) < other.text(column))


def _group(run: ProjectRun) -> Any:
    """Return the group of a run in the Layers panel; None where its layers stand in none of their own."""
    root = QgsProject.instance().layerTreeRoot()
    parents = [node.parent() for node in map(root.findLayer, run.layers.values()) if node is not None]
    return parents[0] if parents and parents[0] is not root else None
