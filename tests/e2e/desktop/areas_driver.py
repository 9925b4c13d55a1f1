"""Runs inside the real QGIS: a polygon clicked on a scene that lies in an archive and is placed by control points.

FUSAR_DRIVE is a JSON object: scene, and out, a folder for result.json and screenshots.
"""

import json
import os
from pathlib import Path

from acting import Director, Stalls, click_on, messages, pause, set_the_stage, xdotool
from qgis.core import QgsProject, QgsVectorLayer
from qgis.PyQt.QtCore import QPoint, QTimer
from qgis.PyQt.QtGui import QCursor
from qgis.PyQt.QtWidgets import QAction, QDialog, QMenu, QPushButton, QToolBar
from qgis.utils import iface

PLAN = json.loads(os.environ["FUSAR_DRIVE"])
CORNERS = (0.25, 0.3), (0.45, 0.2), (0.6, 0.45), (0.5, 0.75), (0.3, 0.7)

result = {"messages": []}
directors = []
stalls = []


def shoot(name: str):
    directors[0].shoot(name)
    if stalls:
        stalls[0].forget()


def story():
    """What the analyst does; each ``yield`` waits until what it gives is true."""
    window, canvas = iface.mainWindow(), iface.mapCanvas()
    yield from set_the_stage(PLAN["scene"])
    stalls.append(Stalls())
    menu = window.findChild(QMenu, "FusarAreaMenu")
    action = window.findChild(QAction, "FusarInterpretSar")
    button = window.findChild(QToolBar, "FusarToolBar").widgetForAction(action)
    point = button.mapToGlobal(
        QPoint(button.width() - 5, button.height() // 2)
    )  # the arrow at its right edge
    xdotool("mousemove", point.x(), point.y(), "click", 1)
    yield menu.isVisible
    yield pause(0.5)
    shoot("1_menu")
    polygon = next(each for each in menu.actions() if each.objectName() == "FusarInterpretPolygon")
    point = menu.mapToGlobal(menu.actionGeometry(polygon).center())
    xdotool("mousemove", point.x(), point.y(), "click", 1)
    yield polygon.isChecked
    yield pause(0.3)
    words = []
    for x, y in CORNERS:
        point = canvas.viewport().mapToGlobal(QPoint(int(x * canvas.width()), int(y * canvas.height())))
        words += ["mousemove", point.x(), point.y(), "sleep", 0.1, "click", 1, "sleep", 0.1]
    xdotool(*words)
    yield lambda: (QCursor.pos() - point).manhattanLength() < 3
    yield pause(0.5)
    shoot("2_polygon")
    xdotool("click", 3)
    yield lambda: dialog() is not None and dialog().isVisible()
    yield lambda: "Chips to look at" in dialog()._estimate.text()
    task = dialog()._task
    task.setCurrentIndex(task.findData("count"))
    yield pause(1.5)
    shoot("3_question")
    button = next(each for each in dialog().findChildren(QPushButton) if each.isDefault())
    click_on(button)
    yield lambda: any("own count" in text for text in messages())
    result["longest_stall_ms"] = round(stalls[0].longest_ms, 1)
    yield pause(1.0)
    shoot("4_findings")
    result["messages"] = messages()
    layers = [each for each in QgsProject.instance().mapLayers().values() if isinstance(each, QgsVectorLayer)]
    result["answers"] = [feature.geometry().asWkt(3) for layer in layers for feature in layer.getFeatures()]
    result["crs"] = [layer.crs().authid() for layer in layers]


def dialog():
    return iface.mainWindow().findChild(QDialog, "FusarRequestDialog")


QTimer.singleShot(0, lambda: directors.append(Director(story(), Path(PLAN["out"]), result)))
