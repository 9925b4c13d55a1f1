"""The local engine: batches equal single runs, grammars hold, scores are probabilities, cancel and streaming work."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_samples import MIXED, PROCESSOR, engine, never, request
from fresh_model import fresh_model

from fusar_gpt.engine import Reply, open_engine
from fusar_gpt.engine.grammar import Grammars
from fusar_gpt.engine_options import EngineOptions
from fusar_gpt.errors import Cancelled, CheckpointError
from fusar_gpt.model import decoding
from fusar_gpt.tasks import Question, Task, prompt_set


@pytest.fixture(scope="module")
def shared():
    return engine()


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_a_mixed_batch_equals_single_runs_in_order(shared, batch_size):
    together = engine(batch_size).answer(MIXED, never)
    for one, reply in zip(MIXED, together, strict=True):
        (alone,) = shared.answer([one], never)
        assert (alone.text, alone.token_ends, alone.finished) == (
            reply.text,
            reply.token_ends,
            reply.finished,
        )
        np.testing.assert_allclose(alone.logprobs, reply.logprobs, atol=1e-4)


def test_the_inputs_matter(shared):
    texts = {
        reply.text for reply in shared.answer([request(i, "describe", None, 9) for i in range(4)], never)
    }
    assert len(texts) > 1


def test_no_requests_no_replies(shared):
    assert shared.answer([], never) == []


def test_grammars_hold_and_free_text_holds_no_special_tokens(shared):
    replies = shared.answer(MIXED, never)
    for i in (0, 3):
        assert re.fullmatch(r"[0-9]( [0-9]){0,4}", replies[i].text)
        assert replies[i].finished
    for i in (2, 5):
        assert re.match(r"none$|ship( |$)", replies[i].text)
    assert all("<|" not in reply.text for reply in replies)


@pytest.mark.parametrize("grammar", [None, "root ::= [^\\u0000]*"])
def test_a_generous_grammar_allows_no_special_tokens_either(grammar):
    tokenizer = PROCESSOR.tokenizer
    grammars = Grammars(tokenizer, len(tokenizer) + 5, [tokenizer.eos_token_id])
    logits = torch.zeros(1, len(tokenizer) + 5)
    grammars.forbid(logits, [grammar and grammars.matcher(grammar)])
    allowed = set(torch.isfinite(logits[0]).nonzero()[:, 0].tolist())
    assert len(allowed) > len(tokenizer) // 2
    assert allowed & set(tokenizer.all_special_ids) == {tokenizer.eos_token_id}
    assert max(allowed) < len(tokenizer)


@pytest.mark.parametrize("name", ["compact", "release"])
@pytest.mark.parametrize("task", [Task.COUNT, Task.LOCATE, Task.DETECT])
def test_the_grammars_of_the_tasks_hold(shared, name, task):
    prompts, question = prompt_set(name), Question(task, "ship", None, None)
    prompt, grammar = prompts.prompt(question, (64, 48)), prompts.grammar(question)
    (reply,) = shared.answer([request(0, prompt, grammar, 60)], never)
    answer = prompts.parse(question, reply.text, (64, 48), finished=reply.finished)
    said = [piece.split()[-4:] for piece in reply.text.split("; ")]
    flat = any(
        box[0] == box[2] or box[1] == box[3] for box in said if len(box) == 4
    )  # no grammar forbids that
    assert answer.complete is (reply.finished and not flat)


def test_an_answer_that_is_cut_off_says_so(shared):
    (reply,) = shared.answer([request(0, grammar='root ::= "7 7 7 7 7 7 7 7"', max_tokens=3)], never)
    assert (reply.finished, len(reply.token_ends)) == (False, 3)
    assert "7 7 7 7 7 7 7 7".startswith(reply.text)


def test_probabilities_are_those_among_the_allowed_tokens(shared):
    (reply,) = shared.answer([request(0, grammar='root ::= "7" ";"')], never)
    assert (reply.text, reply.token_ends) == ("7;", (1, 2))
    np.testing.assert_allclose(reply.logprobs, 0.0, atol=1e-6)  # nothing else was allowed
    inputs = PROCESSOR([MIXED[0].image], ["count ship"], [(MIXED[0].values, MIXED[0].positions)])
    with torch.no_grad():
        logits = fresh_model(PROCESSOR.tokenizer)(**inputs).logits[0, -1]
    ids = [PROCESSOR.tokenizer.convert_tokens_to_ids(digit) for digit in "0123456789"]
    (reply,) = shared.answer([request(0)], never)
    expected = logits[ids].log_softmax(-1).max()
    assert reply.logprobs[0] == pytest.approx(float(expected), abs=1e-4)


def test_scores_are_geometric_means_over_the_tokens_of_a_span():
    logprobs = np.log([0.5, 0.25, 0.125, 1.0])
    reply = Reply("5 ship 日", (1, 6, 6, 8), logprobs, True)
    assert reply.probability((0, 1)) == pytest.approx(0.5)
    assert reply.probability((0, 6)) == pytest.approx((0.5 * 0.25) ** 0.5)
    assert reply.probability((3, 4)) == pytest.approx(0.25)
    assert reply.probability((7, 8)) == pytest.approx(1.0)  # the token with the character's last bytes
    assert reply.probability((6, 8)) == pytest.approx(0.125**0.5)  # and the one that only began it
    assert reply.probability((4, 4)) == reply.probability((8, 20)) == 0.0
    assert Reply("", (), np.zeros(0), True).probability((0, 1)) == 0.0


def test_cancel_stops_at_the_next_token(shared):
    asked = 0

    def cancelled():
        nonlocal asked
        asked += 1
        return asked > 3

    with pytest.raises(Cancelled):
        shared.answer([request(0, "describe", None, 5000)], cancelled)
    assert asked < 10
    assert len(shared.answer([request(0)], never)) == 1  # and the engine goes on


def test_cancelled_before_the_start_runs_nothing(shared, monkeypatch):
    monkeypatch.setattr(decoding, "visual_tokens", lambda *_: pytest.fail("it ran"))
    with pytest.raises(Cancelled):
        shared.answer([request(0)], lambda: True)


def test_threads_take_turns(shared):
    expected = [shared.answer([one], never)[0].text for one in MIXED]
    found = {}
    threads = [
        threading.Thread(target=lambda i=i, one=one: found.update({i: shared.answer([one], never)[0].text}))
        for i, one in enumerate(MIXED)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(len(MIXED))] == expected


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(ValueError, match="batch_size must be at least 1, not 0"):
        engine(batch_size=0)


def test_answers_stream_as_they_grow_in_whole_characters(shared):
    heard = {i: [] for i in range(len(MIXED))}
    replies = shared.answer(MIXED, on_text=lambda i, piece: heard[i].append(piece))
    assert ["".join(pieces) for pieces in heard.values()] == [reply.text for reply in replies]
    assert max(map(len, heard.values())) > 3
    asked = request(0, grammar='root ::= "日本語"', max_tokens=20)
    (reply,) = shared.answer([asked], on_text=lambda _, piece: heard[0].append(piece))
    assert reply.text == "日本語"
    assert heard[0][-3:] == ["日", "本", "語"]
    assert len(reply.token_ends) > 3  # they were spelled byte by byte


def test_an_answer_cut_off_inside_a_character_says_so_when_it_streams_too(shared):
    heard = []
    asked = request(0, grammar='root ::= "日"', max_tokens=2)
    (reply,) = shared.answer([asked], on_text=lambda _, piece: heard.append(piece))
    assert reply.text == "".join(heard) == "\ufffd"
    assert not reply.finished


def drawn(seed, i=0, temperature=5.0):
    return replace(request(i, "describe", None, 12), temperature=temperature, seed=seed)


def test_draws_follow_their_seed_whatever_the_company(shared):
    alone = [shared.answer([drawn(seed)])[0].text for seed in (0, 1, 2)]
    assert len(set(alone)) == 3
    company = [request(4), drawn(2), drawn(7, 3), drawn(0), drawn(1)]
    together = [reply.text for reply in shared.answer(company)]
    assert [together[3], together[4], together[1]] == alone
    greedy = shared.answer([drawn(0, temperature=0.0)])[0].text
    assert shared.answer([drawn(5, temperature=1e-300)])[0].text == greedy != alone[0]


def test_draws_follow_the_models_probabilities_and_the_grammar(shared):
    asked = [replace(request(0), grammar="root ::= [0-9]", temperature=1.0, seed=seed) for seed in range(300)]
    replies = shared.answer(asked)
    texts = [reply.text for reply in replies]
    inputs = PROCESSOR([asked[0].image], [asked[0].prompt], [(asked[0].values, asked[0].positions)])
    with torch.no_grad():
        logits = shared._checkpoint.model(**inputs).logits[0, -1]
    ids = [PROCESSOR.tokenizer.convert_tokens_to_ids(digit) for digit in "0123456789"]
    expected = logits[ids].softmax(-1).numpy()
    found = np.array([texts.count(digit) for digit in "0123456789"]) / len(texts)
    np.testing.assert_allclose(found, expected, atol=0.1)
    for reply in replies[:20]:
        assert np.exp(reply.logprobs[0]) == pytest.approx(expected[int(reply.text)], abs=1e-4)


def test_a_request_that_is_aborted_ends_and_the_others_go_on(shared):
    steps = 0

    def after_three():
        nonlocal steps
        steps += 1
        return steps > 3

    endless = request(1, "describe", None, 4000)
    asked = [MIXED[0], replace(endless, aborted=after_three), replace(endless, aborted=lambda: True)]
    one, two, three = shared.answer(asked)
    assert one.text == shared.answer(MIXED[:1])[0].text
    assert 0 < len(two.token_ends) < 10
    assert (three.text, three.finished, two.finished) == ("", False, False)


def test_a_caller_who_waits_for_its_turn_can_cancel(shared):
    with shared._running, pytest.raises(Cancelled):
        shared.answer(MIXED[:1], lambda: True)


@pytest.mark.parametrize("change", [{"max_tokens": 0}, {"temperature": -1.0}, {"temperature": float("nan")}])
def test_a_request_that_makes_no_sense_is_refused(change):
    with pytest.raises(ValueError, match="temperature"):
        replace(MIXED[0], **change)


def test_the_options_of_a_command_reach_the_model():
    engine = open_engine(EngineOptions("tiny", "cpu", "bfloat16", None, 3))
    assert (engine.card.name, engine.device, engine.batch_size) == ("tiny", "cpu", 3)
    assert engine._checkpoint.model.dtype is torch.bfloat16
    with pytest.raises(CheckpointError, match="unknown device"):
        open_engine(EngineOptions("tiny", "abacus"))
