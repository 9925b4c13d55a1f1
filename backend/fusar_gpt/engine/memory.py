"""The batch size and cache size that fit into the device's memory, and how running out of it is recognised."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from fusar_gpt.errors import FusarError, TooLarge
from fusar_gpt.model import Checkpoint

_LARGEST = {"cpu": 8}
_LARGEST_ELSEWHERE = 32
_USABLE = 0.5  # of the free memory; the rest is left to other programs and to what is not estimated here
LONGEST_TEXT = 1280  # tokens of prompt and answer that a row is estimated with
_UNKNOWN_FREE = 2 * 2**30  # where the system does not say

_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


class DeviceFullError(FusarError):
    """Not even one chip fits into the device's memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch failed for want of memory, on any device."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error).lower() for sign in _SIGNS)


def free_bytes(device: torch.device) -> int:
    """Memory that a new tensor could take on the device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            name, _, amount = line.partition(":")
            if name == "MemAvailable":
                return int(amount.split()[0]) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return _UNKNOWN_FREE


def row_bytes(checkpoint: Checkpoint, text_tokens: int = LONGEST_TEXT) -> int:
    """An estimate of what one answer takes at most: its keys and values, and the largest activations.

    ``text_tokens`` are those of the prompt and of the longest answer.
    """
    text, vision = checkpoint.model.config.text_config, checkpoint.model.config.vision_config
    card, tokens = checkpoint.card, len(checkpoint.processor.prefix) + text_tokens
    head = text.hidden_size // text.num_attention_heads
    kv = tokens * 2 * text.num_hidden_layers * text.num_key_value_heads * head
    reading = tokens * (6 * text.hidden_size + 3 * text.intermediate_size)
    patches = card.token_rows * card.token_cols * card.merge**2
    encoding = patches * (8 * vision.hidden_size + 3 * vision.intermediate_size)
    item = checkpoint.model.get_input_embeddings().weight.element_size()
    # A batch that grows longer is copied once. Scores over the vocabulary are float32.
    return int(item * (2 * kv + max(reading, encoding)) + 3 * 4 * text.vocab_size)


def answer_room(checkpoint: Checkpoint, prompt: int, most: int) -> int:
    """How long an answer of at most ``most`` tokens may grow after a prompt of so many, within the model's context.

    Raises TooLarge for a prompt that fills the context, or takes more than the free memory.
    """
    context = int(checkpoint.model.config.text_config.max_position_embeddings)
    room = context - len(checkpoint.processor.prefix)
    if prompt >= room:
        raise TooLarge(
            f"the question has {prompt} tokens, and beside the image and the answer the model has room for {room - 1}: "
            "shorten it"
        )
    most = min(most, room - prompt)
    text = prompt + most
    if text > LONGEST_TEXT and (needed := row_bytes(checkpoint, text)) > free_bytes(checkpoint.device):
        raise TooLarge(
            f"the question has {prompt} tokens, which take {needed >> 20} MiB of memory, more than is free: shorten it"
        )
    return most


def batch_size(free: int, row: int, device_type: str) -> int:
    """How many rows of that many bytes to run at once, from 1 to 8 on a CPU and to 32 elsewhere."""
    most = _LARGEST.get(device_type, _LARGEST_ELSEWHERE)
    return max(1, min(most, int(_USABLE * free / row)))


def cache_bytes(device: torch.device) -> int:
    """The budget for prefixes: 512 MiB of main memory, or a twentieth of a GPU's."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1]) // 20
    return 512 * 2**20
