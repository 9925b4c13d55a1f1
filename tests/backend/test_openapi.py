"""What the server says about itself, and that no request made from its own description breaks it."""

from __future__ import annotations

import json

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from schemathesis.checks import not_a_server_error
from scripted_server import AUTH, ApiServer

from fusar_gpt.server.inputs import Execution, SearchExecution

EXAMPLES = 8


def get(api: ApiServer, path: str, status: int = 200) -> dict:
    with requests.get(api.url + path, headers=AUTH, timeout=10) as reply:
        assert reply.status_code == status
        return reply.json()


def test_the_landing_page_leads_to_everything(api: ApiServer) -> None:
    links = {link["rel"].rsplit("/", 1)[-1]: link["href"] for link in get(api, "/")["links"]}
    assert links == {
        "service-desc": "/openapi.json", "conformance": "/conformance", "processes": "/processes",
        "job-list": "/jobs", "self": "/",
    }  # fmt: skip
    for href in links.values():
        get(api, href)
    assert any(each.endswith("/conf/job-list") for each in get(api, "/conformance")["conformsTo"])
    listed = [process["links"][0]["href"] for process in get(api, "/processes")["processes"]]
    assert listed == ["/processes/interpret", "/processes/search"]
    assert get(api, "/processes/other", 404)["type"].endswith("/no-such-process")


def test_the_process_says_what_it_takes_and_gives(api: ApiServer) -> None:
    process = get(api, "/processes/interpret")
    assert process["jobControlOptions"] == ["async-execute", "dismiss"]
    inputs = process["inputs"]
    assert {name for name, each in inputs.items() if each["minOccurs"]} == {"scene", "task"}
    assert inputs["task"]["schema"]["enum"] == ["count", "locate", "classify", "detect", "describe", "ask"]
    assert "$ref" not in json.dumps(process)
    assert "MultiPolygon" in json.dumps(inputs["area"])
    assert set(process["outputs"]) == {"run", "findings"}


def test_the_handshake_says_who_is_older(api: ApiServer) -> None:
    info = get(api, "/info?api=1")
    assert (info["api"], info["models"][0]["name"]) == (1, "scripted")
    assert info["memory"]["used"] > 10**6
    newer = get(api, "/info?api=2", 409)
    assert (newer["code"], newer["served_api"]) == ("api-mismatch", 1)
    assert "update the server" in newer["detail"]
    assert get(api, "/info?api=0", 422)["status"] == 422


def test_the_document_tells_of_the_token_and_of_problems(api: ApiServer) -> None:
    document = get(api, "/openapi.json")
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


def test_the_examples_are_orders_that_this_server_understands(api: ApiServer) -> None:
    schemas = get(api, "/openapi.json")["components"]["schemas"]
    for kind in (Execution, SearchExecution):
        examples = schemas[kind.__name__]["examples"]
        assert len(examples) >= 2
        for example in examples:
            TypeAdapter(kind).validate_python(example)


def probe(api: ApiServer, operation: schemathesis.schemas.APIOperation) -> None:
    """Ask for an operation in ways that its description allows, and in ways that it does not."""
    ways = [operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode]

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=st.one_of(ways))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=api.url, headers=AUTH, timeout=10, checks=[not_a_server_error])

    ask()


def test_no_request_made_from_the_document_is_answered_with_a_5xx(api: ApiServer) -> None:
    schema = schemathesis.openapi.from_url(f"{api.url}/openapi.json", headers=AUTH)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 18
    for operation in operations:
        probe(api, operation)
