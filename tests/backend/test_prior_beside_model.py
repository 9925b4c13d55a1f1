"""The main path with a source of priors: fetched beside the model, left out only if the user allowed it."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from rasters import NORTH_UP, speckle, write

from fusar_gpt.contract import Finished
from fusar_gpt.engine import Reply
from fusar_gpt.errors import Cancelled, PriorError
from fusar_gpt.interpret import AHEAD, interpret
from fusar_gpt.model import Card
from fusar_gpt.planning import request_for
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.priors import source as sources
from fusar_gpt.priors.retry import Unavailable
from fusar_gpt.priors.tiles import TILE_M, TILE_PX
from fusar_gpt.tasks import Task

CHIP = 96
CARD = Card(
    name="patient", title="Patient", prompt_set="compact", width=CHIP, height=CHIP, patch=8, merge=2, ground_m=None,
    targets=["ship"], demonstration=True, prior_years=None, licence="none", trained_on="nothing",
)  # fmt: skip


class PatientEngine:
    """Says that there is open water; ``meanwhile`` is called with the number of the batch it works on."""

    card, hash, device, batch_size = CARD, "0" * 64, "cpu", 2

    def __init__(self, meanwhile=lambda batch: None):
        self.meanwhile = meanwhile
        self.nodes = []
        self.batches = 0

    def answer(self, requests, cancelled):
        if cancelled():
            raise Cancelled("cancelled")
        self.meanwhile(self.batches)
        self.batches += 1
        self.nodes += [len(request.values) for request in requests]
        return [Reply("dark sea", (8,), np.array([0.0]), finished=True) for _ in requests]


class Tiles:
    """One code in all pixels of any tile."""

    name, key, version, attribution, parallel, block = "cog", "test-cog", "V1", "Google", 2, 1
    address = not_configured = None

    def __init__(self):
        self.fetched = []
        self.news = threading.Condition()
        self.fails = lambda tile: False

    def years(self, tile, retry):
        return 2022, 2023

    def known_years(self, tile):
        return ()

    def fetch(self, tile, year, retry):
        if self.fails(tile):
            raise Unavailable("cog is down: wait.")
        with self.news:
            self.fetched.append(tile)
            self.news.notify_all()
        return {tile: np.full((64, TILE_PX, TILE_PX), 100, np.int8)}

    def wait_for_more(self, than):
        with self.news:
            return self.news.wait_for(lambda: len(self.fetched) > than, 20)


@pytest.fixture
def tiles(monkeypatch):
    source = Tiles()
    monkeypatch.setattr(sources, "open_source", lambda name, settings, report: source)
    return source


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """13 x 1 chips of 960 m, more than the run looks ahead."""
    assert AHEAD < 13
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    return write(path, speckle(96, 96 * 13), transform=NORTH_UP)


def order(scene, **changes):
    return request_for(**{"scene": scene, "task": Task.DESCRIBE, "prior": "cog", "year": 2023} | changes)


def run(order, engine, folder, tell=lambda line: None, cancelled=lambda: False, **settings):
    return list(interpret(order, engine, cancelled, PriorSettings(cache_folder=folder, **settings), tell))


def test_priors_of_later_chips_are_fetched_while_the_model_answers(scene, tiles, tmp_path):
    busy, fetch = threading.Event(), tiles.fetch
    first_batch = {int((NORTH_UP.c + 960 * chip) // TILE_M) for chip in range(3)}

    def fetch_later_tiles_when_the_model_is_busy(tile, year, retry):
        assert tile.col in first_batch or busy.wait(20)
        return fetch(tile, year, retry)

    def meanwhile(batch):
        if batch == 0:
            before = len(tiles.fetched)
            busy.set()
            assert tiles.wait_for_more(than=before), "nothing is fetched beside the model"

    tiles.fetch = fetch_later_tiles_when_the_model_is_busy
    engine = PatientEngine(meanwhile)
    *_, last = run(order(scene), engine, tmp_path)
    assert isinstance(last, Finished)
    assert min(engine.nodes) > 100
    assert len(tiles.fetched) == len(set(tiles.fetched)), "a tile was fetched twice"


def test_in_a_warm_scan_nothing_is_fetched(scene, tiles, tmp_path):
    run(order(scene), PatientEngine(), tmp_path)
    tiles.fetched.clear()
    engine = PatientEngine()
    run(order(scene), engine, tmp_path)
    assert (tiles.fetched, len(engine.nodes)) == ([], 13)


def test_the_run_and_each_finding_say_where_the_prior_is_from(scene, tiles, tmp_path):
    told = []
    *_, last = run(order(scene, year=2024), PatientEngine(), tmp_path, told.append)
    assert (last.run.prior, last.run.prior_year, last.run.prior_attribution) == ("cog", 2023, "Google")
    assert {finding.properties["prior"] for finding in last.findings} == {"cog"}
    assert min(finding.properties["prior_nodes"] for finding in last.findings) > 100
    assert any("2023" in line and "2024" in line for line in told), told
    assert last.run.prior_year_asked == 2024
    assert last.run.prior_note == "; ".join(told)
    *_, last = run(order(scene, year=2023), PatientEngine(), tmp_path)
    assert last.run.prior_year_asked is None


def test_without_leave_a_run_stops_when_there_is_no_prior(scene, tiles, tmp_path):
    tiles.fails = lambda tile: True
    engine = PatientEngine()
    with pytest.raises(PriorError, match=r"cog is down.*--allow-no-prior") as error:
        run(order(scene), engine, tmp_path, deadline_s=5.0)
    assert "\n" not in str(error.value)
    assert engine.batches == 0


@pytest.mark.parametrize("leave", ["settings", "order"])
def test_with_leave_it_goes_on_and_every_finding_says_so(scene, tiles, tmp_path, leave):
    tiles.fails = lambda tile: True
    told = []
    asked = order(scene, allow_no_prior=leave == "order")
    *_, last = run(
        asked, PatientEngine(), tmp_path, told.append, deadline_s=5.0, allow_none=leave == "settings"
    )
    assert "cog is down" in last.run.prior_note
    assert (last.run.prior, last.run.prior_year) == ("none", None)
    said = {(finding.properties["prior"], finding.properties["prior_nodes"]) for finding in last.findings}
    assert said == {("none", 0)}
    assert len(last.findings) == 13
    assert any("cog is down" in line for line in told)


def test_a_source_that_breaks_half_way_leaves_findings_of_both_kinds(scene, tiles, tmp_path):
    tiles.fails = lambda tile: len(tiles.fetched) >= 4
    *_, last = run(order(scene), PatientEngine(), tmp_path, deadline_s=5.0, allow_none=True)
    kinds = {finding.properties["prior"]: finding.properties["prior_nodes"] > 0 for finding in last.findings}
    assert kinds == {"cog": True, "none": False}
    assert last.run.prior == "cog"


def test_a_cancel_ends_the_run_while_a_tile_is_on_its_way(scene, tiles, tmp_path):
    asked = threading.Event()

    def hang(tile, year, retry):
        asked.set()
        while True:
            retry.deadline().sleep(0.01)

    tiles.fetch = hang
    with pytest.raises(Cancelled):
        run(order(scene), PatientEngine(), tmp_path, cancelled=asked.is_set, deadline_s=60.0)


class PlainEngine(PatientEngine):
    """The same, trained on images alone."""

    card = replace(CARD, uses_prior=False, tasks=["detect", "describe"], unconfirmed_tasks=["count"])


def test_for_a_model_of_images_alone_no_prior_is_fetched_and_the_run_says_so(scene, tiles, tmp_path):
    engine = PlainEngine()
    *_, last = run(order(scene), engine, tmp_path)
    assert (tiles.fetched, set(engine.nodes)) == ([], {0})
    assert (last.run.prior, last.run.prior_asked) == ("none", "cog")
    assert [line for line in last.run.warnings if "prior" in line] == [
        "The prior that was asked for is not used, nor fetched: patient was trained on images alone."
    ]
    *_, last = run(order(scene, prior="none"), engine, tmp_path)
    assert not any("prior" in line for line in last.run.warnings)


def test_a_run_says_that_its_words_are_not_confirmed(scene, tmp_path):
    def warned(task):
        *_, last = run(order(scene, task=task, targets=("ship",), prior="none"), PlainEngine(), tmp_path)
        return any("have not said how it is asked to count" in line for line in last.run.warnings)

    assert [warned(task) for task in (Task.COUNT, Task.DETECT)] == [True, False]
