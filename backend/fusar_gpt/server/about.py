"""The routes that describe the server: landing page, conformance, processes, /health, /info, /metrics.

:class:`DescribedApp` completes the OpenAPI document.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Response
from fastapi.responses import PlainTextResponse
from pydantic import TypeAdapter

from fusar_gpt import __version__
from fusar_gpt.contract import SEARCH, Problem, SearchRequest
from fusar_gpt.server.context import Context
from fusar_gpt.server.inputs import REQUEST
from fusar_gpt.server.metrics import CONTENT_TYPE, memory
from fusar_gpt.server.problems import Missing, OtherApi

_CONFORMANCE = (
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    *(
        f"http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/{part}"
        for part in ("core", "ogc-process-description", "json", "job-list", "dismiss")
    ),
)


def _summary(process: str, title: str, description: str) -> dict[str, Any]:
    """A process in short form."""
    execute = "http://www.opengis.net/def/rel/ogc/1.0/execute"
    places = {"self": f"/processes/{process}", execute: f"/processes/{process}/execution"}
    return {
        "id": process,
        "title": title,
        "description": description,
        "version": __version__,
        "jobControlOptions": ["async-execute", "dismiss"],
        "outputTransmission": ["value"],
        "links": [{"rel": rel, "href": href, "type": "application/json"} for rel, href in places.items()],
    }


_SUMMARIES = {
    "interpret": _summary(
        "interpret",
        "Interpret a SAR scene",
        "Asks a SAR vision-language model about an area of a scene: count, locate, classify, detect, describe or a "
        "question of one's own. Findings come as georeferenced features, as soon as their chip is done.",
    ),
    SEARCH: _summary(
        SEARCH,
        "Search a SAR scene",
        "Finds the places of a scene that are most like words, or like examples on the ground. The scene is cut into "
        "slices, which an encoder turns into vectors once: they are kept, so that the next search is answered at once.",
    ),
}

_OUTPUTS: dict[str, Any] = {
    "run": {
        "title": "Provenance",
        "description": "Which model and prior, of which scene and area, when, and whether any of it is simulated.",
        "schema": {"type": "object"},
    },
    "findings": {
        "title": "Findings",
        "description": "RFC 7946, each with its exact geometry in the scene's CRS beside it.",
        "schema": {"type": "object", "format": "geojson-feature-collection"},
    },
}
_HEAT = {
    "title": "Heat map",
    "description": "Percentiles of similarity by cells that cover the scene, one byte each as base64; 255: no data, "
    "or not searched. Left out unless it was asked for.",
    "schema": {"type": "object"},
}


def router(context: Context) -> APIRouter:
    """What the server says about itself, without a job."""
    routes = APIRouter(tags=["about"])

    @routes.get("/")
    async def landing_page() -> dict[str, Any]:
        """Links to everything else."""
        places = {
            "service-desc": "/openapi.json",
            "http://www.opengis.net/def/rel/ogc/1.0/conformance": "/conformance",
            "http://www.opengis.net/def/rel/ogc/1.0/processes": "/processes",
            "http://www.opengis.net/def/rel/ogc/1.0/job-list": "/jobs",
            "self": "/",
        }
        links = [{"rel": rel, "href": href, "type": "application/json"} for rel, href in places.items()]
        return {"title": "FUSAR-GPT", "description": "Ask a SAR model about an area.", "links": links}

    @routes.get("/conformance")
    async def conformance() -> dict[str, list[str]]:
        """The conformance classes of OGC API that the server implements."""
        return {"conformsTo": list(_CONFORMANCE)}

    @routes.get("/processes")
    async def processes() -> dict[str, Any]:
        """The processes, in short form."""
        links = [{"rel": "self", "href": "/processes", "type": "application/json"}]
        return {"processes": [*_SUMMARIES.values()], "links": links}

    @routes.get("/processes/{process_id}")
    async def process(process_id: str) -> dict[str, Any]:
        """A process: its inputs and outputs with their schemas."""
        if process_id not in _SUMMARIES:
            known = ", ".join(_SUMMARIES)
            raise Missing(404, "no-such-process", f"there is no such process; this server has: {known}")
        searches = process_id == SEARCH
        return _SUMMARIES[process_id] | {
            "inputs": _inputs(TypeAdapter(SearchRequest) if searches else REQUEST),
            "outputs": _OUTPUTS | {"heat": _HEAT} if searches else _OUTPUTS,
        }

    @routes.get("/health")
    async def health() -> dict[str, str]:
        """Whether the server answers; needs no token."""
        return {"status": "ok"}

    @routes.get("/info")
    def info(api: Annotated[int | None, Query(ge=1, le=2**31)] = None) -> dict[str, Any]:
        """Versions, models, encoders, device, memory, priors, and what its owner must know, such as a damaged journal.

        ``api`` is the version that the client speaks.
        """
        served = context.info["api"]
        if api is not None and api != served:
            older = "server" if api > served else "client"
            detail = f"this server speaks API {served}, the client {api}; update the {older}"
            raise OtherApi(409, detail, served)
        notice = context.jobs.journal.notice
        encoders = [card.to_json() for card in context.searcher.encoders.cards()]
        return context.info | {
            "memory": memory(),
            "notices": [notice] if notice else [],
            "encoders": encoders,
        }

    @routes.get("/metrics", response_class=PlainTextResponse)
    def show_metrics() -> Response:
        """Counters and gauges in Prometheus' text format."""
        return Response(context.metrics.text(), media_type=CONTENT_TYPE)

    return routes


def _inputs(request: TypeAdapter[Any]) -> dict[str, Any]:
    """The inputs as OGC API - Processes describes them: a self-contained schema for each."""
    schema = request.json_schema()
    shared, needed = schema.get("$defs", {}), schema["required"]
    return {
        name: {
            "title": name.replace("_", " "),
            "schema": _inlined(each, shared),
            "minOccurs": int(name in needed),
        }
        for name, each in schema["properties"].items()
    }


def _inlined(schema: Any, shared: dict[str, Any]) -> Any:
    """The schema with every reference replaced by the schema that it names."""
    if isinstance(schema, list):
        return [_inlined(each, shared) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(shared[schema["$ref"].rsplit("/", 1)[1]], shared)
    # A discriminator maps to references, and each branch names its type anyway.
    return {key: _inlined(each, shared) for key, each in schema.items() if key != "discriminator"}


class DescribedApp(FastAPI):
    """Its OpenAPI document says what holds for every route: the bearer token, and problems as errors."""

    def openapi(self) -> dict[str, Any]:
        """The document."""
        if self.openapi_schema is None:
            complete(super().openapi())
        return super().openapi()


def complete(document: dict[str, Any]) -> None:
    """Add the bearer token to the document and, to every operation, the problem as its error response."""
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):  # validation errors are problems too
        schemas.pop(name, None)
    schemas["Problem"] = TypeAdapter(Problem).json_schema()
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    problem = {
        "description": "An error, with one line for the user",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = problem
            if path == "/health":
                operation["security"] = []
