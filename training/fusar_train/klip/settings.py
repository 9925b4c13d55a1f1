"""What a training run of FUSAR-KLIP does: its settings, checked entry by entry, and where it reads and writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictBool, ValidationError, model_validator
from pydantic.dataclasses import dataclass as validated

from fusar_gpt.errors import FusarError
from fusar_gpt.retrieval import ImageTowerConfig, TextTowerConfig
from fusar_train.klip.scio.options import ScioOptions
from fusar_train.validation import Count, Number, Positive, Whole, first_fault

RECIPES = Path(__file__).parent
"""The folder of the settings that come with the project."""
BUILT_IN = ("tiny", "paper")

_Part = Annotated[Number, Field(ge=0, le=1)]
_Weight = Annotated[Number, Field(ge=0, allow_inf_nan=False)]


class KlipError(FusarError):
    """A run of FUSAR-KLIP cannot start or cannot go on; what it has saved so far stays."""


@validated(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class KlipSettings:
    """The settings of a run; ``paper.yaml`` and ``tiny.yaml`` explain each beside its value."""

    image: dict[str, Any] | str
    text: dict[str, Any] | str
    tokenizer: str | Count
    fusion_layers: Count
    embedding: Count
    longest: Count

    epochs: Positive
    batch: Count
    learning_rate: Positive
    first_rate: Positive = 1e-6
    last_rate: Annotated[Number, Field(ge=0)] = 1e-6
    warmup_steps: Whole = 0
    schedule: Literal["epochs", "cosine"] = "cosine"
    decay: Annotated[Number, Field(gt=0, le=1)] = 0.9
    weight_decay: _Weight = 0.05
    max_grad_norm: Positive = 1.0
    max_steps: Count | None = None

    momentum: Annotated[Number, Field(ge=0, lt=1)] = 0.995
    queue: Whole = 0
    alpha: _Part = 0.4
    alpha_epochs: Annotated[Number, Field(ge=0)] = 1.0
    weights: tuple[_Weight, _Weight, _Weight] = (1.0, 1.0, 1.0)
    hard: _Part = 1.0
    easy_share: _Part = 0.0
    matched: Annotated[Number, Field(gt=0, le=1)] = 1.0
    written: Annotated[Number, Field(gt=0, le=1)] = 1.0
    blanks: Count = 3
    without_context: _Part = 0.0

    whole: _Part = 1.0
    most_sub_texts: Count = 5
    with_keys: _Part = 0.0
    split: str | None = "train"

    vision_start: Whole = 0
    vision_rate: Positive = 1e-3
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    workers: Whole = 0
    seed: Whole = 0
    save_every: Count = 200
    keep: Count = 2
    log_every: Count = 20
    weights_type: Literal["float32", "bfloat16", "float16"] = "float32"
    demonstration: StrictBool = False

    @model_validator(mode="after")
    def _fit_together(self) -> KlipSettings:
        if isinstance(self.text, str) and isinstance(self.tokenizer, int):
            raise ValueError("tokenizer must be text's own where text is a BERT: give the same name")
        if isinstance(self.text, dict) and {"fusion_layers", "longest", "vocabulary"} & self.text.keys():
            raise ValueError(
                "text must leave fusion_layers, longest and vocabulary to the entries outside it"
            )
        if sum(self.weights) == 0:
            raise ValueError("weights must not all be 0: nothing would be learned")
        return self

    @property
    def needs_momentum(self) -> bool:
        """Whether momentum encoders take part: they fill the queue and make the soft targets."""
        return bool(self.queue or self.alpha)

    def record(self) -> dict[str, Any]:
        """The settings as JSON can hold them."""
        return asdict(self)


@dataclass(frozen=True)
class KlipRun:
    """Which FUSAR-KLIP to train, on what, and how.

    Attributes:
        data: Folders or files of records with sub-texts.
        texts: Name of the describer; None for the only one.
        out: The checkpoint that is made; must not exist yet.
        work: The folder of what the run keeps while it trains.
        settings: Its settings.
        resume: Go on with the run in ``work``.
        device: "auto" or "cpu".
        scio: How texts are screened and rebuilt on the way; None to leave them as they are.
        base: A FUSAR-KLIP to train on, by name or folder; its towers and tokenizer stand in for those of the settings.
    """

    data: tuple[Path, ...]
    texts: str | None
    out: Path
    work: Path
    settings: KlipSettings
    resume: bool = False
    device: str = "auto"
    scio: ScioOptions | None = None
    base: str | None = None


def image_config(entries: dict[str, Any]) -> ImageTowerConfig:
    """The image tower of settings; KlipError when it makes no sense."""
    with _explained("image"):
        return ImageTowerConfig(**entries)


def text_config(entries: dict[str, Any], settings: KlipSettings, vocabulary: int) -> TextTowerConfig:
    """The text tower of settings; KlipError when it makes no sense."""
    known = {"fusion_layers": settings.fusion_layers, "longest": settings.longest, "vocabulary": vocabulary}
    with _explained("text"):
        return TextTowerConfig(**(entries | known))


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except (ValidationError, TypeError) as error:
        what = first_fault(error) if isinstance(error, ValidationError) else str(error)
        raise KlipError(f"The setting {name} makes no sense: {what}. Correct it.") from error
