"""FUSAR-KLIP's losses against what they are defined to be, and what counts as true of an image."""

import math

import numpy as np
import pytest
import torch
from klip_samples import settings
from torch.nn import functional

from fusar_gpt.retrieval import KlipConfig, KlipModel
from fusar_gpt.retrieval.decoding import Filled, decoder_inputs
from fusar_gpt.retrieval.tokenizer import train_tokenizer
from fusar_train.klip import losses
from fusar_train.klip.data import SLOTS, UNKNOWN_FACT
from fusar_train.klip.momentum import Keys, MomentumEncoders, Queue
from fusar_train.klip.settings import image_config, text_config
from fusar_train.klip.trainer import learning_rate

TAU = torch.tensor(0.1)


def facts(*rows):
    """Rows of facts; None where nothing is known."""
    table = torch.full((len(rows), len(SLOTS)), UNKNOWN_FACT)
    for number, row in enumerate(rows):
        for slot, fact in enumerate(row):
            if fact is not None:
                table[number, slot] = fact
    return table


def unit(*shape, seed=0):
    return functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def relation(positive, open_=None):
    positive = torch.tensor(positive, dtype=torch.bool)
    return losses.Relation(
        positive, torch.zeros_like(positive) if open_ is None else torch.tensor(open_, dtype=torch.bool)
    )


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["three ships in the harbour", "open sea"] * 3, 120)


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    small = settings()
    config = KlipConfig(
        image=image_config(dict(small.image)),
        text=text_config(dict(small.text), small, len(tokenizer)),
        embedding=8,
    )
    return KlipModel(config).eval()


def test_contrast_is_the_mean_negative_log_of_the_right_share():
    queries, keys = unit(3, 4), unit(5, 4, seed=1)
    own = relation([[i == j for j in range(5)] for i in range(3)])
    expected = 0.0
    for i in range(3):
        shares = [math.exp(float(queries[i] @ keys[j]) / 0.1) for j in range(5)]
        expected -= math.log(shares[i] / sum(shares)) / 3
    assert losses.contrast(queries, keys, own, TAU, None).item() == pytest.approx(expected, rel=1e-5)


def test_what_is_true_too_takes_no_part_in_contrast():
    queries, keys = unit(2, 4), unit(4, 4, seed=1)
    masked = relation([[1, 0, 0, 0], [0, 1, 0, 0]], [[0, 0, 1, 0], [0, 0, 0, 0]])
    both = losses.contrast(queries, keys, masked, TAU, None)
    without = losses.contrast(queries[:1], keys[[0, 1, 3]], relation([[1, 0, 0]]), TAU, None)
    other = losses.contrast(queries[1:], keys, relation([[0, 1, 0, 0]]), TAU, None)
    assert both.item() == pytest.approx((without + other).item() / 2, rel=1e-5)


def test_positives_share_the_target():
    queries, keys = unit(1, 4), unit(3, 4, seed=1)
    logs = functional.log_softmax(queries @ keys.T / TAU, dim=-1)[0]
    found = losses.contrast(queries, keys, relation([[1, 0, 1]]), TAU, None)
    assert found.item() == pytest.approx(-(logs[0] + logs[2]).item() / 2, rel=1e-5)


def test_soft_targets_blend_the_momentum_encoders_opinion_with_the_truth():
    queries, keys = unit(1, 4), unit(3, 4, seed=1)
    which = relation([[1, 0, 0]], [[0, 0, 1]])
    soft = losses.blend(queries, keys, which, TAU, 0.4)
    alike = (queries @ keys.T / TAU)[0, :2].softmax(-1)
    assert torch.allclose(soft[0], torch.tensor([0.6 + 0.4 * alike[0], 0.4 * alike[1], 0.0]))
    assert torch.isfinite(losses.contrast(queries, keys, which, TAU, soft))


def test_a_text_is_true_of_images_that_have_all_its_facts():
    texts = facts((1, None, 5), (1,), (2, None, 5))
    images = facts((1, 3, 5), (1, 4, 6), (1, 3, None), (None, 3, None))
    true, maybe = losses.truth(texts, images)
    assert true.int().tolist() == [[1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    # Of the third image nothing is known in the last slot; of the fourth nothing that the texts tell.
    assert maybe.int().tolist() == [[0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_equal_facts_are_positives_and_lesser_ones_no_negatives():
    # Images 0 and 1 are alike; text 2 says less, and it is true of all.
    texts, images = facts((1, 3), (1, 3), (None, 3)), facts((1, 3), (1, 3), (2, 3))
    of_images, of_texts = losses.relations(texts, images, texts, images, torch.arange(3))
    assert of_images.positive.int().tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert of_images.open.int().tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]
    assert of_texts.positive.int().tolist() == [[1, 1, 0], [1, 1, 0], [1, 1, 1]]
    assert of_images.negative.int().tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 0]]


def test_truth_agrees_with_a_loop_over_all_slots():
    rng = np.random.default_rng(0)
    texts, images = (torch.from_numpy(rng.integers(-1, 2, (20, len(SLOTS)))) for _ in range(2))
    texts[:, 3:], images[:, 3:] = UNKNOWN_FACT, UNKNOWN_FACT
    true, maybe = losses.truth(texts, images)
    for i, text in enumerate(texts.tolist()):
        for j, image in enumerate(images.tolist()):
            told = [(a, b) for a, b in zip(text, image, strict=True) if a != UNKNOWN_FACT]
            all_true = all(a == b for a, b in told)
            shared = [(a, b) for a, b in told if b != UNKNOWN_FACT]
            assert bool(true[i, j]) == all_true
            assert bool(maybe[i, j]) == (not all_true and bool(shared) and all(a == b for a, b in shared))


def test_negatives_are_drawn_blindly_or_by_likeness_and_never_what_is_true():
    alike = torch.tensor([[9.0, 5.0, 0.0, 0.0]]).repeat(4000, 1)
    which = relation([[1, 0, 0, 0]] * 4000, [[0, 0, 0, 1]] * 4000)
    generator = torch.Generator().manual_seed(0)
    for hard, share in ((0.0, 0.5), (0.4, 0.4 * 0.9933 + 0.3), (1.0, 0.9933)):
        rows, drawn = losses.draw_negatives(alike, which, hard, generator)
        assert len(rows) == 4000
        assert set(drawn.tolist()) <= {1, 2}
        assert (drawn == 1).float().mean().item() == pytest.approx(share, abs=0.03)


def test_a_query_without_any_negative_gets_none():
    rows, drawn = losses.draw_negatives(torch.zeros(2, 2), relation([[1, 1], [1, 0]]), 0.5)
    assert rows.tolist() == [1]
    assert drawn.tolist() == [1]
    nothing, _ = losses.draw_negatives(torch.zeros(1, 1), relation([[1]]), 0.5)
    assert not len(nothing)


def test_matching_is_cross_entropy_over_right_and_wrong_pairs(model, tokenizer):
    texts = tokenizer.encode(["three ships in the harbour", "open sea", "ships"], 40)
    images = torch.arange(3 * 32 * 32).reshape(3, 32, 32).remainder(251).to(torch.uint8)
    with torch.no_grad():
        tokens, vectors = model.encode_images(images)
        states, said = model.encode_texts(texts.ids, texts.mask)
        own = facts((1,), (2,), (3,))
        which = losses.relations(own, own, own, own, torch.arange(3))
        pairs = losses.make_pairs(vectors @ said.T / TAU, *which, 0.4)
        assert pairs.right.tolist() == [True] * 3 + [False] * 6
        assert (pairs.texts == pairs.images).tolist() == pairs.right.tolist()
        expected = 0.0
        for text, image, right in zip(pairs.texts, pairs.images, pairs.right, strict=True):
            length = int(texts.mask[text].sum())  # each pair alone, without padding
            one = model.match(
                states[text, None, :length], texts.mask[text, None, :length], tokens[image, None]
            )
            p = one.softmax(-1)[0, 1].item()
            expected -= math.log(p if right else 1 - p) / 9
        for groups in (1, 3):
            loss, _ = losses.matching(model, losses.Encoded(states, texts.mask), tokens, pairs, groups)
            assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_texts_are_read_alike_in_groups_of_like_length(model, tokenizer):
    texts = tokenizer.encode(["three ships in the harbour", "open sea", "ships", "sea"], 40)
    with torch.no_grad():
        states, vectors = losses.reading(model, texts.ids, texts.mask)
        grouped, same = losses.reading(model, texts.ids, texts.mask, 3)
    assert torch.allclose(vectors, same, atol=1e-6)
    assert torch.allclose(states[texts.mask], grouped[texts.mask], atol=1e-5)


def test_a_blank_is_written_from_what_is_visible_and_what_stands_before_in_it(model, tokenizer):
    """The likelihood of each word equals that of a text cut off before it, whatever other blanks there are."""
    visible, key = (
        tokenizer.sentence([tokenizer.pieces("open sea"), [tokenizer.mask]]),
        tokenizer.pieces("count:"),
    )
    said, other = tokenizer.pieces("three ships"), tokenizer.pieces("in the harbour")
    tokens = torch.randn(1, 17, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        inputs = decoder_inputs(tokenizer, [Filled(visible, [(key, other), (key, said)])])
        total, count = losses.writing(model, inputs, tokens)
        expected = 0.0
        for blank in (other, said):
            for end in range(len(blank) + 1):
                alone = decoder_inputs(tokenizer, [Filled(visible, [(key, blank[:end])])])
                states = model.decode(alone.ids, alone.mask, alone.positions, tokens)
                logs = model.text.words(states[0, -1]).log_softmax(-1)
                expected -= logs[[*blank, tokenizer.end][end]].item()
    assert count == len(said) + len(other) + 2
    assert total.item() == pytest.approx(expected, rel=1e-4)


def test_the_momentum_encoders_follow_slowly(model):
    follower = MomentumEncoders(model, 0.9)
    before = follower.copy.image_projection.weight.clone()
    moved = KlipModel(model.config)
    follower.follow(moved)
    expected = 0.9 * before + 0.1 * moved.image_projection.weight
    assert torch.allclose(follower.copy.image_projection.weight, expected, atol=1e-6)
    assert not any(weight.requires_grad for weight in follower.parameters())


def test_the_queue_keeps_the_last_vectors():
    queue = Queue(5, 2)
    for step in range(4):
        rows = torch.full((2, 2), float(step))
        queue.add(Keys(rows, rows, facts((step,), (step,)), facts((step,), (step,))))
        assert len(queue.keys().images) == min(2 * step + 2, 5)
    held = queue.keys()
    assert sorted(held.images[:, 0].tolist()) == [1, 2, 2, 3, 3]
    assert torch.equal(held.images[:, 0].long(), held.text_facts[:, 0])
    big = torch.arange(14.0).reshape(7, 2)
    queue.add(Keys(big, big, facts(*[(1,)] * 7), facts(*[(1,)] * 7)))
    assert sorted(queue.keys().images[:, 0].tolist()) == [4, 6, 8, 10, 12]


def test_the_rate_rises_then_falls_by_epochs_as_the_paper_has_it():
    paper = settings(
        schedule="epochs", learning_rate=3e-4, warmup_steps=3000, decay=0.9, first_rate=1e-6, last_rate=1e-6
    )
    assert learning_rate(paper, 0, 10**6, 3750.0) == pytest.approx(1e-6)
    assert learning_rate(paper, 1500, 10**6, 3750.0) == pytest.approx(1.505e-4)
    assert learning_rate(paper, 3000, 10**6, 3750.0) == pytest.approx(3e-4)
    assert learning_rate(paper, 7500, 10**6, 3750.0) == pytest.approx(3e-4 * 0.81)
    assert learning_rate(paper, 10**6, 10**6, 3750.0) == pytest.approx(1e-6)
