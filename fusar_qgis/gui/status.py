"""The backend's state in QGIS's status bar."""

from __future__ import annotations

from html import escape

from qgis.core import Qgis, QgsApplication
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject, QSize, Qt
from qgis.PyQt.QtGui import QColor, QIcon, QPainter, QPixmap
from qgis.PyQt.QtWidgets import QToolButton

from ..connection.backend import IDLE, READY, STARTING, STOPPED, Backend, is_set_up
from .messages import PRODUCT, show_message
from .options import Options
from .options_models import model_title
from .run_progress import RunTask

_DOT = 10
# Told apart by their shape too: a ring, half a disc, a disc, a bar.
_COLOURS = {IDLE: "#8a8a8a", STARTING: "#e69f00", READY: "#009e73", STOPPED: "#d55e00"}


class Status(QObject):
    """A small button: a mark, a word; a click opens the options."""

    def __init__(self, iface: QgisInterface, backend: Backend, options: Options) -> None:
        super().__init__(backend)
        self._iface = iface
        self._backend = backend
        self._button = QToolButton(iface.mainWindow())
        self._button.setObjectName("FusarStatus")
        self._button.setAutoRaise(True)
        self._button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._button.setIconSize(QSize(_DOT, _DOT))
        self._button.clicked.connect(options.open)
        iface.statusBarIface().addPermanentWidget(self._button)
        backend.changed.connect(self._show)
        backend.restarted.connect(self._report_restart)
        self._ended = options.environment.ended
        self._ended.connect(self._show)
        self._show()

    def remove(self) -> None:
        """Take the button out of the status bar."""
        self._backend.changed.disconnect(self._show)
        self._ended.disconnect(self._show)
        self._iface.statusBarIface().removeWidget(self._button)
        self._button.deleteLater()
        self.deleteLater()

    def _show(self, *_: object) -> None:
        state, info = self._backend.state, self._backend.info
        device = info.device if info else ""
        if state == READY and device == "loading":
            state = STARTING
        words = {
            IDLE: self.tr("not started"),
            STARTING: self.tr("starting…"),
            READY: self.tr("ready ({device})").format(device=device),
            STOPPED: self.tr("stopped"),
        }
        word = words[state]
        if state in (IDLE, STOPPED) and not is_set_up():
            word = self.tr("not installed")
        self._button.setText(f"FUSAR-GPT: {word}")
        self._button.setIcon(_mark(state))
        hint = self.tr("Click for the FUSAR-GPT options.")
        about = self._backend.problem
        if info is not None:
            about = ", ".join(model_title(model.title, model.demonstration) for model in info.models)
        lines = [f"<b>FUSAR-GPT {word}</b>", escape(about, quote=False), hint]
        self._button.setToolTip("<br>".join(line for line in lines if line))

    def _report_restart(self) -> None:
        if any(isinstance(task, RunTask) for task in QgsApplication.taskManager().activeTasks()):
            return  # the run's progress says it
        text = self.tr("The backend stopped and is started again. What was under way goes on.")
        show_message(self._iface.messageBar(), PRODUCT, text, Qgis.MessageLevel.Warning)


def _mark(state: str) -> QIcon:
    pixmap = QPixmap(4 * _DOT, 4 * _DOT)
    pixmap.fill(Qt.GlobalColor.transparent)
    size = 4 * _DOT
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    colour = QColor(_COLOURS[state])
    pen = painter.pen()
    pen.setColor(colour)
    pen.setWidth(6)
    painter.setPen(pen)
    inside = (4, 4, size - 8, size - 8)
    if state == READY:
        painter.setBrush(colour)
    painter.drawEllipse(*inside)
    if state == STARTING:
        painter.setBrush(colour)
        painter.drawPie(*inside, 90 * 16, 180 * 16)
    elif state == STOPPED:
        painter.drawLine(12, size // 2, size - 12, size // 2)
    painter.end()
    return QIcon(pixmap)
