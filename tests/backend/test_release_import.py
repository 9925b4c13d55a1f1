"""Importing a release: the folder that is written, where its parts come from, and its hash."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from release_format import (
    HEIGHT,
    HIDDEN,
    SIGMA,
    WIDTH,
    change_tensors,
    edit,
    film,
    import_refused,
    make_images_only,
    make_release,
    write_film,
    write_processor,
)
from transformers import AutoTokenizer

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import Card, load_checkpoint
from fusar_gpt.model.folder import digest
from fusar_gpt.model.released import QWEN_TEMPLATE, find_release, import_release


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    return make_release(tmp_path_factory.mktemp("released"))


@pytest.fixture
def source(released, tmp_path):
    return shutil.copytree(released["source"], tmp_path / "source")


@pytest.fixture
def base(released, tmp_path):
    return shutil.copytree(released["base"], tmp_path / "base")


def test_the_imported_folder(released):
    checkpoint = load_checkpoint(released["out"], device="cpu")
    card = checkpoint.card
    assert (card.width, card.height, card.patch, card.merge) == (WIDTH, HEIGHT, 14, 2)
    assert (card.prompt_set, card.aspect, card.targets, card.ground_m) == ("sarchat", "stretched", [], None)
    assert (card.tasks, card.unconfirmed_tasks) == (["detect"], ["count", "locate", "classify"])
    assert (card.free_questions, card.uses_prior) == (True, True)
    assert card.asked_tasks == ["detect", "count", "locate", "classify"]
    assert (card.name, card.base, card.demonstration) == ("imported", str(released["base"]), False)
    assert card.base_digests.keys() == card.base_sizes.keys() == {"model.safetensors"}
    tlm = checkpoint.model.config.tlm
    assert (tlm["variant"], tlm["sigma"], tlm["hidden"], tlm["vec_dim"]) == ("release", SIGMA, HIDDEN, 64)
    assert checkpoint.model.config.text_config.eos_token_id == [2, 0]
    assert {"fusar.json", "config.json", "adapter_config.json", "tlm.safetensors", "tokenizer.json"} <= {
        path.name for path in released["out"].iterdir()
    }
    assert not list(released["out"].glob("*.pt"))
    assert sum(path.stat().st_size for path in released["out"].glob("*.safetensors")) < 400_000  # no base


def test_a_legacy_folder_needs_its_sigma_and_is_504_px(released, source, tmp_path):
    (source / "tlm_config.json").unlink()
    import_refused(
        "give --sigma.*trained their released folders with 2", source, released["base"], tmp_path / "out"
    )
    card = import_release(source, str(released["base"]), tmp_path / "out", sigma=2.0)
    assert (card.width, card.height) == (504, 504)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["tlm"]["sigma"] == 2.0


def test_the_folder_above_is_taken_when_it_holds_one_release(released, source, tmp_path):
    inner = tmp_path / "download" / "stage2" / "detection"
    shutil.copytree(source, inner)
    assert find_release(tmp_path / "download") == inner
    shutil.copytree(source, tmp_path / "download" / "stage1")
    choices = r"give one of its folders stage1, stage2.detection"
    import_refused(choices, tmp_path / "download", released["base"], tmp_path / "out")
    assert find_release(tmp_path / "download", "stage2") == inner
    assert find_release(inner, "stage2") == inner
    shutil.rmtree(tmp_path / "download" / "stage1")
    import_refused(
        r"holds stage2.detection, not the folder of stage1: get it",
        tmp_path / "download", released["base"], tmp_path / "out", stage="stage1",
    )  # fmt: skip
    import_refused(
        "is one adapter of no named stage", source, released["base"], tmp_path / "out", stage="stage1"
    )


def test_stage_1_alone_describes_and_answers_in_words(released, source, tmp_path):
    shutil.copytree(source, tmp_path / "all" / "stage1")
    shutil.copytree(source, tmp_path / "all" / "stage2" / "detection")
    card = import_release(tmp_path / "all", str(released["base"]), tmp_path / "out", stage="stage1")
    assert (card.tasks, card.free_questions, card.unconfirmed_tasks) == (["describe"], True, None)
    assert (card.prompt_set, card.uses_prior) == ("release", True)


@pytest.mark.parametrize("size", [28, WIDTH, [WIDTH, HEIGHT]])
def test_an_adapter_of_images_alone_has_no_tlm_and_says_so(released, source, tmp_path, size):
    make_images_only(source, size)
    card = import_release(source, str(released["base"]), tmp_path / "out")
    assert [card.width, card.height] == (size if isinstance(size, list) else [size, size])
    assert (card.uses_prior, card.prior_years, card.tasks) == (False, None, None)
    assert "no prior used" in card.title
    assert not (tmp_path / "out" / "tlm.safetensors").exists()
    checkpoint = load_checkpoint(tmp_path / "out", device="cpu")
    assert not list(checkpoint.model.model.tlm.parameters())
    edit(tmp_path / "out" / "fusar.json", uses_prior=True)
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "out", device="cpu")


def test_what_a_card_only_tells_leaves_the_hash_alone(released):
    card = Card.read(released["out"])
    told = replace(card, tasks=None, unconfirmed_tasks=None, sensors=["Gaofen-3"], free_questions=False)
    assert digest(released["out"], told) == digest(released["out"], card)
    with pytest.raises(ValueError, match="tasks must be some of count"):
        replace(card, unconfirmed_tasks=["guess"])


@pytest.mark.parametrize("place", ["source", "source json", "base json", "nowhere"])
def test_the_chat_template_is_found_wherever_it_is(released, source, base, tmp_path, place):
    (base / "chat_template.jinja").unlink()
    write_processor(base, template="json" if place == "base json" else "none")
    if place.startswith("source"):
        write_processor(source, template="json" if place.endswith("json") else "tokenizer")
    import_release(source, str(base), tmp_path / "out")
    template = AutoTokenizer.from_pretrained(tmp_path / "out").chat_template
    expected = AutoTokenizer.from_pretrained(released["base"]).chat_template
    assert template == (QWEN_TEMPLATE if place == "nowhere" else expected)


def test_the_last_resort_is_qwens_own_turn_format(released):
    text = AutoTokenizer.from_pretrained(released["base"]).apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "go"}]}],
        chat_template=QWEN_TEMPLATE,
        tokenize=False,
        add_generation_prompt=True,
    )
    assert text == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        "<|vision_start|><|image_pad|><|vision_end|>go<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_hash_follows_adapter_base_and_settings_but_not_the_place(released, source, base, tmp_path):
    def hash_of(name, **changes):
        import_release(source, str(base), tmp_path / name, name="same", **changes)
        return load_checkpoint(tmp_path / name, device="cpu").hash

    first = hash_of("first")
    base.rename(tmp_path / "moved")
    base = tmp_path / "moved"
    assert hash_of("second") == first
    (tmp_path / "first" / "figures.json").write_text("{}")
    (tmp_path / "first" / "generation_config.json").write_text("{}")
    edit(tmp_path / "first" / "fusar.json", base=str(base))
    assert load_checkpoint(tmp_path / "first", device="cpu").hash == first
    write_film(source, film_mlp=film(seed=9))
    third = hash_of("third")
    change_tensors(base / "model.safetensors", lambda tensors: tensors["lm_head.weight"].mul_(2))
    assert len({first, third, hash_of("fourth")}) == 3
