"""Teaches an encoder with a head on it, for the vision benchmarks; all encoders by one recipe."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fusar_train.klip.settings import KlipError
from fusar_train.stages.run_log import report


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to learn.

    Attributes:
        epochs: Times that each example is seen.
        batch: Examples a step.
        rate: The head's highest learning rate.
        encoder_rate: The encoder's, as a share of it.
        warmup: Share of the steps in which the rate rises; then it falls in a cosine.
        weight_decay: AdamW's.
        seed: Of the order and of all chance.
    """

    epochs: int
    batch: int = 32
    rate: float = 1e-3
    encoder_rate: float = 1.0
    warmup: float = 0.1
    weight_decay: float = 0.05
    seed: int = 0


def fit(
    module: nn.Module,
    encoder: nn.Module,
    loss: Callable[[Tensor], Tensor],
    count: int,
    recipe: Recipe,
    what: str,
) -> None:
    """Teaches a module, which is left in evaluation mode.

    Args:
        module: Encoder and head.
        encoder: The part of it that has its own rate.
        loss: Of the examples of given numbers, int64 [B].
        count: How many examples there are.
        recipe: How.
        what: Words for the line that tells how far it is.

    Raises:
        KlipError: The loss is not finite.
    """
    inner = {id(weight) for weight in encoder.parameters()}
    groups = [
        {"params": [w for w in module.parameters() if (id(w) in inner) == mine], "share": share}
        for mine, share in ((True, recipe.encoder_rate), (False, 1.0))
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate, weight_decay=recipe.weight_decay)
    rng = np.random.default_rng((recipe.seed, 1))
    batches = max(count // recipe.batch, 1)
    steps = recipe.epochs * batches
    recent = []
    module.train()
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        for step in range(steps):
            if step % batches == 0:
                order = rng.permutation(count)
            rows = order[step % batches * recipe.batch :][: recipe.batch]
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate * group["share"] * _share(step / steps, recipe.warmup)
            total = loss(torch.from_numpy(rows))
            if not bool(torch.isfinite(total.detach())):
                raise KlipError(
                    f"{what}: the loss is not finite at step {step + 1}. Lower the learning rate, or look whether the "
                    "weights that it starts from are sound."
                )
            optimizer.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            recent.append(float(total.detach()))
            if (step + 1) % max(steps // 4, 1) == 0:
                report(f"{what}: step {step + 1} of {steps}, loss {np.mean(recent[-batches:]):.3f}")
    module.eval()


def _share(done: float, warmup: float) -> float:
    """The learning rate at a share of the run, as a share of the highest."""
    if done < warmup:
        return (done + 1e-3) / (warmup + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


def varied(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Images uint8 [N, H, W] turned by quarters, mirrored, a little shifted, sized, brighter or darker: uint8.

    What they show stays the same class, as SAR looks at things from all sides.
    """
    count = len(images)

    def drawn(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    angle = torch.randint(4, (count,), generator=generator) * (math.pi / 2) + drawn(-0.2, 0.2)
    size, mirror = drawn(0.8, 1.15), torch.randint(2, (count,), generator=generator) * 2.0 - 1
    cos, sin = angle.cos() / size, angle.sin() / size
    rows = [torch.stack([cos * mirror, -sin, drawn(-0.12, 0.12)], 1)]
    rows.append(torch.stack([sin * mirror, cos, drawn(-0.12, 0.12)], 1))
    grid = functional.affine_grid(
        torch.stack(rows, 1), [count, 1, *images.shape[1:]], align_corners=False
    ).to(images.device)
    moved = functional.grid_sample(images[:, None].float(), grid, align_corners=False)[:, 0]
    gain = drawn(0.8, 1.25).to(images.device)[:, None, None]
    return (moved * gain).clamp(0, 255).to(torch.uint8)
