"""A prior that the user has as a file."""

from __future__ import annotations

from pathlib import Path

from fusar_gpt.errors import PriorError
from fusar_gpt.priors.field import Footprint, PriorField
from fusar_gpt.priors.points import PointVectors
from fusar_gpt.priors.raster import RasterVectors


class FilePrior:
    """The prior in a file. It describes the file's own year, whatever year is asked for.

    A raster has 64 bands of int8 AEF codes or of floats, any CRS, and a transform of any direction. Its tags
    say the rest: ``AEF_YEAR``, ``AEF_VERSION``, ``AEF_ATTRIBUTION``; ``FUSAR_SIMULATED=YES`` if simulated.

    A ``.npz`` holds ``features`` [S, 64] and ``positions`` [S, 2], which are (y, x) as fractions of the whole
    scene, or ``lon`` and ``lat`` [S] in WGS84 degrees, which rule if present. Single values ``year``,
    ``version``, ``attribution`` and ``simulated`` may stand beside them. A ``.npy`` is [S, 70]: lon, lat,
    row, col, x, y, A00 to A63, of which lon and lat rule.

    Args:
        path: The file.
        nodes: N_lon and N_lat of the grid that a raster is sampled on (FUSAR-GPT eq. 2).

    Raises:
        PriorError: The file is missing, unreadable or of another form.
    """

    def __init__(self, path: str | Path, nodes: tuple[int, int] = (16, 16)) -> None:
        path = Path(path)
        if not path.is_file():
            raise PriorError(f"There is no prior file {path}: give the path of a file, or none.")
        self.name = f"file:{path.name}"
        self._vectors: PointVectors | RasterVectors
        if path.suffix.lower() in (".npz", ".npy"):
            self._vectors = PointVectors(path, self.name)
        else:
            self._vectors = RasterVectors(path, self.name, nodes)

    def prior(self, footprint: Footprint, year: int | None) -> PriorField:
        """The vectors on one chip; ``PriorError`` when the file breaks while it is read."""
        return self._vectors.on(footprint)

    def warm(self, footprint: Footprint, year: int | None) -> None:
        """Nothing to fetch."""

    def close(self) -> None:
        """Nothing to stop."""
