"""A finding, and the columns of each layer of findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from typing import Any, Literal

from .geometry import Outline, SceneBox, read_outline
from .run import Columns, Value

Layer = Literal["detections", "grid", "answers", "places"]
PLACES: Layer = "places"

_SHARED: Columns = {
    "chip": int,
    "prior_nodes": int,
    "lon": float,
    "lat": float,
    "run": str,
    "model": str,
    "demonstration": bool,
    "prior": str,
    "simulated": bool,
}
FINDING_COLUMNS: dict[str, Columns] = {
    "detections": {
        "id": str,
        "label": str,
        "objectness": float,
        "confidence": float,
        "length_m": float,
        "width_m": float,
        "target": str,
        **_SHARED,
    },
    "grid": {"id": str, "cell": int, "hit": bool, "target": str, **_SHARED},
    "answers": {
        "id": str,
        "task": str,
        "target": str,
        "count": int,
        "label": str,
        "text": str,
        "question": str,
        "score": float,
        "confidence": float,
        "method": str,
        "agreement": float,
        "understood": str,
        "complete": bool,
        "data_share": float,
        **_SHARED,
    },
}
"""The columns of each layer of an interpretation; any of them may be null. ``lon`` and ``lat``: WGS84, of the centre.

``objectness``: the probability of the tokens that say "an object is here", which ranks detections. ``score``: the
geometric mean probability of an answer's tokens, which ranks answers. ``confidence``: the probability of being right,
calibrated on held-out images; null where the checkpoint has no calibration.
``method``: what a number was made from. ``agreement``: the share of chips whose own count is their number of
detections. ``understood``: the task that a free question was taken for.
``data_share``: the share of the ground asked about where the scene has data, in [0, 1].
"""

PLACE_COLUMNS: Columns = {
    "id": str,
    "rank": int,
    "percentile": float,
    "similarity": float,
    "query": str,
    "matched": str,
    "side_m": float,
    "data_share": float,
    **_SHARED,
}
"""The columns of the layer that a search finds, ``places``; any of them may be null.

``rank``: from 1, the best first. ``percentile``: the share in percent of the scene's slices that are less like the
query. ``similarity``: cosine of the place's vector and the query's, which says nothing by itself. ``query``: what was
looked for, in words. ``matched``: what the encoder would say of the place by key, where that shares words with it.
``side_m``: ground side of the slice. ``chip``: its number in the index.
"""

LAYER_COLUMNS: dict[str, Columns] = {**FINDING_COLUMNS, PLACES: PLACE_COLUMNS}
"""The columns of every layer that findings may belong to."""

ENOUGH_DATA = 0.5
"""The least share of ground with data that an answer may speak for."""


@dataclass(frozen=True)
class Finding:
    """A georeferenced feature made from the answer about one chip.

    Attributes:
        id: Unique, and the same whenever the same run is repeated.
        layer: The layer it belongs to.
        geometry: Its outline in ``crs``, easting or longitude first.
        crs: The scene's own: ``AUTHORITY:CODE`` or WKT.
        lonlat: Its outline in WGS84 as RFC 7946 wants it; a MultiPolygon across the antimeridian; None where the
            scene has no place on the ground.
        box: The same place in scene pixels, where it is a plain rectangle.
        properties: Columns of its layer, without the geometry.
    """

    id: str
    layer: Layer
    geometry: Outline
    crs: str
    lonlat: Outline | None
    box: SceneBox
    properties: dict[str, Value]

    @property
    def lacks_data(self) -> bool:
        """Whether it is about a chip with too little data to say what is there."""
        share = self.properties.get("data_share")
        return "chip" in self.properties and isinstance(share, float) and share < ENOUGH_DATA

    @property
    def is_unclear(self) -> bool:
        """Whether it is an answer of the model that was cut off or not understood."""
        incomplete = "chip" in self.properties and self.properties.get("complete") is False
        return incomplete and not self.lacks_data

    def to_json(self) -> dict[str, Any]:
        """A GeoJSON feature; ``scene_geometry``, ``scene_crs`` and ``scene_box`` stand beside its geometry."""
        return {
            "type": "Feature",
            "id": self.id,
            "geometry": self.lonlat and self.lonlat.__geo_interface__,
            "properties": {"layer": self.layer, **self.properties},
            "scene_geometry": self.geometry.__geo_interface__,
            "scene_crs": self.crs,
            "scene_box": astuple(self.box),
        }

    @classmethod
    def from_json(cls, feature: Mapping[str, Any]) -> Finding:
        """Back from :meth:`to_json`. Raises ValueError, TypeError or KeyError."""
        properties = dict(feature["properties"])
        return cls(
            id=str(feature["id"]),
            layer=properties.pop("layer"),
            geometry=read_outline(feature["scene_geometry"]),
            crs=str(feature["scene_crs"]),
            lonlat=read_outline(feature["geometry"]) if feature.get("geometry") else None,
            box=SceneBox(*(float(edge) for edge in feature["scene_box"])),
            properties=properties,
        )


def to_geojson(findings: Iterable[Finding]) -> dict[str, Any]:
    """A FeatureCollection in WGS84 (RFC 7946), longitude first, outer rings counter-clockwise."""
    return {"type": "FeatureCollection", "features": [finding.to_json() for finding in findings]}


def read_geojson(collection: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Back from :func:`to_geojson`. Raises ValueError, TypeError or KeyError."""
    return tuple(Finding.from_json(feature) for feature in collection["features"])
