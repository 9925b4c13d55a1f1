"""Texts in the analyst's language. pylupdate5 collects the calls of these names, with their literals."""

from __future__ import annotations

from qgis.PyQt.QtCore import QCoreApplication


def translate(context: str, text: str) -> str:
    """Return ``text`` in the analyst's language."""
    return str(QCoreApplication.translate(context, text))


def QT_TRANSLATE_NOOP(_context: str, text: str) -> str:  # noqa: N802 - pylupdate5 looks for this name
    """Mark a text that is translated where it is shown."""
    return text
