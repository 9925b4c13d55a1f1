"""Tiny bases and adapters of exactly the released structure, written by stock transformers and PEFT."""

from __future__ import annotations

import json
import re
import warnings

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2VLImageProcessorPil

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import tiny_tokenizer
from fusar_gpt.model.released import import_release

WIDTH, HEIGHT = 112, 84  # px: 8 x 6 patches, 4 x 3 tokens
CHANNELS = 64
HIDDEN = 128  # of TLM: max(128, 2 * 64)
SIGMA = 2.0
RANK, ALPHA = 4, 16
LANGUAGE = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
STAGE1 = r".*(language_model\..*(q|k|v|o|gate|up|down)_proj|visual\.blocks.*(qkv|proj|gate_proj|up_proj|down_proj))"
STAGE2 = r".*language_model\..*(q|k|v|o|gate|up|down)_proj"
SETTINGS = {
    "format": "tlm_original_train_patch_resize_v1",
    "sigma": SIGMA,
    "hidden_mult": 2,
    "image_size": [WIDTH, HEIGHT],
    "vec_dim": 64,
}
TEXT = {
    "vocab_size": 2368,
    "hidden_size": CHANNELS,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "hidden_act": "silu",
}
VISION = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_heads": 2,
    "out_hidden_size": CHANNELS,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "window_size": 56,
    "fullatt_block_indexes": [1],
}
MROPE = [2, 3, 3]


def base_model(tie=False, seed=1, **text):
    """A stock Qwen2.5-VL whose weights, norms and biases too, are large enough to matter."""
    token = tiny_tokenizer().convert_tokens_to_ids
    torch.manual_seed(seed)
    config = Qwen2_5_VLConfig(
        text_config={
            **TEXT,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": MROPE},
            "tie_word_embeddings": tie,
            "bos_token_id": token("<|endoftext|>"),
            "eos_token_id": token("<|im_end|>"),
            **text,
        },
        vision_config=VISION,
        tie_word_embeddings=tie,
        **{f"{name}_token_id": token(f"<|{pad}|>") for name, pad in _TOKENS.items()},
    )
    model = Qwen2_5_VLForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0 if parameter.ndim > 1 else 1.0)
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


_TOKENS = {
    "image": "image_pad",
    "video": "video_pad",
    "vision_start": "vision_start",
    "vision_end": "vision_end",
}


def write_base(folder, model, *, layout="published", shards=False, dtype=torch.float32):
    """A base as on the hub: weights, flat or nested configuration, two end tokens, tokenizer, processor."""
    folder.mkdir(parents=True)
    tokenizer = tiny_tokenizer()
    model.config.dtype = dtype
    model.config.save_pretrained(folder)
    state = {
        name if layout == "current" else _published(name): tensor.to(dtype).clone()
        for name, tensor in model.state_dict().items()
        if name not in model.all_tied_weights_keys
    }
    if layout == "published":
        _flatten_config(folder / "config.json")
    if shards:
        _save_shards(folder, state)
    else:
        save_file(state, folder / "model.safetensors", {"format": "pt"})
    ends = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    (folder / "generation_config.json").write_text(
        json.dumps({"eos_token_id": ends, "do_sample": True, "temperature": 1e-6, "repetition_penalty": 1.05})
    )
    write_processor(folder, tokenizer)
    return folder


def write_processor(folder, tokenizer=None, template="tokenizer"):
    """Tokenizer and image processor; the chat template inside the tokenizer, beside it, or nowhere."""
    tokenizer = tokenizer or tiny_tokenizer()
    text = tokenizer.chat_template
    tokenizer.chat_template = text if template == "tokenizer" else None
    tokenizer.save_pretrained(folder)
    if template == "json":
        (folder / "chat_template.json").write_text(json.dumps({"chat_template": text}))
    Qwen2VLImageProcessorPil(patch_size=14, temporal_patch_size=2, merge_size=2).save_pretrained(folder)
    edit(folder / "preprocessor_config.json", image_processor_type="Qwen2VLImageProcessorFast")


def write_release(folder, base, *, targets=STAGE2, settings=SETTINGS, seed=3, base_name=None, **lora):
    """A released folder made by PEFT from a stock base; returns the adapted model, still unmerged."""
    torch.manual_seed(seed)
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.05, target_modules=targets, **lora)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(base, config).eval()
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.05)
        adapted.save_pretrained(folder)
    edit(folder / "adapter_config.json", base_model_name_or_path=base_name)
    write_film(folder)
    if settings is not None:
        (folder / "tlm_config.json").write_text(json.dumps(settings))
    return adapted


def make_images_only(folder, size=WIDTH, **changes):
    """Turn a released folder into one that the authors' image-only training writes."""
    for name in ("vec64_film.pt", "tlm_config.json"):
        (folder / name).unlink(missing_ok=True)
    settings = {"image_size": size, "use_tlm": False, **changes}
    (folder / "image_text_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def make_release(root):
    """A published base, a released stage 2 folder, its import, and the unmerged original."""
    model = base_model()
    base = root / "Qwen2.5-VL-7B-Instruct"
    write_base(base, model)
    original = write_release(root / "stage2", model, base_name="Qwen/Qwen2.5-VL-7B-Instruct")
    import_release(root / "stage2", str(base), root / "imported")
    return {"source": root / "stage2", "base": base, "out": root / "imported", "original": original}


def import_refused(match, source, base, out, **options):
    """One line that says so, and nothing left behind."""
    with pytest.raises(CheckpointError, match=match) as caught:
        import_release(source, str(base), out, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert not out.exists()
    assert not list(out.parent.glob(f".{out.name}*"))


def film(seed=4, channels=CHANNELS, hidden=HIDDEN):
    """The state dict of Sequential(Linear(64, h), SiLU, Linear(h, 2C)), strong enough to matter."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "0.weight": (hidden, 64),
        "0.bias": (hidden,),
        "2.weight": (2 * channels, hidden),
        "2.bias": (2 * channels,),
    }
    return {name: torch.randn(shape, generator=generator) * 0.2 for name, shape in shapes.items()}


def write_film(folder, **content):
    torch.save({"film_mlp": film(), "score": 0.5, **content}, folder / "vec64_film.pt")


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_tensors(path, change):
    """Rewrite a safetensors file after ``change`` has worked on its dictionary."""
    tensors = load_file(path)
    change(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, {"format": "pt"})


def prior(seed, count):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(count, 64)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True), generator.random((count, 2)).astype(
        np.float32
    )


def _published(name):
    """The older names that published files use."""
    return re.sub(
        r"^model\.(visual|language_model)", lambda found: {"visual": "visual"}.get(found[1], "model"), name
    )


def _flatten_config(path):
    """The older configuration: the language model's entries at the top."""
    content = json.loads(path.read_text())
    text = content.pop("text_config")
    rope = text.pop("rope_parameters")
    flat = {"rope_theta": rope["rope_theta"], "rope_scaling": {"type": "mrope", "mrope_section": MROPE}}
    content["torch_dtype"] = content.pop("dtype", None)
    path.write_text(json.dumps({**text, **content, **flat, "model_type": "qwen2_5_vl"}))


def _save_shards(folder, state):
    names = sorted(state)
    files = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({name: state[name] for name in part}, folder / file, {"format": "pt"})
        files |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
