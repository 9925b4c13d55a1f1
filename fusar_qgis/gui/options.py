"""The page of QGIS's options: the backend, the server, the models, and what holds for every interpretation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qgis.core import Qgis, QgsApplication, QgsSettings
from qgis.gui import QgisInterface, QgsOptionsPageWidget, QgsOptionsWidgetFactory
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QRadioButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from ..connection.backend import Backend, is_set_up
from ..connection.checkpoint_commands import CheckpointCommands
from ..connection.environment import Environment
from ..connection.token import TokenError
from ..core.setting_names import BACKEND, URL
from .diagnosing import Diagnostics
from .messages import PRODUCT, show_message
from .options_local import LocalSection
from .options_models import ModelsSection
from .options_server import ServerSection
from .options_work import WorkSection
from .scrolling_dialog import scrolling

PAGE = "FusarOptions"

_ICON = Path(__file__).parents[1] / "resources" / "icon.svg"
_CHILD, _SERVER = "child", "server"
_LOCAL_TAB, _SERVER_TAB = 0, 1


class Options(QObject):
    """Adds the page to QGIS's options, and lets installations go on when the page is closed."""

    sample_wanted = pyqtSignal()  # the sample scene is to be opened

    def __init__(self, iface: QgisInterface, backend: Backend) -> None:
        super().__init__(backend)
        self._iface = iface
        self._page: OptionsPage | None = None
        self._wanted = ""  # the part that the next page shows first
        self.backend = backend
        self.environment = Environment(self)
        self.checkpoints = CheckpointCommands(self)
        self._diagnostics = Diagnostics(backend)
        self.environment.ended.connect(self._announce_backend)
        self.environment.asked.connect(self._pass_question_on)
        self.checkpoints.ended.connect(self._announce)
        self._factory = OptionsFactory(self)
        iface.registerOptionsWidgetFactory(self._factory)

    def open(self) -> None:
        """Show the page."""
        self._iface.showOptionsDialog(self._iface.mainWindow(), PAGE)

    def open_local(self) -> None:
        """Show the backend of this computer."""
        self._open_at(_CHILD)

    def open_server(self) -> None:
        """Show the server to connect to."""
        self._open_at(_SERVER)

    def offers(self) -> dict[str, Callable[[], None]]:
        """Return buttons for a message about a backend that is missing or fails: what leads to one."""
        if is_set_up():
            return {self.tr("Set up…"): self.open}
        return {
            self.tr("Install…"): self.open_local,
            self.tr("Choose a server…"): self.open_server,
        }

    def remove(self) -> None:
        """Stop what is under way and take the page out of the options."""
        self._iface.unregisterOptionsWidgetFactory(self._factory)
        self._diagnostics.remove()
        self.environment.close()
        self.checkpoints.close()
        self.deleteLater()

    def make_page(self, parent: QWidget) -> OptionsPage:
        """Return a new page; QGIS makes one each time its options are opened."""
        self._page = OptionsPage(self, parent)
        if self._wanted:
            self._page.choose(there=self._wanted == _SERVER)
        return self._page

    def warn(self, text: str) -> None:
        """Say what the page can no longer say itself, because it is being closed."""
        self._show_message(text, Qgis.MessageLevel.Warning)

    def copy_diagnostics(self) -> None:
        """Copy versions, states and last errors to the clipboard, and say so."""
        QgsApplication.clipboard().setText(self._diagnostics.text())
        self._show_message(
            self.tr(
                "The diagnostics are on the clipboard. Known secrets are hidden; read them before you send them."
            ),
            Qgis.MessageLevel.Success,
        )

    @property
    def _is_closed(self) -> bool:
        return self._page is None or sip.isdeleted(self._page)

    def _open_at(self, part: str) -> None:
        self._wanted = part
        self.open()
        self._wanted = ""

    def _announce_backend(self, well: bool, text: str) -> None:
        offers: dict[str, Callable[[], None]] = {} if well else {self.tr("Set up…"): self.open}
        if well and self.environment.is_ready:
            offers = {self.tr("Open the sample scene"): self.sample_wanted.emit}
        self._announce(well, text, offers)

    def _announce(self, well: bool, text: str, offers: dict[str, Callable[[], None]] | None = None) -> None:
        if not well:
            self._diagnostics.remember(text)
        if self._is_closed:
            self._show_message(text, Qgis.MessageLevel.Success if well else Qgis.MessageLevel.Warning, offers)

    def _pass_question_on(self, question: str) -> None:
        """Ask in the message bar what the page asks while it is open."""
        if self._is_closed:
            answers = {
                self.tr("Install it anyway"): self.environment.proceed,
                self.tr("Cancel"): self.environment.cancel,
            }
            self._show_message(question, Qgis.MessageLevel.Warning, answers, lasting=True)

    def _show_message(
        self,
        text: str,
        level: Qgis.MessageLevel,
        offers: dict[str, Callable[[], None]] | None = None,
        *,
        lasting: bool = False,
    ) -> None:
        show_message(self._iface.messageBar(), PRODUCT, text, level, lasting=lasting, offers=offers)


class OptionsFactory(QgsOptionsWidgetFactory):
    """Makes the page for QGIS."""

    def __init__(self, options: Options) -> None:
        super().__init__("FUSAR-GPT", QIcon(str(_ICON)))
        self._options = options

    def createWidget(self, parent: QWidget) -> QgsOptionsPageWidget:  # noqa: N802
        """Return a new page."""
        return self._options.make_page(parent)


class OptionsPage(QgsOptionsPageWidget):
    """All settings of the plugin."""

    def __init__(self, options: Options, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setObjectName(PAGE)
        self._options = options
        self._here = QRadioButton(self.tr("on this &computer"), self)
        self._there = QRadioButton(self.tr("on a &server"), self)
        self.local = LocalSection(options.backend, options.environment, self)
        self.local.sample_wanted.connect(self._on_sample_wanted)
        self.server = ServerSection(self)
        self.models = ModelsSection(options.backend, options.checkpoints, self)
        self.work = WorkSection(self)
        self.tabs = QTabWidget(self)
        self.tabs.addTab(scrolling(self.local), self.tr("This computer"))
        self.tabs.addTab(scrolling(self.server), self.tr("Server"))
        self.tabs.addTab(scrolling(self.models), self.tr("Models"))
        self.tabs.addTab(scrolling(self.work), self.tr("Results and review"))
        row = QHBoxLayout()
        row.addWidget(QLabel(self.tr("The model runs"), self))
        row.addWidget(self._here)
        row.addWidget(self._there)
        row.addStretch()
        self.copy = QPushButton(self.tr("Copy diagnostics"), self)
        self.copy.setToolTip(
            self.tr("Copy versions, settings without secrets and the last errors as text for a report")
        )
        self.copy.clicked.connect(self._on_copy)
        row.addWidget(self.copy)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.tabs)
        settings = QgsSettings()
        before = _SERVER if settings.value(URL, "", type=str) else _CHILD
        self._before = settings.value(BACKEND, before, type=str)
        (self._there if self._before == _SERVER else self._here).setChecked(True)
        self.tabs.setCurrentIndex(_SERVER_TAB if self._before == _SERVER else _LOCAL_TAB)
        self._here.toggled.connect(self._show_choice)

    def apply(self) -> None:
        """Keep everything; a backend that is no longer the chosen one is let go."""
        chosen = _CHILD if self._here.isChecked() else _SERVER
        QgsSettings().setValue(BACKEND, chosen)
        changed = chosen != self._before
        local, models = self.local.apply(), self.models.apply()
        if chosen == _CHILD:
            changed = changed or local or models
        try:
            changed = (self.server.apply() and chosen == _SERVER) or changed
        except TokenError as error:
            changed = True
            self._options.warn(
                self.tr("The token is kept only until QGIS is closed. {reason}").format(reason=error)
            )
        self.work.apply()
        self._before = chosen
        if changed:
            self._options.backend.reset()

    def choose(self, *, there: bool) -> None:
        """Show the part of a server, or of this computer, as what is to be used."""
        (self._there if there else self._here).setChecked(True)
        self._show_choice(not there)

    def _on_sample_wanted(self) -> None:
        """Close the options, as OK does: the scene is on the map behind them."""
        window = self.window()
        if isinstance(window, QDialog):
            window.accept()
        self._options.sample_wanted.emit()

    def _on_copy(self) -> None:
        self._options.copy_diagnostics()
        self.copy.setText(self.tr("Copied"))

    def _show_choice(self, here: bool) -> None:
        self.tabs.setCurrentIndex(_LOCAL_TAB if here else _SERVER_TAB)
