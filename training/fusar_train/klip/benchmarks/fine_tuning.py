"""Teaches an encoder with a head on it, for the vision benchmarks; all encoders by one recipe."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

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
    """Images [N, side, side], each turned by quarters and mirrored by chance: SAR looks at things from all sides.

    No more than that: with turns by any angle, shifts and other sizes, SAR-ACD was learned more slowly and worse.
    """
    turns = torch.randint(4, (len(images),), generator=generator).tolist()
    mirrors = torch.randint(2, (len(images),), generator=generator).tolist()
    turned = [one.rot90(turn) for one, turn in zip(images, turns, strict=True)]
    return torch.stack([one.flip(1) if mirror else one for one, mirror in zip(turned, mirrors, strict=True)])
