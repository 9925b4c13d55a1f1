"""Registers everything with QGIS and unregisters it again; owns nothing else."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from qgis.core import QgsSettings
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QCoreApplication, QLocale, QTranslator
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QAction

from .connection.backend import Backend
from .gui.interpretation import Interpretation

_HERE = Path(__file__).parent
_NAME = "FUSAR-GPT"

translate = QCoreApplication.translate


class FusarPlugin:
    """The plugin as QGIS loads and unloads it."""

    def __init__(self, iface: QgisInterface) -> None:
        self._iface = iface
        self._undo = ExitStack()

    def initGui(self) -> None:  # noqa: N802 - QGIS calls it by this name
        """Add the toolbar and the menu entry; nothing starts, nothing goes to the network."""
        self._translate()
        action = self._add_action()
        backend = Backend()
        self._undo.callback(backend.deleteLater)
        self._undo.callback(backend.close)
        interpretation = Interpretation(self._iface, backend, action)
        self._undo.callback(interpretation.remove)

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
        toolbar.addAction(action)
        self._undo.callback(toolbar.deleteLater)
        self._undo.callback(window.removeToolBar, toolbar)
        self._iface.addPluginToRasterMenu(_NAME, action)
        self._undo.callback(self._iface.removePluginRasterMenu, _NAME, action)
        return action


def _speaks_chinese() -> bool:
    """Whether QGIS speaks simplified Chinese: it says zh, zh-Hans or zh_CN."""
    language = QgsSettings().value("locale/userLocale", "", type=str) or QLocale().name()
    return language.replace("-", "_") in ("zh", "zh_CN", "zh_Hans", "zh_Hans_CN", "zh_SG")
