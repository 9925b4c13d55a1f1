"""The settings of a training stage: one YAML file, every entry checked before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from fusar_gpt.errors import FusarError
from fusar_gpt.tasks import Task

HERE = Path(__file__).parent
CHOICES = {
    "trainables": ("tlm", "lora", "tlm+lora"),
    "schedule": ("cosine", "linear", "constant", "constant_with_warmup"),
    "precision": ("auto", "bfloat16", "float32"),
    "attention": ("auto", "sdpa", "eager", "flash_attention_2"),
    "weights": ("base", "bfloat16", "float32"),
    "parallel": ("ddp", "zero2", "fsdp"),
}
_COUNTS = ("batch", "micro_batch", "lora_rank", "lora_alpha", "save_every", "keep", "log_every")
_POSITIVE = ("epochs", "learning_rate", "max_grad_norm")
_SHARES = ("warmup", "lora_dropout", "drop_prior", "swap_prior")
_NOT_NEGATIVE = ("weight_decay", "workers", "seed")


class StageError(FusarError):
    """A training stage cannot start or cannot go on; what it has saved so far stays."""


@dataclass(frozen=True)
class Settings:
    """The settings of a stage; ``stage1_7b.yaml`` explains each beside its value.

    ``batch`` counts the examples of one optimizer step over all processes, ``micro_batch`` those that one process
    sees at once. ``tlm`` replaces the base's TLM by a fresh one of these settings; None keeps it. ``chip`` is the
    card of a plain Qwen2.5-VL, which has none of its own.
    """

    tasks: tuple[str, ...]
    trainables: str
    epochs: float
    learning_rate: float
    max_steps: int | None = None
    schedule: str = "cosine"
    warmup: float = 0.05
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    batch: int = 16
    micro_batch: int = 1
    lora_rank: int = 8
    lora_alpha: int = 32
    lora_dropout: float = 0.05
    lora_vision: bool = False
    tlm: Mapping[str, Any] | None = None
    priors: bool = True
    drop_prior: float = 0.0
    swap_prior: float = 0.0
    split: str | None = "train"
    fine_labels: bool = False
    precision: str = "auto"
    attention: str = "auto"
    gradient_checkpointing: bool = True
    parallel: str = "ddp"
    workers: int = 0
    seed: int = 0
    save_every: int = 200
    keep: int = 2
    log_every: int = 10
    weights: str = "base"
    adapter: bool = True
    chip: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}")
        known = [task.value for task in Task]
        if not self.tasks or not set(self.tasks) <= set(known):
            raise ValueError(
                f"tasks must be some of {', '.join(known)}, not {', '.join(self.tasks) or 'none'}"
            )
        ranges: dict[str, tuple[tuple[str, ...], Callable[[float], bool]]] = {
            "at least 1": (_COUNTS, lambda value: value >= 1),
            "more than 0": (_POSITIVE, lambda value: 0 < value < math.inf),
            "from 0 to below 1": (_SHARES, lambda value: 0 <= value < 1),
            "at least 0": (_NOT_NEGATIVE, lambda value: 0 <= value < math.inf),
        }
        for wanted, (names, fits) in ranges.items():
            if wrong := [name for name in names if not fits(getattr(self, name))]:
                raise ValueError(f"{wrong[0]} must be {wanted}, not {getattr(self, wrong[0])}")
        if self.max_steps is not None and self.max_steps < 1:
            raise ValueError(f"max_steps must be at least 1 or null, not {self.max_steps}")
        if self.drop_prior + self.swap_prior > 1:
            raise ValueError("drop_prior and swap_prior together must not exceed 1")
        if not self.priors and "tlm" in self.trainables:
            raise ValueError("without priors TLM is the identity and cannot learn: set trainables to lora")

    def record(self) -> dict[str, Any]:
        """The settings as JSON can hold them."""
        return {**asdict(self), "tasks": list(self.tasks)}


def read_settings(path: Path, changes: list[str]) -> Settings:
    """The settings of a YAML file with ``changes`` ("name=value", value in YAML) on top.

    Raises:
        StageError: The file cannot be read, or an entry is unknown, missing or makes no sense.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise StageError(f"{path} cannot be read as YAML ({reason}): correct it or give another.") from error
    try:
        if not isinstance(content, dict):
            raise TypeError("it holds no settings")
        return settings_of(content | dict(map(_change, changes)))
    except (TypeError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise StageError(f"The settings {path} make no sense: {reason}. Correct them.") from error


def settings_of(content: Mapping[str, Any]) -> Settings:
    """The settings of a mapping; TypeError or ValueError when an entry is unknown, missing or of a wrong kind."""
    kinds = {one.name: str(one.type) for one in fields(Settings)}
    if unknown := sorted(map(str, set(content) - set(kinds))):
        raise ValueError(f"unknown entry {unknown[0]}")
    if missing := [
        name for name in ("tasks", "trainables", "epochs", "learning_rate") if name not in content
    ]:
        raise ValueError(f"no entry {missing[0]}")
    return Settings(**{name: _value(name, kinds[name], value) for name, value in content.items()})


def _value(name: str, kind: str, value: Any) -> Any:
    """The value as the field wants it; YAML reads 1e-4 as text and 1 as a whole number."""
    if value is None and kind.endswith("None"):
        return None
    if kind.startswith("float"):
        if isinstance(value, bool):
            raise TypeError(f"{name} must be a number, not {value}")
        return float(value)
    if kind.startswith("tuple"):
        return tuple(map(str, value if isinstance(value, list) else [value]))
    wanted = {"int": int, "bool": bool, "str": str, "Mapping[str, Any]": Mapping}[
        kind.removesuffix(" | None")
    ]
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise TypeError(f"{name} must be {kind}, not {value!r}")
    return value


def _change(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is no NAME=VALUE")
    return name.strip(), yaml.safe_load(value)
