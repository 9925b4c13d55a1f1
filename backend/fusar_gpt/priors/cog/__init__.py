"""AEF from the public COGs: the bucket, its mirror, or a local folder."""

from fusar_gpt.priors.cog.tiles import CogTiles

__all__ = ["CogTiles"]
