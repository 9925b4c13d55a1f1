"""The journal keeps whole transactions or none, for one server at a time, and forgets when told to."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scripted_server import CARD, RUN

from fusar_gpt.contract import Progress, Started
from fusar_gpt.engine import DecodeRequest, ReplayEngine, Reply
from fusar_gpt.engine.replay import request_key
from fusar_gpt.errors import Cancelled, FusarError
from fusar_gpt.server import journal as journal_module
from fusar_gpt.server.job import TRIES, Job, new_record
from fusar_gpt.server.journal import Journal, JournalError


@pytest.fixture
def journal(tmp_path: Path):
    opened = Journal(tmp_path / "state")
    yield opened
    opened.close()


def reopened(journal: Journal, folder: Path) -> Journal:
    journal.close()
    return Journal(folder)


def reply(text: str = "ship 1 2", seed: int = 0) -> Reply:
    logprobs = np.log(np.random.default_rng(seed).random(len(text)))
    return Reply(text, tuple(range(1, len(text) + 1)), logprobs, finished=bool(seed % 2))


def request(seed: int = 0, **changes: object) -> DecodeRequest:
    image = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    empty = {"values": np.zeros((0, 64), np.float32), "positions": np.zeros((0, 2), np.float32)}
    return DecodeRequest(
        **({"image": image, "prompt": "count", "grammar": None, "max_tokens": 5} | empty | changes)
    )


def test_what_is_written_is_read_by_the_next_server(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record = new_record("anna", '{"scene": "船.tif"}')
    journal.add(record)
    kept = {bytes([seed]) * 32: reply("é 船" * seed, seed) for seed in range(4)}
    journal.append(record.id, 1, b"one", list(kept.items())[:2], (10, "1 of 10"))
    journal.append(record.id, 2, b"two", list(kept.items())[2:])
    journal = reopened(journal, tmp_path)
    assert journal.unfinished() == [replace(record, progress=10, message="1 of 10")] == journal.recent(5)
    assert journal.events(record.id, 0) == [b"one", b"two"]
    assert journal.events(record.id, 1) == [b"two"]
    assert journal.events(record.id, 0, 1) == [b"one"]
    assert journal.event_count(record.id) == 2
    for key, said in kept.items():
        again = journal.reply(record.id, key)
        assert (again.text, again.token_ends, again.finished) == (said.text, said.token_ends, said.finished)
        assert again.logprobs.tobytes() == said.logprobs.tobytes()  # to the last bit: scores are made of them
    assert journal.reply(record.id, b"unknown") is None
    assert journal.reply("another", bytes(32)) is None

    ended = replace(record, status="successful", message="Done.", progress=100, finished="2026")
    journal.finish(ended, 3, b"end", '{"findings": []}')
    journal = reopened(journal, tmp_path)
    assert journal.unfinished() == []
    assert journal.find(record.id) == ended
    assert journal.events(record.id, 0) == [b"one", b"two", b"end"]
    assert journal.results(record.id) == '{"findings": []}'
    assert all(journal.reply(record.id, key) is None for key in kept), "replies go with the end"
    assert journal.counts() == {"successful": 1}
    journal.close()


def test_a_transaction_is_whole_or_not_there(journal: Journal) -> None:
    record = new_record("a", "{}")
    journal.add(record)
    journal.append(record.id, 1, b"one", [(b"k1", reply())])
    with pytest.raises(JournalError):  # the number is taken, so the reply must not stay either
        journal.append(record.id, 1, b"again", [(b"k2", reply())], (50, "half"))
    assert journal.reply(record.id, b"k2") is None
    assert journal.find(record.id).progress == 0

    def broken():
        yield b"k3", reply()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        journal.append(record.id, 2, b"two", broken())
    assert journal.reply(record.id, b"k3") is None
    journal.append(record.id, 2, b"two")
    assert journal.events(record.id, 0) == [b"one", b"two"]


def test_one_server_at_a_time_and_its_file_is_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "BUSY_S", 0.05)
    folder = tmp_path / "state"
    first = Journal(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    with pytest.raises(JournalError, match="another server uses it"):
        Journal(folder)
    first.close()
    Journal(folder).close()


def test_a_folder_that_cannot_be_used_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(JournalError, match=r"state .*; choose another --state") as caught:
        Journal(tmp_path / "state")
    assert "\n" not in str(caught.value)


def test_forgetting_follows_a_clock_that_nobody_sets(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, waiting = (new_record("a", "{}") for _ in range(3))
    for record in (old, new, waiting):
        journal.add(record)
    now = journal_module.time.monotonic()
    monkeypatch.setattr(journal_module.time, "monotonic", lambda: now - 100)
    journal.finish(replace(old, status="failed", finished="x"), 1, b"end", None)
    monkeypatch.setattr(journal_module.time, "monotonic", lambda: now)
    journal.finish(replace(new, status="failed", finished="x"), 1, b"end", None)
    for years in (-50, 50):  # the wall clock jumps, and nothing is forgotten for it
        monkeypatch.setattr(journal_module.time, "time", lambda years=years: years * 3.15e7)
        journal.delete_older(101)
        assert {record.id for record in journal.recent(9)} == {old.id, new.id, waiting.id}
    journal.delete_older(50)
    assert [record.id for record in journal.recent(9)] == [waiting.id, new.id]
    assert (journal.events(old.id, 0), journal.event_count(old.id)) == ([], 0)
    journal.delete(new.id)
    assert [record.id for record in journal.recent(9)] == [waiting.id]


def test_what_is_forgotten_is_not_left_in_the_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record = new_record("a", '{"question": "a secret place"}')
    journal.add(record)
    journal.append(record.id, 1, b"a secret event", [(b"k", reply("a secret answer"))])
    journal.finish(replace(record, finished="x"), 2, b"end", '"a secret result"')
    journal.delete(record.id)
    journal.close()
    assert all(b"secret" not in file.read_bytes() for file in tmp_path.iterdir())


def test_a_full_disk_is_said_and_the_journal_goes_on_when_there_is_room(journal: Journal) -> None:
    record = new_record("a", "{}")
    journal.add(record)
    (pages,) = journal._db.execute("PRAGMA page_count").fetchone()
    journal._db.execute(
        f"PRAGMA max_page_count = {pages}"
    )  # what SQLite reports is what a full disk makes it say
    with pytest.raises(JournalError, match="disk is full; free some space"):
        journal.append(record.id, 1, bytes(100_000))
    assert journal.events(record.id, 0) == []
    journal._db.execute("PRAGMA max_page_count = 100000")
    journal.append(record.id, 1, b"one")
    assert journal.events(record.id, 0) == [b"one"]


class Counting:
    """Counts what it is asked; replies differ."""

    card, hash, device, batch_size = CARD, "0" * 64, "cpu", 3

    def __init__(self) -> None:
        self.asked: list[str] = []

    def answer(self, requests, cancelled=lambda: False, on_text=None):
        if cancelled():
            raise Cancelled("cancelled")
        self.asked += [request.prompt for request in requests]
        replies = [reply(f"{request.prompt}!", len(self.asked)) for request in requests]
        for i, said in enumerate(replies):
            if on_text:
                on_text(i, said.text)
        return replies


def test_an_engine_that_remembers_asks_only_what_is_new_and_keeps_the_order() -> None:
    memory: dict[bytes, Reply] = {}
    engine = Counting()
    remembered = ReplayEngine(engine, memory.get, memory.__setitem__)
    prompts = [request(prompt=prompt) for prompt in "abcd"]
    first = remembered.answer(prompts[1:3])
    heard: list[tuple[int, str]] = []
    second = remembered.answer(prompts, on_text=lambda i, piece: heard.append((i, piece)))
    assert engine.asked == ["b", "c", "a", "d"]
    assert [said.text for said in second] == ["a!", "b!", "c!", "d!"]
    assert second[1:3] == first
    assert sorted(heard) == [(0, "a!"), (1, "b!"), (2, "c!"), (3, "d!")]
    assert remembered.answer([]) == []
    assert (remembered.card, remembered.hash, remembered.device, remembered.batch_size) == (
        CARD,
        "0" * 64,
        "cpu",
        3,
    )
    with pytest.raises(Cancelled):
        remembered.answer([request(prompt="new")], lambda: True)


def test_an_answer_that_was_called_off_is_not_remembered() -> None:
    memory: dict[bytes, Reply] = {}
    ReplayEngine(Counting(), memory.get, memory.__setitem__).answer([request(aborted=lambda: True)])
    assert memory == {}


def test_a_key_tells_apart_whatever_decides_a_reply() -> None:
    requests = [
        request(),
        request(1),
        request(prompt="locate"),
        request(grammar="root ::= [0-9]"),
        request(max_tokens=6),
        request(temperature=0.5),
        request(seed=1, temperature=0.5),
        request(values=np.ones((1, 64), np.float32), positions=np.ones((1, 2), np.float32)),
    ]
    keys = {request_key(each, "0") for each in requests} | {request_key(request(), "1")}
    assert len(keys) == len(requests) + 1
    assert request_key(request(), "0") == request_key(request(aborted=lambda: True), "0")


def test_a_job_that_takes_the_server_down_is_given_up_in_the_end(journal: Journal) -> None:
    record = new_record("a", "{}")
    journal.add(record)
    for _ in range(2):
        for _ in range(TRIES):
            Job(record, journal).check_tries()
        journal.append(
            record.id, journal.event_count(record.id) + 1, b"further"
        )  # it came further: all is well
    for _ in range(TRIES):
        Job(record, journal).check_tries()
    with pytest.raises(FusarError, match="crashed 10 times"):
        Job(record, journal).check_tries()


def test_a_job_that_tells_something_else_when_it_begins_again_fails(journal: Journal) -> None:
    record = new_record("a", "{}")
    journal.add(record)
    Job(record, journal).take(Started(replace(RUN, prior_note="fetched"), 3))
    again = Job(record, journal)
    with pytest.raises(FusarError, match="has changed since the job began"):
        again.take(Started(RUN, 4))
    again = Job(record, journal)
    again.take(Started(replace(RUN, prior_note="this time from the cache"), 3))
    again.take(Progress(1, 3))
    assert journal.event_count(record.id) == 2
    assert math.isclose(journal.find(record.id).progress, 33)
