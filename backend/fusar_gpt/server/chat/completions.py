"""The JSON of OpenAI's chat completions: requests, answers whole or in chunks, and errors."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from starlette.exceptions import HTTPException

from fusar_gpt.errors import TooLarge
from fusar_gpt.server import wire
from fusar_gpt.server.chat.grounding import ChatContext
from fusar_gpt.server.chat.images import IMAGE_BYTES

_URI = 4 * IMAGE_BYTES // 3 + 200

_ONLY_VALUES: Mapping[str, tuple[Any, ...]] = {
    "n": (1,), "top_p": (1,), "presence_penalty": (0,), "frequency_penalty": (0,), "logit_bias": ({},),
    "logprobs": (False,), "stop": ([],), "tools": ([],), "functions": ([],), "modalities": (["text"],),
    "response_format": ({"type": "text"},), "audio": (), "web_search_options": (),
}  # fmt: skip
"""Parameters that would change the answer, each with the only values that this server accepts."""

_TOO_LONG = ("too_long", "string_too_long")
"""What pydantic calls a text or list over its limit."""

TOKENS = 2**20
"""The most tokens that may be asked for; a task makes at most its own number in any case."""

_RING = [[169.45, -19.529], [169.46, -19.529], [169.46, -19.528], [169.45, -19.529]]
EXAMPLES: list[Any] = [
    {
        "model": "tiny",
        "messages": [
            {"role": "user", "content": "How many ships are here?"},
            {"role": "assistant", "content": "7 ships."},
            {"role": "user", "content": "What is the second one?"},
        ],
        "stream": True,
        "fusar": {"scene": "/data/harbour.tif", "area": {"type": "Polygon", "coordinates": [_RING]}},
    }
]


class ModelNotFound(HTTPException):
    """The server does not run the model of the request."""


class TextPart(BaseModel):
    """Text."""

    type: Literal["text"]
    text: Annotated[str, StringConstraints(max_length=8000)]


class ImageUrl(BaseModel):
    """A data: URI of a PNG or JPEG."""

    url: Annotated[str, StringConstraints(max_length=_URI)]


class ImagePart(BaseModel):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class Message(BaseModel):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: (
        Annotated[str, StringConstraints(max_length=200_000)]
        | Annotated[list[Part], Field(max_length=50)]
        | None
    ) = None

    @property
    def text(self) -> str:
        """Its text parts, joined."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if isinstance(part, TextPart))
        return self.content or ""

    @property
    def images(self) -> list[str]:
        """The URIs of its images."""
        parts = self.content if isinstance(self.content, list) else []
        return [part.image_url.url for part in parts if isinstance(part, ImagePart)]


class StreamOptions(BaseModel):
    """What a stream contains besides the answer."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """A chat completion request, with our field ``fusar`` (``extra_body`` of the openai client)."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": EXAMPLES})

    model: Annotated[str, StringConstraints(max_length=4096)]
    messages: Annotated[list[Message], Field(min_length=1, max_length=200)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1, le=TOKENS)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=TOKENS)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    fusar: ChatContext | None = None

    @model_validator(mode="after")
    def _answerable(self) -> ChatRequest:
        for name, value in (self.model_extra or {}).items():
            if value is not None and name in _ONLY_VALUES and value not in _ONLY_VALUES[name]:
                raise ValueError(f"{name} is not supported here: leave it out")
        last = self.messages[-1]
        if last.role != "user" or not last.text.strip():
            raise ValueError("the last message must be the user's, with a question in words")
        if self.fusar is None and not self.images:
            raise ValueError("there is nothing to look at: name a scene in fusar.scene, or send an image")
        if self.fusar is not None and self.images:
            raise ValueError("give either fusar.scene or images, not both")
        return self

    @property
    def images(self) -> list[str]:
        """The images of the conversation: those of the last message that has any."""
        return next((message.images for message in reversed(self.messages) if message.images), [])


@dataclass(frozen=True)
class Answered:
    """A complete answer.

    Attributes:
        text: The text.
        cut: Whether free text was cut off at its token limit.
        prompt_tokens: Visual tokens of the chips or images and, one a word, of the prompts.
        completion_tokens: Tokens that were generated.
        fusar: Run, findings and self-check.
    """

    text: str
    cut: bool
    prompt_tokens: int
    completion_tokens: int
    fusar: Mapping[str, Any]

    @property
    def reason(self) -> str:
        """OpenAI's finish reason."""
        return "length" if self.cut else "stop"

    @property
    def usage(self) -> dict[str, int]:
        """OpenAI's usage."""
        asked, made = self.prompt_tokens, self.completion_tokens
        return {"prompt_tokens": asked, "completion_tokens": made, "total_tokens": asked + made}


class Completion:
    """Writes one answer as OpenAI's objects."""

    def __init__(self, model: str) -> None:
        self._shared = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    def whole(self, answered: Answered) -> dict[str, Any]:
        """The object ``chat.completion``."""
        message = {"role": "assistant", "content": answered.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answered.reason}
        return self._object("chat.completion", [choice], usage=answered.usage, fusar=answered.fusar)

    def chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
        """A server-sent event with one ``chat.completion.chunk``."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return event(self._object("chat.completion.chunk", [choice], **more))

    def end(self, answered: Answered, *, with_usage: bool) -> Iterator[bytes]:
        """The last events; the one with the finish reason carries run, findings and self-check."""
        more = {"usage": None} if with_usage else {}
        yield self.chunk({}, answered.reason, fusar=answered.fusar, **more)
        if with_usage:
            yield event(self._object("chat.completion.chunk", [], usage=answered.usage))
        yield b"data: [DONE]\n\n"

    def _object(self, kind: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return self._shared | {"object": kind, "choices": choices} | more


def event(data: Mapping[str, Any]) -> bytes:
    """A server-sent event without a name, as OpenAI sends them."""
    return f"data: {wire.encode(data)}\n\n".encode("ascii")


async def problem_of(request: Request, error: Exception) -> dict[str, Any]:
    """The problem that the application answers an error with, and OpenAI's error object in its member ``error``."""
    handlers = request.app.exception_handlers
    handler = next(handlers[kind] for kind in type(error).__mro__ if kind in handlers)
    problem: dict[str, Any] = json.loads((await handler(request, error)).body)
    param = code = None
    if isinstance(error, RequestValidationError):
        where = [str(part) for part in error.errors()[0]["loc"] if part != "body"]
        param = ".".join(where)[:200] or None
        status = 400
        if error.errors()[0]["type"] in _TOO_LONG:
            status, problem["code"] = 413, TooLarge("").code
        problem |= {"status": status, "title": HTTPStatus(status).phrase}
    elif isinstance(error, ModelNotFound):
        param, code = "model", "model_not_found"
    status = problem["status"]
    kind = "server_error" if status >= 500 else "invalid_request_error"
    kind = "rate_limit_error" if status == 429 else kind
    return problem | {"error": {"message": problem["detail"], "type": kind, "param": param, "code": code}}


async def refusal(request: Request, error: Exception) -> Response:
    """The problem of an error as a response."""
    problem = await problem_of(request, error)
    headers = dict(getattr(error, "headers", None) or {})
    if problem["status"] == 429:
        headers["Retry-After"] = "2"
    return JSONResponse(problem, problem["status"], headers, media_type="application/problem+json")


def model_object(card: Mapping[str, Any], created: int) -> dict[str, Any]:
    """OpenAI's object ``model`` for a checkpoint's card, with what an analyst should know about it."""
    shown = {key: card[key] for key in ("title", "demonstration", "targets", "licence") if key in card}
    return {
        "id": card["name"],
        "object": "model",
        "created": created,
        "owned_by": "fusar-gpt",
        "fusar": shown,
    }
