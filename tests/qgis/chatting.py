"""What the tests of the chat do to its panel, and where they look."""

from __future__ import annotations

from qgis.PyQt.QtCore import QCoreApplication, QEvent, Qt
from qgis.PyQt.QtTest import QTest

from fusar_qgis.gui.chat.turn_view import TurnView
from fusar_qgis.gui.text_block import TextBlock

ENTER = Qt.Key.Key_Return


def settle():
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QCoreApplication.processEvents()


def say(panel, text):
    if text.isascii():
        QTest.keyClicks(panel._question, text)
    else:  # Qt's test keyboard has no Chinese
        panel._question.put(text)
    QTest.keyClick(panel._question, ENTER)


def last(panel):
    return panel._store.open.turns[-1]


def views(panel) -> list[TurnView]:
    return panel._transcript._views


def answer_of(panel) -> TextBlock:
    return views(panel)[-1]._answer
