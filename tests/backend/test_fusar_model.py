"""FUSAR-GPT against plain Qwen2.5-VL, and every way in which the subclass could fail without a word."""

from __future__ import annotations

import copy
import json
import logging

import numpy as np
import pytest
import torch
from fresh_model import CARD, chip, fresh_config, fresh_model, fresh_processor, prior
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)

from fusar_gpt.errors import PriorError
from fusar_gpt.model import FusarGptConfig, FusarGptForConditionalGeneration, FusarGptModel
from fusar_gpt.model.processor import encode_priors

PROCESSOR = fresh_processor()
PROMPTS = ["count ship", "ask where is the long narrow bridge over the river"]


def batch(prompts=PROMPTS, priors=True, first=0):
    seeds = range(first, first + len(prompts))
    counts = [3, 8, 0, 1][first:]
    given = [prior(seed, counts[i]) for i, seed in enumerate(seeds)] if priors else None
    return PROCESSOR([chip(seed) for seed in seeds], prompts, given)


def without_prior(inputs):
    return {name: tensor for name, tensor in inputs.items() if not name.startswith("aef_")}


def base_model(tie=True):
    """A stock Qwen2.5-VL of the same sizes, without a trace of this project in its configuration."""
    values = fresh_config(PROCESSOR.tokenizer).to_dict()
    for name in ("tlm", "model_type", "architectures"):
        values.pop(name, None)
    values["tie_word_embeddings"] = values["text_config"]["tie_word_embeddings"] = tie
    torch.manual_seed(1)
    model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**values)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)  # norms and biases too
    return model


def next_logits(model, inputs):
    with torch.no_grad():
        return model(**inputs).logits[:, -1]


def generated(model, inputs, **options):
    output = model.generate(
        **copy.deepcopy(inputs), max_new_tokens=6, do_sample=False, eos_token_id=None, **options
    )
    return output[:, inputs["input_ids"].shape[1] :]


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("layout", ["published", "current"])
def test_a_plain_qwen_folder_loads_and_computes_exactly_the_same(tmp_path, layout, tie):
    base = base_model(tie)
    base.save_pretrained(tmp_path)
    if layout == "current":
        state = {k: v for k, v in base.state_dict().items() if not (tie and k == "lm_head.weight")}
        save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    else:
        assert "visual.patch_embed.proj.weight" in load_file(tmp_path / "model.safetensors")
    model, report = FusarGptForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert {name.split(".")[1] for name in report["missing_keys"]} == {"tlm"}
    assert not report["unexpected_keys"]
    assert model.config.model_type == "fusar_gpt"
    assert model.model.tlm.w1.weight.std() > 0.5
    assert not model.model.tlm.w2.weight.any()
    inputs = batch()
    expected = next_logits(base, without_prior(inputs))
    assert torch.equal(next_logits(model, inputs), expected)
    assert torch.equal(next_logits(model, without_prior(inputs)), expected)


def test_a_fresh_model_equals_the_base_with_its_weights():
    base, model = base_model(), fresh_model(PROCESSOR.tokenizer, live=False)
    missing, unexpected = model.load_state_dict(base.state_dict(), strict=False)
    assert {name.split(".")[1] for name in missing} == {"tlm"}
    assert not unexpected
    inputs = batch()
    assert torch.equal(next_logits(model, inputs), next_logits(base, without_prior(inputs)))


@pytest.mark.parametrize("explicit", [True, False])
def test_the_model_type_is_ours_however_the_configuration_is_read(tmp_path, explicit):
    Qwen2_5_VLConfig(**base_model().config.to_dict()).save_pretrained(tmp_path)
    config = FusarGptConfig.from_pretrained(tmp_path)
    if explicit:
        config = FusarGptConfig(**config.to_dict())
    assert (config.model_type, config.tlm["vec_dim"], config.text_config.hidden_size) == ("fusar_gpt", 64, 64)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"sigma": 0.0}, "positive"),
        ({"sigma": -1.0}, "positive"),
        ({"sigma": float("nan")}, "positive"),
        ({"hidden": 0}, "positive"),
        ({"variant": "other"}, "paper or release"),
        ({"fusion": "other"}, "modulate or sum or concat"),
        ({"sigmma": 1.0}, "sigmma"),
        ({"variant": "release"}, "must name its sigma"),
    ],
)
def test_impossible_tlm_settings_are_refused(wrong, named):
    with pytest.raises(ValueError, match=f"TLM.*{named}"):
        FusarGptConfig(tlm=wrong)


def test_a_stored_configuration_names_its_variant(tmp_path):
    FusarGptConfig(tlm={"variant": "release", "sigma": 2.0}).save_pretrained(tmp_path)
    tlm = FusarGptConfig.from_pretrained(tmp_path).tlm
    assert (tlm["variant"], tlm["sigma"], tlm["fusion"]) == ("release", 2.0, "modulate")
    stored = json.loads((tmp_path / "config.json").read_text())
    del stored["tlm"]["variant"]
    (tmp_path / "config.json").write_text(json.dumps(stored))
    with pytest.raises(ValueError, match="names no TLM variant"):
        FusarGptConfig.from_pretrained(tmp_path)


def test_save_and_load_through_the_auto_classes(tmp_path):
    model = fresh_model(PROCESSOR.tokenizer)
    model.save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is FusarGptConfig
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path)
    assert type(loaded) is FusarGptForConditionalGeneration
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    # Buffers that are not stored are made anew after the meta device.
    buffers = dict(loaded.named_buffers())
    assert any("inv_freq" in name for name in buffers)
    for name, tensor in model.named_buffers():
        assert torch.equal(buffers[name], tensor), name
    assert torch.equal(next_logits(loaded, batch()), next_logits(model, batch()))
    inner = AutoModel.from_config(model.config)
    assert type(inner) is FusarGptModel


def test_in_bfloat16_tlm_stays_float32(tmp_path):
    fresh_model(PROCESSOR.tokenizer, live=False).save_pretrained(tmp_path)
    model = FusarGptForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.model.tlm.parameters()} == {torch.float32}
    assert model.lm_head.weight.dtype is torch.bfloat16
    assert torch.equal(next_logits(model, batch()), next_logits(model, without_prior(batch())))
    whole = model.to(torch.bfloat16)
    assert next_logits(whole, batch()).isfinite().all()


def test_generate_applies_the_prior_as_forward_does():
    model, inputs = fresh_model(PROCESSOR.tokenizer), batch()
    with_prior, without = next_logits(model, inputs), next_logits(model, without_prior(inputs))
    assert (with_prior - without).abs().max() > 0.1
    step = model.generate(
        **copy.deepcopy(inputs),
        max_new_tokens=1,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    torch.testing.assert_close(step.logits[0], with_prior, rtol=1e-4, atol=1e-4)


def test_each_prior_reaches_its_own_image_only():
    model, inputs = fresh_model(PROCESSOR.tokenizer), batch()
    changed = {**inputs, **encode_priors([prior(0, 3), prior(99, 5)])}
    before, after = next_logits(model, inputs), next_logits(model, changed)
    torch.testing.assert_close(before[0], after[0], rtol=1e-4, atol=1e-5)
    assert (before[1] - after[1]).abs().max() > 0.1


def test_images_without_token_types_are_refused():
    model, inputs = fresh_model(PROCESSOR.tokenizer), batch()
    del inputs["mm_token_type_ids"]
    with pytest.raises(ValueError, match="mm_token_type_ids"):
        model(**inputs)
    with pytest.raises(ValueError, match="mm_token_type_ids"):
        model.generate(**inputs, max_new_tokens=1)


def test_priors_for_another_number_of_images_are_refused():
    model, inputs = fresh_model(PROCESSOR.tokenizer), batch()
    with pytest.raises(ValueError, match="priors for 1"):
        model(**{**inputs, **encode_priors([prior(0, 3)])})


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"use_cache": False}], ids=str)
def test_a_left_padded_batch_equals_single_runs(options):
    model = fresh_model(PROCESSOR.tokenizer)
    inputs = batch()
    assert not inputs["attention_mask"][0, 0]
    together = generated(model, inputs, **options)
    logits = next_logits(model, inputs)
    for i, prompt in enumerate(PROMPTS):
        alone = batch([prompt], first=i)
        torch.testing.assert_close(next_logits(model, alone)[0], logits[i], rtol=1e-4, atol=1e-4)
        assert torch.equal(generated(model, alone, **options)[0], together[i])
    assert torch.equal(generated(model, inputs), generated(model, inputs, use_cache=False))


def test_images_of_different_sizes_share_a_batch():
    model = fresh_model(PROCESSOR.tokenizer)
    images = [
        np.random.default_rng(i).integers(0, 256, (16 * rows, 16 * cols, 3), dtype=np.uint8)
        for i, (rows, cols) in enumerate([(2, 3), (4, 2), (2, 3)])
    ]
    encoded = PROCESSOR.image_processor(images=images, return_tensors="pt", input_data_format="channels_last")
    priors = encode_priors([prior(0, 4), prior(1, 0), prior(2, 6)])
    with torch.no_grad():
        together = model.model.get_image_features(**encoded, **priors).pooler_output
        start = 0
        for i, count in enumerate([24, 32, 24]):
            alone = model.model.get_image_features(
                encoded["pixel_values"][start : start + count],
                encoded["image_grid_thw"][[i]],
                **{name: tensor[[i]] for name, tensor in priors.items()},
            ).pooler_output
            torch.testing.assert_close(together[i], alone[0], rtol=1e-4, atol=1e-4)
            start += count


@pytest.mark.parametrize("counts", [(0, 0), (0, 4)])
def test_training_tlm_alone_works_for_any_mix_of_priors(counts):
    model = fresh_model(PROCESSOR.tokenizer).requires_grad_(False)
    model.model.tlm.requires_grad_(True)
    inputs = PROCESSOR(
        [chip(0), chip(1)], PROMPTS, [prior(i, count) for i, count in enumerate(counts)], ["7", "12"]
    )
    model(**inputs).loss.backward()
    gradients = [parameter.grad for parameter in model.model.tlm.parameters()]
    assert all(gradient is not None for gradient in gradients)
    assert any(gradient.any() for gradient in gradients) is (max(counts) > 0)


def test_labels_cover_the_answer_and_its_end_only():
    inputs = PROCESSOR([chip(0), chip(1)], PROMPTS, answers=["7", "5 ship l1 u2 r3 d4"])
    learnt = [PROCESSOR.tokenizer.decode(row[row >= 0]) for row in inputs["labels"]]
    assert learnt == ["7<|im_end|>", "5 ship l1 u2 r3 d4<|im_end|>"]
    assert inputs["labels"][0, -1] == PROCESSOR.tokenizer.eos_token_id
    plain = PROCESSOR([chip(0)], PROMPTS[:1])["input_ids"][0]
    row = inputs["input_ids"][0][inputs["attention_mask"][0].bool()]
    assert torch.equal(row[: len(plain)], plain)  # training sees exactly what serving asks


def test_the_processor_makes_ramps_and_keeps_the_pixels():
    image = chip(3)
    inputs = PROCESSOR([image], ["describe"])
    rows, cols = CARD.height // 8, CARD.width // 8
    assert inputs["image_grid_thw"].tolist() == [[1, rows, cols]]
    # Qwen's order: 2 x 2 patches of a token together; then channel, (time,) row and column inside the patch.
    patches = inputs["pixel_values"].reshape(rows // 2, cols // 2, 2, 2, 3, 8, 8)
    picture = patches.permute(4, 0, 2, 5, 1, 3, 6).reshape(3, CARD.height, CARD.width).numpy()
    np.testing.assert_allclose((picture[0] + 1) * 127.5, image, atol=1e-3)
    assert picture[1, :, 0].max() == -1
    assert picture[1, :, -1].min() == 1
    assert picture[2, 0].max() == -1
    assert picture[2, -1].min() == 1


def test_the_processor_refuses_other_sizes():
    with pytest.raises(ValueError, match=r"uint8 \[48, 64\]"):
        PROCESSOR([np.zeros((64, 48), np.uint8)], ["describe"])
    with pytest.raises(ValueError, match="2 prompts"):
        PROCESSOR([chip(0)], PROMPTS)


def test_vectors_that_are_not_finite_are_dropped_and_counted(caplog):
    values, positions = prior(0, 60)
    spoilt, places = values.astype(np.float64), positions.copy()
    spoilt[3, 5], spoilt[10, 0], places[20, 1] = np.nan, 1e300, np.inf
    keep = np.delete(np.arange(60), [3, 10, 20])
    with caplog.at_level(logging.WARNING):
        batch = encode_priors([(spoilt, places), prior(1, 40)])
    assert [record.getMessage() for record in caplog.records] == [
        "dropped 3 of 100 prior vectors that are not finite"
    ]
    assert batch["aef_mask"].sum(1).tolist() == [57, 40]
    np.testing.assert_array_equal(batch["aef_values"][0], values[keep])
    np.testing.assert_array_equal(batch["aef_coords"][0], positions[keep])
    caplog.clear()
    encode_priors([prior(1, 40)])
    assert not caplog.records


def test_a_prior_of_another_shape_is_refused():
    for values, positions in (((2, 63), (2, 2)), ((2, 64), (3, 2)), ((64,), (1, 2)), ((2, 64), (2, 3))):
        with pytest.raises(PriorError, match=rf"not \[{', '.join(map(str, values))}\] at"):
            encode_priors([(np.zeros(values, np.float32), np.zeros(positions, np.float32))])


def test_positions_must_be_normalised():
    values, positions = prior(0, 4)
    for wrong in (-0.01, 1.01, 504.0):
        spoilt = positions.copy()
        spoilt[2, 1] = wrong
        with pytest.raises(PriorError, match=f"{wrong:g}: they must be|from {wrong:g} to .*normalised"):
            encode_priors([(values, spoilt)])
    positions[0] = -0.0005, 1.0005
    assert encode_priors([(values, positions)])["aef_coords"][0, 0].tolist() == [0.0, 1.0]
