"""Which model runs, where and how: the options that every command with a model shares. Light to import."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class EngineOptions:
    """A checkpoint's name, folder or hub id and how to run it; None leaves the choice to the device.

    With the engine "vllm" the language model runs on the vLLM server at ``vllm_url``, the rest here; ``vllm_http``
    allows another machine without TLS.
    """

    model: str = "tiny"
    device: str = "auto"
    dtype: str | None = None
    quantize: str | None = None
    batch: int | None = None
    engine: str = "local"
    vllm_url: str | None = None
    vllm_token_file: Path | None = None
    vllm_http: bool = False

    @classmethod
    def of(cls, args: argparse.Namespace) -> EngineOptions:
        """The options that were parsed."""
        return cls(**{field.name: getattr(args, field.name) for field in fields(cls)})

    def problem(self) -> str | None:
        """What contradicts itself in the options; None where nothing does."""
        if self.engine != "vllm":
            of_vllm = self.vllm_url or self.vllm_token_file or self.vllm_http
            return "--vllm-url, --vllm-token-file and --vllm-http go with --engine vllm" if of_vllm else None
        if not self.vllm_url:
            return "--engine vllm needs --vllm-url URL, such as http://127.0.0.1:8000"
        if self.quantize:
            return "--quantize is for a model that runs here: let vLLM quantise, and leave it out with --engine vllm"
        return None


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
        "--batch",
        type=batch,
        metavar="N",
        help="chips at a time; default: what fits into memory, 16 with vLLM",
    )
    parser.add_argument(
        "--engine",
        choices=["local", "vllm"],
        default="local",
        help="where the language model runs: here, or on a vLLM server that serves its export; default: %(default)s",
    )
    parser.add_argument("--vllm-url", metavar="URL", help="of --engine vllm, such as http://127.0.0.1:8000")
    parser.add_argument(
        "--vllm-token-file", type=Path, metavar="FILE", help="its API key; default: the variable VLLM_API_KEY"
    )
    parser.add_argument(
        "--vllm-http",
        action="store_true",
        help="let the API key and what the model sees go to another machine without TLS",
    )


def batch(text: str) -> int:
    """A number of chips, at least one."""
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number
