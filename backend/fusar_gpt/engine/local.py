"""The engine that runs a checkpoint in this process."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from fusar_gpt.engine import memory
from fusar_gpt.engine.engine import DecodeRequest, OnText, Reply, never
from fusar_gpt.engine.grammar import Grammars
from fusar_gpt.engine.prefixes import PrefixCache
from fusar_gpt.engine.session import DecodeSession, check
from fusar_gpt.engine_options import EngineOptions
from fusar_gpt.model import Card, Checkpoint, load_checkpoint
from fusar_gpt.model.decoding import stop_ids

_TURN_S = 0.05  # how often a caller that waits for its turn looks whether it was cancelled

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

logger = logging.getLogger(__name__)


class LocalEngine:
    """Answers in batches: the same request gets the same answer, alone or in company.

    An answer that has ended makes room for the next request at once. Chips that were asked about before are not
    looked at again. Calls from several threads take turns; a :class:`~fusar_gpt.engine.Batcher` runs them
    together.
    """

    def __init__(
        self, checkpoint: Checkpoint, batch_size: int | None = None, *, cache_bytes: int | None = None
    ) -> None:
        """An engine over a checkpoint.

        Args:
            checkpoint: What answers.
            batch_size: The most answers at a time; None takes what the free memory allows. It is halved
                whenever memory runs out.
            cache_bytes: What may be kept of chips seen before; None is 512 MiB, or a twentieth of a GPU.
        """
        if batch_size is None:
            free = memory.free_bytes(checkpoint.device)
            batch_size = memory.batch_size(free, memory.row_bytes(checkpoint), checkpoint.device.type)
        if batch_size < 1:
            raise ValueError(f"a batch of {batch_size}")
        self._checkpoint = checkpoint
        self.batch_size = batch_size
        vocabulary = checkpoint.model.config.text_config.vocab_size
        self._grammars = Grammars(checkpoint.tokenizer, vocabulary, stop_ids(checkpoint))
        self._prefixes = PrefixCache(
            memory.cache_bytes(checkpoint.device) if cache_bytes is None else cache_bytes
        )
        self._turn = threading.Lock()  # two batches at once would take twice the memory

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
        self,
        requests: Sequence[DecodeRequest],
        cancelled: Callable[[], bool] = never,
        on_text: OnText | None = None,
    ) -> list[Reply]:
        """Answer all, in their order; raises Cancelled at the next token once ``cancelled()`` is true.

        ``on_text`` hears every answer as it grows. Raises
        :class:`~fusar_gpt.engine.memory.DeviceFullError` when not even one answer fits into memory.
        """
        call = DecodeSession(self._checkpoint, self._grammars, self._prefixes, requests, cancelled, on_text)
        with self._in_turn(cancelled):
            while call.open:
                size = min(self.batch_size, call.open)
                if problem := call.advance(size):
                    self._shrink(size, problem)
        return call.replies()

    @contextmanager
    def _in_turn(self, cancelled: Callable[[], bool]) -> Iterator[None]:
        while not self._turn.acquire(timeout=_TURN_S):
            check(cancelled)
        try:
            yield
        finally:
            self._turn.release()

    def _shrink(self, size: int, problem: str) -> None:
        """Halve the batch and free what can be freed, after ``size`` answers were too many."""
        if size == 1 and len(self._prefixes) < 2:
            raise memory.DeviceFullError(
                f"the model does not fit into the memory of {self.device} ({problem}): take a smaller model, "
                "--quantize 4bit or another --device"
            )
        self.batch_size = max(1, size // 2)
        logger.warning(
            "out of memory with a batch of %d on %s; going on with %d", size, self.device, self.batch_size
        )
        self._prefixes.clear()
        gc.collect()
        if self._checkpoint.device.type == "cuda":
            torch.cuda.empty_cache()


def open_engine(options: EngineOptions) -> LocalEngine:
    """Load the checkpoint that the options name. Raises CheckpointError where it cannot be loaded so."""
    checkpoint = load_checkpoint(
        options.model,
        device=options.device,
        dtype=_DTYPES[options.dtype] if options.dtype else None,
        quantize=options.quantize,
    )
    return LocalEngine(checkpoint, options.batch)
