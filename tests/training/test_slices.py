"""Slices of an evaluation (crowded, inshore, offshore, clean of overlap), and false alarms where no target is."""

import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from evaluation_samples import CARD, count, detect, record, run
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rasterio.transform import Affine
from test_data_overlap import ground, stretched

from fusar_gpt.engine import Reply
from fusar_gpt.frames import ChipBox, SceneBox
from fusar_gpt.tasks import Task
from fusar_gpt.tasks.compact import render_boxes
from fusar_train.corpus.record import RecordObject
from fusar_train.corpus.records import write_records
from fusar_train.evaluation import command
from fusar_train.evaluation.card import FALSE_ALARMS, SLICED, sliced, write_card
from fusar_train.evaluation.false_alarms import SceneAlarms, false_alarms, rates, scenes_in
from fusar_train.evaluation.labelled_images import open_images
from fusar_train.evaluation.metrics import ALL, MetricKey
from fusar_train.evaluation.predictions import (
    PredictedBox,
    PredictionsError,
    TrueBox,
    read_predictions,
    write_predictions,
)
from fusar_train.evaluation.results import evaluate_predictions
from fusar_train.evaluation.slices import (
    CLEAN,
    CROWDED,
    INSHORE,
    OFFSHORE,
    OVERLAPPING,
    land_share,
    slices_of,
)

pytestmark = pytest.mark.usefixtures("no_java")

SHIP_BOX = ChipBox(60, 60, 90, 72)


def sea(seed=0, size=(160, 240), level=12.0):
    """Grey levels of speckled sea."""
    return np.random.default_rng(seed).gamma(3.0, level / 3, size).clip(0, 255).astype(np.uint8)


def with_ship(image):
    image[60:72, 60:90] = 255
    image[66, 40:120] = 200  # a side lobe
    return image


@pytest.mark.parametrize("level", [1.0, 12.0, 50.0])
def test_a_ship_at_sea_is_offshore_and_beside_land_inshore(level):
    open_sea, coast = with_ship(sea(level=level)), with_ship(sea(level=level))
    coast[:, 200:] = sea(1, (160, 40), level=150)
    assert slices_of(open_sea, [SHIP_BOX], [SHIP_BOX]) == {OFFSHORE}
    assert slices_of(coast, [SHIP_BOX], [SHIP_BOX]) == {INSHORE}
    assert slices_of(np.stack([coast] * 3, axis=2), [SHIP_BOX], [SHIP_BOX]) == {INSHORE}
    assert land_share(coast, [SHIP_BOX]) == pytest.approx(40 / 240, abs=0.05)


def test_an_image_without_ships_is_neither_and_eight_objects_are_a_crowd():
    assert slices_of(sea(level=150), [], []) == frozenset()
    assert slices_of(sea(), [SHIP_BOX] * 7, []) == frozenset()
    assert slices_of(sea(), [SHIP_BOX] * 8, [SHIP_BOX]) == {CROWDED, OFFSHORE}


@given(st.integers(1, 40), st.integers(1, 40), st.floats(-50, 50), st.floats(1, 90))
def test_the_share_of_land_is_a_share_for_any_size_and_box(height, width, left, side):
    image = np.full((height, width), 90, np.uint8)
    assert 0 <= land_share(image, [ChipBox(left, left, left + side, left + side)]) <= 1


def answers():
    """Two images inshore, one of which is wrong, and one offshore."""
    ship = TrueBox(SHIP_BOX, "ship")
    said = [PredictedBox(SHIP_BOX, "ship", 0.5)]
    found = []
    for image, slices, right in (
        ("a", (INSHORE,), True),
        ("b", (INSHORE, CROWDED), False),
        ("c", (OFFSHORE,), True),
    ):
        found += [
            p.model_copy(update={"slices": slices})
            for p in (count(image, 1 if right else 4, 1), detect(image, said if right else [], [ship]))
        ]
    return found


def test_each_slice_has_its_figures_and_absent_ones_none(tmp_path):
    figures = evaluate_predictions(answers())[0].figures
    counts = {key.cases: f.value for key, f in figures.items() if key.metric == "accuracy"}
    assert counts == {
        ALL: pytest.approx(2 / 3),
        "with any": pytest.approx(2 / 3),
        INSHORE: 0.5,
        CROWDED: 0,
        OFFSHORE: 1,
    }
    assert figures[MetricKey(Task.DETECT, "ship", "R@0.5", INSHORE)].value == 0.5
    assert figures[MetricKey(Task.DETECT, "ship", "F1@0.5", OFFSHORE)].n == 1
    path = tmp_path / "predictions.jsonl"
    with path.open("w", encoding="utf-8") as file:
        write_predictions(file, answers())
    assert read_predictions(path) == answers()
    older = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    path.write_text(
        "\n".join(json.dumps({k: v for k, v in row.items() if k != "slices"}) for row in older), "utf-8"
    )
    assert {p.slices for p in read_predictions(path)} == {()}


def crop_record(folder, number, left, **more):
    """A record that shows 180 x 180 px of one ground."""
    box = SceneBox(20, 20, 40, 30)
    made = record(folder, number, [RecordObject(box, "ship")], **more)
    image = stretched(ground(3)[:180, left : left + 180], gain=20)
    image[20:30, 20:40] = 250
    Image.fromarray(image).save(made.image)
    return made


def test_images_of_ground_that_is_trained_on_are_a_slice(tmp_path, monkeypatch):
    other = record(tmp_path / "raw", 3, [RecordObject(SceneBox(20, 20, 40, 30), "ship")])
    records = [
        crop_record(tmp_path / "raw", 1, 0, split="train"),
        crop_record(tmp_path / "raw", 2, 60),
        replace(other, provenance=other.provenance | {"shore": INSHORE}),
    ]
    write_records(records, tmp_path / "set")
    images = open_images(str(tmp_path / "set"), "test", CARD, overlaps=True)
    assert [image.slices for image in map(images.make, range(2))] == [
        {OVERLAPPING, OFFSHORE},
        {CLEAN, INSHORE},
    ]
    run("cfar", tmp_path / "set", "--overlaps", "--tasks", "count", "--out", tmp_path / "out")
    told = {p.image: set(p.slices) for p in read_predictions(tmp_path / "out" / "predictions.jsonl")}
    assert told == {"toy/2": {OVERLAPPING, OFFSHORE}, "toy/3": {CLEAN, INSHORE}}
    assert "images overlapping train" in (tmp_path / "out" / "report.html").read_text("utf-8")
    with pytest.raises(PredictionsError, match="leave out --overlaps"):
        run("cfar", tmp_path / "set", "--overlaps", "--split", "train")


class Alarmist:
    """Sees one ship in the middle of every chip."""

    card, hash, device, batch_size = replace(CARD, targets=["ship"]), "0" * 64, "cpu", 4

    def answer(self, requests, cancelled):
        text = render_boxes([(ChipBox(50, 50, 60, 60), "ship")], (112, 112))
        return [Reply(text, (len(text),), np.array([-0.1]), finished=True) for _ in requests]


@pytest.fixture
def empty_scenes(tmp_path):
    """Two scenes of 1.12 x 1.12 km, of which one has no data in one half."""
    folder = tmp_path / "scenes"
    for name in ("whole.tif", "sub/half.tiff"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        power = np.random.default_rng(0).gamma(4.0, 0.01, (112, 112)).astype(np.float32)
        if "half" in name:
            power[:, :56] = np.nan
        profile = {"driver": "GTiff", "width": 112, "height": 112, "count": 1, "dtype": "float32"}
        at = Affine(10.0, 0.0, 593000.0, 0.0, -10.0, 5749000.0)
        with rasterio.open(path, "w", crs="EPSG:32631", transform=at, **profile) as file:
            file.write(power, 1)
    return folder


def test_all_that_is_found_where_no_target_is_is_false(empty_scenes):
    half, whole = false_alarms(Alarmist(), scenes_in(empty_scenes))
    assert (half.scene, whole.scene, whole.pixel_m) == ("half.tiff", "whole.tif", pytest.approx(10, rel=0.01))
    assert (dict(half.alarms), dict(whole.alarms)) == ({"ship": 1}, {"ship": 1})
    assert whole.km2 == pytest.approx(1.12**2, rel=0.01)
    assert half.km2 == pytest.approx(whole.km2 / 2, rel=0.05)
    found = rates([half, whole])["ship"]
    assert found["per_100_km2"] == pytest.approx(200 / (1.5 * 1.12**2), rel=0.03)
    assert found["low"] < found["per_100_km2"] < found["high"]


def test_no_alarm_on_little_ground_is_no_proof_of_none():
    found = rates([SceneAlarms("a", 10.0, 50.0, {"ship": 0})])["ship"]
    assert (found["per_100_km2"], found["low"], found["high"]) == (0, 0, pytest.approx(7.38, abs=0.01))


def test_false_alarms_are_told_alone_or_beside_the_figures(empty_scenes, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "load_engine", lambda name: Alarmist())
    run("alarmist", "--without-targets", empty_scenes, "--out", tmp_path / "out")
    assert "false alarms, ship: 1" in capsys.readouterr().out
    stored = json.loads((tmp_path / "out" / "figures.json").read_text("utf-8"))
    assert [row["scene"] for row in stored["false_alarms"]["scenes"]] == ["half.tiff", "whole.tif"]
    assert "False alarms on scenes without targets" in (tmp_path / "out" / "report.html").read_text("utf-8")
    for words, told in (
        (["cfar", "--without-targets", empty_scenes], "needs a checkpoint"),
        (["alarmist", "--without-targets", tmp_path / "out"], "holds no GeoTIFF"),
    ):
        with pytest.raises(PredictionsError, match=told):
            run(*words)


def test_the_card_shows_slices_and_false_alarms(tmp_path):
    table = sliced("toy", answers())
    assert table["toy: inshore"] == {
        "images": 2,
        "exact count": 0.5,
        "P at IoU .5": 1,
        "R at IoU .5": 0.5,
        "F1 at IoU .5": pytest.approx(2 / 3),
    }
    alarms = rates([SceneAlarms("a", 10.0, 50.0, {"ship": 1})])
    columns = {name: {"count ship": 0.5} for name in ("right prior", "no prior", "wrong prior")}
    results = {"simulated": columns, "simulated ships": {}, SLICED: table, FALSE_ALARMS: alarms}
    facts = {"parameters": 4.0, "questions": "", "count": 3, "run": ""}
    write_card(tmp_path, results, facts)
    page = (tmp_path / "README.md").read_text("utf-8")
    assert "| toy: inshore | 2 | 0.500 | 1.000 | 0.500 | 0.667 |" in page
    assert "| toy: crowded | 1 | 0.000 |  | 0.000 | 0.000 |" in page
    assert "| ship | 1 | 50.0 | 2.0 (0.1 to 11.1) |" in page
