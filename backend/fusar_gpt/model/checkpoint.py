"""A checkpoint is a folder: weights (safetensors only), configuration, tokenizer, image processor, card."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError
from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase, Qwen2VLImageProcessorPil
from transformers.utils import logging

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model.card import Card
from fusar_gpt.model.config import FusarGptConfig
from fusar_gpt.model.fusar import FusarGptForConditionalGeneration
from fusar_gpt.model.processor import FusarGptProcessor

BUNDLED = {"tiny": Path(__file__).parent.parent / "checkpoints" / "tiny"}

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_DECIDING = ("*.safetensors", "*.json", "*.jinja")  # the files that decide an answer
_REQUIRED = ("config.json", "preprocessor_config.json", "tokenizer.json")
_BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError)


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint, ready to run. ``hash`` is the SHA-256 of its files."""

    model: FusarGptForConditionalGeneration
    processor: FusarGptProcessor
    card: Card
    hash: str
    device: torch.device

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The processor's tokenizer."""
        return self.processor.tokenizer


def load_checkpoint(
    name_or_dir: str | Path, *, device: str = "auto", dtype: torch.dtype | None = None
) -> Checkpoint:
    """Load a checkpoint for inference.

    Args:
        name_or_dir: "tiny" (bundled), a folder, or a model hub id "organisation/name".
        device: "auto" takes the first GPU if there is one; else a torch device such as "cpu" or "cuda:1".
        dtype: of the weights; None is float32 on the CPU and what the configuration names elsewhere.
            TLM always computes in float32.

    Raises:
        CheckpointError: missing, corrupted, or not one of ours.
    """
    where = _device(device)
    folder = _folder(str(name_or_dir))
    card = Card.read(folder)
    digest = _digest(folder, card)
    if dtype is None and where.type == "cpu":
        dtype = torch.float32
    try:
        model = _load_model(folder, dtype)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, padding_side="left")
        images = Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)
        processor = FusarGptProcessor(tokenizer, images, card)
        _check_fit(model.config, processor)
        model.to(where)
    except _BROKEN as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"{folder} cannot be loaded ({reason}): get the checkpoint again") from error
    return Checkpoint(model=model.eval(), processor=processor, card=card, hash=digest, device=where)


def save_checkpoint(
    folder: str | Path,
    model: FusarGptForConditionalGeneration,
    processor: FusarGptProcessor,
    card: Card,
    *,
    dtype: torch.dtype = torch.bfloat16,
) -> Card:
    """Write a folder that ``load_checkpoint`` reads; returns the card as written, with the weights' digests.

    Weights are stored as ``dtype``, bfloat16 unless told otherwise: half the size, so measure a model after
    loading it again. The card is written last: a save that was cut short leaves no valid checkpoint.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fusar.json").unlink(missing_ok=True)
    for old in folder.glob("*.safetensors"):
        old.unlink()
    state = {
        name: tensor for name, tensor in model.state_dict().items() if name not in model.all_tied_weights_keys
    }
    with _quiet():
        model.save_pretrained(folder, state_dict={name: tensor.to(dtype) for name, tensor in state.items()})
    processor.tokenizer.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)
    weights = sorted(folder.glob("*.safetensors"))
    for path in weights:
        path.chmod(0o644)  # the library writes 0600, which a system-wide installation could not read
    card = replace(card, digests={path.name: _sha256(path) for path in weights})
    card.write(folder)
    return card


def _folder(name: str) -> Path:
    """The local folder of a bundled name, a path or a hub id (fetched into the hub's own cache)."""
    folder = BUNDLED.get(name, Path(name).expanduser())
    if folder.is_dir():
        return folder
    if name in BUNDLED:
        raise CheckpointError(
            f"the bundled model {name} is not in this installation: install fusar-gpt again"
        )
    if folder.exists() or not _HUB_ID.fullmatch(name):
        raise CheckpointError(f"{name} is no checkpoint folder: give tiny, a folder or a model hub id")
    try:
        return Path(snapshot_download(name, allow_patterns=list(_DECIDING)))
    except (OSError, ValueError, HFValidationError) as error:
        message = f"{name} is no folder here and cannot be fetched from the model hub: check name and network"
        raise CheckpointError(message) from error


def _device(name: str) -> torch.device:
    """The device of that name, or the first GPU (else the CPU) for "auto"."""
    gpu = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if gpu else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise CheckpointError(f"there is no device {name!r}: give auto, cpu or cuda") from error
    if device.type == "cuda" and not gpu:
        raise CheckpointError("torch finds no GPU here: take the device auto or cpu")
    return device


def _digest(folder: Path, card: Card) -> str:
    """SHA-256 over the files that decide an answer; CheckpointError when weights are missing or altered."""
    total = hashlib.sha256()
    found = set()
    for path in sorted({path for pattern in _DECIDING for path in folder.glob(pattern)}):
        one = _sha256(path)
        if one != card.digests.get(path.name, one):
            raise CheckpointError(
                f"{path} is corrupted (its SHA-256 is not the card's): get the checkpoint again"
            )
        found.add(path.name)
        total.update(f"{path.name} {one}\n".encode())
    missing = sorted({*card.digests, *_REQUIRED} - found)
    if not any(name.endswith(".safetensors") for name in found):
        missing = missing or ["*.safetensors"]
    if missing:
        raise CheckpointError(f"{folder} lacks {', '.join(missing)}: get the checkpoint again")
    return total.hexdigest()


def _sha256(path: Path) -> str:
    total = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    return total.hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's progress bars and tables off the terminal; what matters is raised."""
    bar, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def _load_model(folder: Path, dtype: torch.dtype | None) -> FusarGptForConditionalGeneration:
    """The model; ValueError unless every weight of the file fits one of the model, none left over."""
    # Without its configuration the library would build Qwen's largest model and run out of memory.
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    ours = content.get("model_type") == FusarGptConfig.model_type
    if not (ours and content.get("text_config") and content.get("vision_config")):
        raise ValueError("config.json is no FUSAR-GPT configuration")
    with _quiet():
        model, report = FusarGptForConditionalGeneration.from_pretrained(
            folder,
            config=FusarGptConfig.from_dict(content),
            dtype=dtype or "auto",
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # reported below like the others
            output_loading_info=True,
        )
    # The library only logs these, and runs on with random weights.
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[kind]:
            raise ValueError(f"{kind.replace('_', ' ')}: {sorted(map(str, report[kind]))[:3]}")
    # One place decides how an answer is decoded: the engine, not a file that came with the weights.
    config = model.config.text_config
    model.generation_config = GenerationConfig(
        eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    )
    return model  # type: ignore[no-any-return]


def _check_fit(config: FusarGptConfig, processor: FusarGptProcessor) -> None:
    """ValueError when configuration, tokenizer, image processor and card contradict each other."""
    card, images, vision = processor.card, processor.image_processor, config.vision_config
    sizes = {(card.patch, card.merge), (images.patch_size, images.merge_size)}
    if sizes != {(vision.patch_size, vision.spatial_merge_size)}:
        raise ValueError("card, image processor and model disagree about patch and merge size")
    if images.temporal_patch_size != vision.temporal_patch_size:
        raise ValueError("image processor and model disagree about the temporal patch size")
    if len(processor.tokenizer) > config.text_config.vocab_size:
        raise ValueError("the tokenizer has more tokens than the model")
    if processor.tokenizer.convert_tokens_to_ids("<|image_pad|>") != config.image_token_id:
        raise ValueError("tokenizer and model disagree about the image token")
