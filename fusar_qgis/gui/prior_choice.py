"""The request dialog's fields of the prior: source, where it comes from, file, year, and whether to go on without."""

from __future__ import annotations

import os
from pathlib import PurePath

from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import QObject, Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QCheckBox, QComboBox, QSpinBox, QWidget

from ..connection.network_consent import is_open, may_fetch
from ..contract import AUTO_PRIOR, FETCHED_PRIORS, NO_PRIOR, PRIOR_SOURCES, Info, Model, PriorStatus
from ..contract.limits import PRIOR_YEARS
from ..core.acquisition import Acquisition
from ..core.endpoint import Endpoint
from .choices import Rows, choose, remember, remembered, show_whole
from .prior_consent import ConsentQuestion
from .text_block import TextBlock

_FILE = "file"


def remembered_source() -> str:
    """Return the source that was chosen last: what is at hand or can be had, until somebody chooses."""
    before = remembered("prior")  # kept when none was the default, and then no choice
    return remembered("prior_source") or (before if before in (*PRIOR_SOURCES[1:], _FILE) else AUTO_PRIOR)


class PriorChoice(QObject):
    """Adds its fields to the rows of a form; ``changed`` by the analyst or by what the backend offers.

    Before a prior is fetched from the network it asks, once: ``network`` is the answer.
    """

    changed = pyqtSignal()

    def __init__(self, rows: Rows, parent: QWidget) -> None:
        super().__init__(parent)
        self._rows = rows
        self._acquired: Acquisition | None = None
        self._known: tuple[str, PriorStatus] = (
            "",
            PriorStatus(),
        )  # what was asked of the backend, and its answer
        self._answer: bool | None = None  # to the question about the network, for this area
        self._is_chosen = False  # by the analyst, for this area
        self._names = {
            NO_PRIOR: self.tr("None: from the image alone"),
            AUTO_PRIOR: self.tr("Automatic: at hand, else fetched"),
            "cog": self.tr("AlphaEarth, public files"),
            "earth-engine": self.tr("AlphaEarth, Google Earth Engine"),
            _FILE: self.tr("A file…"),
        }
        self.source = QComboBox(parent)
        self.told = TextBlock(parent)
        self.told.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.question = ConsentQuestion(parent)
        self.file = QgsFileWidget(parent)
        self.file.setFilter(
            self.tr("Prior: 64-band raster or AlphaEarth points") + " (*.tif *.tiff *.vrt *.npz *.npy)"
        )
        self.file.setDialogTitle(self.tr("Choose a prior"))
        self.file.lineEdit().setPlaceholderText(self.tr("Choose a file"))
        self.year = QSpinBox(parent)
        self.year.setSpecialValueText(self.tr("Not given"))
        self.go_on = QCheckBox(self.tr("Go &on without a prior where none can be had"), parent)
        rows.add(self.tr("&Prior"), self.source)
        rows.add("", self.told)
        rows.add("", self.question)
        rows.add(self.tr("Prior f&ile"), self.file)
        rows.add(self.tr("&Year of the prior"), self.year)
        rows.add("", self.go_on)
        self.offer(Info("", "", (), prior_sources=(NO_PRIOR,)), local=True)
        self.go_on.setChecked(remembered("allow_no_prior") == "yes")
        self.file.setFilePath(remembered("prior_file"))
        self.source.currentIndexChanged.connect(self._on_source)
        self.source.activated.connect(self._on_chosen)
        self.question.answered.connect(self._on_answered)
        for signal in (self.file.fileChanged, self.year.valueChanged, self.go_on.toggled):
            signal.connect(self.changed)

    @property
    def prior(self) -> str | None:
        """What ``inputs.prior`` is to be; None while a file is to be chosen."""
        source = self.source.currentData()
        return (self.file.filePath() or None) if source == _FILE else str(source)

    @property
    def is_file(self) -> bool:
        """Whether the prior is a file that the analyst has chosen."""
        return bool(self.source.currentData() == _FILE)

    @property
    def problem(self) -> str:
        """Why the prior that is chosen cannot be used, and what to do; empty where it can, as far as is known."""
        if not self.is_file:
            return ""
        file = self.file.filePath()
        if not file:
            return str(self.tr("Choose the file of the prior, or another prior."))
        if os.access(file, os.R_OK):
            return ""
        words = self.tr("The prior file “{file}” is not there, or cannot be read. Choose another one.")
        return str(words.format(file=file))

    @property
    def network(self) -> bool:
        """Whether the prior may be fetched."""
        return may_fetch() if self._answer is None else self._answer

    @property
    def is_settled(self) -> bool:
        """Whether ``network`` is the last word: somebody has answered, or nobody need be asked."""
        status = self._status
        nothing_to_fetch = status is not None and (bool(status.at_hand) or not status.hosts)
        return self._answer is not None or nothing_to_fetch or not is_open(str(self.source.currentData()))

    @property
    def chosen_year(self) -> int | None:
        """The year; None without a prior, and where the analyst leaves it open."""
        open_year = self.source.currentData() == NO_PRIOR or self.year.value() == self.year.minimum()
        return None if open_year else self.year.value()

    @property
    def allow_none(self) -> bool:
        """Whether to go on where no prior can be had; what is automatic does so in any case."""
        return self._may_fail and self.go_on.isChecked()

    @property
    def _status(self) -> PriorStatus | None:
        """What is known of the prior that is chosen; of what is automatic where none is fetched."""
        asked, status = self._known
        return status if asked == self._asked() else None

    @property
    def _may_fail(self) -> bool:
        return self.source.currentData() in FETCHED_PRIORS and self.source.currentData() != AUTO_PRIOR

    def offer(self, info: Info, *, local: bool) -> None:
        """Fill in what the backend offers; a server elsewhere cannot open a file of this computer."""
        chosen = self.source.currentData() if self.source.count() > 1 else remembered_source()
        self.source.blockSignals(True)
        self.source.clear()
        for source in info.prior_sources:
            # A source that is not in the contract may want what this plugin does not ask for.
            if source in PRIOR_SOURCES or (source == _FILE and local):
                self.source.addItem(self._names.get(source, source), source)
        choose(self.source, chosen)
        self.source.blockSignals(False)
        show_whole(self.source)
        self._refresh()

    def suit(self, model: Model | None, acquired: Acquisition | None, *, anew: bool) -> None:
        """Offer the years of a model, and with a scene ``anew`` propose the one that it was taken in."""
        first, last = (model.prior_years if model else None) or PRIOR_YEARS
        before = self.chosen_year
        self._acquired = acquired
        if anew:
            self._known, self._answer = ("", PriorStatus()), None
            self._is_chosen = False
        self.year.setRange(first - 1, last)
        if anew or before is None:
            wanted = acquired.day.year if acquired else first - 1
            self.year.setValue(min(max(wanted, first), last) if acquired else first - 1)
        self.year.setToolTip(self._origin())
        self._refresh()

    def show_status(self, status: PriorStatus, endpoint: Endpoint) -> None:
        """Say where the prior would come from, and ask where that is the network.

        A file that was chosen for another scene gives way to the one that this scene brings.
        """
        self._known = (self._asked(), status)
        self.question.put(status.hosts, endpoint)
        if status.file and self.source.currentData() == _FILE and not self._is_chosen:
            choose(self.source, AUTO_PRIOR)
        self._refresh()

    def remember(self) -> None:
        """Keep the choices for the next request."""
        remember("prior_source", str(self.source.currentData()))
        remember("prior_file", self.file.filePath())
        remember("allow_no_prior", "yes" if self.go_on.isChecked() else "")

    def _origin(self) -> str:
        """Where the proposed year comes from."""
        if self._acquired is None:
            return str(self.tr("The scene does not say when it was taken."))
        text = self.tr("The scene was taken on {day}.")
        if not self._acquired.certain:
            text = self.tr("The scene's file is of {day}; that may be the day of its processing.")
        return str(text.format(day=self._acquired.day.isoformat()))

    def _asked(self) -> str:
        source = str(self.source.currentData())
        return source if source in FETCHED_PRIORS else AUTO_PRIOR

    def _on_source(self) -> None:
        self._answer = self._answer or None  # never is asked again about a source that is named
        self._refresh()

    def _on_chosen(self) -> None:
        self._is_chosen = True

    def _on_answered(self, allowed: bool) -> None:
        self._answer = allowed
        self._refresh()

    def _words(self, status: PriorStatus) -> str:
        """Say where the prior of the request comes from; nothing while that is asked."""
        source = self.source.currentData()
        file = PurePath(status.file or "").name
        if source == NO_PRIOR:
            words = self.tr("There is a prior of this scene, which is not used: {file}") if file else ""
        elif status.at_hand == _FILE:
            words = self.tr("Prior beside the scene: {file}")
        elif status.at_hand:
            words = self.tr("At hand: {source}. Nothing is fetched.")
        elif not status.hosts:
            words = self.tr("No prior can be had for this place.")
        elif self.is_settled and self.network:
            words = self.tr("Fetched from {hosts}.")
        elif self.is_settled:
            words = self.tr("Not fetched from the network: so you have answered. The options change that.")
        else:
            words = self.tr("The prior beside the scene covers a part: {file}") if file else ""
        place = {"file": file, "source": self._names.get(status.at_hand or "", status.at_hand)}
        said = [] if source == NO_PRIOR else [line for line in status.said if not self._is_idle(line)]
        return " ".join([words.format(hosts=", ".join(status.hosts), **place), *said]).strip()

    def _is_idle(self, line: str) -> bool:
        """Whether a line only says which source is left out, while there is another one to ask."""
        return self._status is not None and bool(self._status.hosts) and line.startswith("Without ")

    def _refresh(self) -> None:
        source = self.source.currentData()
        words = self._words(self._status) if self._status is not None and source != _FILE else ""
        self.told.setPlainText(words)
        if self._status is not None:
            self.source.setToolTip("\n".join(filter(None, (self._status.file, *self._status.said))))
        self._rows.show(self.told, bool(words))
        self._rows.show(self.question, self._status is not None and not self.is_settled)
        self._rows.show(self.file, source == _FILE)
        self._rows.show(self.year, source != NO_PRIOR)
        self._rows.show(self.go_on, self._may_fail)
        self.changed.emit()
