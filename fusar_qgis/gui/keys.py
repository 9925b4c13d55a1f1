"""Single keys that count in a few widgets only, so that QGIS keeps its own shortcuts everywhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from qgis.PyQt.QtCore import QEvent, QObject, Qt
from qgis.PyQt.QtGui import QKeyEvent, QKeySequence
from qgis.PyQt.QtWidgets import QAction, QWidget


class Keys(QObject):
    """Triggers actions by single keys without Ctrl, Alt or Meta; ``Ctrl+Z`` stands for the platform's key of undo.

    A QShortcut would be ambiguous, and do nothing, where QGIS or another plugin has the same key.
    """

    def __init__(self, actions: Mapping[QAction, Iterable[str]], parent: QObject) -> None:
        """``actions`` says the keys of each, such as ``A``, ``+``, ``Esc`` or ``Insert``."""
        super().__init__(parent)
        self._actions = {key: action for action, keys in actions.items() for key in keys}
        self._widgets: list[QWidget] = []

    def listen_to(self, widgets: Iterable[QWidget]) -> None:
        """Take the keys of these widgets, though not of those inside them."""
        self._widgets += widgets
        for widget in self._widgets:
            widget.installEventFilter(self)

    def remove(self) -> None:
        """Give the keys back."""
        for widget in self._widgets:
            widget.removeEventFilter(self)
        self._widgets.clear()

    def eventFilter(self, _: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt calls it by this name
        """Claim a key before it becomes a shortcut of QGIS, then act on it."""
        if event.type() not in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress):
            return False
        action = self._action(event)
        if action is None:
            return False
        event.accept()
        if event.type() == QEvent.Type.KeyPress:
            action.trigger()
        return True

    def _action(self, event: QKeyEvent) -> QAction | None:
        if event.matches(QKeySequence.StandardKey.Undo):
            return self._actions.get("Ctrl+Z")
        own = Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.KeypadModifier
        if event.modifiers() & ~own:
            return None
        named = QKeySequence(event.key()).toString(QKeySequence.SequenceFormat.PortableText)
        return self._actions.get(named) or self._actions.get(event.text().upper())
