"""The local engine: batches equal single runs, grammars hold, scores are probabilities, cancel works."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest
import torch
from fresh_model import CARD, chip, fresh_model, fresh_processor, prior

from fusar_gpt.engine import LocalEngine, Reply, Request
from fusar_gpt.errors import Cancelled
from fusar_gpt.model import Checkpoint
from fusar_gpt.tasks import Question, Task, prompt_set

PROCESSOR = fresh_processor()
DIGITS = 'root ::= [0-9] (" " [0-9]){0,4}'
BOXES = 'root ::= "none" | box ("; " box)*\nbox ::= "ship" (" " [0-9]{1,3}){4}'


def engine(batch_size=8, live=True):
    model = fresh_model(PROCESSOR.tokenizer, live=live)
    return LocalEngine(Checkpoint(model, PROCESSOR, CARD, "hash", torch.device("cpu")), batch_size)


@pytest.fixture(scope="module")
def shared():
    return engine()


def never():
    return False


def request(seed, prompt="count ship", grammar=DIGITS, max_tokens=12, nodes=5):
    return Request(chip(seed), *prior(seed, nodes), prompt, grammar, max_tokens)


MIXED = [
    request(0),
    request(1, "describe", None, 9, nodes=0),
    request(2, "detect ship", BOXES, 30),
    request(3, "locate any", nodes=40),
    request(4, "ask what is 日本?", None, 9),
    request(5, "detect ship", BOXES, 30, nodes=0),
]


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


@pytest.mark.parametrize("name", ["compact", "release"])
@pytest.mark.parametrize("task", [Task.COUNT, Task.LOCATE, Task.DETECT])
def test_the_grammars_of_the_tasks_hold(shared, name, task):
    prompts, question = prompt_set(name), Question(task, "ship", None, None)
    prompt, grammar = prompts.prompt(question, (64, 48)), prompts.grammar(question)
    (reply,) = shared.answer([request(0, prompt, grammar, 60)], never)
    answer = prompts.parse(question, reply.text, (64, 48), finished=reply.finished)
    assert answer.complete is reply.finished


def test_an_answer_that_is_cut_off_says_so(shared):
    (reply,) = shared.answer([request(0, grammar='root ::= "7 7 7 7 7 7 7 7"', max_tokens=3)], never)
    assert (reply.finished, len(reply.token_ends)) == (False, 3)
    assert "7 7 7 7 7 7 7 7".startswith(reply.text)


def test_probabilities_are_those_among_the_allowed_tokens(shared):
    (reply,) = shared.answer([request(0, grammar='root ::= "7" ";"')], never)
    assert reply.text == "7;"
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
    assert reply.score((0, 1)) == pytest.approx(0.5)
    assert reply.score((0, 6)) == pytest.approx((0.5 * 0.25) ** 0.5)
    assert reply.score((3, 4)) == pytest.approx(0.25)
    assert reply.score((7, 8)) == pytest.approx(1.0)  # the token with the character's last bytes
    assert reply.score((6, 8)) == pytest.approx(0.125**0.5)  # and the one that only began it
    assert reply.score((4, 4)) == reply.score((8, 20)) == 0.0
    assert Reply("", (), np.zeros(0), True).score((0, 1)) == 0.0


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
    monkeypatch.setattr(shared._checkpoint.model, "generate", lambda **_: pytest.fail("it ran"))
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
    with pytest.raises(ValueError, match="batch of 0"):
        engine(batch_size=0)
