"""No body, name or number that a stranger sends is answered with a 5xx, and the server goes on."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_server import AUTH, ApiServer, serve_api

ODD = (
    "[" * 100_000, '{"a":' * 100_000, "[" * 400 + "]" * 400, '"\\ud800"', '"\\u0000"', '"\ufdfa\u202e"', "1e400",
    "-1e400", "NaN", "Infinity", "1" * 5000, "9223372036854775808", "-0.0", "null", "[null]", '""', "{}", "[[1],[2]]",
    '"' + "x" * 300_000 + '"', '{"type": "Polygon", "coordinates": ' + "[" * 500 + "]" * 500 + "}",
    '{"type": "Polygon", "coordinates": [[[1e400, 1], [2, 2], [3, 3], [1, 1]]]}', '{"type": "Point"}',
    '{"type": "Polygon", "coordinates": [[[NaN, 1], [2, 2], [3, 3], [1, 1]]]}', '"scene:../../etc/passwd"',
)  # fmt: skip
"""JSON, and what some parsers take for JSON."""

ENCODINGS = (
    lambda text: text.encode("utf-8", "surrogatepass"),
    lambda text: text.encode("utf-16", "surrogatepass"),
    lambda text: b"\xef\xbb\xbf" + text.encode("utf-8", "surrogatepass"),
    lambda text: gzip.compress(text.encode("utf-8", "surrogatepass")),
    lambda text: text.encode("utf-8", "surrogatepass")[:-1] + b"\xff",
)

NAMES = ("\x00", "\x1b[31m", "\U0001f600", "a" * 3000, "-1", "'; DROP TABLE jobs", "%ff%ed%a0%80")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with serve_api(tmp_path_factory.mktemp("odd")) as opened:
        yield opened


def bodies(scene: str) -> dict[str, dict]:
    execution = {"inputs": {"scene": scene, "task": "count", "targets": ["ship"]}}
    message = {"role": "user", "content": "count the ships"}
    chat = {"model": "scripted", "messages": [message], "fusar": {"scene": scene}}
    return {"/processes/interpret/execution": execution, "/preview": execution, "/v1/chat/completions": chat}


PLACES = {
    "/processes/interpret/execution": ("inputs", "scene", "task", "targets", "area", "boxes", "year", "band"),
    "/preview": ("inputs", "scene", "task", "targets", "area", "boxes", "year", "prior", "ground_m", "question"),
    "/v1/chat/completions": ("model", "messages", "fusar", "seed", "max_tokens", "temperature", "n", "stream", "stop"),
}  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(
    place=st.sampled_from([(path, name) for path, names in PLACES.items() for name in names]),
    odd=st.sampled_from(ODD),
    encode=st.sampled_from(ENCODINGS[:1] * 6 + ENCODINGS[1:]),
    client=st.sampled_from([None, b"\xff\xfe", b"a" * 5000, b""]),
)
def test_odd_json_is_refused_or_taken(
    api: ApiServer, place: tuple[str, str], odd: str, encode: object, client: bytes | None
) -> None:
    path, name = place
    body = bodies(str(api.inputs["scene"]))[path]
    inside = body.get("inputs", body)
    target = body if name in body else inside
    text = json.dumps(body | {name: "@"} if target is body else body | {"inputs": inside | {name: "@"}})
    headers = (
        AUTH | {"Content-Type": "application/json"} | ({"X-Client": client} if client is not None else {})
    )
    reply = requests.post(
        api.url + path, encode(text.replace('"@"', odd, 1)), headers=headers, timeout=20, stream=True
    )
    with reply:
        assert reply.status_code < 500
        if reply.status_code >= 400:
            assert "\n" not in reply.json()["detail"]
            assert "unexpected" not in reply.json()["detail"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "path", ["/jobs/{}", "/jobs/{}/results", "/jobs/{}/events", "/scenes/{}", "/v1/models/{}"]
)
def test_odd_names_are_not_found(api: ApiServer, path: str, name: str) -> None:
    for method in ("GET", "DELETE"):
        url = api.url + path.format(quote(name, safe="%"))
        assert requests.request(method, url, headers=AUTH, timeout=20).status_code in (400, 404, 405, 422)


@pytest.mark.parametrize("number", ["1e400", "NaN", "9" * 400, "-1", "", "\x00"])
def test_odd_numbers_in_the_address_are_refused(api: ApiServer, number: str) -> None:
    for query in ("/jobs?limit=", "/jobs?offset=", "/info?api="):
        assert requests.get(api.url + query + quote(number), headers=AUTH, timeout=20).status_code == 422
