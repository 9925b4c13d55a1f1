"""A language model written for vLLM: a stock folder that answers as ours does, without our code."""

from __future__ import annotations

import json
import shlex
from itertools import pairwise

import pytest
import torch
from fresh_model import CARD, fresh_model, fresh_processor
from release_format import make_release
from safetensors import safe_open
from test_stem_tower import FINE, stem_model
from test_stem_tower import PROCESSOR as FINE_PROCESSOR
from transformers import AutoConfig, AutoTokenizer, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from fusar_gpt.cli.main import main
from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import load_checkpoint, save_checkpoint
from fusar_gpt.model.export_vllm import export_language_model, served_name, vllm_rope


@pytest.fixture
def stored(tmp_path):
    processor = fresh_processor()
    save_checkpoint(tmp_path / "in", fresh_model(processor.tokenizer), processor, CARD)
    return tmp_path / "in"


def logits(model, ids):
    with torch.no_grad():
        return model(input_ids=ids).logits


def stock(folder):
    model, report = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return model.eval()


def names(folder):
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        return set(file.keys())


def test_the_stock_class_gives_our_logits(stored, tmp_path):
    exported = export_language_model(stored, tmp_path / "out")
    ours = load_checkpoint(stored, device="cpu")
    ids = torch.randint(10, 2000, (2, 30), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        logits(stock(tmp_path / "out"), ids), logits(ours.model, ids), rtol=0, atol=1e-5
    )
    assert exported.name == served_name(ours.hash)
    assert not exported.blank_vision


def test_an_adapter_is_merged(tmp_path):
    released = make_release(tmp_path)
    export_language_model(released["out"], tmp_path / "out")
    ids = torch.randint(10, 2000, (1, 30), generator=torch.Generator().manual_seed(0))
    ours, theirs = (
        logits(load_checkpoint(released["out"], device="cpu").model, ids),
        logits(stock(tmp_path / "out"), ids),
    )
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-5)
    torch.testing.assert_close(theirs, logits(released["original"], ids), rtol=0, atol=1e-2)
    assert len(json.loads((tmp_path / "out" / "generation_config.json").read_text())["eos_token_id"]) == 2


def test_names_and_settings_are_the_published_ones(stored, tmp_path):
    export_language_model(stored, tmp_path / "out")
    found = names(tmp_path / "out")
    assert {
        "model.embed_tokens.weight",
        "model.layers.1.self_attn.q_proj.weight",
        "visual.merger.mlp.0.weight",
    } <= found
    assert not any("tlm" in name or "language_model" in name for name in found)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["model_type"], config["architectures"]) == (
        "qwen2_5_vl",
        ["Qwen2_5_VLForConditionalGeneration"],
    )
    assert config["fusar_gpt"]["hash"] == load_checkpoint(stored, device="cpu").hash
    assert "tlm" not in config
    assert type(AutoConfig.from_pretrained(tmp_path / "out")) is Qwen2_5_VLConfig
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {
        "tokenizer.json",
        "chat_template.jinja",
        "generation_config.json",
        "preprocessor_config.json",
    } <= written
    assert not (tmp_path / "out" / "fusar.json").exists()


def test_tokenizer_and_template_are_the_checkpoints(stored, tmp_path):
    export_language_model(stored, tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "count ship 日本"}]}]
    text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    processor = load_checkpoint(stored, device="cpu").processor
    head = [i for i in processor.prefix if i != processor.prefix[processor.image_span.start]]
    ids = [i for i in tokenizer(text)["input_ids"] if i != tokenizer.convert_tokens_to_ids("<|image_pad|>")]
    assert ids == [*head, *processor.ids_after_image("count ship 日本")]


def test_a_vision_tower_with_a_stem_gives_way_to_a_blank_one(tmp_path):
    save_checkpoint(tmp_path / "in", stem_model(), FINE_PROCESSOR, FINE)
    exported = export_language_model(tmp_path / "in", tmp_path / "out")
    assert exported.blank_vision
    ours, theirs = load_checkpoint(tmp_path / "in", device="cpu").model, stock(tmp_path / "out")
    ids = torch.arange(20, 50)[None]
    torch.testing.assert_close(logits(theirs, ids), logits(ours, ids), rtol=0, atol=1e-5)
    patches = FINE_PROCESSOR.encode_images([torch.zeros(48, 64, dtype=torch.uint8).numpy()])
    with torch.no_grad():
        tokens = theirs.model.get_image_features(**patches).pooler_output[0]
    assert tokens.shape == (FINE.token_rows * FINE.token_cols, 64)
    assert not tokens.any()


def test_the_command_prints_how_to_serve_it(stored, tmp_path, capsys):
    assert (
        main(["checkpoint", "export", str(stored), "--format", "vllm", "--out", str(tmp_path / "o u t")]) == 0
    )
    said = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    words = shlex.split(said["serve"])
    assert words[:3] == ["vllm", "serve", str(tmp_path / "o u t")]
    given = dict(pairwise(words))
    assert given["--served-model-name"] == served_name(load_checkpoint(stored, device="cpu").hash)
    assert "--enable-mm-embeds" in words
    assert json.loads(given["--limit-mm-per-prompt"]) == {"image": 0, "video": 0}
    rope = json.loads(given["--hf-overrides"])["text_config"]["rope_parameters"]
    assert (rope["mrope_section"], rope["mrope_interleaved"]) == ([6, 5, 5], True)


def test_rotary_sections_are_said_in_vllms_words():
    assert vllm_rope({"mrope_section": [16, 24, 24]}) is None
    with pytest.raises(ValueError, match=r"sections of \[4, 4, 4, 4\]"):
        vllm_rope({"mrope_section": [4, 4, 4, 4]})
    # What vLLM interleaves so is what transformers takes by turns.
    sections, channels = vllm_rope({"mrope_section": [1] * 16})["mrope_section"], range(16)
    turns = [axis if channel < 3 * sections[axis] else 0 for channel in channels for axis in [channel % 3]]
    assert turns == [channel % 3 for channel in channels]


def test_nothing_is_left_of_an_export_that_cannot_be(stored, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(CheckpointError, match="exists already"):
        export_language_model(stored, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
    with pytest.raises(CheckpointError, match="is a FUSAR-KLIP"):
        export_language_model("klip-tiny", tmp_path / "klip")
    assert not (tmp_path / "klip").exists()
