"""Findings as GeoJSON (RFC 7946)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import shapely.geometry

from fusar_gpt.findings.finding import Finding, Run


def to_geojson(findings: Iterable[Finding], run: Run) -> dict[str, Any]:
    """A FeatureCollection that any JSON writer can print.

    Geometries are WGS84 degrees, longitude first, outer rings counter-clockwise. Foreign members: each
    feature has its exact ``scene_geometry`` in ``scene_crs`` (easting or longitude first), the collection
    has the ``run``.
    """
    return {
        "type": "FeatureCollection",
        "features": [_feature(finding, run) for finding in findings],
        "run": run.record(),
    }


def _feature(finding: Finding, run: Run) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": finding.id,
        "geometry": shapely.geometry.mapping(finding.lonlat),
        "properties": {"layer": finding.layer, **finding.properties},
        "scene_geometry": shapely.geometry.mapping(finding.geometry),
        "scene_crs": run.scene_crs,
    }
