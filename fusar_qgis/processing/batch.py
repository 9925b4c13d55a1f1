"""Runs the pieces of a batch: a few jobs ahead, cancelled at once, finished ones in the journal and never again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from qgis.core import QgsProcessingFeedback
from qgis.PyQt.QtCore import QCoreApplication

from ..connection.blocking import BackendError, BackendGone, BlockingClient, Choice, Stopped
from ..contract import Ended, Progress
from ..core.journal import Entry, Journal
from ..layers.wording import time_left
from .pieces import Piece
from .sending import scene_for

translate = QCoreApplication.translate

_AHEAD = 2  # as many as a backend runs at a time by default
_TOLD_S = 1.0
_TRUSTED_S = 2.0
_DISMISSED = "dismissed"
_SUCCESSFUL = "successful"


@dataclass(frozen=True)
class Outcome:
    """What a piece came to: an entry, or the reason why there is none; ``resumed`` from the journal."""

    piece: Piece
    entry: Entry | None
    reason: str = ""
    resumed: bool = False


class Pace:
    """Progress in percent and the time that is left, told to the analyst now and then."""

    def __init__(self, total: int, feedback: QgsProcessingFeedback) -> None:
        self._total = total
        self._feedback = feedback
        self._started = 0.0  # with the first answer: to load the model is not part of the pace
        self._before = 0.0
        self._told = 0.0
        self.done = 0

    def finish(self, outcome: Outcome) -> None:
        """A piece is done."""
        self.done += outcome.piece.weight
        if outcome.resumed:
            self._before += outcome.piece.weight
        self._feedback.setProgress(100 * self.done / max(self._total, 1))

    def tell(self, piece: Piece, chip: int, chips: int) -> None:
        """The piece is at ``chip`` of ``chips``."""
        part = self.done + (piece.weight * chip / chips if chips else 0)
        self._feedback.setProgress(100 * part / max(self._total, 1))
        now = time.monotonic()
        if not self._started:
            self._started, self._before = now, part
        if now - self._told < _TOLD_S:
            return
        self._told = now
        text = translate("Processing", "{name} ({done} of {total}): chip {chip} of {chips}").format(
            name=piece.name, done=self.done + 1, total=self._total, chip=chip, chips=chips
        )
        fresh = part - self._before
        if fresh > 0 and now - self._started > _TRUSTED_S:
            left = (now - self._started) * (self._total - part) / fresh
            text += f" ({time_left(left)})"
        self._feedback.setProgressText(text)


class Batch:
    """Runs pieces on a backend; one that cannot be had is told with its reason, the others go on."""

    def __init__(self, choice: Choice, journal: Journal, feedback: QgsProcessingFeedback) -> None:
        self._choice = choice
        self._feedback = feedback
        self._journal = journal
        self._client: BlockingClient | None = None
        self._backend: list[str] = []
        self._waiting: deque[Piece] = deque()
        self._ahead: deque[tuple[Piece, str]] = deque()

    def run(self, pieces: Iterable[Piece]) -> Iterator[Outcome]:
        """Yield the outcome of each piece, those of the journal as they come.

        Raises:
            BackendError: There is no backend, or it was lost twice over the same piece.
            OSError: The journal cannot be written.
        """
        self._waiting.extend(pieces)
        pace = Pace(sum(piece.weight for piece in self._waiting), self._feedback)
        lost_over: Piece | None = None
        while self._waiting or self._ahead:
            try:
                with BlockingClient(self._choice, self._feedback.isCanceled) as self._client:
                    info = self._client.info()
                    self._backend = [info.version, *(model.name for model in info.models)]
                    yield from self._work(pace)
            except Stopped:
                return
            except BackendGone:
                # What was under way is asked once more; a child is started again for that.
                first = self._ahead[0][0] if self._ahead else self._waiting[0] if self._waiting else None
                self._waiting.extendleft(piece for piece, _ in reversed(self._ahead))
                self._ahead.clear()
                if first is None or first is lost_over:
                    raise
                lost_over = first
                self._feedback.pushWarning(
                    translate("Processing", "The backend was lost; what was under way is asked again.")
                )

    def _work(self, pace: Pace) -> Iterator[Outcome]:
        try:
            while self._waiting or self._ahead:
                while self._waiting and len(self._ahead) < _AHEAD:
                    outcome = self._begin(self._waiting.popleft())
                    if outcome is not None:
                        pace.finish(outcome)
                        yield outcome
                if self._ahead:
                    piece, job = self._ahead[0]
                    outcome = self._await(piece, job, pace)
                    self._ahead.popleft()
                    if outcome is not None:
                        pace.finish(outcome)
                        yield outcome
        except (Stopped, GeneratorExit):
            self._dismiss()
            raise

    def _begin(self, piece: Piece) -> Outcome | None:
        """Submit a piece, unless the journal has it or the backend refuses it."""
        client = self._here()
        known = self._journal.find(piece.key(self._backend))
        if known is not None:
            return Outcome(piece, known, resumed=True)
        try:
            with scene_for(piece, client, self._feedback) as scene:
                job = client.submit({"scene": scene, **piece.inputs()})
        except BackendGone:
            self._waiting.appendleft(piece)
            raise
        except BackendError as error:
            return self._without(piece, str(error))
        self._ahead.append((piece, job))
        return None

    def _await(self, piece: Piece, job: str, pace: Pace) -> Outcome | None:
        client = self._here()
        try:
            for event in client.follow(job):
                if isinstance(event, Progress):
                    pace.tell(piece, event.done, event.total)
                elif isinstance(event, Ended) and event.status != _SUCCESSFUL:
                    stopped = translate("Processing", "somebody else cancelled it on the backend")
                    return self._without(piece, stopped if event.status == _DISMISSED else event.message)
            entry = Entry(*client.results(job))
        except BackendGone:
            raise
        except BackendError as error:
            return self._without(piece, str(error))
        self._journal.add(piece.key(self._backend), entry)
        client.cancel(job)  # the backend need not keep what the journal has
        return Outcome(piece, entry)

    def _without(self, piece: Piece, reason: str) -> Outcome | None:
        """The outcome of a piece that failed; of many boxes, the good ones are asked again without the bad."""
        if len(piece.places) > 1:
            self._waiting.extendleft(reversed(piece.halves()))
            return None
        return Outcome(piece, None, reason)

    def _dismiss(self) -> None:
        for _, job in self._ahead:
            self._here().cancel(job)
        self._ahead.clear()

    def _here(self) -> BlockingClient:
        if self._client is None:
            raise Stopped
        return self._client
