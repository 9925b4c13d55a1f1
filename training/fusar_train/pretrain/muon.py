"""Muon in float32: momentum whose matrices are made orthogonal before each step (Jordan et al., 2024).

The library's own version works in bfloat16, which a CPU without such units does about fifty times slower.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd quintic whose repetition drives singular values to about one."""


def orthogonal(matrix: Tensor, rounds: int = 5) -> Tensor:
    """The matrix [m, n] with its singular values moved to about one, by Newton-Schulz iteration."""
    a, b, c = COEFFICIENTS
    x: Tensor = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (torch.linalg.matrix_norm(x) + 1e-7)
    for _ in range(rounds):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T.contiguous() if matrix.shape[0] > matrix.shape[1] else x


class Muon(torch.optim.Optimizer):
    """For matrices only. The step is scaled to the size of an Adam step, so its rates can be used."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": 0.95})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step on every matrix that has a gradient; there is no closure to call."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                momentum = state.setdefault("momentum", torch.zeros_like(matrix))
                momentum.lerp_(matrix.grad, 1 - group["momentum"])
                direction = orthogonal(matrix.grad.lerp(momentum, group["momentum"]))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(direction, alpha=-0.2 * max(matrix.shape) ** 0.5 * group["lr"])
