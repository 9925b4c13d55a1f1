"""Measure TLM by itself and print the tables of bench/RESULTS.md.

    .venv/bin/python bench/tlm.py [speed|share ...] [--threads N] [--hidden 256 3584 14336]

``speed`` sets ours beside the naive form: the equations with one tensor operation each, as a careful researcher
writes them. ``share`` sets TLM beside the visual encoder in the 7B shape (random weights; float32 on the CPU,
bfloat16 on a GPU). Every row runs in a process of its own, so that peak memory is that row's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tables import row, timed
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel

from fusar_gpt.model.interpolation import Kernel
from fusar_gpt.model.tlm import TokenwiseLinearModulation

CHANNELS = 3584
MERGE = 2
KERNELS = {"paper": Kernel(1.0), "release": Kernel(2.0, MERGE)}  # one token wide, both
VISION = {
    "depth": 32,
    "hidden_size": 1280,
    "num_heads": 16,
    "intermediate_size": 3420,
    "patch_size": 14,
    "spatial_merge_size": MERGE,
    "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31],
    "out_hidden_size": CHANNELS,
}
SIDE = 36  # patches along a side of the release's 504 px frame


def speed(hiddens: list[int], threads: int) -> None:
    """TLM of one image: S=1024, 64 x 64 tokens, C=3584, float32 on the CPU."""
    row("hidden", "variant", "priors", "naive", "ours", "naive / ours", "naive memory", "ours", "difference")
    row(*["---"] * 9)
    for hidden in hiddens:
        for variant in KERNELS:
            for nodes in ("regular", "irregular"):
                case = {"hidden": hidden, "variant": variant, "nodes": nodes}
                with tempfile.TemporaryDirectory() as folder:
                    naive, ours = (
                        child(threads, "case", **case, form=form, out=f"{folder}/{form}.npy")
                        for form in ("naive", "ours")
                    )
                    results = [np.load(f"{folder}/{form}.npy") for form in ("naive", "ours")]
                row(
                    f"{hidden}",
                    variant,
                    f"{nodes}",
                    f"{naive['seconds']:.2f} s",
                    f"{ours['seconds']:.2f} s",
                    f"{naive['seconds'] / ours['seconds']:.1f}x",
                    f"{naive['mib']:.0f} MiB",
                    f"{ours['mib']:.0f} MiB",
                    f"{np.abs(results[0] - results[1]).max():.0e}",
                )


def share(hiddens: list[int], threads: int) -> None:
    """TLM beside the visual encoder in the 7B shape: one image of 504 x 504 px, 18 x 18 tokens."""
    row("device", "hidden", "variant", "priors", "visual encoder", "TLM", "share of time", "of operations")
    row(*["---"] * 8)
    for facts in child(threads, "encoder", hiddens=hiddens):
        row(
            facts["device"],
            f"{facts['hidden']}",
            facts["variant"],
            facts["nodes"],
            f"{facts['encoder'] * 1e3:.1f} ms",
            f"{facts['tlm'] * 1e3:.1f} ms",
            f"{facts['tlm'] / facts['encoder']:.1%}",
            f"{facts['work']:.1%}",
        )


def case(hidden: int, variant: str, nodes: str, form: str, out: str) -> dict[str, float]:
    """One row of ``speed`` in one form; a sample of its result goes to ``out``."""
    tlm = module(hidden, variant)
    tokens = torch.randn(64 * 64, CHANNELS)
    values, coords = priors(1024, nodes == "regular")
    mask = torch.ones(1, len(coords), dtype=torch.bool)
    before = peak_mib()

    def run() -> Tensor:
        if form == "naive":
            return naive_form(tlm, tokens, (64, 64), values, coords)
        return tlm([tokens], [(64, 64)], values[None], coords[None], mask)[0]

    with torch.inference_mode():
        result = run()
        mib = peak_mib() - before
        np.save(out, result[::64].numpy())
        del result
        seconds = min(timed(run) for _ in range(3))
    return {"seconds": seconds, "mib": mib}


def encoder(hiddens: list[int]) -> list[dict[str, Any]]:
    """All rows of ``share``."""
    gpu = torch.cuda.is_available()
    device, dtype = ("cuda", torch.bfloat16) if gpu else ("cpu", torch.float32)
    config = Qwen2_5_VLVisionConfig(**VISION)
    with torch.device(device):
        visual = Qwen2_5_VisionTransformerPretrainedModel._from_config(config, dtype=dtype).eval()
    patches = torch.randn(SIDE * SIDE, 3 * 2 * 14 * 14, device=device, dtype=dtype)
    grid = torch.tensor([[1, SIDE, SIDE]], device=device)
    rows = []
    with torch.inference_mode():
        work = FlopCounterMode(display=False)
        with work:
            tokens = visual(patches, grid).pooler_output
        total = work.get_total_flops()
        seconds = min(timed(lambda: visual(patches, grid)) for _ in range(20 if gpu else 2))
        for hidden in hiddens:
            for variant in KERNELS:
                tlm = module(hidden, variant).to(device)
                for count, regular in ((1024, True), (2601, True), (1024, False), (2601, False)):
                    values, coords = priors(count, regular)
                    mask = torch.ones(1, count, dtype=torch.bool)
                    arguments = [tokens], [(SIDE // MERGE,) * 2], values[None].to(device), coords[None], mask
                    with work:
                        tlm(*arguments)
                    rows.append(
                        {
                            "device": torch.cuda.get_device_name() if gpu else "CPU",
                            "hidden": hidden,
                            "variant": variant,
                            "nodes": f"{count}, {'regular' if regular else 'irregular'}",
                            "encoder": seconds,
                            "work": work.get_total_flops() / total,
                            "tlm": min(timed(lambda: tlm(*arguments)) for _ in range(20 if gpu else 3)),  # noqa: B023
                        }
                    )
    return rows


def naive_form(
    tlm: TokenwiseLinearModulation, tokens: Tensor, grid: tuple[int, int], values: Tensor, coords: Tensor
) -> Tensor:
    """TLM as its equations are written: every weight of every node on every place."""
    kernel = tlm.kernel
    height, width = (side * kernel.steps for side in grid)
    y, x = (coords * torch.tensor([height - 1, width - 1])).T
    squared = (torch.arange(height)[:, None, None] - y) ** 2 + (torch.arange(width)[None, :, None] - x) ** 2
    weights = torch.exp(-squared.flatten(0, 1) / (2 * kernel.sigma**2))
    for _ in range(1 if kernel.merge is None else 2):
        weights = weights / (weights.sum(1, keepdim=True) + 1e-6)
    gamma, beta = (weights @ part for part in tlm.w2(functional.silu(tlm.w1(values))).chunk(2, -1))
    if kernel.merge is not None:
        gamma, beta = (
            functional.interpolate(part.T.reshape(1, -1, height, width), size=grid, mode="bilinear")[0]
            .flatten(1)
            .T
            for part in (gamma, beta)
        )
    return tokens * (1 + gamma) + beta


def module(hidden: int, variant: str) -> TokenwiseLinearModulation:
    """A TLM whose modulation is about 0.3 everywhere."""
    torch.manual_seed(0)
    tlm = TokenwiseLinearModulation(CHANNELS, hidden, 64, KERNELS[variant]).requires_grad_(False)
    tlm.w2.weight.normal_(std=0.6 * hidden**-0.5)
    return tlm


def priors(count: int, regular: bool) -> tuple[Tensor, Tensor]:
    """Unit vectors [count, 64] and positions [count, 2], on a square grid or anywhere."""
    steps = torch.linspace(0, 1, round(count**0.5))
    coords = torch.cartesian_prod(steps, steps) if regular else torch.rand(count, 2)
    return functional.normalize(torch.randn(count, 64), dim=-1), coords


def peak_mib() -> float:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def child(threads: int, part: str, **arguments: object) -> Any:
    """What ``case`` or ``encoder`` finds in a process of its own."""
    command = [sys.executable, __file__, "--child", part, json.dumps(arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


PARTS = {"speed": speed, "share": share}
CHILDREN: dict[str, Callable[..., object]] = {"case": case, "encoder": encoder}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(CHILDREN[sys.argv[2]](**json.loads(sys.argv[3]))))
        sys.exit()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=list(PARTS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--hidden", type=int, nargs="+", default=[256, 3584, 14336])
    options = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {options.threads} threads, torch {torch.__version__}",
        f"in {Path(__file__).name}",
    )
    for name in options.parts:
        print(f"\n{(PARTS[name].__doc__ or '').splitlines()[0]}\n")
        PARTS[name](options.hidden, options.threads)
