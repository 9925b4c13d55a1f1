"""Clients take queue, whatever each of them has in the queue."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from fusar_gpt.server.jobs import FairQueue


def drained(queue: FairQueue[tuple[str, int]]) -> list[tuple[str, int]]:
    return [queue.take() for _ in range(len(queue))]


def test_a_short_line_does_not_wait_for_a_long_one() -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue()
    for i in range(5):
        queue.put("a", ("a", i))
    queue.put("b", ("b", 0))
    queue.put("c", ("c", 0))
    assert drained(queue) == [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("a", 2), ("a", 3), ("a", 4)]


def test_who_was_served_goes_behind_who_was_not() -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue()
    queue.put("a", ("a", 0))
    queue.put("a", ("a", 1))
    assert queue.take() == ("a", 0)
    queue.put("b", ("b", 0))
    queue.put("a", ("a", 2))
    assert drained(queue) == [("a", 1), ("b", 0), ("a", 2)]


@given(st.lists(st.sampled_from("abcdef"), max_size=40), st.randoms())
def test_nothing_is_lost_and_nobody_is_overtaken_twice(puts: list[str], random: object) -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue()
    taken: list[tuple[str, int]] = []
    passed = dict.fromkeys("abcdef", 0)  # how often others were served since a client last was
    for i, client in enumerate(puts):
        queue.put(client, (client, i))
        if random.random() < 0.3:
            taken.append(queue.take())
    for item in [*taken, *(rest := drained(queue))]:
        passed[item[0]] = 0
    assert sorted(taken + rest, key=lambda item: item[1]) == list(zip(puts, range(len(puts)), strict=True))
    for client in "abcdef":
        own = [number for name, number in taken + rest if name == client]
        assert own == sorted(own)
    for position, (client, _) in enumerate(rest):  # nobody is served twice while another one waits
        upcoming = {name for name, _ in rest[position:]}
        until = next(
            (k for k, item in enumerate(rest[position + 1 :], position + 1) if item[0] == client), None
        )
        if until is not None:
            served = {name for name, _ in rest[position:until]}
            assert all(name in served for name in upcoming)


def test_removing_and_counting() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a0", "a1", "b0"):
        queue.put(item[0], item)
    assert (len(queue), queue.waiting("a"), queue.waiting("z")) == (3, 2, 0)
    queue.remove("b", "b0")
    queue.remove("b", "b0")
    queue.remove("a", "never there")
    assert (len(queue), queue.waiting("b")) == (2, 0)
    assert [queue.take(), queue.take()] == ["a0", "a1"]


def test_takers_wait_and_are_sent_home() -> None:
    queue: FairQueue[str] = FairQueue()
    got: list[str | None] = []
    threads = [threading.Thread(target=lambda: got.append(queue.take())) for _ in range(3)]
    for thread in threads:
        thread.start()
    queue.put("a", "item")
    while not got:
        threads[0].join(0.01)
    queue.close()
    for thread in threads:
        thread.join(10)
    assert sorted(got, key=str) == [None, None, "item"]
