"""The engine that runs a checkpoint in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from fusar_gpt.engine.engine import Reply, Request
from fusar_gpt.engine.grammar import Grammars
from fusar_gpt.engine.spelling import spell
from fusar_gpt.errors import Cancelled
from fusar_gpt.model import Card, Checkpoint


class LocalEngine:
    """Answers in batches by greedy search: the same request gets the same answer, alone or in company.

    Requests that share grammar and length run together, left-padded. Calls from several threads take turns.
    """

    def __init__(self, checkpoint: Checkpoint, batch_size: int = 8) -> None:
        if batch_size < 1:
            raise ValueError(f"a batch of {batch_size}")
        self._checkpoint = checkpoint
        self.batch_size = batch_size
        self._grammars = Grammars(checkpoint.tokenizer, checkpoint.model.config.text_config.vocab_size)
        self._turn = threading.Lock()  # the model keeps the rotary offsets of its current batch on itself

    @property
    def card(self) -> Card:
        """The checkpoint's card."""
        return self._checkpoint.card

    @property
    def hash(self) -> str:
        """SHA-256 of the checkpoint."""
        return self._checkpoint.hash

    @property
    def device(self) -> str:
        """The torch device, such as "cpu" or "cuda:0"."""
        return str(self._checkpoint.device)

    def answer(
        self, requests: Sequence[Request], cancelled: Callable[[], bool] = lambda: False
    ) -> list[Reply]:
        """Answer all, in their order; raises Cancelled at the next token once ``cancelled()`` is true."""
        groups: dict[tuple[str | None, int], list[int]] = {}
        for i, request in enumerate(requests):
            groups.setdefault((request.grammar, request.max_tokens), []).append(i)
        replies: dict[int, Reply] = {}
        for members in groups.values():
            for start in range(0, len(members), self.batch_size):
                batch = members[start : start + self.batch_size]
                answered = self._generate([requests[i] for i in batch], cancelled)
                replies.update(zip(batch, answered, strict=True))
        return [replies[i] for i in range(len(requests))]

    def _generate(self, requests: list[Request], cancelled: Callable[[], bool]) -> list[Reply]:
        """One batch that shares grammar and length."""
        checkpoint = self._checkpoint
        inputs = checkpoint.processor(
            [request.image for request in requests],
            [request.prompt for request in requests],
            [(request.values, request.positions) for request in requests],
        )
        constraint = self._grammars.constraint(requests[0].grammar, len(requests))
        greedy = GenerationConfig(
            max_new_tokens=requests[0].max_tokens,
            do_sample=False,
            eos_token_id=checkpoint.tokenizer.eos_token_id,
            pad_token_id=checkpoint.tokenizer.pad_token_id,
        )
        with self._turn, torch.inference_mode():
            if cancelled():
                raise Cancelled("stopped by the user")
            output = checkpoint.model.generate(
                **{name: tensor.to(checkpoint.device) for name, tensor in inputs.items()},
                generation_config=greedy,
                logits_processor=LogitsProcessorList([constraint]),
                stopping_criteria=StoppingCriteriaList([_Stop(cancelled)]),
            )
        if cancelled():
            raise Cancelled("stopped by the user")
        tokens = output[:, inputs["input_ids"].shape[1] :].tolist()
        return [self._reply(*row) for row in zip(tokens, constraint.logprobs(), strict=True)]

    def _reply(self, ids: list[int], logprobs: Tensor) -> Reply:
        end = self._checkpoint.tokenizer.eos_token_id
        finished = end in ids
        length = ids.index(end) if finished else len(ids)
        text, ends = spell(self._checkpoint.tokenizer, ids[:length])
        return Reply(text=text, token_ends=ends, logprobs=logprobs[:length].numpy(), finished=finished)


class _Stop(StoppingCriteria):
    """Ends every answer of a batch once the user has cancelled."""

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self._cancelled = cancelled

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: object) -> Tensor:
        return torch.full((len(input_ids),), self._cancelled(), device=input_ids.device)
