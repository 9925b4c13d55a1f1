"""The chat panel: transcript, area, question."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from qgis.core import Qgis, QgsCoordinateReferenceSystem, QgsGeometry, QgsProject
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import Qt, QTimer
from qgis.PyQt.QtWidgets import (
    QAction,
    QFrame,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ...connection.backend import Backend
from ...connection.client import Client
from ...contract import Finding, Found, Info
from ...core.chat import Conversation, SeenChip, Turn
from ...core.request import tasks_of
from ...layers.features import geometry_of
from ...layers.run_layers import RunLayers
from ...layers.scene import Scene, SceneError, crs_of, scene_of
from ...layers.wording import questions_taken
from ...translation import translate_count
from ..areas import show_on_map
from ..flow_layout import FlowLayout
from ..messages import PRODUCT, show_message
from ..text_block import TextBlock
from .area_picker import AreaPicker
from .captions import suggestions
from .chat_request import ChatRequest, Consents, Sent
from .conversation_bar import ConversationBar
from .conversation_store import ConversationStore
from .model_menu import ModelMenu
from .on_map import area_of, chip_area_of
from .question import QuestionEdit
from .transcript import Transcript

_REFRESH_MS = 40


class ChatPanel(QWidget):
    """Asks one question at a time; while an answer is made, the Ask button stops it."""

    def __init__(self, iface: QgisInterface, backend: Backend, parent: QWidget) -> None:
        super().__init__(parent)
        self._iface = iface
        self._backend = backend
        self._asking: ChatRequest | None = None
        self._late: list[ChatRequest] = []  # their words are said, their pictures still come
        self._sent: Sent = {}
        self._consents: Consents = {}
        self._soon = QTimer(self)  # words may come faster than they can be laid out
        self._soon.setSingleShot(True)
        self._soon.setInterval(_REFRESH_MS)
        self._soon.timeout.connect(self._refresh)
        self._store = ConversationStore(self)
        self._make_parts()
        self._lay_out()
        self._connect()
        self._on_replaced()
        if backend.info is not None:
            self._options.offer(backend.info)
        self._show_abilities()

    def remove(self) -> None:
        """Stop what is under way and leave nothing behind."""
        for asking in (self._asking, *self._late):
            if asking is not None:
                asking.blockSignals(True)
                asking.stop()
        self._backend.ready.disconnect(self._on_ready)
        self._area.remove()
        self._store.remove()

    def shown(self, visible: bool) -> None:
        """The dock was shown, or hidden."""
        self._area.show_outline(visible)
        if visible:
            self._question.setFocus()

    def conversations_about(self, findings: Collection[str]) -> list[Conversation]:
        """Return the conversations that speak of one of these findings, by their ids."""
        return self._store.about(findings)

    def open_about(self, name: str, findings: Collection[str]) -> None:
        """Open the conversation with that id where it speaks of one of these findings."""
        for place, conversation in enumerate(self._store.conversations):
            turn = conversation.about(findings)
            if conversation.id == name and turn is not None:
                self._store.choose(place)
                self._transcript.go_to(turn)

    def ask(self) -> None:
        """Ask what is typed."""
        text = self._question.toPlainText().strip()
        if not text or self._asking is not None:
            return
        try:
            target, scene = self._area.target()
        except SceneError as error:
            self._show_problem(str(error))
            return
        self._show_problem("")
        self._question.clear()
        band = scene.band if scene.bands > 1 else None
        self._begin(Turn(text, target, replace(self._options.chosen(), band=band)), scene)

    def _begin(self, turn: Turn, scene: Scene) -> None:
        conversation = self._store.open
        conversation.turns.append(turn)
        self._transcript.add(turn)
        self._asking = ChatRequest(self._backend, conversation, scene, self._sent, self._consents, self)
        self._asking.changed.connect(self._refresh_soon)
        self._asking.ended.connect(self._on_ended)
        self._asking.over.connect(self._on_over)
        self._late.append(self._asking)
        self._show_state()
        self._store.renamed.emit()
        self._asking.start()
        self._refresh()

    def _retry(self, turn: Turn) -> None:
        """Ask the question of ``turn`` again, in its place if nothing was asked since."""
        if self._asking is not None:
            return
        layer = QgsProject.instance().mapLayer(turn.target.layer)
        try:
            scene = scene_of(layer)
        except SceneError as error:
            self._show_problem(str(error))
            return
        turns = self._store.open.turns
        if turns and turns[-1] is turn:
            turns.pop()
            self._transcript.show_conversation(self._store.open)
        self._begin(Turn(turn.question, turn.target, turn.options), scene)

    def _stop_or_ask(self) -> None:
        if self._asking is not None:
            self._asking.stop()
        else:
            self.ask()

    def _refresh_soon(self) -> None:
        if not self._soon.isActive():  # to start it again would put it off
            self._soon.start()

    def _refresh(self) -> None:
        for asking in self._late:
            self._transcript.refresh(asking.turn, asking.stage)

    def _on_ended(self) -> None:
        self._asking = None
        self._refresh()
        self._store.save()
        self._show_state()

    def _on_over(self) -> None:
        self._refresh()
        over = [asking for asking in self._late if asking is self.sender()]
        self._late = [asking for asking in self._late if asking not in over]
        if any(asking.conversation in self._store.conversations for asking in over):
            self._store.save()  # now with its pictures

    def _on_replaced(self) -> None:
        """Another conversation is open, perhaps of another project."""
        for asking in list(self._late):
            if asking.conversation not in self._store.conversations:
                asking.blockSignals(True)
                asking.stop()
                self._late.remove(asking)
                if asking is self._asking:
                    self._asking = None
        self._transcript.show_conversation(self._store.open)
        self._refresh()
        self._show_state()

    def _on_ready(self, _: Client, info: Info) -> None:
        self._options.offer(info)
        self._show_abilities()

    def _show_abilities(self) -> None:
        """Suggest what the model was taught, and say what it can be asked where that is not anything."""
        model = self._options.model
        tasks = list(self._idea_of) if model is None else tasks_of(model, list(self._idea_of))
        self._transcript.suggest(tasks)
        for task, idea in self._idea_of.items():
            idea.setVisible(task in tasks)
        self._notice.setVisible(model is not None and model.demonstration)
        limited = model is not None and not model.free_questions
        self._question.say_what_is_taken(questions_taken(model) if model is not None and limited else "")

    def _point(self, turn: Turn, findings: tuple[Finding, ...]) -> None:
        if findings:
            self._go_to([geometry_of(finding) for finding in findings], crs_of(findings[0].crs))
        else:
            area = area_of(turn.target)
            self._go_to([area.outline], area.crs)

    def _point_at_chip(self, turn: Turn, chip: SeenChip | None) -> None:
        area = chip_area_of(turn, chip)
        self._go_to([area.outline], area.crs)

    def _go_to(self, shapes: list[QgsGeometry], crs: QgsCoordinateReferenceSystem) -> None:
        """Show a place on the map; what the next question is about stays, and that is said."""
        if self._area.hold_view():
            self._show_problem(
                self.tr(
                    "The next question is still about the area framed on the map. Press View to ask about what the "
                    "map shows now."
                )
            )
        if not show_on_map(self._iface.mapCanvas(), shapes, crs):
            self._show_problem(self.tr("The map cannot show that place in its coordinate system."))

    def _add_to_map(self, turn: Turn) -> None:
        """Make layers of an answer's findings, a group for each of its runs."""
        findings = [mention.finding for mention in turn.rests_on.mentions]
        scene = QgsProject.instance().mapLayer(turn.target.layer)
        source = "" if scene is None else scene.source()
        first, *others = turn.rests_on.runs or ({},)
        for run in (*others, first):
            its = [one for one in findings if run is first or one.properties.get("run") == run.get("id")]
            findings = [one for one in findings if one not in its]
            if its:
                # Not a child: what was found is written even if the dock goes.
                layers = RunLayers(run, QgsProject.instance(), source)
                layers.warned.connect(self._show_problem)
                layers.add(Found(tuple(its)))
                layers.finish()
        count = len(turn.rests_on.mentions)
        text = translate_count("ChatPanel", "Put on the map: %n finding(s) of the answer.", count)
        self._show_message(text, Qgis.MessageLevel.Success)

    def _make_parts(self) -> None:
        self._conversations = ConversationBar(self._store, self)
        self._transcript = Transcript(self)
        self._area = AreaPicker(self._iface, self)
        self._notice = TextBlock(self)
        self._notice.setObjectName("FusarChatNotice")
        self._notice.setPlainText(self.tr("A demonstration model answers here: do not rely on its answers."))
        self._notice.hide()
        self._warning = TextBlock(self)
        self._warning.setObjectName("FusarChatWarning")
        self._warning.hide()
        self._question = QuestionEdit(self)
        self._options = ModelMenu(self)
        self._ideas = QToolButton(self)
        self._ideas.setText(self.tr("&Suggestions"))
        self._ideas.setAutoRaise(True)
        self._ideas.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._ideas.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self._ideas)
        self._idea_of: dict[str, QAction] = {}
        for task, words in suggestions().items():
            idea = self._idea_of[task] = menu.addAction(words)
            idea.setData(words)  # its text may get an accelerator
            idea.triggered.connect(self._on_idea)
        self._ideas.setMenu(menu)
        self._button = QPushButton(self)
        self._button.setObjectName("FusarChatAsk")
        self._button.setAutoDefault(False)

    def _lay_out(self) -> None:
        line = QFrame(self)
        line.setFrameShape(QFrame.Shape.HLine)
        line.setFrameShadow(QFrame.Shadow.Sunken)
        row = FlowLayout(last_right=True)
        for button in (self._ideas, self._options, self._button):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(5)
        layout.addWidget(self._conversations)
        layout.addWidget(self._notice)
        layout.addWidget(self._transcript, 1)
        layout.addWidget(line)
        for widget in (self._area, self._warning, self._question):
            layout.addWidget(widget)
        layout.addLayout(row)

    def _connect(self) -> None:
        self._store.replaced.connect(self._on_replaced)
        self._conversations.exported.connect(self._on_exported)
        self._conversations.failed.connect(self._show_problem)
        self._transcript.pointed.connect(self._point)
        self._transcript.chip_pointed.connect(self._point_at_chip)
        self._transcript.retried.connect(self._retry)
        self._transcript.added.connect(self._add_to_map)
        self._transcript.suggested.connect(self._suggest)
        self._area.problem.connect(self._show_problem)
        self._question.entered.connect(self.ask)
        self._question.escaped.connect(self._on_escape)
        self._question.textChanged.connect(self._show_button)
        self._options.changed.connect(self._show_abilities)
        self._button.clicked.connect(self._stop_or_ask)
        self._backend.ready.connect(self._on_ready)

    def _show_state(self) -> None:
        self._question.remember([turn.question for turn in self._store.open.turns])
        self._show_button()

    def _show_button(self) -> None:
        running = self._asking is not None
        self._button.setText(self.tr("S&top") if running else self.tr("&Ask"))
        self._button.setEnabled(running or bool(self._question.toPlainText().strip()))

    def _suggest(self, words: str) -> None:
        self._question.put(words)
        self._question.setFocus()

    def _on_idea(self) -> None:
        self._suggest(self.sender().data())

    def _on_escape(self) -> None:
        if self._asking is not None:
            self._asking.stop()
        else:
            self._iface.mapCanvas().setFocus()

    def _on_exported(self, name: str) -> None:
        self._show_message(
            self.tr("The conversation was written to “{file}”.").format(file=name), Qgis.MessageLevel.Success
        )

    def _show_message(self, text: str, level: Qgis.MessageLevel) -> None:
        show_message(self._iface.messageBar(), PRODUCT, text, level)

    def _show_problem(self, text: str) -> None:
        self._warning.setPlainText(text)
        self._warning.setVisible(bool(text))
