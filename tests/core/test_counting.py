"""The counts of a run: the area's number where there is one, else that of its only chip."""

import json

import pytest

from fusar_qgis.contract import Finding, Polygon, SceneBox
from fusar_qgis.core.counting import AreaCount, Cells, Counts, areas_of, cells_of, result

SHAPE = Polygon("Polygon", (((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0)),))


def row(name, layer="answers", **properties):
    known = {"task": "count", "target": "ship", "complete": True, **properties}
    return Finding(name, layer, SHAPE, "EPSG:32631", None, SceneBox(0, 0, 1, 1), known)


def counts(*rows):
    made = Counts()
    for one in rows:
        made.add(one)
    return made


def chips(*numbers):
    return [row(f"c{n}", chip=n, count=number, method="chip count") for n, number in enumerate(numbers)]


def test_the_only_chip_speaks_for_the_area():
    assert counts(*chips(7)).areas() == [AreaCount("ship", 7, True, "chip count", None, 1)]
    assert counts(*chips(None)).areas() == []  # not understood: nobody knows


def test_the_areas_row_goes_before_its_chips():
    area = row("a", count=24, method="detections", agreement=2 / 3)
    (made,) = counts(*chips(9, 9, 8), area).areas()
    assert (made.number, made.method, made.agreeing, made.chips) == (24, "detections", 2, 3)


def test_several_chips_without_a_row_of_the_area_are_no_count():
    assert counts(*chips(3, 4)).areas() == []


def test_each_target_has_its_own():
    ships, planes = row("a", count=3, chip=None), row("b", count=0, target="plane", chip=None)
    assert [(one.target, one.number) for one in counts(ships, planes).areas()] == [("ship", 3), ("plane", 0)]


def test_a_chip_without_data_and_other_findings_are_not_asked():
    dark = row("d", chip=5, count=None, complete=False, data_share=0.1)
    box, incomplete = row("b", "detections", chip=0), row("i", chip=1, task="detect")
    area = row("a", count=3, agreement=0.5)
    (made,) = counts(dark, box, incomplete, *chips(1, 2), area).areas()
    assert (made.chips, made.agreeing) == (2, 1)


@pytest.mark.parametrize(("agreement", "agreeing"), [(0.78, 7), (0.7778, 7), (0.85, None), (1, 9), (0, 0)])
def test_how_many_chips_agree_only_where_the_share_is_one_of_whole_chips(agreement, agreeing):
    (made,) = counts(*chips(*range(9)), row("a", count=24, agreement=agreement)).areas()
    assert made.agreeing == agreeing


def test_what_is_replaced_is_forgotten():
    made = counts(*chips(7))
    made.drop("c0")
    assert made.areas() == []


def test_the_cells_of_each_target_are_counted_and_those_replaced_are_not():
    cells = Cells()
    for n in range(4):
        cells.add(row(f"s{n}", "grid", hit=n < 2, chip=0))
        cells.add(row(f"p{n}", "grid", hit=False, target="plane", chip=0))
    cells.add(row("a", chip=0))
    assert cells.by_target() == {"ship": (2, 4), "plane": (0, 4)}
    cells.drop("s0")
    cells.drop("a")
    assert cells.by_target() == {"ship": (1, 3), "plane": (0, 4)}


def test_a_result_is_kept_as_json_and_read_again():
    cells = Cells()
    cells.add(row("s", "grid", hit=True, chip=0))
    made = counts(*chips(7), row("a", count=24, agreement=0.5))
    kept = json.loads(json.dumps(result(made, cells)))
    assert areas_of(kept) == made.areas()
    assert cells_of(kept) == cells.by_target()


@pytest.mark.parametrize("kept", [{}, {"counts": [7], "cells": 7}, {"counts": [{}], "cells": {"ship": 1}}])
def test_a_result_that_cannot_be_read_is_none(kept):
    assert (areas_of(kept), cells_of(kept)) == ([], {})
