"""The plugin in a headless QGIS, with a scene on the map and a stand-in backend behind a real socket."""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, osr

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
gdal.UseExceptions()

from chatting import last, say, settle  # noqa: E402
from qgis.core import QgsApplication, QgsProject, QgsRasterLayer, QgsSettings  # noqa: E402
from qgis.gui import QgsMessageBar  # noqa: E402
from qgis.PyQt.QtCore import QCoreApplication, QTranslator  # noqa: E402
from qgis.PyQt.QtWidgets import QAction, QToolBar  # noqa: E402
from standin import Standin  # noqa: E402

import fusar_qgis  # noqa: E402
from fusar_qgis.connection.backend import Backend  # noqa: E402
from fusar_qgis.contract import Found  # noqa: E402
from fusar_qgis.gui.chat.dock import ChatDock  # noqa: E402
from fusar_qgis.gui.chat.panel import ChatPanel  # noqa: E402
from fusar_qgis.layers import findings_layer  # noqa: E402

CONFIDENCES = (0.9, 0.2, 0.6, None)
"""Of the findings of ``layer``."""


@pytest.fixture(scope="session", autouse=True)
def _no_layer_outlives_qgis(qgis_app):
    yield
    QgsApplication.taskManager().cancelAll()  # one that a failed test has left would keep pytest-qgis waiting
    gc.collect()  # of caught exceptions' frames: collected after QGIS, a layer crashes Python


@pytest.fixture(autouse=True)
def _no_backend_of_this_computer(monkeypatch, tmp_path):
    for name in ("FUSAR_URL", "FUSAR_TOKEN", "FUSAR_EXECUTABLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FUSAR_PRIOR_OFFLINE", "yes")  # no backend that a test starts fetches a prior
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    settings = QgsSettings()
    settings.remove("fusar")
    settings.setValue("fusar/welcome/seen", True)


@pytest.fixture
def standin(monkeypatch):
    with Standin() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("FUSAR_URL", server.url)
        monkeypatch.setenv("FUSAR_TOKEN", server.token)
        yield server
        server.dismissed.set()
        server.shutdown()


@pytest.fixture
def backend(qgis_app):
    backend = Backend()
    yield backend
    backend.close()
    backend.deleteLater()


def write_tiff(
    path: Path, *, bands: int = 1, epsg: int | None = 32650, stored_as: int = gdal.GDT_Byte
) -> Path:
    generator = np.random.default_rng(0)
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), 200, 160, bands, stored_as)
    for band in range(bands):
        dataset.GetRasterBand(band + 1).WriteArray(
            generator.rayleigh(40, (160, 200)).clip(0, 255).astype("uint8")
        )
    if epsg is not None:
        srs = osr.SpatialReference()
        srs.ImportFromEPSG(epsg)
        dataset.SetProjection(srs.ExportToWkt())
        dataset.SetGeoTransform((500000, 5, 0, 4000000, 0, -5))
    dataset = None
    return path


def shows(label) -> bool:
    """Whether a QLabel has a picture; newer Qt says None where there is none."""
    return label.pixmap() is not None and not label.pixmap().isNull()


@pytest.fixture
def scene_path(tmp_path) -> Path:
    return write_tiff(tmp_path / "harbour.tif")


@pytest.fixture
def scene_layer(scene_path, qgis_iface, bar) -> QgsRasterLayer:
    layer = QgsRasterLayer(str(scene_path), "harbour")
    QgsProject.instance().addMapLayer(layer)
    QgsProject.instance().setCrs(layer.crs())
    canvas = qgis_iface.mapCanvas()
    canvas.setDestinationCrs(layer.crs())
    canvas.setExtent(layer.extent())
    qgis_iface.setActiveLayer(layer)
    return layer


@pytest.fixture
def layer(project, run, tmp_path):
    """Four detections on the scene of ``write_tiff``, which is there; a module imports ``project`` and ``run``."""
    from test_results import finding

    made, _ = run(Found(tuple(finding(n, confidence=one) for n, one in enumerate(CONFIDENCES, 1))))
    made.setCustomProperty(findings_layer.SCENE_PROPERTY, str(write_tiff(tmp_path / "harbour.tif")))
    return made


@pytest.fixture
def bar(qgis_iface, qgis_new_project, monkeypatch):
    """A real message bar instead of pytest-qgis's mock."""
    real = QgsMessageBar(qgis_iface.mainWindow())  # after the new project, which clears the mock
    monkeypatch.setattr(qgis_iface, "_messageBar", real)
    yield real
    real.clearWidgets()
    real.deleteLater()


@pytest.fixture(params=["en", "zh"])
def language(request):
    """English, and Chinese where the translations are there."""
    translator = QTranslator()
    if request.param == "zh":
        assert translator.load(str(Path(fusar_qgis.__file__).parent / "i18n" / "fusar_zh_CN.qm"))
        QCoreApplication.installTranslator(translator)
    yield request.param
    QCoreApplication.removeTranslator(translator)


@pytest.fixture
def plugin(qgis_iface, bar):
    loaded = fusar_qgis.classFactory(qgis_iface)
    loaded.initGui()
    yield loaded
    loaded.unload()


@pytest.fixture
def action(plugin, qgis_iface):
    return qgis_iface.mainWindow().findChild(QAction, "FusarInterpretSar")


@pytest.fixture
def dock(qgis_iface, bar, standin, backend, scene_layer):
    """The chat dock, opened."""
    canvas = qgis_iface.mapCanvas()
    canvas.resize(600, 500)
    toolbar = QToolBar(qgis_iface.mainWindow())
    made = ChatDock(qgis_iface, backend, toolbar)
    qgis_iface.mainWindow().findChild(QAction, "FusarChat").trigger()
    yield made
    made.remove()
    toolbar.deleteLater()
    settle()


@pytest.fixture
def panel(dock) -> ChatPanel:
    dock._dock.resize(380, 800)
    return dock._panel


@pytest.fixture
def ask(panel, qtbot):
    """Type a question, press Enter, and wait for the end of the answer with its pictures."""

    def ask(text):
        say(panel, text)
        assert panel._warning.toPlainText() == ""
        qtbot.waitUntil(lambda: not panel._late)
        return last(panel)

    return ask
