"""The contract: plain Python that both sides can run, JSON there and back, and limits that the server keeps."""

import ast
import json
import math
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fusar_gpt import contract
from fusar_gpt.contract import (
    RUN_COLUMNS,
    FeatureCollection,
    Finding,
    Finished,
    Found,
    InterpretRequest,
    MultiPolygon,
    Polygon,
    Progress,
    ProtocolError,
    Run,
    SceneBox,
    Started,
    Task,
    read,
    read_event,
)

FOLDER = Path(contract.__file__).parent
LINK = Path(__file__).resolve().parents[2] / "fusar_qgis" / "contract"
REQUEST = TypeAdapter(InterpretRequest)

NUMERIC = ("stretch.py", "sample.py", "radiometry.py", "evidence.py")
words = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)
numbers = st.floats(-1e7, 1e7)
rings = st.lists(st.tuples(numbers, numbers), min_size=4, max_size=6).map(tuple)
parts = st.lists(rings, min_size=1, max_size=2).map(tuple)
outlines = st.builds(Polygon, st.just("Polygon"), parts) | st.builds(
    MultiPolygon, st.just("MultiPolygon"), st.lists(parts, min_size=1, max_size=2).map(tuple)
)
requests = st.builds(
    InterpretRequest,
    scene=words,
    task=st.sampled_from(Task),
    targets=st.lists(words, max_size=3).map(tuple),
    area=st.none() | outlines,
    question=words.filter(str.strip),
    boxes=st.lists(outlines, min_size=1, max_size=2).map(tuple).map(FeatureCollection.of),
    boxes_crs=st.none() | st.just("EPSG:32631"),
    prior=words,
    year=st.none() | st.integers(1970, 2200),
    band=st.none() | words | st.integers(1, 9),
    overlap=st.none() | st.floats(0, 0.9),
)
KINDS = {"str": words, "bool": st.booleans(), "float": numbers, "tuple[str, ...]": st.lists(words).map(tuple)}
KINDS |= {
    "int | None": st.none() | st.integers(2017, 2030),
    "str | None": st.none() | words,
    "float | None": st.none() | numbers,
}
runs = st.builds(Run, **{field.name: KINDS[field.type] for field in fields(Run)})
boxes = st.tuples(numbers, numbers).map(lambda at: SceneBox(*at, at[0] + 5, at[1] + 7.5))
values = st.none() | words | numbers | st.booleans() | st.integers()
findings = st.builds(
    Finding,
    id=words,
    layer=st.sampled_from(["detections", "grid", "answers"]),
    geometry=outlines,
    crs=words,
    lonlat=st.none() | outlines,
    box=boxes,
    properties=st.dictionaries(words.filter(lambda name: name != "layer"), values, max_size=3),
)
several = st.lists(findings, max_size=2).map(tuple)


def test_the_plugin_has_the_same_files():
    assert LINK.resolve() == FOLDER.resolve()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_it_needs_the_standard_library_alone_and_the_numbers_numpy(path):
    allowed = sys.stdlib_module_names | ({"numpy"} if path.name in NUMERIC else set())
    for node in ast.walk(ast.parse(path.read_text("utf-8"), feature_version=(3, 9))):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom):
            assert node.level or node.module.split(".")[0] in allowed


@given(requests)
def test_a_request_survives_the_wire_and_is_what_the_server_reads(request):
    sent = json.loads(json.dumps(request.to_json(), allow_nan=False))
    assert InterpretRequest.from_json(sent) == request
    assert REQUEST.validate_python(sent) == request
    assert REQUEST.validate_json(REQUEST.dump_json(request)) == request


@given(runs, st.integers(0, 9), several)
def test_events_survive_the_wire(run, chips, added):
    replaces = {finding.id: "old" for finding in added[:1]}
    for event in (Started(run, chips), Found(added, replaces), Progress(1, chips)):
        assert read_event(event.name, json.dumps(event.to_json())) == event
    finished = Finished(run, added)
    assert read(Finished, json.dumps(finished.to_json())) == finished


@pytest.mark.parametrize(
    "change",
    [
        {"overlap": 1.0}, {"overlap": math.nan}, {"year": 1969}, {"year": True}, {"band": 0}, {"ground_m": 0},
        {"scene": ""}, {"scene": "a\nb"}, {"targets": ["a"] * 51}, {"targets": [""]}, {"surprise": 1},
        {"area": {"type": "Point", "coordinates": [0, 0]}}, {"area": {"type": "Polygon", "coordinates": [[[0, 0]]]}},
        {"boxes": {"type": "FeatureCollection", "features": []}}, {"aspect": "round"}, {"task": "guess"},
        {"task": "ask", "question": " "}, {"task": "classify"}, {"area_crs": "+proj=longlat +nadgrids=/a"},
        {"boxes_crs": "+init=epsg:4326"},
    ],
    ids=str,
)  # fmt: skip
def test_the_server_refuses_what_is_beyond_the_limits(change):
    sent = {"scene": "a.tif", "task": "count"}
    assert REQUEST.validate_python(sent)
    with pytest.raises(ValidationError):
        REQUEST.validate_python(sent | change)


def test_members_of_geojson_that_nobody_reads_are_let_through():
    ring = [[0, 0], [1, 0], [1, 1], [0, 0]]
    shape = {"type": "Polygon", "coordinates": [ring], "bbox": [0, 0, 1, 1]}
    feature = {"type": "Feature", "id": 7, "properties": {"a": 1}, "geometry": shape}
    sent = {"scene": "a.tif", "task": "classify", "area": shape}
    request = REQUEST.validate_python(sent | {"boxes": {"type": "FeatureCollection", "features": [feature]}})
    assert request.boxes.features[0].geometry == request.area


@given(runs)
def test_every_column_of_a_run_has_its_type(run):
    row = run.record()
    assert set(row) == {*RUN_COLUMNS, "area"}
    assert all(row[name] is None or type(row[name]) is kind for name, kind in RUN_COLUMNS.items())


@given(st.sampled_from(["started", "findings", "progress", "end"]), st.text(max_size=9))
def test_nonsense_is_refused(name, data):
    with pytest.raises(ProtocolError):
        read_event(name, data)


def test_a_subclass_may_know_more_than_it_sends():
    from fusar_qgis.core.request import LayerRequest

    request = LayerRequest("a.tif", Task.COUNT, layer_id="layer")
    assert "layer_id" not in request.to_json()
    assert LayerRequest.from_json({**request.to_json(), "layer_id": "layer"}).layer_id == "layer"
    assert replace(request, layer_id="") != request
