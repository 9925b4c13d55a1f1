"""The authors' released format: an import and an export compute the same function as the release."""

from __future__ import annotations

import re
import shutil

import pytest
import torch
from peft import PeftModel
from release_format import (
    HEIGHT,
    STAGE1,
    WIDTH,
    base_model,
    change_tensors,
    film,
    make_images_only,
    make_release,
    prior,
    write_base,
    write_release,
)
from release_reference import cases, check_parity, our_tokens, reference_tokens
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoTokenizer, Qwen2_5_VLForConditionalGeneration

from fusar_gpt.model import load_checkpoint
from fusar_gpt.model.checkpoint import export_checkpoint
from fusar_gpt.model.released import import_release


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    return make_release(tmp_path_factory.mktemp("released"))


@pytest.fixture
def source(released, tmp_path):
    return shutil.copytree(released["source"], tmp_path / "source")


@pytest.fixture
def base(released, tmp_path):
    return shutil.copytree(released["base"], tmp_path / "base")


def test_a_stage_2_release_computes_what_the_authors_compute(released):
    check_parity(load_checkpoint(released["out"], device="cpu"), released["original"])


@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize(("layout", "shards"), [("current", False), ("published", True)])
def test_a_stage_1_release_with_vision_lora_on_any_base(tmp_path, layout, shards, tie):
    model = base_model(tie, seed=2)
    write_base(tmp_path / "base", model, layout=layout, shards=shards)
    original = write_release(tmp_path / "stage1", model, targets=STAGE1)
    import_release(tmp_path / "stage1", str(tmp_path / "base"), tmp_path / "out")
    adapter = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert any(".visual.blocks.1." in name for name in adapter)
    check_parity(load_checkpoint(tmp_path / "out", device="cpu"), original)


def test_an_adapter_of_images_alone_computes_qwens_own_tokens_whatever_the_prior(source, released, tmp_path):
    make_images_only(source, [WIDTH, HEIGHT])
    import_release(source, str(released["base"]), tmp_path / "out")
    export_checkpoint(tmp_path / "out", tmp_path / "whole")
    batch = cases()
    bare = [reference_tokens(released["original"], pixels, *prior(0, 0)) for pixels, _, _ in batch]
    for folder in ("out", "whole"):
        checkpoint = load_checkpoint(tmp_path / folder, device="cpu")
        assert not checkpoint.card.uses_prior
        for ours, theirs in zip(our_tokens(checkpoint, batch), bare, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_adapter_keys_of_older_libraries(released, source, tmp_path):
    older = re.compile(r"^(base_model\.model)\.model\.(visual|language_model)")

    def rename(tensors):
        for name in list(tensors):
            new = older.sub(lambda found: f"{found[1]}.{'visual' if found[2] == 'visual' else 'model'}", name)
            assert new != name
            tensors[new] = tensors.pop(name)

    change_tensors(source / "adapter_model.safetensors", rename)
    import_release(source, str(released["base"]), tmp_path / "out")
    written = load_file(tmp_path / "out" / "adapter_model.safetensors")
    expected = load_file(released["out"] / "adapter_model.safetensors")
    assert written.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in written.items())


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # PEFT's
def test_stock_peft_reads_the_imported_adapter(released):
    """Its list of modules names what it holds, so PEFT neither adds nor misses a layer."""
    stock = Qwen2_5_VLForConditionalGeneration.from_pretrained(released["base"], dtype=torch.float32)
    adapted = PeftModel.from_pretrained(stock, released["out"])
    ours = {name for name, _ in adapted.named_parameters() if "lora_" in name}
    original = {name for name, _ in released["original"].named_parameters() if "lora_" in name}
    assert ours == original


def test_rank_stabilised_scaling(tmp_path):
    model = base_model()
    write_base(tmp_path / "base", model)
    original = write_release(tmp_path / "source", model, use_rslora=True)
    import_release(tmp_path / "source", str(tmp_path / "base"), tmp_path / "out")
    check_parity(load_checkpoint(tmp_path / "out", device="cpu"), original)


def test_an_export_is_whole_and_computes_the_same(released, tmp_path):
    card = export_checkpoint(released["out"], tmp_path / "whole")
    assert card.base is None
    assert card.digests
    shutil.rmtree(shutil.copytree(released["base"], tmp_path / "gone"))
    whole = load_checkpoint(tmp_path / "whole", device="cpu")
    check_parity(whole, released["original"])
    library = AutoModelForImageTextToText.from_pretrained(tmp_path / "whole")
    assert library.state_dict().keys() == whole.model.state_dict().keys()
    for name, tensor in library.state_dict().items():
        assert torch.equal(tensor, whole.model.state_dict()[name]), name
    assert library.generation_config.eos_token_id == [2, 0]
    assert AutoTokenizer.from_pretrained(tmp_path / "whole").chat_template


def test_a_bfloat16_base_is_exported_as_bfloat16_with_tlm_in_float32(tmp_path):
    model = base_model()
    write_base(tmp_path / "base", model, dtype=torch.bfloat16)
    write_release(tmp_path / "source", model)
    import_release(tmp_path / "source", str(tmp_path / "base"), tmp_path / "out")
    export_checkpoint(tmp_path / "out", tmp_path / "whole")
    stored = load_file(tmp_path / "whole" / "model.safetensors")
    kinds = {name.startswith("model.tlm"): tensor.dtype for name, tensor in stored.items()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    assert torch.equal(stored["model.tlm.w1.weight"], film()["0.weight"])
    exact = load_checkpoint(tmp_path / "out", device="cpu")
    assert exact.model.dtype is torch.float32
    half = load_checkpoint(tmp_path / "out", device="cpu", dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.model.model.tlm.parameters()} == {torch.float32}
    for name, tensor in half.model.state_dict().items():
        assert torch.equal(tensor, exact.model.state_dict()[name].to(tensor.dtype)), name


# What is written.
