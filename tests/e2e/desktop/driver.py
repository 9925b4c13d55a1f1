"""Runs inside the real QGIS (``qgis --code``): does with mouse and keyboard what an analyst does, and notes it down.

FUSAR_DRIVE is a JSON object: scene, out (a folder for result.json and screenshots), task, targets, corners (of the
rectangle, as shares of the canvas: x1, y1, x2, y2), cancel (press Cancel at the first finding), kill (kill -9 the
backend at the first finding), refused (the backend lets nobody in: only press the button), panel (open the findings
panel before the run) and patience_s.
"""

import json
import os
import subprocess
from pathlib import Path

from acting import Director, Stalls, click_on, drag, messages, pause, set_the_stage, xdotool
from qgis.core import QgsProject, QgsVectorLayer
from qgis.PyQt.QtCore import QPoint, QTimer
from qgis.PyQt.QtWidgets import QAction, QDialog, QPushButton, QToolBar
from qgis.utils import iface, unloadPlugin

PLAN = json.loads(os.environ["FUSAR_DRIVE"])
OUT = Path(PLAN["out"])

result = {"messages": []}
directors = []


def shoot(name: str):
    directors[0].shoot(name)


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


def story():
    """What the analyst does; each ``yield`` waits until what it gives is true."""
    window, canvas = iface.mainWindow(), iface.mapCanvas()
    yield from set_the_stage(PLAN["scene"])
    shoot("1_scene")
    # A message goes after some seconds, and on a slow machine the run lasts longer.
    result["every message"] = []
    iface.messageBar().widgetAdded.connect(note_messages)

    opening = Stalls()
    action = window.findChild(QAction, "FusarInterpretSar")
    click_on(window.findChild(QToolBar, "FusarToolBar").widgetForAction(action))
    if PLAN["refused"]:
        yield lambda: bool(messages())
        shoot("2_refused")
        result["messages"] = messages()
        return
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
    yield lambda: sees(dialog().preview._chip)
    result["longest_stall_before_ms"] = round(opening.longest_ms, 1)
    yield pause(0.5)
    shoot("2_question")
    if PLAN["panel"]:
        window.findChild(QAction, "FusarFindings").trigger()
        yield pause(1.0)

    stalls = Stalls()
    xdotool("key", "Return")
    yield lambda: not dialog().isVisible()
    yield lambda: bool(findings()) or over()
    if PLAN["kill"]:
        backend = ["pkill", "-9", "-P", str(os.getpid()), "-f", "serve --child"]
        result["killed in mid-run"] = subprocess.run(backend).returncode == 0 and not over()
        yield (
            lambda: note_messages(None) or any("when it is back" in text for text in result["every message"])
        )
    yield pause(0.3)
    shoot("3_running")
    stalls.forget()
    if PLAN["cancel"]:
        button = next(
            button
            for item in iface.messageBar().items()
            for button in item.findChildren(QPushButton)
            if button.text() == "Cancel"
        )
        click_on(button)
    yield over
    result["longest_stall_ms"] = round(stalls.longest_ms, 1)
    result["stalls_over_20_ms"] = list(stalls.over_20_ms)
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


def note_messages(_):
    result["every message"] += [text for text in messages() if text not in result["every message"]]


def dialog():
    return iface.mainWindow().findChild(QDialog, "FusarRequestDialog")


def sees(label) -> bool:
    return label.pixmap() is not None and not label.pixmap().isNull()


def start_button():
    return next(button for button in dialog().findChildren(QPushButton) if button.isDefault())


def over() -> bool:
    """Only the message of a run under way can be cancelled."""
    items = iface.messageBar().items()
    return bool(items) and all(
        button.text() != "Cancel" for item in items for button in item.findChildren(QPushButton)
    )


QTimer.singleShot(0, lambda: directors.append(Director(story(), OUT, result, PLAN["patience_s"])))
