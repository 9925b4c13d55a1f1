"""The batcher: callers are served together and by turns, and never notice each other's cancels and errors."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from fresh_model import CARD, chip, fresh_model, fresh_processor, prior

from fusar_gpt.engine import Batcher, DecodeRequest, LocalEngine, Reply
from fusar_gpt.errors import Cancelled, FusarError
from fusar_gpt.model import Checkpoint

SOON_S = 5


def request(prompt):
    return DecodeRequest(np.zeros((2, 2), np.uint8), *prior(0, 0), prompt, None, 8)


class Echo:
    """Says the prompt back, letter by letter; notes each batch. Stands still while ``gate`` is closed."""

    card, hash, device, batch_size = CARD, "0" * 64, "cpu", 4

    def __init__(self):
        self.batches, self.aborted = [], []
        self.running = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def answer(self, requests, cancelled, on_text=None):
        prompts = [one.prompt for one in requests]
        self.batches.append(prompts)
        self.running.set()
        while not self.gate.wait(0.002):
            if cancelled():
                raise Cancelled("stopped")
        self.aborted.append([one.aborted() for one in requests])
        for at in range(max(map(len, prompts))):
            for i, prompt in enumerate(prompts):
                if prompt == "bad" and at == 2:
                    raise ValueError("a bad request")
                if on_text and at < len(prompt) and not requests[i].aborted():
                    on_text(i, prompt[at])
        return [Reply(prompt, (len(prompt),), np.zeros(1), finished=True) for prompt in prompts]


@pytest.fixture
def echo():
    return Echo()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def texts(replies):
    return [reply.text for reply in replies]


def asking(pool, batcher, *prompts, cancelled=lambda: False, on_text=None):
    return pool.submit(lambda: texts(batcher.answer([request(p) for p in prompts], cancelled, on_text)))


def until(condition):
    end = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.002)


def busy(pool, batcher, echo):
    """A call that the worker is running; the next ones have to queue until the gate opens."""
    echo.gate.clear()
    call = asking(pool, batcher, "busy")
    assert echo.running.wait(SOON_S)
    return call


def queued(batcher, number):
    until(lambda: sum(call.left for call in batcher._calls) == number)


def test_callers_that_ask_at_the_same_time_run_together(echo, pool):
    with Batcher(echo, max_wait_s=SOON_S) as batcher:
        calls = [asking(pool, batcher, name) for name in ("one", "two", "three", "four")]
        assert [call.result(SOON_S) for call in calls] == [["one"], ["two"], ["three"], ["four"]]
    assert [sorted(batch) for batch in echo.batches] == [["four", "one", "three", "two"]]


def test_a_batch_waits_for_company_only_so_long(echo, pool):
    with Batcher(echo, max_wait_s=0.05) as batcher:
        start = time.monotonic()
        assert asking(pool, batcher, "alone").result(SOON_S) == ["alone"]
        assert 0.05 <= time.monotonic() - start < SOON_S
    with Batcher(echo, max_wait_s=60) as batcher:
        assert asking(pool, batcher, *"abcd").result(SOON_S) == [*"abcd"]  # a full batch does not wait


def test_callers_take_turns_and_get_their_replies_in_order(echo, pool):
    with Batcher(echo, max_batch=3) as batcher:
        first = busy(pool, batcher, echo)
        long = asking(pool, batcher, *"abcdef")
        queued(batcher, 6)
        short = asking(pool, batcher, *"xy")
        queued(batcher, 8)
        echo.gate.set()
        assert (first.result(SOON_S), short.result(SOON_S)) == (["busy"], [*"xy"])
        assert long.result(SOON_S) == [*"abcdef"]
    assert echo.batches == [["busy"], ["a", "x", "b"], ["y", "c", "d"], ["e", "f"]]


def test_a_caller_that_cancels_leaves_and_the_others_stay(echo, pool):
    stop = threading.Event()
    with Batcher(echo, max_batch=2) as batcher:
        first = busy(pool, batcher, echo)
        gone = asking(pool, batcher, *"abc", cancelled=stop.is_set)
        stays = asking(pool, batcher, *"xy")
        queued(batcher, 5)
        stop.set()
        with pytest.raises(Cancelled):
            gone.result(SOON_S)  # although the worker stands still
        echo.gate.set()
        assert (first.result(SOON_S), stays.result(SOON_S)) == (["busy"], [*"xy"])
    assert echo.batches == [["busy"], ["x", "y"]]


def test_a_caller_that_cancels_while_it_runs_is_aborted(echo, pool):
    stop, heard = threading.Event(), []
    echo.gate.clear()
    with Batcher(echo, max_batch=2, max_wait_s=SOON_S) as batcher:
        gone = asking(pool, batcher, "abc", cancelled=stop.is_set, on_text=lambda *told: heard.append(told))
        stays = asking(pool, batcher, "xyz")
        assert echo.running.wait(SOON_S)
        stop.set()
        with pytest.raises(Cancelled):
            gone.result(SOON_S)
        echo.gate.set()
        assert stays.result(SOON_S) == ["xyz"]
    assert heard == []
    (prompts,) = echo.batches
    assert echo.aborted == [[prompt == "abc" for prompt in prompts]]


def test_a_request_may_be_aborted_by_itself(echo):
    with Batcher(echo) as batcher:
        batcher.answer([request("a"), replace(request("b"), aborted=lambda: True)])
    assert echo.aborted == [[False, True]]


def test_the_engine_stops_when_all_its_callers_have_cancelled(echo, pool):
    stop = threading.Event()
    echo.gate.clear()
    with Batcher(echo) as batcher:
        gone = asking(pool, batcher, "abc", cancelled=stop.is_set)
        assert echo.running.wait(SOON_S)
        stop.set()
        with pytest.raises(Cancelled):
            gone.result(SOON_S)
        echo.running.clear()
        next_one = asking(pool, batcher, "next")
        assert echo.running.wait(SOON_S)  # the worker is free although the gate never opened for the first
        echo.gate.set()
        assert next_one.result(SOON_S) == ["next"]


def test_an_error_reaches_the_caller_whose_request_made_it(echo, pool):
    heard = []
    with Batcher(echo, max_batch=3, max_wait_s=SOON_S) as batcher:
        bad = asking(pool, batcher, "bad")
        good = [asking(pool, batcher, "fine", on_text=lambda *told: heard.append(told))]
        good += [asking(pool, batcher, "well")]
        with pytest.raises(ValueError, match="a bad request"):
            bad.result(SOON_S)
        assert [call.result(SOON_S) for call in good] == [["fine"], ["well"]]
    assert "".join(piece for _, piece in heard) == "fine"  # told once, though it ran twice


def test_streams_reach_their_callers(echo, pool):
    heard = {"ab": [], "xyz": []}
    with Batcher(echo, max_wait_s=0.5) as batcher:
        calls = [
            asking(pool, batcher, "-", name, on_text=lambda *told, name=name: heard[name].append(told))
            for name in heard
        ]
        assert [call.result(SOON_S) for call in calls] == [["-", "ab"], ["-", "xyz"]]
    for name, told in heard.items():
        assert sorted(told) == sorted([(0, "-"), *((1, letter) for letter in name)])


def test_a_listener_that_fails_fails_alone(echo, pool):
    def fail(*_):
        raise KeyError("my own fault")

    with Batcher(echo, max_batch=2, max_wait_s=SOON_S) as batcher:
        mine, other = asking(pool, batcher, "ab", on_text=fail), asking(pool, batcher, "xy")
        with pytest.raises(KeyError):
            mine.result(SOON_S)
        assert other.result(SOON_S) == ["xy"]
    assert len(echo.batches) == 1


def test_closing_turns_everyone_away_and_leaves_no_thread(echo, pool):
    before = {thread.name for thread in threading.enumerate()}
    with Batcher(echo) as batcher:
        assert "fusar-batcher" in {thread.name for thread in threading.enumerate()}
        running = busy(pool, batcher, echo)
        waiting = asking(pool, batcher, "later")
        queued(batcher, 1)
    for call in (running, waiting):
        with pytest.raises(FusarError, match="closed"):
            call.result(SOON_S)
    with pytest.raises(FusarError, match="closed"):
        batcher.answer([request("too late")])
    batcher.close()
    assert "fusar-batcher" not in {thread.name for thread in threading.enumerate()} - before
    assert not batcher._worker.is_alive()


def test_it_is_an_engine_and_takes_one_without_streams(pool):
    class Plain:
        card, hash, device, batch_size = CARD, "0" * 64, "cpu", 4

        def answer(self, requests, cancelled):
            return [Reply(one.prompt, (1,), np.zeros(1), finished=True) for one in requests]

    with Batcher(Plain()) as batcher:
        assert (batcher.card, batcher.hash, batcher.device, batcher.batch_size) == (CARD, "0" * 64, "cpu", 4)
        assert texts(batcher.answer([request("a"), request("b")])) == ["a", "b"]
        assert batcher.answer([]) == []


@pytest.mark.parametrize("settings", [{"max_batch": 0}, {"max_wait_s": -1.0}])
def test_settings_that_make_no_sense_are_refused(echo, settings):
    with pytest.raises(ValueError, match="must be at least 1"):
        Batcher(echo, **settings)


def test_the_real_engine_answers_many_callers_as_it_answers_one(pool):
    processor = fresh_processor()
    model = fresh_model(processor.tokenizer)
    engine = LocalEngine(Checkpoint(model, processor, CARD, "hash", torch.device("cpu")), 4)
    asked = [
        DecodeRequest(chip(i % 5), *prior(i, i % 3), f"count {i}", 'root ::= [0-9] (" " [0-9]){0,4}', 12)
        for i in range(12)
    ]
    expected = [texts(engine.answer([one])) for one in asked]
    heard = [[] for _ in asked]
    with Batcher(engine, max_batch=6, max_wait_s=0.1) as batcher:
        calls = [
            pool.submit(batcher.answer, [one], on_text=lambda _, piece, i=i: heard[i].append(piece))
            for i, one in enumerate(asked)
        ]
        assert [texts(call.result(SOON_S)) for call in calls] == expected
    assert ["".join(pieces) for pieces in heard] == [text for (text,) in expected]
