"""The engine whose language model runs on a vLLM server: vision tower and TLM here, tokens and answers there.

What is sent of a chip are its visual tokens after TLM, once; further questions about it name them by an id. vLLM's
side of this, ``image_embeds`` in its chat completions, is documented as "Multimodal Inputs", and the grammar of an
answer as "Structured Outputs".
"""

from __future__ import annotations

import base64
import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fusar_gpt.engine.detokenizer import IncrementalDetokenizer
from fusar_gpt.engine.engine import DecodeRequest, OnText, Reply, never
from fusar_gpt.engine.grammar import Grammars
from fusar_gpt.engine.prefixes import prefix_key
from fusar_gpt.engine.session import check_cancelled
from fusar_gpt.engine.vllm_server import VllmError, VllmServer, VllmUnavailable, read_token
from fusar_gpt.engine_options import EngineOptions
from fusar_gpt.errors import Cancelled, TaskError, TooLarge
from fusar_gpt.model import Checkpoint, load_checkpoint
from fusar_gpt.model.decoding import stop_ids, visual_tokens
from fusar_gpt.model.export_vllm import served_name
from fusar_gpt.retry import Deadline, RetryPolicy

AT_ONCE = 16
"""Questions under way at a time, unless --batch says otherwise."""

ANSWER_S = 300.0
"""Seconds for one answer, all attempts together."""

_KNOWN = 4096  # ids that the server is taken to remember
_TRIES = 3  # refusals of an id, and no success, after which ids are taken for not supported: vLLM 0.33 has none here
_FORBID = -100.0  # the strongest bias that the API takes; exp(-100) is as good as never
_WAIT_S = 0.02  # how often a waiting call checks whether it was cancelled
_FORGOTTEN = (400, 500, 503)  # what vLLM answers, by version, where it does not know an id any more


class VllmEngine:
    """Answers as the local engine does, with log probabilities of the same meaning (but see docs/vllm.md).

    Attributes:
        card: The checkpoint's card.
        hash: SHA-256 of the checkpoint.
        device: The device of the vision tower, and the server.
        batch_size: The most questions under way at a time.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        server: VllmServer,
        batch_size: int | None = None,
        *,
        answer_s: float = ANSWER_S,
    ) -> None:
        """An engine over a checkpoint, whose language model need not be in memory, and a server.

        Raises VllmError unless the server has the export of this very checkpoint.
        """
        self.card, self.hash = checkpoint.card, checkpoint.hash
        self.device = f"{checkpoint.device}, vLLM at {server.name}"
        self.batch_size = batch_size or AT_ONCE
        self._checkpoint, self._server, self._answer_s = checkpoint, server, answer_s
        self._stops = stop_ids(checkpoint)
        text = checkpoint.model.config.text_config
        self._grammars = Grammars(checkpoint.tokenizer, text.vocab_size, self._stops)
        self._context = int(text.max_position_embeddings)
        self._bias = {
            str(i): _FORBID for i in _never_text(checkpoint, text.vocab_size) if i not in self._stops
        }
        self._known: OrderedDict[str, None] = OrderedDict()
        self._named = self._refused = 0  # questions by an id alone that were answered, and that were not
        self._lock = threading.Lock()
        self._encoding = threading.Lock()  # one chip at a time; meanwhile others are answered
        self._name = served_name(self.hash)
        self._find_model()

    def answer(
        self,
        requests: Sequence[DecodeRequest],
        cancelled: Callable[[], bool] = never,
        on_text: OnText | None = None,
    ) -> list[Reply]:
        """As :meth:`Engine.answer`; ``on_text`` gets each answer whole.

        Raises TaskError or TooLarge for a question that cannot be sent, before any is; VllmError when the server
        stays away or answers what cannot be right.
        """
        check_cancelled(cancelled)
        chips: dict[str, list[_Question]] = {}
        for i, request in enumerate(requests):
            chips.setdefault(self._id(request), []).append(self._question(i, request))
        replies: dict[int, Reply] = {}
        stop = threading.Event()
        with ThreadPoolExecutor(self.batch_size, thread_name_prefix="fusar-vllm") as pool:
            try:
                # The questions of a chip follow each other, so that its tokens are sent once.
                work = [pool.submit(self._ask_about, *chip, replies, stop) for chip in chips.items()]
                for i in _finished(work, replies, cancelled):
                    if on_text is not None and replies[i].text:
                        on_text(i, replies[i].text)
            finally:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
        return [replies[i] for i in range(len(requests))]

    def _find_model(self) -> None:
        """Raise VllmError unless the server has the model; take its context where it is shorter."""
        policy = RetryPolicy(self._answer_s, transient=VllmUnavailable)
        models = policy.run(self._server.models, f"vLLM at {self._server.name}")
        if self._name not in models:
            raise VllmError(
                f"vLLM at {self._server.name} serves {', '.join(sorted(models)) or 'nothing'}, not {self._name}: "
                f"write that with fusar checkpoint export {self.card.name} --format vllm --out DIR, and serve it "
                "with the command that this prints"
            )
        self._context = min(self._context, models[self._name] or self._context)

    def _id(self, request: DecodeRequest) -> str:
        """Names a chip's tokens: of its pixels, its prior, the checkpoint (TLM with it) and how they were computed."""
        key = prefix_key(request, self.hash) + str(self._checkpoint.model.model.visual.dtype).encode()
        return hashlib.sha256(key).hexdigest()

    def _question(self, index: int, request: DecodeRequest) -> _Question:
        """The question as it is sent. Raises TaskError or TooLarge."""
        processor = self._checkpoint.processor
        text = request.prompt.encode("utf-8", "replace").decode("utf-8")
        ids = (*processor.prefix, *processor.ids_after_image(text))
        plain, special = (
            processor.tokenizer(text, add_special_tokens=False, split_special_tokens=split)["input_ids"]
            for split in (True, False)
        )
        if plain != special:
            raise TaskError(
                "the question holds words that steer the model, such as <|im_end|>: leave them out"
            )
        room = self._context - len(ids)
        if room < 1:
            raise TooLarge(
                f"the question has {len(plain)} tokens, {1 - room} more than the model has room for beside the image "
                "and an answer: shorten it"
            )
        content = {
            "model": self._name,
            "max_completion_tokens": min(request.max_tokens, room),
            **_sampling(request),
            "stop_token_ids": sorted(self._stops),
            "logit_bias": self._bias,
            "logprobs": True,
            "top_logprobs": 0,
            "return_token_ids": True,
        }
        if request.grammar is not None:
            content["structured_outputs"] = {"grammar": request.grammar}
        return _Question(index, request, text, ids, content)

    def _ask_about(
        self, uuid: str, questions: Sequence[_Question], replies: dict[int, Reply], stop: threading.Event
    ) -> None:
        """Ask all questions about one chip, one after the other."""
        tokens = _Once(partial(self._encode, questions[0].request, stop))
        for question in questions:
            try:
                replies[question.index] = self._ask(uuid, question, tokens, stop)
            except Cancelled:
                if stop.is_set():
                    return
                replies[question.index] = Reply("", (), np.zeros(0), finished=False)

    def _ask(self, uuid: str, question: _Question, tokens: _Once, stop: threading.Event) -> Reply:
        """The reply to one question. Raises VllmError, and Cancelled where it is not wanted any more."""
        who = f"vLLM at {self._server.name}"
        policy = RetryPolicy(
            self._answer_s,
            cancelled=lambda: stop.is_set() or question.request.aborted(),
            transient=VllmUnavailable,
        )
        return self._reply(question, policy.run(partial(self._send, uuid, question, tokens), who))

    def _send(self, uuid: str, question: _Question, tokens: _Once, deadline: Deadline) -> dict[str, Any]:
        """One attempt: by the id alone if the server should know it, else with the tokens."""
        path = "/v1/chat/completions"
        if self._knows(uuid):
            try:
                answer = self._server.ask(path, question.with_image(uuid, None), deadline)
            except VllmError as error:
                if error.status not in _FORGOTTEN:
                    raise
                with self._lock:
                    self._known.pop(uuid, None)
                    self._refused += 1
            else:
                self._named += 1
                return answer
        answer = self._server.ask(path, question.with_image(uuid, tokens()), deadline)
        with self._lock:
            self._known[uuid] = None
            while len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        return answer

    def _knows(self, uuid: str) -> bool:
        with self._lock:
            if uuid not in self._known or (self._refused >= _TRIES and not self._named):
                return False
            self._known.move_to_end(uuid)
            return True

    def _encode(self, request: DecodeRequest, stop: threading.Event) -> dict[str, str]:
        """The chip's visual tokens [H*W, C] and its grid [3], as vLLM reads them."""
        with self._encoding:
            check_cancelled(stop.is_set)
            prior = request.values, request.positions
            (tokens,) = visual_tokens(self._checkpoint, [request.image], [prior])
        card, config = self.card, self._checkpoint.model.config
        expected = (card.token_rows * card.token_cols, config.text_config.hidden_size)
        tokens = tokens.to(self._checkpoint.model.model.visual.dtype)
        if tokens.shape != expected or not bool(tokens.isfinite().all()):  # vLLM may crash of them
            raise VllmError(
                f"the visual tokens are {list(tokens.shape)}, not {list(expected)}, or not finite, and are not sent: "
                "use another --dtype, or get the checkpoint again"
            )
        grid = torch.tensor([1, card.height // card.patch, card.width // card.patch])
        return {"image_embeds": in_base64(tokens), "image_grid_thw": in_base64(grid)}

    def _reply(self, question: _Question, answer: dict[str, Any]) -> Reply:
        """The reply in an answer. Raises VllmError for one that cannot be this model's answer to this question."""
        where = f"vLLM at {self._server.name}"
        try:
            choice = answer["choices"][0]
            tokens = [int(token) for token in choice["token_ids"]]
            logprobs = np.array([one["logprob"] for one in choice["logprobs"]["content"]], np.float64)
            model, asked, finish = answer["model"], answer["prompt_token_ids"], choice["finish_reason"]
            said = str(choice["message"]["content"] or "")
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise VllmError(
                f"{where} answers without its tokens, their probabilities or the question's tokens: use vLLM 0.12 or "
                "newer"
            ) from error
        if model != self._name:
            raise VllmError(
                f"{where} answers as {model}, not as {self._name}: serve this checkpoint's export"
            )
        if asked != list(question.ids):
            raise VllmError(
                f"{where} reads the question as other tokens than this checkpoint: serve its export, with the "
                "tokenizer and chat template in that folder"
            )
        ended = bool(tokens) and tokens[-1] in self._stops
        if finish not in ("stop", "length") or ended != (finish == "stop"):
            raise VllmError(f"{where} ended an answer early ({finish}): look at its log")
        if len(logprobs) != len(tokens) or not np.isfinite(logprobs).all() or (logprobs > 1e-3).any():
            raise VllmError(f"{where} sends probabilities that are none, or not one a token: look at its log")
        reply = self._text(tokens[:-1] if ended else tokens, logprobs, finished=ended)
        if not self._in_form(question.request.grammar, tokens):
            raise VllmError(
                f"{where} does not keep to the form that is asked of an answer: use vLLM 0.12 or newer, with "
                "structured outputs by xgrammar"
            )
        if "\ufffd" not in reply.text + said and reply.text.strip() != said.strip():
            raise VllmError(
                f"{where} sends a text that is not what its tokens say: serve this checkpoint's export"
            )
        return reply

    def _text(self, tokens: Sequence[int], logprobs: Any, *, finished: bool) -> Reply:
        detokenizer = IncrementalDetokenizer(self._checkpoint.tokenizer)
        try:
            for token in tokens:
                detokenizer.add(token)
        except (KeyError, TypeError, IndexError) as error:
            raise VllmError(
                f"vLLM at {self._server.name} sends tokens that this checkpoint does not have: serve its export"
            ) from error
        detokenizer.close()
        return Reply(detokenizer.text, tuple(detokenizer.ends), logprobs[: len(tokens)], finished)

    def _in_form(self, grammar: str | None, tokens: Sequence[int]) -> bool:
        """Whether a grammar, if there is one, allows every token: a server may ignore what it does not understand."""
        if grammar is None:
            return True
        matcher = self._grammars.matcher(grammar)
        return all(matcher.accept_token(token) for token in tokens)


@dataclass(frozen=True, eq=False)
class _Question:
    """A request as it is sent: its text, the token ids of the whole prompt, and the body without its message."""

    index: int
    request: DecodeRequest
    text: str
    ids: tuple[int, ...]
    content: dict[str, Any]

    def with_image(self, uuid: str, tokens: dict[str, str] | None) -> dict[str, Any]:
        """The whole body; None for the tokens names them by the id."""
        image = {"type": "image_embeds", "image_embeds": tokens, "uuid": uuid}
        parts = [image, {"type": "text", "text": self.text}]
        return {**self.content, "messages": [{"role": "user", "content": parts}]}


class _Once:
    """The tokens of one chip, computed when they are first asked for."""

    def __init__(self, compute: Callable[[], dict[str, str]]) -> None:
        self._compute = compute
        self._made: dict[str, str] | None = None

    def __call__(self) -> dict[str, str]:
        if self._made is None:
            self._made = self._compute()
        return self._made


def open_vllm(options: EngineOptions) -> VllmEngine:
    """The engine that the options name. Raises CheckpointError or VllmError where it cannot be."""
    if options.vllm_url is None:
        raise VllmError("--engine vllm needs --vllm-url URL, such as http://127.0.0.1:8000")
    token = read_token(options.vllm_token_file)
    server = VllmServer(options.vllm_url, token, http_anywhere=options.vllm_http)
    checkpoint = load_checkpoint(options.model, device=options.device, dtype=options.dtype, language=False)
    return VllmEngine(checkpoint, server, options.batch)


def in_base64(tensor: Tensor) -> str:
    """A tensor as vLLM reads it: what ``torch.save`` writes, in base64. The format is pickle; we never read it."""
    buffer = io.BytesIO()
    torch.save(tensor.detach().cpu().clone(), buffer)  # of a view it would save all that lies below
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _sampling(request: DecodeRequest) -> dict[str, Any]:
    """How tokens are chosen; everything is said, since a server may have defaults of its own."""
    return {
        "temperature": request.temperature,
        "seed": request.seed % 2**63,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    }


def _never_text(checkpoint: Checkpoint, vocabulary: int) -> list[int]:
    """The ids that are no text: special tokens, and rows that pad the vocabulary."""
    tokenizer = checkpoint.tokenizer
    return sorted({*tokenizer.all_special_ids, *range(len(tokenizer), vocabulary)})


def _finished(
    work: Sequence[Future[None]], replies: dict[int, Reply], cancelled: Callable[[], bool]
) -> Iterator[int]:
    """The index of every reply soon after it is there. Raises what the work raises, and Cancelled."""
    told: set[int] = set()
    pending: set[Future[None]] = set(work)
    while pending:
        done, pending = wait(pending, _WAIT_S, FIRST_COMPLETED)
        check_cancelled(cancelled)
        for future in done:
            future.result()
        for i in sorted(set(replies) - told):
            told.add(i)
            yield i
