"""Sum and concat beside TLM: their formulas, their identities, and the model that holds them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import tlm_reference as reference
import torch
from fresh_model import chip, fresh_config, fresh_processor, prior
from torch.nn import functional

from fusar_gpt.model import FusarGptConfig, FusarGptForConditionalGeneration
from fusar_gpt.model.interpolation import Kernel
from fusar_gpt.model.tlm import FUSIONS

CHANNELS = 6
PROCESSOR = fresh_processor()
OTHERS = pytest.mark.parametrize("name", ["sum", "concat"])
VARIANTS = pytest.mark.parametrize("merge", [None, 2], ids=["paper", "release"])


def module(name, merge=None, live=True, sigma=1.0):
    torch.manual_seed(0)
    fusion = FUSIONS[name](CHANNELS, 10, 4, Kernel(sigma, merge))
    if live:
        for parameter in fusion.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return fusion


def inputs(grid, nodes):
    torch.manual_seed(1)
    tokens = torch.randn(grid[0] * grid[1], CHANNELS)
    values = functional.normalize(torch.randn(1, nodes, 4), dim=-1)
    return [tokens], [grid], values, torch.rand(1, nodes, 2), torch.ones(1, nodes, dtype=torch.bool)


def model_config(name, variant="paper"):
    values = fresh_config(PROCESSOR.tokenizer).to_dict()
    values["tlm"] = {**values["tlm"], "fusion": name, "variant": variant}
    return FusarGptConfig(**values)


def batch():
    return PROCESSOR([chip(0), chip(1), chip(2)], ["count ship"] * 3, [prior(0, 3), prior(1, 0), prior(2, 9)])


@OTHERS
@VARIANTS
@pytest.mark.parametrize("nodes", [4, 50])
def test_equals_its_formula(name, merge, nodes):
    fusion = module(name, merge)
    arguments = tokens, (grid,), values, coords, _ = inputs((5, 4), nodes)
    (result,) = fusion(*arguments)
    outputs = reference.node_outputs(fusion, values[0])
    field = reference.field(outputs, grid, coords[0], 1.0, merge)
    expected = tokens[0].double().numpy() + field
    if name == "concat":
        share = reference.field(np.ones((nodes, 1)), grid, coords[0], 1.0, merge)
        a, a_bias, b, b_bias = (
            p.detach().double().numpy()
            for layer in (fusion.from_tokens, fusion.from_field)
            for p in layer.parameters()
        )
        side_by_side = np.concatenate([tokens[0].numpy(), field], axis=1)
        change = side_by_side @ np.concatenate([a, b], axis=1).T + a_bias + b_bias
        expected = tokens[0].double().numpy() + share * change
    np.testing.assert_allclose(result.detach(), expected, rtol=1e-5, atol=1e-5)


@OTHERS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_fresh_one_is_the_exact_identity_and_can_learn(name, dtype):
    fusion = module(name, live=False)
    (tokens,), *others = inputs((5, 4), 9)
    tokens = tokens.to(dtype)
    (result,) = fusion([tokens], *others)
    assert torch.equal(result, tokens)
    result.float().square().sum().backward()
    assert fusion.w2.weight.grad.any()


@OTHERS
@VARIANTS
def test_without_a_node_near_the_tokens_pass_unchanged(name, merge):
    fusion = module(name, merge, sigma=0.3)
    (tokens,), grids, values, coords, mask = inputs((12, 10), 5)
    (result,) = fusion([tokens], grids, values, coords, torch.zeros_like(mask))
    assert torch.equal(result, tokens)
    result.sum().backward()
    assert all(parameter.grad is not None for parameter in fusion.parameters())
    (result,) = fusion([tokens], grids, values, coords * 0.05, mask)
    change = (result - tokens).abs().amax(-1).reshape(12, 10)
    assert change[0, 0] > 0.1
    assert not change[6:].any()
    assert not change[:, 6:].any()


@pytest.mark.parametrize("variant", ["paper", "release"])
@pytest.mark.parametrize("name", list(FUSIONS))
def test_a_model_of_each_fusion_starts_as_its_base_trains_and_is_stored(tmp_path, name, variant):
    torch.manual_seed(0)
    model = FusarGptForConditionalGeneration(model_config(name, variant)).eval()
    assert model.model.tlm.kernel.merge == (2 if variant == "release" else None)
    inputs = batch()
    plain = {key: tensor for key, tensor in inputs.items() if not key.startswith("aef_")}
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, model(**plain).logits)
    torch.nn.init.normal_(model.model.tlm.w2.weight)
    for parameter in model.model.tlm.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.1)
    with torch.no_grad():
        logits, without = model(**inputs).logits[:, -1], model(**plain).logits[:, -1]
    changed = (logits - without).abs().amax(-1)
    assert changed[0] > 1e-3
    assert changed[1] == 0
    assert changed[2] > 1e-3
    model.save_pretrained(tmp_path)
    loaded = FusarGptForConditionalGeneration.from_pretrained(tmp_path)
    assert loaded.config.tlm == model.config.tlm
    with torch.no_grad():
        assert torch.equal(loaded(**copy.deepcopy(inputs)).logits[:, -1], logits)


def test_the_modulating_fusion_keeps_the_names_of_shipped_weights():
    assert sorted(module("modulate").state_dict()) == ["w1.bias", "w1.weight", "w2.bias", "w2.weight"]
