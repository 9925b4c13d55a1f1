"""Which weights a stage trains: TLM, LoRA on the linear layers, or both; everything else is frozen."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from fusar_gpt.model import FusarGptForConditionalGeneration
from fusar_gpt.model.adapter import Adapter, check_targets, merge
from fusar_train.stages.settings import Settings

TLM = "model.tlm."
_HALF = ".lora_{}.default.weight"


def prepare(model: FusarGptForConditionalGeneration, settings: Settings) -> None:
    """Adds LoRA where the settings want it, and freezes all that the stage does not train (FUSAR-GPT eq. 12-15)."""
    torch.manual_seed(settings.seed)
    if "lora" in settings.trainables:
        # All linear layers of the language model and, if wanted, the vision tower; neither TLM nor the head.
        parts = ["model.language_model", *(["model.visual"] if settings.lora_vision else [])]
        layers = [
            f"{part}.{name}"
            for part in parts
            for name, module in model.get_submodule(part).named_modules()
            if isinstance(module, nn.Linear)
        ]
        lora = LoraConfig(
            r=settings.lora_rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=settings.lora_dropout,
            target_modules=layers,
        )
        inject_adapter_in_model(lora, model)
    for name, parameter in model.named_parameters():
        tlm = "tlm" in settings.trainables and name.startswith(TLM)
        parameter.requires_grad_(tlm or ".lora_" in name)
    if settings.gradient_checkpointing:
        # transformers 5.23 renamed it. Without re-entrance the inputs need no gradient of their own, so that
        # frozen embeddings and a frozen vision tower do not switch it off.
        enable = (
            getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        )
        enable({"use_reentrant": False})


def trained(model: nn.Module) -> dict[str, Tensor]:
    """The weights that train, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def put_in(
    model: FusarGptForConditionalGeneration, state: Mapping[str, Tensor], settings: Settings, base: str
) -> Adapter | None:
    """Puts trained weights into the model as it was before: TLM's replace its own, the adapter's are added.

    Returns:
        The adapter; None without LoRA.
    """
    if tlm := {name.removeprefix(TLM): tensor for name, tensor in state.items() if name.startswith(TLM)}:
        model.model.tlm.load_state_dict(tlm, strict=True)
    end_a, end_b = _HALF.format("A"), _HALF.format("B")
    layers = sorted(name.removesuffix(end_a) for name in state if name.endswith(end_a))
    if not layers:
        return None
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": base,
        "r": settings.lora_rank,
        "lora_alpha": settings.lora_alpha,
        "lora_dropout": settings.lora_dropout,
        "bias": "none",
    }
    pairs = {name: (state[name + end_a], state[name + end_b]) for name in layers}
    adapter = Adapter(config, settings.lora_rank, settings.lora_alpha / settings.lora_rank, pairs)
    check_targets(adapter, model)
    merge(model, adapter)
    return adapter
