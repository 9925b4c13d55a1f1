"""Options: the place of results, the reviewer's name, the prior that is proposed and whether it may be fetched."""

from __future__ import annotations

from qgis.core import QgsApplication, QgsSettings
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtWidgets import QComboBox, QFormLayout, QLabel, QLineEdit, QSpinBox, QWidget

from ..connection.network_consent import ALWAYS, ASK, NEVER, keep_consent, kept_consent
from ..core.setting_names import PLACE, REVIEWER
from .choices import choose, remember, remembered
from .known_rates import keep_large_run, large_run
from .prior_choice import remembered_source

_FILE = "file"


class WorkSection(QWidget):
    """What holds for every interpretation."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._place = QComboBox(self)
        self._place.addItem(self.tr("A GeoPackage beside the project"), "project")
        self._place.addItem(self.tr("A temporary file, gone with QGIS"), "temporary")
        self._who = QLineEdit(self)
        self._who.setPlaceholderText(QgsApplication.userFullName() or QgsApplication.userLoginName())
        self._prior = QComboBox(self)
        self._prior.addItem(self.tr("Automatic: at hand, else fetched"), "auto")
        self._prior.addItem(self.tr("None: from the image alone"), "none")
        self._prior.addItem(self.tr("AlphaEarth public files"), "cog")
        self._prior.addItem(self.tr("AlphaEarth by Earth Engine"), "earth-engine")
        self._prior.addItem(self.tr("A file"), _FILE)
        self._file = QgsFileWidget(self)
        self._file.setDialogTitle(self.tr("Choose a prior"))
        self._file.setFilter(
            self.tr("Prior: 64-band raster or AlphaEarth points") + " (*.tif *.tiff *.vrt *.npz *.npy)"
        )
        self._network = QComboBox(self)
        self._network.addItem(self.tr("Ask before it is fetched"), ASK)
        self._network.addItem(self.tr("Fetch it without a question"), ALWAYS)
        self._network.addItem(self.tr("Never fetch it"), NEVER)
        self._large = QSpinBox(self)
        self._large.setRange(0, 1_000_000)
        self._large.setSingleStep(500)
        self._large.setSpecialValueText(self.tr("Never"))
        self._large.setSuffix(" " + self.tr("chips"))
        self._large.setToolTip(
            self.tr(
                "Larger runs say how many chips they have, and how long that takes, and wait for your word"
            )
        )
        self._lay_out()
        self._read()
        self._prior.currentIndexChanged.connect(self._show_file)
        self._show_file()

    def apply(self) -> None:
        """Keep what is chosen."""
        settings = QgsSettings()
        settings.setValue(PLACE, self._place.currentData())
        who = self._who.text().strip()
        if who:
            settings.setValue(REVIEWER, who)
        else:
            settings.remove(REVIEWER)
        remember("prior_source", str(self._prior.currentData()))
        if self._prior.currentData() == _FILE:
            remember("prior_file", self._file.filePath().strip())
        keep_consent(str(self._network.currentData()))
        keep_large_run(self._large.value())

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.tr("Keep &results in"), self._place)
        form.addRow(self.tr("Re&viewer's name"), self._who)
        form.addRow(self.tr("&Prior"), self._prior)
        form.addRow("", self._file)
        form.addRow(self.tr("From the &network"), self._network)
        form.addRow(self.tr("&Ask before more than"), self._large)
        note = QLabel(
            self.tr(
                "The reviewer's name is written beside each decision. A prior is what satellites saw of the same "
                "ground in a year (AlphaEarth). What is at hand, beside the scene or fetched before, goes first; "
                "else the backend fetches tiles from public files or Earth Engine: only the tile numbers leave it."
            ),
            self,
        )
        note.setWordWrap(True)
        form.addRow(note)

    def _read(self) -> None:
        settings = QgsSettings()
        self._place.setCurrentIndex(max(0, self._place.findData(settings.value(PLACE, "project", type=str))))
        self._who.setText(settings.value(REVIEWER, "", type=str))
        choose(self._prior, remembered_source())
        self._file.setFilePath(remembered("prior_file"))
        choose(self._network, kept_consent())
        self._large.setValue(large_run())

    def _show_file(self) -> None:
        self._file.setVisible(self._prior.currentData() == _FILE)
