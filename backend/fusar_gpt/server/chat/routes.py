"""OpenAI's chat completions about an area of a scene or plain images; the answer streams as it is made."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from fusar_gpt.errors import Cancelled, CheckpointError, FusarError
from fusar_gpt.server import wire
from fusar_gpt.server.chat.completions import (
    Answered,
    ChatRequest,
    Completion,
    error_of,
    event,
    model_object,
    refusal,
)
from fusar_gpt.server.chat.conversation import is_chinese, understand, with_history
from fusar_gpt.server.chat.grounding import Ground, Memory, PictureGround, SceneGround
from fusar_gpt.server.chat.listening import Freedom
from fusar_gpt.server.chat.narration import Narration, Progress, Tell
from fusar_gpt.server.chat.phrases import Phrases
from fusar_gpt.server.chat.pictures import View
from fusar_gpt.server.chat.vocabulary import Vocabulary
from fusar_gpt.server.context import Context
from fusar_gpt.server.inputs import with_files
from fusar_gpt.server.jobs import Busy
from fusar_gpt.server.security import PathRefused
from fusar_gpt.tasks import Task

AT_A_TIME = 8
"""Answers in the making; more callers are asked to come back."""

BEGIN_S = 10.0
"""How long a stream waits to learn that its very beginning failed, which is then a plain error."""

logger = logging.getLogger(__name__)

Make = Callable[[Tell, Callable[[], bool]], Answered]
Item = str | Progress | Answered | Exception


class OpenAiRoute(APIRoute):
    """Answers every error with OpenAI's error object."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler with its errors caught."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"] if part != "body")[:200]
                message = str(first["msg"]).removeprefix("Value error, ")
                return refusal(400, f"{where}: {message}" if where else message, where or None)
            except HTTPException as error:
                return refusal(error.status_code, str(error.detail), headers=error.headers)
            except FusarError as error:
                return _refused(error)

        return guarded


def router(context: Context) -> APIRouter:
    """The routes below /v1."""
    routes = APIRouter(prefix="/v1", tags=["chat"], route_class=OpenAiRoute)
    memory = Memory()
    free = threading.BoundedSemaphore(AT_A_TIME)
    created = int(time.time())

    @routes.get("/models")
    async def list_models() -> dict[str, Any]:
        """The checkpoints that this server runs, as OpenAI lists models."""
        return {"object": "list", "data": [model_object(card, created) for card in context.info["models"]]}

    @routes.get("/models/{name:path}")
    async def show_model(name: str) -> Response:
        """One checkpoint."""
        cards = [card for card in context.info["models"] if card["name"] == name]
        return JSONResponse(model_object(cards[0], created)) if cards else _no_model(context, name)

    @routes.post("/chat/completions")
    async def complete(chat: ChatRequest, request: Request) -> Response:
        """Talk about an area of a scene (field ``fusar``) or about images (data: URIs of PNG or JPEG).

        The answer, or with ``stream`` its last chunk, carries ``fusar``: the ``run``, its ``findings`` as GeoJSON,
        each with the ``spans`` [start, end) of the answer's text (in code points) that mean it, and the
        ``self_check`` of a count against the detections. Chunks in between tell ``fusar.progress``.
        """
        if chat.model not in _served(context):
            return _no_model(context, chat.model)
        turn = Turn(lambda tell, gone: answer(chat, context, memory, tell, gone), request, free)
        completion = Completion(chat.model)
        if chat.stream:
            return await _streamed(chat, turn, completion, context.heartbeat_s)
        return await _whole(turn, completion)

    return routes


def answer(
    chat: ChatRequest, context: Context, memory: Memory, tell: Tell, gone: Callable[[], bool]
) -> Answered:
    """Make one answer; runs in a thread of its own.

    Raises a FusarError that says what is wrong with the scene, the images or the question.
    """
    if chat.fusar is not None:
        request = with_files(chat.fusar.request(), context.roots)
        ground: Ground = SceneGround(request, context.settings, memory)
        engine = context.engine()
    else:
        engine = context.engine()
        ground = PictureGround({i: View.of(uri, engine.card) for i, uri in enumerate(chat.images, 1)})
    said = [message.text for message in chat.messages if message.role == "user"]
    intention = understand(said, Vocabulary(engine.card.targets))
    if intention.task is Task.ASK:
        everything = with_history([(message.role, message.text) for message in chat.messages])
        intention = replace(intention, text=everything)
    narration = Narration(
        ground,
        engine,
        Freedom(chat.max_completion_tokens or chat.max_tokens, chat.temperature or 0.0, chat.seed or 0),
        Phrases(chinese=is_chinese(said[-1])),
        tell,
        gone,
        self_check=chat.fusar is None or chat.fusar.self_check,
    )
    narration.make(intention)
    asked = narration.engine
    return Answered(
        narration.prose.text, asked.cut, asked.prompt_tokens, asked.completion_tokens, narration.grounds()
    )


class Turn:
    """One answer in the making: made in a thread of its own, heard in the event loop.

    Once the client has closed its connection the model stops at its next token.
    """

    def __init__(self, make: Make, request: Request, free: threading.BoundedSemaphore) -> None:
        """Start making it. Raises Busy where too many are being made already."""
        if not free.acquire(blocking=False):
            raise Busy(f"{AT_A_TIME} answers are being made already: try again in a moment")
        self._free = free
        self._gone = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._news: asyncio.Queue[Item] = asyncio.Queue()
        self._watcher = asyncio.create_task(self._watch(request))
        # A daemon: a model inside native code must not keep the process alive.
        threading.Thread(target=self._run, args=(make,), name="fusar-chat", daemon=True).start()

    async def hear(self, patience_s: float | None = None) -> Item | None:
        """What comes next, the :class:`Answered` or an error last; None after so much silence."""
        try:
            return await asyncio.wait_for(self._news.get(), patience_s)
        except asyncio.TimeoutError:
            return None

    async def _watch(self, request: Request) -> None:
        """Wait until the client closes its connection, or has all it wanted."""
        while (await request.receive())["type"] != "http.disconnect":
            continue
        self._gone.set()

    def _run(self, make: Make) -> None:
        try:
            self._tell(make(self._tell, self._gone.is_set))
        except FusarError as error:
            self._tell(error)
        except Exception as error:  # the client must hear the end of it
            logger.exception("an answer failed")
            self._tell(error)
        finally:
            self._free.release()

    def _tell(self, item: Item) -> None:
        with suppress(RuntimeError):  # the loop was closed while the model was busy
            self._loop.call_soon_threadsafe(self._news.put_nowait, item)


async def _whole(turn: Turn, completion: Completion) -> Response:
    while True:
        item = await turn.hear()
        if isinstance(item, Exception):
            return _refused(item)
        if isinstance(item, Answered):
            return Response(wire.encode(completion.whole(item)), media_type="application/json")


async def _streamed(chat: ChatRequest, turn: Turn, completion: Completion, heartbeat_s: float) -> Response:
    """The stream, or a plain error where the very beginning fails."""
    first = await turn.hear(BEGIN_S)
    if isinstance(first, Exception):
        return _refused(first)
    with_usage = chat.stream_options is not None and chat.stream_options.include_usage
    pieces = _pieces(first, turn, completion, heartbeat_s, with_usage=with_usage)
    return StreamingResponse(pieces, headers=wire.EVENT_STREAM_HEADERS, media_type="text/event-stream")


async def _pieces(
    item: Item | None, turn: Turn, completion: Completion, heartbeat_s: float, *, with_usage: bool
) -> AsyncIterator[bytes]:
    more = {"usage": None} if with_usage else {}
    yield completion.piece({"role": "assistant", "content": ""}, **more)
    while not isinstance(item, (Answered, Exception)):
        if item is None:
            yield wire.PING
        elif isinstance(item, str):
            yield completion.piece({"content": item}, **more)
        else:
            yield completion.piece({}, fusar={"progress": asdict(item)}, **more)
        item = await turn.hear(heartbeat_s)
    if isinstance(item, Exception):
        yield event({"error": error_of(*_status(item))})
        return
    for piece in completion.end(item, with_usage=with_usage):
        yield piece


def _status(error: Exception) -> tuple[int, str]:
    """The HTTP status of an error, and its one line for the user."""
    if not isinstance(error, FusarError):
        return 500, f"unexpected {type(error).__name__}; the server's log says more"
    kinds = {PathRefused: 403, Busy: 429, CheckpointError: 503, Cancelled: 503}
    return next((status for kind, status in kinds.items() if isinstance(error, kind)), 400), str(error)


def _refused(error: Exception) -> Response:
    status, message = _status(error)
    return refusal(status, message, headers={"Retry-After": "2"} if status == 429 else None)


def _served(context: Context) -> list[str]:
    return [card["name"] for card in context.info["models"]]


def _no_model(context: Context, name: str) -> Response:
    message = f"this server does not run {name[:100]!r}; it runs: {', '.join(_served(context))}"
    return refusal(404, message, "model", "model_not_found")
