"""Training chips that the real reader takes, and figures against the truth worked out by hand."""

import json
import subprocess

import numpy as np
import pytest
from batches import Log, rows, run, write_areas
from conftest import ROOT, write_tiff
from osgeo import gdal
from qgis.core import NULL, QgsApplication, QgsVectorLayer

PYTHON = ROOT / ".venv" / "bin" / "python"
TRAINING = pytest.mark.skipif(not PYTHON.exists(), reason="no .venv with fusar-train (make test makes it)")

READ = """
import json, sys
from pathlib import Path
from fusar_train.corpus.records import read_records
records = list(read_records(Path(sys.argv[1])))
print(json.dumps([[r.id, r.pixels().tolist(), [[o.label, o.fine, list(vars(o.box).values())] for o in r.objects],
                   r.scene, dict(r.provenance)] for r in records]))
"""


@pytest.fixture
def provider(plugin):
    return QgsApplication.processingRegistry().providerById("fusar")


def polygons(path, boxes, crs="EPSG:32650"):
    """Write boxes (left, bottom, right, top, properties) as GeoJSON."""
    features = []
    for left, bottom, right, top, properties in boxes:
        ring = [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]
        shape = {"type": "Polygon", "coordinates": [ring]}
        features.append({"type": "Feature", "properties": properties, "geometry": shape})
    name = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:{crs.replace(':', '::')}"}}
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": name, "features": features}))
    return str(path)


@pytest.fixture
def truth(tmp_path):
    # Pixels are 5 m, the scene is 200 x 160; its upper left corner is (500000, 4000000).
    return polygons(
        tmp_path / "truth.geojson",
        [
            (500050, 3999950, 500100, 3999975, {"kind": "ship", "fine": "S-1"}),
            (500490, 3999500, 500520, 3999520, {"kind": "ship", "fine": None}),  # across two chips
            (500900, 3999210, 500950, 3999260, {"kind": "plane", "fine": None}),
            (900000, 100, 900100, 200, {"kind": "ship", "fine": None}),  # elsewhere
        ],
    )


def prepare(scene_path, truth, out, log=None, **more):
    return run(
        "preparechips", log, INPUT=str(scene_path), TRUTH=truth, LABEL_FIELD="kind", FINE_FIELD="fine", SIZE=100,
        DATASET="our port", LICENCE="ours", OUTPUT=str(out), **more,
    )  # fmt: skip


@TRAINING
def test_chips_are_records_that_the_trainer_reads(provider, scene_path, truth, tmp_path):
    out = tmp_path / "records"
    made = prepare(scene_path, truth, out)
    assert (made["CHIPS"], made["OBJECTS"]) == (4, 4)
    assert sorted(path.name for path in tmp_path.iterdir() if "records" in path.name) == ["records"]
    words = [str(PYTHON), "-c", READ, str(out)]
    said = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert [record[0] for record in said] == [
        f"our_port/harbour_{at}" for at in ("0_0", "0_100", "80_0", "80_100")
    ]
    pixels = gdal.Open(str(scene_path)).ReadAsArray()
    whole = np.block(
        [[np.array(said[0][1]), np.array(said[1][1])], [np.array(said[2][1]), np.array(said[3][1])]]
    )
    assert np.array_equal(whole, pixels)
    assert [record[2] for record in said] == [
        [["ship", "S-1", [10.0, 5.0, 20.0, 10.0]]],
        [],
        [["ship", None, [98.0, 16.0, 104.0, 20.0]]],
        [["ship", None, [-2.0, 16.0, 4.0, 20.0]], ["plane", None, [80.0, 68.0, 90.0, 78.0]]],
    ]
    assert {record[3] for record in said} == {"harbour"}
    about = said[0][4]
    assert (about["licence"], about["complete"], about["cut"]) == ("ours", ["plane", "ship"], [0, 0, 100, 80])
    assert about["pixel_m"] == pytest.approx(5, rel=2e-3)
    checked = subprocess.run(
        [str(PYTHON.parent / "fusar-train"), "data", "check", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_chips_without_objects_may_be_left_out(provider, scene_path, truth, tmp_path):
    made = prepare(scene_path, truth, tmp_path / "records", KEEP_EMPTY=False, COMPLETE=False)
    assert made["CHIPS"] == 3
    lines = (tmp_path / "records" / "records.jsonl").read_text().splitlines()
    assert "complete" not in json.loads(lines[0])["provenance"]


def test_what_cannot_become_chips_leaves_nothing(provider, scene_path, truth, tmp_path):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    unnamed = polygons(
        tmp_path / "unnamed.geojson", [(500050, 3999950, 500100, 3999975, {"kind": "", "fine": ""})]
    )
    for raster, known, out, words in (
        (scene_path, truth, taken, "is there already"),
        (scene_path, unnamed, tmp_path / "new", "no class in the field kind"),
        (write_tiff(tmp_path / "nowhere.tif", epsg=None), truth, tmp_path / "new", "no georeferencing"),
    ):
        log = Log()
        assert prepare(raster, known, out, log) is None
        assert words in " ".join(log.errors)
    assert not (tmp_path / "new").exists()
    assert [path.name for path in taken.iterdir()] == ["mine.txt"]
    assert not list(tmp_path.glob("*.partial"))


def test_figures_worked_by_hand(provider, tmp_path):
    said = polygons(
        tmp_path / "said.geojson",
        [
            (500000, 3999000, 500100, 3999100, {"label": "ship", "score": 0.9}),  # IoU 1
            (
                500000,
                3999000,
                500100,
                3999080,
                {"label": "ship", "score": 0.8},
            ),  # IoU 0.8, but that one is taken
            (500200, 3999000, 500300, 3999100, {"label": "ship", "score": 0.7}),  # IoU 1/3 with its neighbour
            (500400, 3999000, 500500, 3999100, {"label": "plane", "score": 0.6}),  # a ship in truth
            (500600, 3999000, 500700, 3999100, {"label": "plane", "score": 0.6}),  # IoU 1
            (500800, 3999000, 500900, 3999100, {"label": "ship", "score": 0.6}),  # a doubtful one
            (500950, 3999000, 500990, 3999100, {"label": "ship", "score": 0.1}),  # of too low a score
        ],
    )
    true = polygons(
        tmp_path / "true.geojson",
        [
            (500000, 3999000, 500100, 3999100, {"class": "ship", "doubtful": 0}),
            (500250, 3999000, 500350, 3999100, {"class": "ship", "doubtful": 0}),
            (500400, 3999000, 500500, 3999100, {"class": "ship", "doubtful": 0}),
            (500600, 3999000, 500700, 3999100, {"class": "plane", "doubtful": 0}),
            (500800, 3999000, 500900, 3999100, {"class": "ship", "doubtful": 1}),
        ],
    )
    parameters = {
        "DETECTIONS": said, "LABEL_FIELD": "label", "SCORE_FIELD": "score", "MIN_SCORE": 0.3, "TRUTH": true,
        "TRUTH_LABEL_FIELD": "class", "DIFFICULT_FIELD": "doubtful",
    }  # fmt: skip
    table, marked = str(tmp_path / "table.gpkg"), str(tmp_path / "marked.gpkg")
    made = run("comparewithtruth", **parameters, IOU=0.5, TABLE=table, MARKED=marked)
    assert (made["PRECISION"], made["RECALL"]) == (2 / 5, 2 / 4)
    assert made["F1"] == pytest.approx(4 / 9)
    plane, ship, together = rows(table)
    counts = [
        [row[name] for name in ("label", "found", "false", "missed")] for row in (plane, ship, together)
    ]
    assert counts == [["plane", 1, 1, 0], ["ship", 1, 2, 2], ["all", 2, 3, 2]]
    assert [row["status"] for row in rows(marked)].count("found") == 2
    status = sorted((row["status"], row["label"], row["source_id"]) for row in rows(marked))
    assert status == [
        ("false", "plane", 3), ("false", "ship", 1), ("false", "ship", 2), ("found", "plane", 4),
        ("found", "ship", 0), ("ignored", "ship", 4), ("ignored", "ship", 5), ("missed", "ship", 1),
        ("missed", "ship", 2),
    ]  # fmt: skip
    assert [row["iou"] for row in rows(marked) if row["status"] == "found"] == [1, 1]
    # At a quarter of overlap, one ship more is found; and where classes do not count, the plane is a ship.
    parameters = {**parameters, "TABLE": "memory:", "MARKED": "memory:"}
    assert run("comparewithtruth", **parameters, IOU=0.25)["RECALL"] == 3 / 4
    del parameters["TRUTH_LABEL_FIELD"]
    blind = run("comparewithtruth", **parameters, IOU=0.5)
    assert (blind["PRECISION"], blind["RECALL"]) == (3 / 5, 3 / 4)


@pytest.mark.parametrize("given", ["Ship", ""])
def test_only_what_was_asked_for_is_scored(provider, tmp_path, given):
    said = polygons(tmp_path / "said.geojson", [(500000, 3999000, 500100, 3999100, {"label": "ship"})])
    true = polygons(
        tmp_path / "true.geojson",
        [
            (500000, 3999000, 500100, 3999100, {"class": "ship"}),
            (500600, 3999000, 500700, 3999100, {"class": "plane"}),
        ],
    )
    layer = QgsVectorLayer(said, "ships")
    if not given:  # then the run says it
        layer.setCustomProperty("fusar/run", json.dumps({"targets": "ship"}))
    table, marked = str(tmp_path / "table.gpkg"), str(tmp_path / "marked.gpkg")
    made = run(
        "comparewithtruth", DETECTIONS=layer, LABEL_FIELD="label", TRUTH=true, TRUTH_LABEL_FIELD="class",
        IOU=0.5, CLASSES=given, TABLE=table, MARKED=marked,
    )  # fmt: skip
    assert (made["PRECISION"], made["RECALL"], made["F1"]) == (1, 1, 1)
    shown = ("label", "scored", "detected", "true", "missed")
    listed = [[row[name] for name in shown] for row in rows(table)]
    assert listed == [["plane", False, 0, 1, NULL], ["ship", True, 1, 1, 0], ["all", True, 1, 1, 0]]
    statuses = {(row["status"], row["label"]) for row in rows(marked)}
    assert statuses == {("found", "ship"), ("not scored", "plane")}


def test_without_a_run_all_classes_are_scored_and_a_wrong_class_is_told(provider, tmp_path):
    said = polygons(tmp_path / "said.geojson", [(500000, 3999000, 500100, 3999100, {"label": "ship"})])
    true = polygons(tmp_path / "true.geojson", [(500600, 3999000, 500700, 3999100, {"class": "plane"})])
    parameters = {
        "DETECTIONS": said, "LABEL_FIELD": "label", "TRUTH": true, "TRUTH_LABEL_FIELD": "class",
        "TABLE": "memory:", "MARKED": "memory:", "IOU": 0.5,
    }  # fmt: skip
    assert run("comparewithtruth", **parameters)["RECALL"] == 0
    log = Log()
    assert run("comparewithtruth", log, **parameters, CLASSES="vessel")["RECALL"] is None
    assert "“vessel” is a class of neither layer." in log.text


def test_truth_in_another_crs_and_nothing_at_all(provider, tmp_path):
    said = write_areas(tmp_path / "said.geojson", [(500000, 3999000)])

    true = tmp_path / "true.geojson"
    gdal.VectorTranslate(str(true), str(said), dstSRS="EPSG:4326", reproject=True, format="GeoJSON",
                         layerCreationOptions=["COORDINATE_PRECISION=12"])  # fmt: skip
    made = run("comparewithtruth", DETECTIONS=str(said), LABEL_FIELD="label", TRUTH=str(true), IOU=0.99,
               TRUTH_LABEL_FIELD="label", TABLE="memory:", MARKED="memory:")  # fmt: skip
    assert (made["PRECISION"], made["RECALL"], made["F1"]) == (1, 1, 1)
    none = polygons(tmp_path / "none.geojson", [])
    made = run(
        "comparewithtruth", DETECTIONS=none, TRUTH=str(true), TABLE=str(tmp_path / "t.gpkg"), MARKED="memory:"
    )
    assert (made["PRECISION"], made["RECALL"]) == (None, 0)
    assert rows(tmp_path / "t.gpkg")[-1]["precision"] == NULL
