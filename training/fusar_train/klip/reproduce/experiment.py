"""What is run: noise and seeds, each trained once and then gone on with in three arms; and where files lie."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fusar_gpt.output import whole_file
from fusar_train.corpus.texts.template import BRIEF
from fusar_train.klip.scio.loop import phase_ends
from fusar_train.klip.scio.options import ScioOptions
from fusar_train.klip.settings import RECIPES, KlipError, KlipSettings
from fusar_train.validation import read_yaml

EXPERIMENT_FILE, RESULT_FILE = "experiment.json", "result.json"
NOISE = (0.0, 0.1, 0.2, 0.4)
"""Shares of wrong sub-texts."""

ARMS: Mapping[str, ScioOptions | None] = {
    "none": None,
    "screen": ScioOptions(rebuild=False),
    "rebuild": ScioOptions(rebuild=True),
}
"""How a run goes on after its first phase: on all texts, without noise, or with noise rewritten; as by --scio."""
BASELINE = "none"
VISION = "vision"


@dataclass(frozen=True)
class Preset:
    """How much.

    Attributes:
        seeds: Of each share of noise.
        train, test: Chips.
        compared: Chips of which all sub-texts are judged by every rule.
        written: Test chips that the decoder describes.
        changes: To the settings ``tiny.yaml``.
    """

    name: str
    seeds: int
    train: int
    test: int
    compared: int
    written: int
    changes: tuple[str, ...]


_SAVED = ("keep=12", "log_every=10")
PRESETS = {
    "full": Preset(
        "full",
        seeds=3,
        train=2400,
        test=1000,
        compared=400,
        written=500,
        changes=(
            "image={image_px: 224, token_px: 32, stem: [16, 32], hidden: 128, layers: 3, heads: 4, mlp: 256, grid: 3}",
            "text={hidden: 128, layers: 2, heads: 4, mlp: 256, pool: mean}",
            "longest=224",
            "batch=64",
            "learning_rate=1.2e-3",
            "written=0.5",
            "max_steps=480",
            "blanks=2",
            "matched=0.3",
            "vision_start=3000",
            "save_every=40",
            *_SAVED,
        ),
    ),
    "smoke": Preset(
        "smoke",
        seeds=1,
        train=12,
        test=6,
        compared=6,
        written=2,
        changes=(
            "image={image_px: 224, token_px: 32, stem: [4, 8], hidden: 16, layers: 1, heads: 2, mlp: 16, grid: 3}",
            "text={hidden: 16, layers: 1, heads: 2, mlp: 16, pool: mean}",
            "fusion_layers=1",
            "embedding=16",
            "longest=224",
            "batch=8",
            "warmup_steps=1",
            "max_steps=6",
            "vision_start=12",
            "save_every=1",
            *_SAVED,
        ),
    ),
}


@dataclass(frozen=True)
class TrainingRun:
    """A share of noise with a seed: of the noise, of the initial weights and of the order."""

    noise: float
    seed: int

    @property
    def name(self) -> str:
        """Its folder's name."""
        return f"noise{100 * self.noise:g}-seed{self.seed}"

    @property
    def texts(self) -> str:
        """Whose texts it learns: the describer's name."""
        return self.name if self.noise else BRIEF


@dataclass(frozen=True)
class Start:
    """What all runs of a seed begin with: an image tower that knows simulated chips."""

    seed: int

    @property
    def name(self) -> str:
        """Its folder's name."""
        return f"{VISION}-seed{self.seed}"


@dataclass(frozen=True)
class Experiment:
    """All that the processes of an experiment need to know.

    Attributes:
        out: The folder of everything.
        preset: Name of one of ``PRESETS``.
        arms: Some of ``ARMS``.
    """

    out: Path
    preset: str
    arms: tuple[str, ...]

    @property
    def size(self) -> Preset:
        """The preset itself."""
        return PRESETS[self.preset]

    def folder(self, run: TrainingRun | Start) -> Path:
        """Where a run keeps its files."""
        return self.out / "runs" / run.name

    def data(self, split: str) -> Path:
        """The chips of a split."""
        return self.out / "data" / split

    def settings(self, seed: int) -> KlipSettings:
        """The settings of the runs of a seed."""
        return read_yaml(RECIPES / "tiny.yaml", KlipSettings, [*self.size.changes, f"seed={seed}"])

    def first_phase(self) -> int:
        """The step after which the arms part."""
        steps = self.settings(0).max_steps
        assert steps is not None
        return next(phase_ends(steps))

    def record(self) -> dict[str, Any]:
        """What must not change while the experiment goes on, as JSON can hold it."""
        scio = {arm: options and asdict(options) for arm, options in ARMS.items()}
        content = {
            "preset": self.preset,
            "size": asdict(self.size),
            "settings": self.settings(0).record(),
            "scio": scio,
        }
        return json.loads(json.dumps(content))  # type: ignore[no-any-return]


def plan(noise: Sequence[float], seeds: int) -> list[TrainingRun]:
    """The runs, seed by seed: so an experiment that is stopped early has whole comparisons."""
    return [TrainingRun(share, seed) for seed in range(seeds) for share in noise]


def open_experiment(experiment: Experiment) -> None:
    """Writes down what the experiment is; KlipError when the folder holds another."""
    path, now = experiment.out / EXPERIMENT_FILE, experiment.record()
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            changed = sorted(name for name in now.keys() | before.keys() if now.get(name) != before.get(name))
        except (OSError, ValueError, AttributeError) as error:
            raise KlipError(f"{path} cannot be read ({error}): begin anew in another folder.") from error
        if changed:
            raise KlipError(
                f"{experiment.out} holds an experiment that was begun with other {', '.join(changed)}: give another "
                "--out."
            )
        return
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
