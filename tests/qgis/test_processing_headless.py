"""The algorithms in real ``qgis_process`` runs, without a GUI: with the stand-in and with the real backend."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from batches import rows, run, write_areas
from conftest import ROOT, write_tiff
from qgis.core import QgsApplication, QgsExpression, QgsProcessingModelAlgorithm

STANDIN = Path(__file__).with_name("standin.py")
BACKEND = os.environ.get("FUSAR_EXECUTABLE")  # read before a fixture hides it
SAMPLES = ROOT / "backend" / "fusar_gpt" / "samples"
MODEL = ROOT / "fusar_qgis" / "processing" / "examples" / "ships_in_areas.model3"

pytestmark = pytest.mark.timeout(300)
needs_backend = pytest.mark.skipif(
    not BACKEND, reason="FUSAR_EXECUTABLE names no backend (make test-qgis does)"
)


@pytest.fixture(autouse=True)
def _programs(monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)


@pytest.fixture(scope="module")
def profile(tmp_path_factory) -> Path:
    """A profile in which the plugin is enabled."""
    home = tmp_path_factory.mktemp("home")
    (home / "run").mkdir(mode=0o700)
    subprocess.run(["qgis_process.bin", "plugins", "enable", "fusar_qgis"], env=environment(home), check=True)
    return home


def environment(home: Path, executable: Path | str = STANDIN) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "XDG_RUNTIME_DIR": str(home / "run"),
        "QT_QPA_PLATFORM": "offscreen",
        "QGIS_CUSTOM_CONFIG_PATH": str(home / "config"),
        "QGIS_PLUGINPATH": str(ROOT),
        "FUSAR_EXECUTABLE": str(executable),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def named(path: Path, executable: Path | str) -> Path:
    """Return another name for a program, by which its processes are told from everybody else's."""
    path.symlink_to(executable)
    return path


def words(algorithm: str, **parameters) -> list[str]:
    """Return a command line; a list is given as one parameter several times."""
    listed = [
        f"--{name}={one}"
        for name, value in parameters.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    return ["qgis_process.bin", "run", algorithm, *listed]


def process(home: Path, algorithm: str, executable: Path | str = STANDIN, **parameters) -> str:
    """Run an algorithm to its end; return what was said."""
    done = subprocess.run(
        words(algorithm, **parameters),
        env=environment(home, executable),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def children(word: str) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if word in line]


def number(said: str, name: str) -> int:
    return int(next(line for line in said.splitlines() if line.startswith(f"{name}:")).split()[1])


def test_a_child_is_started_used_and_ended(profile, scene_path, tmp_path):
    out, program = tmp_path / "found.gpkg", named(tmp_path / "own_standin.py", STANDIN)
    said = process(
        profile, "fusar:detect", program, INPUT=str(scene_path), TARGETS="ship", DETECTIONS=str(out)
    )
    assert (number(said, "DONE"), number(said, "FINDINGS")) == (1, 5)
    assert "demonstration model, no prior, simulated scene" in said
    assert len(rows(out)) == 5
    assert children(str(program)) == []


def test_a_batch_that_is_killed_goes_on_where_it_was(profile, tmp_path):
    scenes = [str(write_tiff(tmp_path / f"scene{number}.tif")) for number in range(3)]
    corrupt = tmp_path / "corrupt.tif"
    corrupt.write_bytes(Path(scenes[0]).read_bytes()[:200])
    corners = [(500010 + 120 * (n % 8), 3999220 + 150 * (n // 8)) for n in range(40)]
    areas = write_areas(tmp_path / "areas.gpkg.geojson", corners)
    journal, out = tmp_path / "journal.jsonl", tmp_path / "found.gpkg"
    parameters = {
        "INPUT": [scenes[0], str(corrupt), *scenes[1:]], "AREAS": str(areas), "TARGETS": "ship",
        "DETECTIONS": str(out), "JOURNAL": str(journal),
    }  # fmt: skip
    program = named(tmp_path / "own_standin.py", STANDIN)
    fast = environment(profile, program) | {"STANDIN_PAUSE": "0.01"}
    begun = subprocess.Popen(
        words("fusar:detect", **parameters), env=fast, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 25):
        assert begun.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    with journal.open("ab") as stream:
        stream.write(b'{"key": "torn')
    finished = journal.read_bytes().count(b"\n")
    said = subprocess.run(
        words("fusar:detect", **parameters), env=fast, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert number(said.stdout, "DONE") == 120
    assert finished <= number(said.stdout, "RESUMED") < 120
    assert (number(said.stdout, "SKIPPED"), number(said.stdout, "FAILED")) == (1, 0)
    found = rows(out)
    assert len(found) == 120 * 5
    assert len({(row["scene"], row["area"], row["id"]) for row in found}) == 120 * 5
    assert {(row["scene"], row["area"]) for row in found} == {
        (f"scene{scene}.tif", area) for scene in range(3) for area in range(40)
    }
    while children(str(program)):  # the killed one's child notices that its parent is gone
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_example_model_loads_and_runs(profile, plugin, scene_path, tmp_path):
    model = QgsProcessingModelAlgorithm()
    assert model.fromFile(str(MODEL))
    assert model.childAlgorithms()["detect"].algorithm() is not None
    areas = write_areas(tmp_path / "areas.geojson", [(500100, 3999300), (500300, 3999300)])
    ships, counts = tmp_path / "ships.gpkg", tmp_path / "counts.gpkg"
    process(
        profile, str(MODEL), rasters=str(scene_path), areas=str(areas), least_score=0.6,
        **{"sure:ships": str(ships), "count:counts": str(counts)},
    )  # fmt: skip
    # 0.95, 0.85, 0.65 (its predecessor of 0.75 was replaced) in each area
    assert sorted(row["confidence"] for row in rows(ships)) == pytest.approx(
        [0.65, 0.65, 0.85, 0.85, 0.95, 0.95]
    )
    assert [row["ships"] for row in rows(counts)] == [3, 3]


@pytest.mark.parametrize(("confidence", "stays"), [("0.49", False), ("0.5", True), ("NULL", True)])
def test_the_example_model_keeps_what_is_probably_true(plugin, confidence, stays):
    model = QgsProcessingModelAlgorithm()
    assert model.fromFile(str(MODEL))
    (source,) = model.childAlgorithms()["sure"].parameterSources()["EXPRESSION"]
    least = model.parameterDefinition("least_score").defaultValue()
    expression = source.staticValue().replace('"confidence"', confidence).replace("@least_score", str(least))
    assert bool(QgsExpression(expression).evaluate()) is stays


def test_from_the_python_console(plugin, standin, scene_path):
    assert (
        QgsApplication.processingRegistry()
        .algorithmById("fusar:detect")
        .asPythonCommand({"INPUT": [str(scene_path)]}, _context())
        .startswith('processing.run("fusar:detect"')
    )
    assert run("detect", INPUT=str(scene_path), TARGETS="ship", DETECTIONS="memory:")["FINDINGS"] == 5


def _context():
    from qgis.core import QgsProcessingContext

    return QgsProcessingContext()


@needs_backend
def test_same_findings_as_the_command_line(profile, tmp_path):
    scene, prior = SAMPLES / "harbour_simulated.tif", SAMPLES / "harbour_simulated_prior.tif"
    area = write_areas(tmp_path / "area.geojson", [(501000, 6098200)], "EPSG:32631", 900)
    cli, out = tmp_path / "cli.gpkg", tmp_path / "batch.gpkg"
    options = ["--area", area, "--task", "detect", "--target", "ship", "--prior", prior, "--out", cli]
    subprocess.run([BACKEND, "interpret", scene, *options], env=environment(profile), check=True)
    program = named(tmp_path / "own_fusar", BACKEND)
    said = process(
        profile, "fusar:detect", program, INPUT=str(scene), AREAS=str(area), TARGETS="ship",
        PRIOR=str(prior), DETECTIONS=str(out),
    )  # fmt: skip
    assert children(str(program)) == []
    theirs, ours = sorted_rows(f"{cli}|layername=detections"), sorted_rows(out)
    assert len(ours) == len(theirs) == number(said, "FINDINGS") > 3
    for mine, cli_row in zip(ours, theirs, strict=True):
        for name in ("objectness", "confidence"):  # null without a calibration
            assert float(mine.pop(name) or 0) == pytest.approx(float(cli_row.pop(name) or 0), abs=1e-6)
        assert [mine.pop("scene"), mine.pop("area")] == [scene.name, 0]
        wkt = cli_row.pop("wkt").replace("Polygon (", "MultiPolygon ((") + ")"
        assert mine.pop("wkt") == wkt
        for row in (mine, cli_row):  # of the run, which is another one
            del row["id"], row["run"], row["fid"]
        assert mine == cli_row


def sorted_rows(source: Path | str) -> list[dict]:
    return sorted(
        rows(source), key=lambda row: row["wkt"].removeprefix("Multi").replace("((", "(").replace("))", ")")
    )


@needs_backend
def test_describe_and_classify_on_the_real_backend(profile, tmp_path):
    scene, out = SAMPLES / "harbour_simulated.tif", tmp_path / "classified.gpkg"
    truth = json.loads((SAMPLES / "harbour_simulated_truth.geojson").read_text())
    boxes = tmp_path / "boxes.geojson"
    boxes.write_text(json.dumps({**truth, "features": truth["features"][:3]}))
    said = process(
        profile, "fusar:classifyboxes", BACKEND, INPUT=str(scene), BOXES=str(boxes), OUTPUT=str(out)
    )
    assert number(said, "DONE") == 3
    assert [row["model"] for row in rows(out)] == ["tiny"] * 3
