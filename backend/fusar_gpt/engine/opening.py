"""From the options of a command to an engine."""

from __future__ import annotations

import torch

from fusar_gpt.engine.local import LocalEngine
from fusar_gpt.engine_options import EngineOptions
from fusar_gpt.model import load_checkpoint

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def open_engine(options: EngineOptions) -> LocalEngine:
    """Load the checkpoint that the options name. Raises CheckpointError where it cannot be loaded so."""
    checkpoint = load_checkpoint(
        options.model,
        device=options.device,
        dtype=_DTYPES[options.dtype] if options.dtype else None,
        quantize=options.quantize,
    )
    return LocalEngine(checkpoint, options.batch)
