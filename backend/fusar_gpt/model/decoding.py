"""Continuous batching: answers are decoded token by token, and rows join and leave the batch at any step.

Every prompt begins with the same head and one image, the prefix. Its keys and values are computed once a chip
and reused by every question about it. A row of the batch holds its prefix, prompt and answer from column 0 on, so
rows may differ in length: a row that has ended is replaced by the next one, and only the ragged right end is masked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusar_gpt.model.checkpoint import Checkpoint
from fusar_gpt.model.processor import Prior, encode_priors

_SPARE_COLUMNS = 128  # columns added at once when the batch is too short


@dataclass(frozen=True, eq=False)
class Prefix:
    """The language model's cache of everything before the prompt of one chip.

    ``kv`` [layers, 2, heads, P, d] holds keys and values, ``after`` is the rotary position of the next token.
    """

    kv: Tensor
    after: int

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return self.kv.nbytes


@dataclass(eq=False)
class Row:
    """An answer being decoded: ``prompt`` are the ids after the image, ``limit`` (> 0) the most tokens.

    ``tokens`` are the answer's so far, without the end token; ``finished`` is True once that came.
    """

    prefix: Prefix
    prompt: Sequence[int]
    limit: int
    tokens: list[int] = field(default_factory=list)
    finished: bool = False

    @property
    def ended(self) -> bool:
        """Whether the answer is complete or cut off."""
        return self.finished or len(self.tokens) >= self.limit

    @property
    def length(self) -> int:
        """Columns that the row fills, without the newest token, whose keys and values are not computed yet."""
        return self.prefix.kv.shape[-2] + len(self.prompt) + max(0, len(self.tokens) - 1)


R = TypeVar("R", bound=Row)


@torch.inference_mode()
def visual_tokens(
    checkpoint: Checkpoint, images: Sequence[NDArray[np.uint8]], priors: Sequence[Prior]
) -> list[Tensor]:
    """Visual tokens [H*W, C] of each chip after TLM (FUSAR-GPT eq. 11), row-major, encoded in one call.

    Images are uint8 of the card's size.
    """
    inputs = {**checkpoint.processor.encode_images(images), **encode_priors(priors)}
    on_device = {name: tensor.to(checkpoint.device) for name, tensor in inputs.items()}
    return list(checkpoint.model.model.get_image_features(**on_device).pooler_output)


@torch.inference_mode()
def prefill(checkpoint: Checkpoint, tokens: Sequence[Tensor]) -> list[Prefix]:
    """The prefixes of N chips from their visual tokens, in one pass of the language model."""
    processor, model = checkpoint.processor, checkpoint.model
    ids = torch.tensor([processor.prefix], device=checkpoint.device)
    positions = _prefix_positions(checkpoint, ids)
    inputs = model.get_input_embeddings()(ids).repeat(len(tokens), 1, 1)
    inputs[:, processor.image_span] = torch.stack(list(tokens)).to(inputs.dtype)
    kv = _new_kv(checkpoint, len(tokens), ids.shape[1])
    columns = torch.arange(ids.shape[1], device=ids.device).expand(len(tokens), -1)
    _forward(checkpoint, inputs, positions.expand(-1, len(tokens), -1), _Columns(kv, columns), None)
    after = int(positions.max()) + 1
    return [Prefix(kv[:, :, i].clone(), after) for i in range(len(tokens))]


def encode_prefixes(
    checkpoint: Checkpoint,
    images: Sequence[NDArray[np.uint8]],
    priors: Sequence[Prior],
    before_each: Callable[[], None] = lambda: None,
) -> list[Prefix]:
    """The prefixes of N chips; ``before_each`` is called before each pass of the model and may raise to stop."""
    # A CPU's cache holds the activations of one image, not of several (measured: 24 against 38 ms a chip).
    together = 1 if checkpoint.device.type == "cpu" else max(1, len(images))
    tokens: list[Tensor] = []
    for start in range(0, len(images), together):
        before_each()
        part = slice(start, start + together)
        tokens += visual_tokens(checkpoint, images[part], priors[part])
    before_each()
    return prefill(checkpoint, tokens) if tokens else []


@torch.inference_mode()
def decode(
    checkpoint: Checkpoint,
    take: Callable[[int], Sequence[R]],
    slots: int,
    choose: Callable[[Sequence[R], Tensor], Sequence[int]],
) -> Iterator[R]:
    """Decode rows, at most ``slots`` at a time, and yield each as soon as it has ended.

    Args:
        checkpoint: The model.
        take: Returns at most that many waiting rows; none once all were taken. Called when a quarter of the
            slots is free, so that prompts are prefilled together.
        slots: The largest batch.
        choose: Returns the next tokens of some rows from their logits [n, V], which it may overwrite. Called
            once a step; what it raises ends the decoding.
    """
    stops = stop_ids(checkpoint)
    batch: _Batch[R] = _Batch(checkpoint, slots)
    waiting = True
    while waiting or batch.rows:
        free = slots - len(batch.rows)
        if waiting and (not batch.rows or 4 * free >= slots):
            fresh = list(take(free))
            waiting = bool(fresh)
            if fresh:
                _append(fresh, choose(fresh, batch.admit(fresh)), stops)
        elif batch.rows:
            _append(batch.rows, choose(batch.rows, batch.step()), stops)
        yield from batch.release()


def stop_ids(checkpoint: Checkpoint) -> frozenset[int]:
    """The tokens that end an answer: the configuration's and the tokenizer's."""
    eos = checkpoint.model.config.text_config.eos_token_id
    listed = eos if isinstance(eos, (list, tuple)) else [eos]
    return frozenset(i for i in (*listed, checkpoint.tokenizer.eos_token_id) if i is not None)


def greedy(
    checkpoint: Checkpoint,
    images: Sequence[NDArray[np.uint8]],
    priors: Sequence[Prior],
    prompts: Sequence[str],
    max_new_tokens: int,
    *,
    batch_size: int = 8,
) -> list[str]:
    """Greedy answers without a grammar, as ``generate(do_sample=False)`` gives them.

    Special tokens are left out of the text.

    Args:
        checkpoint: The model.
        images: N of uint8 [H, W] or [H, W, 3] at the card's size.
        priors: N of (values [S, 64], positions [S, 2] as (y, x) in [0, 1]); S may be 0.
        prompts: N texts.
        max_new_tokens: The longest answer, at least 1.
        batch_size: The most answers at a time.
    """
    if not len(images) == len(prompts) == len(priors):
        raise ValueError(f"{len(images)} images, {len(prompts)} prompts and {len(priors)} priors")
    if max_new_tokens < 1 or batch_size < 1:
        raise ValueError(f"answers of {max_new_tokens} tokens in batches of {batch_size}")
    texts = [""] * len(images)
    waiting = list(range(len(images)))
    number: dict[Row, int] = {}

    def take(free: int) -> list[Row]:
        chosen, waiting[:free] = waiting[:free], []
        prefixes = encode_prefixes(checkpoint, [images[i] for i in chosen], [priors[i] for i in chosen])
        prompt = [checkpoint.processor.ids_after_image(prompts[i]) for i in chosen]
        rows = [Row(*parts, max_new_tokens) for parts in zip(prefixes, prompt, strict=True)]
        number.update(zip(rows, chosen, strict=True))
        return rows

    for row in decode(checkpoint, take, batch_size, lambda _, logits: logits.argmax(-1).tolist()):
        texts[number.pop(row)] = checkpoint.tokenizer.decode(row.tokens, skip_special_tokens=True)
    return texts


class _Batch(Generic[R]):
    """The rows being decoded.

    ``_kv`` [layers, 2, slots, heads, columns, d] holds their keys and values. What lies right of a row's length is
    old or zero, but always finite, since attention multiplies it by zero.
    """

    def __init__(self, checkpoint: Checkpoint, slots: int) -> None:
        self.rows: list[R] = []
        self._checkpoint = checkpoint
        self._device = checkpoint.device
        self._kv = _new_kv(checkpoint, slots, 0)

    def admit(self, rows: Sequence[R]) -> Tensor:
        """Prefill the prompts of new rows; logits [n, V] of their first tokens."""
        first, longest = len(self.rows), max(len(row.prompt) for row in rows)
        start = rows[0].prefix.kv.shape[-2]
        self._reserve(start + longest)
        self.rows += rows
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        for i, row in enumerate(rows):
            self._kv[:, :, first + i, :, :start] = row.prefix.kv
            ids[i, : len(row.prompt)] = torch.tensor(row.prompt)
        # The rows end at different columns; causal attention alone hides what lies to the right.
        causal = torch.ones(longest, start + longest, dtype=torch.bool, device=self._device).tril(start)
        columns = torch.arange(start, start + longest, device=self._device).expand(len(rows), -1)
        kv = self._kv[:, :, first : len(self.rows), :, : start + longest]
        hidden = self._read(rows, ids.to(self._device), columns, kv, None if longest == 1 else causal)
        last = torch.tensor([len(row.prompt) - 1 for row in rows], device=self._device)
        return self._logits(hidden[torch.arange(len(rows), device=self._device), last])

    def step(self) -> Tensor:
        """Run the newest token of every row; logits [n, V] of the next ones."""
        lengths = [row.length for row in self.rows]
        width = max(lengths) + 1
        self._reserve(width)
        newest = [row.tokens[-1] for row in self.rows]
        ids, columns = torch.tensor([newest, lengths], device=self._device)[..., None]
        mask = None if min(lengths) + 1 == width else torch.arange(width, device=self._device) <= columns
        kv = self._kv[:, :, : len(self.rows), :, :width]
        return self._logits(self._read(self.rows, ids, columns, kv, mask)[:, -1])

    def release(self) -> list[R]:
        """Remove the rows that have ended; the last row moves into the gap."""
        ended = [slot for slot, row in enumerate(self.rows) if row.ended]
        gone = [self.rows[slot] for slot in ended]
        for slot in reversed(ended):
            last = self.rows.pop()
            if slot < len(self.rows):
                self.rows[slot] = last
                self._kv[:, :, slot, :, : last.length] = self._kv[:, :, len(self.rows), :, : last.length]
        return gone

    def _reserve(self, columns: int) -> None:
        have = self._kv.shape[-2]
        if columns > have:
            wider = _new_kv(self._checkpoint, self._kv.shape[2], columns + _SPARE_COLUMNS)
            wider[..., :have, :] = self._kv
            self._kv = wider

    def _read(
        self, rows: Sequence[R], ids: Tensor, columns: Tensor, kv: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Hidden states [n, T, C] of the tokens ``ids`` [n, T], which go to ``columns`` [n, T] of ``kv``."""
        shift = torch.tensor([[row.prefix.after - row.prefix.kv.shape[-2]] for row in rows])
        positions = (columns + shift.to(self._device)).expand(3, -1, -1)
        inputs = self._checkpoint.model.get_input_embeddings()(ids)
        return _forward(self._checkpoint, inputs, positions, _Columns(kv, columns), mask)

    def _logits(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self._checkpoint.model.lm_head(hidden)
        return logits


class _Columns:
    """Stands in for transformers' ``Cache`` during one pass: new keys and values go to given columns.

    ``kv`` is [layers, 2, n, heads, width, d], ``columns`` [n, T].
    """

    def __init__(self, kv: Tensor, columns: Tensor) -> None:
        self._kv = kv
        self._rows = torch.arange(len(columns), device=columns.device)[:, None]
        self._columns = columns

    def update(
        self, keys: Tensor, values: Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Store keys and values [n, heads, T, d] of a layer; returns all [n, heads, width, d]."""
        all_keys, all_values = self._kv[layer_idx]
        all_keys[self._rows, :, self._columns] = keys.transpose(1, 2)
        all_values[self._rows, :, self._columns] = values.transpose(1, 2)
        return all_keys, all_values

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """The library's name for the width."""
        return self._kv.shape[-2]


def _forward(
    checkpoint: Checkpoint, inputs: Tensor, positions: Tensor, cache: _Columns, mask: Tensor | None
) -> Tensor:
    """Hidden states [n, T, C] of the language model.

    ``mask`` is bool, [T, width] or for one new token a row [n, width]; None means causal, up to the last column.
    """
    language = checkpoint.model.model.language_model
    prepared = _prepared(mask, language.config._attn_implementation, inputs, cache.get_seq_length())
    output = language(
        inputs_embeds=inputs,
        position_ids=positions,
        attention_mask={"full_attention": prepared},  # the form that the library's generate() prepares
        past_key_values=cache,
        use_cache=True,
    )
    hidden: Tensor = output.last_hidden_state
    return hidden


def _prepared(mask: Tensor | None, attention: str, inputs: Tensor, width: int) -> Tensor | None:
    """The mask in the form that an implementation of attention expects."""
    length = inputs.shape[1]
    if "flash" in attention:
        return mask if length == 1 else None  # it is causal up to the last column by itself
    if mask is None and attention == "eager":
        mask = torch.ones(length, width, dtype=torch.bool, device=inputs.device).tril(width - length)
    if mask is None:
        return None
    mask = mask[:, None, None] if length == 1 else mask[None, None]
    if attention == "eager":
        return torch.zeros_like(mask, dtype=inputs.dtype).masked_fill(~mask, -torch.inf)
    return mask


def _new_kv(checkpoint: Checkpoint, rows: int, columns: int) -> Tensor:
    """Zeros [layers, 2, rows, heads, columns, d]."""
    config = checkpoint.model.config.text_config
    size = config.hidden_size // config.num_attention_heads
    dtype = checkpoint.model.get_input_embeddings().weight.dtype
    shape = (config.num_hidden_layers, 2, rows, config.num_key_value_heads, columns, size)
    return torch.zeros(shape, dtype=dtype, device=checkpoint.device)


def _prefix_positions(checkpoint: Checkpoint, ids: Tensor) -> Tensor:
    """Rotary positions [3, 1, P] of the prefix, time, row and column, as the model itself numbers them."""
    card, span = checkpoint.card, checkpoint.processor.image_span
    types = torch.zeros_like(ids)
    types[:, span] = 1
    grid = torch.tensor([[1, card.height // card.patch, card.width // card.patch]], device=ids.device)
    positions: Tensor = checkpoint.model.model.get_rope_index(ids, types, image_grid_thw=grid)[0]
    return positions


def _append(rows: Sequence[R], tokens: Sequence[int], stops: frozenset[int]) -> None:
    """Append every row's next token; a stop token finishes the row and is not appended."""
    for row, token in zip(rows, tokens, strict=True):
        if token in stops:
            row.finished = True
        else:
            row.tokens.append(token)
