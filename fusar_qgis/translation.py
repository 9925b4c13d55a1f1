"""Texts in the analyst's language. pylupdate5 collects the calls of these names, with their literals."""

from __future__ import annotations

import re

from qgis.PyQt.QtCore import QCoreApplication


def translate(context: str, text: str) -> str:
    """Return ``text`` in the analyst's language."""
    return str(QCoreApplication.translate(context, text))


def translate_count(context: str, text: str, n: int) -> str:
    """Return ``text`` about ``n`` things in the analyst's language, in the form that its grammar wants for ``n``.

    ``text`` holds the number as ``%n`` and its plural as ``(s)`` or ``(es)``, as Qt's tools know it: ``%n ship(s)``.
    Where no translation is loaded, these become English: ``1 ship``, ``3 ships``.
    """
    said = str(QCoreApplication.translate(context, text, None, n))
    return re.sub(r"\((e?s)\)", "" if n == 1 else r"\1", said)


def QT_TRANSLATE_NOOP(_context: str, text: str) -> str:  # noqa: N802 - pylupdate5 looks for this name
    """Mark a text that is translated where it is shown."""
    return text


def translate_marked(context: str, text: str) -> str:
    """Return a text that QT_TRANSLATE_NOOP has marked in the analyst's language."""
    return translate(context, text)
