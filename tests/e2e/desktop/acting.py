"""What the drivers inside QGIS share: real mouse and keyboard, screenshots, a clock for stalls, and a director."""

import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from qgis.core import QgsProject, QgsSettings
from qgis.PyQt.QtCore import QPoint, Qt, QTimer
from qgis.PyQt.QtWidgets import QDockWidget
from qgis.utils import iface, plugins, unloadPlugin

PATIENCE_S = 120
TICK_MS = 5


def xdotool(*words):
    """Real input events, from another process, so that QGIS meets them in its own event loop."""
    subprocess.Popen(["xdotool", *map(str, words)])


def click(point: QPoint):
    xdotool("mousemove", point.x(), point.y(), "click", 1)


def click_on(widget):
    click(widget.mapToGlobal(widget.rect().center()))


def drag(start: QPoint, end: QPoint, key: str = "", *, let_go: bool = True):
    """Drag from one place of the screen to another, with a key down; ``let_go`` of the button at the end."""
    words = ["mousemove", start.x(), start.y(), *(["keydown", key] if key else []), "mousedown", 1]
    for step in range(1, 11):
        x = start.x() + (end.x() - start.x()) * step // 10
        y = start.y() + (end.y() - start.y()) * step // 10
        words += ["sleep", 0.02, "mousemove", x, y]
    words += ["sleep", 0.05, "mouseup", 1] if let_go else []
    xdotool(*words, *(["keyup", key] if key else []))


def messages() -> list[str]:
    return [f"{item.title()}: {item.text()}" for item in iface.messageBar().items()]


def pause(seconds: float):
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def set_the_stage(scene: str) -> Iterator[Callable[[], bool]]:
    """A window of 1600 x 1000 px with the plugin and one scene on the map."""
    window, canvas = iface.mainWindow(), iface.mapCanvas()
    window.setGeometry(0, 0, 1600, 1000)
    # Without a desktop to notify, QGIS would put "Task complete" over our own message.
    QgsSettings().setValue("minTaskLengthForSystemNotification", 3600, QgsSettings.Section.App)
    QgsSettings().setValue("fusar/welcome/seen", True)
    window.findChild(QDockWidget, "Browser").hide()
    window.resizeDocks([window.findChild(QDockWidget, "Layers")], [460], Qt.Orientation.Horizontal)
    yield lambda: "fusar_qgis" in plugins
    layer = iface.addRasterLayer(scene, Path(scene).stem)
    iface.setActiveLayer(layer)
    yield pause(1.0)  # the window takes its size, the project its CRS
    canvas.setExtent(canvas.mapSettings().layerExtentToOutputExtent(layer, layer.extent()))
    yield pause(1.0)
    yield lambda: not canvas.isDrawing()
    iface.messageBar().clearWidgets()  # the welcome was read


class Stalls:
    """Times in which the GUI did not come round to an event of ours: the longest, and all over 20 ms."""

    def __init__(self):
        self.longest_ms, self._last = 0.0, time.perf_counter()
        self.over_20_ms = []
        self._timer = QTimer()
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)

    def forget(self):
        """Do not count what the driver itself has just done."""
        self._last = time.perf_counter()

    def _tick(self):
        now = time.perf_counter()
        stall = 1000 * (now - self._last) - TICK_MS
        self.longest_ms = max(self.longest_ms, stall)
        if stall > 20:
            self.over_20_ms.append(round(stall, 1))
        self._last = now


class Director:
    """Goes on with a story as soon as what it waits for is true, and ends QGIS at the end, whatever happens.

    What the story notes in ``result`` goes to ``out/result.json``; an exception in any slot is noted there too.
    """

    def __init__(
        self,
        story: Iterator[Callable[[], bool]],
        out: Path,
        result: dict,
        patience_s: float = PATIENCE_S,
    ):
        self._story, self._out, self._result = story, out, result
        result["errors"] = []
        self._condition = pause(1)
        self._patience_s = patience_s
        self._deadline = time.monotonic() + patience_s
        self._timer = QTimer()
        self._timer.timeout.connect(self._look)
        self._timer.start(30)
        sys.excepthook = self._note_exception

    def shoot(self, name: str):
        iface.mainWindow().screen().grabWindow(0).save(str(self._out / f"{name}.png"))

    def _look(self):
        try:
            if self._condition():
                self._condition = next(self._story)
                self._deadline = time.monotonic() + self._patience_s
            elif time.monotonic() > self._deadline:
                raise TimeoutError(f"line {self._story.gi_frame.f_lineno}; messages: {messages()}")
        except StopIteration:
            self._end()
        except Exception:  # noqa: BLE001 - whatever it is, note it and end QGIS
            self._result["errors"].append(traceback.format_exc())
            self.shoot("error")
            self._end()

    def _end(self):
        self._timer.stop()
        text = json.dumps(self._result, ensure_ascii=False, indent=1)
        (self._out / "result.json").write_text(text, encoding="utf-8")
        if "fusar_qgis" in plugins:
            unloadPlugin("fusar_qgis")  # QGIS would ask about a run under way
        QgsProject.instance().setDirty(False)
        iface.actionExit().trigger()

    def _note_exception(self, kind, error, trace):
        # QGIS would open a dialog that nobody closes.
        self._result["errors"].append("".join(traceback.format_exception(kind, error, trace)))
