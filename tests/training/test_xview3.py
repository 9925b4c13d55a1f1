"""xView3's scoring, by hand: 200 m, close to shore, vessel, fishing and length."""

import json
from dataclasses import replace

import numpy as np
import pytest
from evaluation_samples import run
from hypothesis import given
from hypothesis import strategies as st

from fusar_train.evaluation.predictions import PredictionsError
from fusar_train.evaluation.xview3 import Point, match, read_points, score, with_shore

COLUMNS = "scene_id,detect_scene_row,detect_scene_column,is_vessel,is_fishing,vessel_length_m,distance_from_shore_km"


def at(row, col, scene="a", **more):
    return Point(
        scene,
        pixel=(row, col),
        **{"is_vessel": True, "is_fishing": False, "length_m": 50, "shore_km": 9, **more},
    )


def test_pairs_are_nearer_than_200_m_and_assigned_at_least_distance():
    assert match([at(0, 0)], [at(0, 19.9)]) == [(0, 0)]
    assert match([at(0, 0)], [at(0, 20)]) == []
    # Greedy by distance would pair 1 with 0 (100 m) and leave the other two apart.
    assert match([at(0, 0), at(0, 15)], [at(0, 25), at(0, 10)]) == [(0, 1), (1, 0)]
    # Without a prohibitive cost the total distance would be least for pairs of which one is too far.
    assert match([at(0, 0), at(0, 18)], [at(0, 19), at(0, 37)]) == [(0, 0), (1, 1)]
    assert match([], [at(0, 0)]) == match([at(0, 0)], []) == []


def test_degrees_are_measured_along_the_ellipsoid():
    def degrees(lon, lat):
        return Point("a", lonlat=(lon, lat))

    assert match([degrees(179.9995, 60)], [degrees(-179.9995, 60)]) == [
        (0, 0)
    ]  # 56 m across the antimeridian
    assert match([degrees(0, 60)], [degrees(0.004, 60)]) == []  # 223 m
    assert match([degrees(0, 60)], [degrees(0.003, 60)]) == [(0, 0)]  # 167 m
    with pytest.raises(PredictionsError, match="no place in common"):
        match([degrees(0, 60)], [at(0, 0)])


def test_a_score_by_hand():
    labels = [
        at(0, 0, shore_km=1.0, length_m=100), at(100, 0, is_fishing=True, length_m=400),
        at(200, 0, is_vessel=False, is_fishing=None), at(300, 0, confidence="LOW"),
        at(0, 0, "b", shore_km=2.0), at(0, 0, "c"),
    ]  # fmt: skip
    found = [
        at(5, 0, shore_km=2.1, length_m=80), at(100, 5, is_fishing=True, length_m=600), at(200, 0), at(300, 0),
        at(900, 0), at(900, 900, "b", shore_km=0.1), at(0, 0, "d"),
    ]  # fmt: skip
    got = score(found, labels)
    # a: 3 pairs, the one of low confidence left out, 1 false; b: 1 false and 1 missed.
    assert (got.scenes, got.detections, got.labels) == (2, 5, 4)
    assert got.detection == pytest.approx({"P": 3 / 5, "R": 3 / 4, "F1": 6 / 9})
    assert got.close_to_shore == pytest.approx({"P": 1 / 2, "R": 1 / 2, "F1": 1 / 2})
    assert got.vessel_f1 == pytest.approx(4 / 5)  # two vessels found, a platform taken for one
    assert got.fishing_f1 == 1.0  # of the two vessels
    assert got.length == pytest.approx(
        1 - (0.2 + 0.25 + 0.0) / 3
    )  # 80 for 100, 600 counts as 500 for 400, 50 for 50
    assert got.aggregate == pytest.approx(6 / 9 * (1 + 0.85 + 4 / 5 + 1.0 + 1 / 2) / 5)
    assert got.notices == (
        "Left out: 1 scenes that only the labels name.",
        "Left out: 1 scenes that only the detections name.",
    )


def test_what_detections_do_not_say_is_left_out_aloud():
    got = score([at(0, 0, is_vessel=None, length_m=None, shore_km=None)], [at(0, 0)])
    assert (got.close_to_shore, got.vessel_f1, got.fishing_f1, got.length) == (None, None, 0.0, None)
    assert (got.detection["F1"], got.aggregate) == (1.0, None)
    assert got.notices == (
        "Close to shore is left out: labels and detections need distance_from_shore_km, or detections --shore.",
        "Left out, with the aggregate: detections do not say is_vessel, vessel_length_m.",
    )
    with pytest.raises(PredictionsError, match="no scene in common"):
        score([at(0, 0)], [at(0, 0, "b")])


points = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)


@given(points, points)
def test_no_point_is_in_two_pairs_and_no_pair_is_missing(found, true):
    pairs = match([at(*place) for place in found], [at(*place) for place in true])
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    near = [
        (i, j)
        for i, (r, c) in enumerate(found)
        for j, (y, x) in enumerate(true)
        if (r - y) ** 2 + (c - x) ** 2 < 400
    ]
    assert set(pairs) <= set(near)
    taken = {i for i, _ in pairs}, {j for _, j in pairs}
    assert not [pair for pair in near if pair[0] not in taken[0] and pair[1] not in taken[1]]


def test_the_shore_is_read_from_points_and_never_unpickled(tmp_path):
    np.save(tmp_path / "a_shoreline.npy", np.array([[0, 0], [0, 500]]))
    np.save(tmp_path / "b_shoreline.npy", np.zeros((0, 2)))
    near, far, known = with_shore(
        [at(0, 490, shore_km=None), at(0, 0, "b", shore_km=None), at(0, 0, shore_km=7)], tmp_path
    )
    assert (near.shore_km, far.shore_km, known.shore_km) == (pytest.approx(0.1), np.inf, 7)
    contours = np.empty(2, dtype=object)
    contours[:] = [np.zeros((2, 2)), np.zeros((3, 2))]
    np.save(tmp_path / "c_shoreline.npy", contours, allow_pickle=True)
    np.save(tmp_path / "d_shoreline.npy", np.zeros(3))
    for scene in "cde":
        with pytest.raises(PredictionsError, match="pickled contours are not loaded"):
            with_shore([at(0, 0, scene, shore_km=None)], tmp_path)
    with pytest.raises(PredictionsError, match="--shore needs detect_scene_row"):
        with_shore([replace(at(0, 0, shore_km=None), pixel=None)], tmp_path)


def test_the_command_scores_two_tables(tmp_path, capsys):
    (tmp_path / "found.csv").write_text(f"{COLUMNS}\na,0,0,True,False,50,1\na,900,900,False,,30,9\n")
    (tmp_path / "labels.csv").write_text(
        f"{COLUMNS},confidence\na,5,0,True,True,100,1,HIGH\na,500,0,,,,9,MEDIUM\na,901,900,,,,9,LOW\n"
    )
    words = (
        "--benchmark",
        "xview3",
        "--predictions",
        tmp_path / "found.csv",
        "--truth",
        tmp_path / "labels.csv",
    )
    run(*words, "--out", tmp_path / "out")
    said = capsys.readouterr().out
    assert "1 detections, 2 labels, 1 scenes" in said
    assert "detection        P 100.0, R 50.0, F1 66.7" in said
    assert "close to shore   P 100.0, R 100.0, F1 100.0" in said
    got = json.loads((tmp_path / "out" / "xview3.json").read_text())
    assert (got["vessel_f1"], got["fishing_f1"], got["length"]) == (1.0, 0.0, 0.5)
    with pytest.raises(PredictionsError, match="give --predictions and --truth"):
        run("--benchmark", "xview3", "--predictions", tmp_path / "found.csv")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("scene_id,lat\na,1\n", "lacks scene_id, or detect_scene_row"),
        (f"{COLUMNS}\na,,,,,,\n", "row 2 has no scene_id or no place"),
        (f"{COLUMNS}\na,1,1,maybe,,,\n", "row 2: is_vessel is 'maybe'"),
        (f"{COLUMNS}\na,1,inf,,,,\n", "row 2: detect_scene_column is 'inf'"),
        (None, "cannot be read"),
    ],
)
def test_a_bad_table_is_one_line(tmp_path, text, told):
    path = tmp_path / "labels.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PredictionsError, match=told) as caught:
        read_points(path)
    assert "\n" not in str(caught.value)
