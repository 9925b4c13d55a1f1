"""The sample scenes that ship with the package, for the demo, the first start of QGIS and the tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Sample:
    """A scene and what it is in one line; a prior of its place and an area an analyst might draw, if they ship."""

    scene: Path
    title: str
    prior: Path | None = None
    area: Path | None = None
    simulated: bool = False


HARBOUR = Sample(
    _HERE / "harbour_simulated.tif",
    "Simulated harbour and airfield",
    _HERE / "harbour_simulated_prior.tif",
    _HERE / "harbour_simulated_area.geojson",
    simulated=True,
)
HARBOUR_TRUTH = _HERE / "harbour_simulated_truth.geojson"
YASUR = Sample(_HERE / "yasur_umbra.tif", "Mount Yasur, real Umbra image: a volcano without ships or planes")
SAMPLES = (HARBOUR, YASUR)
