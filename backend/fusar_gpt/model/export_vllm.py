"""A checkpoint's language model as a stock Qwen2.5-VL folder, which vLLM and transformers load without our code.

The vision tower goes along, as Qwen's class wants one; TLM does not, so images are to be sent as the tokens that
``visual_tokens`` makes of them.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from fusar_gpt.model.checkpoint import Checkpoint, load_checkpoint, quiet, read_config
from fusar_gpt.model.decoding import stop_ids
from fusar_gpt.model.folder import Card, refused, staged
from fusar_gpt.model.store import find_folder

_SHARD = "5GB"  # the largest file of weights that is written
_BLANK = {
    "depth": 1,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_heads": 1,
    "fullatt_block_indexes": [0],
}


@dataclass(frozen=True)
class Exported:
    """What was written: the model's name on a server, how vLLM serves it, and whether its vision tower is blank."""

    name: str
    command: str
    blank_vision: bool


def served_name(checkpoint_hash: str) -> str:
    """The name under which vLLM must serve the language model of that checkpoint, so that no other answers for it."""
    return f"fusar-gpt-{checkpoint_hash[:16]}"


def export_language_model(name_or_dir: str | Path, out: Path) -> Exported:
    """Write the folder, any adapter merged, in the type of the base. Takes as much memory as the model.

    A vision tower with a stem has no place in Qwen's class: such a folder gets a small one of zeros instead, to
    which every image is blank.

    Raises:
        CheckpointError: The checkpoint cannot be loaded, or the folder not be written; nothing is left behind.
    """
    folder = find_folder(str(name_or_dir))
    Card.read(folder)  # refuses what is no FUSAR-GPT by name
    whole = load_checkpoint(name_or_dir, device="cpu", dtype=read_config(folder).dtype)
    blank = bool(whole.model.config.vision_config.stem)
    name = served_name(whole.hash)
    with refused(f"{folder} cannot be exported"):
        config = stock_config(whole)
        state = {
            key: tensor
            for key, tensor in whole.model.state_dict().items()
            if not key.startswith(("model.tlm.", "model.visual.") if blank else "model.tlm.")
        }
        with torch.device("meta"):
            model = Qwen2_5_VLForConditionalGeneration(config)
        if blank:
            state |= {
                key: torch.zeros(tensor.shape, dtype=whole.model.dtype)
                for key, tensor in model.state_dict().items()
                if key.startswith("model.visual.")
            }
        model.load_state_dict(state, strict=True, assign=True)
        command = serve_command(out, name, config)
    config.fusar_gpt = {"served_model_name": name, "checkpoint": whole.card.name, "hash": whole.hash}
    model.generation_config = GenerationConfig(
        eos_token_id=sorted(stop_ids(whole)), pad_token_id=config.text_config.pad_token_id
    )
    with staged(out) as stage:
        _write(stage, model, state, whole)
    return Exported(name, command, blank)


def stock_config(checkpoint: Checkpoint) -> Qwen2_5_VLConfig:
    """The configuration as a stock Qwen2.5-VL's, its vision tower replaced where it has a stem."""
    content: dict[str, Any] = checkpoint.model.config.to_dict()
    for ours in ("tlm", "architectures", "model_type"):
        content.pop(ours, None)
    vision = content["vision_config"]
    if vision.pop("stem", None):
        content["vision_config"] = vision | _BLANK
    return Qwen2_5_VLConfig.from_dict(content)


def serve_command(folder: Path, name: str, config: Qwen2_5_VLConfig) -> str:
    """The shell command by which vLLM serves the folder as these parts need it.

    ``{"image": 0}`` refuses pictures, which would be answered without TLM, and does not even load the vision tower.
    """
    words = ["vllm", "serve", str(folder), "--served-model-name", name, "--enable-mm-embeds"]
    words += ["--limit-mm-per-prompt", '{"image": 0, "video": 0}', "--chat-template-content-format", "openai"]
    if overrides := vllm_rope(config.text_config.rope_parameters):
        words += ["--hf-overrides", json.dumps({"text_config": {"rope_parameters": overrides}})]
    return shlex.join(words)


def vllm_rope(rope: dict[str, Any]) -> dict[str, Any] | None:
    """The rotary settings in vLLM's words where it does not know transformers' ones; None where it does.

    Transformers takes any number of sections, by turns of time, row and column; vLLM three, or interleaved.
    """
    sections = rope["mrope_section"]
    if len(sections) == 3:
        return None
    if set(sections) != {1}:
        raise ValueError(f"vLLM has no rotary positions in sections of {sections}")
    return {**rope, "mrope_section": [len(sections[axis::3]) for axis in range(3)], "mrope_interleaved": True}


def _write(
    folder: Path,
    model: Qwen2_5_VLForConditionalGeneration,
    state: dict[str, Tensor],
    checkpoint: Checkpoint,
) -> None:
    """Weights in the published layout, and all that goes with them."""
    own = {key: tensor for key, tensor in state.items() if key not in model.all_tied_weights_keys}
    with quiet():
        model.save_pretrained(folder, state_dict=own, max_shard_size=_SHARD)
    checkpoint.tokenizer.save_pretrained(folder)
    checkpoint.processor.image_processor.save_pretrained(folder)
    path = folder / "preprocessor_config.json"
    images = json.loads(path.read_text(encoding="utf-8")) | {"processor_class": "Qwen2_5_VLProcessor"}
    path.write_text(json.dumps(images, indent=2) + "\n", encoding="utf-8")
