"""The request dialog's fields of the prior: source, file, year, and whether to go on without."""

from __future__ import annotations

from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtWidgets import QCheckBox, QComboBox, QSpinBox, QWidget

from ..contract import FETCHED_PRIORS, PRIOR_SOURCES, Info, Model
from ..contract.limits import PRIOR_YEARS
from ..core.acquisition import Acquisition
from .choices import Rows, choose, remember, remembered


class PriorChoice(QObject):
    """Adds its fields to the rows of a form; ``changed`` by the analyst or by what the backend offers."""

    changed = pyqtSignal()

    def __init__(self, rows: Rows, parent: QWidget) -> None:
        super().__init__(parent)
        self._rows = rows
        self._acquired: Acquisition | None = None
        self.source = QComboBox(parent)
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
        rows.add(self.tr("Prior f&ile"), self.file)
        rows.add(self.tr("&Year of the prior"), self.year)
        rows.add("", self.go_on)
        self.offer(Info("", "", (), prior_sources=("none",)), local=True)
        self.go_on.setChecked(remembered("allow_no_prior") == "yes")
        self.file.setFilePath(remembered("prior_file"))
        self.source.currentIndexChanged.connect(self._refresh)
        for signal in (self.file.fileChanged, self.year.valueChanged, self.go_on.toggled):
            signal.connect(self.changed)

    @property
    def prior(self) -> str | None:
        """What ``inputs.prior`` is to be; None while a file is to be chosen."""
        source = self.source.currentData()
        return (self.file.filePath() or None) if source == "file" else str(source)

    @property
    def chosen_year(self) -> int | None:
        """The year; None without a prior, and where the analyst leaves it open."""
        open_year = self.source.currentData() == "none" or self.year.value() == self.year.minimum()
        return None if open_year else self.year.value()

    @property
    def allow_none(self) -> bool:
        """Whether to go on where no prior can be had."""
        return self.source.currentData() in FETCHED_PRIORS and self.go_on.isChecked()

    def offer(self, info: Info, *, local: bool) -> None:
        """Fill in what the backend offers; a server elsewhere cannot open a file of this computer."""
        chosen = self.source.currentData() if self.source.count() > 1 else remembered("prior")
        names = {
            "none": self.tr("None: from the image alone"),
            "auto": self.tr("AlphaEarth, from wherever it can be had"),
            "cog": self.tr("AlphaEarth, public files"),
            "earth-engine": self.tr("AlphaEarth, Google Earth Engine"),
            "file": self.tr("A file…"),
        }
        self.source.blockSignals(True)
        self.source.clear()
        for source in info.prior_sources:
            # A source that is not in the contract may want what this plugin does not ask for.
            if source in PRIOR_SOURCES or (source == "file" and local):
                self.source.addItem(names.get(source, source), source)
        choose(self.source, chosen)
        self.source.blockSignals(False)
        self._refresh()

    def suit(self, model: Model | None, acquired: Acquisition | None, *, anew: bool) -> None:
        """Offer the years of a model, and with a scene ``anew`` propose the one that it was taken in."""
        first, last = (model.prior_years if model else None) or PRIOR_YEARS
        before = self.chosen_year
        self._acquired = acquired
        self.year.setRange(first - 1, last)
        if anew or before is None:
            wanted = acquired.day.year if acquired else first - 1
            self.year.setValue(min(max(wanted, first), last) if acquired else first - 1)
        self.year.setToolTip(self._origin())
        self._refresh()

    def remember(self) -> None:
        """Keep the choices for the next request."""
        remember("prior", str(self.source.currentData()))
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

    def _refresh(self) -> None:
        source = self.source.currentData()
        self._rows.show(self.file, source == "file")
        self._rows.show(self.year, source != "none")
        self._rows.show(self.go_on, source in FETCHED_PRIORS)
        self.changed.emit()
