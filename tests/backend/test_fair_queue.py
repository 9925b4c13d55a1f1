"""Clients take turns, whatever each of them has in the queue."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from fusar_gpt.server.turns import Turns


def drained(turns: Turns[tuple[str, int]]) -> list[tuple[str, int]]:
    return [turns.take() for _ in range(len(turns))]


def test_a_short_line_does_not_wait_for_a_long_one() -> None:
    turns: Turns[tuple[str, int]] = Turns()
    for i in range(5):
        turns.put("a", ("a", i))
    turns.put("b", ("b", 0))
    turns.put("c", ("c", 0))
    assert drained(turns) == [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("a", 2), ("a", 3), ("a", 4)]


def test_who_was_served_goes_behind_who_was_not() -> None:
    turns: Turns[tuple[str, int]] = Turns()
    turns.put("a", ("a", 0))
    turns.put("a", ("a", 1))
    assert turns.take() == ("a", 0)
    turns.put("b", ("b", 0))
    turns.put("a", ("a", 2))
    assert drained(turns) == [("a", 1), ("b", 0), ("a", 2)]


@given(st.lists(st.sampled_from("abcdef"), max_size=40), st.randoms())
def test_nothing_is_lost_and_nobody_is_overtaken_twice(puts: list[str], random: object) -> None:
    turns: Turns[tuple[str, int]] = Turns()
    taken: list[tuple[str, int]] = []
    passed = dict.fromkeys("abcdef", 0)  # how often others were served since a client last was
    for i, client in enumerate(puts):
        turns.put(client, (client, i))
        if random.random() < 0.3:
            taken.append(turns.take())
    for item in [*taken, *(rest := drained(turns))]:
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
    turns: Turns[str] = Turns()
    for item in ("a0", "a1", "b0"):
        turns.put(item[0], item)
    assert (len(turns), turns.waiting("a"), turns.waiting("z")) == (3, 2, 0)
    turns.remove("b", "b0")
    turns.remove("b", "b0")
    turns.remove("a", "never there")
    assert (len(turns), turns.waiting("b")) == (2, 0)
    assert [turns.take(), turns.take()] == ["a0", "a1"]


def test_takers_wait_and_are_sent_home() -> None:
    turns: Turns[str] = Turns()
    got: list[str | None] = []
    threads = [threading.Thread(target=lambda: got.append(turns.take())) for _ in range(3)]
    for thread in threads:
        thread.start()
    turns.put("a", "item")
    while not got:
        threads[0].join(0.01)
    turns.close()
    for thread in threads:
        thread.join(10)
    assert sorted(got, key=str) == [None, None, "item"]
