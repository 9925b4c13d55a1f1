"""TLM's two variants against slow float64 readings of their formulas, and the edge cases."""

from __future__ import annotations

import numpy as np
import pytest
import tlm_reference as reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from fusar_gpt.model import interpolation as interpolations
from fusar_gpt.model.interpolation import (
    Kernel,
    LatticeInterpolation,
    ScatteredInterpolation,
    interpolation,
)
from fusar_gpt.model.tlm import TokenwiseLinearModulation

CHANNELS = 6
PAPER, RELEASE = None, 2
VARIANTS = pytest.mark.parametrize("merge", [PAPER, RELEASE], ids=["paper", "release"])


def module(sigma=1.0, merge=PAPER, live=True, seed=0, hidden=10):
    torch.manual_seed(seed)
    tlm = TokenwiseLinearModulation(CHANNELS, hidden, 4, Kernel(sigma, merge))
    if live:
        for parameter in (tlm.w2.weight, tlm.w2.bias, tlm.w1.bias):
            torch.nn.init.normal_(parameter, std=0.5)
    return tlm


def inputs(grid, nodes, images=1, seed=0):
    torch.manual_seed(seed)
    tokens = torch.randn(images, grid[0] * grid[1], CHANNELS)
    mask = torch.ones(images, nodes, dtype=torch.bool)
    values = functional.normalize(torch.randn(images, nodes, 4), dim=-1)
    return tokens, values, torch.rand(images, nodes, 2), mask


def expected(tlm, tokens, grid, values, coords):
    """One image by the slow reference."""
    outputs = reference.node_outputs(tlm, values)
    modulation = reference.field(outputs, grid, coords, tlm.kernel.sigma, tlm.kernel.merge)
    return reference.modulate(tokens, modulation)


def outer(rows, cols):
    """The product of rows and columns, [P * Q, 2] in row-major order."""
    rows, cols = torch.as_tensor(rows), torch.as_tensor(cols)
    return torch.stack(torch.meshgrid(rows, cols, indexing="ij"), -1).reshape(-1, 2)


def random(count, low=0.0, high=1.0):
    return torch.rand(count, 2, generator=torch.Generator().manual_seed(count)) * (high - low) + low


REGULAR = outer(torch.linspace(0, 1, 4), torch.linspace(0, 1, 3))
UNEVEN = outer([0.02, 0.1, 0.55, 0.6, 0.97], [0.2, 0.25, 0.9])
SHUFFLED = UNEVEN[torch.randperm(15, generator=torch.Generator().manual_seed(0))]

LATTICES = {
    "regular": ((5, 7), REGULAR, 1.0),
    "column-major": ((5, 7), REGULAR.reshape(4, 3, 2).transpose(0, 1).reshape(-1, 2), 1.0),
    "uneven": ((5, 7), UNEVEN, 1.3),
    "shuffled": ((5, 7), SHUFFLED, 0.7),
    "with holes": ((5, 7), SHUFFLED[:12], 1.0),
    "two nodes at each place": ((5, 7), torch.cat([REGULAR, REGULAR.flip(0)]), 1.0),
    "many nodes on few tokens": ((3, 4), outer(torch.linspace(0, 1, 8), torch.linspace(0, 1, 9)), 0.6),
    "where exp underflows": ((12, 9), outer([0.49, 0.5, 0.51], [0.0, 0.01, 0.02]), 0.1),
    "one row of tokens": ((1, 9), REGULAR, 1.0),
}
SCATTERED = {
    "irregular": ((5, 7), random(6), 1.0),
    "many nodes on few tokens": ((2, 3), random(30), 0.6),
    "one node": ((4, 3), random(1), 0.8),
    "far nodes": ((8, 9), random(4, 0.0, 0.05), 0.3),
    "clustered": ((9, 6), random(20, 0.5, 0.501), 0.1),
    "several tiles": ((13, 11), random(25), 0.3),
    "wide": ((4, 5), random(7), 40.0),
    "one column of tokens": ((9, 1), random(5), 1.0),
    "one token": ((1, 1), random(3), 1.0),
}
CASES = [pytest.param(LatticeInterpolation, *case, id=f"lattice: {name}") for name, case in LATTICES.items()]
CASES += [
    pytest.param(ScatteredInterpolation, *case, id=f"scattered: {name}") for name, case in SCATTERED.items()
]


@VARIANTS
@pytest.mark.parametrize(("way", "grid", "coords", "sigma"), CASES)
def test_equals_the_formulas(way, grid, coords, sigma, merge):
    tlm = module(sigma, merge)
    assert type(interpolation(tlm.kernel, grid, coords)) is way
    tokens, values, _, mask = inputs(grid, len(coords))
    (result,) = tlm(tokens, [grid], values, coords[None], mask)
    slow = expected(tlm, tokens[0], grid, values[0], coords)
    np.testing.assert_allclose(result.detach(), slow, rtol=1e-5, atol=1e-5)
    assert np.abs(slow - tokens[0].numpy()).max() > 0.01  # the prior mattered


@pytest.mark.parametrize("merge", [1, 2, 3, 4])
def test_any_merge_size_of_the_release(merge):
    tlm = module(0.4 * merge, merge)
    tokens, values, coords, mask = inputs((3, 5), 7)
    (result,) = tlm(tokens, [(3, 5)], values, coords, mask)
    slow = expected(tlm, tokens[0], (3, 5), values[0], coords[0])
    np.testing.assert_allclose(result.detach(), slow, rtol=1e-5, atol=1e-5)


@VARIANTS
@pytest.mark.parametrize("coords", [REGULAR, random(12)], ids=["lattice", "scattered"])
def test_cutting_the_work_into_blocks_changes_nothing(monkeypatch, merge, coords):
    tlm = module(2.0, merge)
    tokens, values, _, mask = inputs((5, 7), 12)
    (whole,) = tlm(tokens, [(5, 7)], values, coords[None], mask)
    monkeypatch.setattr(interpolations, "_BLOCK", 300)
    pieces = list(interpolation(tlm.kernel, (5, 7), coords).blocks(torch.ones(12, 10)))
    assert len(pieces) > 1
    (result,) = tlm(tokens, [(5, 7)], values, coords[None], mask)
    torch.testing.assert_close(result, whole, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("nodes", "seen"), [(5, 5), (60, 24)])
def test_w2_acts_on_nodes_or_tokens_whichever_are_fewer(monkeypatch, nodes, seen):
    tlm, rows, linear = module(), [], functional.linear

    def watched(rows_in, weight, bias=None):
        if weight is tlm.w2.weight:
            rows.append(len(rows_in))
        return linear(rows_in, weight, bias)

    monkeypatch.setattr(functional, "linear", watched)
    tokens, values, coords, mask = inputs((4, 6), nodes)
    tlm(tokens, [(4, 6)], values, coords, mask)
    assert rows == [seen]


class Watched(TokenwiseLinearModulation):
    """Keeps the last field."""

    def fuse(self, tokens, field, coverage):
        self.seen = field.detach()
        return super().fuse(tokens, field, coverage)


@pytest.mark.parametrize("coords", [REGULAR, random(40)], ids=["lattice", "scattered"])
def test_the_release_rounds_each_nodes_modulation_to_the_tokens_type(coords):
    tlm = module(merge=RELEASE)
    tlm.__class__ = Watched
    tokens, values, _, mask = inputs((5, 7), len(coords))
    tokens = tokens.bfloat16()
    (result,) = tlm(tokens, [(5, 7)], values, coords[None], mask)
    exact = reference.node_outputs(tlm, values[0])
    rounded = reference.node_outputs(tlm, values[0], torch.bfloat16)
    slow = reference.field(rounded, (5, 7), coords, 1.0, RELEASE)
    assert np.abs(reference.field(exact, (5, 7), coords, 1.0, RELEASE) - slow).max() > 1e-4
    np.testing.assert_allclose(tlm.seen, slow, rtol=1e-5, atol=1e-5)
    assert result.dtype is torch.bfloat16
    np.testing.assert_allclose(
        result.detach().float(), reference.modulate(tokens[0], slow), rtol=2**-8, atol=1e-5
    )


def test_the_paper_rounds_the_result_only():
    tlm = module()
    tokens, values, coords, mask = inputs((5, 7), 40)
    tokens = tokens.bfloat16()
    (result,) = tlm(tokens, [(5, 7)], values, coords, mask)
    slow = torch.from_numpy(expected(tlm, tokens[0], (5, 7), values[0], coords[0]))
    # A value on the border of two bfloat16 numbers may fall either way.
    assert (result == slow.bfloat16()).double().mean() > 0.99
    np.testing.assert_allclose(result.detach().float(), slow, rtol=2**-8, atol=1e-5)


@VARIANTS
def test_autocast_leaves_it_in_float32(merge):
    tlm = module(merge=merge)
    tokens, values, coords, mask = inputs((5, 7), 9)
    (plain,) = tlm(tokens, [(5, 7)], values, coords, mask)
    with torch.autocast("cpu", torch.bfloat16):
        (mixed,) = tlm(tokens, [(5, 7)], values, coords, mask)
    assert torch.equal(mixed, plain)


def naive(tlm, tokens, grid, values, coords):
    """The formulas with autograd, in the tensors' own type: every weight on every place."""
    steps = tlm.kernel.merge or 1
    height, width = grid[0] * steps, grid[1] * steps
    y, x = coords.T
    dy = torch.arange(height)[:, None, None] - y * (height - 1)
    dx = torch.arange(width)[None, :, None] - x * (width - 1)
    weights = torch.exp(-(dy**2 + dx**2) / (2 * tlm.kernel.sigma**2))
    for _ in range(1 if tlm.kernel.merge is None else 2):
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-6)
    modulation = (weights @ tlm.w2(functional.silu(tlm.w1(values)))).permute(2, 0, 1)[None]
    modulation = functional.interpolate(modulation, size=grid, mode="bilinear")[0].flatten(1).T
    gamma, beta = modulation.chunk(2, -1)
    return tokens * (1 + gamma) + beta


@VARIANTS
@pytest.mark.parametrize("nodes", [5, 12, 60])
def test_gradients_equal_those_of_the_formulas(merge, nodes):
    coords = REGULAR if nodes == 12 else random(nodes)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        tlm = module(merge=merge).to(dtype)
        tokens, values, _, mask = inputs((4, 6), nodes)
        tokens = tokens[0].to(dtype).requires_grad_()
        if dtype is torch.float32:
            (result,) = tlm([tokens], [(4, 6)], values, coords[None], mask)
        else:
            result = naive(tlm, tokens, (4, 6), values[0].to(dtype), coords.to(dtype))
        (result * torch.linspace(-1, 1, CHANNELS)).square().sum().backward()
        gradients.append([tensor.grad.double() for tensor in (tokens, *tlm.parameters())])
    for ours, slow in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, slow, rtol=1e-5, atol=1e-5 * float(slow.abs().max()))


@VARIANTS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_fresh_one_is_the_exact_identity(merge, dtype):
    tokens, values, coords, mask = inputs((5, 4), 9, images=2)
    tokens = tokens.to(dtype)
    result = module(merge=merge, live=False)(tokens, [(5, 4)] * 2, values, coords, mask)
    assert result[0].dtype is dtype
    assert torch.equal(torch.stack(result), tokens)


@VARIANTS
@pytest.mark.parametrize("nodes", [0, 3])
def test_without_valid_nodes_it_is_the_exact_identity_and_keeps_the_graph(merge, nodes):
    tlm = module(merge=merge)
    tokens, values, coords, mask = inputs((5, 4), nodes, images=2)
    arguments = tokens, [(5, 4)] * 2, values, coords, torch.zeros_like(mask)
    result = torch.stack(tlm(*arguments))
    assert torch.equal(result, tokens)
    result.sum().backward()
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in tlm.parameters())
    with torch.no_grad():
        assert torch.equal(torch.stack(tlm(*arguments)), tokens)


@VARIANTS
def test_a_batch_of_different_grids_and_node_counts_equals_the_formulas(merge):
    tlm = module(merge=merge)
    grids = [(4, 7), (1, 3), (6, 2), (5, 7)]
    tokens = [torch.randn(height * width, CHANNELS) for height, width in grids]
    _, values, coords, mask = inputs((1, 1), 12, images=4)
    coords[3] = REGULAR
    mask[0, 4:] = False
    mask[1] = False
    mask[2, ::2] = False
    values[~mask], coords[~mask] = torch.nan, torch.nan  # whatever stands in the padding must not matter
    together = tlm(tokens, grids, values, coords, mask)
    for i, keep in enumerate(mask):
        slow = expected(tlm, tokens[i], grids[i], values[i, keep], coords[i, keep])
        np.testing.assert_allclose(together[i].detach(), slow, rtol=1e-5, atol=1e-5)
    torch.cat(together).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in tlm.parameters())


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    nodes=st.integers(0, 9),
    regular=st.booleans(),
    sigma=st.sampled_from([0.1, 0.5, 1.0, 3.0]),
    merge=st.sampled_from([PAPER, RELEASE]),
    seed=st.integers(0, 1000),
)
def test_the_order_of_the_nodes_and_masked_ones_do_not_matter(
    height, width, nodes, regular, sigma, merge, seed
):
    tlm, grid = module(sigma, merge, seed=seed), (height, width)
    tokens, values, coords, mask = inputs(grid, nodes, seed=seed)
    if regular and nodes:
        coords = outer(torch.rand(-(-nodes // 3)), torch.rand(3))[:nodes][None]
    (result,) = tlm(tokens, [grid], values, coords, mask)
    slow = expected(tlm, tokens[0], grid, values[0], coords[0])
    np.testing.assert_allclose(result.detach(), slow, rtol=1e-5, atol=2e-5)
    order = torch.randperm(nodes)
    (shuffled,) = tlm(tokens, [grid], values[:, order], coords[:, order], mask)
    torch.testing.assert_close(shuffled, result, rtol=1e-5, atol=1e-5)
    masked = torch.cat([mask, torch.zeros_like(mask)], dim=1)
    (padded,) = tlm(tokens, [grid], values.repeat(1, 2, 1), coords.repeat(1, 2, 1), masked)
    assert torch.equal(padded, result)


@VARIANTS
def test_a_node_acts_where_it_stands_and_nowhere_far_away(merge):
    tlm = module(sigma=0.5, merge=merge)
    tokens, values, _, mask = inputs((12, 18), 1)
    top_right = torch.tensor([[[0.0, 1.0]]])  # (y, x)
    (result,) = tlm(tokens, [(12, 18)], values, top_right, mask)
    change = (result - tokens[0]).abs().amax(-1).reshape(12, 18)
    assert change[0, 17] > 0.1
    assert not change[:, :9].any()
    assert not change[8:].any()


@VARIANTS
@pytest.mark.parametrize("sigma", [1e-3, 0.05, 0.5, 50.0])
def test_clustered_nodes_and_any_sigma_give_finite_normalised_weights(merge, sigma):
    coords = torch.full((40, 2), 0.5) + random(40) * 1e-4
    coverage = interpolation(Kernel(sigma, merge), (33, 33), coords).coverage
    assert coverage.isfinite().all()
    assert (coverage <= 1).all()
    assert (coverage >= 0).all()
    if merge is None and sigma >= 0.05:  # a node stands within half a percent of a token from the centre
        assert coverage.reshape(33, 33)[16, 16] > 0.999


@pytest.mark.parametrize("coords", [outer(torch.linspace(0, 1, 100), torch.rand(100)), random(10_000)])
def test_ten_thousand_priors(coords):
    tlm = module(merge=RELEASE)
    tokens, values, _, mask = inputs((6, 5), 10_000)
    (result,) = tlm(tokens, [(6, 5)], values, coords[None], mask)
    slow = naive(tlm.double(), tokens[0].double(), (6, 5), values[0].double(), coords.double())
    torch.testing.assert_close(result.double(), slow, rtol=1e-5, atol=1e-5)


def test_arguments_that_do_not_belong_together_are_refused():
    tlm = module()
    tokens, values, coords, mask = inputs((5, 4), 3, images=2)
    with pytest.raises(ValueError, match="2 images but priors for 1"):
        tlm(tokens, [(5, 4)] * 2, values[:1], coords[:1], mask[:1])
    with pytest.raises(ValueError, match=r"tokens of \[20, 6\], not \[4 \* 4, 6\]"):
        tlm(tokens, [(4, 4)] * 2, values, coords, mask)
