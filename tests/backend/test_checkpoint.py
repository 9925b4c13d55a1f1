"""Checkpoints on disk: what is saved comes back, and everything broken is one clear line."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from fresh_model import CARD, chip, fresh_model, fresh_processor, prior
from safetensors.torch import load_file, save_file

import fusar_gpt
from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import Card, chat_template, load_checkpoint, save_checkpoint
from fusar_gpt.model.chat_template import render_chat
from fusar_gpt.model.checkpoint import default_attention
from fusar_gpt.model.folder import CARD_FILE, digest, refuse_code
from fusar_gpt.model.released import QWEN_TEMPLATE

TINY = Path(fusar_gpt.__file__).parent / "checkpoints" / "tiny"
PROCESSOR = fresh_processor()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    save_checkpoint(folder, fresh_model(PROCESSOR.tokenizer), PROCESSOR, CARD)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "checkpoint")


def logits(model, processor):
    with torch.no_grad():
        return model(**processor([chip(0)], ["count ship"], [prior(0, 5)])).logits


def edit(path, **changes):
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


def refused(folder, match):
    with pytest.raises(CheckpointError, match=match) as caught:
        load_checkpoint(folder, device="cpu")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_what_is_saved_comes_back(saved):
    model = fresh_model(PROCESSOR.tokenizer)
    checkpoint = load_checkpoint(saved, device="cpu")
    assert not checkpoint.model.training
    assert {parameter.dtype for parameter in checkpoint.model.parameters()} == {torch.float32}
    state = model.state_dict()
    for name, tensor in checkpoint.model.state_dict().items():
        assert torch.equal(tensor, state[name].bfloat16().float()), name
    assert dataclasses.replace(checkpoint.card, digests={}) == CARD
    assert checkpoint.tokenizer.get_vocab() == PROCESSOR.tokenizer.get_vocab()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.bfloat16())
    assert torch.equal(logits(checkpoint.model, checkpoint.processor), logits(model, PROCESSOR))


def test_float32_storage_is_exact(tmp_path):
    model = fresh_model(PROCESSOR.tokenizer)
    save_checkpoint(tmp_path, model, PROCESSOR, CARD, dtype=torch.float32)
    loaded = load_checkpoint(tmp_path, device="cpu")
    assert torch.equal(logits(loaded.model, loaded.processor), logits(model, PROCESSOR))


def test_bfloat16_can_be_asked_for(saved):
    model = load_checkpoint(saved, device="cpu", dtype=torch.bfloat16).model
    assert model.lm_head.weight.dtype is torch.bfloat16
    assert model.model.tlm.w1.weight.dtype is torch.float32


def test_the_hash_follows_the_content_and_not_the_place(saved, folder):
    original = load_checkpoint(saved, device="cpu").hash
    assert load_checkpoint(folder, device="cpu").hash == original
    edit(folder / "fusar.json", title="Another")
    assert load_checkpoint(folder, device="cpu").hash != original


def test_saving_over_an_old_checkpoint_leaves_nothing_of_it(folder):
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"old")
    save_checkpoint(folder, fresh_model(PROCESSOR.tokenizer, seed=5), PROCESSOR, CARD)
    assert [path.name for path in folder.glob("*.safetensors")] == ["model.safetensors"]
    load_checkpoint(folder, device="cpu")


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "pointer"])
def test_corrupted_weights(folder, damage):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(
        {
            "flipped": bytes(content),
            "cut": bytes(content[:-200]),
            "empty": b"",
            "pointer": b"version https://git-lfs.github.com/spec/v1\n",
        }[damage]
    )
    refused(folder, "corrupted.*get the checkpoint again")
    edit(folder / "fusar.json", digests={})
    if damage != "flipped":  # which only the digest can tell
        refused(folder, "cannot be loaded")


@pytest.mark.parametrize("name", ["model.safetensors", "fusar.json", "config.json", "tokenizer.json"])
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    refused(folder, "checkpoint")


@pytest.mark.parametrize("name", ["fusar.json", "config.json", "tokenizer.json", "preprocessor_config.json"])
@pytest.mark.parametrize("content", ["{", "[1]", "{}", "\u0000"])
def test_a_broken_file(folder, name, content):
    (folder / name).write_text(content)
    refused(folder, "get the checkpoint again")


def test_weights_are_never_unpickled(folder):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    refused(folder, "lacks model.safetensors")


@pytest.mark.parametrize("name", ["fusar.json", "config.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"a":' * 100_000, '{"title":' + "[" * 900 + "]" * 900 + "}", "9" * 10_000]
)
def test_json_that_is_nested_without_end_or_of_other_types(folder, name, content):
    (folder / name).write_text(content)
    refused(folder, "checkpoint")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", {"auto_map": {"AutoModel": "evil.Model"}}),
        ("config.json", {"text_config": {"auto_map": {"AutoModel": "somebody/evil--evil.Model"}}}),
        ("config.json", {"_attn_implementation": "somebody/kernel"}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}}),
        ("tokenizer_config.json", {"auto_map": ["evil.Tokenizer", None]}),
        ("preprocessor_config.json", {"auto_map": {"AutoImageProcessor": "evil.Images"}}),
        ("processor_config.json", {"image_processor": {"auto_map": {"AutoProcessor": "evil.All"}}}),
        ("video_preprocessor_config.json", {"auto_map": {"AutoVideoProcessor": "evil.Video"}}),
        ("generation_config.json", {"custom_generate": "somebody/evil"}),
        ("modeling_evil.py", None),
        ("custom_generate/generate.py", None),
    ],
)
def test_code_that_comes_with_a_checkpoint_is_refused_by_name_and_nobody_is_asked(
    folder, monkeypatch, name, content
):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if content is None:
        path.write_text("raise SystemExit('it ran')")
    else:
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(known | content))
    refused(folder, f"{path.name}: .* get a checkpoint without code")
    with pytest.raises(CheckpointError, match="without code"):
        refuse_code(folder)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "more than 1 s"),
        (
            "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
            "memory",
        ),
        ("{{ 'a' * 10**10 }}", "memory"),
        ("{{ 'a' * 10**6 }}", "it makes 1000000 characters"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "RecursionError"),
        ("{{ messages.__class__.__mro__ }}", "SecurityError"),
        ("{% if", "TemplateSyntaxError"),
        ("x" * 200_000, "it has 200000 characters"),
        ("no question and no image", "cannot be loaded"),
    ],
)
def test_a_chat_template_that_does_not_end_or_fails_is_refused(folder, monkeypatch, template, why):
    monkeypatch.setattr(chat_template, "_COMMAND", (*chat_template._COMMAND, "1"))
    (folder / "chat_template.jinja").write_text(template)
    refused(folder, f"{why}.*get the checkpoint again")


def test_a_chat_template_is_rendered_as_transformers_renders_it(saved):
    tokenizer = load_checkpoint(saved, device="cpu").tokenizer
    content = [{"type": "image"}, {"type": "text", "text": "how many?"}]
    for template in (
        tokenizer.chat_template,
        QWEN_TEMPLATE,
        "{% generation %}{{ messages | tojson(indent=1) }}{% endgeneration %}\n{{ eos_token }}",
    ):
        tokenizer.chat_template = template
        assert render_chat(tokenizer, "how many?") == tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )


@pytest.mark.parametrize("change", ["left out", "renamed", "reshaped"])
def test_weights_that_do_not_fit_the_model(folder, change):
    weights = load_file(folder / "model.safetensors")
    name = "model.tlm.w1.weight"
    tensor = weights.pop(name)
    if change == "renamed":
        weights["model.tlm.other.weight"] = tensor
    if change == "reshaped":
        weights[name] = tensor[:5].clone()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    edit(folder / "fusar.json", digests={})
    refused(folder, "cannot be loaded")


@pytest.mark.parametrize(
    "change",
    [
        {"patch": 16, "merge": 1},
        {"width": 65},
        {"patch": "8"},
        {"merge": 0},
        {"targets": "ship"},
        {"targets": [1]},
        {"ground_m": 0.0},
    ],
)
def test_a_card_that_does_not_fit(folder, change):
    edit(folder / "fusar.json", **change)
    refused(folder, "get the checkpoint again")


def test_a_foreign_folder(folder):
    (folder / "fusar.json").unlink()
    refused(folder, "not a FUSAR-GPT checkpoint")


def test_no_folder_at_all(tmp_path):
    refused(tmp_path / "nowhere", "give tiny, a stored name, a folder or a model hub id")
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", "give tiny, a stored name, a folder or a model hub id")


def test_a_hub_id_without_network_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    refused("nobody/nothing", "cannot be downloaded")


def test_a_device_that_is_not_there(saved, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for device in ("abacus", "cuda"):
        with pytest.raises(CheckpointError, match="cpu"):
            load_checkpoint(saved, device=device)


def test_the_card_knows_its_token_grid():
    assert (CARD.token_rows, CARD.token_cols) == (3, 4)


def test_a_card_from_a_newer_version_is_read(folder):
    edit(folder / "fusar.json", something_new=1)
    assert Card.read(folder).name == "fresh"


def test_generation_and_figures_do_not_count(saved, folder):
    original = load_checkpoint(saved, device="cpu").hash
    for name in ("figures.json", "generation_config.json"):
        (folder / name).write_text("{}")
    assert load_checkpoint(folder, device="cpu").hash == original


def test_a_configuration_of_the_wrong_types_is_one_line(folder):
    content = json.loads((folder / "config.json").read_text())
    edit(folder / "config.json", text_config={**content["text_config"], "hidden_size": "wide"})
    refused(folder, "config.json cannot be read")


def test_the_attention_can_be_chosen(saved, monkeypatch):
    assert load_checkpoint(saved, device="cpu").model.config._attn_implementation == "sdpa"
    model = load_checkpoint(saved, device="cpu", attention="eager").model
    assert {model.config.text_config._attn_implementation, model.config._attn_implementation} == {"eager"}
    with pytest.raises(CheckpointError, match="warp"):
        load_checkpoint(saved, device="cpu", attention="warp")


@pytest.mark.parametrize(
    ("device", "dtype", "installed", "expected"),
    [
        ("cuda", torch.bfloat16, True, "flash_attention_2"),
        ("cuda", torch.bfloat16, False, "sdpa"),
        ("cuda", torch.float32, True, "sdpa"),
        ("cpu", torch.bfloat16, True, "sdpa"),
    ],
)
def test_flash_attention_where_it_can_run(monkeypatch, device, dtype, installed, expected):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if installed else None)
    assert default_attention(torch.device(device), dtype) == expected


def test_quantisation_that_cannot_be_had(saved, monkeypatch):
    with pytest.raises(CheckpointError, match="use 4bit or 8bit"):
        load_checkpoint(saved, device="cpu", quantize="2bit")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="pip install bitsandbytes"):
        load_checkpoint(saved, device="cpu", quantize="4bit")


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_quantised_layers(saved, bits):
    bitsandbytes = pytest.importorskip("bitsandbytes")
    kind = {"4bit": bitsandbytes.nn.Linear4bit, "8bit": bitsandbytes.nn.Linear8bitLt}[bits]
    checkpoint = load_checkpoint(saved, device="cpu", quantize=bits)
    layers = {name for name, layer in checkpoint.model.named_modules() if isinstance(layer, kind)}
    plain = {name for name, layer in checkpoint.model.named_modules() if type(layer) is torch.nn.Linear}
    assert len(layers) == 2 * 7
    assert all(name.startswith("model.language_model.") for name in layers)
    assert "lm_head" in plain
    assert any("visual" in name for name in plain)
    assert checkpoint.model.model.tlm.w1.weight.dtype is torch.float32
    exact = logits(load_checkpoint(saved, device="cpu").model, PROCESSOR)
    difference = (logits(checkpoint.model, PROCESSOR) - exact).norm() / exact.norm()
    assert 0 < difference < 0.5


@pytest.mark.parametrize("tasks", [["count", "segment"], ["ask"], []])
def test_a_card_that_claims_an_unknown_ability_is_refused(tmp_path, tasks):
    shutil.copytree(TINY, tmp_path / "model")
    card = json.loads((tmp_path / "model" / CARD_FILE).read_text())
    (tmp_path / "model" / CARD_FILE).write_text(json.dumps(card | {"tasks": tasks}))
    with pytest.raises(
        CheckpointError, match="tasks must be some of count, locate, classify, detect, describe"
    ):
        Card.read(tmp_path / "model")


def test_abilities_and_sensors_leave_the_hash_as_it_is(tmp_path):
    card = Card.read(TINY)
    assert card.tasks == ["count", "locate", "classify", "detect", "describe"]
    assert (card.free_questions, len(card.taught_questions)) == (False, 5)
    unsaid = dataclasses.replace(card, tasks=None, free_questions=None, taught_questions=[], sensors=None)
    assert digest(TINY, unsaid) == digest(TINY, card)
