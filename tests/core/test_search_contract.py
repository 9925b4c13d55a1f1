"""A search and a heat map over the wire: JSON there and back, and limits that the server keeps."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from test_contract import outlines, words

from fusar_gpt.contract import LAYER_COLUMNS, NO_HEAT, HeatMap, MapPoint, SearchPlan, SearchRequest, read

REQUEST = TypeAdapter(SearchRequest)
degrees = st.floats(-180, 180)
examples = outlines | st.builds(MapPoint, st.just("Point"), st.tuples(degrees, degrees))
requests = st.builds(
    SearchRequest,
    scene=words,
    texts=st.lists(words.filter(str.strip), min_size=1, max_size=3).map(tuple),
    like=st.lists(examples, max_size=2).map(tuple),
    unlike=st.lists(examples, max_size=2).map(tuple),
    area=st.none() | outlines,
    top=st.integers(1, 1000),
    encoder=st.none() | words,
    ground_m=st.lists(st.floats(1, 1e5), max_size=4).map(tuple),
    overlap=st.none() | st.floats(0, 0.9),
    explain=st.booleans(),
    heat=st.booleans(),
    band=st.none() | words | st.integers(1, 9),
)
sizes = st.tuples(st.integers(1, 4), st.integers(1, 3))
heat_maps = sizes.flatmap(
    lambda size: st.builds(
        HeatMap,
        width=st.just(size[0]),
        height=st.just(size[1]),
        cell_px=st.just((112.0, 110.5)),
        crs=words,
        transform=st.none() | st.tuples(*[degrees] * 6),
        gcps=st.lists(st.tuples(*[degrees] * 4), max_size=2).map(tuple),
        values=st.binary(min_size=size[0] * size[1], max_size=size[0] * size[1]),
    )
)


@given(requests)
def test_a_search_survives_the_wire_and_is_what_the_server_reads(request):
    sent = json.loads(json.dumps(request.to_json(), allow_nan=False))
    assert SearchRequest.from_json(sent) == request
    assert REQUEST.validate_python(sent) == request
    assert REQUEST.validate_json(REQUEST.dump_json(request)) == request


@given(heat_maps)
def test_a_heat_map_survives_the_wire(heat):
    assert read(HeatMap, json.dumps(heat.to_json(), allow_nan=False)) == heat


def test_a_heat_map_has_a_value_a_cell():
    with pytest.raises(ValueError, match="1 values for 2 x 1 cells"):
        HeatMap(2, 1, (1.0, 1.0), "EPSG:4326", None, (), bytes([NO_HEAT]))


def test_a_plan_survives_the_wire():
    plan = SearchPlan(slices=12_300, ready=300, seconds=60.5)
    assert read(SearchPlan, json.dumps(plan.to_json())) == plan


@pytest.mark.parametrize(
    "change",
    [
        {"texts": []}, {"texts": ["", " "]}, {"texts": ["a" * 2001]}, {"texts": ["a"] * 21}, {"texts": "ships"},
        {"texts": [], "unlike": [{"type": "Point", "coordinates": [4, 52]}]}, {"top": 0}, {"top": 1001}, {"top": True},
        {"like": [{"type": "Point", "coordinates": [4]}]}, {"like": [{"type": "LineString", "coordinates": [[0, 0]]}]},
        {"like": [{"type": "Point", "coordinates": [math.nan, 0]}]}, {"ground_m": [0]}, {"ground_m": [1, 2, 3, 4, 5]},
        {"overlap": 1}, {"scene": ""}, {"surprise": 1}, {"examples_crs": "+proj=longlat +nadgrids=/a"}, {"heat": "yes"},
    ],
    ids=str,
)  # fmt: skip
def test_the_server_refuses_what_is_beyond_the_limits(change):
    sent = {"scene": "a.tif", "texts": ["ships at a dock"]}
    assert REQUEST.validate_python(sent)
    with pytest.raises(ValidationError):
        REQUEST.validate_python(sent | change)


def test_only_an_uploaded_scene_is_an_upload():
    assert SearchRequest("scene:ab12", ("ships",)).uploads == {"ab12"}
    assert SearchRequest("/data/a.tif", ("ships",)).uploads == set()


def test_places_share_what_every_finding_tells():
    shared = set.intersection(*(set(columns) for columns in LAYER_COLUMNS.values()))
    assert {"id", "lon", "lat", "run", "model", "demonstration", "simulated"} <= shared
