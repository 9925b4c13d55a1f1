"""AEF from Google Earth Engine, through its Python client."""

from fusar_gpt.priors.earth_engine.tiles import EarthEngineTiles

__all__ = ["EarthEngineTiles"]
