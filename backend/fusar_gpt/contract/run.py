"""The provenance of one interpretation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Union

from .request import NO_PRIOR

Value = Union[str, int, float, bool, None]
Columns = dict[str, type]

SCORE_MEANING = (
    "objectness: token probability that an object is here, against none or one elsewhere; score: geometric mean token "
    "probability of an answer; both rank, neither is the chance of being right"
)
_LISTS = {"targets": ", ", "prompts": "\n", "warnings": "\n"}
"""What is a list, and how it is joined in a table."""


@dataclass(frozen=True)
class Run:
    """One interpretation with its whole provenance.

    Attributes:
        id: Names the run in every finding.
        version: Version of the backend.
        model: Name of the checkpoint.
        model_hash: SHA-256 of its weights and configuration.
        demonstration: True for a model that only shows how the product works.
        task: The task's value, such as ``detect``.
        targets: The classes asked for; empty for tasks without one.
        prompts: Each wording that was sent to the model.
        scene: Name of the scene.
        scene_crs: CRS of every scene geometry, ``AUTHORITY:CODE`` or else WKT.
        scene_fingerprint: Identifies the scene's content.
        scene_simulated: True when no radar ever saw the scene.
        band: The band that was read.
        quantity: What its numbers are: ``amplitude``, ``power``, ``dB``, or ``grey`` (8 bits as stored).
        quantity_reason: What its numbers were taken for and why, one phrase.
        stretch_low_db: What became black, in dB (a grey level if ``quantity`` is grey).
        stretch_high_db: What became white, likewise.
        chip_ground_m: Ground side of one chip in metres.
        aspect: ``stretched`` when ground of another shape was stretched to the model's frame.
        overlap: Share of a chip's side that its neighbour sees too, in [0, 1).
        area: WKT of the area, easting or longitude first, in ``scene_crs``.
        started: Start of the run, UTC, ISO 8601.
        prior: Source of the prior, or ``none``.
        prior_asked: The source of the prior that was asked for.
        prior_year: Year of the prior's embeddings.
        prior_year_asked: The year that was asked for, where it is another.
        prior_note: What the sources of the prior reported: who answered, who failed and why.
        prior_attribution: What its licence wants said.
        prior_simulated: True when the prior's values do not describe the place.
        attribution: What the scene's licence wants said.
        warnings: Whole sentences that a reader must know: what was guessed against the evidence or left out.
        data_share: Share of the area where the scene has data, in [0, 1]; None while it is not known.
        score_meaning: What the numbers called objectness and score are.
        confidence_meaning: On what the number called confidence was calibrated, and how well; None where there is none.
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
    aspect: str
    overlap: float
    area: str
    started: str
    prior: str = NO_PRIOR
    prior_year: int | None = None
    prior_year_asked: int | None = None
    prior_note: str | None = None
    prior_attribution: str | None = None
    prior_simulated: bool = False
    attribution: str | None = None
    warnings: tuple[str, ...] = ()
    data_share: float | None = None
    quantity_reason: str = ""
    score_meaning: str = SCORE_MEANING
    prior_asked: str = NO_PRIOR
    confidence_meaning: str | None = None

    def record(self) -> dict[str, Value]:
        """The run as one flat row: targets joined by commas, prompts and warnings by new lines."""
        row = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**row, **{name: mark.join(row[name]) for name, mark in _LISTS.items()}}

    def provenance(self) -> dict[str, Value]:
        """The part of the run that every single finding carries."""
        return {
            "run": self.id,
            "model": self.model,
            "demonstration": self.demonstration,
            "prior": self.prior,
            "simulated": self.scene_simulated,
        }

    def to_json(self) -> dict[str, Any]:
        """The flat row as ``run``, and as lists what is joined in it."""
        return {"run": self.record(), **{name: list(getattr(self, name)) for name in _LISTS}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Run:
        """Back from :meth:`to_json`; what a newer backend adds is not read. Raises KeyError or TypeError."""
        row = {**data["run"], **{name: tuple(data.get(name, ())) for name in _LISTS}}
        return cls(**{field.name: row[field.name] for field in fields(cls) if field.name in row})


def _kind(annotation: str) -> type:
    return {"bool": bool, "int": int, "float": float}.get(annotation.split(" ")[0], str)


RUN_COLUMNS: Columns = {field.name: _kind(str(field.type)) for field in fields(Run) if field.name != "area"}
"""The columns of the table of runs, whose geometry is the area; any of them may be null."""
