"""The sample scenes that ship with the package, for the demo, the first start of QGIS and the tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Sample:
    """A scene, what it is in one line, and the prior of its place if one ships."""

    scene: Path
    title: str
    prior: Path | None


HARBOUR = Sample(
    _HERE / "harbour_simulated.tif", "Simulated harbour and airfield", _HERE / "harbour_simulated_prior.tif"
)
HARBOUR_TRUTH = _HERE / "harbour_simulated_truth.geojson"
YASUR = Sample(
    _HERE / "yasur_umbra.tif", "Mount Yasur, real Umbra image: a volcano without ships or planes", None
)
SAMPLES = (HARBOUR, YASUR)
