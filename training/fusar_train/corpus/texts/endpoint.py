"""An OpenAI-compatible vision endpoint: what it is asked, and what its failures mean in whole sentences."""

from __future__ import annotations

import asyncio
import email.utils
import itertools
import json
import math
import os
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.texts.cost import Tokens
from fusar_train.corpus.texts.endpoint_options import KEY_VARIABLES, EndpointOptions, key_variable

if TYPE_CHECKING:
    import openai

LONGEST_WAIT_S = 300.0
"""An endpoint that asks to wait longer has no more for today: the run ends."""

_LIMIT = "max_tokens"
_FIRST_WAIT_S, _MOST_BACKOFF_S = 0.5, 8.0
_FEW_RETRIES = 3  # where waiting rarely helps: no connection, a timeout, an answer that is cut off
_SAID_CHARS = 200
_TOO_LONG = re.compile(
    r"context.{0,20}(length|window|size)|too (long|many tokens)|maximum.{0,20}token", re.IGNORECASE
)
_OWN_HEADERS = re.compile(r"x-stainless-.*|openai-.*", re.IGNORECASE)


class NoAnswerError(CorpusError):
    """The endpoint gave no answer for one slice; others may get theirs."""


class EndpointClosedError(CorpusError):
    """The endpoint will give no answers at all."""


@dataclass(frozen=True)
class Answer:
    """What a model said.

    Attributes:
        text: Its words.
        cut: They end where the limit of tokens fell.
        refused: The endpoint itself says that the model refused.
        tokens: As the endpoint counted them; None where it does not say.
        endpoint: Who gave it: host, or host:port.
    """

    text: str
    cut: bool = False
    refused: bool = False
    tokens: Tokens | None = None
    endpoint: str = ""


@dataclass
class Endpoint:
    """An endpoint that is asked; use it with ``async with``.

    Args:
        options: Where and whom.
        tell: Takes a sentence that the user should read while it runs.
    """

    options: EndpointOptions
    tell: Callable[[str], None]
    _client: openai.AsyncOpenAI = field(init=False)
    _not_before: float = 0.0  # time.monotonic(): the endpoint has asked to wait until then
    _told: set[str] = field(default_factory=set)
    _limit: str = _LIMIT
    _key: str = ""

    async def __aenter__(self) -> Endpoint:
        import openai

        variable = key_variable()
        if variable is None and not self.options.loopback:
            raise EndpointClosedError(
                f"There is no key for {self.options.host}: set {KEY_VARIABLES[0]} in the environment."
            )
        self._key = os.environ[variable].strip() if variable else ""
        if self._key and not (self._key.isascii() and self._key.isprintable()):
            raise EndpointClosedError(
                f"The key in {variable} holds characters that no key has: set it again."
            )
        self._client = openai.AsyncOpenAI(
            api_key=self._key or "none",
            base_url=self.options.api_base,
            timeout=self.options.timeout_s,
            max_retries=0,  # they are made here, so that all requests wait when one is told to
            http_client=openai.DefaultAsyncHttpxClient(
                follow_redirects=False,  # pictures go to the host that was named, and to no other
                trust_env=not self.options.loopback,
                event_hooks={"request": [_without_own_headers]},
            ),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    def question(self, messages: Sequence[Mapping[str, Any]]) -> bytes:
        """The body of a request. It is made apart from ``ask``, as a picture of a megabyte takes its time."""
        options = self.options
        settings = {} if options.temperature is None else {"temperature": options.temperature}
        body = {_LIMIT: options.max_answer, "model": options.model, **settings, "messages": messages}
        return json.dumps(body).encode()

    async def ask(self, question: bytes) -> Answer:
        """The answer to a question.

        Raises:
            NoAnswerError: There is none to this one, after retries.
            EndpointClosedError: There will be none to others either.
        """
        import openai

        for attempt in itertools.count():
            await self._wait()
            try:
                return replace(_answer_of(await self._post(question)), endpoint=self.options.host)
            except openai.BadRequestError as error:
                if not self._learns_from(error):
                    raise self._failure(error) from None
            except (openai.OpenAIError, ValueError) as error:
                limit = self.options.retries if _busy(error) else min(_FEW_RETRIES, self.options.retries)
                if not _may_pass(error) or attempt >= limit:
                    raise self._failure(error) from None
                await self._back_off(error, attempt)
        raise AssertionError

    async def _post(self, question: bytes) -> Any:
        from openai.types.chat import ChatCompletion

        named = question.replace(_LIMIT.encode(), self._limit.encode(), 1)
        return await self._client.post(
            "/chat/completions",
            cast_to=ChatCompletion,
            content=named,
            options={"headers": {"Content-Type": "application/json"}},
        )

    async def _wait(self) -> None:
        while (left := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(left)

    async def _back_off(self, error: Exception, attempt: int) -> None:
        """Waits before the next attempt; as long as the endpoint asks, and then all requests wait."""
        asked = retry_after(_headers(error), time.time())
        if asked is None:
            await asyncio.sleep(min(_FIRST_WAIT_S * 2**attempt, _MOST_BACKOFF_S) * random.uniform(0.75, 1))  # noqa: S311
            return
        if asked > LONGEST_WAIT_S:
            raise EndpointClosedError(
                f"{self.options.host} asks to wait {math.ceil(asked / 60)} minutes: start again after that."
            )
        if "wait" not in self._told:
            self._told.add("wait")
            self.tell(
                f"{self.options.host} limits the rate and asks to wait {asked:.0f} s: all requests wait."
            )
        self._not_before = max(self._not_before, time.monotonic() + asked)

    def _learns_from(self, error: openai.BadRequestError) -> bool:
        """Newer models of OpenAI call the limit of an answer otherwise."""
        learns = self._limit == _LIMIT and "max_completion_tokens" in str(error)
        if learns:
            self._limit = "max_completion_tokens"
        return learns

    def _failure(self, error: Exception) -> CorpusError:
        """The error in words, without the key."""
        import openai

        host = self.options.host
        said = self._said_by(error)
        if isinstance(error, openai.APITimeoutError):
            return NoAnswerError(f"{host} did not answer within {self.options.timeout_s:g} s.")
        if isinstance(error, openai.APIConnectionError):
            return NoAnswerError(
                f"{host} cannot be reached, or closed the connection midway ({_cause(error)})."
            )
        if isinstance(error, openai.APIStatusError):
            return self._refusal(error.status_code, said, error)
        if isinstance(error, _NoApiError):
            return EndpointClosedError(
                f"{host} answers with {error}: it is no OpenAI-compatible API. Check that --api-base ends in /v1."
            )
        return NoAnswerError(f"{host} gave an answer that cannot be read ({said}).")

    def _refusal(self, status: int, said: str, error: openai.APIStatusError) -> CorpusError:
        host, model = self.options.host, self.options.model
        variable = key_variable()
        if 300 <= status < 400:
            where = urlsplit(error.response.headers.get("location", "")).netloc or "elsewhere"
            return EndpointClosedError(
                f"{host} sends on to {where}, where nothing was sent: give that address as --api-base if you trust it."
            )
        if status in (401, 403):
            key = f"the key in {variable}" if variable else f"requests without a key: set {KEY_VARIABLES[0]}"
            return EndpointClosedError(f"{host} refuses {key} ({status}: {said}).")
        if status == 402 or (status == 429 and "quota" in said.lower()):
            return EndpointClosedError(f"{host} says that the account has nothing left ({said}).")
        if status in (404, 405):
            return EndpointClosedError(
                f"{host} knows no model {model!r}, or no chat at this address ({status}: {said}): check --model, and "
                "that --api-base ends in /v1."
            )
        if status == 429:
            return NoAnswerError(
                f"{host} was still limiting the rate after {self.options.retries} retries ({said})."
            )
        if status == 413 or _TOO_LONG.search(said):
            return NoAnswerError(
                f"{host} finds the picture or the texts too large ({said}): give a smaller --max-px."
            )
        return NoAnswerError(f"{host} answers {status}: {said}.")

    def _said_by(self, error: Exception) -> str:
        """One short line of what an error says, and never the key."""
        body = getattr(error, "body", None)
        stated = body.get("message") if isinstance(body, dict) else None
        text = str(stated or getattr(error, "message", None) or error)
        text = _words_of(text)
        return text.replace(self._key, "***") if self._key else text


class _NoApiError(ValueError):
    """The answer is of another kind than a chat completion."""


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds that an endpoint asks to wait, by Retry-After in seconds or as a date; None where it does not say.

    Args:
        headers: Of its answer; names in lower case.
        now: time.time().
    """
    stated = headers.get("retry-after", "")
    try:
        wait = float(headers.get("retry-after-ms", "")) / 1000
    except ValueError:
        try:
            wait = float(stated)
        except ValueError:
            try:
                wait = email.utils.parsedate_to_datetime(stated).timestamp() - now
            except (TypeError, ValueError, OverflowError):
                return None
    return max(wait, 0.0) if math.isfinite(wait) else None


async def _without_own_headers(request: Any) -> None:
    """The library would also tell the platform, Python's version, and the account's organisation and project."""
    for name in [name for name in request.headers if _OWN_HEADERS.fullmatch(name)]:
        del request.headers[name]
    request.headers["User-Agent"] = "fusar-train"


def _answer_of(completion: Any) -> Answer:
    """Raises _NoApiError for what is no completion: a library that finds a page of HTML hands over its text."""
    if isinstance(completion, str):
        kind = (
            "a page of HTML"
            if re.search(r"<(!doctype|html|head|body)", completion[:2000], re.IGNORECASE)
            else "a text"
        )
        raise _NoApiError(kind)
    choices, error = getattr(completion, "choices", None), getattr(completion, "error", None)
    if error:
        raise ValueError(
            f"an error inside: {error.get('message', error) if isinstance(error, dict) else error}"
        )
    if not isinstance(choices, list):
        raise _NoApiError("JSON that holds no choices")
    message = getattr(choices[0], "message", None) if choices else None
    content = getattr(message, "content", None)
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    refusal = getattr(message, "refusal", None)
    reason = getattr(choices[0], "finish_reason", None) if choices else None
    if not isinstance(content, str) or not content.strip():
        content = str(refusal or "")
    return Answer(
        content,
        cut=reason == "length",
        refused=bool(refusal) or reason == "content_filter",
        tokens=_tokens_of(getattr(completion, "usage", None)),
    )


def _tokens_of(usage: Any) -> Tokens | None:
    sent, answered = getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None)
    whole = all(isinstance(n, int) and n >= 0 for n in (sent, answered))
    return Tokens(sent, answered) if whole and sent else None  # type: ignore[arg-type]


def _busy(error: Exception) -> bool:
    status = getattr(error, "status_code", None)
    return status in (408, 409, 429) or (status is not None and status >= 500)


def _may_pass(error: Exception) -> bool:
    """Whether another attempt may succeed."""
    import openai

    if getattr(error, "code", None) == "insufficient_quota":
        return False
    broken = isinstance(error, ValueError) and not isinstance(error, _NoApiError)
    return broken or _busy(error) or isinstance(error, openai.APIConnectionError)


def _headers(error: Exception) -> Mapping[str, str]:
    response = getattr(error, "response", None)
    return response.headers if response is not None else {}


def _cause(error: Exception) -> str:
    return _words_of(str(error.__cause__ or error) or type(error.__cause__).__name__)


def _words_of(text: str) -> str:
    """A line without tags and control characters, cut to what one reads."""
    plain = re.sub(
        r"<style.*?</style>|<script.*?</script>|<[^>]{0,400}>", " ", text, flags=re.DOTALL | re.IGNORECASE
    )
    line = " ".join("".join(c if c.isprintable() else " " for c in plain).split()).rstrip(".")
    return line if len(line) <= _SAID_CHARS else line[: _SAID_CHARS - 3] + "..."
