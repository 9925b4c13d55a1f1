"""Messages to the analyst in QGIS's message bar."""

from __future__ import annotations

from html import escape

from qgis.core import Qgis
from qgis.gui import QgsMessageBar

PRODUCT = "FUSAR-GPT"
_SECONDS = 15


def show_message(
    bar: QgsMessageBar, title: str, text: str, level: Qgis.MessageLevel, *, lasting: bool = False
) -> None:
    """Show plain text for a while; a failure, and what is ``lasting``, until it is read."""
    seconds = 0 if lasting or level == Qgis.MessageLevel.Critical else _SECONDS
    # The bar takes HTML, and a file's name or a backend's reason is none.
    bar.pushMessage(escape(title, quote=False), escape(text, quote=False), level, seconds)
