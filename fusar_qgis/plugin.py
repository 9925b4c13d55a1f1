"""Registers everything with QGIS and unregisters it again; owns nothing else."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from qgis.core import QgsApplication, QgsSettings
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QCoreApplication, QLocale, Qt, QTranslator
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QAction

from . import api
from .connection.backend import Backend
from .connection.child import ChildBackend
from .gui.chat.dock import ChatDock
from .gui.chat.finding_conversations import FindingConversations
from .gui.cluster_numbers import ClusterNumbers
from .gui.findings.dock import FindingsDock
from .gui.interpretation import Interpretation
from .gui.look_closer import LookCloser
from .gui.model_grey import ModelGreyAction
from .gui.options import Options
from .gui.results_relocator import ResultsRelocator
from .gui.review import Review
from .gui.search.action import Search
from .gui.status import Status
from .gui.welcome import Welcome
from .layers.filter_counts import FilterCounts
from .processing.provider import FusarProvider
from .translation import translate

_HERE = Path(__file__).parent
_NAME = "FUSAR-GPT"


class FusarPlugin:
    """The plugin as QGIS loads and unloads it."""

    def __init__(self, iface: QgisInterface) -> None:
        self._iface = iface
        self._undo = ExitStack()

    def initGui(self) -> None:  # noqa: N802 - QGIS calls it by this name
        """Add the toolbar and the menu entry; nothing starts, nothing goes to the network."""
        self.initProcessing()
        action = self._add_action()
        backend = self._backend
        options = Options(self._iface, backend)
        self._undo.callback(options.remove)
        status = Status(self._iface, backend, options)
        self._undo.callback(status.remove)
        interpretation = Interpretation(self._iface, backend, action, options.offers)
        interpretation.options_wanted.connect(options.open)
        self._undo.callback(interpretation.remove)
        closer = LookCloser(self._iface, interpretation.runs.look_closer, backend)
        self._undo.callback(closer.remove)
        self._undo.callback(FilterCounts(self._iface.mainWindow()).remove)
        numbers = ClusterNumbers(self._iface.mapCanvas(), self._iface.mainWindow())
        self._undo.callback(numbers.remove)
        review = Review(self._iface, self._toolbar, backend, closer.look)
        self._undo.callback(review.remove)
        findings = FindingsDock(self._iface, self._toolbar, interpretation.runs.again, backend)
        self._undo.callback(findings.remove)
        interpretation.runs.ended.connect(findings.note_end)
        report = self._add_entry("FusarReport", translate("FusarPlugin", "Write the report of a run…"))
        report.triggered.connect(findings.report)
        moving = ResultsRelocator(self._iface, backend)
        self._undo.callback(moving.remove)
        chat = ChatDock(self._iface, backend, self._toolbar)
        self._undo.callback(chat.remove)
        talks = FindingConversations(self._iface, chat, backend)
        self._undo.callback(talks.remove)
        findings.menu_wanted.connect(talks.fill)
        self._search = search = Search(self._iface, self._toolbar, backend, findings, interpretation)
        self._undo.callback(search.remove)
        sample = self._add_entry("FusarOpenSample", translate("FusarPlugin", "Open the sample scene"))
        again = self._add_entry("FusarShowWelcome", translate("FusarPlugin", "Show the welcome"))
        welcome = Welcome(self._iface, backend, options, action, sample, findings.action)
        self._undo.callback(welcome.remove)
        again.triggered.connect(welcome.show_again)
        grey = self._add_entry(
            "FusarModelGrey", translate("FusarPlugin", "Show as the model sees, or as before")
        )
        self._undo.callback(ModelGreyAction(self._iface, grey).remove)
        settings = self._add_entry("FusarOpenOptions", translate("FusarPlugin", "Open options…"))
        settings.triggered.connect(options.open)
        diagnosis = self._add_entry("FusarCopyDiagnostics", translate("FusarPlugin", "Copy diagnostics"))
        diagnosis.triggered.connect(options.copy_diagnostics)

    def initProcessing(self) -> None:  # noqa: N802 - QGIS calls it by this name
        """Add the Processing provider; qgis_process, which has no GUI, calls this alone."""
        self._translate()
        self._child = ChildBackend()  # one for the toolbar and the algorithms: the model is loaded once
        self._undo.callback(self._child.deleteLater)
        registry = QgsApplication.processingRegistry()
        provider = FusarProvider(self._child)
        registry.addProvider(provider)
        self._undo.callback(registry.removeProvider, provider)
        self._backend = Backend(self._child)
        self._undo.callback(self._backend.deleteLater)
        self._undo.callback(self._backend.close)
        api.attach(self._backend, self._child)
        self._undo.callback(api.detach)

    def unload(self) -> None:
        """Undo all of it, last first: no action, signal, tool or process is left."""
        self._undo.close()

    def _translate(self) -> None:
        translator = QTranslator()
        if _speaks_chinese() and translator.load(str(_HERE / "i18n" / "fusar_zh_CN.qm")):
            QCoreApplication.installTranslator(translator)
            self._undo.callback(QCoreApplication.removeTranslator, translator)

    def _add_action(self) -> QAction:
        window = self._iface.mainWindow()
        action = QAction(
            QIcon(str(_HERE / "resources" / "icon.svg")), translate("FusarPlugin", "Interpret SAR"), window
        )
        action.setObjectName("FusarInterpretSar")
        action.setCheckable(True)
        action.setToolTip(
            translate("FusarPlugin", "<b>Interpret SAR</b><br>Draw a rectangle on the active SAR layer")
        )
        self._undo.callback(action.deleteLater)
        toolbar = self._iface.addToolBar(_NAME)
        toolbar.setObjectName("FusarToolBar")
        self._toolbar = toolbar
        toolbar.addAction(action)
        # The one that starts everything says so in words, whatever style the other icons have.
        toolbar.widgetForAction(action).setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._undo.callback(toolbar.deleteLater)
        self._undo.callback(window.removeToolBar, toolbar)
        self._add_to_menu(action)
        return action

    def _add_entry(self, name: str, text: str) -> QAction:
        entry = QAction(text, self._iface.mainWindow())
        entry.setObjectName(name)
        self._undo.callback(entry.deleteLater)
        self._add_to_menu(entry)
        return entry

    def _add_to_menu(self, action: QAction) -> None:
        self._iface.addPluginToRasterMenu(_NAME, action)
        self._undo.callback(self._iface.removePluginRasterMenu, _NAME, action)


def _speaks_chinese() -> bool:
    """Whether QGIS speaks simplified Chinese: it says zh, zh-Hans or zh_CN."""
    language = QgsSettings().value("locale/userLocale", "", type=str) or QLocale().name()
    return language.replace("-", "_") in ("zh", "zh_CN", "zh_Hans", "zh_Hans_CN", "zh_SG")
