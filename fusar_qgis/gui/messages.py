"""Messages to the analyst in QGIS's message bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from html import escape

from qgis.core import Qgis
from qgis.gui import QgsMessageBar, QgsMessageBarItem, QgsMessageViewer
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtWidgets import QPushButton

PRODUCT = "FUSAR-GPT"
_SECONDS = 15
_OFFER_SECONDS = 60
_LONGEST = 240
"""What the bar's two lines hold, in bytes: a Chinese character has three, and twice the width of a Latin letter."""
_SURELY_SHOWN = 120
"""What they hold in a small window, beside buttons."""


def show_message(
    bar: QgsMessageBar,
    title: str,
    text: str,
    level: Qgis.MessageLevel,
    *,
    lasting: bool = False,
    offers: Mapping[str, Callable[[], None]] | None = None,
) -> None:
    """Show plain text for a while; a failure, and what is ``lasting``, until it is read.

    What may be too long for the bar, or has a second paragraph, such as a program's own words, is there whole, in as
    many lines as it needs, behind a button “Details”.
    ``offers`` are buttons with what they do; a click takes the message away.
    """
    seconds = _OFFER_SECONDS if offers else _SECONDS
    if lasting or level == Qgis.MessageLevel.Critical:
        seconds = 0
    # The bar takes HTML, and a file's name or a backend's reason is none.
    sentences = text.partition("\n\n")[0]
    begun = escape(sentences.encode()[:_LONGEST].decode(errors="ignore"), quote=False)
    size = len(sentences.encode())
    item = bar.createMessage(escape(title, quote=False), f"{begun} …" if size > _LONGEST else begun)
    if size > _SURELY_SHOWN or sentences != text:
        details = QPushButton(QCoreApplication.translate("Messages", "Details"))
        details.clicked.connect(partial(_do, partial(show_whole, bar, title, text)))
        item.layout().addWidget(details)
    for words, do in (offers or {}).items():
        button = QPushButton(words)
        button.clicked.connect(partial(_do, do))
        button.clicked.connect(partial(_do, partial(take_away, bar, item)))
        item.layout().addWidget(button)
    item.setLevel(level)
    item.setDuration(seconds)
    bar.pushItem(item)


def take_away(bar: QgsMessageBar, item: QgsMessageBarItem) -> None:
    """Remove a message; the one below gets the time of its own.

    QGIS goes on counting the seconds of a message that is removed by name, and then removes the one below.
    """
    if item is bar.currentItem():
        bar.popWidget()
    else:
        bar.popWidget(item)


def show_whole(bar: QgsMessageBar, title: str, text: str) -> None:
    """Show plain text of any length in a window of its own."""
    viewer = QgsMessageViewer(bar.window())
    viewer.setTitle(title)
    viewer.setMessageAsPlainText(text)
    viewer.showMessage(False)


def _do(do: Callable[[], None], _: bool) -> None:
    do()
