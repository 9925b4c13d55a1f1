"""What the processes of a run share: gradients, vectors, figures. With one process nothing is sent."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from accelerate import PartialState
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_gather
from torch.nn.utils import parameters_to_vector, vector_to_parameters


def gathered(mine: Tensor) -> Tensor:
    """The rows of all processes in order; gradients flow back to those who made them."""
    if PartialState().num_processes == 1:
        return mine
    if mine.requires_grad:
        return torch.cat(all_gather(mine.contiguous()))  # type: ignore[no-untyped-call]
    rows = [torch.empty_like(mine) for _ in range(PartialState().num_processes)]
    distributed.all_gather(rows, mine.contiguous())
    return torch.cat(rows)


def summed(values: Sequence[float], device: torch.device) -> list[float]:
    """Each value summed over all processes."""
    total = torch.tensor(values, dtype=torch.float64, device=device if device.type != "mps" else "cpu")
    if PartialState().num_processes > 1:
        distributed.all_reduce(total)
    return [float(value) for value in total]


def average_gradients(model: nn.Module) -> list[Tensor]:
    """The gradients, a mean over all processes; zero where a batch gave none."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in trained:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
    gradients = [weight.grad for weight in trained if weight.grad is not None]
    if PartialState().num_processes > 1:
        flat = parameters_to_vector(gradients)
        distributed.all_reduce(flat)
        vector_to_parameters(flat / PartialState().num_processes, gradients)
    return gradients
