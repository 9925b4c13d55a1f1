"""The list of the project's runs: what was asked when, with what, and what came out; open, repeat, compare, remove."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qgis.core import QgsApplication, QgsProject, QgsSettings
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QPoint, QSize, Qt
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QAction,
    QComboBox,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QLineEdit,
    QMenu,
    QMessageBox,
    QToolBar,
    QToolButton,
    QTreeWidget,
    QVBoxLayout,
    QWidget,
)

from ...core.setting_names import OTHER_RUNS
from ...layers.project_runs import ProjectRun, ProjectRuns, remove_run, rename_run
from ...layers.run_focus import DIM, HIDE, LEAVE, RunFocus, runs_under_way
from ...translation import translate_count
from ..areas import show_on_map
from ..exporting import Exporting
from ..keys import Keys
from .repetition import Repetition
from .run_comparison import RunComparison, counterparts
from .run_rows import DURATION, RUN, RunRow, found_in_words

_AROUND = 1.2  # the map shows this many times a run's ground
_WIDTHS = (170, 118, 150, 130)  # pixels: the first two fit a narrow dock
_ICON = 16


class RunList(QWidget):
    """A table of runs, the newest first; the one that is selected is in front of the others on the map.

    Args:
        runs: Tells of the project's runs; it is not owned, as the others.
        focus: Keeps the selected run in front.
        repetition: Runs a request once more.
        comparison: Compares two runs.
        exporting: Writes the report of a run.
    """

    def __init__(
        self,
        iface: QgisInterface,
        runs: ProjectRuns,
        focus: RunFocus,
        repetition: Repetition,
        comparison: RunComparison,
        exporting: Exporting,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._iface, self._runs, self._focus = iface, runs, focus
        self._repetition, self._comparison, self._exporting = repetition, comparison, exporting
        self._known: dict[str, ProjectRun] = {}
        self.table = self._make_table()
        self._compare_menu = QMenu(self.tr("Compare with"), self)
        self._compare_menu.aboutToShow.connect(self._list_counterparts)
        self.actions_of_run = self._make_actions()
        self._keys = Keys(
            {
                self.actions_of_run["zoom"]: ("Return", "Enter"),
                self.actions_of_run["rename"]: ("F2",),
                self.actions_of_run["remove"]: ("Del",),
            },
            self,
        )
        self._keys.listen_to([self.table])
        self.others = QComboBox(self)
        self.others.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.others.setMinimumContentsLength(10)
        for text, way in (
            (self.tr("dim over the same ground"), DIM),
            (self.tr("hide"), HIDE),
            (self.tr("leave as they are"), LEAVE),
        ):
            self.others.addItem(text, way)
        self.others.setToolTip(
            self.tr(
                "What happens on the map to the runs that are not selected; it is never saved as their style"
            )
        )
        self.others.activated.connect(self._treat_others)
        self.note = QLabel(self)
        self.note.setWordWrap(True)
        choice = QHBoxLayout()
        label = QLabel(self.tr("&Other runs:"), self)
        label.setBuddy(self.others)
        choice.addWidget(label)
        choice.addWidget(self.others, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._make_bar())
        layout.addWidget(self.table)
        layout.addLayout(choice)
        layout.addWidget(self.note)
        runs.changed.connect(self.refresh)
        focus.changed.connect(self._show_focus)
        self.refresh()

    def remove(self) -> None:
        """Give the keys back."""
        self._keys.remove()

    def refresh(self) -> None:
        """Read the runs anew; the chosen one stays chosen."""
        self._known = {run.id: run for run in self._runs.all()}
        under_way = runs_under_way(QgsProject.instance())
        self.table.blockSignals(True)  # what goes and comes again was not chosen by the analyst
        self.table.clear()
        for run in self._known.values():
            self.table.addTopLevelItem(RunRow(run, under_way=run.id in under_way))
        self.table.blockSignals(False)
        self._show_focus()

    def chosen(self) -> ProjectRun | None:
        """Return the run that is selected."""
        items = self.table.selectedItems()
        return self._known.get(items[0].data(RUN, Qt.ItemDataRole.UserRole)) if items else None

    def open(self, *_: object) -> None:
        """Zoom to the ground of the chosen run and make its first layer the active one."""
        run = self.chosen()
        if run is not None:
            outline, crs = run.ground()
            show_on_map(self._iface.mapCanvas(), [outline], crs, _AROUND)
            for layer in list(run.layers.values())[:1]:
                self._iface.setActiveLayer(layer)

    def repeat(self) -> None:
        """Run the chosen one's request once more."""
        run = self.chosen()
        if run is not None and run.request is not None:
            self._repetition.repeat(run, self)

    def report(self) -> None:
        """Write a report of the chosen run."""
        run = self.chosen()
        if run is not None:
            self._exporting.ask_report(run)

    def rename(self) -> None:
        """Ask for another name of the chosen run."""
        run = self.chosen()
        if run is None:
            return
        title, question = self.tr("Rename run"), self.tr("Name of the run:")
        name, sure = QInputDialog.getText(self, title, question, QLineEdit.EchoMode.Normal, run.name)
        if sure and name.strip():
            rename_run(QgsProject.instance(), run, name.strip())
            self._runs.tell_soon()
            self.refresh()

    def discard(self) -> None:
        """Take the chosen run out of the project, after a question."""
        run = self.chosen()
        if run is not None and self._is_sure(run):
            remove_run(QgsProject.instance(), run)
            self._runs.tell_soon()

    def _is_sure(self, run: ProjectRun) -> bool:
        if not run.layers:
            text = self.tr("It found nothing. The list forgets that it was looked for.")
        elif all(layer.providerType() == "ogr" for layer in run.layers.values()):
            text = self.tr("Its layers leave the project. Their GeoPackage keeps the findings.")
        else:
            text = self.tr("Its findings are only in memory and are lost with its layers.")
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self,
            self.tr("Remove the run?"),
            f"{run.name}: {found_in_words(run)}\n\n{text}",
            buttons.Yes | buttons.No,
            buttons.No,
        )
        return bool(answer == buttons.Yes)

    def _make_table(self) -> QTreeWidget:
        table = QTreeWidget(self)
        table.setRootIsDecorated(False)
        table.setUniformRowHeights(True)
        table.setAlternatingRowColors(True)
        table.setSortingEnabled(True)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        titles = (self.tr("Run"), self.tr("Result"), self.tr("Model and prior"), self.tr("Scene"))
        table.setHeaderLabels([*titles, self.tr("Duration")])
        for column, width in enumerate(_WIDTHS):
            table.setColumnWidth(column, width)
        table.headerItem().setTextAlignment(
            DURATION, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        )
        table.sortByColumn(RUN, Qt.SortOrder.DescendingOrder)
        table.itemDoubleClicked.connect(self.open)
        table.itemSelectionChanged.connect(self._choose)
        table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        table.customContextMenuRequested.connect(self._open_menu)
        return table

    def _make_actions(self) -> dict[str, QAction]:
        """Return what can be done with a run, for the bar, the context menu and the keys."""
        made: dict[str, QAction] = {}
        for name, icon, text, tip, do in (
            ("zoom", "mActionZoomToLayer", self.tr("Zoom to it"),
             self.tr("Show the ground of the run on the map (Enter)"), self.open),
            ("again", "mActionRefresh", self.tr("Run again…"),
             self.tr("Ask the same again; you choose whether the new run replaces this one"), self.repeat),
            ("report", "mActionSaveAsPDF", self.tr("PDF report…"),
             self.tr("Write a report of the run: overview, counts, provenance and its findings"), self.report),
            ("rename", "mActionToggleEditing", self.tr("Rename…"),
             self.tr("Give the run, and its group in the Layers panel, a name (F2)"), self.rename),
            ("remove", "mActionDeleteSelected", self.tr("Remove…"),
             self.tr("Take the run out of the project; a file keeps its findings (Del)"), self.discard),
        ):  # fmt: skip
            action = QAction(QgsApplication.getThemeIcon(f"/{icon}.svg"), text, self)
            action.setToolTip(tip)
            action.triggered.connect(partial(_call, do))
            made[name] = action
        compare = self._compare_menu.menuAction()
        compare.setIcon(QgsApplication.getThemeIcon("/algorithms/mAlgorithmSymmetricalDifference.svg"))
        made["compare"] = compare
        return made

    def _make_bar(self) -> QToolBar:
        bar = QToolBar(self)
        bar.setIconSize(QSize(_ICON, _ICON))
        for name in _ORDER:
            bar.addAction(self.actions_of_run[name])
        button = bar.widgetForAction(self.actions_of_run["compare"])
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        return bar

    def _open_menu(self, place: QPoint) -> None:
        if self.table.itemAt(place) is None:
            return
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for name in _ORDER:
            menu.addAction(self.actions_of_run[name])
        menu.popup(self.table.viewport().mapToGlobal(place))

    def _list_counterparts(self) -> None:
        """List the runs that the chosen one can be compared with."""
        self._compare_menu.clear()
        run = self.chosen()
        if run is None:
            return
        for other in counterparts(run, list(self._known.values())):
            text = f"{other.name}: {found_in_words(other)}"
            action = self._compare_menu.addAction(text.replace("&", "&&"))
            action.triggered.connect(partial(_call, partial(self._comparison.compare, run, other)))

    def _choose(self) -> None:
        """Put the run that was just selected in front."""
        run = self.chosen()
        self._focus.choose("" if run is None else run.id)
        self._enable()

    def _treat_others(self, _: int) -> None:
        QgsSettings().setValue(OTHER_RUNS, self.others.currentData())
        self._focus.treat_others(self.others.currentData())

    def _show_focus(self) -> None:
        """Select the run that is in front, and say what happens to the others."""
        self.table.blockSignals(True)
        for row in range(self.table.topLevelItemCount()):
            item = self.table.topLevelItem(row)
            if item.data(RUN, Qt.ItemDataRole.UserRole) == self._focus.current:
                self.table.setCurrentItem(item)
                break
        else:
            self.table.setCurrentItem(None)
        self.table.blockSignals(False)
        self.others.setCurrentIndex(self.others.findData(self._focus.others))
        said = []
        if self._focus.dimmed:
            said.append(
                translate_count(
                    "RunList", "%n run(s) over the same ground dimmed on the map", self._focus.dimmed
                )
            )
        if self._focus.hidden:
            said.append(translate_count("RunList", "%n run(s) hidden on the map", self._focus.hidden))
        if not self._known:
            said.append(self.tr("No runs yet. Interpret an area first."))
        self.note.setText("\n".join(said))
        self.note.setVisible(bool(said))
        self._enable()

    def _enable(self) -> None:
        run = self.chosen()
        for action in self.actions_of_run.values():
            action.setEnabled(run is not None)
        self.actions_of_run["again"].setEnabled(run is not None and run.request is not None)
        others = [] if run is None else counterparts(run, list(self._known.values()))
        compare = self.actions_of_run["compare"]
        compare.setEnabled(bool(others))
        compare.setToolTip(
            self.tr("Compare with another run over the same ground: what is new, gone, moved and the same")
            if others or run is None
            else self.tr("There is no other run of detections over the same ground to compare with")
        )


_ORDER = ("zoom", "again", "compare", "report", "rename", "remove")


def _call(do: Callable[[], None], _: bool) -> None:
    do()
