"""The menu of the model and the prior that questions are answered with."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from qgis.core import QgsSettings
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QAction, QActionGroup, QFileDialog, QMenu, QToolButton, QWidget

from ...contract import AUTO_PRIOR, NO_PRIOR, Info, Model
from ...contract.limits import PRIOR_YEARS
from ...core.chat import ModelOptions

_PRIOR, _YEAR, _MODEL = "fusar/chat/prior", "fusar/chat/year", "fusar/chat/model"


class ModelMenu(QToolButton):
    """Says which prior is used; its menu changes that, the prior's year and the model. ``changed`` when it did."""

    changed = pyqtSignal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("FusarChatMeans")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.setAutoRaise(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setToolTip(self.tr("The prior and the model that questions are answered with"))
        self._models: tuple[Model, ...] = ()
        self._fetches = True  # until the backend says otherwise
        self._dialog: QFileDialog | None = None
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._fill)
        self.setMenu(self._menu)
        self._refresh()

    def offer(self, info: Info) -> None:
        """Offer the models and priors of the backend."""
        self._models = info.models
        self._fetches = AUTO_PRIOR in info.prior_sources
        self._refresh()

    @property
    def model(self) -> Model | None:
        """The model that answers; None while the backend has not said which there are."""
        name = self.chosen().model
        named = [model for model in self._models if model.name == name]
        return next(iter((*named, *self._models)), None)

    def chosen(self) -> ModelOptions:
        """Return what is chosen."""
        settings = QgsSettings()
        prior = settings.value(_PRIOR, "", type=str) or AUTO_PRIOR
        if prior == AUTO_PRIOR and not self._fetches:
            prior = NO_PRIOR
        year = settings.value(_YEAR, 0, type=int)
        model = settings.value(_MODEL, "", type=str)
        return ModelOptions(model, prior, year if year and prior != NO_PRIOR else None)

    def _fill(self) -> None:
        for old in self._menu.findChildren(QMenu):
            old.deleteLater()
        self._menu.clear()
        options = self.chosen()
        self._menu.addSection(self.tr("Prior"))
        priors = {
            AUTO_PRIOR: self.tr("&Automatic: at hand, else fetched"),
            NO_PRIOR: self.tr("&No prior: from the image alone"),
        }
        priors.setdefault(options.prior, Path(options.prior).name)
        group = QActionGroup(self._menu)
        for prior, text in priors.items():
            action = self._choice(group, self._menu, text, _PRIOR, prior, options.prior)
            action.setEnabled(prior != AUTO_PRIOR or self._fetches)
        self._menu.addAction(self.tr("&File…")).triggered.connect(self._ask_file)
        self._menu.addSeparator()
        self._fill_years(options)
        self._fill_models(options)

    def _fill_years(self, options: ModelOptions) -> None:
        menu = self._menu.addMenu(self.tr("&Year of the prior"))
        menu.setEnabled(options.prior != NO_PRIOR)
        group = QActionGroup(menu)
        self._choice(group, menu, self.tr("Of the scene"), _YEAR, 0, options.year or 0)
        known = [model.prior_years for model in self._models if model.prior_years]
        first, last = known[0] if known else (PRIOR_YEARS[0], date.today().year)
        for year in range(last, first - 1, -1):
            self._choice(group, menu, str(year), _YEAR, year, options.year)

    def _fill_models(self, options: ModelOptions) -> None:
        if not self._models:
            return
        menu = self._menu.addMenu(self.tr("&Model"))
        group = QActionGroup(menu)
        for model in self._models:
            title = self.tr("{model} (demonstration)") if model.demonstration else "{model}"
            chosen = options.model or self._models[0].name
            self._choice(group, menu, title.format(model=model.title), _MODEL, model.name, chosen)

    def _choice(
        self, group: QActionGroup, menu: QMenu, text: str, key: str, value: object, chosen: object
    ) -> QAction:
        action = menu.addAction(text)
        action.setCheckable(True)
        action.setChecked(value == chosen)
        action.setData([key, value])
        action.setActionGroup(group)
        action.triggered.connect(self._on_choice)
        return action

    def _on_choice(self) -> None:
        key, value = self.sender().data()
        QgsSettings().setValue(key, value)
        self._refresh()
        self.changed.emit()

    def _ask_file(self) -> None:
        self._dialog = QFileDialog(self, self.tr("Choose a prior"))
        self._dialog.setNameFilter(
            self.tr("Prior: 64-band raster or AlphaEarth points") + " (*.tif *.tiff *.vrt *.npz *.npy)"
        )
        self._dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        self._dialog.fileSelected.connect(self._on_file)
        self._dialog.open()

    def _on_file(self, name: str) -> None:
        QgsSettings().setValue(_PRIOR, name)
        self._refresh()

    def _refresh(self) -> None:
        prior = self.chosen().prior
        names = {NO_PRIOR: self.tr("none"), AUTO_PRIOR: self.tr("automatic")}
        self.setText(self.tr("&Prior: {prior}").format(prior=names.get(prior, Path(prior).name)))
