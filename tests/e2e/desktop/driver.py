"""Runs inside the real QGIS (``qgis --code``): does with mouse and keyboard what an analyst does, and notes it down.

FUSAR_DRIVE is a JSON object: scene, out (a folder for result.json and screenshots), task, targets, corners (of the
rectangle, as shares of the canvas: x1, y1, x2, y2) and cancel (whether to press Cancel at the first finding).
"""

import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

from qgis.core import QgsProject, QgsSettings, QgsVectorLayer
from qgis.PyQt.QtCore import QPoint, Qt, QTimer
from qgis.PyQt.QtWidgets import QAction, QDialog, QDockWidget, QPushButton, QToolBar
from qgis.utils import iface, plugins, unloadPlugin

PLAN = json.loads(os.environ["FUSAR_DRIVE"])
OUT = Path(PLAN["out"])
PATIENCE_S = 120
TICK_MS = 5

result = {"messages": [], "errors": []}


def xdotool(*words):
    """Real input events, from another process, so that QGIS meets them in its own event loop."""
    subprocess.Popen(["xdotool", *map(str, words)])


def click(point: QPoint):
    xdotool("mousemove", point.x(), point.y(), "click", 1)


def drag(start: QPoint, end: QPoint):
    words = ["mousemove", start.x(), start.y(), "mousedown", 1]
    for step in range(1, 11):
        x = start.x() + (end.x() - start.x()) * step // 10
        y = start.y() + (end.y() - start.y()) * step // 10
        words += ["sleep", 0.02, "mousemove", x, y]
    xdotool(*words, "sleep", 0.05, "mouseup", 1)


def shoot(name: str):
    iface.mainWindow().screen().grabWindow(0).save(str(OUT / f"{name}.png"))


def messages() -> list[str]:
    return [f"{item.title()}: {item.text()}" for item in iface.messageBar().items()]


def findings() -> list[QgsVectorLayer]:
    return [
        layer for layer in QgsProject.instance().mapLayers().values() if isinstance(layer, QgsVectorLayer)
    ]


def describe(layer: QgsVectorLayer) -> dict:
    return {
        "name": layer.name(),
        "crs": layer.crs().authid(),
        "abstract": layer.metadata().abstract(),
        "features": [
            {field.name(): _plain(feature[field.name()]) for field in layer.fields()}
            | {"wkt": feature.geometry().asWkt(2)}
            for feature in layer.getFeatures()
        ],
    }


def _plain(value):
    return value if isinstance(value, (str, int, float, bool)) else None


class Stalls:
    """The longest time in which the GUI did not come round to an event of ours."""

    def __init__(self):
        self.longest_ms, self._last = 0.0, time.perf_counter()
        self._timer = QTimer()
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)

    def forget(self):
        """Do not count what the driver itself has just done."""
        self._last = time.perf_counter()

    def _tick(self):
        now = time.perf_counter()
        self.longest_ms = max(self.longest_ms, 1000 * (now - self._last) - TICK_MS)
        self._last = now


def story():
    """What the analyst does; each ``yield`` waits until what it gives is true."""
    window, canvas = iface.mainWindow(), iface.mapCanvas()
    window.setGeometry(0, 0, 1600, 1000)
    # Without a desktop to notify, QGIS would put "Task complete" over our own message.
    QgsSettings().setValue("minTaskLengthForSystemNotification", 3600, QgsSettings.Section.App)
    window.findChild(QDockWidget, "Browser").hide()
    window.resizeDocks([window.findChild(QDockWidget, "Layers")], [460], Qt.Orientation.Horizontal)
    yield lambda: "fusar_qgis" in plugins
    layer = iface.addRasterLayer(PLAN["scene"], Path(PLAN["scene"]).stem)
    iface.setActiveLayer(layer)
    yield pause(1.0)  # the window takes its size, the project its CRS
    canvas.setExtent(canvas.mapSettings().layerExtentToOutputExtent(layer, layer.extent()))
    yield pause(1.0)
    yield lambda: not canvas.isDrawing()
    shoot("1_scene")

    action = window.findChild(QAction, "FusarInterpretSar")
    button = window.findChild(QToolBar, "FusarToolBar").widgetForAction(action)
    click(button.mapToGlobal(button.rect().center()))
    yield lambda: action.isChecked()
    yield pause(0.5)
    x1, y1, x2, y2 = PLAN["corners"]
    size = canvas.viewport().size()
    drag(
        canvas.viewport().mapToGlobal(QPoint(int(x1 * size.width()), int(y1 * size.height()))),
        canvas.viewport().mapToGlobal(QPoint(int(x2 * size.width()), int(y2 * size.height()))),
    )
    yield lambda: dialog() is not None and dialog().isVisible()
    yield lambda: start_button().isEnabled()
    task = dialog()._task
    task.setCurrentIndex(task.findData(PLAN["task"]))
    if PLAN["targets"]:
        dialog()._targets.deselectAllOptions()
        dialog()._targets.setCheckedItems(PLAN["targets"])
    yield pause(0.5)
    shoot("2_question")

    stalls = Stalls()
    xdotool("key", "Return")
    yield lambda: not dialog().isVisible()
    yield lambda: bool(findings()) or over()
    yield pause(0.3)
    shoot("3_running")
    stalls.forget()
    if PLAN["cancel"]:
        button = next(
            button for item in iface.messageBar().items() for button in item.findChildren(QPushButton)
        )
        click(button.mapToGlobal(button.rect().center()))
    yield over
    result["longest_stall_ms"] = round(stalls.longest_ms, 1)
    yield pause(1.0)
    yield lambda: not canvas.isDrawing()
    shoot("4_findings")
    result["messages"] = messages()
    result["labels"] = len(canvas.labelingResults().allLabels())
    result["group"] = [group.name() for group in QgsProject.instance().layerTreeRoot().findGroups()]
    result["layers"] = [describe(found) for found in findings()]

    unloadPlugin("fusar_qgis")
    yield pause(0.3)
    result["left"] = {
        "actions": [a.text() for a in window.findChildren(QAction) if a.objectName().startswith("Fusar")],
        "toolbars": [t.objectName() for t in window.findChildren(QToolBar) if "Fusar" in t.objectName()],
        "dialogs": [d.objectName() for d in window.findChildren(QDialog) if "Fusar" in d.objectName()],
    }


def dialog():
    return iface.mainWindow().findChild(QDialog, "FusarOrderDialog")


def start_button():
    return next(button for button in dialog().findChildren(QPushButton) if button.isDefault())


def over() -> bool:
    """Only the message of a run under way has a push button: Cancel."""
    items = iface.messageBar().items()
    return bool(items) and not any(item.findChildren(QPushButton) for item in items)


def pause(seconds: float):
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


class Director:
    """Goes on with the story as soon as what it waits for is true, and ends QGIS at the end, whatever happens."""

    def __init__(self):
        self._story = story()
        self._condition = pause(1)
        self._deadline = time.monotonic() + PATIENCE_S
        self._timer = QTimer()
        self._timer.timeout.connect(self._look)
        self._timer.start(30)

    def _look(self):
        try:
            if self._condition():
                self._condition = next(self._story)
                self._deadline = time.monotonic() + PATIENCE_S
            elif time.monotonic() > self._deadline:
                raise TimeoutError(f"line {self._story.gi_frame.f_lineno}; messages: {messages()}")
        except StopIteration:
            self._end()
        except Exception:  # noqa: BLE001 - whatever it is, note it and end QGIS
            result["errors"].append(traceback.format_exc())
            shoot("error")
            self._end()

    def _end(self):
        self._timer.stop()
        (OUT / "result.json").write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")
        if "fusar_qgis" in plugins:
            unloadPlugin("fusar_qgis")  # QGIS would ask about a run under way
        QgsProject.instance().setDirty(False)
        iface.actionExit().trigger()


def note_exception(kind, error, trace):
    # QGIS would open a dialog that nobody closes.
    result["errors"].append("".join(traceback.format_exception(kind, error, trace)))


sys.excepthook = note_exception
director = []
QTimer.singleShot(0, lambda: director.append(Director()))
