"""Options: the place of results, the reviewer's name, the default prior."""

from __future__ import annotations

from qgis.core import QgsApplication, QgsSettings
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtWidgets import QComboBox, QFormLayout, QLabel, QLineEdit, QWidget

from ..core.setting_names import PLACE, REVIEWER

_PRIOR = "fusar/order/prior"
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
        self._prior.addItem(self.tr("None: from the image alone"), "none")
        self._prior.addItem(self.tr("Automatic: the first source that has the place"), "auto")
        self._prior.addItem(self.tr("AlphaEarth public files"), "cog")
        self._prior.addItem(self.tr("AlphaEarth by Earth Engine"), "earth-engine")
        self._prior.addItem(self.tr("A file"), _FILE)
        self._file = QgsFileWidget(self)
        self._file.setDialogTitle(self.tr("Choose a prior"))
        self._file.setFilter(
            self.tr("Prior: 64-band raster or AlphaEarth points") + " (*.tif *.tiff *.vrt *.npz *.npy)"
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
        prior = self._prior.currentData()
        settings.setValue(_PRIOR, (self._file.filePath().strip() or "none") if prior == _FILE else prior)

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.tr("Keep &results in"), self._place)
        form.addRow(self.tr("Re&viewer's name"), self._who)
        form.addRow(self.tr("&Prior"), self._prior)
        form.addRow("", self._file)
        note = QLabel(
            self.tr(
                "The reviewer's name is written beside each decision. A prior is what satellites saw of the same "
                "ground in a year (AlphaEarth); public files and Earth Engine are fetched over the network."
            ),
            self,
        )
        note.setWordWrap(True)
        form.addRow(note)

    def _read(self) -> None:
        settings = QgsSettings()
        self._place.setCurrentIndex(max(0, self._place.findData(settings.value(PLACE, "project", type=str))))
        self._who.setText(settings.value(REVIEWER, "", type=str))
        prior = settings.value(_PRIOR, "none", type=str)
        place = self._prior.findData(prior)
        if place < 0:
            self._file.setFilePath(prior)
            place = self._prior.findData(_FILE)
        self._prior.setCurrentIndex(place)

    def _show_file(self) -> None:
        self._file.setVisible(self._prior.currentData() == _FILE)
