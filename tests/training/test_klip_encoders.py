"""What the vision benchmarks compare: towers, their starts, and CLIPs as open_clip stores them."""

import json

import numpy as np
import pytest
import torch
from klip_vision_samples import SIDE, asked, klip
from safetensors.torch import save_file
from torch.nn import functional
from transformers import CLIPVisionConfig, CLIPVisionModel

from fusar_train.klip.benchmarks.encoders import (
    ClipEncoder,
    TowerEncoder,
    start_beside,
    starts_of,
    vectors_of,
)
from fusar_train.klip.benchmarks.fine_tuning import Recipe, fit, varied
from fusar_train.klip.benchmarks.neck import Neck
from fusar_train.klip.settings import KlipError

VISION = {"image_size": SIDE, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE), np.uint8)


def open_clip_state(layers=2, width=32):
    """Random weights under open_clip's names."""
    torch.manual_seed(0)
    shapes = {
        "class_embedding": (width,), "positional_embedding": (17, width), "conv1.weight": (width, 3, 8, 8),
        "proj": (width, 16), "ln_pre.weight": (width,), "ln_pre.bias": (width,), "ln_post.weight": (width,),
        "ln_post.bias": (width,),
    }  # fmt: skip
    for number in range(layers):
        block = f"transformer.resblocks.{number}."
        shapes |= {f"{block}ln_{n}.{kind}": (width,) for n in (1, 2) for kind in ("weight", "bias")}
        shapes |= {
            f"{block}attn.in_proj_weight": (3 * width, width),
            f"{block}attn.in_proj_bias": (3 * width,),
        }
        shapes |= {f"{block}attn.out_proj.weight": (width, width), f"{block}attn.out_proj.bias": (width,)}
        shapes |= {f"{block}mlp.c_fc.weight": (4 * width, width), f"{block}mlp.c_fc.bias": (4 * width,)}
        shapes |= {f"{block}mlp.c_proj.weight": (width, 4 * width), f"{block}mlp.c_proj.bias": (width,)}
    return {f"visual.{name}": torch.randn(shape) * 0.2 for name, shape in shapes.items()} | {
        "logit_scale": torch.tensor(1.0)
    }


def write_clip(folder, *, state=None, preprocess=None, model=None, **vision):
    folder.mkdir(parents=True)
    stated = {"model_cfg": {"embed_dim": 16, "vision_cfg": {**VISION, **vision}, **(model or {})}}
    stated["preprocess_cfg"] = preprocess or {}
    (folder / "open_clip_config.json").write_text(json.dumps(stated))
    save_file(open_clip_state() if state is None else state, folder / "open_clip_model.safetensors")
    return folder


def reference(state, images, quick):
    """Open_clip's VisionTransformer written out: its last tokens, and its patches before any layer."""
    mean = torch.tensor((0.48145466, 0.4578275, 0.40821073)).reshape(1, 3, 1, 1)
    std = torch.tensor((0.26862954, 0.26130258, 0.27577711)).reshape(1, 3, 1, 1)
    w = {name.removeprefix("visual."): value for name, value in state.items()}
    x = (torch.from_numpy(images)[:, None].expand(-1, 3, -1, -1) / 255 - mean) / std
    early = functional.conv2d(x, w["conv1.weight"], stride=8).flatten(2).transpose(1, 2)
    x = early
    x = torch.cat([w["class_embedding"].expand(len(x), 1, -1), x], 1) + w["positional_embedding"]

    def norm(x, name):
        return functional.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])

    x = norm(x, "ln_pre")
    for number in range(2):
        at = f"transformer.resblocks.{number}."
        y = functional.linear(
            norm(x, f"{at}ln_1"), w[f"{at}attn.in_proj_weight"], w[f"{at}attn.in_proj_bias"]
        )
        q, k, v = (part.unflatten(-1, (2, 16)).transpose(1, 2) for part in y.chunk(3, -1))
        y = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + functional.linear(y, w[f"{at}attn.out_proj.weight"], w[f"{at}attn.out_proj.bias"])
        y = functional.linear(norm(x, f"{at}ln_2"), w[f"{at}mlp.c_fc.weight"], w[f"{at}mlp.c_fc.bias"])
        y = y * torch.sigmoid(1.702 * y) if quick else functional.gelu(y)
        x = x + functional.linear(y, w[f"{at}mlp.c_proj.weight"], w[f"{at}mlp.c_proj.bias"])
    return x, early


@pytest.mark.parametrize("quick", [False, True])
def test_a_clip_computes_what_open_clip_computes(tmp_path, quick):
    encoder = ClipEncoder(write_clip(tmp_path / "clip", model={"quick_gelu": quick})).eval()
    tokens, early = reference(open_clip_state(), IMAGES, quick)
    with torch.inference_mode():
        seen = encoder(torch.from_numpy(IMAGES))
    torch.testing.assert_close(seen.early.flatten(2).transpose(1, 2), early, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(seen.grid.flatten(2).transpose(1, 2), tokens[:, 1:], atol=1e-4, rtol=1e-4)


def test_a_clip_states_its_own_colours(tmp_path):
    plain = ClipEncoder(write_clip(tmp_path / "a"))
    other = ClipEncoder(write_clip(tmp_path / "b", preprocess={"mean": [0.5] * 3, "std": [0.5] * 3}))
    assert not np.allclose(
        vectors_of(plain, IMAGES, torch.device("cpu")), vectors_of(other, IMAGES, torch.device("cpu"))
    )
    with pytest.raises(KlipError, match="three colours"):
        ClipEncoder(write_clip(tmp_path / "c", preprocess={"mean": [0.5], "std": [0.5]}))


def test_what_is_no_clip_is_refused(tmp_path):
    with pytest.raises(KlipError, match="no open_clip model"):
        ClipEncoder(tmp_path)
    unsafe = write_clip(tmp_path / "bin")
    (unsafe / "open_clip_model.safetensors").rename(unsafe / "open_clip_pytorch_model.bin")
    with pytest.raises(KlipError, match="may run code"):
        ClipEncoder(unsafe)
    with pytest.raises(KlipError, match="no plain ViT"):
        ClipEncoder(write_clip(tmp_path / "timm", timm_model_name="vit_so400m"))
    with pytest.raises(KlipError, match="no plain ViT"):
        ClipEncoder(write_clip(tmp_path / "resnet", layers=[3, 4, 6, 3]))
    with pytest.raises(KlipError, match="makes no sense"):
        ClipEncoder(write_clip(tmp_path / "huge", width=10**9))
    with pytest.raises(KlipError, match="do not fit"):
        ClipEncoder(write_clip(tmp_path / "other", image_size=64))
    state = open_clip_state()
    del state["visual.ln_post.bias"]
    with pytest.raises(KlipError, match="cannot be read"):
        ClipEncoder(write_clip(tmp_path / "lacking", state=state))
    broken = write_clip(tmp_path / "broken")
    (broken / "open_clip_model.safetensors").write_bytes(b"no weights")
    with pytest.raises(KlipError, match="cannot be read"):
        ClipEncoder(broken)


def test_the_same_vision_model_by_the_library():
    """The names above are those that transformers has: a new release may rename them."""
    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    assert "encoder.layers.0.self_attn.q_proj.weight" in CLIPVisionModel(config).state_dict()


def test_starts_are_fresh_copies_of_the_model_of_chance_and_of_its_supervised_start(tmp_path):
    model = klip()
    file = tmp_path / "small.run" / "vision.safetensors"
    file.parent.mkdir()
    taught = {name: value + 1 for name, value in model.model.image.state_dict().items()}
    save_file(taught, file)
    assert start_beside(str(tmp_path / "small")) == file
    assert start_beside(str(tmp_path / "another")) is None
    clip = write_clip(tmp_path / "clip")
    found = starts_of(asked(model, vision_start=file, clip=clip)).those
    assert [one.name for one in found] == [
        *("FUSAR-KLIP", "the same network from scratch", "its supervised start alone", "open_clip clip")
    ]
    towers = [start.make() for start in found[:3]]
    assert all(isinstance(one, TowerEncoder) for one in towers)
    wanted = model.model.image.vit.layernorm.weight
    torch.testing.assert_close(towers[0].tower.vit.layernorm.weight, wanted)
    torch.testing.assert_close(towers[2].tower.vit.layernorm.weight, wanted + 1)
    first = vectors_of(found[1].make(), IMAGES, torch.device("cpu"))
    np.testing.assert_array_equal(first, vectors_of(found[1].make(), IMAGES, torch.device("cpu")))
    assert not np.allclose(first, vectors_of(found[0].make(), IMAGES, torch.device("cpu")))
    with torch.no_grad():
        towers[0].tower.vit.layernorm.weight.zero_()  # teaching a copy leaves the model as it is
    assert wanted.abs().sum() > 0


def test_a_start_that_is_missing_or_another_is_told(tmp_path):
    model = klip()
    with pytest.raises(KlipError, match="cannot be read"):
        starts_of(asked(model, vision_start=tmp_path / "none.safetensors"))
    file = tmp_path / "vision.safetensors"
    save_file(klip(hidden=16).model.image.state_dict(), file)
    with pytest.raises(KlipError, match="another network"):
        starts_of(asked(model, vision_start=file))
    model.card.training["settings"] = {"vision_start": 4000}
    assert "left out" in starts_of(asked(model)).notes[0]


@pytest.mark.parametrize("stem", [(8,), ()])
def test_vectors_are_means_and_greatest_values_of_the_first_map_and_the_last_tokens(stem):
    model = klip(stem=stem)
    encoder = starts_of(asked(model)).those[0].make()
    found = vectors_of(encoder, IMAGES, torch.device("cpu"))
    assert found.shape == (3, encoder.vector_size) == (3, 2 * (8 if stem else 32) + 64)
    with torch.inference_mode():
        tokens = model.model.image(torch.from_numpy(IMAGES))[:, 1:]
        early = encoder(torch.from_numpy(IMAGES)).early
    assert early.shape[2:] == ((8, 8) if stem else (4, 4))
    wanted = torch.cat([early.mean((2, 3)), early.amax((2, 3)), tokens.mean(1), tokens.amax(1)], 1)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


def test_vectors_that_are_not_finite_are_told():
    model = klip()
    with torch.no_grad():
        model.model.image.vit.layernorm.weight[0] = torch.nan
    with pytest.raises(KlipError, match="not finite"):
        vectors_of(starts_of(asked(model)).those[0].make(), IMAGES, torch.device("cpu"))


@pytest.mark.parametrize("token_px", [4, 8, 16, 32])
def test_the_neck_makes_cells_of_about_eight_pixels(token_px):
    stem = {"stem": (8, 8, 8)[: {4: 0, 8: 1, 16: 2, 32: 3}[token_px]], "grid": 1}
    encoder = TowerEncoder(klip(token_px=token_px, **stem).model.image)
    neck = Neck(encoder, 8)
    with torch.inference_mode():
        fine = neck(encoder(torch.from_numpy(IMAGES)).grid)
    assert fine.shape == (3, 8, neck.cells, neck.cells)
    assert neck.cells * neck.cell_px == SIDE
    assert neck.cell_px == min(token_px, 8)


def test_variation_keeps_what_an_image_shows():
    image = torch.zeros(200, 32, 32, dtype=torch.uint8)
    image[:, 12:20, 12:20] = 150
    seen = varied(image, torch.Generator().manual_seed(0))
    assert seen.dtype == torch.uint8
    assert seen.shape == image.shape
    light = (seen > 60).sum((1, 2))
    assert light.min() > 25  # of 64 pixels, shrunk or moved
    assert light.max() < 130
    assert len({one.numpy().tobytes() for one in seen}) > 150


def test_fitting_finds_a_line_and_tells_of_a_loss_that_is_not_finite():
    torch.manual_seed(0)
    inner, head = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    whole = torch.nn.Sequential(inner, head)
    x = torch.linspace(-1, 1, 64)[:, None]

    def loss(rows):
        return functional.mse_loss(whole(x[rows]), 3 * x[rows] + 1)

    fit(whole, inner, loss, 64, Recipe(epochs=40, rate=0.05, weight_decay=0.0), "a line")
    assert not whole.training
    assert float(loss(torch.arange(64)).detach()) < 0.01
    with pytest.raises(KlipError, match="not finite at step 1"):
        fit(whole, inner, lambda rows: loss(rows) * torch.nan, 64, Recipe(epochs=1), "a line")
