"""Image encoders that the vision benchmarks compare, behind one interface: grey images in, maps of features out.

A FUSAR-KLIP's image tower, the same network from scratch, its supervised start alone, and CLIPs of open_clip's form.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model.folder import refused
from fusar_gpt.retrieval import ImageTowerConfig
from fusar_gpt.retrieval.image_tower import ImageTower
from fusar_train.klip.benchmarks.open_clip import read_open_clip
from fusar_train.klip.benchmarks.options import BenchmarkOptions, checked
from fusar_train.klip.settings import KlipError
from fusar_train.klip.vision_start import FILE as VISION_START_FILE

_BATCH = 64


@dataclass(frozen=True)
class Seen:
    """What an encoder makes of N images.

    Attributes:
        early: Features [N, E, rows, cols] of its first map: small structures, before any token looks at another.
        grid: Features [N, C, rows, cols] of its last tokens.
    """

    early: Tensor
    grid: Tensor

    @property
    def vectors(self) -> Tensor:
        """The mean and the greatest value of each feature over the image, [N, 2 E + 2 C].

        SAR tells classes of targets by small structures, which later layers keep badly: on SAR-ACD, fine-tuning from
        these vectors was far better than from the vector that a FUSAR-KLIP compares with texts (docs/klip.md).
        """
        return torch.cat([f(one) for one in (self.early, self.grid) for f in (_mean, _greatest)], 1)


class Encoder(nn.Module, ABC):
    """From grey images uint8 [N, image_px, image_px] to ``Seen``.

    Attributes:
        image_px, token_px: Sides of the image and of the ground of one token, in pixels.
        early_channels, channels: E and C.
    """

    image_px: int
    token_px: int
    early_channels: int
    channels: int

    @property
    def vector_size(self) -> int:
        """Of ``Seen.vectors``."""
        return 2 * (self.early_channels + self.channels)

    @abstractmethod
    def forward(self, images: Tensor) -> Seen:
        """What it makes of images; gradients flow."""


class TowerEncoder(Encoder):
    """FUSAR-KLIP's image tower; the first map is that of its stem, or of its patches where it has none."""

    def __init__(self, tower: ImageTower) -> None:
        super().__init__()
        self.tower = tower
        self.image_px, self.token_px = tower.config.image_px, tower.config.token_px
        self.channels = tower.config.hidden
        self.early_channels = tower.config.stem[-1] if tower.config.stem else tower.config.hidden
        self._first = _Listened(_first_map(tower))

    def forward(self, images: Tensor) -> Seen:
        """See ``Encoder``."""
        tokens: Tensor = self.tower(images)
        return Seen(self._first.taken(), _grid(tokens[:, 1:]))


def _first_map(tower: ImageTower) -> nn.Module:
    patches = tower.vit.embeddings.patch_embeddings
    found: nn.Module = patches.steps if tower.config.stem else patches.projection
    return found


class ClipEncoder(Encoder):
    """The vision transformer of a CLIP; grey is shown to it as three equal colours."""

    def __init__(self, folder: Path) -> None:
        """KlipError as ``read_open_clip``."""
        super().__init__()
        self.vit, mean, std = read_open_clip(folder)
        config = self.vit.config
        self.image_px, self.token_px = int(config.image_size), int(config.patch_size)
        self.early_channels = self.channels = int(config.hidden_size)
        self._first = _Listened(self.vit.embeddings.patch_embedding)
        self.mean, self.std = (nn.Buffer(torch.tensor(one).reshape(1, 3, 1, 1)) for one in (mean, std))

    def forward(self, images: Tensor) -> Seen:
        """See ``Encoder``."""
        pixels = (images.float() / 255)[:, None].expand(-1, 3, -1, -1)
        found = self.vit(pixel_values=(pixels - self.mean) / self.std)
        return Seen(self._first.taken(), _grid(found.last_hidden_state[:, 1:]))


class _Listened:
    """Keeps what a module has just put out, until it is taken."""

    def __init__(self, module: nn.Module) -> None:
        self._kept: list[Tensor] = []
        module.register_forward_hook(lambda _, __, found: self._kept.append(found))

    def taken(self) -> Tensor:
        """What the module put out last."""
        found = self._kept.pop()
        self._kept.clear()
        return found


def _mean(features: Tensor) -> Tensor:
    return features.mean((2, 3))


def _greatest(features: Tensor) -> Tensor:
    return features.amax((2, 3))


def _grid(tokens: Tensor) -> Tensor:
    side = round(tokens.shape[1] ** 0.5)
    return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)


@dataclass(frozen=True)
class Start:
    """One line of a table: what an encoder starts from, and a maker of fresh copies of it."""

    name: str
    make: Callable[[], Encoder]


@dataclass(frozen=True)
class Starts:
    """Those to compare, the first two FUSAR-KLIP and the same network from scratch, and what is missing."""

    those: tuple[Start, ...]
    notes: tuple[str, ...]


def start_beside(model: str) -> Path | None:
    """The supervised start that the run of a model's folder has left, if it is still there."""
    folder = Path(model).expanduser()
    file = folder.with_name(f"{folder.name}.run") / VISION_START_FILE
    return file if file.is_file() else None


def starts_of(options: BenchmarkOptions) -> Starts:
    """The encoders to compare.

    Raises:
        KlipError: The supervised start or the CLIP is missing, broken or of another form.
    """
    mine = options.klip.model.image
    config = mine.config
    found = [
        Start("FUSAR-KLIP", lambda: _tower(config, mine.state_dict())),
        Start("the same network from scratch", lambda: _tower(config, None, options.seed)),
    ]
    notes = []
    if options.vision_start is not None:
        state = _read_start(options.vision_start, mine)
        found.append(Start("its supervised start alone", lambda: _tower(config, state)))
    elif options.klip.card.training.get("settings", {}).get("vision_start"):
        notes.append(
            f"The model's supervised start alone is left out: give the {VISION_START_FILE} of its run with "
            "--vision-start."
        )
    if (clip := options.clip) is not None:
        ClipEncoder(clip)  # what is wrong with it is told before an hour of work
        found.append(Start(f"open_clip {clip.name}", lambda: ClipEncoder(clip)))
    return Starts(tuple(found), tuple(notes))


def _tower(config: ImageTowerConfig, state: Mapping[str, Tensor] | None, seed: int = 0) -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tower = ImageTower(config)
    if state is not None:
        tower.load_state_dict(state)
    return TowerEncoder(tower)


def _read_start(file: Path, tower: ImageTower) -> dict[str, Tensor]:
    """The weights of a supervised start; KlipError unless they are of that tower."""
    try:
        with refused(f"{file} cannot be read", "give the vision.safetensors of the model's run"):
            state: dict[str, Tensor] = load_file(file)
    except CheckpointError as error:
        raise KlipError(f"{error}.") from error
    wanted = {name: value.shape for name, value in tower.state_dict().items()}
    if {name: value.shape for name, value in state.items()} != wanted:
        raise KlipError(f"{file} is the start of another network: give that of the model's own run.")
    return state


@torch.inference_mode()
def vectors_of(encoder: Encoder, images: NDArray[np.uint8], device: torch.device) -> NDArray[np.float32]:
    """The vectors float32 [N, F] of images uint8 [N, image_px, image_px].

    Raises:
        KlipError: One is not finite.
    """
    encoder.to(device).eval()
    parts = [np.zeros((0, encoder.vector_size), np.float32)]
    for at in range(0, len(images), _BATCH):
        batch = torch.from_numpy(images[at : at + _BATCH]).to(device)
        parts.append(encoder(batch).vectors.float().cpu().numpy())
    return checked(np.concatenate(parts))


def stretched(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Images uint8 [N, h, w] as uint8 [N, side, side]."""
    if images.shape[1:] == (side, side):
        return images
    size = (side, side)
    return np.stack(
        [np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BICUBIC)) for one in images]
    )
