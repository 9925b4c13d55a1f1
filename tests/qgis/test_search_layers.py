"""What a search leaves in the project: ranked places, their heat map, and what is made of both."""

import json
from collections import namedtuple
from dataclasses import replace

import pytest
from conftest import ROOT, write_tiff
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsExpressionContext,
    QgsExpressionContextUtils,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
    QgsSettings,
)
from qgis.PyQt.QtCore import QObject, QSize
from qgis.PyQt.QtGui import QColor
from test_results import project  # noqa: F401 - a fixture

from fusar_qgis.contract import (
    NO_HEAT,
    PLACES,
    Finding,
    Finished,
    HeatMap,
    Polygon,
    Run,
    SceneBox,
    SearchRequest,
)  # fmt: skip
from fusar_qgis.core.setting_names import PLACE
from fusar_qgis.gui.results_relocator import ResultsRelocator
from fusar_qgis.layers import exports, findings_layer, report, storage
from fusar_qgis.layers.decisions import Decisions
from fusar_qgis.layers.findings_layer import findings_layers, heat_layers
from fusar_qgis.layers.heat_map import write_heat
from fusar_qgis.layers.places import add_places, replace_places
from fusar_qgis.layers.project_runs import ProjectRuns, remove_run, runs_in
from fusar_qgis.layers.run_focus import RunFocus
from fusar_qgis.layers.sar_file import SarFile
from fusar_qgis.layers.scene import crs_of
from fusar_qgis.layers.thumbnails import sar_thumbnail, window_of

SAMPLE = ROOT / "backend" / "fusar_gpt" / "samples" / "harbour_simulated.tif"
REQUEST = SearchRequest("/data/harbour.tif", ("ships at a dock",), band=1).to_json()
AREA = "POLYGON ((500000 3999200, 501000 3999200, 501000 4000000, 500000 4000000, 500000 3999200))"
RUN = Run(
    id="search-1", version="0.1.0", model="klip-tiny", model_hash="0" * 64, demonstration=True, task="search",
    targets=(), prompts=("ships at a dock", "boats"), scene="harbour.tif", scene_crs="EPSG:32650",
    scene_fingerprint="1", scene_simulated=False, band="1", quantity="grey", stretch_low_db=0.0,
    stretch_high_db=255.0, chip_ground_m=100.0, aspect="undistorted", overlap=0.5, area=AREA,
    started="2026-01-02T03:04:05Z", warnings=("klip-tiny does not know dock.",), score_meaning="cosine",
)  # fmt: skip


def place(rank: int, run: Run = RUN) -> Finding:
    """A square of 100 m; those of lower rank stand to the right of the better, ten in a row."""
    column, row = (rank - 1) % 10, (rank - 1) // 10
    x, y = 500000 + 100 * column, 4000000 - 100 * row
    ring = ((x, y), (x + 100, y), (x + 100, y - 100), (x, y - 100), (x, y))
    columns = {
        "rank": rank, "percentile": 100 - rank / 10, "similarity": 0.5 - rank / 1000, "query": "ships at a dock",
        "matched": None, "side_m": 100.0, "data_share": 1.0, "chip": rank, "lon": 117.0, "lat": 36.0,
        **run.provenance(),
    }  # fmt: skip
    box = SceneBox(20 * column, 20 * row, 20 * column + 20, 20 * row + 20)
    shape = Polygon("Polygon", (ring,))
    return Finding(f"{run.id} place {rank}", PLACES, shape, run.scene_crs, None, box, columns)


def heat(**changes) -> HeatMap:
    """4 x 2 cells over the scene of ``write_tiff``: nothing like the query but at the right, no data at the left."""
    made = HeatMap(
        4, 2, (50.0, 80.0), "EPSG:32650", (500000.0, 250.0, 0.0, 4000000.0, 0.0, -400.0), (),
        bytes([NO_HEAT, 10, 50, 99, NO_HEAT, 20, 60, 100]),
    )  # fmt: skip
    return replace(made, **changes)


def search(count: int = 3, run: Run = RUN, heat_map: HeatMap | None = None) -> Finished:
    return Finished(run, tuple(place(rank, run) for rank in range(1, count + 1)), heat_map)


@pytest.fixture
def added(qgis_app, qtbot):
    """Add a search, wait until all is written; return what did it, and what it warned of."""

    def add(finished: Finished, title: str = "", *, shown=None, request=REQUEST):
        how = (finished, title, "/data/harbour.tif", request)
        made, warnings = add_places(*how) if shown is None else replace_places(shown, *how), []
        made.warned.connect(warnings.append)
        gone = []
        made.destroyed.connect(lambda: gone.append(True))
        with qtbot.waitSignal(made.settled, timeout=20_000):
            pass
        at = made.places, made.heat, made.group
        qtbot.waitUntil(lambda: bool(gone), timeout=20_000)
        return (*at, warnings)

    return add


def ranks(layer) -> list[int]:
    return [feature["rank"] for feature in layer.getFeatures()]


def values_of(layer: QgsRasterLayer, *points) -> list[float]:
    found = [layer.dataProvider().sample(QgsPointXY(*point), 1) for point in points]
    return [value if good else None for value, good in found]


def test_places_and_heat_lie_beside_the_project_in_one_group(project, added, tmp_path):  # noqa: F811
    places, heat_map, group, warnings = added(search(3, heat_map=heat()))
    assert warnings == []
    assert storage.source_of(places)[0] == tmp_path / "survey_fusar.gpkg"
    assert ranks(places) == [1, 2, 3]
    assert [node.layer() for node in group.findLayers()] == [places, heat_map]
    assert group.name().endswith("1.0 x 0.8 km · Search: ships at a dock; boats (demonstration model)")
    assert heat_map.source() == str(tmp_path / "survey_fusar_places_20260102030405_heat.tif")
    assert values_of(heat_map, (500900, 3999900), (500900, 3999300), (500100, 3999900)) == [99, 100, None]
    assert list(tmp_path.glob(".*")) == []  # nothing half-written
    (run,) = runs_in(project)
    assert (run.request, run.search.texts, run.asked.band) == (None, ("ships at a dock",), 1)
    assert (run.status, list(run.layers)) == ("successful", [PLACES])
    assert run.run["warnings"] == "klip-tiny does not know dock."


def test_a_title_never_hides_that_it_is_a_demonstration(project, added):  # noqa: F811
    _, _, group, _ = added(search(), "More like 3")
    assert group.name() == "More like 3 (demonstration model)"


def test_the_project_opened_again_shows_the_same(project, added, tmp_path):  # noqa: F811
    added(search(3, heat_map=heat()))
    assert project.write()
    project.clear()
    assert project.read(str(tmp_path / "survey.qgz"))
    (places,), (heat_map,) = findings_layers(project), heat_layers(project)
    assert ranks(places) == [1, 2, 3]
    assert places.labelsEnabled()
    assert values_of(heat_map, (500900, 3999300)) == [100]
    assert heat_map.renderer().type() == "singlebandpseudocolor"


def test_an_unsaved_projects_heat_map_moves_with_its_places(
    qgis_new_project, qgis_iface, bar, added, tmp_path
):
    places, heat_map, *_ = added(search(3, heat_map=heat()))
    assert storage.is_temporary(storage.source_of(places)[0])
    moving = ResultsRelocator(qgis_iface, bar)
    assert QgsProject.instance().write(str(tmp_path / "new.qgz"))
    moving.remove()
    assert heat_map.source().startswith(str(tmp_path / "new_fusar_places_"))
    assert values_of(heat_map, (500900, 3999300)) == [100]
    assert heat_map.renderer().type() == "singlebandpseudocolor"
    assert not QgsProject.instance().isDirty()


def test_temporary_by_choice_stays_so(project, added):  # noqa: F811
    QgsSettings().setValue(PLACE, "temporary")
    places, heat_map, *_ = added(search(1, heat_map=heat()))
    assert storage.is_temporary(storage.source_of(places)[0])
    assert heat_map.source().startswith(str(storage.source_of(places)[0].parent))


def test_a_refined_search_takes_the_place_of_the_one_before(project, added):  # noqa: F811
    places, heat_map, group, _ = added(search(3, heat_map=heat()))
    root = project.layerTreeRoot()
    root.findLayer(heat_map.id()).setItemVisibilityChecked(False)
    other = replace(RUN, id="search-2", prompts=("ships at anchor",))
    for shown in (group, None):
        new, new_heat, same, _ = added(search(2, other, heat()), shown=shown or places)
        assert same is group
        assert "Search: ships at anchor" in group.name()
        assert [node.layer() for node in group.findLayers()] == [new, new_heat]
        assert not root.findLayer(new_heat.id()).itemVisibilityChecked()
        assert root.findLayer(new.id()).itemVisibilityChecked()
        assert [run.id for run in runs_in(project)] == [other.id]
        places, other = new, replace(other, id="search-3")


def test_a_search_that_finds_nothing_leaves_what_there_was(project, added):  # noqa: F811
    places, _, group, _ = added(search())
    new, *_ = added(search(0, replace(RUN, id="search-2")), shown=group)
    assert new is None
    assert findings_layers(project) == [places]
    assert {run.id for run in runs_in(project)} == {"search-1", "search-2"}


def test_what_is_gone_is_replaced_by_a_group_of_its_own(project, added):  # noqa: F811
    places, _, group, _ = added(search())
    project.layerTreeRoot().removeChildNode(group)
    project.removeMapLayer(places.id())
    new, _, made, _ = added(search(2, replace(RUN, id="search-2")), shown=group)
    assert [node.layer() for node in made.findLayers()] == [new]


def test_a_thousand_places(project, added):  # noqa: F811
    places, *_ = added(search(1000))
    assert places.featureCount() == 1000


@pytest.mark.parametrize("heat_map", [None, heat()])
def test_a_full_disk_is_said_and_loses_nothing(project, added, monkeypatch, heat_map, tmp_path, language):  # noqa: F811
    (tmp_path / "survey_fusar.gpkg").mkdir()  # neither beside the project nor elsewhere
    monkeypatch.setattr(storage.tempfile, "gettempdir", lambda: str(tmp_path / "survey.qgz"))
    places, shown, _, warnings = added(search(2, heat_map=heat_map))
    assert places.providerType() == "memory"
    assert ("safe in memory" in warnings[-1]) == (language == "en")  # a subclass speaks Chinese too
    assert ranks(places) == [1, 2]
    assert list(tmp_path.glob("*.tif")) + list(tmp_path.glob(".*")) == []
    assert (shown is None) == (heat_map is None)
    assert shown is None or values_of(shown, (500900, 3999300)) == [100]


def test_a_heat_map_that_cannot_be_written_is_kept_in_memory_and_said(project, added, monkeypatch):  # noqa: F811
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fusar_qgis.layers.heat_map.write_heat", full)
    places, shown, _, (warning,) = added(search(2, heat_map=heat()))
    assert warning.startswith("The heat map cannot be written: No space left on device.")
    assert places.providerType() == "ogr"
    assert values_of(shown, (500900, 3999300)) == [100]


@pytest.mark.parametrize("fault", ["cut off", "no folder"])
def test_a_heat_map_is_written_whole_or_not_at_all(qgis_app, tmp_path, monkeypatch, fault):
    path = tmp_path / "heat.tif" if fault == "cut off" else tmp_path / "gone" / "heat.tif"
    if fault == "cut off":
        path.write_text("the one before")
        monkeypatch.setattr("fusar_qgis.layers.heat_map.open_raster", lambda _: None)  # what GDAL reads back
    with pytest.raises(OSError):
        write_heat(heat(), path)
    assert [one.name for one in tmp_path.iterdir()] == (["heat.tif"] if fault == "cut off" else [])
    assert fault == "no folder" or path.read_text() == "the one before"


def test_no_heat_map_replaces_a_file(project, added, tmp_path):  # noqa: F811
    other = tmp_path / "survey_fusar_places_20260102030405_heat.tif"
    other.write_text("somebody's")
    _, shown, *_ = added(search(1, heat_map=heat()))
    assert other.read_text() == "somebody's"
    assert shown.source() == str(other.with_name(f"{other.stem}_2.tif"))


TURNED = (500000.0, 150.0, 200.0, 4000000.0, 200.0, -150.0)
CONTROL = tuple(
    (float(c), float(r), 500000.0 + 250 * c + 30 * r, 4000000.0 - 400 * r) for c in range(5) for r in range(3)
)


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"transform": TURNED}, lambda c, r: (500000 + 150 * c + 200 * r, 4000000 + 200 * c - 150 * r)),
        ({"transform": None, "gcps": CONTROL}, lambda c, r: (500000 + 250 * c + 30 * r, 4000000 - 400 * r)),
        (
            {"crs": "EPSG:4326", "transform": (117.0, 0.1, 0.0, 36.0, 0.0, -0.1)},
            lambda c, r: (117 + 0.1 * c, 36 - 0.1 * r),
        ),
    ],
)
def test_cells_lie_where_the_heat_map_says(project, added, changes, at):  # noqa: F811
    shown = added(search(1, heat_map=heat(**changes)))[1]
    assert shown.crs().authid() == heat(**changes).crs
    # Close to the corners of the cells, not only in their middle.
    cells = {
        (column, row): value for row in (0, 1) for column, value in enumerate(heat().values[4 * row :][:4])
    }
    for (column, row), value in cells.items():
        wanted = None if value == NO_HEAT else value
        for right, down in ((0.1, 0.1), (0.9, 0.9), (0.5, 0.5)):
            assert values_of(shown, at(column + right, row + down)) == [wanted], (column, row, right, down)


def test_a_scene_in_a_crs_that_no_file_keeps(project, added):  # noqa: F811
    here = QgsCoordinateReferenceSystem()
    here.createFromProj("+proj=utm +zone=50 +datum=WGS84 +units=km +no_defs")
    wkt = here.toWkt(here.WktVariant.WKT_PREFERRED)
    run = replace(RUN, scene_crs=wkt)
    kilometres = heat(crs=wkt, transform=(500.0, 0.25, 0.0, 4000.0, 0.0, -0.4))
    places, shown, _, warnings = added(search(1, run, kilometres))
    assert places.crs().authid() == "EPSG:4326"
    assert any("WGS 84" in warning for warning in warnings)
    assert shown.crs() == crs_of(wkt)
    assert values_of(shown, (500.9, 3999.3)) == [100]


def pixels(layers, extent, side: int = 400):
    """A map of layers on black, as a function of a point in metres that gives (red, green, blue)."""
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(layers[0].crs())
    settings.setOutputSize(QSize(side, side))
    settings.setExtent(extent)
    settings.setBackgroundColor(QColor("black"))
    context = QgsExpressionContext()
    context.appendScope(QgsExpressionContextUtils.mapSettingsScope(settings))
    settings.setExpressionContext(context)
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    image, shown = job.renderedImage(), settings.visibleExtent()

    def colour(x: float, y: float) -> tuple[int, int, int]:
        across, up = (x - shown.xMinimum()) / shown.width(), (y - shown.yMinimum()) / shown.height()
        return image.pixelColor(int(across * side), int((1 - up) * side)).getRgb()[:3]

    return colour


def test_better_places_are_brighter_and_nothing_is_hidden(project, added):  # noqa: F811
    places, *_ = added(search(10))
    places.setLabelsEnabled(False)
    colour = pixels([places], places.extent().buffered(20))

    def brightest(rank: int) -> int:
        right = 500000 + 100 * rank
        return max(colour(right - inside, 3999950)[0] for inside in range(12))

    assert brightest(1) > brightest(5) > brightest(10) > 80
    assert colour(500050, 3999950) == (0, 0, 0)  # the middle of the best
    places.selectAll()
    assert pixels([places], places.extent())(500050, 3999950) == (0, 0, 0)


def test_only_the_upper_part_of_the_heat_map_is_seen(project, added):  # noqa: F811
    shown = added(search(1, heat_map=heat()))[1]
    colour = pixels([shown], shown.extent())
    assert colour(500100, 3999900) == colour(500370, 3999900) == (0, 0, 0)  # no data; unlike the query
    red, green, _ = colour(500875, 3999400)
    assert red > 80
    assert green < red / 2
    assert red < 140  # half transparent


def test_a_review_of_places(project, added):  # noqa: F811
    places, *_ = added(search(3))
    decisions = Decisions(places, "somebody")
    first, second, _ = (feature.id() for feature in places.getFeatures())
    decisions.decide(first, "accepted")
    decisions.decide(second, "rejected")
    assert not decisions.is_of_detections()  # no box can be added
    taken = exports.snapshot(places, project.transformContext(), unreviewed_too=False)
    assert [feature["rank"] for feature in taken.features] == [1]
    assert taken.left_out == (1, 1)
    decisions.close()


@pytest.mark.parametrize("form", ["gpkg", "geojson", "csv", "kml"])
def test_places_are_exported(project, added, tmp_path, form):  # noqa: F811
    places, *_ = added(search(3))
    taken = exports.snapshot(places, project.transformContext(), unreviewed_too=True)
    path = tmp_path / f"places{exports.FORMATS[form][0]}"
    exports.write(taken, form, path)
    dataset = gdal.OpenEx(str(path), gdal.OF_VECTOR)
    rows = [dataset.GetLayer(0).GetNextFeature() for _ in range(3)]
    assert [str(row.GetField("Name" if form == "kml" else "rank")) for row in rows] == ["1", "2", "3"]


def test_the_report_of_a_search(project, added, tmp_path):  # noqa: F811
    places, *_ = added(search(3))
    places.setCustomProperty(findings_layer.SCENE_PROPERTY, str(write_tiff(tmp_path / "harbour.tif")))
    taken = exports.snapshot(places, project.transformContext(), unreviewed_too=True)
    contents = report.gather(taken, lambda *_: None)
    facts = dict(contents.facts)
    assert contents.title == "Search: ships at a dock; boats"
    assert facts["Searched for"] == "ships at a dock; boats"
    assert facts["Findings"] == "place: 3"
    assert facts["Similarity"] == "cosine"
    assert "Prior" not in facts
    assert contents.caveats[:2] == ["demonstration model", "klip-tiny does not know dock."]
    picture, lines = contents.cards[0]
    assert (picture.width(), picture.height()) == (300, 300)
    assert lines[:3] == ["1 · place", "Rank 1", "More like the query than 99.9 % of the scene"]


def test_a_thumbnail_of_a_place_is_the_place(qgis_app, scene_path):
    scene = SarFile.of_request(str(scene_path), SearchRequest(str(scene_path), ("x",), band=1))
    box = SceneBox(20.0, 40.0, 60.0, 80.0)
    assert window_of(box, scene.width, scene.height) == (20, 40, 40, 40)
    exact = sar_thumbnail(scene, box, 40, alone=True)
    assert [exact.pixelColor(col, 5).red() for col in range(40)] == scene.grey(20, 40, 40, 40)[5].tolist()
    beyond = sar_thumbnail(scene, SceneBox(-10.0, -10.0, 5000.0, 5000.0), 96, alone=True)
    assert (beyond.width(), beyond.height()) == (96, 76)  # the shape of the scene


def test_a_search_goes_with_its_heat_map(project, added):  # noqa: F811
    added(search(2, heat_map=heat()))
    remove_run(project, runs_in(project)[0])
    assert project.mapLayers() == {}
    assert project.layerTreeRoot().children() == []


def test_the_heat_map_of_a_search_that_is_not_in_front_is_hidden(project, added, qtbot):  # noqa: F811
    watcher = QObject()
    runs = ProjectRuns(watcher)
    focus = RunFocus(runs, watcher)
    _, first, *_ = added(search(2, heat_map=heat()))
    _, second, *_ = added(search(2, replace(RUN, id="search-2"), heat()))
    visible = {
        one: project.layerTreeRoot().findLayer(one.id()).itemVisibilityChecked for one in (first, second)
    }
    focus.choose("search-2")
    assert (visible[first](), visible[second]()) == (False, True)
    focus.choose("search-1")
    assert (visible[first](), visible[second]()) == (True, False)
    focus.choose("")
    assert visible[first]()
    assert visible[second]()
    focus.remove()
    runs.remove()


def test_the_kept_request_of_a_search_is_no_interpretation(project, added):  # noqa: F811
    places, *_ = added(search())
    assert findings_layer.request_of(places) is None
    assert findings_layer.search_of(places).texts == ("ships at a dock",)
    places.setCustomProperty(findings_layer.REQUEST_PROPERTY, json.dumps({"scene": "x", "task": "detect"}))
    assert findings_layer.search_of(places) is None


def test_a_disk_without_room_is_seen_before_writing_fails(project, qtbot, monkeypatch):  # noqa: F811
    usage = namedtuple("Usage", "total used free")
    made, warnings = add_places(search(120, heat_map=heat()), "", "/data/harbour.tif", REQUEST), []
    made.warned.connect(warnings.append)
    monkeypatch.setattr("fusar_qgis.layers.storage.shutil.disk_usage", lambda _: usage(9, 8, 1))
    with qtbot.waitSignal(made.settled, timeout=20_000):
        pass
    (warning,) = warnings
    assert warning.startswith("The disk is full:")
    assert sorted(ranks(made.places)) == list(range(1, 121))
    with qtbot.waitSignal(made.destroyed, timeout=20_000):
        pass
