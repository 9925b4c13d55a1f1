"""Messages to the analyst in QGIS's message bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from html import escape

from qgis.core import Qgis
from qgis.gui import QgsMessageBar
from qgis.PyQt.QtWidgets import QPushButton

PRODUCT = "FUSAR-GPT"
_SECONDS = 15
_OFFER_SECONDS = 60
_LONGEST = 240
"""What the bar's two lines hold, in bytes: a Chinese character has three, and twice the width of a Latin letter."""


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

    What is too long for the bar is there whole behind its button “Show more”.
    ``offers`` are buttons with what they do; a click takes the message away.
    """
    seconds = _OFFER_SECONDS if offers else _SECONDS
    if lasting or level == Qgis.MessageLevel.Critical:
        seconds = 0
    # The bar takes HTML, and a file's name or a backend's reason is none.
    begun = escape(text.encode()[:_LONGEST].decode(errors="ignore"), quote=False)
    is_long = len(text.encode()) > _LONGEST
    title, text = escape(title, quote=False), escape(text, quote=False)
    if not offers and is_long:
        bar.pushMessage(title, f"{begun} …", f"<p>{text}</p>", level, seconds)
        return
    if not offers:
        bar.pushMessage(title, text, level, seconds)
        return
    item = bar.createMessage(title, text)
    for words, do in offers.items():
        button = QPushButton(words)
        button.clicked.connect(partial(_do, do))
        button.clicked.connect(partial(bar.popWidget, item))
        item.layout().addWidget(button)
    item.setLevel(level)
    item.setDuration(seconds)
    bar.pushItem(item)


def _do(do: Callable[[], None], _: bool) -> None:
    do()
