"""What a training stage does: its settings, checked entry by entry, and where it reads and writes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StrictBool, model_validator
from pydantic.dataclasses import dataclass as validated

from fusar_gpt.errors import FusarError
from fusar_gpt.tasks import Task
from fusar_train.corpus.texts.questions import Asked
from fusar_train.validation import Count, Number, Positive, Share, Whole

RECIPES = Path(__file__).parent
"""The folder of the settings that come with the project."""


class StageError(FusarError):
    """A training stage cannot start or cannot go on; what it has saved so far stays."""


@validated(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Settings:
    """The settings of a stage; ``stage1_7b.yaml`` explains each beside its value.

    ``batch`` counts the examples of one optimizer step over all processes, ``micro_batch`` those that one process
    sees at once. ``tlm`` replaces the base's TLM by a fresh one of these settings; None keeps it. ``chip`` is the
    card of a plain Qwen2.5-VL, which has none of its own.
    """

    tasks: Annotated[
        tuple[Task, ...],
        Field(min_length=1),
        BeforeValidator(lambda names: names if isinstance(names, (list, tuple)) else [names]),
    ]
    trainables: Literal["tlm", "lora", "tlm+lora"]
    epochs: Positive
    learning_rate: Positive
    max_steps: Count | None = None
    schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    warmup: Share = 0.05
    weight_decay: Annotated[Number, Field(ge=0, allow_inf_nan=False)] = 0.0
    max_grad_norm: Positive = 1.0
    batch: Count = 16
    micro_batch: Count = 1
    lora_rank: Count = 8
    lora_alpha: Count = 32
    lora_dropout: Share = 0.05
    lora_vision: StrictBool = False
    tlm: dict[str, Any] | None = None
    priors: StrictBool = True
    drop_prior: Share = 0.0
    swap_prior: Share = 0.0
    split: str | None = "train"
    fine_labels: StrictBool = False
    sub_texts: Asked = "both"
    longest_text: Count = 2000
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2"] = "auto"
    gradient_checkpointing: StrictBool = True
    parallel: Literal["ddp", "zero2", "fsdp"] = "ddp"
    workers: Whole = 0
    seed: Whole = 0
    save_every: Count = 200
    keep: Count = 2
    log_every: Count = 10
    weights: Literal["base", "bfloat16", "float32"] = "base"
    adapter: StrictBool = True
    chip: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fit_together(self) -> Settings:
        if self.drop_prior + self.swap_prior > 1:
            raise ValueError("drop_prior and swap_prior together must not exceed 1")
        if not self.priors and "tlm" in self.trainables:
            raise ValueError("without priors TLM is the identity and cannot learn: set trainables to lora")
        return self

    def record(self) -> dict[str, Any]:
        """The settings as JSON can hold them."""
        return {**asdict(self), "tasks": [task.value for task in self.tasks]}


@dataclass(frozen=True)
class StageConfig:
    """Which stage to train, on what, and how.

    Attributes:
        stage: 1 or 2.
        base: A checkpoint's name or folder, a plain Qwen2.5-VL folder, or a hub id.
        data: Folders or files of records, or shards.
        out: The checkpoint that is made; must not exist yet.
        work: The folder of what the run keeps while it trains.
        settings: The stage's settings.
        resume: Go on with the run in ``work``.
        without_stage1: Let stage 2 start from a base that stage 1 has not trained.
        report: "tensorboard", "trackio", "wandb" or "none".
        device: "auto" or "cpu".
        visual_tokens: A folder to keep the frozen visual encoder's tokens in, for other epochs, stages and runs.
        texts: The describer whose sub-texts are learnt; None takes the only one.
    """

    stage: int
    base: str
    data: tuple[Path, ...]
    out: Path
    work: Path
    settings: Settings
    resume: bool = False
    without_stage1: bool = False
    report: str = "tensorboard"
    device: str = "auto"
    visual_tokens: Path | None = None
    texts: str | None = None
