"""The card of a checkpoint: what it wants to be fed, what it may be asked, and what it is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fusar_gpt.errors import CheckpointError

CARD_FILE = "fusar.json"
ASPECTS = ("undistorted", "stretched")


@dataclass(frozen=True)
class Card:
    """The file ``fusar.json`` of a checkpoint folder.

    ``width`` and ``height`` are the chip in px as the model sees it, ``ground_m`` the ground side of chips it
    was trained on (None: native resolution), ``prior_years`` the first and last year of its priors.
    ``position_ramps`` puts x and y ramps into the second and third input channel; a published Qwen wants grey
    in all three. ``aspect`` says what becomes of ground that is not of the frame's shape: "stretched" to it, as
    the authors' release does, or "undistorted" (more ground is shown instead).
    ``base`` names the folder or hub id whose weights this checkpoint's adapter and TLM belong to, with
    ``base_digests`` (SHA-256) and ``base_sizes`` (bytes) of its files; None when the folder holds all weights
    itself.
    ``digests`` maps weight files to their SHA-256 and is written by ``save_checkpoint``.
    """

    name: str
    title: str
    prompt_set: str
    width: int
    height: int
    patch: int
    merge: int
    ground_m: float | None
    targets: list[str]
    demonstration: bool
    prior_years: list[int] | None
    licence: str
    trained_on: str
    position_ramps: bool = False
    aspect: str = "undistorted"
    base: str | None = None
    base_digests: dict[str, str] = field(default_factory=dict)
    base_sizes: dict[str, int] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        step = self.patch * self.merge
        if step < 1 or min(self.width, self.height) < step or self.width % step or self.height % step:
            raise ValueError(f"{self.width} x {self.height} px is no whole number of {step} px tokens")
        if self.aspect not in ASPECTS:
            raise ValueError(f"aspect must be one of {', '.join(ASPECTS)}, not {self.aspect!r}")

    @property
    def token_rows(self) -> int:
        """Rows of the merged token grid."""
        return self.height // (self.patch * self.merge)

    @property
    def token_cols(self) -> int:
        """Columns of the merged token grid."""
        return self.width // (self.patch * self.merge)

    @classmethod
    def read(cls, folder: Path) -> Card:
        """The card of a folder; CheckpointError when it is missing or makes no sense."""
        path = folder / CARD_FILE
        try:
            content: Any = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            message = (
                f"{folder} is no FUSAR-GPT checkpoint: it has no {CARD_FILE}; give a folder that has one"
            )
            raise CheckpointError(message) from None
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} cannot be read ({error}): get the checkpoint again") from error
        known = {f.name for f in fields(cls)}
        try:
            return cls(**{key: value for key, value in content.items() if key in known})
        except (AttributeError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} makes no sense ({error}): get the checkpoint again") from error

    def write(self, folder: Path) -> None:
        """Write the card into a folder."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"
        (folder / CARD_FILE).write_text(text, encoding="utf-8")
