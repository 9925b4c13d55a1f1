"""The local engine's memory: prefixes are cached, the batch fits what is free and is halved where it does not."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_samples import MIXED, PROCESSOR, engine, request
from fresh_model import CARD, fresh_model

from fusar_gpt.engine import LocalEngine, memory
from fusar_gpt.engine.memory import DeviceFullError
from fusar_gpt.engine.prefixes import PrefixCache, prefix_key
from fusar_gpt.errors import Cancelled, TooLarge
from fusar_gpt.model import Checkpoint, decoding
from fusar_gpt.model.decoding import Prefix


@pytest.fixture(scope="module")
def shared():
    return engine()


@pytest.fixture
def looked(monkeypatch):
    """The images that went through the visual encoder."""
    images = []
    encode = decoding.visual_tokens

    def counting(checkpoint, some, priors):
        images.extend(some)
        return encode(checkpoint, some, priors)

    monkeypatch.setattr(decoding, "visual_tokens", counting)
    return images


def test_a_second_question_looks_at_no_chip_again_and_gets_the_same_answer(looked):
    asked = engine()
    fresh = asked.answer(MIXED)
    assert len(looked) == len(MIXED)
    again = asked.answer(MIXED)
    assert len(looked) == len(MIXED)
    for one, two in zip(fresh, again, strict=True):
        assert one.text == two.text
        np.testing.assert_allclose(one.logprobs, two.logprobs, atol=1e-4)


@pytest.mark.parametrize("cache_bytes", [0, 2**20])
def test_questions_about_one_chip_share_what_was_seen_of_it(looked, cache_bytes):
    asked = [replace(MIXED[i % 2], prompt=f"count ship {i}") for i in range(8)]
    engine(batch_size=3, cache_bytes=cache_bytes).answer(asked)
    assert len(looked) == 2


def test_another_chip_prior_or_checkpoint_is_another_prefix():
    one = request(0)
    others = [
        replace(one, image=one.image ^ 1),
        replace(one, image=one.image.reshape(CARD.width, CARD.height)),
        replace(one, values=-one.values),
        replace(one, positions=1 - one.positions),
        replace(one, values=one.values[:0], positions=one.positions[:0]),
    ]
    keys = {prefix_key(one, "hash"), prefix_key(one, "other"), *(prefix_key(r, "hash") for r in others)}
    assert len(keys) == 2 + len(others)
    assert prefix_key(replace(one, prompt="x", image=one.image.copy()), "hash") == prefix_key(one, "hash")


def test_the_cache_keeps_what_was_used_last_within_its_budget():
    one = Prefix(torch.zeros(1, 2, 1, 5, 2), 5)
    cache = PrefixCache(3 * one.nbytes)
    for key in (b"a", b"b", b"c", b"c"):  # the last one again: counted once
        cache.put(key, one)
    assert cache.get(b"a") is one
    cache.put(b"d", one)
    assert cache.get(b"b") is None
    assert all(cache.get(key) for key in (b"a", b"c", b"d"))
    assert cache.nbytes == 3 * one.nbytes
    large = Prefix(torch.zeros(1, 2, 1, 50, 2), 5)
    cache.put(b"e", large)
    assert cache.get(b"e") is large
    assert cache.nbytes == large.nbytes
    cache.clear()
    assert (cache.get(b"e"), cache.nbytes) == (None, 0)


def test_cancel_works_between_two_chips(looked):
    with pytest.raises(Cancelled):
        engine().answer(MIXED, lambda: len(looked) == 2)
    assert len(looked) == 2


def scarce(monkeypatch, most):
    """Memory for so many chips at once."""
    prefill = decoding.prefill

    def limited(checkpoint, tokens):
        if len(tokens) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nMore words.")
        return prefill(checkpoint, tokens)

    monkeypatch.setattr(decoding, "prefill", limited)


def test_a_batch_that_does_not_fit_is_halved_until_it_does(shared, monkeypatch, caplog):
    expected = [reply.text for reply in shared.answer(MIXED)]
    scarce(monkeypatch, 1)
    tight, heard = engine(batch_size=5), [""] * len(MIXED)

    def hear(i, piece):
        heard[i] += piece

    with caplog.at_level(logging.WARNING):
        replies = tight.answer(MIXED, on_text=hear)
    assert [reply.text for reply in replies] == expected == heard
    assert tight.batch_size == 1
    assert [re.findall(r"\d+", message) for message in caplog.messages] == [["5", "2"], ["2", "1"]]


def test_text_told_before_memory_ran_out_is_not_told_again(shared, monkeypatch):
    expected = shared.answer(MIXED)
    rest = engine(batch_size=4)
    forward, calls = rest._checkpoint.model.lm_head.forward, 0

    def failing(hidden):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ...")
        return forward(hidden)

    monkeypatch.setattr(rest._checkpoint.model.lm_head, "forward", failing)
    heard = [""] * len(MIXED)

    def hear(i, piece):
        heard[i] += piece

    replies = rest.answer(MIXED, on_text=hear)
    assert heard == [reply.text for reply in replies] == [reply.text for reply in expected]
    assert rest.batch_size == 2


def test_a_model_that_does_not_fit_at_all_says_what_to_do(monkeypatch):
    scarce(monkeypatch, 0)
    tight = engine(batch_size=2)
    with pytest.raises(DeviceFullError, match="--quantize") as error:
        tight.answer(MIXED)
    assert "\n" not in str(error.value)


def test_what_was_kept_of_chips_gives_way_to_the_answer_at_hand(shared, monkeypatch, caplog):
    tight = engine(batch_size=1)
    tight.answer(MIXED)
    reserve = decoding._Batch._reserve

    def limited(batch, columns):
        if len(tight._prefixes) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        reserve(batch, columns)

    monkeypatch.setattr(decoding._Batch, "_reserve", limited)
    replies = tight.answer(MIXED)
    assert [reply.text for reply in replies] == [reply.text for reply in shared.answer(MIXED)]
    assert caplog.messages


def test_other_errors_are_no_lack_of_memory(shared):
    with pytest.raises(ValueError, match="the model sees"):
        shared.answer([replace(MIXED[0], image=np.zeros((3, 3), np.uint8))])
    with pytest.raises(RuntimeError, match="no memory of it"):
        shared.answer(MIXED, on_text=lambda *_: (_ for _ in ()).throw(RuntimeError("no memory of it")))
    assert shared.answer(MIXED[:1])[0].text


def test_the_batch_follows_the_free_memory():
    assert memory.batch_size(2**30, 2**25, "cuda:0") == 16
    assert memory.batch_size(2**40, 2**25, "cuda:0") == 32
    assert memory.batch_size(2**40, 2**25, "cpu") == 8
    assert memory.batch_size(0, 2**25, "cpu") == 1
    checkpoint = engine()._checkpoint
    free = memory.free_bytes(checkpoint.device)
    assert 2**20 < free < 2**50
    expected = memory.batch_size(free, memory.row_bytes(checkpoint), "cpu")
    assert LocalEngine(checkpoint).batch_size == expected


def test_a_row_is_reckoned_with_at_least_its_keys_and_values():
    small, large = (
        memory.row_bytes(
            Checkpoint(fresh_model(PROCESSOR.tokenizer, text_layers=layers), PROCESSOR, CARD, "h", "cpu")
        )
        for layers in (2, 12)
    )
    text = fresh_model(PROCESSOR.tokenizer).config.text_config
    head = text.hidden_size // text.num_attention_heads
    layer = 2 * 4 * text.num_key_value_heads * head * (len(PROCESSOR.prefix) + 1280)
    assert large - small >= 10 * layer
    assert small < 100 * 2**20


def test_a_prompt_beyond_the_models_context_is_refused_before_the_chip_is_looked_at(looked):
    asked = engine()
    with pytest.raises(TooLarge, match=r"has \d+ tokens, and beside .* has room for \d+: shorten it"):
        asked.answer([request(0), request(1, "ask " + "x " * 5000)])
    assert not looked
    assert asked.answer([request(0)])


def test_an_answer_ends_where_the_models_context_does(monkeypatch):
    asked = engine()
    room = memory.answer_room(asked._checkpoint, 6, 10**6)
    context = asked._checkpoint.model.config.text_config.max_position_embeddings
    assert room + 6 + len(PROCESSOR.prefix) == context
    monkeypatch.setattr(
        asked._checkpoint.model.config.text_config, "max_position_embeddings", context - room + 5
    )
    (reply,) = asked.answer([request(0, "describe", None, 100)])
    assert len(reply.token_ends) <= 6


def test_a_prompt_beyond_the_free_memory_is_refused(shared, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 2**20)
    with pytest.raises(TooLarge, match="MiB of memory, more than is free"):
        shared.answer([request(0, "ask " + "why " * 1400)])
    assert shared.answer([request(0)])
