"""The engine that runs a checkpoint in this process."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Sequence

import torch

from fusar_gpt.engine import memory
from fusar_gpt.engine.engine import DecodeRequest, Engine, OnText, Reply, never
from fusar_gpt.engine.grammar import Grammars
from fusar_gpt.engine.prefixes import PrefixCache
from fusar_gpt.engine.session import DecodeSession, check_cancelled
from fusar_gpt.engine_options import EngineOptions
from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import Checkpoint, load_checkpoint
from fusar_gpt.model.decoding import stop_ids

_WAIT_S = 0.05  # how often a waiting call checks whether it was cancelled

logger = logging.getLogger(__name__)


class LocalEngine:
    """Runs requests in one continuous batch; the reply to a request does not depend on the other requests.

    An answer that has ended makes room for the next request at once. Prefixes of chips are cached. Calls from
    several threads run one after the other; a :class:`~fusar_gpt.engine.Batcher` runs them together.

    Attributes:
        card: The checkpoint's card.
        hash: SHA-256 of the checkpoint.
        device: The torch device, such as "cpu" or "cuda:0".
        batch_size: The most answers decoded at a time; halved whenever memory runs out.
    """

    def __init__(
        self, checkpoint: Checkpoint, batch_size: int | None = None, *, cache_bytes: int | None = None
    ) -> None:
        """An engine over a checkpoint.

        Args:
            checkpoint: The model to run.
            batch_size: The most answers at a time; None takes what the free memory allows.
            cache_bytes: The size of the prefix cache; None is 512 MiB, or a twentieth of a GPU's memory.
        """
        if batch_size is None:
            free = memory.free_bytes(checkpoint.device)
            batch_size = memory.batch_size(free, memory.row_bytes(checkpoint), checkpoint.device.type)
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        self._checkpoint = checkpoint
        self.card, self.hash, self.device = checkpoint.card, checkpoint.hash, str(checkpoint.device)
        self.batch_size = batch_size
        vocabulary = checkpoint.model.config.text_config.vocab_size
        self._grammars = Grammars(checkpoint.tokenizer, vocabulary, stop_ids(checkpoint))
        self._prefixes = PrefixCache(
            memory.cache_bytes(checkpoint.device) if cache_bytes is None else cache_bytes
        )
        self._running = threading.Lock()  # two batches at once would take twice the memory

    def answer(
        self,
        requests: Sequence[DecodeRequest],
        cancelled: Callable[[], bool] = never,
        on_text: OnText | None = None,
    ) -> list[Reply]:
        """As :meth:`Engine.answer`.

        Raises TooLarge for a prompt beyond the model's context or the free memory, and
        :class:`~fusar_gpt.engine.memory.DeviceFullError` when not even one answer fits into memory.
        """
        session = DecodeSession(
            self._checkpoint, self._grammars, self._prefixes, requests, cancelled, on_text
        )
        while not self._running.acquire(timeout=_WAIT_S):
            check_cancelled(cancelled)
        try:
            while session.pending:
                size = min(self.batch_size, session.pending, self._fitting(session.longest))
                if problem := session.advance(size):
                    self._shrink(size, problem)
        finally:
            self._running.release()
        return session.replies()

    def _fitting(self, text_tokens: int) -> int:
        """How many answers fit at a time where prompt and answer are longer than the batch size was estimated with."""
        if text_tokens <= memory.LONGEST_TEXT:
            return self.batch_size
        device = self._checkpoint.device
        row = memory.row_bytes(self._checkpoint, text_tokens)
        return memory.batch_size(memory.free_bytes(device), row, device.type)

    def _shrink(self, size: int, problem: str) -> None:
        """Halve the batch size and free memory, after ``size`` answers at a time did not fit."""
        if size == 1 and len(self._prefixes) < 2:
            raise memory.DeviceFullError(
                f"The model does not fit into the memory of {self.device} ({problem}). Use a smaller model, "
                "--quantize 4bit or another --device."
            )
        self.batch_size = max(1, size // 2)
        logger.warning(
            "Out of memory with a batch of %d on %s; continuing with %d.", size, self.device, self.batch_size
        )
        self._prefixes.clear()
        gc.collect()
        if self._checkpoint.device.type == "cuda":
            torch.cuda.empty_cache()


def open_engine(options: EngineOptions) -> Engine:
    """The engine that the options name. Raises CheckpointError, or VllmError, if it cannot be had."""
    if problem := options.problem():
        raise CheckpointError(problem)
    if options.engine == "vllm":
        from fusar_gpt.engine.vllm import open_vllm

        return open_vllm(options)
    checkpoint = load_checkpoint(
        options.model,
        device=options.device,
        dtype=options.dtype,
        quantize=options.quantize,
    )
    return LocalEngine(checkpoint, options.batch)
