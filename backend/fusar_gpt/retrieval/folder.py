"""A FUSAR-KLIP checkpoint is a folder: weights (safetensors), configuration, tokenizer, card. Nothing in it is run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model.folder import read_json, refuse_code, refused, sha256
from fusar_gpt.retrieval.config import KlipConfig
from fusar_gpt.retrieval.model import KlipModel
from fusar_gpt.retrieval.tokenizer import TOKENIZER_FILE, KlipTokenizer

CARD_FILE = "klip.json"
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
FILES = (CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE)
"""What decides a vector; the card holds the SHA-256 of each."""
_AGAIN = "get the checkpoint again"


@dataclass(frozen=True, kw_only=True)
class KlipCard:
    """The file ``klip.json`` of a checkpoint folder.

    Attributes:
        name, title, licence, trained_on: As they should be shown.
        demonstration: Its answers are no measurement.
        key_sets: The sets of sub-texts that it learned (``fusar_train.corpus.texts``).
        with_keys: The share of its texts that were told as "Key: text".
        pixel_m: The smallest and greatest pixel side of its images in metres; None where that is not known.
        sensors: Of its images; empty where that is not known.
        facts: What it was taught to tell, in words, with how often; the words of a search it may understand.
        figures: What was measured, by name.
        training: How it was made: data, settings, steps, versions.
        digests: SHA-256 of the files that decide a vector; written by ``save_klip``.
    """

    name: str
    title: str
    licence: str
    trained_on: str
    demonstration: bool = False
    key_sets: list[str] = field(default_factory=list)
    with_keys: float = 0.0
    pixel_m: list[float] | None = None
    sensors: list[str] = field(default_factory=list)
    facts: dict[str, dict[str, int]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> KlipCard:
        """The card of a folder; CheckpointError when it is missing or invalid, or the folder wants code to be run."""
        path = folder / CARD_FILE
        if not path.is_file():
            raise CheckpointError(
                f"{folder} is no FUSAR-KLIP checkpoint (it has no {CARD_FILE}): give one that has"
            )
        refuse_code(folder)
        return read_json(cls, path)

    def write(self, folder: Path) -> None:
        """Writes the card into a folder."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"
        (folder / CARD_FILE).write_text(text, encoding="utf-8")

    @property
    def hash(self) -> str:
        """SHA-256 of what decides a vector: vectors of other hashes cannot be compared with it."""
        return hashlib.sha256(json.dumps(self.digests, sort_keys=True).encode()).hexdigest()


def save_klip(
    folder: Path,
    model: KlipModel,
    tokenizer: KlipTokenizer,
    card: KlipCard,
    *,
    dtype: torch.dtype | None = None,
) -> KlipCard:
    """Writes a checkpoint into a folder, the card last; returns the card with its digests.

    ``dtype`` is that of the stored weights; None keeps theirs. They compute in float32 again when they are loaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD_FILE).unlink(missing_ok=True)
    state = {
        name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in model.state_dict().items()
    }
    save_file(state, folder / WEIGHTS_FILE, {"format": "pt"})
    tokenizer.backend.save(str(folder / TOKENIZER_FILE))
    (folder / CONFIG_FILE).write_text(json.dumps(asdict(model.config), indent=2) + "\n", encoding="utf-8")
    for name in FILES:
        (folder / name).chmod(0o644)
    card = replace(card, digests={name: sha256(folder / name) for name in FILES})
    card.write(folder)
    return card


def read_klip(folder: Path) -> tuple[KlipModel, KlipTokenizer, KlipCard]:
    """The model in float32, its tokenizer and its card.

    Raises:
        CheckpointError: A file is missing, broken or not the one the card names, such as another tokenizer, or weights
            do not fit the configuration.
    """
    card = KlipCard.read(folder)
    for name in FILES:
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} lacks {name}: {_AGAIN}")
        if sha256(folder / name) != card.digests.get(name):
            other = "another tokenizer than its weights were trained with"
            what = other if name == TOKENIZER_FILE else f"another {name}"
            raise CheckpointError(f"{folder} holds {what} (its SHA-256 is not the card's): {_AGAIN}")
    with refused(f"{folder} cannot be loaded", _AGAIN):
        content = (folder / CONFIG_FILE).read_text(encoding="utf-8")
        config = TypeAdapter(KlipConfig).validate_json(content)
        tokenizer = KlipTokenizer.read(folder)
        if len(tokenizer) > config.text.vocabulary:
            raise ValueError(
                f"the tokenizer has {len(tokenizer)} tokens and the model {config.text.vocabulary}"
            )
        check_shapes(config, folder / WEIGHTS_FILE)
        model = KlipModel(config)
        model.load_state_dict(load_file(folder / WEIGHTS_FILE))
    return model, tokenizer, card


def check_shapes(config: KlipConfig, weights: Path) -> None:
    """ValueError unless a file's weights are those of the configuration; before any memory is taken for them."""
    with torch.device("meta"):
        wanted = {name: list(tensor.shape) for name, tensor in KlipModel(config).state_dict().items()}
    with safe_open(weights, framework="pt") as file:
        found = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - no mapping
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        raise ValueError(f"weights do not fit the configuration: {', '.join(wrong[:3])}")
