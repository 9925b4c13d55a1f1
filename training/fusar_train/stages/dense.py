"""The auxiliary head that teaches the vision tower: the objects and the land cover at every visual token.

It is used in training only and is not part of the checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusar_train.corpus.record import LABELS, Record
from fusar_train.simulation.land import COVER_NAMES

BoxTargets = dict[str, Tensor]
CORNER_SCALE = 30.0


class DenseHead(nn.Module):
    """From visual tokens [N, T, C] to class logits [N, T, 2], boxes [N, T, 4] and cover logits [N, T, 8].

    A box is (left, top, right, bottom) as distances from the token's centre in token sides, all positive outward.
    ``corners`` reads the same box in whole chip pixels off a token, as the embeddings of four numbers: so the tower
    writes what the language model has to say in the language model's own terms.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.hidden = nn.Linear(channels, channels)
        self.corner = nn.Linear(channels, 4 * channels)
        self.out = nn.Linear(channels, len(LABELS) + 4 + len(COVER_NAMES))
        nn.init.constant_(self.out.bias[: len(LABELS)], -3.5)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Class logits, boxes, cover logits."""
        out = self.out(functional.gelu(self.hidden(self.norm(tokens))))
        classes, boxes, cover = out.split([len(LABELS), 4, len(COVER_NAMES)], dim=-1)
        return classes, functional.softplus(boxes), cover

    def corners(self, tokens: Tensor, numbers: Tensor) -> Tensor:
        """Logits [M, 4, 225] of x1, y1, x2, y2 from tokens [M, C], over the embeddings of numbers [225, C]."""
        said = self.corner(self.norm(tokens)).unflatten(-1, (4, -1))
        return functional.normalize(said, dim=-1) @ functional.normalize(numbers, dim=-1).T * CORNER_SCALE


def dense_targets(records: Sequence[Record], token_px: int) -> BoxTargets:
    """What the head should say at each of T tokens.

    ``classes`` [N, T, 2] 0/1, ``boxes`` [N, T, 4], ``pixels`` [N, T, 4] (the box in whole chip pixels) and
    ``cover`` [N, T] (-1 unknown).
    """
    rows, cols = records[0].cover.shape
    classes = torch.zeros(len(records), rows, cols, len(LABELS))
    boxes = torch.zeros(len(records), rows, cols, 4)
    pixels = torch.zeros(len(records), rows, cols, 4, dtype=torch.long)
    for i, record in enumerate(records):
        for item in sorted(record.objects, key=lambda item: -item.box.area):
            box = item.box
            col = min(int((box.left + box.right) / 2 / token_px), cols - 1)
            row = min(int((box.top + box.bottom) / 2 / token_px), rows - 1)
            classes[i, row, col, LABELS.index(item.label)] = 1
            x, y = col + 0.5, row + 0.5
            edges = torch.tensor([box.left, box.top, box.right, box.bottom])
            pixels[i, row, col] = edges.round().long()
            side = edges / token_px
            boxes[i, row, col] = torch.stack([x - side[0], y - side[1], side[2] - x, side[3] - y])
    cover = torch.stack([torch.from_numpy(record.cover) for record in records])
    dense = {"classes": classes, "boxes": boxes, "pixels": pixels}
    return {"cover": cover.flatten(1)} | {name: value.flatten(1, 2) for name, value in dense.items()}


def dense_loss(said: tuple[Tensor, Tensor, Tensor], truth: BoxTargets) -> dict[str, Tensor]:
    """The losses ``classes`` (focal), ``boxes`` (1 - IoU and L1 where an object is) and ``cover``."""
    classes, boxes, cover = said
    chance = torch.sigmoid(classes)
    wrong = torch.where(truth["classes"] > 0, 1 - chance, chance)
    entropy = functional.binary_cross_entropy_with_logits(classes, truth["classes"], reduction="none")
    objects = truth["classes"].sum().clamp(min=1)
    losses = {"classes": (wrong**2 * entropy).sum() / objects}
    there = truth["classes"].amax(-1) > 0
    if there.any():
        losses["boxes"] = box_loss(boxes[there], truth["boxes"][there])
    if (truth["cover"] >= 0).any():
        losses["cover"] = functional.cross_entropy(
            cover.flatten(0, 1), truth["cover"].flatten(), ignore_index=-1
        )
    return losses


def box_loss(said: Tensor, truth: Tensor) -> Tensor:
    """One minus IoU, plus a tenth of the L1 distance, for boxes [N, 4] given as distances from one centre."""
    shared = torch.minimum(said[:, :2], truth[:, :2]) + torch.minimum(said[:, 2:], truth[:, 2:])
    intersection = shared.clamp(min=0).prod(-1)
    areas = [(box[:, :2] + box[:, 2:]).prod(-1) for box in (said, truth)]
    iou = intersection / (areas[0] + areas[1] - intersection).clamp(min=1e-6)
    return (1 - iou + 0.1 * (said - truth).abs().sum(-1)).mean()
