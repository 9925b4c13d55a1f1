"""``fusar interpret`` on the sample scenes: every task, and every kind of wrong input."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from shapely.geometry import shape

from fusar_gpt.samples import HARBOUR, YASUR

TASKS = {
    "count": ["--target", "ship"],
    "locate": ["--target", "ship"],
    "detect": ["--target", "ship"],
    "describe": [],
    "ask": ["--question", "Is there a ship?"],
}


def centre_of(scene: Path, half_m: float) -> tuple[str, str]:
    """A bbox of 2 x half_m metres around a UTM scene's centre, and its CRS."""
    with rasterio.open(scene) as raster:
        x, y = raster.transform @ (raster.width / 2, raster.height / 2)
        return f"{x - half_m},{y - half_m},{x + half_m},{y + half_m}", raster.crs.to_string()


HARBOUR_BOX, HARBOUR_CRS = centre_of(HARBOUR.scene, 300)
HERE = ["--bbox", HARBOUR_BOX, "--bbox-crs", HARBOUR_CRS]


@pytest.mark.parametrize("task", TASKS)
def test_a_task_writes_one_geopackage_and_prints_one_json_object(fusar, tmp_path, task):
    out = tmp_path / "findings.gpkg"
    done = fusar("interpret", HARBOUR.scene, *HERE, "--task", task, *TASKS[task], "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert set(printed) == {"run", "counts", "findings"}
    assert printed["run"]["scene_simulated"] is True
    assert printed["run"]["demonstration"] is True
    assert {name for name, _ in pyogrio.list_layers(out)} == {"detections", "grid", "answers", "runs"}
    features = printed["findings"]["features"]
    layers = ("detections", "grid", "answers")
    assert len(features) == sum(pyogrio.read_info(out, layer=name)["features"] for name in layers)
    assert pyogrio.read_info(out, layer="runs")["features"] == 1
    assert pyogrio.read_info(out, layer="grid")["crs"] == HARBOUR_CRS
    if task == "locate":
        assert len(features) == 9
    else:
        assert task == "detect" or len(features) == 1
    assert list(tmp_path.iterdir()) == [out], "something else was left beside the result"


def test_what_the_numbers_are_is_told_and_can_be_said(fusar, tmp_path):
    asking = ["interpret", HARBOUR.scene, *HERE, "--task", "count", "--target", "ship", "--json"]
    done = fusar(*asking, "--out", tmp_path / "judged.gpkg")
    run = json.loads(done.stdout)["run"]
    assert (run["quantity"], run["quantity_reason"]) == (
        "amplitude",
        "amplitude, as uint16 numbers usually are",
    )
    assert "'HH' taken for amplitude, as uint16 numbers usually are" in done.stderr
    done = fusar(*asking, "--out", tmp_path / "said.gpkg", "--quantity", "dB", "--scale", "0.001")
    run = json.loads(done.stdout)["run"]
    assert (run["quantity"], run["quantity_reason"]) == ("dB", "decibels, as asked")
    assert run["stretch_low_db"] < 1
    assert "note: The numbers were read as decibels, as asked, but look like none" in done.stderr


def test_the_prior_reaches_the_model_and_is_named(fusar, tmp_path):
    runs = {}
    for prior in ("none", HARBOUR.prior, "auto"):
        out = tmp_path / "findings.gpkg"
        words = () if prior == "auto" else ("--prior", prior)  # it is the default
        done = fusar("interpret", HARBOUR.scene, *HERE, "--task", "describe", *words, "--out", out, "--json")
        assert done.returncode == 0, done.stderr
        runs[prior] = json.loads(done.stdout)
    with_prior, without = runs[HARBOUR.prior], runs["none"]
    assert without["run"]["prior"] == "none"
    assert with_prior["run"]["prior"] == f"file:{HARBOUR.prior.name}"
    assert with_prior["run"]["prior_simulated"] is True
    nodes = [run["findings"]["features"][0]["properties"]["prior_nodes"] for run in (without, with_prior)]
    assert nodes[0] == 0
    assert nodes[1] > 100
    scores = [run["findings"]["features"][0]["properties"]["score"] for run in (without, with_prior)]
    assert scores[0] != scores[1], "the model answered as if there were no prior"
    for named, found in zip(
        with_prior["findings"]["features"], runs["auto"]["findings"]["features"], strict=True
    ):
        named["properties"] |= {"run": None, "id": None}
        assert found["properties"] | {"run": None, "id": None} == named["properties"]
    assert (runs["auto"]["run"]["prior"], runs["auto"]["run"]["prior_asked"]) == (
        with_prior["run"]["prior"],
        "auto",
    )


def test_a_run_is_compared_with_one_without_its_prior(fusar, tmp_path):
    out, box = tmp_path / "findings.gpkg", centre_of(HARBOUR.scene, 700)[0]
    words = [
        "interpret",
        HARBOUR.scene,
        "--bbox",
        box,
        "--bbox-crs",
        HARBOUR_CRS,
        "--target",
        "ship",
        "--out",
        out,
    ]
    done = fusar(*words, "--task", "detect", "--compare-prior", "none", "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    compared = printed["comparison"]
    assert (printed["run"]["prior"], compared["run"]["prior"]) == (f"file:{HARBOUR.prior.name}", "none")
    (table,) = compared["detections"].values()
    assert sum(table.values()) > 0
    with_prior, without = (
        sum(each["properties"]["layer"] == "detections" for each in run["findings"]["features"])
        for run in (printed, compared)
    )
    assert with_prior == table["same"] + table["moved"] + table["added"]
    assert without == table["same"] + table["moved"] + table["removed"]
    assert pyogrio.read_info(out, layer="runs")["features"] == 2
    assert pyogrio.read_info(out, layer="detections")["features"] == with_prior + without
    meta, _, wkb, columns = pyogrio.raw.read(out, layer="prior_effect")
    rows = dict(zip(meta["fields"], columns, strict=True))
    assert {name: list(rows["change"]).count(name) for name in table} == table
    assert len(wkb) == sum(table.values())
    assert set(rows["run"]) == {printed["run"]["id"]}
    assert set(rows["run_compared"]) == {compared["run"]["id"]}
    for change, iou, metres in zip(rows["change"], rows["iou"], rows["distance_m"], strict=True):
        assert (change in ("same", "moved")) == bool(iou >= 0.5) == bool(metres >= 0)
    again = fusar(*words, "--task", "count", "--compare-prior", "none")
    assert again.returncode == 0, again.stderr
    assert "replacing" not in again.stderr, "its own output is replaced without a word"
    assert "ship counted: " in again.stdout
    assert f"what the prior file:{HARBOUR.prior.name} changed against none" in again.stdout


def test_a_prior_is_not_compared_with_itself(fusar, tmp_path):
    words = ["interpret", HARBOUR.scene, *HERE, "--task", "count", "--out", tmp_path / "x.gpkg"]
    assert fusar(*words, "--compare-prior", "auto").returncode == 2
    assert fusar(*words, "--prior", "none", "--compare-prior", "none").returncode == 2


def test_a_box_is_classified_where_it_was_drawn(fusar, tmp_path):
    west, south, east, north = map(float, HARBOUR_BOX.split(","))
    x, y = (west + east) / 2, (south + north) / 2
    drawn = shapely.box(x - 60, y - 30, x + 60, y + 30)
    boxes = tmp_path / "boxes.gpkg"
    pyogrio.raw.write(
        boxes,
        shapely.to_wkb(np.array([drawn])),
        field_data=[],
        fields=[],
        geometry_type="Polygon",
        crs=HARBOUR_CRS,
    )
    out = tmp_path / "out.gpkg"
    done = fusar("interpret", HARBOUR.scene, "--boxes", boxes, "--task", "classify", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    (feature,) = json.loads(done.stdout)["findings"]["features"]
    assert feature["properties"]["label"]
    assert shape(feature["scene_geometry"]).symmetric_difference(drawn).area < 0.02 * drawn.area


def test_a_rotated_scene_gives_rotated_polygons(fusar, tmp_path):
    out = tmp_path / "out.gpkg"
    done = fusar(
        "interpret", YASUR.scene, "--bbox", "169.44,-19.54,169.47,-19.52", "--task", "locate", "--target", "ship",
        "--out", out, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cells = [shape(feature["scene_geometry"]) for feature in json.loads(done.stdout)["findings"]["features"]]
    with rasterio.open(YASUR.scene) as raster:
        pixels = [np.array([~raster.transform @ xy for xy in cell.exterior.coords]) for cell in cells]
    for cell, corners in zip(cells, pixels, strict=True):
        assert cell.area < 0.9 * cell.envelope.area, "the polygon is upright on the map, the scene is not"
        edges = np.abs(np.diff(corners, axis=0))
        assert (edges.min(axis=1) < 1e-6).all(), "the polygon is not upright in the scene's pixels"


def bad(tmp_path: Path) -> dict[str, tuple[list[str | Path], str]]:
    """Arguments, and a word that the one line on stderr must hold."""
    files = {
        name: tmp_path / name
        for name in ("text.tif", "bare.tif", "empty.geojson", "crossed.geojson", "63.tif")
    }
    files["text.tif"].write_text("no raster")
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        rasterio.open(
            files["bare.tif"], "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8"
        ).close()
    profile = {"driver": "GTiff", "width": 4, "height": 4, "dtype": "float32", "crs": HARBOUR_CRS}
    profile["transform"] = Affine(10, 0, 0, 0, -10, 0)
    rasterio.open(files["63.tif"], "w", count=63, **profile).close()
    files["empty.geojson"].write_text('{"type": "FeatureCollection", "features": []}')
    crossed = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    files["crossed.geojson"].write_text(json.dumps(crossed))
    corrupted = tmp_path / "corrupted"
    from fusar_gpt.model.store import BUNDLED

    shutil.copytree(BUNDLED["tiny"], corrupted)
    weights = next(corrupted.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1000])
    scene: list[str | Path] = [HARBOUR.scene]
    return {
        "missing file": (["gone.tif", *HERE], "does not exist"),
        "not a raster": ([files["text.tif"], *HERE], "raster"),
        "no georeferencing": ([files["bare.tif"], *HERE], "georeferenc"),
        "outside": ([*scene, "--bbox", "0,0,1,1"], "outside"),
        "empty area": ([*scene, "--area", files["empty.geojson"]], "empty"),
        "self-crossing area": ([*scene, "--area", files["crossed.geojson"]], "valid"),
        "wrong band": ([*scene, *HERE, "--band", "HV"], "band"),
        "63 bands": ([*scene, *HERE, "--prior", files["63.tif"]], "63"),
        "corrupted checkpoint": ([*scene, *HERE, "--model", corrupted], "corrupted"),
        "unknown model": ([*scene, *HERE, "--model", "nobody/nothing"], "hub"),
        "unknown target": ([*scene, *HERE, "--target", "unicorn"], "unicorn"),
    }


CASES = (
    "missing file", "not a raster", "no georeferencing", "outside", "empty area", "self-crossing area", "wrong band",
    "63 bands", "corrupted checkpoint", "unknown model", "unknown target",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_exit_1_and_no_file(fusar, tmp_path, case):
    arguments, word = bad(tmp_path)[case]
    results = tmp_path / "results"
    results.mkdir()
    done = fusar("interpret", *arguments, "--task", "count", "--out", results / "findings.gpkg")
    told = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert (done.returncode, len(told)) == (1, 1), done.stderr
    assert told[0].startswith("fusar: ")
    assert word in told[0]
    assert list(results.iterdir()) == []


def test_an_output_that_cannot_be_written_is_told_before_the_model_runs(fusar, tmp_path):
    done = fusar(
        "interpret", HARBOUR.scene, *HERE, "--task", "count", "--out", tmp_path / "no" / "such" / "out.gpkg"
    )
    assert done.returncode == 1
    assert "chips" not in done.stderr
    assert done.stderr.count("\n") == 1
    pipe = tmp_path / "pipe.gpkg"
    os.mkfifo(pipe)
    done = fusar("interpret", HARBOUR.scene, *HERE, "--task", "count", "--out", pipe)
    assert done.returncode == 1
    assert "device" in done.stderr
    assert pipe.is_fifo()


@pytest.mark.parametrize("what", ["scene", "area", "area with a layer", "boxes", "prior"])
def test_an_input_is_not_overwritten(fusar, tmp_path, what):
    scene, out = tmp_path / "scene.tif", tmp_path / "in.gpkg"
    shutil.copy(HARBOUR.scene, scene)
    if what in ("scene", "prior"):
        shutil.copy(HARBOUR.scene, out)
    else:
        shape_ = shapely.to_wkb(np.array([shapely.box(*map(float, HARBOUR_BOX.split(",")))]))
        pyogrio.raw.write(out, shape_, [], [], geometry_type="Polygon", crs=HARBOUR_CRS, layer="a")
    before = out.read_bytes()
    given = {
        "scene": [out, *HERE],
        "area": [scene, "--area", out],
        "area with a layer": [scene, "--area", f"{out}:a"],
        "boxes": [scene, *HERE, "--boxes", out],
        "prior": [scene, *HERE, "--prior", out],
    }[what]
    done = fusar("interpret", *given, "--task", "count", "--out", out, "--overwrite")
    assert done.returncode == 1
    assert f"it is the {what.split()[0]} itself" in done.stderr
    assert done.stderr.count("\n") == 1
    assert out.read_bytes() == before


def test_a_file_of_somebody_else_is_replaced_only_when_that_is_said(fusar, tmp_path):
    out = tmp_path / "out.gpkg"
    out.write_text("mine")
    count = ["interpret", HARBOUR.scene, *HERE, "--task", "count", "--target", "ship", "--out", out]
    done = fusar(*count)
    assert (done.returncode, out.read_text()) == (1, "mine")
    assert "give --overwrite" in done.stderr
    done = fusar(*count, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert f"replacing {out}" in done.stderr
    assert fusar(*count).returncode == 0, "its own result is replaced as ever"


def test_an_area_of_several_layers_is_used_whole_and_that_is_said(fusar, tmp_path):
    area = tmp_path / "two!.gpkg"
    plain = tmp_path / "two.gpkg"
    x, y = (float(edge) for edge in HARBOUR_BOX.split(",")[:2])
    for layer, west in (("berths", x), ("anchorage", x + 300)):
        drawn = shapely.to_wkb(np.array([shapely.box(west, y, west + 200, y + 200)]))
        pyogrio.raw.write(
            plain, drawn, [], [], geometry_type="Polygon", crs=HARBOUR_CRS, layer=layer, append=plain.exists()
        )
    plain.rename(area)
    size = {}
    for given in (area, f"{area}:berths"):
        out = tmp_path / "out.gpkg"
        done = fusar(
            "interpret",
            HARBOUR.scene,
            "--area",
            given,
            "--task",
            "count",
            "--target",
            "ship",
            "--out",
            out,
            "--json",
        )
        assert done.returncode == 0, done.stderr
        assert ("the polygons of 2 layers are used" in done.stderr) is (given == area)
        size[given] = shapely.from_wkt(json.loads(done.stdout)["run"]["area"]).area
    assert size[area] == pytest.approx(80_000)
    assert size[f"{area}:berths"] == pytest.approx(40_000)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--task", "detect"],
        ["--task", "sing", *HERE],
        ["--task", "ask", *HERE],
        ["--task", "classify", *HERE],
        ["--task", "count", "--bbox", "1,2,3"],
        ["--task", "count", *HERE, "--out", "findings.shp"],
        ["--task", "count", *HERE, "--quantity", "volts"],
        ["--task", "count", *HERE, "--scale", "0"],
    ],
)
def test_wrong_usage_exits_2(fusar, tmp_path, arguments):
    done = fusar("interpret", HARBOUR.scene, "--out", tmp_path / "out.gpkg", *arguments)
    assert done.returncode == 2
    assert "usage: fusar interpret" in done.stderr


def test_as_a_process_it_does_the_same(fusar_process, tmp_path):
    assert fusar_process("--version").stdout.startswith("fusar 0.")
    out = tmp_path / "out.gpkg"
    counting = [
        "interpret",
        HARBOUR.scene,
        *HERE,
        "--task",
        "count",
        "--target",
        "ship",
        "--out",
        out,
        "--json",
    ]
    done = fusar_process(*counting)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr
    assert json.loads(done.stdout)["counts"].keys() == {"ship counted"}
    failed = fusar_process(*counting, "--band", "HV")
    assert (failed.returncode, failed.stderr.count("\n"), failed.stdout) == (1, 1, "")


def test_doctor_says_what_is_there(fusar):
    doctor = fusar("doctor")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "Model tiny" in doctor.stdout
    assert "torch" in doctor.stdout
