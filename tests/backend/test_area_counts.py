"""How many objects an area of several chips has: what the number is made from, and whether the chips agree with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rasters import NORTH_UP
from test_interpret import CARD, TRUTH, ThresholdEngine, run, scene_file

from fusar_gpt.contract import Finished, Task
from fusar_gpt.findings import count_by_kind
from fusar_gpt.imagery import Area
from fusar_gpt.planning import request_for


class Miscounting(ThresholdEngine):
    """Counts nine in every second chip."""

    counted = 0

    def _reply(self, request):
        reply = super()._reply(request)
        if request.prompt.startswith("count"):
            self.counted += 1
        wrong = request.prompt.startswith("count") and self.counted % 2 == 1
        return replace(reply, text="9") if wrong else reply


class NotDetecting(ThresholdEngine):
    card = replace(CARD, tasks=["count"])


def counted(path, engine=None, **choices):
    """The run, its rows about chips, the area's row or None, and the detections."""
    *_, last = run(request_for(path, Task.COUNT, **choices), engine)
    assert isinstance(last, Finished)
    rows = [finding for finding in last.findings if finding.layer == "answers"]
    chips = [row.properties for row in rows if "chip" in row.properties]
    areas = [row.properties for row in rows if "chip" not in row.properties]
    detections = [finding for finding in last.findings if finding.layer == "detections"]
    assert len(areas) <= 1
    return last.run, chips, areas[0] if areas else None, detections


def test_an_area_of_several_chips_has_as_many_objects_as_are_detected_in_it(tmp_path):
    path = scene_file(tmp_path)
    made, chips, area, detections = counted(path)
    assert area["count"] == len(detections) == len(TRUTH)
    assert (area["method"], area["agreement"], area["complete"]) == ("detections", 1.0, True)
    assert f"agrees in all {len(chips)} chips" in area["text"]
    assert {row["method"] for row in chips} == {"chip count"}
    assert sum(row["count"] for row in chips) > len(TRUTH), "the chips overlap"
    assert (made.task, made.targets, made.prompts) == ("count", ("ship",), ("count ship", "detect ship"))
    assert made.overlap == 0.25
    *_, detected = run(request_for(path, Task.DETECT))
    assert {f.box for f in detections} == {f.box for f in detected.findings}


def test_chips_that_count_otherwise_than_they_detect_are_told(tmp_path):
    _, chips, area, detections = counted(scene_file(tmp_path), Miscounting())
    wrong = sum(row["count"] == 9 for row in chips)
    assert 0 < wrong < len(chips)
    assert area["count"] == len(detections) == len(TRUTH)
    assert area["agreement"] == pytest.approx(1 - wrong / len(chips))
    assert f"in {wrong} of {len(chips)} chips the model's own count is another" in area["text"]


def test_objects_beside_the_area_are_not_counted(tmp_path):
    path = scene_file(tmp_path, transform=NORTH_UP)
    left, top = NORTH_UP @ (0, 0)
    right, bottom = NORTH_UP @ (112, 160)
    area = Area.from_bbox(left, bottom, right, top, "EPSG:32631")
    inside = [box for box in TRUTH if (box[0] + box[2]) / 2 < 112]
    assert counted(path, area=area)[2]["count"] == len(inside) < len(TRUTH)


def test_one_chip_is_counted_as_the_paper_does(tmp_path):
    engine = ThresholdEngine()
    path = scene_file(tmp_path, transform=NORTH_UP)
    x, y = NORTH_UP @ (48, 48)
    area = Area.from_bbox(x - 300, y - 300, x + 300, y + 300, "EPSG:32631")
    made, (chip,), total, detections = counted(path, engine, area=area)
    assert (chip["count"], chip["method"]) == (1, "chip count")
    assert (total, detections, engine.asked, made.prompts) == (None, [], 1, ("count ship",))


def test_where_nothing_can_be_detected_the_chips_are_added_up(tmp_path):
    made, chips, area, detections = counted(scene_file(tmp_path), NotDetecting())
    assert area["count"] == sum(row["count"] for row in chips) >= len(TRUTH)
    assert (area["method"], area.get("agreement"), detections) == ("sum of chips", None, [])
    assert "twice" in area["text"]
    assert (made.overlap, made.prompts) == (0.0, ("count ship",))


@pytest.mark.parametrize("cut", ["count", "detect"])
def test_an_answer_that_was_cut_off_makes_the_number_incomplete(tmp_path, cut):
    class CutOff(ThresholdEngine):
        def _reply(self, request):
            reply = super()._reply(request)
            return replace(reply, finished=not request.prompt.startswith(cut))

    area = counted(scene_file(tmp_path), CutOff())[2]
    assert area["complete"] is False
    assert area["agreement"] == 0


def test_nothing_that_was_understood_is_no_zero(tmp_path):
    class Babbling(ThresholdEngine):
        def _reply(self, request):
            return replace(super()._reply(request), text="dark sea", logprobs=np.array([0.0]))

    assert counted(scene_file(tmp_path), Babbling())[2]["count"] is None
    engine = Babbling()
    engine.card = NotDetecting.card
    assert counted(scene_file(tmp_path), engine)[2]["count"] is None


def test_the_summary_gives_the_number_of_the_area(tmp_path):
    *_, last = run(request_for(scene_file(tmp_path), Task.COUNT), Miscounting())
    assert count_by_kind(last.findings) == {"ship counted": len(TRUTH), "ship detected": len(TRUTH)}
