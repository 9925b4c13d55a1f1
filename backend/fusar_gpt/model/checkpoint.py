"""A checkpoint is a folder: weights (safetensors only), configuration, tokenizer, image processor, card.

Its weights are whole, or an adapter and TLM whose base lies elsewhere (``released.py`` writes those).
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import (
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    PreTrainedTokenizerBase,
    Qwen2VLImageProcessorPil,
)
from transformers.utils import logging

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model.adapter import check_targets, merge, read_adapter
from fusar_gpt.model.base import reopen_base
from fusar_gpt.model.config import FusarGptConfig
from fusar_gpt.model.folder import CARD_FILE, TLM_FILE, Card, digest, refused, staged, write_card
from fusar_gpt.model.fusar import FusarGptForConditionalGeneration
from fusar_gpt.model.processor import FusarGptProcessor
from fusar_gpt.model.store import find_folder
from fusar_gpt.model.visual_encoder import build_visual_encoder, to_device

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_UNQUANTISED = ["model.visual", "model.tlm", "lm_head"]
_SHARD = "5GB"  # the largest file of weights that is written


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
    name_or_dir: str | Path,
    *,
    device: str = "auto",
    dtype: str | torch.dtype | None = None,
    attention: str | None = None,
    quantize: str | None = None,
    language: bool = True,
) -> Checkpoint:
    """Load a checkpoint for inference.

    Args:
        name_or_dir: "tiny" (bundled), a name in the store, a folder, or a model hub id "organisation/name".
        device: "auto" takes the first GPU if there is one; else a torch device such as "cpu" or "cuda:1".
        dtype: of the weights, torch's or "float32", "bfloat16" or "float16"; None is float32 on the CPU and what
            the configuration names elsewhere. TLM always computes in float32.
        attention: "sdpa", "eager" or "flash_attention_2"; None takes the last on a GPU in half precision where
            the package flash_attn is installed, and "sdpa" elsewhere.
        quantize: "4bit" or "8bit" weights of the language model through bitsandbytes; the vision tower, TLM
            and the head keep ``dtype``. Only for checkpoints that hold all their weights.
        language: False leaves the language model out: ``visual_tokens`` is all that the checkpoint can do.

    Raises:
        CheckpointError: missing, corrupted, not one of ours, or what was asked for is not installed.
        ValueError: an unknown name of a dtype.
    """
    if isinstance(dtype, str):
        if dtype not in _DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, not {dtype!r}")
        dtype = _DTYPES[dtype]
    where = _device(device)
    folder = find_folder(str(name_or_dir))
    card = Card.read(folder)
    hashed = digest(folder, card)
    if dtype is None and where.type == "cpu":
        dtype = torch.float32
    config = read_config(folder)
    with refused(f"{folder} cannot be loaded", "get the checkpoint again"):
        dtype = dtype or config.dtype or torch.float32
        options = {"dtype": dtype, "attn_implementation": attention or default_attention(where, dtype)}
        if quantize is not None:
            options |= _quantisation(quantize, card, where, dtype)
        if not language:
            model = _load_encoder(folder, card, config, options, where)
        elif card.base is None:
            model = _load_weights(folder, config, options)
        else:
            model = _load_adapted(folder, card, config, options, where)
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, padding_side="left"
        )
        images = Qwen2VLImageProcessorPil.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        processor = FusarGptProcessor(tokenizer, images, card)
        check_fit(model.config, processor)
        if quantize is None and language:
            model.to(where)
    return Checkpoint(model=model.eval(), processor=processor, card=card, hash=hashed, device=where)


def save_checkpoint(
    folder: str | Path,
    model: FusarGptForConditionalGeneration,
    processor: FusarGptProcessor,
    card: Card,
    *,
    dtype: torch.dtype | None = torch.bfloat16,
) -> Card:
    """Write a folder that ``load_checkpoint`` reads; returns the card as written, with the weights' digests.

    Weights are stored as ``dtype``, bfloat16 unless told otherwise: half the size, so measure a model after
    loading it again. None stores every weight as it is. The card is written last: a save that was cut short
    leaves no valid checkpoint.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD_FILE).unlink(missing_ok=True)
    for old in folder.glob("*.safetensors"):
        old.unlink()
    state = {
        name: tensor for name, tensor in model.state_dict().items() if name not in model.all_tied_weights_keys
    }
    if dtype is not None:
        state = {name: tensor.to(dtype) for name, tensor in state.items()}
    with quiet():
        model.save_pretrained(folder, state_dict=state, max_shard_size=_SHARD)
    processor.tokenizer.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)
    weights = sorted(folder.glob("*.safetensors"))
    for path in weights:
        path.chmod(0o644)  # the library writes 0600, which a system-wide installation could not read
    return write_card(folder, card, weights)


def export_checkpoint(name_or_dir: str | Path, out: Path) -> Card:
    """Write a checkpoint with all weights in one folder, in the type of its base; TLM stays float32.

    ``load_checkpoint`` reads it, and ``AutoModelForImageTextToText`` once this package is imported. Takes as
    much memory as the model. CheckpointError leaves nothing behind.
    """
    folder = find_folder(str(name_or_dir))
    Card.read(folder)  # refuses what is no FUSAR-GPT by name
    config = read_config(folder)
    whole = load_checkpoint(name_or_dir, device="cpu", dtype=config.dtype)
    # Rounding the sum of base and adapter changes the probabilities that a calibration is about.
    calibration = None if whole.card.base else whole.card.calibration
    card = replace(whole.card, base=None, base_digests={}, base_sizes={}, calibration=calibration)
    with staged(out) as stage:
        return save_checkpoint(stage, whole.model, whole.processor, card, dtype=None)


def read_config(folder: Path) -> FusarGptConfig:
    """A checkpoint's configuration; CheckpointError when it is missing, broken or another model's."""
    path = folder / "config.json"
    with refused(f"{path} cannot be read", "get the checkpoint again"):
        content = json.loads(path.read_text(encoding="utf-8"))
        ours = content.get("model_type") == FusarGptConfig.model_type
        # Without these the library would build Qwen's largest model and run out of memory.
        if not (ours and content.get("text_config") and content.get("vision_config")):
            raise ValueError("no FUSAR-GPT configuration")
        return FusarGptConfig.from_dict(content)


def _device(name: str) -> torch.device:
    """The device of that name, or the first GPU (else the CPU) for "auto"."""
    gpu = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if gpu else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise CheckpointError(f"unknown device {name!r}: give auto, cpu or cuda") from error
    if device.type == "cuda" and not gpu:
        raise CheckpointError("torch finds no GPU here: take the device auto or cpu")
    return device


def default_attention(device: torch.device, dtype: torch.dtype) -> str:
    """The fastest implementation of attention that can run here."""
    half = dtype in (torch.bfloat16, torch.float16)
    flash = device.type == "cuda" and half and importlib.util.find_spec("flash_attn") is not None
    return "flash_attention_2" if flash else "sdpa"


def _quantisation(bits: str, card: Card, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """The library's options for quantised weights; CheckpointError if they are impossible here."""
    if bits not in ("4bit", "8bit"):
        raise CheckpointError(f"unknown quantisation {bits}: use 4bit or 8bit")
    if card.base is not None:
        raise CheckpointError(
            f"{card.name} has a separate adapter and cannot be quantised: merge it first with "
            f"fusar checkpoint export {card.name} --out DIR"
        )
    for package in ("bitsandbytes", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise CheckpointError(f"quantisation needs {package}: pip install {package}")
    settings = BitsAndBytesConfig(
        load_in_4bit=bits == "4bit",
        load_in_8bit=bits == "8bit",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=_UNQUANTISED,
    )
    return {"quantization_config": settings, "device_map": {"": device}}


def _load_weights(
    folder: Path, config: FusarGptConfig, options: dict[str, Any], without: str | None = None
) -> FusarGptForConditionalGeneration:
    """The model; ValueError unless every weight of the files fits one of the model, none left over.

    Weights whose name starts with ``without`` must all be missing.
    """
    with quiet():
        model, report = FusarGptForConditionalGeneration.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # reported below like the others
            output_loading_info=True,
            **options,
        )
    # The library only logs these, and runs on with random weights.
    expected = {name for name in model.state_dict() if without and name.startswith(without)}
    report["missing_keys"] = set(report["missing_keys"]) ^ expected
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report[kind]:
            raise ValueError(f"{kind.replace('_', ' ')}: {sorted(map(str, report[kind]))[:3]}")
    # The engine alone decides how an answer is decoded, not a file that came with the weights.
    text = model.config.text_config
    model.generation_config = GenerationConfig(eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id)
    return model  # type: ignore[no-any-return]


def _load_adapted(
    folder: Path, card: Card, config: FusarGptConfig, options: dict[str, Any], device: torch.device
) -> FusarGptForConditionalGeneration:
    """The base with the adapter merged and TLM loaded; ValueError unless all three fit exactly.

    The sum is computed in float32, then rounded to half precision, unlike with a separate adapter.
    """
    base = reopen_base(card)
    model = _load_weights(base.folder, config, options, without="model.tlm.")
    model.to(device)  # where merging is fast
    if card.uses_prior:
        # Weights that the base lacks do not get the library's exception for TLM, which is float32.
        model.model.tlm.float().load_state_dict(load_file(folder / TLM_FILE), strict=True)
    adapter = read_adapter(folder)
    check_targets(adapter, model)
    merge(model, adapter)
    return model


def _load_encoder(
    folder: Path, card: Card, config: FusarGptConfig, options: dict[str, Any], device: torch.device
) -> FusarGptForConditionalGeneration:
    """The vision tower and TLM alone, with an adapter merged; ValueError unless all parts fit exactly."""
    base = reopen_base(card) if card.base is not None else None
    model = build_visual_encoder(
        config,
        base.files if base else sorted(folder.glob("*.safetensors")),
        folder / TLM_FILE if base and card.uses_prior else None,
        read_adapter(folder) if base else None,
        options["dtype"],
        options["attn_implementation"],
    )
    to_device(model, device)
    return model


@contextmanager
def quiet() -> Iterator[None]:
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


def check_fit(config: FusarGptConfig, processor: FusarGptProcessor) -> None:
    """ValueError when configuration, tokenizer, image processor and card contradict each other."""
    card, images, vision = processor.card, processor.image_processor, config.vision_config
    if card.uses_prior != ((config.tlm or {}).get("fusion") != "none"):
        raise ValueError("card and model disagree about whether a prior is used")
    sizes = {(card.patch, card.merge), (images.patch_size, images.merge_size)}
    if sizes != {(vision.patch_size, vision.spatial_merge_size)}:
        raise ValueError("card, image processor and model disagree about patch and merge size")
    if images.temporal_patch_size != vision.temporal_patch_size:
        raise ValueError("image processor and model disagree about the temporal patch size")
    if len(processor.tokenizer) > config.text_config.vocab_size:
        raise ValueError("the tokenizer has more tokens than the model")
    if processor.tokenizer.convert_tokens_to_ids("<|image_pad|>") != config.image_token_id:
        raise ValueError("tokenizer and model disagree about the image token")
