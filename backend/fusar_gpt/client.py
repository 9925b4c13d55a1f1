"""A client of the HTTP API, for the command line, notebooks and scripts.

``Client(url, token).run(request)`` yields the same events as :func:`fusar_gpt.interpret.interpret` does here.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import requests

from fusar_gpt.connection import (
    Connection,
    ServerError,
    Unreachable,
    decode_events,
    decode_fields,
    read_token_file,
)
from fusar_gpt.contract import (
    API,
    AUTO_PRIOR,
    EXECUTION,
    PRIOR_SOURCES,
    SEARCH_EXECUTION,
    SEARCH_PLAN,
    UPLOADED,
    Ended,
    Event,
    Finished,
    InterpretRequest,
    ProtocolError,
    SearchPlan,
    SearchRequest,
    read,
    read_event,
)
from fusar_gpt.errors import Cancelled, FusarError, PriorError, SceneError
from fusar_gpt.imagery import Area
from fusar_gpt.imagery.scene import local_path
from fusar_gpt.priors.beside import files_beside
from fusar_gpt.server.options import TOKEN_FILE

__all__ = ["Answer", "Client", "ServerError", "Unreachable", "decode_events"]

ON_SERVER = "server:"
"""Before the path of a file that the server has, where the path of a local one could stand."""

UPLOAD_TIMEOUT = (600.0, 600.0)
"""Seconds for uploads: the server's disk may be slow, and it checks a scene before it answers."""

RECONNECT_S = 60.0
RETRY_S = 0.5

logger = logging.getLogger(__name__)

Sent = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Answer:
    """A complete answer in words.

    Attributes:
        text: The whole text.
        run: The run it is based on, as one flat row; None where the model was not asked.
        findings: A GeoJSON FeatureCollection; ``spans`` of a feature are the ranges of ``text`` that mean it.
        self_check: How count and detections compare, where both were asked for.
    """

    text: str
    run: dict[str, Any] | None
    findings: dict[str, Any]
    self_check: dict[str, Any] | None


class Client:
    """One server. Every method raises ServerError with the server's own one-line reason.

    A scene or a prior file is the path of a local file, which is uploaded once; ``server:`` and the path of a file
    on the server; or ``scene:`` and the id of an uploaded file.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        ca_file: Path | None = None,
        reconnect_s: float = RECONNECT_S,
        report: Callable[[str], None] = logger.info,
    ) -> None:
        """A client of the server at an address.

        Args:
            url: Such as ``http://127.0.0.1:8765``.
            token: The server's bearer token.
            ca_file: Certificates (PEM) to trust instead of the usual ones, for https.
            reconnect_s: Seconds that a watched job waits for a server that restarts.
            report: Takes each line about sending and waiting, and about priors.
        """
        self._server = Connection(url, token, ca_file)
        self._reconnect_s = reconnect_s
        self._report = report

    @classmethod
    def local(cls, **options: Any) -> Client:
        """A client of the server that this user has started on this machine; options as for a new one."""
        said = read_token_file(TOKEN_FILE)
        return cls(str(said["url"]), str(said["token"]), **options)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def info(self) -> dict[str, Any]:
        """What the server says of itself: versions, models, device."""
        info = self._server.json("GET", "/info", params={"api": API})
        if info.get("api") != API:
            raise ServerError(
                f"the server speaks API {info.get('api')}, not {API}: bring both to one version"
            )
        return info

    def run(self, request: InterpretRequest) -> Iterator[Event]:
        """Interpret on the server; leaving the loop early stops it there.

        Raises SceneError or PriorError where a file cannot be sent, Cancelled where somebody else has stopped
        the job, ServerError where it failed.
        """
        self.info()
        prior = request.prior
        if prior not in PRIOR_SOURCES:
            prior = self._sent(prior, "prior", PriorError)
        scene = self._sent(request.scene, "scene", SceneError)
        if prior == AUTO_PRIOR and scene.startswith(UPLOADED):
            for path in files_beside(Path(request.scene).expanduser()):
                self._report(f"prior: {path.name} beside the scene is not sent: name it with --prior.")
        job = self.submit(replace(request, scene=scene, prior=prior).to_json())
        with closing(self._followed(job)) as events:
            for event in events:
                if isinstance(event, Finished) and event.run.prior_note:
                    self._report(event.run.prior_note)
                yield event

    def search(self, request: SearchRequest) -> Generator[Event, None, None]:
        """Search on the server; leaving the loop early stops it there, and what is indexed by then is kept.

        The encoder is one of ``/info``. Raises as :meth:`run`.
        """
        yield from self._followed(self.submit(self._search_inputs(request), SEARCH_EXECUTION))

    def plan_search(self, request: SearchRequest) -> SearchPlan:
        """How much of the scene the server would have to index before that search; the scene is sent first.

        Raises SceneError where it cannot be sent, ServerError.
        """
        body = {"inputs": self._search_inputs(request)}
        return SearchPlan.from_json(self._server.json("POST", SEARCH_PLAN, json=body))

    def _search_inputs(self, request: SearchRequest) -> dict[str, Any]:
        if not self.info().get("encoders"):
            raise ServerError(f"the server at {self._server.url} does not search: update it")
        return replace(request, scene=self._sent(request.scene, "scene", SceneError)).to_json()

    def _followed(self, job: str) -> Generator[Event, None, None]:
        """The events of a job, which is cancelled where they are not heard to the end."""
        finished = False
        try:
            for event in self.follow(job):
                finished = isinstance(event, Finished)
                yield event
        except (GeneratorExit, KeyboardInterrupt):
            if not finished:
                with suppress(ServerError):  # a server that is gone has no job left to cancel
                    self.cancel(job)
            raise

    def follow(self, job: str) -> Iterator[Event]:
        """The events of a job from its beginning, also where it is over. Raises as :meth:`run`."""
        try:
            for name, data in self.watch(job):
                event = read_event(name, data)
                if event is None:
                    continue
                if not isinstance(event, Ended):
                    yield event
                elif event.status == "dismissed":
                    raise Cancelled("the job was cancelled on the server; start it again")
                elif event.status != "successful":
                    raise ServerError(event.message)
                else:
                    yield self.finished(job)
        except ProtocolError as error:
            raise ServerError(
                "the server is not understood; bring it and this client to one version"
            ) from error

    def finished(self, job: str) -> Finished:
        """What a job came to."""
        finished: Finished = read(Finished, self.results(job))
        return finished

    def submit(self, inputs: Mapping[str, Any], execution: str = EXECUTION) -> str:
        """Start a job of the process that is executed at a path; its id."""
        return str(self._server.json("POST", execution, json={"inputs": inputs})["jobID"])

    def status(self, job: str) -> dict[str, Any]:
        """Where a job stands: ``status``, ``progress`` in percent, ``eta_s`` while it runs."""
        return self._server.json("GET", f"/jobs/{job}")

    def results(self, job: str) -> dict[str, Any]:
        """The run and findings of a finished job."""
        return self._server.json("GET", f"/jobs/{job}/results")

    def cancel(self, job: str) -> None:
        """Stop a job; forget one that is over."""
        self._server.json("DELETE", f"/jobs/{job}")

    def pause(self, job: str, *, paused: bool = True) -> dict[str, Any]:
        """Pause a job after the batch of chips under way, or let it go on; where it then stands."""
        return self._server.json("PATCH", f"/jobs/{job}", json={"paused": paused})

    def watch(self, job: str, after: int = 0) -> Iterator[Sent]:
        """The (event, data) pairs of a job up to and with ``end``, across dropped connections and restarts.

        Args:
            job: Its id.
            after: How many events to leave out.
        """
        seen, lost = after, None
        while True:
            cause: Exception | None = None
            try:
                headers = {"Last-Event-ID": str(seen)}
                with self._server.ask("GET", f"/jobs/{job}/events", headers=headers, stream=True) as reply:
                    lost = None
                    for number, event, data in decode_events(reply.iter_content(None)):
                        seen = number
                        yield event, data
                        if event == "end":
                            return
            except (Unreachable, requests.RequestException) as error:
                cause = error
            if lost is None:
                lost = time.monotonic()
                self._report(f"lost the server at {self._server.url}; waiting for it")
            elif time.monotonic() - lost > self._reconnect_s:
                raise self._server.lost() from cause
            time.sleep(RETRY_S)

    def interpret(self, inputs: Mapping[str, Any]) -> Iterator[Sent]:
        """As :meth:`run`, for inputs and (event, data) pairs as the HTTP API has them."""
        job = self.submit(inputs)
        ended = False
        try:
            for event, data in self.watch(job):
                ended = event == "end"
                yield event, data
        finally:
            if not ended:
                with suppress(ServerError):
                    self.cancel(job)

    def chat(
        self,
        said: str | Sequence[Mapping[str, Any]],
        scene: str | Path | None = None,
        area: Area | None = None,
        **grounding: Any,
    ) -> Iterator[str | Answer]:
        """Ask in words; yields pieces of the answer as they are generated, and finally the :class:`Answer`.

        Args:
            said: The question, or a conversation as OpenAI's ``messages``, which may contain images.
            scene: What it is about.
            area: Which part of it; None is all of it.
            **grounding: More of the request's field ``fusar``, such as ``prior`` or ``band``.
        """
        messages = [{"role": "user", "content": said}] if isinstance(said, str) else list(said)
        body = {"model": self.info()["models"][0]["name"], "messages": messages, "stream": True}
        if scene is not None:
            where = {"area": area.outline().__geo_interface__, "area_crs": area.crs_text()} if area else {}
            body["fusar"] = {"scene": self._sent(scene, "scene", SceneError)} | where | grounding
        text = ""
        try:
            for choice, fusar in self._pieces(body):
                if words := choice["delta"].get("content"):
                    text += words
                    yield words
                if choice["finish_reason"]:
                    yield Answer(text, fusar["run"], fusar["findings"], fusar["self_check"])
                    return
        except requests.RequestException as error:
            raise self._server.lost() from error
        raise self._server.lost()

    def _pieces(self, body: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """The choice and the field ``fusar`` of each piece of an answer."""
        with self._server.ask("POST", "/v1/chat/completions", json=body, stream=True) as reply:
            for fields in decode_fields(reply.iter_content(None)):
                if fields["data"] == "[DONE]":
                    return
                piece = json.loads(fields["data"])
                if "error" in piece:
                    raise ServerError(piece["error"]["message"])
                yield piece["choices"][0], piece.get("fusar", {})

    def upload(self, path: Path) -> dict[str, Any]:
        """Send a raster as it is, unless the server has its very bytes; what the server says of it.

        Its ``scene`` is what requests name it by. Files beside it are not sent.

        Raises:
            SceneError: It cannot be read.
        """
        if path.is_dir():
            raise SceneError(f"'{path}' is a folder, which cannot be sent; send one of its rasters")
        try:
            with path.open("rb") as file:
                known = self._known(_sha256(file)) or self._send(file, path.name)
        except OSError as error:
            raise SceneError(f"'{path}' cannot be read ({error.strerror}); check the path") from error
        if known["name"] != path.name:
            self._report(f"the server has {path.name} under the name {known['name']}")
        return known

    def scenes(self) -> list[dict[str, Any]]:
        """What the server says of every scene that was sent to it."""
        return list(self._server.json("GET", "/scenes")["scenes"])

    def delete_scene(self, scene: str) -> None:
        """Have the server forget a scene, named by ``scene:`` and its id."""
        self._server.ask("DELETE", f"/scenes/{scene.removeprefix(UPLOADED)}").close()

    def _sent(self, path: str | Path, what: str, error: type[FusarError]) -> str:
        """What the server calls a file, once it has it."""
        name = Path(path).as_posix()
        if name.startswith((UPLOADED, ON_SERVER)):
            return name.removeprefix(ON_SERVER)
        return str(self.upload(local_path(path, what, error))["scene"])

    def _known(self, scene_id: str) -> dict[str, Any] | None:
        try:
            return self._server.json("GET", f"/scenes/{scene_id}")
        except ServerError as error:
            if error.status != 404:
                raise
            return None

    def _send(self, file: BinaryIO, name: str) -> dict[str, Any]:
        self._report(f"sending {name} to {self._server.url}")
        file.seek(0)
        return self._server.json("POST", "/scenes", UPLOAD_TIMEOUT, params={"name": name}, data=file)


def _sha256(file: BinaryIO) -> str:
    hashed = hashlib.sha256()
    while piece := file.read(2**20):
        hashed.update(piece)
    return hashed.hexdigest()
