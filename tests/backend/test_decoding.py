"""Decoding with shared prefixes gives what ``generate`` gives, whoever joins and leaves the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fresh_model import CARD, chip, fresh_model, fresh_processor, prior
from transformers import AttentionInterface

from fusar_gpt.model import Checkpoint, decoding, load_checkpoint
from fusar_gpt.model.decoding import Row, decode, greedy, prefill, stop_ids, visual_tokens

PROCESSOR = fresh_processor()
IMAGES = [chip(seed) for seed in range(6)]
PRIORS = [prior(seed, count) for seed, count in enumerate((5, 0, 7, 1, 40, 0))]
PROMPTS = ["count ship", "describe", "detect ship and more, at length", "locate any", "x", "count ship"]
END = PROCESSOR.tokenizer.eos_token_id


def checkpoint_of(**sizes):
    model = fresh_model(PROCESSOR.tokenizer, **sizes)
    return Checkpoint(model, PROCESSOR, CARD, "hash", torch.device("cpu"))


@pytest.fixture(scope="module")
def checkpoint():
    return checkpoint_of(text_layers=3)  # its answers vary more than those of two layers


def generated(checkpoint, images, priors, prompts, number):
    """Token ids of ``generate``, without what follows an end token."""
    inputs = checkpoint.processor(images, prompts, priors)
    with torch.no_grad():
        output = checkpoint.model.generate(**inputs, max_new_tokens=number, do_sample=False)
    rows = output[:, inputs["input_ids"].shape[1] :].tolist()
    return [row[: row.index(END)] if END in row else row for row in rows]


def row(checkpoint, i, limit=12):
    (prefix,) = prefill(checkpoint, visual_tokens(checkpoint, IMAGES[i : i + 1], PRIORS[i : i + 1]))
    return Row(prefix, PROCESSOR.ids_after_image(PROMPTS[i]), limit)


def source(rows):
    waiting = list(rows)

    def take(number):
        taken = waiting[:number]
        del waiting[:number]
        return taken

    return take


def likeliest(_, logits):
    return logits.argmax(-1).tolist()


@pytest.mark.parametrize("batch_size", [1, 2, 4, 8])
def test_greedy_answers_are_those_of_generate_in_a_batch_and_alone(checkpoint, batch_size):
    found = greedy(checkpoint, IMAGES, PRIORS, PROMPTS, 20, batch_size=batch_size)
    together = generated(checkpoint, IMAGES, PRIORS, PROMPTS, 20)
    alone = [
        generated(checkpoint, [image], [given], [prompt], 20)[0]
        for image, given, prompt in zip(IMAGES, PRIORS, PROMPTS, strict=True)
    ]
    assert together == alone
    assert found == PROCESSOR.tokenizer.batch_decode(alone, skip_special_tokens=True)
    assert len(set(found)) > 3


def test_the_bundled_model_answers_as_with_generate():
    checkpoint = load_checkpoint("tiny", device="cpu")
    size = (checkpoint.card.height, checkpoint.card.width)
    speckle = np.random.default_rng(0).gamma(2.0, 20.0, (3, *size)).clip(0, 255).astype(np.uint8)
    speckle[0, 50:60, 60:90] = speckle[1, 150:156, 20:60] = 255
    priors = [prior(0, 30), prior(1, 0), prior(2, 9)]
    prompts = ["detect ship", "describe", "count ship"]
    expected = [
        checkpoint.tokenizer.decode(
            generated(checkpoint, [image], [given], [prompt], 30)[0], skip_special_tokens=True
        )
        for image, given, prompt in zip(speckle, priors, prompts, strict=True)
    ]
    assert greedy(checkpoint, list(speckle), priors, prompts, 30) == expected
    assert all(expected)


def test_logits_equal_those_of_one_pass_over_everything(checkpoint):
    seen = {}

    def choose(rows, logits):
        for one, row_logits in zip(rows, logits, strict=True):
            seen.setdefault(one, []).append(row_logits.clone())
        return likeliest(rows, logits)

    rows = [row(checkpoint, i) for i in range(6)]
    list(decode(checkpoint, source(rows), 4, choose))
    for i, one in enumerate(rows):
        inputs = PROCESSOR(IMAGES[i : i + 1], PROMPTS[i : i + 1], PRIORS[i : i + 1])
        start = inputs["input_ids"].shape[1]
        for name, fill in (("input_ids", one.tokens), ("attention_mask", 1), ("mm_token_type_ids", 0)):
            more = torch.tensor([fill if isinstance(fill, list) else [fill] * len(one.tokens)])
            inputs[name] = torch.cat([inputs[name], more], dim=1)
        with torch.no_grad():
            expected = checkpoint.model(**inputs).logits[0, start - 1 :]
        found = torch.stack(seen[one])
        torch.testing.assert_close(found, expected[: len(found)], atol=1e-4, rtol=1e-4)


def test_new_rows_wait_until_a_quarter_of_the_batch_is_free(checkpoint):
    shared = row(checkpoint, 0)
    rows = [Row(shared.prefix, shared.prompt, limit) for limit in (1, 2, 3, 4, 5, 6, 7, 8, 3, 3)]
    give, asked = source(rows), []

    def take(number):
        asked.append(number)
        return give(number)

    list(decode(checkpoint, take, 8, likeliest))
    assert asked[:2] == [8, 2]


def test_rows_of_one_chip_share_its_prefix_and_leave_it_as_it_was(checkpoint):
    shared = row(checkpoint, 0).prefix
    before = shared.kv.clone()
    rows = [Row(shared, PROCESSOR.ids_after_image(prompt), 12) for prompt in PROMPTS]
    list(decode(checkpoint, source(rows), 4, likeliest))
    expected = generated(checkpoint, IMAGES[:1] * 6, PRIORS[:1] * 6, PROMPTS, 12)
    assert [one.tokens for one in rows] == expected
    assert torch.equal(shared.kv, before)


@pytest.mark.parametrize("slots", [1, 3, 5, 40])
def test_rows_of_any_limit_join_and_leave_without_disturbing_others(checkpoint, slots, monkeypatch):
    monkeypatch.setattr(decoding, "_SPARE_COLUMNS", 1)  # the batch must grow again and again
    longest = [row(checkpoint, i, 30) for i in range(6)]
    list(decode(checkpoint, source(longest), 1, likeliest))
    limits = [1, 30, 3, 17, 2, 9, 30, 1, 5, 11, 4, 8]
    rows = [Row(longest[i % 6].prefix, longest[i % 6].prompt, limit) for i, limit in enumerate(limits)]
    most = 0

    def choose(live, logits):
        nonlocal most
        most = max(most, len(live))
        assert len(logits) == len(live) <= slots
        return likeliest(live, logits)

    ended = list(decode(checkpoint, source(rows), slots, choose))
    assert sorted(map(id, ended)) == sorted(map(id, rows))
    assert most == min(slots, len(rows))
    for i, one in enumerate(rows):
        full = longest[i % 6]
        assert one.tokens == full.tokens[: one.limit]
        assert one.finished is (full.finished and len(full.tokens) < one.limit)
    if slots == 40:
        assert [one.limit for one in ended] == sorted(limits)  # the short ones did not wait


def test_any_of_several_end_tokens_ends_an_answer(checkpoint, monkeypatch):
    free = row(checkpoint, 0, 10)
    list(decode(checkpoint, source([free]), 1, likeliest))
    other = next(token for token in free.tokens if token != free.tokens[0])
    monkeypatch.setattr(checkpoint.model.config.text_config, "eos_token_id", [END, other])
    assert stop_ids(checkpoint) == {END, other}
    cut = row(checkpoint, 0, 10)
    list(decode(checkpoint, source([cut]), 1, likeliest))
    assert cut.tokens == free.tokens[: free.tokens.index(other)]
    assert cut.finished
    monkeypatch.setattr(checkpoint.model.config.text_config, "eos_token_id", other)
    assert stop_ids(checkpoint) == {END, other}


def flash_standin(module, query, key, value, attention_mask, scaling, **_):
    """What flash attention computes: a mask [n, width] of real columns or None, causal up to the last column."""
    length, width = query.shape[2], key.shape[2]
    allowed = torch.ones(length, width, dtype=torch.bool).tril(width - length)[None, None]
    if attention_mask is not None:
        assert attention_mask.shape == (len(query), width)
        allowed = allowed & attention_mask[:, None, None].bool()
    groups = module.num_key_value_groups
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    output = torch.nn.functional.scaled_dot_product_attention(query, key, value, allowed, scale=scaling)
    return output.transpose(1, 2).contiguous(), None


@pytest.mark.parametrize("attention", ["eager", "flash_standin"])
def test_other_kinds_of_attention_get_masks_they_understand(checkpoint, attention, monkeypatch):
    expected = greedy(checkpoint, IMAGES, PRIORS, PROMPTS, 12)
    AttentionInterface.register("flash_standin", flash_standin)
    config = checkpoint.model.model.language_model.config
    monkeypatch.setattr(config, "_attn_implementation_internal", attention)
    assert config._attn_implementation == attention
    assert greedy(checkpoint, IMAGES, PRIORS, PROMPTS, 12, batch_size=4) == expected


def test_a_prefix_tells_its_size(checkpoint):
    prefix, _ = prefill(checkpoint, visual_tokens(checkpoint, IMAGES[:2], PRIORS[:2]))
    text = checkpoint.model.config.text_config
    head = text.hidden_size // text.num_attention_heads
    numbers = text.num_hidden_layers * 2 * text.num_key_value_heads * len(PROCESSOR.prefix) * head
    assert prefix.nbytes == 4 * numbers
    assert prefix.kv.untyped_storage().nbytes() == prefix.nbytes  # it holds no other chip's memory


@pytest.mark.parametrize(
    "change", [{"prompts": PROMPTS[:2]}, {"priors": []}, {"max_new_tokens": 0}, {"batch_size": 0}]
)
def test_what_makes_no_sense_is_refused(checkpoint, change):
    arguments = {"images": IMAGES, "priors": PRIORS, "prompts": PROMPTS, "max_new_tokens": 3, **change}
    with pytest.raises(ValueError):
        greedy(checkpoint, **arguments)


def test_no_images_no_answers(checkpoint):
    assert greedy(checkpoint, [], [], [], 5) == []
