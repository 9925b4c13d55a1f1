"""What the miniature experiment runs: the rows of the paper's Tables 6 and 9, and where each run keeps its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fusar_gpt.errors import FusarError
from fusar_gpt.tasks import Task
from fusar_train.evaluation.metrics import ALL, MetricKey
from fusar_train.evaluation.predictions import PriorKind
from fusar_train.pretrain import MINI_BASE
from fusar_train.stages.settings import RECIPES, Settings
from fusar_train.validation import read_yaml

EXPERIMENT_FILE, RESULT_FILE = "experiment.json", "result.json"
FREE = ("base", "device", "keep")
"""What may differ when an experiment is gone on with; the base's files are known by their hash."""

BASE_SETTINGS = MINI_BASE
METRICS = {
    MetricKey(Task.COUNT, ALL, "accuracy"): "counting",
    MetricKey(Task.LOCATE, ALL, "acc100"): "grid Acc@100",
    MetricKey(Task.DETECT, ALL, "F1@0.5"): "detection F1@.5",
}
"""What is compared. The paper's ablations give counting only."""


class ReproduceError(FusarError):
    """The experiment cannot start, or a part of it failed; what is finished stays."""


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        stage1, stage2: Changes to the settings of the stage (``stageN_mini.yaml``); None leaves the stage out.
        prior: What the result is shown when it is measured, "own" or "none".
    """

    stage1: tuple[str, ...] | None
    stage2: tuple[str, ...] | None
    prior: PriorKind


def _fresh(fusion: str) -> str:
    return f"tlm={{fusion: {fusion}}}"


_BLIND = ("trainables=lora", "priors=false")
ROWS = {
    "base": Variant(None, None, "none"),
    "sft2": Variant(None, _BLIND, "none"),
    "sft1+sft2": Variant(_BLIND, _BLIND, "none"),
    # Without stage 1 nothing else could teach TLM anything: here stage 2 does.
    "sft2+tlm": Variant(None, ("trainables=tlm+lora", _fresh("modulate")), "own"),
    "all": Variant((_fresh("modulate"),), (), "own"),
    "sum": Variant((_fresh("sum"),), (), "own"),
    "concat": Variant((_fresh("concat"),), (), "own"),
    "tlm-alone": Variant(("trainables=tlm", _fresh("modulate")), (), "own"),
}
UNTRAINED = "base"
"""The row that has no seed: it is measured once."""


@dataclass(frozen=True)
class TableLine:
    """A line of a table: its title, its row, and the paper's counting accuracy in percent, if it has one."""

    title: str
    row: str
    paper: float | None = None


@dataclass(frozen=True)
class AblationTable:
    """Rows that are compared, each with the row ``baseline``."""

    title: str
    baseline: str
    lines: tuple[TableLine, ...]


TABLES = (
    AblationTable(
        "Table 9: the two stages and TLM",
        "sft2",
        (
            TableLine("the base, as it is", "base"),
            TableLine("SFT2 only", "sft2", 34.85),
            TableLine("SFT1+SFT2, no TLM", "sft1+sft2", 36.36),
            TableLine("SFT2+TLM", "sft2+tlm", 41.92),
            TableLine("all: SFT1+SFT2+TLM", "all", 52.23),
        ),
    ),
    # The paper's base is its SFT2 row. Only sft1+sft2 differs from the fusions by nothing but the prior.
    AblationTable(
        "Table 6: how the prior is fused",
        "sft1+sft2",
        (
            TableLine("base: SFT2 only, no prior", "sft2", 34.85),
            TableLine("base through both stages, no prior", "sft1+sft2"),
            TableLine("sum", "sum", 36.36),
            TableLine("concat", "concat", 37.88),
            TableLine("TLM", "all", 52.53),
        ),
    ),
    AblationTable(
        "What stage 1 trains (the paper says both)",
        "all",
        (TableLine("TLM and LoRA", "all"), TableLine("TLM alone", "tlm-alone")),
    ),
)


@dataclass(frozen=True)
class Preset:
    """How much: seeds, chips, changes to the settings of both stages, and steps of each phase of the base."""

    name: str
    seeds: int
    train: int
    test: int
    changes: tuple[str, ...] = ()
    base_steps: int | None = None


PRESETS = {
    "full": Preset("full", seeds=3, train=4000, test=300),
    "smoke": Preset(
        "smoke",
        seeds=1,
        train=24,
        test=6,
        changes=("max_steps=3", "batch=4", "micro_batch=4", "save_every=2", "log_every=1"),
        base_steps=2,
    ),
}


@dataclass(frozen=True)
class TrainingRun:
    """A row with a seed."""

    row: str
    seed: int

    @property
    def name(self) -> str:
        """Its folder's name."""
        return f"{self.row}-seed{self.seed}"


@dataclass(frozen=True)
class Experiment:
    """All that the processes of an experiment need to know.

    Attributes:
        out: The folder of everything.
        preset: Name of one of ``PRESETS``.
        base: The checkpoint that every run starts from; None until it is made.
        base_sha256: Of its files.
        knows_prior: It has learnt a prior already, which spoils the question.
        device: "auto" or "cpu".
        keep: Keep checkpoints.
    """

    out: Path
    preset: str
    base: str
    base_sha256: str
    knows_prior: bool
    device: str
    keep: bool

    @property
    def size(self) -> Preset:
        """The preset itself."""
        return PRESETS[self.preset]

    def folder(self, run: TrainingRun) -> Path:
        """Where a run keeps its files."""
        return self.out / "runs" / run.name

    def data(self, split: str) -> Path:
        """The chips of a split."""
        return data_folder(self.out, split)

    def settings(self, run: TrainingRun) -> dict[int, Settings]:
        """The settings of the stages of a run, by stage."""
        row = ROWS[run.row]
        more = [*self.size.changes, f"seed={run.seed}"]
        return {
            stage: read_yaml(RECIPES / f"stage{stage}_mini.yaml", Settings, [*changes, *more])
            for stage, changes in ((1, row.stage1), (2, row.stage2))
            if changes is not None
        }

    def record(self) -> dict[str, Any]:
        """What must not change while the experiment goes on, and what may (``FREE``), as JSON can hold it."""
        fields = {name: value for name, value in asdict(self).items() if name != "out"}
        settings = {
            row: {str(stage): one.record() for stage, one in self.settings(TrainingRun(row, 0)).items()}
            for row in ROWS
        }
        size = {"train": self.size.train, "test": self.size.test}
        return json.loads(json.dumps({**fields, **size, "settings": settings}))  # type: ignore[no-any-return]


def data_folder(out: Path, split: str) -> Path:
    """Where the chips of a split lie."""
    return out / "data" / split


def stage_folder(folder: Path, stage: int) -> Path:
    """The checkpoint of a stage of the run in ``folder``."""
    return folder / f"stage{stage}"


def work_folder(folder: Path, stage: int) -> Path:
    """What a stage keeps while it runs, and its log."""
    return folder / f"stage{stage}.run"


def plan(rows: list[str], seeds: int) -> list[TrainingRun]:
    """The runs, seed by seed: so an experiment that is stopped early has whole comparisons."""
    trained = [row for row in rows if row != UNTRAINED]
    first = [TrainingRun(UNTRAINED, 0)] if UNTRAINED in rows else []
    return first + [TrainingRun(row, seed) for seed in range(seeds) for row in trained]


def read_experiment(out: Path) -> Experiment:
    """The experiment of a folder; ReproduceError when there is none that makes sense."""
    path = out / EXPERIMENT_FILE
    try:
        stored: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        names = ("preset", "base", "base_sha256", "knows_prior", "device", "keep")
        return Experiment(out, **{name: stored[name] for name in names})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReproduceError(f"{path} cannot be read ({error}): begin anew in another folder.") from error
