"""``fusar_gpt.model.load``: what scripts call gives what the model's own parts give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fresh_model import CARD, fresh_model, fresh_processor, prior
from PIL import Image

from fusar_gpt.errors import CheckpointError, FusarError, TaskError
from fusar_gpt.model import load, save_checkpoint
from fusar_gpt.model.loaded import LoadedModel, frame
from fusar_gpt.model.processor import encode_priors

STRETCHED = type(CARD)(**{**CARD.__dict__, "aspect": "stretched", "position_ramps": False})


def picture(width, height, seed=0, mode="RGB"):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stretched")
    processor = fresh_processor(STRETCHED)
    save_checkpoint(folder, fresh_model(processor.tokenizer), processor, STRETCHED, dtype=torch.float32)
    return load(folder, device="cpu", dtype="float32")


def test_the_visual_tokens_are_those_of_the_resized_image_and_its_prior(model):
    images = [picture(90, 31), picture(5, 200, 1, "L"), picture(1, 1, 2)]
    priors = [prior(0, 5), None, prior(1, 3)]
    tokens = model.visual_tokens(images, priors)
    for image, given, got in zip(images, priors, tokens, strict=True):
        resized = np.asarray(image.convert("RGB").resize((64, 48), Image.Resampling.BICUBIC))
        inputs = model.checkpoint.processor.encode_images([resized])
        alone = encode_priors([given or (np.zeros((0, 64), np.float32), np.zeros((0, 2), np.float32))])
        with torch.no_grad():
            expected = model.checkpoint.model.model.get_image_features(**inputs, **alone).pooler_output[0]
        assert got.shape == (12, 64)
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_the_answers_are_those_of_generate_in_any_company(model):
    images = [picture(64, 48, seed) for seed in range(10)]
    priors = [prior(seed, seed % 4) if seed % 3 else None for seed in range(10)]
    prompts = ["count ship" + " any" * (seed % 5) for seed in range(10)]
    got = model.answer(images, priors, prompts, max_new_tokens=12)
    processor = model.checkpoint.processor
    for image, given, prompt, answer in zip(images, priors, prompts, got, strict=True):
        inputs = processor([np.asarray(image)], [prompt], given and [given])
        with torch.no_grad():
            output = model.checkpoint.model.generate(**inputs, max_new_tokens=12, do_sample=False)
        new = output[0, inputs["input_ids"].shape[1] :]
        assert answer == processor.tokenizer.decode(new, skip_special_tokens=True)
    assert len(set(got)) > 1


def test_a_prior_changes_the_tokens_and_its_nodata_do_not(model):
    image = picture(64, 48)
    values, positions = prior(0, 6)
    with_nodata = values.copy()
    with_nodata[4] = np.nan
    none, some, fewer, nodata = (
        model.visual_tokens([image], [given])[0]
        for given in (
            None,
            (values, positions),
            (np.delete(values, 4, 0), np.delete(positions, 4, 0)),
            (with_nodata, positions),
        )
    )
    assert (some - none).abs().max() > 1e-2
    torch.testing.assert_close(nodata, fewer, atol=1e-5, rtol=1e-5)


def test_ten_thousand_vectors_are_no_problem(model):
    (tokens,) = model.visual_tokens([picture(64, 48)], [prior(3, 10_000)])
    assert torch.isfinite(tokens).all()


def test_an_undistorted_frame_keeps_the_shape_and_moves_the_prior_along():
    image = Image.new("RGB", (32, 48), "white")  # becomes 32 x 48 in the middle of 64 x 48
    pixels, (_, positions) = frame(image, (np.zeros((2, 64)), np.array([[0, 0], [1, 0.5]])), CARD)
    assert pixels.shape == (48, 64, 3)
    assert pixels[:, 16:48].min() == 255
    assert not pixels[:, :16].any()
    assert not pixels[:, 48:].any()
    np.testing.assert_allclose(positions, [[0, 0.25], [1, 0.5]])


@pytest.mark.parametrize(
    ("images", "priors", "prompts", "message"),
    [
        ([picture(4, 4)], [], ["count"], "priors"),
        ([picture(4, 4)], [None], [], "prompts"),
        ([Image.new("I;16", (4, 4))], [None], ["count"], "8 bits"),
        ([picture(4, 4)], [(np.zeros((3, 63), np.float32), np.zeros((3, 2), np.float32))], ["x"], "63"),
        ([picture(4, 4)], [(prior(0, 3)[0], np.full((3, 2), 17, np.float32))], ["x"], "normalised"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_one_line(model, images, priors, prompts, message):
    with pytest.raises(FusarError, match=message) as error:
        model.answer(images, priors, prompts)
    assert "\n" not in str(error.value)


def test_an_image_of_no_channel_order_is_a_task_error_and_a_wrong_name_a_checkpoint_error(model):
    with pytest.raises(TaskError):
        model.visual_tokens([Image.new("F", (4, 4))], [None])
    with pytest.raises(CheckpointError):
        load("no-such-checkpoint", device="cpu")
    with pytest.raises(ValueError, match="dtype"):
        load("tiny", dtype="int3")


def test_a_prior_for_a_model_of_images_alone_is_told(model, caplog):
    plain = LoadedModel(replace(model.checkpoint, card=replace(model.card, uses_prior=False)))
    plain.visual_tokens([picture(9, 9)], [None])
    assert not caplog.text
    plain.visual_tokens([picture(9, 9)], [prior(0, 5)])
    assert "trained on images alone: no prior changes its answers" in caplog.text
