"""Controls one run: upload, job, progress, findings on the map, and one message at the end."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from qgis.core import Qgis, QgsProject
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..connection.client import Client
from ..connection.job import Job
from ..contract import Ended, Found, Progress, Started, Task
from ..contract.prior import WITHOUT_PRIOR
from ..core.remaining_time import RemainingTime
from ..core.request import LayerRequest
from ..layers.run_layers import RunLayers
from ..layers.wording import (
    cells_in_words,
    count_in_words,
    findings_in_words,
    lacks_prior,
    run_caveats,
    run_title,
    time_left,
    understood_in_words,
)
from .messages import show_message
from .prior_consent import PriorCheck, first_reason
from .run_progress import RunProgress
from .scene_upload import SceneUpload


class FollowUp(Protocol):
    """What the last message of a run offers to do with it."""

    def run_with_prior(self, request: LayerRequest) -> None:
        """Run the same again, with a prior."""

    def compare(self, run: dict[str, Any], request: LayerRequest) -> None:
        """Compare a run with the same without a prior, or with one."""


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
        follow_up: FollowUp | None = None,
    ) -> None:
        """``upload`` makes the request's scene known; None where the request names what the backend knows already.

        Without a ``follow_up`` the last message offers nothing.
        """
        super().__init__(parent)
        self.is_over = self.succeeded = False
        self.run: dict[str, Any] = {}
        self._iface, self._bar = iface, iface.messageBar()
        self._follow_up = follow_up
        self._check: PriorCheck | None = None
        self._client, self._request = client, request
        self._upload = upload
        self._job: Job | None = None
        self._name = run_title(request.task.value, ", ".join(request.targets))
        self._caveats = ""
        self._warned: set[str] = set()
        self._layers: RunLayers | None = None
        self._remaining = RemainingTime()
        self._end: Ended | None = None
        self._counts: dict[str, int] = {}
        self._progress = RunProgress(self._bar, self._name, self)
        self._progress.cancelled.connect(self.cancel)

    def start(self) -> None:
        """Make the scene known, then submit the request."""
        if self._upload is None:
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

    def _on_sending(self, percent: float) -> None:
        text = self.tr("Sending “{name}”: {percent:.0f} %")
        name = self._upload.scene.name if self._upload is not None else ""
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
        self._progress.show(0, 0, self.tr("The question about the prior waits for your answer."))

    def _on_no_prior(self, reason: str) -> None:
        self._progress.finish(False)
        text = self.tr("No prior can be had now: {reason}").format(reason=reason)
        self._show_message(text, Qgis.MessageLevel.Warning, self._offers(with_prior=True))
        self._finish()

    def _send(self, allowed: bool) -> None:
        self._check = None
        self._request = replace(self._request, prior_network=allowed)
        self._job = Job(self._client, self._request.to_json())
        self._job.received.connect(self._on_received)
        self._job.ended.connect(self._on_ended)
        self._job.start()

    def _on_received(self, event: Started | Progress | Found) -> None:
        if isinstance(event, Started):
            if self._layers is None:
                self._begin(event)
        elif isinstance(event, Progress):
            self._show(event.done, event.total)
        elif self._layers is not None:
            self._layers.add(event)

    def _begin(self, event: Started) -> None:
        run = self.run = event.run.record()
        self._caveats = run_caveats(run)
        scene = QgsProject.instance().mapLayer(self._request.layer_id)
        # Not a child: what was found is written even if the run is cut off.
        self._layers = RunLayers(
            run,
            QgsProject.instance(),
            self._request.scene if scene is None else scene.source(),
            {**self._request.to_json(), "layer_id": self._request.layer_id},
        )
        self._layers.warned.connect(self._warn)
        self._warn_once(event.run.warnings)
        self._show(0, event.chips)

    def _show(self, done: int, total: int) -> None:
        if not done:  # the first chips wait for the model to be loaded: no share of the work is known yet
            text = self.tr("Starting the model. Chips to look at: {total} ({caveats})")
            self._progress.show(0, 0, text.format(total=total, caveats=self._caveats))
            return
        text = self.tr("chip {done} of {total} ({caveats})")
        parts = [text.format(done=done, total=total, caveats=self._caveats)]
        if self._request.task is Task.DETECT and self._layers is not None:
            parts.append(self.tr("detections so far: {n}").format(n=self._layers.detected))
        self._remaining.note(done, time.monotonic())
        seconds = self._remaining.seconds(total)
        if seconds:
            parts.append(time_left(seconds))
        self._progress.show(done, total, ", ".join(parts))

    def _on_ended(self, end: Ended) -> None:
        self._end = end
        self._warn_once(end.warnings)
        self._counts = self._layers.finish(end.warnings, end.status) if self._layers is not None else {}
        self._progress.finish(end.status != "failed")  # a cancelled task is none that failed
        if end.status == "successful" and self._layers is not None and not self._layers.is_settled:
            self._layers.settled.connect(self._report)
        else:
            self._report()

    def _report(self) -> None:
        end = self._end
        if end is None or self.is_over:
            return
        if end.status == "successful":
            self.succeeded = True
            self._show_results()
        elif end.status == "dismissed":
            text = self.tr("Cancelled.")
            if self._layers is not None and self._layers.some_are_shown:
                text = self.tr("Cancelled. What was found so far stays on the map.")
            self._show_message(text, Qgis.MessageLevel.Info)
        else:
            reason = end.message or self.tr("The backend gave no reason. Look at its log.")
            text = self.tr("Failed: {reason}").format(reason=reason)
            if self._layers is not None and self._layers.some_are_shown:
                text += " " + self.tr("What was found so far stays on the map.")
            self._show_message(text, Qgis.MessageLevel.Critical)
        self._finish()

    def _show_results(self) -> None:
        """Say what came out, and that there was no prior though one was asked for."""
        text = self._summary(self._counts).rstrip(".。")
        text, level = f"{text}; {self._caveats}", Qgis.MessageLevel.Success
        warnings = self._end.warnings if self._end is not None else ()
        some = any(
            warning.startswith(f"{WITHOUT_PRIOR} ") for warning in warnings
        )  # on some chips: that is told
        without = lacks_prior(self.run) and not some
        if without:
            reason = first_reason(str(self.run.get("prior_note") or "").split("; "))
            reason = reason or self.tr("none can be had for this place.")
            if not self._request.prior_network:
                reason = self.tr("it was not fetched from the network.")
            notice = self.tr("Without a prior: {reason}").format(reason=reason)
            text = f"{text}. {notice}"
            level = Qgis.MessageLevel.Warning
        self._show_message(text, level, self._offers(with_prior=without))

    def _offers(self, *, with_prior: bool) -> dict[str, Any]:
        if self._follow_up is None:
            return {}
        if with_prior:
            return {self.tr("With prior"): partial(self._follow_up.run_with_prior, self._request)}
        if self._request.task is not Task.DETECT:
            return {}
        words = self.tr("Compare with and without prior")
        return {words: partial(self._follow_up.compare, self.run, self._request)}

    def _finish(self) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.cancel()
        self.is_over = True
        self.over.emit()
        self.deleteLater()

    def _warn_once(self, warnings: tuple[str, ...]) -> None:
        """Show what a reader of the run must know and has not been told yet, and is not told at the end."""
        new = [
            warning
            for warning in warnings
            if warning not in self._warned and not warning.startswith(f"{WITHOUT_PRIOR}:")
        ]
        if new:
            self._warned.update(new)
            self._warn(" ".join(new))

    def _warn(self, text: str) -> None:
        self._show_message(text, Qgis.MessageLevel.Warning)

    def _summary(self, counts: dict[str, int]) -> str:
        layers = self._layers
        understood = [] if layers is None else list(map(understood_in_words, sorted(layers.understood)))
        numbers = [] if layers is None else list(map(count_in_words, layers.counts.areas()))
        if numbers:  # they say how many were detected
            counts = {**counts, "detections": 0, "answers": 0}
        cells = [] if layers is None else cells_in_words(layers.cells)
        said = ", ".join([*numbers, *cells, *findings_in_words(counts)]) or str(self.tr("Nothing found."))
        return ". ".join([*understood, said])

    def _show_message(
        self, text: str, level: Qgis.MessageLevel, offers: dict[str, Any] | None = None
    ) -> None:
        lasting = level == Qgis.MessageLevel.Warning
        show_message(self._bar, self._name, text, level, lasting=lasting, offers=offers)
