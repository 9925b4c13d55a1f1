"""Controls one run: upload, job, progress, findings on the map, pauses, and one message at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from qgis.core import Qgis, QgsProject
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ..connection.client import Client
from ..connection.job import Job
from ..contract import Ended, Found, Progress, Started, Task
from ..contract.prior import WITHOUT_PRIOR
from ..core.request import LayerRequest
from ..layers.run_layers import RunLayers
from ..layers.unfinished_runs import UnfinishedRun, forget_unfinished, keep_unfinished
from ..layers.wording import run_caveats, run_title
from .known_rates import RunPace, large_run
from .messages import show_message
from .prior_consent import PriorCheck
from .run_outcome import FollowUps, notice_without_prior, results_in_words
from .run_progress import RunProgress
from .scene_upload import SceneUpload

_TICK_MS = 1000
_SILENT_S = 3  # before a wait says how long it has been


class RunController(QObject):
    """Follows one run from the upload of its scene to its last message; ``over`` comes once.

    Attributes:
        run: The run's provenance; empty until it has started.
        succeeded: Whether it came to its end.
    """

    over = pyqtSignal()

    def __init__(
        self,
        iface: QgisInterface,
        client: Client,
        request: LayerRequest,
        upload: SceneUpload | None,
        parent: QObject,
        follow_up: FollowUps | None = None,
        begun: UnfinishedRun | None = None,
        device: Callable[[], str] = str,
    ) -> None:
        """Make a run; ``start`` begins it.

        Args:
            iface: Where it shows its progress.
            client: The way to the backend.
            request: What is asked.
            upload: Makes the request's scene known; None where the request names what the backend knows already.
            parent: Its owner.
            follow_up: What its last message offers; without it that offers nothing.
            begun: The run to go on with, whose request is ``request``; None for a new one.
            device: Returns what the backend's model runs on, ``loading`` while it is being loaded.
        """
        super().__init__(parent)
        self.is_over = self.succeeded = False
        self.run: dict[str, Any] = {}
        self._iface, self._bar = iface, iface.messageBar()
        self._follow_up, self._begun, self._device = follow_up, begun, device
        self._check: PriorCheck | None = None
        self._client, self._request = client, request
        self._upload = upload
        self._job: Job | None = None
        self._name = run_title(request.task.value, ", ".join(request.targets))
        self._caveats = ""
        self._notices: list[str] = []
        self._layers: RunLayers | None = None
        self._pace = RunPace(client.endpoint, device, request)
        self._done = self._total = 0
        self._waits_for_answer = False  # whether so many chips shall be looked at
        self._is_saved = begun is not None  # in a project that can be opened again
        self._leaves = False
        self._end: Ended | None = None
        self._progress = RunProgress(self._bar, self._name, self)
        self._progress.cancelled.connect(self.cancel)
        self._progress.paused.connect(self._pause)
        self._since = time.monotonic()
        self._tick = QTimer(self)
        self._tick.timeout.connect(self._refresh)
        self._tick.start(_TICK_MS)
        QgsProject.instance().projectSaved.connect(self._on_saved)

    @property
    def id(self) -> str:
        """The run's id; empty while it is not known."""
        return str(self.run.get("id", "")) if self._begun is None else self._begun.id

    def start(self) -> None:
        """Make the scene known, then submit the request; or go on with the run that was begun."""
        if self._upload is None or self._begun is not None:
            self._submit(self._request.scene)
        elif self._upload.known:
            self._submit(self._upload.known)
        else:
            self._upload.progressed.connect(self._on_sending)
            self._upload.failed.connect(self._on_not_sent)
            self._upload.arrived.connect(self._submit)
            self._upload.start()

    def cancel(self) -> None:
        """Stop at once."""
        if self._check is not None:
            self._check.stop()
            self._check = None
        if self._job is not None:
            self._job.cancel()
        elif not self.is_over:
            self._progress.finish(True)
            self._show_message(self.tr("Cancelled. Nothing was interpreted."), Qgis.MessageLevel.Info)
            self._finish()

    def leave(self) -> None:
        """Stop as the project is closed; a run that was saved with it is paused and goes on another time."""
        if self._is_saved and self._job is not None and self._layers is not None:
            self._leaves = True
            self._job.leave()
        else:
            self.cancel()

    def _on_sending(self, percent: float) -> None:
        text = self.tr("Sending “{name}”: {percent:.0f} %")
        name = self._upload.scene.name if self._upload is not None else ""
        self._tick.stop()
        self._progress.show(int(percent), 100, text.format(name=name, percent=percent))

    def _on_not_sent(self, problem: str) -> None:
        self._progress.finish(False)
        self._warn(problem)
        self._finish()

    def _submit(self, scene: str) -> None:
        """Send the request, after the question about its prior where that is still open."""
        self._request = replace(self._request, scene=scene)
        if self._request.network_settled:
            self._send(self._request.prior_network)
            return
        self._check = PriorCheck(self._client, self._iface.mainWindow(), self)
        self._check.asking.connect(self._on_asking)
        self._check.settled.connect(self._send)
        self._check.unavailable.connect(self._on_no_prior)
        self._check.start(self._request.to_json(), needed=self._request.prior_needed)

    def _on_asking(self) -> None:
        self._tick.stop()
        self._progress.show(0, 0, self.tr("The question about the prior waits for your answer."))

    def _on_no_prior(self, reason: str) -> None:
        self._progress.finish(False)
        text = self.tr("No prior can be had now: {reason}").format(reason=reason)
        self._show_message(text, Qgis.MessageLevel.Warning, self._offers(with_prior=True))
        self._finish()

    def _send(self, allowed: bool) -> None:
        self._check = None
        self._request = replace(self._request, prior_network=allowed)
        known = "" if self._begun is None else self._begun.job
        self._job = Job(self._client, self._request.to_json(), known=known)
        self._job.received.connect(self._on_received)
        self._job.changed.connect(self._on_paused)
        self._job.refused.connect(self._on_not_paused)
        self._job.interrupted.connect(self._on_interrupted)
        self._job.ended.connect(self._on_ended)
        self._since = time.monotonic()
        self._tick.start(_TICK_MS)
        self._job.start()

    def _on_received(self, event: Started | Progress | Found) -> None:
        if isinstance(event, Started):
            if self._layers is None:
                self._begin(event)
        elif isinstance(event, Progress):
            self._done = event.done
            if self._job is not None and 100 * event.done > self._job.answered * event.total:
                self._pace.note(event.done)
            self._refresh()
        elif self._layers is not None:
            self._layers.add(event)

    def _begin(self, event: Started) -> None:
        run = self.run = event.run.record()
        self._caveats, self._total = run_caveats(run), event.chips
        scene = QgsProject.instance().mapLayer(self._request.layer_id)
        # Not a child: what was found is written even if the run is cut off.
        self._layers = RunLayers(
            run,
            QgsProject.instance(),
            self._request.scene if scene is None else scene.source(),
            {**self._request.to_json(), "layer_id": self._request.layer_id},
            began=None if self._begun is None else time.monotonic() - self._begun.seconds,
        )
        self._layers.warned.connect(self._on_layers_warned)
        self._pace.begin(str(run.get("model")))
        keep_unfinished(QgsProject.instance(), self._unfinished())
        self._note(event.run.warnings)
        self._progress.can_pause()
        if 0 < large_run() < event.chips and not self._begun and self._request.chips_told < event.chips:
            self._waits_for_answer = True
            self._pause(True)
        self._refresh()

    def _pause(self, paused: bool) -> None:
        """Have the backend pause the run, or go on with it."""
        if self._job is not None:
            self._waits_for_answer = self._waits_for_answer and paused
            self._job.pause(paused)

    def _on_paused(self) -> None:
        if self._job is None or self._layers is None:
            return
        if self._job.is_paused:
            keep_unfinished(QgsProject.instance(), self._unfinished())
        else:
            self._pace.go_on()
        self._progress.show_paused(self._job.is_paused, asks=self._waits_for_answer)
        self._refresh()

    def _on_not_paused(self, problem: str) -> None:
        self._waits_for_answer = False
        self._progress.show_paused(self._job is not None and self._job.is_paused)
        self._warn(self.tr("The run goes on as it was. {problem}").format(problem=problem))

    def _on_interrupted(self) -> None:
        text = self.tr(
            "The backend does not answer; the run goes on when it is back. What was found is safe."
        )
        self._progress.show(self._done, self._total, text)

    def _unfinished(self) -> UnfinishedRun:
        job = "" if self._job is None else self._job.id
        seconds = 0.0 if self._layers is None else self._layers.seconds
        return UnfinishedRun(self.run, job, self._request, seconds, self._done, self._total)

    def _refresh(self) -> None:
        """Show where the run is; every second until its first chip is answered, so that it is seen to live."""
        if self._done:
            self._tick.stop()
        if self._waits_for_answer:
            self._progress.show(0, 0, self._pace.question(self._total))
            return
        parts = [self._place()]
        paused = self._job is not None and self._job.is_paused
        waited = round(time.monotonic() - self._since)
        if not self._done and not paused and waited >= _SILENT_S:
            parts.append(self.tr("waiting {n} s").format(n=waited))
        if self._done and self._request.task is Task.DETECT and self._layers is not None:
            parts.append(self.tr("detections so far: {n}").format(n=self._layers.tally.detected))
        if self._layers is not None and not paused:
            parts.append(self._pace.left(self._total))
        if self._caveats:
            parts.append(f"({self._caveats})")
        total = self._total if self._done else 0
        self._progress.show(self._done, total, ", ".join(filter(None, parts)).replace(", (", " ("))

    def _place(self) -> str:
        """Return in words where the run is."""
        if self._layers is None:
            return str(
                self.tr("Loading the model")
                if self._device() == "loading"
                else self.tr("Waiting for the backend")
            )
        if self._job is not None and self._job.is_paused:
            text = self.tr("Paused at chip {done} of {total}, what was found is safe")
        elif not self._done:  # no share of the work is known yet
            text = self.tr("Starting, chips to look at: {total}")
        else:
            text = self.tr("chip {done} of {total}")
        return str(text).format(done=self._done, total=self._total)

    def _on_ended(self, end: Ended) -> None:
        self._end = end
        self._tick.stop()
        self._pace.keep()
        self._note(end.warnings)
        if self._layers is not None:
            unfinished = self._unfinished()
            self._layers.finish(end.warnings, end.status)
            if self._is_lost:
                keep_unfinished(QgsProject.instance(), unfinished)
            elif not self._leaves:
                forget_unfinished(QgsProject.instance(), unfinished.id)
        elif self._begun is not None and not self._is_lost:
            forget_unfinished(QgsProject.instance(), self._begun.id)
        self._progress.finish(end.status != "failed")  # a cancelled task is none that failed
        in_layers = self._is_lost or end.status == "successful"  # what is resumed goes on in the same ones
        if in_layers and self._layers is not None and not self._layers.is_settled:
            self._layers.settled.connect(self._report)
        else:
            self._report()

    def _report(self) -> None:
        if (end := self._end) is None or self.is_over:
            return
        if self._notices:  # below the last message, and there until they are read
            self._warn(" ".join(self._notices))
        if end.status == "successful":
            self.succeeded = True
            self._show_results(end)
        elif self._leaves:
            text = self.tr("Paused. It can go on when its project is opened again.")
            self._show_message(text, Qgis.MessageLevel.Info)
        elif end.status == "dismissed":
            text = self.tr("Cancelled.")
            if self._some_are_shown:
                text = self.tr("Cancelled. What was found so far stays on the map.")
            self._show_message(text, Qgis.MessageLevel.Info)
        else:
            self._show_failure(end)
        self._finish()

    @property
    def _is_lost(self) -> bool:
        return self._job is not None and self._job.is_lost

    @property
    def _some_are_shown(self) -> bool:
        return self._layers is not None and self._layers.some_are_shown

    def _show_results(self, end: Ended) -> None:
        """Say what came out, and that there was no prior though one was asked for."""
        text = "" if self._layers is None else results_in_words(self._layers.tally).rstrip(".。")
        text = f"{text}; {self._caveats}"
        notice = notice_without_prior(self.run, end, self._request)
        level = Qgis.MessageLevel.Warning if notice else Qgis.MessageLevel.Success
        text = f"{text}. {notice}" if notice else text
        self._show_message(text, level, self._offers(with_prior=bool(notice)))

    def _show_failure(self, end: Ended) -> None:
        """Say why the run failed and what became of it, and offer to go on with it where the backend may have it."""
        reason, _, details = end.message.partition("\n\n")
        reason = reason or self.tr("The backend gave no reason. Look at its log.")
        text = self.tr("Failed: {reason}").format(reason=reason)
        offers: dict[str, Any] = {}
        if self._follow_up is not None and self._is_lost and self.run:
            offers = {self.tr("Resume"): partial(self._follow_up.resume, self._unfinished())}
            text = self.tr("Interrupted: {reason}").format(reason=reason)
        elif self._follow_up is not None and self._begun is not None:
            offers = {self.tr("Run again"): partial(self._follow_up.again, self._request)}
        if self._some_are_shown and not self._is_lost:
            text += " " + self.tr("What was found so far stays on the map.")
        text = f"{text}\n\n{details}" if details else text
        self._show_message(text, Qgis.MessageLevel.Critical, offers)

    def _offers(self, *, with_prior: bool) -> dict[str, Any]:
        if self._follow_up is None:
            return {}
        if with_prior:
            return {self.tr("With prior"): partial(self._follow_up.with_prior, self._request)}
        if self._request.task is not Task.DETECT:
            return {}
        words = self.tr("Compare with and without prior")
        return {words: partial(self._follow_up.compare, self.run, self._request)}

    def _on_saved(self) -> None:
        self._is_saved = self._layers is not None

    def _finish(self) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.cancel()
        QgsProject.instance().projectSaved.disconnect(self._on_saved)
        self._tick.stop()
        self.is_over = True
        self.over.emit()
        self.deleteLater()

    def _note(self, warnings: tuple[str, ...]) -> None:
        """Keep what a reader of the run must know beside its progress, and for its end; its prior is told there."""
        self._notices += [
            warning
            for warning in warnings
            if warning not in self._notices and not warning.startswith(f"{WITHOUT_PRIOR}:")
        ]
        self._progress.show_notices(self._notices)

    def _on_layers_warned(self, text: str) -> None:
        self._warn(text)
        self._progress.come_back()

    def _warn(self, text: str) -> None:
        self._show_message(text, Qgis.MessageLevel.Warning)

    def _show_message(
        self, text: str, level: Qgis.MessageLevel, offers: dict[str, Any] | None = None
    ) -> None:
        lasting = level == Qgis.MessageLevel.Warning
        show_message(self._bar, self._name, text, level, lasting=lasting, offers=offers)
