"""The auxiliary head that teaches the vision tower: the objects and the land cover at every visual token.

It is used in training only and is not part of the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusar_train.corpus.chip import LABELS, LabelledChip
from fusar_train.simulation.ground import COVER_NAMES

BoxTargets = dict[str, Tensor]
ALIKE_SCALE = 30.0
NEIGHBOUR = 0.25
"""The weight of a box that a neighbour of its own token gives."""


class DenseHead(nn.Module):
    """From visual tokens [N, T, C] to class logits [N, K, 2], boxes [N, K, 4] and cover logits [N, T, 8].

    Classes and boxes are of K = T ``fine``^2 cells, row by row, ``fine`` along each side of a token: so a token learns
    where within it objects lie. A box is (left, top, right, bottom) as distances from the cell's centre in cell sides,
    positive outward. Every cell next to an object's centre gives its box, so that a chip of few objects still teaches
    much. The tokens must be those of a square image.
    ``words`` predicts, from the tokens, the embeddings of the words with which the prompt set ``compact`` names their
    objects: so the tower learns to write what the language model has to answer.
    """

    def __init__(self, channels: int, fine: int = 1) -> None:
        super().__init__()
        self.fine = fine
        self.norm = nn.LayerNorm(channels)
        self.hidden = nn.Linear(channels, channels)
        self.cell = nn.Linear(channels, channels)
        self.sides = nn.Linear(channels, 4 * channels)
        self.out = nn.Linear(channels, fine**2 * (len(LABELS) + 4) + len(COVER_NAMES))
        nn.init.constant_(self.out.bias[: fine**2 * len(LABELS)], -3.5)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Class logits, boxes, cover logits."""
        out = self.out(functional.gelu(self.hidden(self.norm(tokens))))
        sizes = [self.fine**2 * len(LABELS), self.fine**2 * 4, len(COVER_NAMES)]
        classes, boxes, cover = out.split(sizes, dim=-1)
        return self._cells(classes), self._cells(boxes) + 0.5, cover

    def _cells(self, said: Tensor) -> Tensor:
        """What tokens [N, T, fine^2 x V] say of their cells, as [N, K, V] row by row."""
        side = math.isqrt(said.shape[1])
        cells = said.reshape(len(said), side, side, self.fine, self.fine, -1)
        return cells.transpose(2, 3).flatten(1, 4)

    def words(self, tokens: Tensor, numbers: Tensor, sides: Tensor) -> dict[str, Tensor]:
        """Logits over the embeddings of numbers [225, C] and of the four sides of boxes [4, 129, C].

        From tokens [N, T, C]: ``cell`` [N, T, 225] and ``sides`` [N, T, 4, 129].
        """
        seen = self.norm(tokens)
        channels = tokens.shape[-1]
        said = self.sides(seen).unflatten(-1, (4, channels))
        return {
            "cell": _alike(self.cell(seen), numbers),
            "sides": _alike(said.transpose(1, 2), sides).transpose(1, 2),
        }


def _alike(said: Tensor, table: Tensor) -> Tensor:
    """How alike vectors [..., C] are to the embeddings of a table [..., V, C]: logits [..., V]."""
    directions = functional.normalize(table, dim=-1).transpose(-1, -2)
    return functional.normalize(said, dim=-1) @ directions * ALIKE_SCALE


def dense_targets(records: Sequence[LabelledChip], token_px: int, fine: int = 1) -> BoxTargets:
    """The truth for the head at each of T tokens, or of ``fine`` x ``fine`` cells of each; land cover is of tokens.

    ``classes`` [N, T, 2] 0/1 at the token of an object's centre; ``near`` bool [N, T] at it and its eight neighbours,
    where ``boxes`` [N, T, 4] and ``sides`` [N, T, 4] (how many whole pixels the box reaches over the token on the left,
    up, right and down) are of the nearest object; ``cover`` [N, T] (-1 unknown).
    """
    rows, cols = (fine * side for side in records[0].cover.shape)
    cell_px = token_px / fine
    classes = torch.zeros(len(records), rows, cols, len(LABELS))
    boxes = torch.zeros(len(records), rows, cols, 4)
    far = torch.full((len(records), rows, cols), torch.inf)
    centres = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(cols), indexing="ij"), dim=-1) + 0.5
    for i, record in enumerate(records):
        for item in record.objects:
            edges = torch.tensor([item.box.left, item.box.top, item.box.right, item.box.bottom])
            left, top, right, bottom = edges / cell_px
            x, y = (left + right) / 2, (top + bottom) / 2
            col, row = min(int(x), cols - 1), min(int(y), rows - 1)
            classes[i, row, col, LABELS.index(item.label)] = 1
            distance = (centres - torch.stack([y, x])).abs().amax(-1)
            mine = (distance < far[i]) & (centres - centres[row, col]).abs().amax(-1).le(1)
            far[i][mine] = distance[mine]
            ys, xs = centres[mine].unbind(-1)
            boxes[i][mine] = torch.stack([xs - left, ys - top, right - xs, bottom - ys], dim=-1)
    cover = torch.stack([torch.from_numpy(record.cover) for record in records])
    sides = ((boxes + 0.5) * cell_px).round().long()
    dense = {"classes": classes, "boxes": boxes, "sides": sides}
    flat = {name: value.flatten(1, 2) for name, value in dense.items()}
    return {"cover": cover.flatten(1), "near": torch.isfinite(far).flatten(1)} | flat


def words_loss(said: dict[str, Tensor], truth: BoxTargets, soft: Tensor) -> dict[str, Tensor]:
    """The losses of ``DenseHead.words``; ``soft`` [129, 129] has the label that stands for each number of pixels."""
    cells = torch.arange(said["cell"].shape[1]).expand(said["cell"].shape[:2])
    losses = {"cell": functional.cross_entropy(said["cell"].flatten(0, 1), cells.flatten())}
    sides = truth["sides"]
    there = truth["near"] & ((sides >= 0) & (sides < len(soft))).all(-1)
    if there.any():
        logs = functional.log_softmax(said["sides"][there], dim=-1)
        losses["sides"] = weighted_mean(-(soft[sides[there]] * logs).sum(-1).mean(-1), truth, there)
    return losses


def dense_loss(said: tuple[Tensor, Tensor, Tensor], truth: BoxTargets) -> dict[str, Tensor]:
    """The losses ``classes`` (focal), ``boxes`` (1 - IoU and L1 near an object) and ``cover``."""
    classes, boxes, cover = said
    chance = torch.sigmoid(classes)
    wrong = torch.where(truth["classes"] > 0, 1 - chance, chance)
    entropy = functional.binary_cross_entropy_with_logits(classes, truth["classes"], reduction="none")
    objects = truth["classes"].sum().clamp(min=1)
    losses = {"classes": (wrong**2 * entropy).sum() / objects}
    there = truth["near"]
    if there.any():
        losses["boxes"] = weighted_mean(box_loss(boxes[there], truth["boxes"][there]), truth, there)
    if (truth["cover"] >= 0).any():
        losses["cover"] = functional.cross_entropy(
            cover.flatten(0, 1), truth["cover"].flatten(), ignore_index=-1
        )
    return losses


def weighted_mean(losses: Tensor, truth: BoxTargets, there: Tensor) -> Tensor:
    """The mean of losses [K] at the tokens ``there`` [N, T], a neighbour's counting less than an object's own."""
    weights = torch.where(truth["classes"].amax(-1) > 0, 1.0, NEIGHBOUR)[there]
    return (losses * weights).sum() / weights.sum()


def box_loss(said: Tensor, truth: Tensor) -> Tensor:
    """One minus IoU, plus a tenth of the L1 distance, of boxes [K, 4] given as distances from one centre: [K]."""
    shared = torch.minimum(said[:, :2], truth[:, :2]) + torch.minimum(said[:, 2:], truth[:, 2:])
    intersection = shared.clamp(min=0).prod(-1)
    areas = [(box[:, :2] + box[:, 2:]).clamp(min=1e-2).prod(-1) for box in (said, truth)]
    iou = intersection / (areas[0] + areas[1] - intersection).clamp(min=1e-6)
    return 1 - iou + 0.1 * (said - truth).abs().sum(-1)
