"""The list of turns of the open conversation; suggested questions while it is empty."""

from __future__ import annotations

from collections.abc import Collection
from html import escape

from qgis.PyQt.QtCore import Qt, QTimer, QUrl, pyqtSignal
from qgis.PyQt.QtWidgets import QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from ...core.chat import Conversation, Turn
from ..text_block import TextBlock
from .captions import suggestions
from .turn_view import TurnView

_SHOWN = 200
_SETTLE_MS = 50


class Transcript(QScrollArea):
    """Shows a conversation, the newest turn last, and stays at its end while the analyst does.

    The views of a long conversation are made one at a time, so that QGIS does not stand still.
    """

    pointed = pyqtSignal(object, object)  # Turn, findings
    chip_pointed = pyqtSignal(object, object)  # Turn, SeenChip or None
    retried = pyqtSignal(object)  # Turn
    added = pyqtSignal(object)  # Turn
    suggested = pyqtSignal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("FusarTranscript")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # Not as needed: beside it pictures are smaller, and it might not be needed then, for ever in turn.
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._views: list[TurnView] = []
        self._waiting: list[Turn] = []
        self._wanted: Turn | None = None
        self._at_end = True
        self._page = QWidget()
        self._column = QVBoxLayout(self._page)
        self._column.setContentsMargins(2, 6, 8, 2)
        self._welcome = self._make_welcome()
        self._column.addWidget(self._welcome)
        self._column.addStretch()
        self.setWidget(self._page)
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._add_one)
        self._settled = QTimer(self)  # once texts have their height
        self._settled.setSingleShot(True)
        self._settled.setInterval(_SETTLE_MS)
        self._settled.timeout.connect(self._scroll_to_wanted)
        bar = self.verticalScrollBar()
        bar.rangeChanged.connect(self._on_range)
        bar.valueChanged.connect(self._on_value)

    def show_conversation(self, conversation: Conversation) -> None:
        """Show ``conversation`` from its end."""
        self._timer.stop()
        for view in self._views:
            self._column.removeWidget(view)
            view.hide()
            view.deleteLater()
        self._views = []
        self._at_end, self._wanted = True, None
        self._waiting = list(conversation.turns[-_SHOWN:])
        self._welcome.setVisible(not self._waiting)
        self._add_one()

    def add(self, turn: Turn) -> None:
        """Show a turn below all others."""
        self._welcome.hide()
        self._at_end = True
        self._views.append(self._view_of(turn))
        self._column.insertWidget(self._column.count() - 1, self._views[-1])

    def go_to(self, turn: Turn) -> None:
        """Show where ``turn`` begins, as soon as it has a view."""
        self._wanted, self._at_end = turn, False
        if not self._waiting:
            self._settled.start()

    def _scroll_to_wanted(self) -> None:
        for view in self._views:
            if view.turn is self._wanted:
                self.verticalScrollBar().setValue(view.y())
        self._wanted = None

    def refresh(self, turn: Turn, stage: str) -> None:
        """Show what is new about ``turn``, if it is in the open conversation."""
        for view in self._views:
            if view.turn is turn:
                view.show_turn(stage)

    def suggest(self, tasks: Collection[str]) -> None:
        """Suggest questions of these tasks only."""
        links = [
            f'<p><a href="#{task}">{escape(words)}</a></p>'
            for task, words in suggestions().items()
            if task in tasks
        ]
        self._suggestions.setHtml("".join(links))

    def _add_one(self) -> None:
        """Make the view of the last turn that has none."""
        if self._waiting:
            self._views.insert(0, self._view_of(self._waiting.pop()))
            self._column.insertWidget(1, self._views[0])
        if self._waiting:
            self._timer.start()
        else:
            self._timer.stop()
            self._settled.start()

    def _view_of(self, turn: Turn) -> TurnView:
        view = TurnView(turn, self._page)
        view.pointed.connect(self.pointed)
        view.chip_pointed.connect(self.chip_pointed)
        view.retried.connect(self.retried)
        view.added.connect(self.added)
        return view

    def _make_welcome(self) -> QWidget:
        welcome = QWidget(self._page)
        layout = QVBoxLayout(welcome)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(0)
        title = QLabel(self.tr("What do you want to know about this area?"), welcome)
        title.setWordWrap(True)
        font = title.font()
        font.setBold(True)
        title.setFont(font)
        hint = QLabel(
            self.tr(
                "Choose an area below and ask in your own words. What an answer found is a link to the map."
            ),
            welcome,
        )
        hint.setWordWrap(True)
        layout.addWidget(title)
        layout.addSpacing(4)
        layout.addWidget(hint)
        layout.addSpacing(8)
        self._suggestions = TextBlock(welcome)  # no buttons: their text cannot wrap
        self._suggestions.setObjectName("FusarChatSuggestions")
        self._suggestions.setAccessibleName(self.tr("Suggested questions"))
        self._suggestions.anchorClicked.connect(self._on_suggestion)
        layout.addWidget(self._suggestions)
        self.suggest(list(suggestions()))
        return welcome

    def _on_suggestion(self, link: QUrl) -> None:
        words = suggestions().get(link.fragment())
        if words:
            self.suggested.emit(words)

    def _on_range(self, _: int, end: int) -> None:
        if self._at_end:
            self.verticalScrollBar().setValue(end)

    def _on_value(self, value: int) -> None:
        self._at_end = value >= self.verticalScrollBar().maximum() - 2
