"""A checkpoint without its language model makes the visual tokens of the whole one, and nothing else."""

from __future__ import annotations

import shutil

import pytest
import torch
from release_format import (
    HEIGHT,
    STAGE1,
    WIDTH,
    base_model,
    make_images_only,
    prior,
    write_base,
    write_release,
)
from safetensors.torch import load_file, save_file
from test_stem_tower import FINE, PROCESSOR, stem_model

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import load_checkpoint, save_checkpoint
from fusar_gpt.model.decoding import visual_tokens
from fusar_gpt.model.released import import_release
from fusar_gpt.model.store import BUNDLED


def tokens(folder, width, height, **options):
    """Of a random image with five nodes of a prior, at (width, height)."""
    image = torch.randint(0, 256, (height, width), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    checkpoint = load_checkpoint(folder, device="cpu", **options)
    return visual_tokens(checkpoint, [image.numpy()], [prior(1, 5)])[0], checkpoint


def same(folder, width=WIDTH, height=HEIGHT):
    whole, _ = tokens(folder, width, height)
    part, checkpoint = tokens(folder, width, height, language=False)
    assert torch.equal(whole, part)
    return checkpoint


def test_a_whole_checkpoint():
    checkpoint = same("tiny", 224, 224)
    held = [name for name, tensor in checkpoint.model.named_parameters() if not tensor.is_meta]
    assert held
    assert all(name.startswith(("model.visual.", "model.tlm.")) for name in held)
    with pytest.raises((NotImplementedError, RuntimeError)):
        checkpoint.model(input_ids=torch.tensor([[1, 2]]))[0].sum().item()


def test_a_tower_with_a_stem(tmp_path):
    save_checkpoint(tmp_path, stem_model(), PROCESSOR, FINE)
    same(tmp_path, FINE.width, FINE.height)


@pytest.mark.parametrize("images_only", [False, True])
def test_an_adapter_of_the_vision_tower_is_merged(tmp_path, images_only):
    model = base_model()
    write_base(tmp_path / "base", model, shards=True)
    write_release(tmp_path / "stage1", model, targets=STAGE1)
    if images_only:
        make_images_only(tmp_path / "stage1")
    import_release(tmp_path / "stage1", str(tmp_path / "base"), tmp_path / "out")
    side = {"width": WIDTH, "height": WIDTH} if images_only else {}
    same(tmp_path / "out", **side)


def test_half_precision_leaves_tlm_alone():
    _, checkpoint = tokens("tiny", 224, 224, language=False, dtype="bfloat16")
    assert checkpoint.model.model.visual.dtype is torch.bfloat16
    assert {one.dtype for one in checkpoint.model.model.tlm.parameters()} == {torch.float32}


def test_a_weight_that_is_missing_is_refused(tmp_path):
    folder = shutil.copytree(BUNDLED["tiny"], tmp_path / "tiny")
    weights = load_file(folder / "model.safetensors")
    del weights[next(name for name in weights if "visual" in name)]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    card = (folder / "fusar.json").read_text()
    before = card[card.index('"digests"') :]
    (folder / "fusar.json").write_text(card.replace(before, '"digests": {}\n}\n'))
    with pytest.raises(CheckpointError, match=r"Missing key.*: get the checkpoint again"):
        load_checkpoint(folder, device="cpu", language=False)
