"""One search on the backend: how much there is to index first, then its places, at once or by a job."""

from __future__ import annotations

from functools import partial

from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtNetwork import QNetworkReply

from ..background import BackgroundTask
from ..contract import (
    SEARCH_NOW,
    SEARCH_PLAN,
    Ended,
    Finished,
    Found,
    Progress,
    ProtocolError,
    SearchPlan,
    SearchRequest,
    Started,
    read,
)
from .client import Client
from .diagnosis import RequestError, status_of, unreadable_answer
from .job import Job

_BY_JOB = 201


class PlaceSearch(QObject):
    """Asks ``client`` for the places of one request; ``finished`` or ``failed`` comes once and last.

    ``planned`` answers ``plan``; ``progressed`` brings how many slices are indexed, and of how many, after ``start``.
    """

    planned = pyqtSignal(object)  # SearchPlan
    progressed = pyqtSignal(int, int)
    finished = pyqtSignal(object)  # Finished
    failed = pyqtSignal(str)

    def __init__(self, client: Client, request: SearchRequest) -> None:
        super().__init__(client)
        self._client, self._request = client, request
        self._reply: QNetworkReply | None = None
        self._job: Job | None = None
        self._is_over = False
        client.gone.connect(self._fail)

    def plan(self) -> None:
        """Ask how much there is to index first."""
        self._post(SEARCH_PLAN).finished.connect(self._on_plan)

    def start(self) -> None:
        """Search, and index what is missing for it."""
        self._post(SEARCH_NOW).finished.connect(self._on_answer)

    def cancel(self) -> None:
        """Stop at once; the backend keeps what is indexed by then. Nothing is signalled any more."""
        if not self._is_over:
            self._end()

    def _post(self, path: str) -> QNetworkReply:
        self._reply = self._client.post(path, {"inputs": self._request.to_json()})
        return self._reply

    def _take_reply(self) -> QNetworkReply | None:
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.deleteLater()
        return None if self._is_over else reply

    def _on_plan(self) -> None:
        reply = self._take_reply()
        if reply is None:
            return
        try:
            plan = read(SearchPlan, self._client.read(reply))
        except RequestError as error:
            self._fail(str(error))
        except ProtocolError:
            self._fail(unreadable_answer(self._client.endpoint))
        else:
            self.planned.emit(plan)

    def _on_answer(self) -> None:
        reply = self._take_reply()
        if reply is None:
            return
        try:
            if status_of(reply) == _BY_JOB:
                self._follow(self._client.read_field(reply, "jobID"))
            else:
                self._read(self._client.read(reply))
        except RequestError as error:
            self._fail(str(error))

    def _follow(self, job: str) -> None:
        self._job = Job(self._client, self._request.to_json(), known=job)
        self._job.received.connect(self._on_received)
        self._job.ended.connect(self._on_ended)
        self._job.follow()

    def _on_received(self, event: Started | Progress | Found) -> None:
        if isinstance(event, Progress):
            self.progressed.emit(event.done, event.total)

    def _on_ended(self, end: Ended) -> None:
        job, self._job = self._job, None
        if job is None or self._is_over:
            return
        if end.status != "successful":
            text = self.tr("The search was stopped on the backend. Search again.")
            self._fail(end.message.partition("\n\n")[0] or text)
            return
        self._reply = self._client.get(f"/jobs/{job.id}/results")
        self._reply.finished.connect(self._on_answer)

    def _read(self, body: bytes) -> None:
        """Read the places in the background: a thousand take longer than QGIS may wait."""
        work = partial(read, Finished, body)
        task = BackgroundTask(self.tr("Places of a search"), work, (ProtocolError,), quiet=True)
        task.over.connect(partial(self._on_read, task))
        task.start()

    def _on_read(self, task: BackgroundTask) -> None:
        if self._is_over:
            return
        if task.problem:
            self._fail(unreadable_answer(self._client.endpoint))
            return
        self._end()
        self.finished.emit(task.result)

    def _fail(self, problem: str) -> None:
        if not self._is_over:
            self._end()
            self.failed.emit(problem)

    def _end(self) -> None:
        self._is_over = True
        self._client.gone.disconnect(self._fail)
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.abort()
            reply.deleteLater()
        job, self._job = self._job, None
        if job is not None:
            job.cancel()
        self.deleteLater()
