"""The PDF report of a run: an overview, counts, provenance and caveats, and cards with pictures."""

import json
import time

import pytest
from conftest import write_tiff
from qgis.core import QgsGeometry, QgsProject, QgsRectangle
from qgis.PyQt.QtCore import QObject, QTimer
from test_results import RUN, finding, project, run  # noqa: F401 - fixtures

from fusar_qgis.contract import Found
from fusar_qgis.gui.exporting import Exporting
from fusar_qgis.gui.report_writing import ReportWriting
from fusar_qgis.layers import exports, findings_layer, report
from fusar_qgis.layers.project_runs import ProjectRun, runs_in

AREA = QgsGeometry.fromRect(QgsRectangle(500050, 3999300, 500950, 3999950)).asWkt()


def layer_of(run, tmp_path, count=9, **about):  # noqa: F811
    layer, _ = run(Found(tuple(finding(n, confidence=n / (count + 1)) for n in range(1, count + 1))))
    layer.setCustomProperty(findings_layer.SCENE_PROPERTY, str(write_tiff(tmp_path / "harbour.tif")))
    told = {**RUN, "warnings": "One warning.", "area": AREA, "scene_crs": "EPSG:32650", **about}
    layer.setCustomProperty(findings_layer.RUN_PROPERTY, json.dumps(told))
    return layer


def taken_of(run, tmp_path, count=9, **about):  # noqa: F811
    layer = layer_of(run, tmp_path, count, **about)
    return exports.snapshot(layer, QgsProject.instance().transformContext(), unreviewed_too=True)


def no_step(_done: int, _total: int) -> None:
    """Nobody watches."""


def test_a_report_tells_of_the_scene_the_run_and_every_finding(project, run, tmp_path):  # noqa: F811
    contents = report.gather(taken_of(run, tmp_path), no_step)
    facts = dict(contents.facts)
    assert "One warning." in contents.caveats
    assert facts["Findings"] == "ship: 9"
    assert facts["Reviewed by"] == "nobody yet"
    assert facts["Model"].startswith(RUN["model"])
    assert facts["Area"] == "900 x 650 m"
    assert facts["Started"] == "2026-01-02 03:04 UTC"
    assert len(contents.cards) == 9
    picture, lines = contents.cards[0]
    assert lines[0] == "1 · ship"  # the number of its box on the overview
    assert "Confidence 0.90" in lines
    assert picture.width() == picture.height() == 300
    assert contents.overview.width() > contents.overview.height() > 900  # the shape of the area


def test_cells_with_nothing_in_them_are_counted_but_have_no_card(project, run, tmp_path):  # noqa: F811
    cells = [
        finding(n, layer="grid", task="locate", target="ship", hit=n == 2, label=None) for n in range(1, 10)
    ]
    layer, _ = run(Found(tuple(cells)))
    layer.setCustomProperty(findings_layer.SCENE_PROPERTY, str(write_tiff(tmp_path / "harbour.tif")))
    taken = exports.snapshot(layer, QgsProject.instance().transformContext(), unreviewed_too=True)
    contents = report.gather(taken, no_step)
    assert [lines[0] for _, lines in contents.cards] == ["1 · ship"]
    assert dict(contents.facts)["Findings"] == "ship: 1"
    assert dict(contents.facts)["The run's own count"] == "ship in 1 of 9 cells"


def test_a_long_id_is_whole_beside_its_picture(project, run, tmp_path):  # noqa: F811
    taken = taken_of(run, tmp_path, count=1)
    long = "f26fed8b-1cef-51ae-89cb-0f2c8a7d9e10"
    taken.features[0]["id"] = long
    contents = report.gather(taken, no_step)
    assert "".join(contents.cards[0][1]).endswith(long)


def test_a_long_run_shows_the_best_and_says_how_many_are_left_out(project, run, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(report, "MOST_CARDS", 4)
    contents = report.gather(taken_of(run, tmp_path), no_step)
    assert len(contents.cards) == 4
    assert "5 more" in contents.left_out


def test_a_report_without_its_scene_says_so(project, run, tmp_path):  # noqa: F811
    taken = taken_of(run, tmp_path)
    (tmp_path / "harbour.tif").unlink()
    contents = report.gather(taken, no_step)
    assert contents.overview is None
    assert "harbour.tif" in contents.caveats[-1]
    assert len(contents.cards) == 9
    assert report.write_report(taken, tmp_path / "out.pdf", no_step) == 2


def test_that_nothing_was_found_is_a_report_too(qgis_new_project, tmp_path):
    scene = str(write_tiff(tmp_path / "harbour.tif"))
    about = {**RUN, "area": AREA, "scene_crs": "EPSG:32650"}
    empty = ProjectRun("run-7", about, scene, None, status="dismissed")
    taken = exports.snapshot_without_layer(empty, QgsProject.instance().transformContext())
    contents = report.gather(taken, no_step)
    assert dict(contents.facts)["Findings"] == "none"
    assert contents.overview is not None
    assert any("was cancelled" in caveat for caveat in contents.caveats)
    assert report.write_report(taken, tmp_path / "out.pdf", no_step) == 1


def test_the_area_is_placed_by_the_crs_of_the_scene(project, run, tmp_path):  # noqa: F811
    area = QgsGeometry.fromRect(QgsRectangle(117.001, 36.137, 117.009, 36.141)).asWkt()
    taken = taken_of(run, tmp_path, area=area, scene_crs="EPSG:4326")
    (ring,) = exports.area_of(taken, exports.open_scene(taken))
    assert all(-50 < x < 400 and -50 < y < 300 for x, y in ring)


@pytest.fixture
def writing(project, run, tmp_path):  # noqa: F811
    """Begin a report; return what it told, in words."""
    parent = QObject()

    def begin(taken, path):
        told: list[str] = []
        made = ReportWriting(taken, path, parent)
        made.written.connect(told.append)
        made.failed.connect(lambda text: told.append(f"failed: {text}"))
        made.cancelled.connect(lambda: told.append("cancelled"))
        return made, told

    yield begin
    parent.deleteLater()


def test_a_report_is_written_whole_while_the_gui_goes_on(writing, run, tmp_path, qtbot, capsys):  # noqa: F811
    taken = taken_of(run, tmp_path, count=60)
    longest, last = [0.0], [time.perf_counter()]

    def tick():
        now = time.perf_counter()
        longest[0], last[0] = max(longest[0], now - last[0]), now

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(5)
    made, told = writing(taken, tmp_path / "out.pdf")
    steps = []
    made.task.progressChanged.connect(steps.append)
    qtbot.waitUntil(lambda: bool(told), timeout=30_000)
    timer.stop()
    assert told == [f"Report written to {tmp_path / 'out.pdf'}: 7 pages."]
    assert (tmp_path / "out.pdf").read_bytes().startswith(b"%PDF")
    assert not list(tmp_path.glob(".fusar-*"))
    assert len(steps) > 20
    with capsys.disabled():
        print(f"\nreport of 60 findings: longest stall {1000 * longest[0]:.0f} ms")


def test_a_cancelled_report_leaves_what_was_there(writing, run, tmp_path, qtbot, monkeypatch):  # noqa: F811
    path = tmp_path / "out.pdf"
    path.write_text("the report of yesterday")
    step = ReportWriting._step

    def cancel_first(self, done, total):
        self.task.cancel()
        step(self, done, total)

    monkeypatch.setattr(ReportWriting, "_step", cancel_first)
    _, told = writing(taken_of(run, tmp_path), path)
    qtbot.waitUntil(lambda: bool(told), timeout=30_000)
    assert told == ["cancelled"]
    assert path.read_text() == "the report of yesterday"
    assert not list(tmp_path.glob(".fusar-*"))


def test_a_report_that_is_not_whole_is_none(writing, run, tmp_path, qtbot, monkeypatch):  # noqa: F811
    path = tmp_path / "out.pdf"
    write = report.write_report

    def cut_short(taken, made, step):
        monkeypatch.setattr("fusar_qgis.layers.report_pages._TAIL", 0)  # as a full disk would leave it
        return write(taken, made, step)

    monkeypatch.setattr("fusar_qgis.gui.report_writing.write_report", cut_short)
    _, told = writing(taken_of(run, tmp_path), path)
    qtbot.waitUntil(lambda: bool(told), timeout=30_000)
    assert told[0].startswith(f"failed: The disk of “{path}” is full.")
    assert not path.exists()


def test_the_report_of_a_run_is_that_of_its_layer(project, run, tmp_path, qtbot, qgis_iface, bar):  # noqa: F811
    layer_of(run, tmp_path)
    (found,) = runs_in(project)
    exporting = Exporting(qgis_iface, bar)
    exporting.report(found, tmp_path / "out.pdf")
    qtbot.waitUntil(lambda: any("2 pages" in one.text() for one in bar.items()), timeout=30_000)
    exporting.report(found, tmp_path / "harbour.tif" / "out.pdf")
    assert "does not exist" in bar.currentItem().text()
    exporting.remove()
