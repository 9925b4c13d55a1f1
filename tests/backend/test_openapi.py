"""What the server says about itself, and that no request made from its own description breaks it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from schemathesis.checks import not_a_server_error
from scripted_door import TOKEN, Door, open_door

from fusar_gpt.server.inputs import Execution

AUTH = {"Authorization": f"Bearer {TOKEN}"}
EXAMPLES = 8


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(tmp_path_factory.mktemp("root")) as opened:
        yield opened


def get(door: Door, path: str, status: int = 200) -> dict:
    with requests.get(door.url + path, headers=AUTH, timeout=10) as reply:
        assert reply.status_code == status
        return reply.json()


def test_the_landing_page_leads_to_everything(door: Door) -> None:
    links = {link["rel"].rsplit("/", 1)[-1]: link["href"] for link in get(door, "/")["links"]}
    assert links == {
        "service-desc": "/openapi.json", "conformance": "/conformance", "processes": "/processes",
        "job-list": "/jobs", "self": "/",
    }  # fmt: skip
    for href in links.values():
        get(door, href)
    assert any(each.endswith("/conf/job-list") for each in get(door, "/conformance")["conformsTo"])
    (process,) = get(door, "/processes")["processes"]
    assert process["links"][0]["href"] == "/processes/interpret"
    assert get(door, "/processes/other", 404)["type"].endswith("/no-such-process")


def test_the_process_says_what_it_takes_and_gives(door: Door) -> None:
    process = get(door, "/processes/interpret")
    assert process["jobControlOptions"] == ["async-execute", "dismiss"]
    inputs = process["inputs"]
    assert {name for name, each in inputs.items() if each["minOccurs"]} == {"scene", "task"}
    assert inputs["task"]["schema"]["enum"] == ["count", "locate", "classify", "detect", "describe", "ask"]
    assert "$ref" not in json.dumps(process)
    assert "MultiPolygon" in json.dumps(inputs["area"])
    assert set(process["outputs"]) == {"run", "findings"}


def test_the_handshake_says_who_is_older(door: Door) -> None:
    info = get(door, "/info?api=1")
    assert (info["api"], info["models"][0]["name"]) == (1, "scripted")
    assert info["memory"]["used"] > 10**6
    newer = get(door, "/info?api=2", 409)
    assert (newer["code"], newer["served_api"]) == ("api-mismatch", 1)
    assert "update the server" in newer["detail"]
    assert get(door, "/info?api=0", 422)["status"] == 422


def test_the_document_tells_of_the_token_and_of_problems(door: Door) -> None:
    document = get(door, "/openapi.json")
    assert document["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert document["paths"]["/health"]["get"]["security"] == []
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"], path
    for path in (
        "/scenes",
        "/jobs/{job_id}/events",
        "/processes/interpret/execution",
        "/v1/chat/completions",
    ):
        assert path in document["paths"]
    assert "ValidationError" not in json.dumps(document)


def test_the_examples_are_orders_that_this_server_understands(door: Door) -> None:
    examples = get(door, "/openapi.json")["components"]["schemas"]["Execution"]["examples"]
    assert len(examples) >= 2
    for example in examples:
        TypeAdapter(Execution).validate_python(example)


def probe(door: Door, operation: schemathesis.schemas.APIOperation) -> None:
    """Ask for an operation in ways that its description allows, and in ways that it does not."""
    ways = [operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode]

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=st.one_of(ways))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=door.url, headers=AUTH, timeout=10, checks=[not_a_server_error])

    ask()


def test_no_request_made_from_the_document_is_answered_with_a_5xx(door: Door) -> None:
    schema = schemathesis.openapi.from_url(f"{door.url}/openapi.json", headers=AUTH)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 18
    for operation in operations:
        probe(door, operation)
