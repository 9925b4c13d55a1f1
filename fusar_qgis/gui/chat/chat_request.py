"""Runs one chat question: connect, upload the scene, stream the answer, draw the pictures."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtNetwork import QNetworkReply
from qgis.PyQt.QtWidgets import QWidget

from ...connection.backend import Backend
from ...connection.chat_stream import ChatStream
from ...connection.client import Client
from ...connection.network_consent import may_fetch
from ...contract import Info, Preview, ProtocolError, read
from ...core.chat import Answered, Conversation, request
from ...core.completions import ChipsDone, Refused
from ...layers.scene import Scene
from ..prior_consent import PriorCheck
from ..scene_upload import SceneUpload
from .on_map import AreaPicture, area_of, jpeg, read_picture

Sent = dict[tuple[str, str, str], str]
"""What ``inputs.scene`` may say for the backend's address, a layer's id and an area."""
Consents = dict[tuple[str, ...], bool]
"""Whether the prior may be fetched, as it was answered for the same and a prior."""


class ChatRequest(QObject):
    """Gets the last turn of a conversation answered, and writes into it what comes.

    Before a prior is fetched from the network the analyst is asked, unless that is answered for every place.
    ``changed`` when there is more to show, ``ended`` once, when the words are complete, ``over`` when nothing more
    comes; then it deletes itself.
    """

    changed = pyqtSignal()
    ended = pyqtSignal()
    over = pyqtSignal()

    def __init__(
        self,
        backend: Backend,
        conversation: Conversation,
        scene: Scene,
        known: Sent,
        consents: Consents,
        parent: QWidget,
    ) -> None:
        """Make ready to ask.

        Args:
            backend: Who answers.
            conversation: Its last turn is asked.
            scene: The scene of that turn.
            known: The parts of scenes that the backend has already.
            consents: What was answered about their priors.
            parent: A widget; the question about the prior belongs to its window.
        """
        super().__init__(parent)
        self.conversation = conversation
        self.turn = conversation.turns[-1]
        self.stage = self.tr("Connecting to the backend…")
        self._backend = backend
        self._scene = scene
        self._known, self._consents = known, consents
        self._sent = ""
        self._upload: SceneUpload | None = None
        self._model = self.turn.options.model
        self._window = parent.window()
        self._client: Client | None = None
        self._check: PriorCheck | None = None
        self._may_fetch = self._was_asked = False
        self._stream: ChatStream | None = None
        self._preview: QNetworkReply | None = None
        self._part = ("", "", "")
        self._begun = 0.0
        self._picture = AreaPicture(self.turn, self)
        self._picture.drawn.connect(self._add_picture)

    def start(self) -> None:
        """Send the question."""
        self._backend.ready.connect(self._on_ready)
        self._backend.failed.connect(self._fail)
        self._backend.open()
        if self.turn.state == "asked":
            self._picture.start()

    def stop(self) -> None:
        """Stop at once, and keep what was said so far."""
        self._picture.stop()
        if self.turn.state == "asked":
            self._end("stopped")
        elif self._preview is not None:
            self._preview.abort()

    def _on_ready(self, client: Client, info: Info) -> None:
        if self._client is not None or not info.models:
            return
        self._client = client
        names = [model.name for model in info.models]
        self._model = self._model if self._model in names else names[0]
        self._part = (client.endpoint.url, self._scene.layer_id, json.dumps(self.turn.target.area))
        if self._part in self._known:
            self._ask(self._known[self._part])
            return
        self._upload = SceneUpload(client, self._scene, area_of(self.turn.target), self)
        self._upload.arrived.connect(self._ask)
        self._upload.failed.connect(self._fail)
        self._upload.progressed.connect(self._on_uploading)
        self._upload.start()

    def _on_uploading(self, percent: float) -> None:
        self._report(self.tr("Sending the area to the backend: {percent} %").format(percent=round(percent)))

    def _ask(self, sent: str) -> None:
        self._sent = sent
        if self._client is None:
            return
        answer = self._consents.get(self._place)
        if answer is not None and not may_fetch():  # one question for each place, not for each turn
            self._look(answer)
            return
        self._check = PriorCheck(self._client, self._window, self)
        self._check.asking.connect(self._on_asking)
        self._check.settled.connect(self._look)
        self._check.start(self._looked_at())

    def _on_asking(self) -> None:
        self._was_asked = True
        self._report(self.tr("The question about the prior waits for your answer."))

    def _look(self, allowed: bool) -> None:
        self._check, self._may_fetch = None, allowed
        if self._was_asked:
            self._consents[self._place] = allowed
        if self._client is None:
            return
        self._report(self.tr("Looking…"))
        self._begun = time.monotonic()
        self._stream = ChatStream(self._client, self._body())
        self._stream.text_received.connect(self._on_text)
        self._stream.progressed.connect(self._on_progress)
        self._stream.ended.connect(self._on_ended)
        self._stream.start()

    def _on_text(self, words: str) -> None:
        if self.turn.first_word_s is None:
            self.turn.first_word_s = time.monotonic() - self._begun
        self.turn.answer += words
        self.changed.emit()

    def _on_progress(self, work: ChipsDone) -> None:
        self.turn.chips = max(self.turn.chips, work.chips)
        chip = min(work.done + 1, work.chips)
        self._report(self.tr("Looking at chip {chip} of {chips}…").format(chip=chip, chips=work.chips))

    def _on_ended(self, end: Answered | Refused) -> None:
        self._stream = None
        if isinstance(end, Refused):
            self._fail(end.problem)
        else:
            self.turn.rests_on = end
            self._known[self._part] = self._sent
            self._end("answered")

    def _fail(self, problem: str) -> None:
        if self.turn.state == "asked":
            self.turn.problem = problem
            self._known.pop(self._part, None)  # it may have forgotten the scene
            self._end("failed")

    def _end(self, state: str) -> None:
        self.turn.state, self.stage = state, ""
        self._backend.ready.disconnect(self._on_ready)
        self._backend.failed.disconnect(self._fail)
        if self._upload is not None:
            self._upload.cancel()
            self._upload = None
        if self._check is not None:
            self._check.stop()
            self._check = None
        if self._stream is not None:
            self._stream.stop()
            self._stream = None
        if state == "answered" and self._client is not None:
            self._preview = self._client.post("/preview", {"inputs": self._looked_at()})
            self._preview.finished.connect(self._add_chip)
        else:
            self._picture.stop()
        self.ended.emit()
        self._add_picture()

    @property
    def _place(self) -> tuple[str, ...]:
        return (*self._part, self.turn.options.prior)

    def _body(self) -> dict[str, Any]:
        return request(self.conversation, self._sent, self._model, prior_network=self._may_fetch)

    def _looked_at(self) -> dict[str, Any]:
        """The inputs of a job that would look at the same."""
        inputs = dict(self._body()["fusar"])
        run = self.turn.run
        task = str(run.get("task") or "describe")
        if task == "classify" and "boxes" not in inputs:
            task = "describe"  # one of the findings was classified
        if task == "ask":
            inputs["question"] = self.turn.question
        targets = [name.strip() for name in str(run.get("targets") or "").split(",") if name.strip()]
        return {**inputs, "task": task, "targets": targets, "model": self._model}

    def _add_picture(self) -> None:
        if self.turn.state == "answered":
            self.turn.picture = self._picture.finished()
        if self.turn.state != "asked":
            self._finish()

    def _add_chip(self) -> None:
        reply, self._preview = self._preview, None
        if reply is None:
            return
        reply.deleteLater()
        with suppress(ProtocolError):  # a backend without previews shows none
            preview: Preview = read(Preview, bytes(reply.readAll()))
            image = read_picture(preview.chip.png, "PNG")
            self.turn.chip = b"" if image.isNull() else jpeg(image)
            # As JSON has it: lists, as it is read again from a project.
            self.turn.chip_area = json.loads(json.dumps(preview.chip.footprint.__geo_interface__))
            self.turn.chip_crs = preview.chip.crs
        self._finish()

    def _finish(self) -> None:
        self.changed.emit()
        if self._preview is None and not self._picture.is_busy:
            self.over.emit()
            self.deleteLater()

    def _report(self, stage: str) -> None:
        self.stage = stage
        self.changed.emit()
