"""The plugin comes and goes without a trace, and starts nothing by itself."""

import os
import socket
import subprocess
import threading

import pytest
from qgis.core import QgsApplication, QgsNetworkAccessManager, QgsProject, QgsSettings
from qgis.PyQt.QtCore import QCoreApplication, QEvent, QObject, QProcess, Qt, QVariantAnimation
from qgis.PyQt.QtWidgets import QAction, QApplication, QDockWidget, QToolBar
from standin import Standin

import fusar_qgis
from fusar_qgis.gui.area_tool import AreaTool


def settle():
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QCoreApplication.processEvents()


def traces(iface) -> dict[str, int]:
    settle()
    window, project, manager = iface.mainWindow(), QgsProject.instance(), QgsApplication.taskManager()
    found = {
        kind.__name__: len(window.findChildren(kind)) for kind in (QAction, QToolBar, QDockWidget, QObject)
    }
    return found | {
        "on the canvas": len(iface.mapCanvas().scene().items()),
        "map tool": iface.mapCanvas().mapTool(),
        **{
            name: sender.receivers(getattr(sender, name))
            for sender, names in (
                (project, ("cleared", "readProject", "writeProject", "layersAdded", "layersWillBeRemoved")),
                (project, ("crsChanged", "layersRemoved", "layerWillBeRemoved", "homePathChanged")),
                (iface.mapCanvas(), ("mapToolSet", "extentsChanged", "destinationCrsChanged")),
                (manager, ("statusChanged", "allTasksFinished")),
                (QgsNetworkAccessManager.instance(), ("requestAboutToBeCreated", "finished")),
            )
            for name in names
        },
        "providers": len(QgsApplication.processingRegistry().providers()),
        "top-level widgets": len(QApplication.topLevelWidgets()),
        "threads": threading.active_count(),
        "processes": len(processes()),
    }


def processes() -> list[str]:
    """The processes that this one has started."""
    listed = subprocess.run(
        ["/usr/bin/ps", "--ppid", str(os.getpid()), "-o", "args="],
        capture_output=True,
        text=True,
        check=False,
    )
    return [line for line in listed.stdout.splitlines() if "ps --ppid" not in line]


def test_load_and_unload_ten_times_leaves_nothing(qgis_iface, bar, qtbot):
    # What an earlier test lets flash is on the canvas until its animation ends.
    qtbot.waitUntil(lambda: not qgis_iface.mapCanvas().findChildren(QVariantAnimation), timeout=30_000)
    before = traces(qgis_iface)
    for _ in range(10):
        plugin = fusar_qgis.classFactory(qgis_iface)
        plugin.initGui()
        assert qgis_iface.mainWindow().findChild(QAction, "FusarInterpretSar") is not None
        assert not any(dock.isVisible() for dock in qgis_iface.mainWindow().findChildren(QDockWidget))
        assert bar.items() == []
        plugin.unload()
        assert traces(qgis_iface) == before
    plugin.unload()


def test_the_toolbar_says_what_to_press_and_every_icon_has_a_tip(qgis_iface, bar):
    plugin = fusar_qgis.classFactory(qgis_iface)
    plugin.initGui()
    toolbar = plugin._toolbar
    first, *_ = toolbar.actions()
    button = toolbar.widgetForAction(first)
    assert (button.text(), button.toolButtonStyle()) == (
        "Interpret SAR",
        Qt.ToolButtonStyle.ToolButtonTextBesideIcon,
    )
    for action in toolbar.actions():
        assert action.isSeparator() or len(action.toolTip()) > len(action.text())
    entries = {action.objectName(): action.text() for action in qgis_iface.mainWindow().findChildren(QAction)}
    assert entries["FusarOpenSample"] == "Open the sample scene"
    assert entries["FusarShowWelcome"] == "Show the welcome"
    assert entries["FusarOpenOptions"] == "Open options…"
    qgis_iface.mainWindow().findChild(QAction, "FusarShowWelcome").trigger()
    assert bar.currentItem().title() == "Welcome to FUSAR-GPT"
    plugin.unload()


def test_unload_with_the_tool_in_hand_and_a_run_under_way(
    qgis_iface, bar, standin, scene_layer, qtbot, monkeypatch
):
    from test_interpretation import drag

    from fusar_qgis.gui.request_dialog import RequestDialog

    plugin = fusar_qgis.classFactory(qgis_iface)
    plugin.initGui()
    qgis_iface.mainWindow().findChild(QAction, "FusarInterpretSar").trigger()
    drag(qgis_iface.mapCanvas())
    dialog = qgis_iface.mainWindow().findChild(RequestDialog)
    qtbot.waitUntil(lambda: dialog._model.count() == 1)
    dialog._targets.deselectAllOptions()
    dialog._targets.setCheckedItems(["endless"])
    dialog.accept()
    qtbot.waitUntil(lambda: len(QgsProject.instance().mapLayers()) > 1)
    plugin.unload()
    settle()
    assert standin.dismissed.is_set()
    assert not isinstance(qgis_iface.mapCanvas().mapTool(), AreaTool)
    assert qgis_iface.mainWindow().findChild(RequestDialog) is None


def test_nothing_touches_the_network_or_starts_anything(qgis_iface, bar, monkeypatch, tmp_path, qtbot):
    QgsSettings().remove("fusar/welcome/seen")
    started = []

    def refuse(*_):
        started.append("a connection")
        raise OSError("no network")

    fusar = tmp_path / "fusar"
    fusar.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    fusar.chmod(0o755)
    monkeypatch.setenv("FUSAR_EXECUTABLE", str(fusar))
    with Standin() as server:  # never asked
        monkeypatch.setenv("FUSAR_URL", server.url)
        monkeypatch.setattr(socket, "socket", refuse)
        monkeypatch.setattr(socket, "create_connection", refuse)
        manager = QgsNetworkAccessManager.instance()
        manager.requestAboutToBeCreated.connect(refuse)
        plugin = fusar_qgis.classFactory(qgis_iface)
        plugin.initGui()
        settle()
        qtbot.wait(300)
        assert qgis_iface.mainWindow().findChildren(QProcess) == []
        assert processes() == []
        plugin.unload()
        manager.requestAboutToBeCreated.disconnect(refuse)
        server.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.socket.accept()
    assert started == []
    assert not (tmp_path / "started").exists()
    assert bar.items() == []
