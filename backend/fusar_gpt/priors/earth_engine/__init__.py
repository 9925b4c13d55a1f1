"""AEF from Google Earth Engine, through its Python client."""

from fusar_gpt.priors.earth_engine.diagnosis import diagnose
from fusar_gpt.priors.earth_engine.tiles import EarthEngineTiles

__all__ = ["EarthEngineTiles", "diagnose"]
