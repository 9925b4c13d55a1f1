"""A FUSAR-KLIP checkpoint is a folder: weights (safetensors), configuration, tokenizer, card. Nothing in it is run."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from pydantic import TypeAdapter
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fusar_gpt.model.folder import KLIP_CARD_FILE, refused, sha256
from fusar_gpt.model.klip_card import AGAIN, CONFIG_FILE, FILES, TOKENIZER_FILE, WEIGHTS_FILE, KlipCard
from fusar_gpt.retrieval.config import KlipConfig
from fusar_gpt.retrieval.model import KlipModel
from fusar_gpt.retrieval.tokenizer import KlipTokenizer


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
    (folder / KLIP_CARD_FILE).unlink(missing_ok=True)
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
            do not fit the configuration or are no finite numbers.
    """
    card = KlipCard.read(folder)
    card.check_files(folder)
    config = read_config(folder)
    with refused(f"{folder} cannot be loaded", AGAIN):
        tokenizer = KlipTokenizer.read(folder)
        if len(tokenizer) > config.text.vocabulary:
            raise ValueError(
                f"the tokenizer has {len(tokenizer)} tokens and the model {config.text.vocabulary}"
            )
        check_shapes(config, folder / WEIGHTS_FILE)
        model, weights = KlipModel(config), load_file(folder / WEIGHTS_FILE)
        if lost := sorted(name for name, tensor in weights.items() if not tensor.isfinite().all()):
            raise ValueError(f"weights are no finite numbers: {', '.join(lost[:3])}")
        model.load_state_dict(weights)
    return model, tokenizer, card


def read_config(folder: Path) -> KlipConfig:
    """The sizes of a folder's model; CheckpointError when they cannot be read or make no sense."""
    with refused(f"{folder} cannot be loaded", AGAIN):
        content = (folder / CONFIG_FILE).read_text(encoding="utf-8")
        return TypeAdapter(KlipConfig).validate_json(content)


def check_shapes(config: KlipConfig, weights: Path) -> None:
    """ValueError unless a file's weights are those of the configuration; before any memory is taken for them."""
    with torch.device("meta"):
        wanted = {name: list(tensor.shape) for name, tensor in KlipModel(config).state_dict().items()}
    with safe_open(weights, framework="pt") as file:
        found = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - no mapping
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        raise ValueError(f"weights do not fit the configuration: {', '.join(wrong[:3])}")
