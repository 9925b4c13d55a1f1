"""TLM against a slow float64 reading of FUSAR-GPT eq. 4-11, and its edge cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusar_gpt.model.tlm import TokenwiseLinearModulation, gaussian_weights

CHANNELS = 6


def module(sigma=1.0, live=True, seed=0):
    torch.manual_seed(seed)
    tlm = TokenwiseLinearModulation(CHANNELS, hidden=10, vec_dim=4, sigma=sigma)
    if live:
        torch.nn.init.normal_(tlm.w2.weight)
        torch.nn.init.normal_(tlm.w2.bias)
        torch.nn.init.normal_(tlm.w1.bias)
    return tlm


def inputs(grid, nodes, images=1, seed=0):
    torch.manual_seed(seed)
    tokens = torch.randn(images, grid[0] * grid[1], CHANNELS)
    mask = torch.ones(images, nodes, dtype=torch.bool)
    return tokens, torch.randn(images, nodes, 4), torch.rand(images, nodes, 2), mask


def reference(tlm, tokens, grid, values, coords):
    """One image, by loops, in float64, exactly as the paper writes it; the paper leaves epsilon open."""
    w1, b1, w2, b2 = (p.detach().double().numpy() for p in tlm.parameters())
    height, width = grid
    result = tokens.double().numpy().copy()
    nodes = []
    for vector, (y, x) in zip(values.double().numpy(), coords.double().numpy(), strict=True):
        inner = w1 @ vector + b1
        modulation = w2 @ (inner / (1 + np.exp(-inner))) + b2  # eq. 4
        nodes.append((y * (height - 1), x * (width - 1), modulation))  # eq. 6
    for h in range(height):
        for w in range(width):
            raw = [
                math.exp(-((h - y) ** 2 + (w - x) ** 2) / (2 * tlm.sigma**2)) for y, x, _ in nodes
            ]  # eq. 7
            field = np.zeros(2 * CHANNELS)
            for weight, (_, _, modulation) in zip(raw, nodes, strict=True):
                field += weight / (sum(raw) + 1e-6) * modulation  # eq. 8, 10
            result[h * width + w] = (
                result[h * width + w] * (1 + field[:CHANNELS]) + field[CHANNELS:]
            )  # eq. 11
    return result


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    nodes=st.integers(0, 7),
    sigma=st.sampled_from([0.2, 0.5, 1.0, 3.0]),
    seed=st.integers(0, 1000),
)
def test_equals_the_papers_equations(height, width, nodes, sigma, seed):
    tlm = module(sigma, seed=seed)
    tokens, values, coords, mask = inputs((height, width), nodes, seed=seed)
    result = tlm(tokens, (height, width), values, coords, mask)[0].detach().numpy()
    expected = reference(tlm, tokens[0], (height, width), values[0], coords[0])
    np.testing.assert_allclose(result, expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_fresh_one_is_the_exact_identity(dtype):
    tokens, values, coords, mask = inputs((5, 4), 9, images=2)
    tokens = tokens.to(dtype)
    result = module(live=False)(tokens, (5, 4), values, coords, mask)
    assert result.dtype is dtype
    assert torch.equal(result, tokens)


@pytest.mark.parametrize("nodes", [0, 3])
def test_without_valid_nodes_it_is_the_exact_identity_and_keeps_the_graph(nodes):
    tlm = module()
    tokens, values, coords, mask = inputs((5, 4), nodes, images=2)
    result = tlm(tokens, (5, 4), values, coords, torch.zeros_like(mask))
    assert torch.equal(result, tokens)
    result.sum().backward()
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in tlm.parameters())


def test_a_batch_of_different_node_counts_equals_single_runs():
    tlm = module()
    tokens, values, coords, mask = inputs((4, 7), 6, images=3)
    mask[0, 2:] = False
    mask[1] = False
    values[~mask], coords[~mask] = torch.nan, torch.nan  # whatever stands in the padding must not matter
    together = tlm(tokens, (4, 7), values, coords, mask)
    for i, keep in enumerate(mask):
        alone = tlm(tokens[[i]], (4, 7), values[i, keep][None], coords[i, keep][None], mask[i, keep][None])
        torch.testing.assert_close(together[i], alone[0], rtol=1e-5, atol=1e-6)
    together.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in tlm.parameters())


def test_a_node_acts_where_it_stands_and_nowhere_far_away():
    tlm = module(sigma=0.5)
    tokens, values, _, mask = inputs((6, 9), 1)
    top_right = torch.tensor([[[0.0, 1.0]]])  # (y, x)
    change = (tlm(tokens, (6, 9), values, top_right, mask) - tokens).abs().amax(-1).reshape(6, 9)
    assert change[0, 8] > 0.1
    assert change[:, :4].max() < 1e-6
    assert change[4:].max() < 1e-6


@pytest.mark.parametrize("sigma", [1e-3, 0.05, 0.5, 50.0])
def test_clustered_nodes_and_any_sigma_give_finite_normalised_weights(sigma):
    coords = torch.full((1, 40, 2), 0.5) + torch.rand(1, 40, 2) * 1e-4
    weights = gaussian_weights((65, 65), coords, torch.ones(1, 40, dtype=torch.bool), sigma)
    sums = weights.sum(-1)
    assert weights.isfinite().all()
    assert (sums <= 1 + 1e-5).all()
    if sigma >= 0.05:  # a node stands within half a percent of a token from the centre
        assert sums.reshape(65, 65)[32, 32] > 0.999
