"""Pictures of findings, made in the background for what is asked for, and kept."""

from __future__ import annotations

from dataclasses import dataclass

from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal
from qgis.PyQt.QtGui import QGuiApplication, QImage, QPixmap

from ...background import BackgroundTask
from ...contract import SceneBox
from ...layers.prior_file import PriorError, PriorFile, open_prior
from ...layers.project_runs import ProjectRun
from ...layers.sar_file import SarFile
from ...layers.scene import SceneError
from ...layers.thumbnails import sar_thumbnail, window_around

SIDE = 48
_AT_ONCE = 16
_KEPT = 3000
_SOON_MS = 40


@dataclass(frozen=True)
class Wanted:
    """A finding of a run: its feature, its box, and the source of the prior of its chip.

    ``alone`` shows the box without what lies around it: a place is all that a search has compared.
    """

    layer: str
    key: int
    box: SceneBox
    prior: str
    alone: bool = False


@dataclass
class Pictures:
    """The pictures of one finding; null where there can be none, and then a whole sentence says why."""

    sar: QPixmap
    prior: QPixmap
    sar_said: str = ""
    prior_said: str = ""


@dataclass
class _Made:
    """The same as it comes from the background: a pixmap is for the GUI thread alone."""

    sar: QImage
    prior: QImage
    sar_said: str = ""
    prior_said: str = ""


class PictureMaker(QObject):
    """Makes the pictures of findings; ``arrived`` comes when there are new ones."""

    arrived = pyqtSignal()

    def __init__(self, parent: QObject, side: int = SIDE) -> None:
        """``side`` is that of the squares that the pictures fit into, on the screen."""
        super().__init__(parent)
        self._side = side
        self._kept: dict[Wanted, Pictures] = {}
        self._wanted: dict[Wanted, ProjectRun] = {}
        # Or why there is none; only the one task that runs uses these two.
        self._scenes: dict[str, SarFile | str] = {}
        self._priors: dict[tuple[str, str], PriorFile | str] = {}
        self._task: BackgroundTask | None = None
        self._ratio = float(QGuiApplication.instance().devicePixelRatio())
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SOON_MS)
        self._timer.timeout.connect(self._start)

    def get(self, wanted: Wanted, run: ProjectRun) -> Pictures | None:
        """Return the pictures; None while they are being made."""
        known = self._kept.get(wanted)
        if known is None:
            self._wanted[wanted] = run
            self._timer.start()
        return known

    def known(self, wanted: Wanted) -> Pictures | None:
        """Return the pictures if they are there; asks for none."""
        return self._kept.get(wanted)

    def stop(self) -> None:
        """Make no more, and let go of the files."""
        self._timer.stop()
        self._scenes, self._priors = {}, {}
        if self._task is not None:
            self._task.over.disconnect(self._take)
            self._task = None

    def _start(self) -> None:
        """Make the last ones asked for; what has scrolled away is asked for again when it is back."""
        if self._task is not None or not self._wanted:
            return
        batch = dict(list(self._wanted.items())[-_AT_ONCE:])
        self._wanted.clear()
        self._task = BackgroundTask(self.tr("Pictures of findings"), lambda: self._make(batch), quiet=True)
        self._task.over.connect(self._take)
        self._task.start()

    def _make(self, batch: dict[Wanted, ProjectRun]) -> dict[Wanted, _Made]:
        made = {}
        side = round(self._side * self._ratio)
        for wanted, run in batch.items():
            one = made[wanted] = _Made(QImage(), QImage())
            try:
                scene = self._scene(run)
                one.sar = sar_thumbnail(scene, wanted.box, side, alone=wanted.alone)
                window = window_around(wanted.box, scene.width, scene.height)
                one.prior = self._prior(wanted.prior, run).picture(scene, window, side)
            except SceneError as error:
                one.sar_said = one.prior_said = str(error)
            except PriorError as error:
                one.prior_said = str(error)
        return made

    def _scene(self, run: ProjectRun) -> SarFile:
        """Return the scene of a run. Raises SceneError, each time the same."""
        if run.id not in self._scenes:
            try:
                self._scenes[run.id] = SarFile.of_request(run.scene, run.asked)
            except SceneError as error:
                self._scenes[run.id] = str(error)
        opened = self._scenes[run.id]
        if isinstance(opened, str):
            raise SceneError(opened)
        return opened

    def _prior(self, source: str, run: ProjectRun) -> PriorFile:
        """Return the file of a prior. Raises PriorError, each time the same."""
        key = run.id, source
        if key not in self._priors:
            try:
                self._priors[key] = open_prior(source, run.run, run.scene, run.request)
            except PriorError as error:
                self._priors[key] = str(error)
        opened = self._priors[key]
        if isinstance(opened, str):
            raise PriorError(opened)
        return opened

    def _take(self) -> None:
        if self._task is None:
            return
        for wanted, one in (self._task.result or {}).items():
            sar, prior = self._pixmap(one.sar), self._pixmap(one.prior)
            self._kept[wanted] = Pictures(sar, prior, one.sar_said, one.prior_said)
        while len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]
        self._task = None
        self.arrived.emit()
        if self._wanted:
            self._timer.start()

    def _pixmap(self, image: QImage) -> QPixmap:
        pixmap = QPixmap.fromImage(image)
        pixmap.setDevicePixelRatio(self._ratio)
        return pixmap
