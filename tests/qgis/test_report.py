"""The PDF report of a run: an overview, counts, provenance and caveats, and cards with pictures."""

import json

from conftest import write_tiff
from qgis.core import QgsLayoutItemLabel, QgsLayoutItemPicture, QgsPrintLayout, QgsProject
from qgis.PyQt.QtCore import QObject
from test_results import RUN, finding, project, run  # noqa: F401 - fixtures

from fusar_qgis.contract import Found
from fusar_qgis.gui.report_writing import ReportWriting
from fusar_qgis.layers import exports, findings_layer, report


def taken_of(run, tmp_path, count=9, warning="One warning."):  # noqa: F811
    layer, _ = run(Found(tuple(finding(n, confidence=n / (count + 1)) for n in range(1, count + 1))))
    layer.setCustomProperty(findings_layer.SCENE_PROPERTY, str(write_tiff(tmp_path / "harbour.tif")))
    layer.setCustomProperty(findings_layer.RUN_PROPERTY, json.dumps({**RUN, "warnings": warning}))
    return exports.snapshot(layer, QgsProject.instance().transformContext(), unreviewed_too=True)


def items(layout, kind):
    return [item for item in layout.items() if isinstance(item, kind)]


def test_a_report_shows_the_scene_the_run_and_every_finding(project, run, tmp_path, qtbot):  # noqa: F811
    contents = report.gather(taken_of(run, tmp_path), tmp_path)
    layout = QgsPrintLayout(QgsProject.instance())
    assert len(list(report.lay_out(contents, layout))) > len(contents.cards)  # the GUI goes on between
    said = "\n".join(label.text() for label in items(layout, QgsLayoutItemLabel))
    assert "One warning." in said
    assert "nobody yet" in said
    assert RUN["model"] in said
    assert len(items(layout, QgsLayoutItemPicture)) == 10
    best = contents.cards[0][1]
    assert "Confidence 0.90" in best
    page = layout.pageCollection().page(0).rect()
    for item in items(layout, QgsLayoutItemLabel):
        assert item.rect().width() <= page.width() - 2 * 15
    assert layout.pageCollection().pageCount() == 3


def test_a_long_id_is_whole_beside_its_picture(project, run, tmp_path):  # noqa: F811
    taken = taken_of(run, tmp_path, count=1)
    long = "f26fed8b-1cef-51ae-89cb-0f2c8a7d9e10"
    taken.features[0]["id"] = long
    contents = report.gather(taken, tmp_path)
    assert "".join(contents.cards[0][1]).endswith(long)
    layout = QgsPrintLayout(QgsProject.instance())
    list(report.lay_out(contents, layout))
    label = next(one for one in items(layout, QgsLayoutItemLabel) if "f26fed8b" in one.text())
    assert label.sizeForText().width() <= label.rect().width()


def test_a_long_run_shows_the_best_and_says_how_many_are_left_out(project, run, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(report, "MOST_CARDS", 4)
    contents = report.gather(taken_of(run, tmp_path), tmp_path)
    assert len(contents.cards) == 4
    assert "5 more" in contents.left_out


def test_a_report_without_its_scene_says_so(project, run, tmp_path):  # noqa: F811
    taken = taken_of(run, tmp_path)
    (tmp_path / "harbour.tif").unlink()
    contents = report.gather(taken, tmp_path)
    assert not contents.overview
    assert "harbour.tif" in contents.caveats[-1]
    assert len(contents.cards) == 9


def test_a_report_is_written_whole(project, run, tmp_path, qtbot):  # noqa: F811
    parent, told = QObject(), []
    writing = ReportWriting(taken_of(run, tmp_path), tmp_path / "out.pdf", parent)
    writing.written.connect(told.append)
    writing.failed.connect(told.append)
    qtbot.waitUntil(lambda: bool(told), timeout=30_000)
    assert "Pages: 3" in told[0]
    assert (tmp_path / "out.pdf").read_bytes().startswith(b"%PDF")
    assert not list(tmp_path.glob(".fusar-*"))
