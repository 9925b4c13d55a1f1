"""The plugin's side of the HTTP API: what it reads is typed, and nonsense is refused, never half-read."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusar_qgis.contract import (
    API_MISMATCH,
    Ended,
    Found,
    Info,
    Problem,
    Progress,
    ProtocolError,
    read,
    read_event,
    read_problem,
)
from fusar_qgis.core.endpoint import EndpointError, endpoint, read_ready_line, read_token

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def event(kind, data):
    return read_event(kind, json.dumps(data))


def feature(**changes):
    ring = [[0, 0], [1, 0], [1, 1], [0, 0]]
    return {
        "id": "f1",
        "properties": {"layer": "detections", "label": "ship", "score": 0.9},
        "scene_geometry": {"type": "Polygon", "coordinates": [ring]},
        "scene_crs": "EPSG:32650",
        "scene_box": [1, 2, 3.5, 4],
    } | changes


def test_findings_keep_the_exact_scene_geometry():
    found = event(
        "findings", {"added": {"features": [feature()]}, "replaced": ["f0"], "replaces": {"f1": "f0"}}
    )
    assert isinstance(found, Found)
    assert found.replaced == ("f0",)
    (finding,) = found.added
    assert (finding.id, finding.layer, finding.crs) == ("f1", "detections", "EPSG:32650")
    assert finding.geometry.polygons == ((((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0)),),)
    assert finding.properties == {"label": "ship", "score": 0.9}


@pytest.mark.parametrize(
    "broken",
    [
        feature(scene_geometry={"type": "Point", "coordinates": [0, 0]}),
        feature(scene_geometry={"type": "Polygon", "coordinates": [[["x", 0]]]}),
        feature(properties={"label": "no layer"}),
        {"id": "f1"},
    ],
)
def test_a_feature_that_cannot_be_placed_is_refused(broken):
    with pytest.raises(ProtocolError):
        event("findings", {"added": {"features": [broken]}, "replaced": [], "replaces": {}})


@given(st.sampled_from(["started", "progress", "findings", "end", "message"]), _JSON)
def test_any_json_is_read_or_refused(kind, data):
    with contextlib.suppress(ProtocolError):
        event(kind, data)


def test_simple_events():
    assert event("progress", {"done": 3, "total": 9}) == Progress(3, 9)
    assert event("end", {"status": "failed", "message": "no"}) == Ended("failed", "no")
    assert event("from-the-future", {}) is None


def test_info():
    card = {"name": "tiny", "demonstration": True, "targets": ["ship"], "prior_years": [2017, 2024]}
    info = read(Info, json.dumps({"api": 1, "version": "0.1.0", "device": "cpu", "models": [card]}).encode())
    (model,) = info.models
    assert (model.title, model.demonstration, model.prior_years) == ("tiny", True, (2017, 2024))
    with pytest.raises(ProtocolError):
        read(Info, b'{"api": 2, "version": "9", "device": "cpu", "models": []}')


def test_problem_detail():
    assert read_problem(b'{"title": "t", "detail": "Outside the scene."}').detail == "Outside the scene."
    assert read_problem(b"<html>proxy</html>") is None
    assert read_problem(b'{"detail": [1]}') is None
    older = Problem("about:blank", "Conflict", 409, "this server speaks API 2", API_MISMATCH, 2)
    assert read_problem(json.dumps(older.to_json()).encode()) == older


def test_ready_line():
    ready = read_ready_line(b'{"url": "http://127.0.0.1:81/", "token": "t", "api": 1, "version": "0.1.0"}\n')
    assert (ready.url, ready.token, ready.is_loopback) == ("http://127.0.0.1:81", "t", True)
    assert "t" not in repr(ready).replace("http", "").replace("Endpoint(url=", "")
    for line in (
        b"",
        b"Traceback (most recent call last)",
        b'{"url": "http://a", "token": "t", "api": 2}',
        b"[]",
    ):
        with pytest.raises(EndpointError):
            read_ready_line(line)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:1", True),
        ("http://[::1]:1", True),
        ("http://127.1.2.3", True),
        ("https://a.cn", False),
    ],
)
def test_loopback(url, loopback):
    assert endpoint(url, "t").is_loopback is loopback


@pytest.mark.parametrize("url", ["", "ftp://a", "file:///etc/passwd", "127.0.0.1:80"])
def test_no_address(url):
    with pytest.raises(EndpointError):
        endpoint(url, "t")


def test_token_file():
    assert read_token('{"url": "http://127.0.0.1:1", "token": "abc"}') == "abc"
    assert read_token("abc\n") == "abc"
