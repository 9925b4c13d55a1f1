"""What a layer of findings says of the run that made it, in its custom properties."""

from __future__ import annotations

import json
from typing import Any

from qgis.core import QgsLayerMetadata, QgsMapLayer, QgsProject, QgsRasterLayer, QgsVectorLayer

from ..contract import SearchRequest
from ..core.request import LayerRequest
from .wording import run_name

RUN_PROPERTY = "fusar/run"
KIND_PROPERTY = "fusar/kind"
SCENE_PROPERTY = "fusar/scene"
REQUEST_PROPERTY = "fusar/order"
SECONDS_PROPERTY = "fusar/seconds"
"""How long the run took."""
FILTER_KEPT_PROPERTY = "fusar/filter_kept"
"""Whether the filter by confidence stays when the project is opened again."""
STATUS_PROPERTY = "fusar/status"
"""What became of it: ``successful``, ``dismissed`` or ``failed``; none while it goes on, or of an older version."""
RESULT_PROPERTY = "fusar/result"
"""The counts of a run and its grid cells with and without objects, as ``core.counting.result`` gives them."""


def properties_of_run(run: dict[str, Any], scene: str, request: dict[str, Any] | None) -> dict[str, str]:
    """Return the properties that every layer of a run has; ``scene`` is GDAL's source, ``request`` the job's inputs."""
    return {
        RUN_PROPERTY: json.dumps(run, ensure_ascii=False),
        SCENE_PROPERTY: scene,
        REQUEST_PROPERTY: json.dumps(request or {}, ensure_ascii=False),
    }


def findings_layers(project: QgsProject) -> list[QgsVectorLayer]:
    """Return the layers that hold findings, in the order of the Layers panel."""
    layers = (node.layer() for node in project.layerTreeRoot().findLayers())
    return [
        layer for layer in layers if isinstance(layer, QgsVectorLayer) and layer.customProperty(RUN_PROPERTY)
    ]


def heat_layers(project: QgsProject) -> list[QgsRasterLayer]:
    """Return the heat maps of searches, in the order of the Layers panel; ``run_of`` tells whose each is."""
    layers = (node.layer() for node in project.layerTreeRoot().findLayers())
    return [
        layer for layer in layers if isinstance(layer, QgsRasterLayer) and layer.customProperty(RUN_PROPERTY)
    ]


def run_of(layer: QgsMapLayer) -> dict[str, Any]:
    """Return the provenance of the run that made a layer; empty if it cannot be read."""
    return read_object(layer.customProperty(RUN_PROPERTY))


def request_of(layer: QgsVectorLayer) -> LayerRequest | None:
    """Return the request whose findings a layer holds; None if it does not tell, or holds what a search found."""
    return read_request(layer.customProperty(REQUEST_PROPERTY))


def search_of(layer: QgsVectorLayer) -> SearchRequest | None:
    """Return the search whose places a layer holds; None if it does not tell, or holds other findings."""
    return read_search(layer.customProperty(REQUEST_PROPERTY))


def read_object(kept: Any) -> dict[str, Any]:
    """Return the JSON object that a property holds; empty if it holds none."""
    try:
        found = json.loads(kept or "{}")
    except (ValueError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def read_request(kept: Any) -> LayerRequest | None:
    """Return the request that ``REQUEST_PROPERTY`` holds; None if it cannot be read, or is a search."""
    try:
        return LayerRequest.from_json(json.loads(kept or "{}"))
    except (ValueError, TypeError, KeyError):
        return None


def read_search(kept: Any) -> SearchRequest | None:
    """Return the search that ``REQUEST_PROPERTY`` holds; None if it cannot be read, or is no search."""
    try:
        return SearchRequest.from_json(json.loads(kept or "{}"))
    except (ValueError, TypeError, KeyError):
        return None


def metadata_of(run: dict[str, Any], layer: QgsVectorLayer) -> QgsLayerMetadata:
    """Return a run's provenance as the metadata that QGIS shows of a layer and writes to files."""
    metadata = QgsLayerMetadata()
    metadata.setIdentifier(str(run.get("id", "")))
    metadata.setTitle(run_name(run))
    metadata.setType("dataset")
    metadata.setCrs(layer.crs())
    metadata.setAbstract(
        "\n".join(f"{name}: {value}" for name, value in run.items() if value not in (None, ""))
    )
    rights = [str(run[name]) for name in ("attribution", "prior_attribution") if run.get(name)]
    metadata.setRights(rights)
    metadata.addHistoryItem(f"FUSAR-GPT {run.get('version', '')}, {run.get('started', '')}")
    return metadata
