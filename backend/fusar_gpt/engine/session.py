"""One call of ``LocalEngine.answer``: its requests, their answers while they are decoded, the replies so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
import torch
import xgrammar
from torch import Tensor

from fusar_gpt.engine.detokenizer import IncrementalDetokenizer
from fusar_gpt.engine.engine import DecodeRequest, OnText, Reply
from fusar_gpt.engine.grammar import Grammars
from fusar_gpt.engine.memory import answer_room, is_out_of_memory
from fusar_gpt.engine.prefixes import PrefixCache, prefix_key
from fusar_gpt.errors import Cancelled
from fusar_gpt.model import Checkpoint
from fusar_gpt.model.decoding import Prefix, Row, decode, encode_prefixes, stop_ids


def check_cancelled(cancelled: Callable[[], bool]) -> None:
    """Raise Cancelled if ``cancelled()`` is true."""
    if cancelled():
        raise Cancelled("stopped by the user")


class DecodeSession:
    """Decodes the requests of one call, in as many attempts as memory needs; replies are kept between attempts."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        grammars: Grammars,
        prefixes: PrefixCache,
        requests: Sequence[DecodeRequest],
        cancelled: Callable[[], bool],
        on_text: OnText | None,
    ) -> None:
        self._checkpoint = checkpoint
        self._grammars = grammars
        self._prefixes = prefixes
        self._requests = requests
        self._cancelled = cancelled
        self._on_text = on_text
        self._prompts = [checkpoint.processor.ids_after_image(request.prompt) for request in requests]
        self._limits = [
            answer_room(checkpoint, len(prompt), request.max_tokens)
            for prompt, request in zip(self._prompts, requests, strict=True)
        ]
        self._keys = [prefix_key(request, checkpoint.hash) for request in requests]
        first: dict[bytes, int] = {}
        for i, key in enumerate(self._keys):
            first.setdefault(key, i)
        # Questions about one chip follow each other, so that its prefix is in the cache for all of them.
        self._order = sorted(range(len(requests)), key=lambda i: first[self._keys[i]])
        self._waiting: deque[int] = deque()
        self._replies: dict[int, Reply] = {}
        # Characters given to on_text: not given again when an answer has to start anew after running out of memory.
        self._reported = [0] * len(requests)
        self._stops = stop_ids(checkpoint)

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt and answer."""
        pairs = zip(self._prompts, self._limits, strict=True)
        return max((len(prompt) + limit for prompt, limit in pairs), default=0)

    @property
    def pending(self) -> int:
        """The number of requests without a reply."""
        return len(self._requests) - len(self._replies)

    def replies(self) -> list[Reply]:
        """All replies in the order of the requests."""
        return [self._replies[i] for i in range(len(self._requests))]

    def advance(self, slots: int) -> str | None:
        """Decode the pending requests, at most ``slots`` at a time.

        Returns None once all have replies, else the device's message that memory ran out. Raises Cancelled, and
        what ``on_text`` raises.
        """
        self._waiting = deque(i for i in self._order if i not in self._replies)
        try:
            for answer in decode(self._checkpoint, self._take, slots, self._choose):
                self._replies[answer.index] = answer.reply()
                self._report(answer)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return str(error).split("\n")[0][:200]
        return None

    def _take(self, number: int) -> list[_Answer]:
        """The next answers to decode, at most ``number``; aborted requests get their empty reply at once."""
        chosen: list[int] = []
        while self._waiting and len(chosen) < number:
            i = self._waiting.popleft()
            if self._requests[i].aborted():
                self._replies[i] = Reply("", (), np.zeros(0), finished=False)
            else:
                chosen.append(i)
        prefixes = self._prefixes_of([self._keys[i] for i in chosen], [self._requests[i] for i in chosen])
        return [self._begin(i, self._requests[i], prefix) for i, prefix in zip(chosen, prefixes, strict=True)]

    def _begin(self, index: int, request: DecodeRequest, prefix: Prefix) -> _Answer:
        matcher = None if request.grammar is None else self._grammars.matcher(request.grammar)
        detokenizer = IncrementalDetokenizer(self._checkpoint.tokenizer)
        return _Answer(
            index, request, prefix, self._prompts[index], self._limits[index], matcher, detokenizer
        )

    def _prefixes_of(self, keys: Sequence[bytes], requests: Sequence[DecodeRequest]) -> list[Prefix]:
        """The prefixes of some requests, from the cache or encoded now."""
        found = {key: prefix for key in keys if (prefix := self._prefixes.get(key)) is not None}
        unseen = {key: request for key, request in zip(keys, requests, strict=True) if key not in found}
        encoded = encode_prefixes(
            self._checkpoint,
            [request.image for request in unseen.values()],
            [(request.values, request.positions) for request in unseen.values()],
            lambda: check_cancelled(self._cancelled),
        )
        for key, prefix in zip(unseen, encoded, strict=True):
            found[key] = prefix
            self._prefixes.put(key, prefix)
        return [found[key] for key in keys]

    def _choose(self, answers: Sequence[_Answer], logits: Tensor) -> list[int]:
        """The next token of every answer, among those its grammar allows: the likeliest, or sampled."""
        check_cancelled(self._cancelled)
        scores = logits.float()
        self._grammars.forbid(scores, [answer.matcher for answer in answers])
        chosen = scores.argmax(-1)
        for i, answer in enumerate(answers):
            if answer.request.temperature > 0:
                chosen[i] = answer.sample(scores[i])
        logprobs = scores.gather(-1, chosen[:, None])[:, 0] - scores.logsumexp(-1)
        tokens: list[int] = chosen.tolist()
        for answer, token, logprob in zip(answers, tokens, logprobs.tolist(), strict=True):
            if token not in self._stops:
                answer.add(token, logprob)
                self._report(answer)
        return tokens

    def _report(self, answer: _Answer) -> None:
        piece = answer.detokenizer.text[self._reported[answer.index] :]
        if piece and self._on_text is not None:
            self._reported[answer.index] += len(piece)
            self._on_text(answer.index, piece)


class _Answer(Row):
    """A row of the batch with its request, matcher and text."""

    def __init__(
        self,
        index: int,
        request: DecodeRequest,
        prefix: Prefix,
        prompt: Sequence[int],
        limit: int,
        matcher: xgrammar.GrammarMatcher | None,
        detokenizer: IncrementalDetokenizer,
    ) -> None:
        super().__init__(prefix, prompt, limit)
        self.index = index
        self.request = request
        self.matcher = matcher
        self.detokenizer = detokenizer
        self._logprobs: list[float] = []
        # One generator an answer, on the CPU: neither the device nor other requests change what is sampled.
        self._generator = torch.Generator().manual_seed(request.seed % 2**63)

    @property
    def ended(self) -> bool:
        """Whether the answer is complete, cut off or aborted."""
        return super().ended or self.request.aborted()

    def sample(self, scores: Tensor) -> int:
        """A token sampled from the softmax of scores [V] at the request's temperature."""
        shifted = (scores.double() - scores.max()) / self.request.temperature
        return int(torch.multinomial(shifted.softmax(-1).cpu(), 1, generator=self._generator))

    def add(self, token: int, logprob: float) -> None:
        """Append a token with its log probability."""
        if self.matcher is not None:
            self.matcher.accept_token(token)
        self.detokenizer.add(token)
        self._logprobs.append(logprob)

    def reply(self) -> Reply:
        """The reply; the answer must have ended."""
        self.detokenizer.close()
        ends = tuple(self.detokenizer.ends)
        return Reply(
            self.detokenizer.text, ends, np.array(self._logprobs, np.float64), finished=self.finished
        )
