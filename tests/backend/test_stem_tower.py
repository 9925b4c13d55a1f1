"""The vision tower with a convolutional stem: what it sees, how it is stored, and that nobody gets it unasked."""

from __future__ import annotations

import json

import pytest
import torch
from fresh_model import CARD, chip, fresh_config, fresh_model, prior

from fusar_gpt.model import (
    FusarGptConfig,
    FusarGptProcessor,
    load_checkpoint,
    save_checkpoint,
    tiny_image_processor,
    tiny_tokenizer,
)
from fusar_gpt.model.stem_tower import StemVisionTower
from fusar_gpt.model.store import BUNDLED

STEM = [4, 6, 8]
FINE = CARD.__class__(**{**vars(CARD), "patch": 16, "merge": 1})
PROCESSOR = FusarGptProcessor(tiny_tokenizer(), tiny_image_processor(16, 1), FINE)


def stem_model(seed=0):
    return fresh_model(PROCESSOR.tokenizer, seed, stem=STEM)


def tokens(model, chips):
    inputs = PROCESSOR.encode_images(chips)
    with torch.no_grad():
        return model.model.visual(inputs["pixel_values"], inputs["image_grid_thw"]).pooler_output


def test_the_stem_sees_the_images_that_were_cut_into_patches():
    chips = [chip(1), chip(2)]
    inputs = PROCESSOR.encode_images(chips)
    seen = stem_model().model.visual.images(inputs["pixel_values"], 3, 4)
    grey = torch.stack([torch.from_numpy(one) for one in chips]).float() / 127.5 - 1
    assert torch.allclose(seen[:, 0], grey, atol=1e-5)
    ramp = seen[0, 1]  # x
    assert torch.allclose(ramp[0], ramp[-1])
    assert bool((ramp[0].diff() > 0).all())


def test_an_image_s_tokens_do_not_depend_on_what_is_beside_it():
    model = stem_model()
    both = tokens(model, [chip(1), chip(2)])
    assert both.shape == (2 * 3 * 4, 64)
    assert torch.allclose(both, torch.cat([tokens(model, [chip(n)]) for n in (1, 2)]), atol=1e-4)


def test_what_the_stem_sees_reaches_the_token_of_its_ground():
    """Row by row, and not only by way of the transformer; how the token changes tells where within it."""
    model, dark = stem_model(), chip(1) * 0
    torch.nn.init.zeros_(model.model.visual.to_fine.weight)
    base = tokens(model, [dark])
    changes = []
    for row, column in ((20, 34), (26, 40)):  # of the token in row 1, column 2
        image = dark.copy()
        image[row : row + 3, column : column + 3] = 255
        change = tokens(model, [image]) - base
        assert int(change.norm(dim=-1).argmax()) == 1 * 4 + 2
        changes.append(change[6])
    assert torch.cosine_similarity(*changes, dim=0) < 0.9


def test_it_is_stored_and_loaded_like_the_rest(tmp_path):
    model = stem_model().to(torch.bfloat16).float()  # as it is stored
    save_checkpoint(tmp_path, model, PROCESSOR, FINE)
    loaded = load_checkpoint(tmp_path, device="cpu").model
    assert isinstance(loaded.model.visual, StemVisionTower)
    assert loaded.config.vision_config.stem == STEM
    assert torch.allclose(tokens(loaded, [chip(3)]), tokens(model, [chip(3)]), atol=1e-4)


def test_it_answers_with_a_prior():
    model = stem_model()
    inputs = PROCESSOR([chip(1)], ["count ship"], [prior(1, 5)])
    with torch.no_grad():
        with_prior = model(**inputs).logits[0, -1]
        without = model(**{name: one for name, one in inputs.items() if not name.startswith("aef_")}).logits[
            0, -1
        ]
    assert torch.isfinite(with_prior).all()
    assert not torch.allclose(with_prior, without)


def test_images_of_several_sizes_are_refused():
    model = stem_model()
    with pytest.raises(ValueError, match="images of one size"):
        model.model.visual(torch.zeros(4 + 6, 3 * 16 * 16), torch.tensor([[1, 2, 2], [1, 2, 3]]))


@pytest.mark.parametrize(
    ("stem", "sizes", "said"),
    [
        ([], {}, "list of channels"),
        ([4, 0, 8], {}, "list of channels"),
        ([4, 8], {}, "2 convolutions has patches of 8 px"),
        (STEM, {"spatial_merge_size": 2}, "not merged"),
        (STEM, {"temporal_patch_size": 2}, "single images"),
    ],
)
def test_a_stem_that_cannot_be_is_refused(stem, sizes, said):
    content = fresh_config(PROCESSOR.tokenizer, stem=STEM).to_dict()
    content["vision_config"] |= {"stem": stem, **sizes}
    with pytest.raises(ValueError, match=said):
        FusarGptConfig.from_dict(content)


def test_its_convolutions_begin_larger_than_the_library_s_layers():
    tower = fresh_model(PROCESSOR.tokenizer, live=False, stem=STEM).model.visual
    assert tower.patch_embed[0].weight.std() > 0.15  # He et al.: (2 / 27) ** 0.5
    assert tower.merger.weight.std() < 0.03


def test_a_model_without_a_stem_keeps_qwen_s_tower():
    assert not isinstance(fresh_model(PROCESSOR.tokenizer).model.visual, StemVisionTower)
    bundled = FusarGptConfig.from_dict(json.loads((BUNDLED["tiny"] / "config.json").read_text()))
    assert bundled.vision_config.stem is None
