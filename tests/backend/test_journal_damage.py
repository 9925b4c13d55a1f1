"""A damaged journal is told as damaged and set aside, and the server goes on with what can be read of it."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusar_gpt.contract import Ended
from fusar_gpt.engine import Reply
from fusar_gpt.server import wire
from fusar_gpt.server.job import new_record
from fusar_gpt.server.journal import Journal, Record
from fusar_gpt.server.journal_file import COUNT_FILE, FILE, TABLES, VERSION, EntryCount

WAL = f"{FILE}-wal"
FINISHED, RESUMED, LATE = "finished", "resumed", "late"


def record(name: str, **changes: object) -> Record:
    return replace(new_record("anna", f'{{"question": "{name}"}}'), id=name, **changes)


def end(number: int) -> bytes:
    return wire.sse(number, "end", wire.encode(Ended("successful", "Done.").to_json()))


def fill(journal: Journal, name: str, events: int, *, finished: bool) -> None:
    job = record(name)
    journal.add(job)
    for number in range(1, events + 1):
        said = Reply("ship", (4,), np.zeros(1), finished=True)
        journal.append(name, number, b"event %d " % number + b"x" * 3000, [(bytes([number]), said)])
    if finished:
        ended = replace(job, status="successful", message="Done.", progress=100, finished="2026")
        journal.finish(ended, events + 1, end(events + 1), '{"findings": "%s"}' % ("y" * 20_000))


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """State folders as servers left them: ended cleanly, or killed with a log beside the file."""
    root = tmp_path_factory.mktemp("states")
    journal = Journal(root / "live")
    fill(journal, FINISHED, 20, finished=True)
    fill(journal, RESUMED, 20, finished=False)
    journal.close()
    shutil.copytree(root / "live", root / "clean")
    journal = Journal(root / "live")
    fill(journal, LATE, 5, finished=True)
    journal.append(RESUMED, 21, b"the last event")
    shutil.copytree(root / "live", root / "killed")
    journal.close()
    return {name: root / name for name in ("clean", "killed")}


@pytest.fixture
def folder(states: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(states[name], tmp_path / name))


def jobs(journal: Journal) -> dict[str, str]:
    return {job.id: job.status for job in journal.recent(99)}


def opened(folder: Path, caplog: pytest.LogCaptureFixture, told: str) -> Journal:
    """The journal of the folder, after it was told and set aside with all of its files."""
    left = {path.name for path in folder.iterdir() if path.name != COUNT_FILE}
    with caplog.at_level(logging.WARNING):
        journal = Journal(folder)
    assert journal.notice is not None
    assert told in journal.notice
    assert journal.notice in caplog.text
    (name,) = (path.name for path in folder.glob(f"{FILE}.damaged-*Z")) if FILE in left else ("",)
    assert name in journal.notice
    for file in left if name else ():
        assert (folder / file.replace(FILE, name, 1)).exists()
    return journal


def test_a_killed_server_leaves_no_damage(folder: Callable[[str], Path]) -> None:
    place = folder("killed")
    (place / f"{FILE}-shm").write_bytes(b"of another program" * 2000)
    journal = Journal(place)
    assert journal.notice is None
    assert jobs(journal) == {FINISHED: "successful", RESUMED: "accepted", LATE: "successful"}
    assert journal.event_count(RESUMED) == 21
    journal.close()
    again = Journal(place)
    assert again.notice is None
    again.close()


def cut(share: float) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def flip(at: float, count: int = 8) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        content = bytearray(path.read_bytes())
        start = int(at * len(content))
        content[start : start + count] = bytes(byte ^ 0x55 for byte in content[start : start + count])
        path.write_bytes(content)

    return change


def sql(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        db = sqlite3.connect(path)
        for statement in statements:
            db.execute(statement)
        db.commit()
        db.close()

    return change


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda path: path.write_bytes(b"no database at all" * 100), "file is not a database"),
        (lambda path: path.write_bytes(b""), "its file is empty"),
        (lambda path: (path.unlink(), path.mkdir()), "its file cannot be read and written"),
        (lambda path: path.unlink(), "its file is missing"),
        (flip(0), "file is not a database"),
        (cut(0.01), ""),
        (sql("PRAGMA user_version = 99"), f"it is of version 99, not {VERSION}"),
        (sql("DROP TABLE replies"), "its tables are not those of this version"),
        (sql("DELETE FROM state"), "its state is missing"),
        (sql("UPDATE events SET data = 'other' WHERE number = 3"), "2 of its events do not have the content"),
        (sql("UPDATE results SET data = data || ' '"), "1 of its results do not have"),
        (sql("UPDATE jobs SET inputs = '{}'"), "2 of its jobs do not have"),
        (sql("UPDATE state SET id = 'another'"), "the journal of another folder"),
        (sql("UPDATE state SET entries = entries - 3"), "its last 3 entries are missing"),
    ],
)
def test_what_is_damaged_is_told_and_set_aside_and_the_server_goes_on(
    folder: Callable[[str], Path],
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], object],
    told: str,
) -> None:
    place = folder("clean")
    damage(place / FILE)
    journal = opened(place, caplog, told)
    fill(journal, "new", 1, finished=True)
    assert jobs(journal)["new"] == "successful"
    journal.close()
    again = Journal(place)
    assert again.notice is None
    again.close()


def test_of_a_damaged_page_only_the_jobs_on_it_are_lost(
    folder: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    place = folder("clean")
    content = bytearray((place / FILE).read_bytes())
    at = content.index(b"event 7 ", content.index(b"event 7 ") + 1)  # of the one job or the other
    content[at] ^= 1
    (place / FILE).write_bytes(content)
    journal = opened(place, caplog, "1 of its events do not have the content")
    kept = jobs(journal)
    assert kept in (
        {FINISHED: "successful", RESUMED: "accepted"},  # it goes on from its sixth event
        {RESUMED: "accepted"},
    )
    for name in kept:
        assert journal.events(name, 0)[:6] == [b"event %d " % n + b"x" * 3000 for n in range(1, 7)]
    journal.close()


@pytest.mark.parametrize(
    "damage", [flip(0.02), flip(0.3), flip(0.5), cut(0.0), cut(0.4), Path.unlink, "foreign"]
)
def test_a_damaged_log_is_noticed_and_no_job_runs_again_that_may_have_been_deleted(
    folder: Callable[[str], Path],
    states: dict[str, Path],
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], object] | str,
) -> None:
    place = folder("killed")
    if callable(damage):
        damage(place / WAL)
    else:
        other = Journal(place / "other")
        fill(other, "foreign", 9, finished=True)
        shutil.copy(place / "other" / WAL, place / WAL)
        other.close()
        shutil.rmtree(place / "other")
    journal = opened(place, caplog, "the journal was damaged (")
    kept = jobs(journal)
    assert "foreign" not in kept or kept["foreign"] == "successful"
    if RESUMED in kept:
        assert kept[RESUMED] == "failed"
        assert b"event: end\n" in journal.events(RESUMED, 0)[-1]
        assert "start it again" in journal.find(RESUMED).message
    assert journal.unfinished() == []
    journal.close()


def test_a_log_that_lacks_only_events_costs_no_job(
    folder: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    place = folder("killed")
    cut(0.999)(place / WAL)
    journal = opened(place, caplog, "its last 1 entries are missing")
    assert jobs(journal) == {FINISHED: "successful", RESUMED: "accepted", LATE: "successful"}
    assert journal.event_count(RESUMED) == 20
    journal.close()


def test_a_count_that_cannot_be_read_is_made_anew(folder: Callable[[str], Path]) -> None:
    place = folder("killed")
    (place / COUNT_FILE).write_bytes(b"\xff" * 10)
    journal = Journal(place)
    assert journal.notice is None
    journal.close()
    assert EntryCount.read(place / COUNT_FILE) is not None


def test_a_journal_of_the_version_before_is_carried_over(
    folder: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    place = folder("clean")
    older = place / "older"
    db = sqlite3.connect(older)
    db.execute("ATTACH ? AS now", (str(place / FILE),))
    for table, statement in zip(("jobs", "events", "replies", "results"), TABLES[1:], strict=True):
        db.execute(statement.replace(", sum INTEGER NOT NULL", ""))
        names = ", ".join(row[1] for row in db.execute(f"PRAGMA main.table_info({table})"))
        db.execute(f"INSERT INTO main.{table} SELECT {names} FROM now.{table}")
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    older.replace(place / FILE)
    (place / COUNT_FILE).unlink()
    journal = opened(place, caplog, f"it is of version 1, not {VERSION}")
    assert jobs(journal) == {FINISHED: "successful", RESUMED: "accepted"}
    assert journal.event_count(FINISHED) == 21
    assert journal.reply(RESUMED, bytes([3])).text == "ship"
    journal.close()


@settings(max_examples=60, deadline=None)
@given(
    state=st.sampled_from(["clean", "killed"]),
    places=st.lists(st.floats(0, 0.9999), min_size=1, max_size=4),
    log=st.booleans(),
    kept=st.floats(0.1, 1),
)
def test_no_damage_stops_the_server_or_changes_what_it_knows(
    states: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    state: str,
    places: list[float],
    log: bool,
    kept: float,
) -> None:
    place = Path(shutil.copytree(states[state], tmp_path_factory.mktemp("damage") / "state"))
    path = place / WAL if log and state == "killed" else place / FILE
    for at in places:
        flip(at, 2)(path)
    cut(1.0 if kept > 0.5 else kept)(path)
    journal = Journal(place)
    written = {b"event %d " % n + b"x" * 3000 for n in range(1, 21)} | {b"the last event", end(21), end(6)}
    for job in journal.recent(99):
        assert job.id in (FINISHED, RESUMED, LATE)
        events = journal.events(job.id, 0)
        assert set(events[:-1]) <= written
        assert events == [] or events[-1] in written or job.status == "failed"
        assert journal.results(job.id) in (None, '{"findings": "%s"}' % ("y" * 20_000))
    if journal.notice is None and state == "clean":
        assert jobs(journal) == {FINISHED: "successful", RESUMED: "accepted"}
    journal.close()
    shutil.rmtree(place)
