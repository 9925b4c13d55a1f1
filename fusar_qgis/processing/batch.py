"""Runs the items of a batch: two jobs at a time, finished items in the journal."""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsGeometry,
    QgsProcessingFeedback,
    QgsRasterBlockFeedback,
)
from qgis.PyQt.QtCore import Qt

from ..connection.backend import BackendChoice
from ..connection.blocking_client import BlockingClient, Stopped
from ..connection.child import ChildBackend
from ..connection.diagnosis import RequestError
from ..connection.job import Job
from ..contract import PRIOR_SOURCES, JobEvent, Progress
from ..core.export import file_stem
from ..core.journal import Entry, Journal
from ..layers.clipping import ClipError, clip, source_of
from ..layers.wording import time_left
from ..translation import translate
from .items import BatchItem, OpenScene, open_layer

_AHEAD = 2  # as many as a backend runs at a time by default
_REPORT_S = 1.0
_TRUSTED_S = 2.0
_DISMISSED, _SUCCESSFUL = "dismissed", "successful"


@dataclass(frozen=True)
class Outcome:
    """The result of an item: an entry, or the reason why there is none; ``resumed`` from the journal."""

    item: BatchItem
    entry: Entry | None
    reason: str = ""
    resumed: bool = False


class Pace:
    """Progress in percent and the time that is left, reported to the analyst now and then."""

    def __init__(self, total: int, feedback: QgsProcessingFeedback) -> None:
        self._total = total
        self._feedback = feedback
        self._started = 0.0  # with the first answer: to load the model is not part of the pace
        self._before = 0.0
        self._reported = 0.0
        self.done = 0

    def finish(self, outcome: Outcome) -> None:
        """An item is done."""
        self.done += outcome.item.weight
        if outcome.resumed:
            self._before += outcome.item.weight
        self._feedback.setProgress(100 * self.done / max(self._total, 1))

    def report(self, item: BatchItem, chip: int, chips: int) -> None:
        """The item is at ``chip`` of ``chips``."""
        part = self.done + (item.weight * chip / chips if chips else 0)
        self._feedback.setProgress(100 * part / max(self._total, 1))
        now = time.monotonic()
        if not self._started:
            self._started, self._before = now, part
        if now - self._reported < _REPORT_S:
            return
        self._reported = now
        text = translate("Processing", "{name} ({done} of {total}): chip {chip} of {chips}").format(
            name=item.name, done=self.done + 1, total=self._total, chip=chip, chips=chips
        )
        fresh = part - self._before
        if fresh > 0 and now - self._started > _TRUSTED_S:
            left = (now - self._started) * (self._total - part) / fresh
            text += f" ({time_left(left)})"
        self._feedback.setProgressText(text)


class Batch:
    """Runs items on a backend; one that fails is returned with its reason, the others go on."""

    def __init__(
        self, choice: BackendChoice, child: ChildBackend, journal: Journal, feedback: QgsProcessingFeedback
    ) -> None:
        self._choice, self._child = choice, child
        self._feedback = feedback
        self._journal = journal
        self._backend: list[str] = []
        self._waiting: deque[BatchItem] = deque()
        self._ahead: deque[tuple[BatchItem, Job]] = deque()

    def run(self, items: Iterable[BatchItem]) -> Iterator[Outcome]:
        """Yield the outcome of each item, those of the journal as they come.

        Raises:
            RequestError: There is no backend, or it was lost twice over the same item.
            OSError: The journal cannot be written.
        """
        self._waiting.extend(items)
        pace = Pace(sum(item.weight for item in self._waiting), self._feedback)
        lost_over: BatchItem | None = None
        while self._waiting or self._ahead:
            try:
                with BlockingClient(self._choice, self._child, self._feedback.isCanceled) as client:
                    info = client.info()
                    self._backend = [info.version, *(model.name for model in info.models)]
                    yield from self._work(client, pace)
            except Stopped:
                return
            except RequestError as error:
                # What was under way is asked once more; a child is started again for that.
                first = self._ahead[0][0] if self._ahead else self._waiting[0]
                self._waiting.extendleft(item for item, _ in reversed(self._ahead))
                self._ahead.clear()
                if not error.is_gone or first is lost_over:
                    raise
                lost_over = first
                self._feedback.pushWarning(
                    translate("Processing", "The backend was lost; what was under way is asked again.")
                )

    def _work(self, client: BlockingClient, pace: Pace) -> Iterator[Outcome]:
        try:
            while self._waiting or self._ahead:
                while self._waiting and len(self._ahead) < _AHEAD:
                    outcome = self._begin(client, self._waiting[0], pace)
                    if outcome is not None:
                        pace.finish(outcome)
                        yield outcome
                if self._ahead:
                    outcome = self._await(client, *self._ahead[0])
                    self._ahead.popleft()
                    if outcome is not None:
                        pace.finish(outcome)
                        yield outcome
        except (Stopped, GeneratorExit):
            for _, job in self._ahead:
                job.cancel()
            self._ahead.clear()
            raise

    def _begin(self, client: BlockingClient, item: BatchItem, pace: Pace) -> Outcome | None:
        """Submit the first item that waits, unless the journal has it or its scene cannot be sent."""
        known = self._journal.find(item.key(self._backend))
        if known is not None:
            self._waiting.popleft()
            return Outcome(item, known, resumed=True)
        try:
            inputs = send_item(client, item, self._feedback)
        except (RequestError, ClipError) as error:
            if isinstance(error, RequestError) and error.is_gone:
                raise
            self._waiting.popleft()
            return self._without(item, str(error))
        job = client.start_job(inputs)
        # What is connected must not know the job: see Client.
        job.received.connect(partial(self._on_event, item, pace))
        job.interrupted.connect(partial(self._on_event, item, pace, None))
        self._waiting.popleft()
        self._ahead.append((item, job))
        return None

    def _on_event(self, item: BatchItem, pace: Pace, event: JobEvent | None) -> None:
        if not self._ahead or self._ahead[0][0] is not item:
            return
        if event is None:
            self._feedback.pushWarning(
                translate("Processing", "The backend was lost; the batch goes on when it is back.")
            )
        elif isinstance(event, Progress):
            pace.report(item, event.done, event.total)

    def _await(self, client: BlockingClient, item: BatchItem, job: Job) -> Outcome | None:
        client.wait_for(job)
        if job.end is not None and job.end.status != _SUCCESSFUL:
            stopped = translate("Processing", "somebody else cancelled it on the backend")
            return self._without(item, stopped if job.end.status == _DISMISSED else job.end.message)
        try:
            entry = Entry(*client.results(job.id))
        except RequestError as error:
            if error.is_gone:
                raise
            return self._without(item, str(error))
        self._journal.add(item.key(self._backend), entry)
        client.client.dismiss(job.id)  # the backend need not keep what the journal has
        return Outcome(item, entry)

    def _without(self, item: BatchItem, reason: str) -> Outcome | None:
        """The outcome of an item that failed; of many boxes, the good ones are asked again without the bad."""
        if len(item.places) > 1:
            self._waiting.extendleft(reversed(item.halves()))
            return None
        return Outcome(item, None, reason)


def send_item(client: BlockingClient, item: BatchItem, feedback: QgsProcessingFeedback) -> dict[str, Any]:
    """Return the inputs of an item's job, once the backend has the files that they name.

    Raises:
        RequestError, ClipError, Stopped: A file cannot be cut out or sent.
    """
    area = QgsGeometry.unaryUnion([place.geometry for place in item.places]) if item.places else None
    request = item.request(send_scene(client, item.scene, area, item.crs, feedback))
    here = request.prior not in PRIOR_SOURCES and Path(request.prior).is_file()  # else it may be the server's
    if here and not client.client.endpoint.is_loopback:
        try:
            request = replace(request, prior=client.send_once(Path(request.prior)))
        except OSError as error:
            raise ClipError(f"{request.prior}: {error}") from error
    return request.to_json()


def send_scene(
    client: BlockingClient,
    scene: OpenScene,
    area: QgsGeometry | None,
    crs: QgsCoordinateReferenceSystem,
    feedback: QgsProcessingFeedback,
) -> str:
    """Return what ``inputs.scene`` is to be: the path where the backend can open that, else what it calls the part.

    ``area`` is what of the scene is needed, in ``crs``; None is all of it.

    Raises:
        RequestError, ClipError, Stopped: The part cannot be cut out or sent.
    """
    if scene.path and client.client.endpoint.is_loopback:
        return scene.path
    if area is None:
        area, crs = scene.outline, scene.crs
    stopping = QgsRasterBlockFeedback()
    # This thread may have no event loop: the signal's own thread must set the flag.
    feedback.canceled.connect(stopping.cancel, Qt.ConnectionType.DirectConnection)
    try:
        with tempfile.TemporaryDirectory(prefix="fusar-") as folder:
            part = Path(folder) / f"{file_stem(Path(scene.name).stem)}.tif"
            clip(source_of(open_layer(scene.source)), area, crs, part, stopping)
            return client.send_scene(part)
    except ClipError as error:
        if feedback.isCanceled():
            raise Stopped from error
        raise
    finally:
        feedback.canceled.disconnect(stopping.cancel)
