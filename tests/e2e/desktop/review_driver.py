"""Runs inside the real QGIS: interprets an area, reviews the findings by key, exports, saves, opens it all again.

FUSAR_DRIVE is a JSON object: scene, out (a folder for result.json and screenshots).
"""

import json
import os
from pathlib import Path

from acting import Director, Stalls, click_on, drag, messages, pause, set_the_stage, xdotool
from qgis.core import QgsProject
from qgis.PyQt.QtCore import QPoint, QTimer
from qgis.PyQt.QtWidgets import QAction, QDialog, QPushButton, QSlider, QToolBar
from qgis.utils import iface

from fusar_qgis.layers.features import BOX

PLAN = json.loads(os.environ["FUSAR_DRIVE"])
OUT = Path(PLAN["out"])
result: dict = {}
directors = []
stalls: list[Stalls] = []


def story():
    """What the analyst does; each ``yield`` waits until what it gives is true."""
    window, canvas, project = iface.mainWindow(), iface.mapCanvas(), QgsProject.instance()
    yield from set_the_stage(PLAN["scene"])
    canvas.setFocus()
    yield from interpret("detect")
    yield over
    result["message"] = messages()[-1]
    layer = next(one for one in project.mapLayers().values() if one.name() == "Detections")
    yield pause(1.0)
    shoot("1_found")

    stalls.append(Stalls())
    click_on(
        window.findChild(QToolBar, "FusarToolBar").widgetForAction(window.findChild(QAction, "FusarReview"))
    )
    yield lambda: window.findChild(QToolBar, "FusarReviewBar") is not None
    yield pause(1.0)
    shoot("2_review")
    note_stall("start")
    for keys in ("a", "a", "r", "a", "r"):
        before = reviewed(layer)
        xdotool("key", keys)
        yield lambda before=before: reviewed(layer) == before + 1
        yield pause(0.3)
    note_stall("keys")
    xdotool("key", "l")
    yield pause(0.3)
    xdotool("type", "tug")
    yield pause(0.5)
    xdotool("key", "Return")
    yield lambda: "relabelled" in decisions(layer)
    yield pause(0.3)
    yield from edit_a_box(layer)
    xdotool("key", "plus")
    yield pause(0.5)
    drag(on_canvas(0.1, 0.8), on_canvas(0.2, 0.9))
    yield lambda: "added" in decisions(layer)
    yield pause(1.0)
    yield lambda: not canvas.isDrawing()
    shoot("3_reviewed")
    result["progress"] = progress()
    canvas.setExtent(canvas.mapSettings().layerExtentToOutputExtent(layer, layer.extent()))
    canvas.refresh()
    yield pause(1.5)
    yield lambda: not canvas.isDrawing()
    shoot("4_all")
    slider = window.findChild(QToolBar, "FusarReviewBar").findChild(QSlider)
    slider.setFocus()
    xdotool("key", "Page_Up", "key", "Page_Up", "key", "Page_Up", "key", "Page_Up")
    yield pause(1.5)
    yield lambda: not canvas.isDrawing()
    shoot("5_filtered")
    result["filtered"] = slider.parent()._text.text()
    canvas.zoomByFactor(6)
    yield pause(1.5)
    yield lambda: not canvas.isDrawing()
    shoot("6_zoomed_out")

    note_stall("other")
    bar = window.findChild(QToolBar, "FusarReviewBar")
    for form, name in (
        ("geojson", "r.geojson"),
        ("coco", "r.json"),
        ("training", "records"),
        ("gpkg", "r.gpkg"),
    ):
        bar._exporting.export(form, OUT / name)
        yield lambda name=name: any(name in text for text in messages())
    note_stall("export")
    result["exports"] = messages()[:4]
    bar._exporting.menu.popup(bar.mapToGlobal(QPoint(900, -150)))
    yield pause(0.5)
    shoot("7_export")
    bar._exporting.menu.close()

    result["decisions"] = [one for one in decisions(layer) if one]
    assert project.write(str(OUT / "survey.qgz"))
    result["saved"] = messages()[0]
    iface.newProject()
    yield pause(0.5)
    assert project.read(str(OUT / "survey.qgz"))
    yield pause(1.5)
    yield lambda: not canvas.isDrawing()
    again = next(one for one in project.mapLayers().values() if one.name() == "Detections")
    result["source"] = again.source()
    result["decisions_again"] = [one for one in decisions(again) if one]
    window.findChild(QAction, "FusarReview").trigger()
    yield pause(1.0)
    result["progress_again"] = progress()
    shoot("8_again")


def edit_a_box(layer):
    """Drag a corner, move, turn, nudge, and take all of it back; then drag the corner for good."""
    session = iface.mainWindow().findChild(QToolBar, "FusarReviewBar").session
    key, tool, canvas = session.key, session.tool, iface.mapCanvas()
    yield lambda: not canvas.isDrawing()
    view, before = canvas.extent(), shape(layer, key)
    shoot("2b_handles")
    corner, middle = corners(tool)[2], centre(tool)
    drag(corner, corner + QPoint(60, 40))
    yield lambda: shape(layer, key) != before
    yield pause(0.7)
    shoot("2c_corner")
    middle = centre(tool)
    dragged = shape(layer, key)
    drag(middle, middle + QPoint(50, -30))
    yield lambda: shape(layer, key) != dragged
    moved = shape(layer, key)
    yield pause(0.5)
    drag(knob(tool), knob(tool) + QPoint(90, 30), "Shift_L")
    yield lambda: shape(layer, key) != moved
    yield pause(0.7)
    shoot("2d_turned")
    turned = shape(layer, key)
    xdotool("key", "Right", "sleep", 0.1, "key", "Right")
    yield lambda: shape(layer, key) != turned
    note_stall("edit")
    for was in (turned, moved, dragged, before):
        yield pause(0.3)  # the keys are up again
        xdotool("key", "ctrl+z")
        yield lambda was=was: shape(layer, key) == was
    result["stayed"] = session.key == key and canvas.extent() == view
    corner = corners(tool)[2]
    drag(corner, corner + QPoint(30, 30), let_go=False)
    yield pause(0.7)
    xdotool("key", "Escape")
    yield pause(0.3)
    xdotool("mouseup", 1)
    yield pause(0.3)
    result["given_up"] = shape(layer, key) == before
    drag(corner, corner + QPoint(30, 30))
    yield lambda: shape(layer, key) != before
    xdotool("key", "n")
    yield pause(0.5)
    result["edited"] = {name: layer.getFeature(key)[name] for name in ("review", "model_box", *BOX)}


def shape(layer, key) -> str:
    return layer.getFeature(key).geometry().asWkt(3)


def corners(tool) -> list[QPoint]:
    viewport = iface.mapCanvas().viewport()
    return [viewport.mapToGlobal(one.toPoint()) for one in tool._on_canvas(tool._box.corners)]


def centre(tool) -> QPoint:
    one, _, other, _ = corners(tool)
    return (one + other) / 2


def knob(tool) -> QPoint:
    place = tool._knob_at(tool._on_canvas(tool._box.corners))
    return iface.mapCanvas().viewport().mapToGlobal(place.toPoint())


def interpret(task):
    window = iface.mainWindow()
    action = window.findChild(QAction, "FusarInterpretSar")
    click_on(window.findChild(QToolBar, "FusarToolBar").widgetForAction(action))
    yield lambda: action.isChecked()
    yield pause(0.5)
    drag(on_canvas(0.2, 0.15), on_canvas(0.8, 0.85))
    yield lambda: dialog() is not None and dialog().isVisible()
    yield lambda: start_button().isEnabled()
    dialog()._task.setCurrentIndex(dialog()._task.findData(task))
    yield pause(0.5)
    xdotool("key", "Return")
    yield lambda: not dialog().isVisible()
    yield lambda: any(item.findChildren(QPushButton) for item in iface.messageBar().items())


def on_canvas(x, y) -> QPoint:
    viewport = iface.mapCanvas().viewport()
    return viewport.mapToGlobal(QPoint(int(x * viewport.width()), int(y * viewport.height())))


def decisions(layer) -> list:
    return [str(f["review"]) if f["review"] else "" for f in layer.getFeatures()]


def reviewed(layer) -> int:
    return sum(1 for one in decisions(layer) if one and one != "NULL")


def progress() -> str:
    return iface.mainWindow().findChild(QToolBar, "FusarReviewBar")._progress.text()


def dialog():
    return iface.mainWindow().findChild(QDialog, "FusarRequestDialog")


def start_button():
    return next(button for button in dialog().findChildren(QPushButton) if button.isDefault())


def over() -> bool:
    items = iface.messageBar().items()
    buttons = [button.text() for item in items for button in item.findChildren(QPushButton)]
    return bool(items) and "Cancel" not in buttons


def note_stall(name):
    result[f"{name}_stall_ms"], stalls[0].longest_ms = round(stalls[0].longest_ms), 0.0


def shoot(name):
    directors[0].shoot(name)
    if stalls:
        stalls[0].forget()


QTimer.singleShot(0, lambda: directors.append(Director(story(), OUT, result)))
