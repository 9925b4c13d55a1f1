"""The main path from bright pixels to polygons on the ground, with an engine that sees by threshold.

The engine is no stub of the model's answers: it finds bright blobs in the very chips the model would see and
writes them in the compact wording, so whatever lands on the ground went through reading, quantising, resizing,
parsing, georeferencing and merging. The real model runs in tests/e2e.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import shapely
from affine import Affine
from rasters import NORTH_UP, ROTATED, SOUTH_UP, swath_gcps, write
from shapely.geometry import shape

from fusar_gpt.contract import Finished, Found, Started
from fusar_gpt.engine import Reply
from fusar_gpt.errors import AreaError, Cancelled, FusarError, TaskError
from fusar_gpt.frames import ChipBox, GroundPoints, ScenePoints
from fusar_gpt.imagery import Area, ChipFormat, open_scene, plan_chips
from fusar_gpt.interpret import footprint, interpret
from fusar_gpt.model import Card
from fusar_gpt.model.folder import CARD_TASKS
from fusar_gpt.planning import request_for
from fusar_gpt.tasks import Task
from fusar_gpt.tasks.compact import render_boxes, render_count

CHIP = 96
CARD = Card(
    name="threshold", title="Threshold", prompt_set="compact", width=CHIP, height=CHIP, patch=8, merge=2, ground_m=None,
    targets=["ship"], demonstration=True, prior_years=None, licence="none", trained_on="nothing",
    tasks=list(CARD_TASKS), free_questions=True,
)  # fmt: skip


class ThresholdEngine:
    """Answers count and detect from the pixels of the chip."""

    card, hash, device, batch_size = CARD, "0" * 64, "cpu", 3

    def __init__(self):
        self.asked = 0

    def answer(self, requests, cancelled):
        if cancelled():
            raise Cancelled("cancelled")
        self.asked += len(requests)
        return [self._reply(request) for request in requests]

    def _reply(self, request):
        boxes = blobs(request.image > 200)
        said = {
            "count": render_count(len(boxes)),
            "detect": render_boxes([(b, "ship") for b in boxes], (CHIP, CHIP)),
        }
        text = said.get(request.prompt.split()[0], "dark sea")
        return Reply(text, (len(text),), np.array([np.log(0.75)]), finished=True)


def blobs(bright):
    """The bounding boxes of bright pixels, one for each gap-free run of columns and rows."""
    columns = runs(bright.any(axis=0))
    found = []
    for left, right in columns:
        found += [
            ChipBox(left, top, right, bottom) for top, bottom in runs(bright[:, left:right].any(axis=1))
        ]
    return found


def runs(line):
    edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


TRUTH = [(20, 30, 34, 38), (120, 40, 128, 60), (88, 100, 110, 108), (180, 130, 192, 141)]
PLACED = {
    "north-up": {"transform": NORTH_UP},
    "south-up": {"transform": SOUTH_UP},
    "rotated": {"transform": ROTATED},
    "gcps": {"gcps": swath_gcps(220, 160, size=0.1)},
}


def scene_file(folder, **placed):
    """220 x 160 px of dark sea with the bright TRUTH boxes."""
    power = np.random.default_rng(0).gamma(20.0, 0.0005, (160, 220)).astype(np.float32)
    for left, top, right, bottom in TRUTH:
        power[top:bottom, left:right] = 30.0
    return write(folder / "scene.tif", power, **placed)


def run(order, engine=None, cancelled=lambda: False):
    return list(interpret(order, engine or ThresholdEngine(), cancelled))


def boxes_in_pixels(path, findings):
    with open_scene(path) as scene:
        for finding in findings:
            ground = GroundPoints.of(shapely.get_coordinates(shape(finding.geometry))[:-1])
            xy = scene.to_scene(ground).xy()
            yield (*xy.min(axis=0), *xy.max(axis=0))


@pytest.mark.parametrize("placed", PLACED)
def test_bright_objects_land_where_they_are(tmp_path, placed):
    path = scene_file(tmp_path, **PLACED[placed])
    *_, last = run(request_for(path, Task.DETECT, overlap=0.4))
    assert isinstance(last, Finished)
    found = sorted(boxes_in_pixels(path, last.findings))
    assert len(found) == len(TRUTH), "an object seen in several chips must become one finding"
    np.testing.assert_allclose(found, sorted(TRUTH), atol=1.01)


def test_findings_leave_chip_by_chip_and_end_as_the_final_set(tmp_path):
    path = scene_file(tmp_path)
    engine = ThresholdEngine()
    events = interpret(request_for(path, Task.DETECT, overlap=0.4), engine)
    started = next(events)
    assert isinstance(started, Started)
    assert engine.asked == 0
    first = next(events)
    assert isinstance(first, Found)
    assert 0 < engine.asked <= engine.batch_size < started.chips
    shown = {}
    for event in itertools.chain([first], events):
        if isinstance(event, Found):
            for old in event.replaced:
                del shown[old]
            shown.update((finding.id, finding) for finding in event.added)
    assert set(shown) == {finding.id for finding in event.findings}


def test_every_finding_carries_its_run(tmp_path):
    *_, last = run(request_for(scene_file(tmp_path), Task.DETECT))
    for finding in last.findings:
        row = finding.properties
        assert (row["run"], row["model"], row["demonstration"], row["prior"]) == (
            last.run.id,
            "threshold",
            True,
            "none",
        )
        assert row["objectness"] == pytest.approx(0.75)
        assert row["confidence"] is None
    assert last.run.prompts == ("detect ship",)
    assert last.run.stretch_low_db < last.run.stretch_high_db


def test_only_objects_inside_the_area_are_found(tmp_path):
    path = scene_file(tmp_path, transform=NORTH_UP)
    left, top, right, bottom = TRUTH[0]
    ring = shapely.box(left - 5, top - 5, right + 5, bottom + 5)
    outline = shapely.transform(
        shapely.box(0, 0, 220, 160).difference(ring),
        lambda xy: np.array([NORTH_UP @ tuple(p) for p in xy]),
    )
    *_, last = run(request_for(path, Task.DETECT, area=Area(outline, "EPSG:32631")))
    assert sorted(round(box[0]) for box in boxes_in_pixels(path, last.findings)) == sorted(
        b[0] for b in TRUTH[1:]
    )


def test_cancel_stops_between_batches(tmp_path):
    engine = ThresholdEngine()
    with pytest.raises(Cancelled):
        run(
            request_for(scene_file(tmp_path), Task.DETECT, overlap=0.4),
            engine,
            cancelled=lambda: engine.asked > 0,
        )
    assert engine.asked == engine.batch_size


def test_a_box_larger_than_a_chip_is_wholly_seen(tmp_path):
    path = scene_file(tmp_path, transform=NORTH_UP)
    x, y = NORTH_UP @ (110, 80)
    *_, last = run(
        request_for(
            path, Task.CLASSIFY, boxes=(Area.from_bbox(x - 900, y - 600, x + 900, y + 600, "EPSG:32631"),)
        )
    )
    (finding,) = last.findings
    np.testing.assert_allclose(shape(finding.geometry).bounds, (x - 900, y - 600, x + 900, y + 600), atol=20)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"targets": ("unicorn",)}, TaskError),
        ({"task": Task.CLASSIFY}, TaskError),
        ({"task": Task.ASK}, TaskError),
        ({"area": Area.from_bbox(0, 0, 1, 1)}, AreaError),
        ({"prior": "gone.tif"}, FusarError),
    ],
)
def test_a_senseless_order_fails_before_the_engine_is_asked(tmp_path, change, error):
    engine = ThresholdEngine()
    with pytest.raises(error) as told:
        run(request_for(**{"scene": scene_file(tmp_path), "task": Task.DETECT, **change}), engine)
    assert engine.asked == 0
    assert "\n" not in str(told.value)


def test_a_chip_across_the_antimeridian_asks_for_its_prior_there(tmp_path):
    path = write(
        tmp_path / "fiji.tif",
        np.ones((96, 96), np.float32),
        transform=Affine(100, 0, 815_000, 0, -100, 8_120_000),
        crs="EPSG:32760",
    )
    with open_scene(path) as scene:
        (chip,) = plan_chips(scene, shapely.box(0, 0, 96, 96), ChipFormat(96, 96, 16))
        place = footprint(scene, chip)
        assert 179 < place.west < 180
        assert -180 < place.east < -179
        nodes = place.nodes((4, 4))
        at = place.lonlat_to_chip(nodes)
        assert (np.abs(at.xy() - 48) < 55).all(), "a node lies far from its chip"
        np.testing.assert_allclose(
            scene.from_lonlat(scene.to_lonlat(ScenePoints.of([(90, 5)]))).xy(), [(90, 5)]
        )


@pytest.mark.parametrize(
    ("question", "task", "understood", "number"),
    [
        ("how many vessels are there?", "count", "count ship", len(TRUTH)),
        ("图中有几艘船", "count", "count ship", len(TRUTH)),
        ("where are the ships?", "detect", "detect ship", len(TRUTH)),
        ("how long is the largest ship?", "detect", "detect ship", len(TRUTH)),
        ("which cells hold ships?", "locate", "locate ship", None),
        ("describe the area", "describe", "describe", None),
        ("what is this?", "describe", "describe", None),
    ],
)
def test_a_question_in_words_is_taken_for_its_task_and_says_so(tmp_path, question, task, understood, number):
    *_, last = run(request_for(scene_file(tmp_path), Task.ASK, question=question))
    assert last.run.task == task
    rows = [finding.properties for finding in last.findings if finding.layer == "answers"]
    assert rows
    assert {(row["question"], row["understood"]) for row in rows} == {(question, understood)}
    if task != "describe":
        (area,) = [row for row in rows if "chip" not in row]
        assert (area["count"], area["complete"]) == (number, task != "locate")  # it says "dark sea" to locate
        assert ("no answer was understood" in area["text"]) == (task == "locate")
        if "long" in question:
            assert "120 to 220 m long" in area["text"]


def test_a_task_that_was_asked_for_by_name_says_nothing_of_words(tmp_path):
    *_, last = run(request_for(scene_file(tmp_path), Task.COUNT, question="how many are moored?"))
    rows = [finding.properties for finding in last.findings if finding.layer == "answers"]
    assert {(row["question"], row["understood"]) for row in rows} == {(None, None)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"question": "are the ships moored?"},
            r"not taught to answer that question; it can be asked to count or detect ships$",
        ),
        ({"question": "where is the second one?"}, "not taught to answer that question"),
        ({"question": "有几艘油轮"}, "没有学过回答这个问题"),
        ({"task": Task.LOCATE}, "not taught to locate; it can be asked to count or detect ships$"),
    ],
)
def test_what_was_not_taught_is_refused_before_the_engine_is_asked(tmp_path, change, said):
    engine = ThresholdEngine()
    engine.card = replace(CARD, tasks=["count", "detect"], free_questions=False)
    with pytest.raises(TaskError, match=said):
        run(request_for(**{"scene": scene_file(tmp_path), "task": Task.ASK, **change}), engine)
    assert engine.asked == 0


def test_a_card_without_abilities_works_and_the_run_says_so(tmp_path):
    engine = ThresholdEngine()
    engine.card = replace(CARD, tasks=None, free_questions=None)
    *_, last = run(request_for(scene_file(tmp_path), Task.ASK, question="is it windy?"), engine)
    assert last.findings[0].properties["text"] == "dark sea"
    assert any(
        told.startswith("The checkpoint's card does not say which tasks") for told in last.run.warnings
    )
