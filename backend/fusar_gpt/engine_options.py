"""Which model runs, where and how: the options that every command with a model shares. Light to import."""

from __future__ import annotations

import argparse
from dataclasses import dataclass


@dataclass(frozen=True)
class EngineOptions:
    """A checkpoint's name, folder or hub id and how to run it; None leaves the choice to the device."""

    model: str = "tiny"
    device: str = "auto"
    dtype: str | None = None
    quantize: str | None = None
    batch: int | None = None

    @classmethod
    def of(cls, args: argparse.Namespace) -> EngineOptions:
        """The options that were parsed."""
        return cls(args.model, args.device, args.dtype, args.quantize, args.batch)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a command take the options."""
    parser.add_argument(
        "--model", default="tiny", metavar="tiny|NAME|DIR|HUB_ID", help="default: %(default)s"
    )
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:N]", help="default: %(default)s")
    parser.add_argument(
        "--dtype",
        choices=["float32", "bfloat16", "float16"],
        help="default: float32 on the CPU, the checkpoint's own (bfloat16) on CUDA",
    )
    parser.add_argument("--quantize", choices=["4bit", "8bit"], help="needs the package bitsandbytes")
    parser.add_argument(
        "--batch", type=batch, metavar="N", help="chips at a time; default: what fits into memory"
    )


def batch(text: str) -> int:
    """A number of chips, at least one."""
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number
