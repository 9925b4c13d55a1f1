"""Runs inside the real QGIS (``qgis --code``): talks about a scene with mouse and keyboard, and notes what happens.

FUSAR_DRIVE is a JSON object: scene, out (a folder for result.json and screenshots), questions (the first one finds
something), corners (of the area that the map shows, as shares of the scene: x1, y1, x2, y2 from the lower left).
"""

import json
import os
from pathlib import Path

from acting import Director, Stalls, click, click_on, messages, pause, set_the_stage, xdotool
from qgis.core import QgsProject, QgsRectangle, QgsVectorLayer
from qgis.PyQt.QtCore import QPoint, Qt, QTimer
from qgis.PyQt.QtGui import QTextCursor
from qgis.PyQt.QtWidgets import (
    QAction,
    QApplication,
    QDockWidget,
    QPlainTextEdit,
    QTextBrowser,
    QToolBar,
    QToolButton,
)
from qgis.utils import iface, unloadPlugin

PLAN = json.loads(os.environ["FUSAR_DRIVE"])
OUT = Path(PLAN["out"])
WIDTH = 380

result = {"answers": []}
directors = []


def shoot(name: str):
    directors[0].shoot(name)


def dock() -> QDockWidget:
    return iface.mainWindow().findChild(QDockWidget, "FusarChatDock")


def panel():
    return dock().widget()


def answers() -> list[QTextBrowser]:
    found = dock().findChildren(QTextBrowser, "FusarChatAnswer")
    return sorted(found, key=lambda block: block.mapToGlobal(QPoint()).y())


def is_over() -> bool:
    return not panel()._late


def ask(words: str):
    """Type a question and wait for its answer; note how it went."""
    click_on(dock().findChild(QPlainTextEdit, "FusarQuestion"))
    yield pause(0.2)
    if words.isascii():
        xdotool("type", "--delay", "15", words)
    else:  # there is no Chinese keyboard
        QApplication.clipboard().setText(words)
        xdotool("key", "ctrl+v")
    yield lambda: panel()._question.toPlainText() == words
    before, stalls = len(answers()), Stalls()
    xdotool("key", "Return")
    yield lambda: len(answers()) > before and bool(answers()[-1].toPlainText())
    seen = len(answers()[-1].toPlainText())
    shoot(f"answer_{before}_begins")
    stalls.forget()
    yield is_over
    longest = stalls.longest_ms
    turn = panel()._store.open.turns[-1]
    result["answers"].append(
        {
            "question": turn.question,
            "state": turn.state,
            "problem": turn.problem,
            "answer": turn.answer,
            "seen_first": seen,
            "first_word_s": turn.first_word_s,
            "findings": len(turn.rests_on.mentions),
            "links": len(turn.places()),
            "pictures": [len(turn.picture), len(turn.chip)],
            "longest_stall_ms": round(longest, 1),
        }
    )
    yield pause(0.3)
    shoot(f"answer_{before}")


def show_scene_part():
    extent = iface.activeLayer().extent()
    x1, y1, x2, y2 = PLAN["corners"]
    part = QgsRectangle(
        extent.xMinimum() + x1 * extent.width(),
        extent.yMinimum() + y1 * extent.height(),
        extent.xMinimum() + x2 * extent.width(),
        extent.yMinimum() + y2 * extent.height(),
    )
    canvas = iface.mapCanvas()
    canvas.setExtent(canvas.mapSettings().layerExtentToOutputExtent(iface.activeLayer(), part))


def first_link(block: QTextBrowser) -> QPoint:
    """Where on the screen the first link of an answer is."""
    cursor = QTextCursor(block.document())
    while not cursor.charFormat().isAnchor():
        assert cursor.movePosition(QTextCursor.MoveOperation.NextCharacter)
    place = block.cursorRect(cursor).center() + QPoint(12, 0)
    panel()._transcript.ensureVisible(
        0, block.viewport().mapTo(panel()._transcript.widget(), place).y(), 0, 60
    )
    return block.viewport().mapToGlobal(place)


def vectors() -> list[QgsVectorLayer]:
    return [
        layer for layer in QgsProject.instance().mapLayers().values() if isinstance(layer, QgsVectorLayer)
    ]


def story():
    window, canvas = iface.mainWindow(), iface.mapCanvas()
    yield from set_the_stage(PLAN["scene"])
    show_scene_part()
    assert dock() is None
    action = window.findChild(QAction, "FusarChat")
    click_on(window.findChild(QToolBar, "FusarToolBar").widgetForAction(action))
    yield lambda: dock() is not None and dock().isVisible()
    window.resizeDocks([dock()], [WIDTH], Qt.Orientation.Horizontal)
    yield pause(1.0)
    yield lambda: not canvas.isDrawing()
    result["width"] = dock().width()
    shoot("dock")

    question, *others = PLAN["questions"]
    yield from ask(question)
    before = canvas.extent()
    first_link(answers()[-1])  # scrolls there
    yield pause(0.3)
    click(first_link(answers()[-1]))
    yield lambda: canvas.extent() != before
    yield pause(0.25)
    shoot("link")
    result["zoomed"] = [before.width(), canvas.extent().width()]

    button = [one for one in dock().findChildren(QToolButton, "FusarChatAdd") if one.isVisible()][-1]
    panel()._transcript.ensureWidgetVisible(button)
    yield pause(0.2)
    click_on(button)
    yield lambda: sum(layer.featureCount() for layer in vectors()) == result["answers"][0]["findings"]
    yield pause(1.0)
    yield lambda: not canvas.isDrawing()
    shoot("map")
    result["layers"] = [layer.name() for layer in vectors()]
    result["messages"] = messages()

    layer = next(layer for layer in vectors() if layer.featureCount())
    layer.selectByIds([next(layer.getFeatures()).id()])
    yield pause(0.3)
    result["selection"] = panel()._area._selection.text()
    yield from ask("what is this?")
    layer.removeSelection()
    show_scene_part()
    yield pause(0.5)
    for words in others:
        yield from ask(words)

    path = str(OUT / "work.qgz")
    result["saved"] = QgsProject.instance().write(path)
    turns = [(turn.question, turn.answer) for turn in panel()._store.open.turns]
    iface.newProject()
    yield pause(0.5)
    result["emptied"] = [len(panel()._store.open.turns), len(answers())]
    iface.addProject(path)
    yield lambda: len(answers()) == len(turns)
    yield pause(0.8)
    shoot("reopened")
    result["same"] = [(turn.question, turn.answer) for turn in panel()._store.open.turns] == turns

    click_on(window.findChild(QToolBar, "FusarToolBar").widgetForAction(action))
    yield lambda: not dock().isVisible()
    unloadPlugin("fusar_qgis")
    yield pause(0.3)
    result["left"] = [
        one.objectName() for one in window.findChildren(QDockWidget) if "Fusar" in one.objectName()
    ]
    result["left"] += [
        one.text() for one in window.findChildren(QAction) if one.objectName().startswith("Fusar")
    ]


QTimer.singleShot(0, lambda: directors.append(Director(story(), OUT, result)))
