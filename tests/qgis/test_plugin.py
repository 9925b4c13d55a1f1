"""The plugin comes and goes without a trace, and starts nothing by itself."""

import socket
import threading

import pytest
from qgis.core import QgsProject
from qgis.gui import QgsRubberBand
from qgis.PyQt.QtCore import QCoreApplication, QEvent, QObject
from qgis.PyQt.QtWidgets import QAction, QToolBar

import fusar_qgis
from fusar_qgis.gui.area_tool import AreaTool


def settle():
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QCoreApplication.processEvents()


def traces(iface) -> dict[str, int]:
    settle()
    window, project = iface.mainWindow(), QgsProject.instance()
    return {
        "actions": len(window.findChildren(QAction)),
        "toolbars": len(window.findChildren(QToolBar)),
        "children": len(window.findChildren(QObject)),
        "rubber bands": sum(isinstance(item, QgsRubberBand) for item in iface.mapCanvas().scene().items()),
        "cleared": project.receivers(project.cleared),
        "removed": project.receivers(project.layersWillBeRemoved),
        "threads": threading.active_count(),
    }


def test_load_and_unload_twice_leaves_nothing(qgis_iface, bar):
    before = traces(qgis_iface)
    for _ in range(2):
        plugin = fusar_qgis.classFactory(qgis_iface)
        plugin.initGui()
        assert qgis_iface.mainWindow().findChild(QAction, "FusarInterpretSar") is not None
        plugin.unload()
        assert traces(qgis_iface) == before
    plugin.unload()


def test_unload_with_the_tool_in_hand_and_a_run_under_way(
    qgis_iface, bar, standin, scene_layer, qtbot, monkeypatch
):
    from test_interpretation import drag

    from fusar_qgis.gui.order_dialog import OrderDialog

    plugin = fusar_qgis.classFactory(qgis_iface)
    plugin.initGui()
    qgis_iface.mainWindow().findChild(QAction, "FusarInterpretSar").trigger()
    drag(qgis_iface.mapCanvas())
    dialog = qgis_iface.mainWindow().findChild(OrderDialog)
    qtbot.waitUntil(lambda: dialog._model.count() == 1)
    dialog._targets.deselectAllOptions()
    dialog._targets.setCheckedItems(["endless"])
    dialog.accept()
    qtbot.waitUntil(lambda: len(QgsProject.instance().mapLayers()) > 1)
    plugin.unload()
    settle()
    assert standin.dismissed.is_set()
    assert not isinstance(qgis_iface.mapCanvas().mapTool(), AreaTool)
    assert qgis_iface.mainWindow().findChild(OrderDialog) is None


def test_nothing_touches_the_network_at_start(qgis_iface, bar, monkeypatch):
    from qgis.core import QgsNetworkAccessManager

    def refuse(*_):
        pytest.fail("a connection at start")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setenv("FUSAR_URL", "http://127.0.0.1:9")
    manager = QgsNetworkAccessManager.instance()
    manager.requestAboutToBeCreated.connect(refuse)
    plugin = fusar_qgis.classFactory(qgis_iface)
    plugin.initGui()
    settle()
    plugin.unload()
    manager.requestAboutToBeCreated.disconnect(refuse)
