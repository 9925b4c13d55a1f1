"""The one retry policy and the one deadline of the sources of priors."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from fusar_gpt.errors import Cancelled, PriorError
from fusar_gpt.priors.retry import Deadline, RetryPolicy, TransientError, Unavailable


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr("fusar_gpt.retry.random.uniform", lambda low, high: 0.01)


class Failing:
    """Work that raises each error in turn, then returns 7; ``progress`` extends the deadline before it fails."""

    def __init__(self, *errors, progress=False):
        self.errors, self.progress, self.calls = list(errors), progress, 0

    def __call__(self, deadline):
        self.calls += 1
        if self.progress:
            deadline.extend()
        if self.errors:
            raise self.errors.pop(0)
        return 7


def transient(count):
    return [TransientError(f"failure {number}") for number in range(1, count + 1)]


def test_what_may_pass_is_tried_again_and_what_will_not_is_not():
    work = Failing(*transient(3))
    assert RetryPolicy().run(work, "it") == 7
    assert work.calls == 4
    for error in (Unavailable("never"), PriorError("not AEF")):
        work = Failing(error)
        with pytest.raises(PriorError, match=str(error)):
            RetryPolicy().run(work, "it")
        assert work.calls == 1


def test_the_last_failure_is_told_when_the_attempts_are_used_up():
    work = Failing(*transient(9))
    with pytest.raises(Unavailable, match="failure 2"):
        RetryPolicy(attempts=2).run(work, "it")
    assert work.calls == 2


def test_work_that_makes_progress_is_tried_as_often_as_it_takes():
    work = Failing(*transient(9), progress=True)
    assert RetryPolicy(attempts=2).run(work, "it") == 7
    assert work.calls == 10


def test_all_attempts_share_one_deadline():
    attempts = []

    def work(deadline):
        attempts.append(deadline.left)
        deadline.run(partial(time.sleep, 0.15))
        raise TransientError("again")

    with pytest.raises(Unavailable, match="again"):
        RetryPolicy(0.4, attempts=100).run(work, "it")
    assert 2 <= len(attempts) <= 3
    assert attempts == sorted(attempts, reverse=True)


def test_silence_is_given_up_and_whoever_works_is_told():
    noticed, stop = threading.Event(), threading.Event()

    def silent(deadline):
        def work():
            stop.wait(20)
            try:
                deadline.check()
            except TimeoutError:
                noticed.set()

        return deadline.run(work)

    with pytest.raises(
        Unavailable, match=r"^Nobody gave no answer in 0.2 s: try again later, or set a longer"
    ):
        RetryPolicy(0.2).run(silent, "Nobody")
    stop.set()
    assert noticed.wait(20)


def test_a_cancel_ends_the_pause_between_attempts(monkeypatch):
    monkeypatch.setattr("fusar_gpt.retry.random.uniform", lambda low, high: 1000)
    work = Failing(*transient(9))
    with pytest.raises(Cancelled):
        RetryPolicy(60, cancelled=lambda: work.calls > 0).run(work, "it")
    assert work.calls == 1


def test_of_work_side_by_side_the_failure_is_told_and_not_that_the_rest_was_cancelled():
    def fail():
        raise TransientError("the first failure")

    with ThreadPoolExecutor(1) as pool:
        held = threading.Event()
        pool.submit(held.wait, 20)
        queued = [pool.submit(fail), *(pool.submit(time.sleep, 0) for _ in range(3))]
        queued[-1].cancel()
        held.set()
        with pytest.raises(TransientError, match="the first failure"):
            Deadline(20).wait(queued[:-1])


def test_a_lock_is_waited_for_no_longer_than_the_deadline():
    lock = threading.Lock()
    with lock, pytest.raises(TimeoutError), Deadline(0.1).holding(lock):
        pass
    with Deadline(0.1).holding(lock):
        assert lock.locked()
