"""From nodes to visual tokens: Gaussian interpolation (FUSAR-GPT eq. 6-10), as the paper or the release has it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

EPSILON = 1e-6  # the epsilon of eq. 8, as in the authors' release

_NEGLIGIBLE = 1e-23  # an unnormalised weight: 10,000 such nodes against epsilon^2 are 1e-7
_BLOCK = 1 << 22  # elements of an intermediate; 16 MiB in float32 stay in a cache and are reused by malloc


@dataclass(frozen=True)
class Kernel:
    """The Gaussian weights of a node.

    Attributes:
        sigma: Standard deviation of eq. 7, in steps of the grid that the weights are taken on.
        merge: None for the paper, whose weights are taken on the token grid. For the authors' release the
            patches along one side of a token: its weights are taken on the patch grid, before merging.
    """

    sigma: float
    merge: int | None = None

    @property
    def steps(self) -> int:
        """Grid steps along one side of a token."""
        return self.merge or 1

    @property
    def reach(self) -> float:
        """Beyond so many tokens a node's weight is negligible."""
        return self.sigma * math.sqrt(-2 * math.log(_NEGLIGIBLE)) / self.steps

    def axis(self, tokens: int, at: Tensor) -> Tensor:
        """Eq. 6-7 along one axis for nodes ``at`` [S] in 0..1: float64 [tokens, steps, S]."""
        length = tokens * self.steps
        steps = torch.arange(length, dtype=torch.float64)
        weights = torch.exp(-((steps[:, None] - at * (length - 1)) ** 2) / (2 * self.sigma**2))
        return weights.view(tokens, self.steps, len(at))

    def share(self, total: Tensor) -> Tensor:
        """The factor that normalises unnormalised weights with the sum ``total``.

        Eq. 8 divides by a + e, so a place that no node reaches gets weights of zero, not a division by zero.
        The release normalises the result once more: w / (a + e) / (a / (a + e) + e) = w / (a + a e + e^2).
        """
        return 1 / (total + EPSILON if self.merge is None else total * (1 + EPSILON) + EPSILON**2)

    def taps(self) -> Tensor:
        """Weights [steps] of the patches of a token along one axis in the release's bilinear resize.

        Shrinking by a whole factor (``align_corners=False``) only ever mixes patches of the token itself.
        """
        patches = torch.eye(self.steps, dtype=torch.float64)[None]
        return torch.nn.functional.interpolate(patches, size=1, mode="linear", align_corners=False).flatten()


class Interpolation(ABC):
    """The linear map of S nodes to the H*W tokens of one image: field = weights @ values (eq. 10).

    The full weight matrix is never built. A Gaussian is a product of one factor for each axis, so
    w[h, w, s] = share[h, w] * down[h, s] * across[w, s], summed over the patches of a token in the release.
    The axes are made in float64: a node far away underflows to zero, as it weighs nothing beside epsilon.

    Attributes:
        cost: Multiply-adds for one channel.
        coverage: Sum of each token's weights, float64 [H*W]; 0 where no node reaches, at most 1.
    """

    cost: int

    def __init__(self, kernel: Kernel, down: Tensor, across: Tensor, total: Tensor) -> None:
        """``down`` [H, steps, P] and ``across`` [W, steps, Q] of ``Kernel.axis``; ``total`` [H*steps, W*steps]."""
        taps = kernel.taps()
        share = kernel.share(total).view(*down.shape[:2], *across.shape[:2])
        self._share = share * taps[:, None, None] * taps  # the resize's weights are folded in
        self._down = down
        self._across = across
        self.coverage = (self._share * total.view_as(share)).sum((1, 3)).flatten()

    def blocks(self, values: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """The field of the nodes' values [S, K], some rows of tokens at a time.

        Yields:
            The tokens' span in [0, H*W) and their field [tokens, K].
        """
        width = len(self._across)
        for span, field in self._fields(values):
            yield slice(span.start * width, span.stop * width), field.flatten(0, 1)

    @abstractmethod
    def _fields(self, values: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Spans of rows with their field [rows, W, K]."""


class LatticeInterpolation(Interpolation):
    """For nodes on few rows and columns: one axis is summed after the other.

    That is a grid in any order and with any spacing; missing nodes, and several at one place, are allowed.
    """

    def __init__(
        self, kernel: Kernel, grid: tuple[int, int], rows: Tensor, cols: Tensor, cells: Tensor, cost: int
    ) -> None:
        """``rows`` [P] are y, ``cols`` [Q] are x, both ascending; ``cells`` [S] in [0, P*Q) of the nodes."""
        down, across = kernel.axis(grid[0], rows), kernel.axis(grid[1], cols)
        self._shape = len(rows), len(cols)
        self._cells = cells
        count = torch.bincount(cells, minlength=len(rows) * len(cols)).double().view(self._shape)
        super().__init__(kernel, down, across, down.flatten(0, 1) @ count @ across.flatten(0, 1).T)
        self.cost = cost

    def _fields(self, values: Tensor) -> Iterator[tuple[slice, Tensor]]:
        share, down, across = (part.to(values) for part in (self._share, self._down, self._across))
        channels, size = values.shape[-1], math.prod(self._shape)
        # Nodes at one place are added up; places without a node are zero.
        if not torch.equal(self._cells, torch.arange(size)):
            values = values.new_zeros(size, channels).index_add(0, self._cells.to(values.device), values)
        cells = values.view(*self._shape, channels)
        for span in spans(len(down), _BLOCK // (channels * max(len(across), across[0].numel()))):
            along = torch.einsum("rjwl,wlq->rwjq", share[span], across).flatten(2)
            summed = torch.einsum("rjp,pqk->rjqk", down[span], cells).flatten(1, 2)
            yield span, along @ summed


class ScatteredInterpolation(Interpolation):
    """For nodes anywhere: one tile of tokens at a time, with the nodes that reach it."""

    def __init__(self, kernel: Kernel, grid: tuple[int, int], coords: Tensor) -> None:
        y, x = coords.double().unbind(-1)
        down, across = kernel.axis(grid[0], y), kernel.axis(grid[1], x)
        super().__init__(kernel, down, across, down.flatten(0, 1) @ across.flatten(0, 1).T)
        side = math.ceil(kernel.reach)
        tall, wide = (side if length >= 2 * side else length for length in grid)
        row = wide * kernel.steps * max(1, len(coords))  # weights of one row of a tile
        self._tops, self._lefts = spans(grid[0], min(tall, _BLOCK // row)), spans(grid[1], wide)
        self._near_top = [down[span].amax((0, 1)) > _NEGLIGIBLE for span in self._tops]
        self._near_left = [across[span].amax((0, 1)) > _NEGLIGIBLE for span in self._lefts]
        self.cost = sum(
            (top.stop - top.start) * (left.stop - left.start) * int((near_top & near_left).sum())
            for top, near_top in zip(self._tops, self._near_top, strict=True)
            for left, near_left in zip(self._lefts, self._near_left, strict=True)
        )

    def _fields(self, values: Tensor) -> Iterator[tuple[slice, Tensor]]:
        share, down, across = (part.to(values) for part in (self._share, self._down, self._across))
        for top, near_top in zip(self._tops, self._near_top, strict=True):
            tiles = []
            for left, near_left in zip(self._lefts, self._near_left, strict=True):
                near = near_top & near_left
                tile = share[top, :, left], down[top], across[left], values
                if not near.all():
                    at = near.nonzero()[:, 0].to(values.device)
                    tile = tile[0], tile[1][..., at], tile[2][..., at], values[at]
                tiles.append(_tile(*tile))
            yield top, torch.cat(tiles, dim=1)


def _tile(share: Tensor, down: Tensor, across: Tensor, values: Tensor) -> Tensor:
    """The field [rows, columns, K] of a tile of tokens, of nodes [S] with values [S, K]."""
    along = torch.einsum("rjwl,wls->rjws", share, across)
    return (down[:, :, None] * along).sum(1) @ values


def interpolation(kernel: Kernel, grid: tuple[int, int], coords: Tensor) -> Interpolation:
    """The cheaper map of nodes [S, 2] at (y, x) in 0..1, on the CPU, to a token grid (H, W)."""
    rows, row = torch.unique(coords[:, 0].double(), return_inverse=True)
    cols, col = torch.unique(coords[:, 1].double(), return_inverse=True)
    cost = grid[0] * kernel.steps * len(cols) * (len(rows) + grid[1])
    if cost < grid[0] * grid[1] * len(coords):
        return LatticeInterpolation(kernel, grid, rows, cols, row * len(cols) + col, cost)
    return ScatteredInterpolation(kernel, grid, coords)


def spans(length: int, longest: int) -> list[slice]:
    """[0, length) cut into as few spans of at most ``longest`` (at least 1) as possible, of about one size."""
    count = -(-length // max(1, longest))
    cuts = [length * i // count for i in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(cuts)]
