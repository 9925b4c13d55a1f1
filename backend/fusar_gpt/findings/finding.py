"""A run and its findings: the records that every output is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal

import pyproj
from shapely.geometry.base import BaseGeometry

from fusar_gpt.frames import SceneBox

Value = str | int | float | bool | None
Layer = Literal["detections", "grid", "answers"]

SCORE_MEANING = "token probability: geometric mean over the answer's tokens, not a calibrated confidence"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One interpretation with its whole provenance.

    Attributes:
        id: Names the run in every finding.
        version: Version of this package.
        model: Name of the checkpoint.
        model_hash: SHA-256 of its weights and configuration.
        demonstration: True for a model that only shows how the product works.
        task: The task's value, such as ``detect``.
        targets: The classes asked for; empty for tasks without one.
        prompts: Each wording that was sent to the model.
        scene: Name of the scene.
        scene_crs: CRS of every scene geometry, ``AUTHORITY:CODE`` or else WKT (see :func:`crs_text`).
        scene_fingerprint: Identifies the scene's content.
        scene_simulated: True when no radar ever saw the scene.
        band: The band that was read.
        quantity: What its numbers are: ``amplitude``, ``power``, ``dB``, or ``grey`` (8 bits as stored).
        stretch_low_db: What became black, in dB (a grey level if ``quantity`` is grey).
        stretch_high_db: What became white, likewise.
        chip_ground_m: Ground side of one chip in metres.
        aspect: ``stretched`` when ground of another shape was stretched to the model's frame.
        overlap: Share of a chip's side that its neighbour sees too, in [0, 1).
        area: WKT of the area, easting or longitude first, in ``scene_crs``.
        started: Start of the run, UTC, ISO 8601.
        prior: Source of the prior, or ``none``.
        prior_year: Year of the prior's embeddings.
        prior_year_asked: The year that was asked for, where it is another.
        prior_note: What the sources of the prior had to say: who answered, who failed and why.
        prior_attribution: What its licence wants said.
        prior_simulated: True when the prior's values do not describe the place.
        attribution: What the scene's licence wants said.
        score_meaning: What the number called score is.
    """

    id: str
    version: str
    model: str
    model_hash: str
    demonstration: bool
    task: str
    targets: tuple[str, ...]
    prompts: tuple[str, ...]
    scene: str
    scene_crs: str
    scene_fingerprint: str
    scene_simulated: bool
    band: str
    quantity: str
    stretch_low_db: float
    stretch_high_db: float
    chip_ground_m: float
    overlap: float
    area: str
    started: str
    prior: str = "none"
    prior_year: int | None = None
    prior_attribution: str | None = None
    prior_simulated: bool = False
    attribution: str | None = None
    score_meaning: str = SCORE_MEANING
    aspect: str = "undistorted"
    prior_year_asked: int | None = None
    prior_note: str | None = None

    def record(self) -> dict[str, Value]:
        """The run as one flat row: targets joined by commas, prompts by new lines."""
        row: dict[str, Value] = {field.name: getattr(self, field.name) for field in fields(self)}
        return row | {"targets": ", ".join(self.targets), "prompts": "\n".join(self.prompts)}

    def provenance(self) -> dict[str, Value]:
        """The part of the run that every single finding carries."""
        return {
            "run": self.id,
            "model": self.model,
            "demonstration": self.demonstration,
            "prior": self.prior,
            "simulated": self.scene_simulated,
        }


@dataclass(frozen=True)
class Finding:
    """A georeferenced feature made from the answer about one chip.

    Attributes:
        id: Unique, and the same whenever the same run is repeated.
        layer: The layer it belongs to.
        geometry: shapely Polygon in the scene's CRS, easting or longitude first.
        lonlat: shapely Polygon in WGS84 as RFC 7946 wants it; a MultiPolygon across the antimeridian.
        box: The same place in scene pixels, where it is a plain rectangle.
        properties: Columns of its layer, without the geometry.
    """

    id: str
    layer: Layer
    geometry: BaseGeometry
    lonlat: BaseGeometry
    box: SceneBox
    properties: dict[str, Value]


def crs_text(crs: pyproj.CRS) -> str:
    """The CRS as ``AUTHORITY:CODE`` when it is exactly that one, else as WKT."""
    authority = crs.to_authority(min_confidence=100)
    return ":".join(authority) if authority else crs.to_wkt()


def count_by_kind(findings: Iterable[Finding]) -> dict[str, int]:
    """The findings in a few numbers: objects by class, counts added up by target, grid hits, texts."""
    counts: Counter[str] = Counter()
    for finding in findings:
        p = finding.properties
        if finding.layer == "detections":
            counts[f"{p['label']} detected"] += 1
        elif finding.layer == "grid":
            counts[f"grid cells with {p['target']}"] += bool(p["hit"])
        elif p.get("label") is not None:
            counts[f"{p['label']} classified"] += 1
        elif isinstance(count := p.get("count"), int) and "chip" in p:
            counts[f"{p['target']} counted"] += count
        elif not p["complete"]:
            counts["answers cut off or not understood"] += 1
        elif p.get("text") and "chip" in p:
            counts["answers in words"] += 1
    return dict(counts.most_common())


def overlap(one: SceneBox, other: SceneBox) -> SceneBox | None:
    """What two boxes share; None if that has no area."""
    left, top = max(one.left, other.left), max(one.top, other.top)
    right, bottom = min(one.right, other.right), min(one.bottom, other.bottom)
    return SceneBox(left, top, right, bottom) if left < right and top < bottom else None
