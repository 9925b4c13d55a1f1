"""OpenAI's chat completions about an area of a scene or about plain images; the answer streams while it is made."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from fusar_gpt.contract import Event, SearchRequest
from fusar_gpt.errors import FusarError
from fusar_gpt.server import wire
from fusar_gpt.server.chat.completions import (
    Answered,
    ChatRequest,
    Completion,
    ModelNotFound,
    event,
    model_object,
    problem_of,
    refusal,
)
from fusar_gpt.server.chat.conversation import check_length, with_history
from fusar_gpt.server.chat.grounding import ChatTarget, ImageTarget, RunCache, SamplingParams, SceneTarget
from fusar_gpt.server.chat.images import read_images
from fusar_gpt.server.chat.narration import Progress, Report, StreamRenderer
from fusar_gpt.server.chat.phrases import Templates
from fusar_gpt.server.context import Context
from fusar_gpt.server.inputs import admit_under, with_files
from fusar_gpt.server.jobs import Slots
from fusar_gpt.tasks.questions import is_chinese

AT_A_TIME = 8
"""The most answers that are made at a time; more requests get a 429."""

BEGIN_S = 10.0
"""Seconds that a stream waits for its first piece; an error before that has an HTTP status of its own."""

logger = logging.getLogger(__name__)

MakeAnswer = Callable[[Report, Callable[[], bool]], Answered]
ReplyItem = str | Progress | Answered | Exception


class OpenAiRoute(APIRoute):
    """A route whose problems carry OpenAI's error object too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with errors turned into refusals."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await handle(request)
            except (HTTPException, RequestValidationError, FusarError) as error:
                return await refusal(request, error)

        return guarded


def router(context: Context) -> APIRouter:
    """The routes below /v1."""
    routes = APIRouter(prefix="/v1", tags=["chat"], route_class=OpenAiRoute)
    cache = RunCache()
    slots = Slots(AT_A_TIME, "answers are being made")
    created = int(time.time())

    def card_of(name: str) -> dict[str, Any]:
        if (card := context.card(name)) is None:
            raise ModelNotFound(404, context.unknown_model(name))
        return card

    @routes.get("/models")
    async def list_models() -> dict[str, Any]:
        """The checkpoints that this server runs, as OpenAI lists models."""
        return {"object": "list", "data": [model_object(card, created) for card in context.info["models"]]}

    @routes.get("/models/{name:path}")
    async def show_model(name: str) -> Response:
        """One checkpoint."""
        return JSONResponse(model_object(card_of(name), created))

    @routes.post("/chat/completions")
    async def complete(chat: ChatRequest, request: Request) -> Response:
        """Chat about an area of a scene (field ``fusar``) or about images (data: URIs of PNG or JPEG).

        The answer, or with ``stream`` its last chunk, carries ``fusar``: the ``run``, its ``findings`` as GeoJSON,
        each with the ``spans`` [start, end) of the answer's text (in code points) that mean it, the ``chips`` that it
        rests on, each with its ``footprint`` (GeoJSON) in its ``crs``, the ``self_check``
        of a count against the detections, and ``understood``, the task that the question was taken for. The chunks in
        between carry ``fusar.progress``.
        """
        card_of(chat.model)
        reply = StreamingReply(
            lambda report, gone: answer(chat, context, cache, report, gone), request, slots
        )
        completion = Completion(chat.model)
        if chat.stream:
            return await _streamed(chat, reply, completion, context.heartbeat_s)
        return await _whole(reply, completion)

    return routes


def answer(
    chat: ChatRequest, context: Context, cache: RunCache, report: Report, gone: Callable[[], bool]
) -> Answered:
    """Make one answer; runs in a thread of its own.

    Raises a FusarError that says what is wrong with the scene, the images or the question.
    """
    check_length([(message.role, message.text) for message in chat.messages])
    if chat.fusar is not None:
        named = chat.fusar.request()

        def search(wanted: SearchRequest, gone: Callable[[], bool]) -> Iterator[Event]:
            return context.searcher.search(replace(wanted, scene=named.scene), gone)

        request = with_files(named, context.roots)
        admit = admit_under(context.roots)
        target: ChatTarget = SceneTarget(request, context.settings, cache, search, admit)
    else:
        target = ImageTarget(read_images(chat.images))
    engine = context.engine()
    questions = [message.text for message in chat.messages if message.role == "user"]
    renderer = StreamRenderer(
        target,
        engine,
        SamplingParams(
            chat.max_completion_tokens or chat.max_tokens, chat.temperature or 0.0, chat.seed or 0
        ),
        Templates(chinese=is_chinese(questions[-1])),
        report,
        gone,
        self_check=chat.fusar is None or chat.fusar.self_check,
    )
    renderer.make(questions, with_history([(message.role, message.text) for message in chat.messages]))
    tap = renderer.engine
    return Answered(
        renderer.text.text, tap.cut, tap.prompt_tokens, tap.completion_tokens, renderer.evidence()
    )


class StreamingReply:
    """An answer that is made in a thread of its own and read in the event loop.

    Once the client has closed its connection the model stops at its next token.
    """

    def __init__(self, make: MakeAnswer, request: Request, slots: Slots) -> None:
        """Start making it. Raises Busy if too many are being made already."""
        self.request = request
        self._slot = ExitStack()
        self._slot.enter_context(slots)
        self._gone = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[ReplyItem] = asyncio.Queue()
        self._watcher = asyncio.create_task(self._watch())
        # A daemon: a model inside native code must not keep the process alive.
        threading.Thread(target=self._run, args=(make,), name="fusar-chat", daemon=True).start()

    async def next(self, timeout_s: float | None = None) -> ReplyItem | None:
        """The next item, the last of them :class:`Answered` or an error; None after so many seconds."""
        try:
            return await asyncio.wait_for(self._items.get(), timeout_s)
        except asyncio.TimeoutError:
            return None

    async def _watch(self) -> None:
        """Wait until the client closes its connection."""
        while (await self.request.receive())["type"] != "http.disconnect":
            continue
        self._gone.set()

    def _run(self, make: MakeAnswer) -> None:
        try:
            self._put(make(self._put, self._gone.is_set))
        except FusarError as error:
            self._put(error)
        except Exception as error:  # the client waits for an end
            logger.exception("an answer failed")
            self._put(error)
        finally:
            self._slot.close()

    def _put(self, item: ReplyItem) -> None:
        with suppress(RuntimeError):  # the loop was closed while the model worked
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)


async def _whole(reply: StreamingReply, completion: Completion) -> Response:
    while True:
        item = await reply.next()
        if isinstance(item, Exception):
            return await refusal(reply.request, item)
        if isinstance(item, Answered):
            return Response(wire.encode(completion.whole(item)), media_type="application/json")


async def _streamed(
    chat: ChatRequest, reply: StreamingReply, completion: Completion, heartbeat_s: float
) -> Response:
    """The stream, or a plain refusal if it fails before its first piece."""
    first = await reply.next(BEGIN_S)
    if isinstance(first, Exception):
        return await refusal(reply.request, first)
    with_usage = chat.stream_options is not None and chat.stream_options.include_usage
    chunks = _chunks(first, reply, completion, heartbeat_s, with_usage=with_usage)
    return StreamingResponse(chunks, headers=wire.EVENT_STREAM_HEADERS, media_type="text/event-stream")


async def _chunks(
    item: ReplyItem | None,
    reply: StreamingReply,
    completion: Completion,
    heartbeat_s: float,
    *,
    with_usage: bool,
) -> AsyncIterator[bytes]:
    more = {"usage": None} if with_usage else {}
    yield completion.chunk({"role": "assistant", "content": ""}, **more)
    while not isinstance(item, (Answered, Exception)):
        if item is None:
            yield wire.PING
        elif isinstance(item, str):
            yield completion.chunk({"content": item}, **more)
        else:
            yield completion.chunk({}, fusar={"progress": asdict(item)}, **more)
        item = await reply.next(heartbeat_s)
    if isinstance(item, Exception):
        yield event({"error": (await problem_of(reply.request, item))["error"]})
        return
    for chunk in completion.end(item, with_usage=with_usage):
        yield chunk
