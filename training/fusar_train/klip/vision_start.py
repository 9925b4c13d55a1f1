"""The image tower's first lessons, on simulated chips whose truth is exact: what each place of an image shows.

It is optional. Contrast alone teaches a small tower slowly, number and place hardly at all. The chips are none that a
corpus of simulated records holds, so that no truth of the corpus is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from fusar_gpt.frames import SceneBox
from fusar_gpt.retrieval.image_tower import ImageTower
from fusar_gpt.tasks import cell_of
from fusar_train.corpus.chip import LABELS, LabelledChip
from fusar_train.klip.processes import average_gradients
from fusar_train.klip.settings import KlipError, KlipSettings
from fusar_train.pretrain.dense import BoxTargets, dense_loss, dense_targets
from fusar_train.simulation.chip import CHIP_PX, TOKEN_PX, TRAIN_STREAM, simulate_chip
from fusar_train.simulation.ground import COVER_NAMES
from fusar_train.simulation.looks import NAMES
from fusar_train.stages.run_log import report

FIRST_CHIP = 50_000_000
"""Number of the first chip; corpora of simulated records begin at 0."""
FILE = "vision.safetensors"
_BATCH = 32
_PASSES = 3
_CELLS = 3
_PER_CELL = 2 * len(LABELS) + len(NAMES)


class Lessons(nn.Module):
    """What the tower is asked: objects, boxes and cover where each token is; counts and cover of the 3 x 3 cells."""

    def __init__(self, tower: ImageTower) -> None:
        super().__init__()
        self.parts = tower.config.token_px // TOKEN_PX
        self.tower = tower
        self.said = len(LABELS) + 4 + len(COVER_NAMES)
        self.dense = nn.Linear(tower.config.hidden, self.parts**2 * self.said)
        self.cells = nn.Linear(tower.pooled_size, _CELLS**2 * _PER_CELL)
        nn.init.zeros_(self.cells.weight)

    def forward(self, images: Tensor, dense: BoxTargets, cells: Tensor) -> Tensor:
        """The summed loss of images uint8 [N, side, side]."""
        tokens: Tensor = self.tower(images)
        side = self.tower.config.image_px // self.tower.config.token_px
        grid: Tensor = self.dense(tokens[:, 1:]).transpose(1, 2).reshape(len(tokens), -1, side, side)
        fine: Tensor = functional.pixel_shuffle(grid, self.parts).flatten(2).transpose(1, 2)
        classes, boxes, cover = torch.split(fine, [len(LABELS), 4, len(COVER_NAMES)], dim=-1)
        there = sum(dense_loss((classes - 3.5, boxes + 0.5, cover), dense).values(), tokens.new_zeros(()))
        said = self.cells(self.tower.pooled(tokens)).reshape(len(tokens), _CELLS**2, -1)
        counted, present, covered = torch.split(said, [len(LABELS), len(LABELS), len(NAMES)], dim=-1)
        counts, covers = torch.split(cells, [len(LABELS), len(NAMES)], dim=-1)
        number = functional.smooth_l1_loss(counted, counts.log1p())
        any_there = functional.binary_cross_entropy_with_logits(present, (counts > 0).float())
        which = -(covers * functional.log_softmax(covered, dim=-1)).sum(-1).mean()
        loss: Tensor = there + number + 3 * any_there + which
        return loss


def cell_targets(chips: Sequence[LabelledChip]) -> NDArray[np.float32]:
    """Objects of each class and shares of each land cover in the cells, row by row, float32 [N, 9, 2 + 12]."""
    found = np.zeros((len(chips), _CELLS**2, len(LABELS) + len(NAMES)), np.float32)
    for number, chip in enumerate(chips):
        for item in chip.objects:
            edges = SceneBox(*astuple(item.box))
            found[number, cell_of(edges, chip.size) - 1, LABELS.index(item.label)] += 1
        assert chip.looks is not None
        for name, shares in chip.looks.cover["where"].items():
            found[number, :, len(LABELS) + NAMES.index(name)] = shares
    return found


def shown_chip(number: int) -> LabelledChip:
    """A chip whose objects are all that look like some: what the image shows, and not what only a prior can tell."""
    chip = simulate_chip(number, TRAIN_STREAM)
    assert chip.looks is not None
    return replace(chip, objects=chip.looks.objects)


def start_vision(tower: ImageTower, settings: KlipSettings, work: Path, device: torch.device) -> None:
    """Teaches the tower, or takes what an earlier start of this run has taught it.

    Raises:
        KlipError: The tower's image or token is not that of simulated chips.
    """
    config = tower.config
    if config.image_px != CHIP_PX or config.token_px % TOKEN_PX:
        raise KlipError(
            f"vision_start wants images of {CHIP_PX} px and tokens of a multiple of {TOKEN_PX} px, not "
            f"{config.image_px} and {config.token_px}: change the image tower, or --set vision_start=0."
        )
    file = work / FILE
    if not file.is_file():
        _teach(tower, settings, device)
        if PartialState().is_main_process:
            save_file(
                {key: value.cpu().contiguous() for key, value in tower.state_dict().items()},
                file.with_suffix(".part"),
            )
            file.with_suffix(".part").replace(file)
        PartialState().wait_for_everyone()
    tower.load_state_dict(load_file(file, device=str(device)))


def _teach(tower: ImageTower, settings: KlipSettings, device: torch.device) -> None:
    state = PartialState()
    mine = range(FIRST_CHIP + state.process_index, FIRST_CHIP + settings.vision_start, state.num_processes)
    chips: list[LabelledChip] = []
    lessons = Lessons(tower).to(device).train()
    optimizer = torch.optim.AdamW(
        lessons.parameters(), lr=settings.vision_rate, weight_decay=settings.weight_decay
    )
    rng = np.random.default_rng((settings.seed, 3))
    size = max(_BATCH // state.num_processes, 1)
    steps = max(settings.vision_start // (size * state.num_processes), 1)  # the same for all processes
    recent: list[float] = []
    for step in range(_PASSES * steps):
        at = step % steps
        if at == 0:
            order = rng.permutation(len(mine))
        if step < steps:
            chips += [shown_chip(number) for number in mine[at * size : (at + 1) * size]]
            some = chips[-size:]
        else:
            some = [chips[number] for number in order[at * size : (at + 1) * size] if number < len(chips)]
        rate = settings.vision_rate * min((step + 1) / 50, 1.0) * (1 - step / (_PASSES * steps))
        for group in optimizer.param_groups:
            group["lr"] = max(rate, 1e-5)
        images = torch.from_numpy(np.stack([chip.image for chip in some])).to(device)
        dense = {name: value.to(device) for name, value in dense_targets(some, TOKEN_PX).items()}
        loss = lessons(images, dense, torch.from_numpy(cell_targets(some)).to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(lessons)
        torch.nn.utils.clip_grad_norm_(lessons.parameters(), 1.0)
        optimizer.step()
        recent.append(float(loss.detach()))
        if state.is_main_process and (step + 1) % 50 == 0:
            report(f"vision start: step {step + 1} of {_PASSES * steps}, loss {np.mean(recent[-50:]):.4f}")
