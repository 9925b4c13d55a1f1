"""What a prior changed: which detections are the same object, moved, added or removed."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fusar_gpt.contract import Finding, Polygon, SceneBox
from fusar_gpt.contract.prior_effect import (
    ADDED,
    CHANGES,
    MOVED,
    MOVED_BELOW,
    REMOVED,
    SAME,
    SAME_OBJECT,
    changes,
    iou,
    overlaps_of,
    summary,
)

NOWHERE = Polygon("Polygon", (((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0)),))


def ship(left, top=0.0, width=10.0, height=10.0, label="ship"):
    box = SceneBox(left, top, left + width, top + height)
    return Finding(f"{label}{left},{top}", "detections", NOWHERE, "EPSG:32631", None, box, {"label": label})


def told(detected, compared):
    found = changes(overlaps_of(detected, compared), len(detected), len(compared))
    return [(one.change, one.detected, one.compared) for one in found]


def test_same_moved_added_and_removed():
    detected = [ship(0), ship(102), ship(200), ship(300, label="plane")]
    compared = [ship(100), ship(0.5), ship(400), ship(300)]
    assert told(detected, compared) == [
        (SAME, 0, 1),
        (MOVED, 1, 0),
        (ADDED, 2, None),
        (ADDED, 3, None),
        (REMOVED, None, 2),
        (REMOVED, None, 3),
    ]


def test_a_run_against_itself_changes_nothing():
    run = [ship(0), ship(5), ship(3, top=4), ship(0, label="plane")]
    assert {change for change, *_ in told(run, run)} == {SAME}


boxes = st.builds(
    ship,
    st.floats(0, 60),
    st.floats(0, 60),
    st.floats(1, 30),
    st.floats(1, 30),
    st.sampled_from(("ship", "plane")),
)


@given(st.lists(boxes, max_size=8), st.lists(boxes, max_size=8))
def test_each_detection_is_told_once_and_by_the_rule(detected, compared):
    found = changes(overlaps_of(detected, compared), len(detected), len(compared))
    assert sorted(one.detected for one in found if one.detected is not None) == list(range(len(detected)))
    assert sorted(one.compared for one in found if one.compared is not None) == list(range(len(compared)))
    for one in found:
        if one.change in (MOVED, SAME):
            ours, theirs = detected[one.detected], compared[one.compared]
            assert ours.properties == theirs.properties
            assert one.iou == iou(ours.box, theirs.box) >= SAME_OBJECT
            assert (one.change == MOVED) == (one.iou < MOVED_BELOW)
    every_pair = [
        (one, other, iou(a.box, b.box))
        for one, a in enumerate(detected)
        for other, b in enumerate(compared)
        if a.properties == b.properties and iou(a.box, b.box)
    ]
    assert sorted(overlaps_of(detected, compared)) == every_pair


def test_a_box_without_area_overlaps_nothing():
    point = replace(ship(0), box=SceneBox(3, 3, 3, 3))
    assert iou(point.box, point.box) == 0
    assert told([point], [point]) == [(ADDED, 0, None), (REMOVED, None, 0)]


def test_the_summary_counts_by_label():
    nothing = dict.fromkeys(CHANGES, 0)
    counted = summary([("ship", ADDED), ("ship", ADDED), ("plane", SAME)])
    assert counted == {"ship": {**nothing, ADDED: 2}, "plane": {**nothing, SAME: 1}}
