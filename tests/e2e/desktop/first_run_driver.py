"""Runs inside the real QGIS (``qgis --code``): the first steps of an analyst who has never seen the plugin.

FUSAR_DRIVE is a JSON object with ``out``, a folder for result.json and screenshots.
"""

import json
import os
import time
from pathlib import Path

from acting import Director, click_on, drag, messages, pause, xdotool
from qgis.core import QgsApplication, QgsProject, QgsRasterLayer, QgsSettings, QgsVectorLayer
from qgis.PyQt.QtCore import QPoint, Qt, QTimer
from qgis.PyQt.QtWidgets import (
    QAction,
    QDialog,
    QDockWidget,
    QPushButton,
    QTabWidget,
    QToolBar,
    QToolButton,
    QWidget,
)
from qgis.utils import iface, plugins

OUT = Path(json.loads(os.environ["FUSAR_DRIVE"])["out"])

result = {}
directors = []


def shoot(name: str):
    directors[0].shoot(name)


def layers(kind) -> list:
    return [layer for layer in QgsProject.instance().mapLayers().values() if isinstance(layer, kind)]


def push_button(words: str) -> QPushButton:
    return next(
        button
        for item in iface.messageBar().items()
        for button in item.findChildren(QPushButton)
        if button.text() == words
    )


def dialog():
    return iface.mainWindow().findChild(QDialog, "FusarRequestDialog")


def start_button():
    return next(button for button in dialog().findChildren(QPushButton) if button.isDefault())


def options_page():
    return next(
        (page for page in iface.mainWindow().findChildren(QWidget, "FusarOptions") if page.isVisible()), None
    )


def story():
    """What the analyst does; each ``yield`` waits until what it gives is true."""
    window, canvas = iface.mainWindow(), iface.mapCanvas()
    window.setGeometry(0, 0, 1600, 1000)
    QgsSettings().setValue("minTaskLengthForSystemNotification", 3600, QgsSettings.Section.App)
    window.findChild(QDockWidget, "Browser").hide()
    window.resizeDocks([window.findChild(QDockWidget, "Layers")], [460], Qt.Orientation.Horizontal)
    yield lambda: "fusar_qgis" in plugins
    yield pause(2.0)
    status = window.findChild(QToolButton, "FusarStatus")
    result["at start"] = {"messages": messages(), "status": status.text()}
    button = window.findChild(QToolBar, "FusarToolBar").widgetForAction(
        window.findChild(QAction, "FusarInterpretSar")
    )

    begin = time.monotonic()
    click_on(button)
    yield lambda: any("Welcome" in text for text in messages())
    yield pause(0.3)
    shoot("1_welcome")
    click_on(push_button("Open the sample scene"))
    yield lambda: bool(layers(QgsRasterLayer))
    result["sample_s"] = round(time.monotonic() - begin, 1)
    yield pause(0.7)
    yield lambda: not canvas.isDrawing()
    shoot("2_sample")
    result["next step"] = messages()
    click_on(button)
    yield lambda: window.findChild(QAction, "FusarInterpretSar").isChecked()
    yield pause(0.3)
    size = canvas.viewport().size()
    drag(
        canvas.viewport().mapToGlobal(QPoint(size.width() // 4, int(0.6 * size.height()))),
        canvas.viewport().mapToGlobal(QPoint(int(0.55 * size.width()), int(0.95 * size.height()))),
    )
    yield lambda: dialog() is not None and dialog().isVisible()
    yield lambda: start_button().isEnabled()
    yield pause(0.3)
    shoot("3_question")
    xdotool("key", "Return")
    yield lambda: bool(layers(QgsVectorLayer))
    result["first_finding_s"] = round(time.monotonic() - begin, 1)
    result["layer"] = layers(QgsRasterLayer)[0].name()
    yield lambda: "starting" not in status.text()  # the state is asked for once a second
    result["status"] = status.text()
    shoot("4_first_finding")
    yield lambda: not QgsApplication.taskManager().activeTasks()
    yield pause(0.7)
    shoot("5_all_findings")
    result["actions"] = {"clicks": 3, "drags": 1, "keys": 1}

    click_on(status)
    yield lambda: options_page() is not None
    yield pause(0.7)
    page = options_page()
    for place in range(page.findChild(QTabWidget).count()):
        page.findChild(QTabWidget).setCurrentIndex(place)
        yield pause(2.5 if place == 2 else 0.4)  # the list of models takes a moment
        shoot(f"6_options_{place}")
    xdotool("key", "Escape")
    yield lambda: options_page() is None


QTimer.singleShot(0, lambda: directors.append(Director(story(), OUT, result)))
