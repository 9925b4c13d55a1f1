"""The prior file that lies beside a scene: found by its name, used where it covers a chip, else passed over aloud."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache as once
from pathlib import Path

from fusar_gpt.errors import FusarError, PriorError
from fusar_gpt.priors.field import Footprint, PriorField
from fusar_gpt.priors.files import FilePrior

BESIDE = tuple(f"{mark}{form}" for mark in ("_prior", ".prior") for form in (".tif", ".tiff", ".npz", ".npy"))
"""What follows the scene's name without its ending: ``port.tif`` has ``port_prior.tif``, or ``port.prior.npz``."""

LEAST = 0.5
"""The least share of a chip that a file must reach for it to give the chip's prior."""


def files_beside(scene: Path) -> list[Path]:
    """The prior files beside a scene, in the order in which they are tried."""
    named = (scene.with_name(scene.stem + ending) for ending in BESIDE)
    return [path for path in named if path != scene and path.is_file()]


class PriorBeside:
    """The prior files beside a scene as one. What is wrong with a file is reported, and never an error.

    Args:
        files: Tried in this order.
        open_file: Opens one; FusarError where it may not be opened, or is no prior.
        report: Takes each line once.
        simulated: The scene is, so that no cached vectors of the real ground may stand for the file's.
    """

    def __init__(
        self,
        files: Sequence[Path],
        open_file: Callable[[Path], FilePrior],
        report: Callable[[str], None],
        *,
        simulated: bool = False,
    ) -> None:
        self.simulated = simulated
        self._report = once(report)
        self._open: dict[Path, FilePrior] = {}
        for path in files:
            try:
                self._open[path] = open_file(path)
            except FusarError as error:
                self._pass_over(path, error)

    def covering(self, footprint: Footprint) -> Path | None:
        """The first file that reaches a chip."""
        return next((path for path in list(self._open) if self._covers(path, footprint)), None)

    def prior(self, footprint: Footprint, year: int | None) -> PriorField | None:
        """The vectors on a chip, of the file's own year, reported if it is another; None where no file reaches it."""
        while (path := self.covering(footprint)) is not None:
            try:
                field = self._open[path].prior(footprint, year)
            except PriorError as error:
                del self._open[path]
                self._pass_over(path, error)
                continue
            if year is not None and field.year not in (None, year):
                self._report(f"prior: {path.name} beside the scene describes {field.year}, not {year}.")
            self._report(f"prior: from {path.name} beside the scene.")
            return field
        return None

    def _covers(self, path: Path, footprint: Footprint) -> bool:
        covers = self._open[path].share(footprint) >= LEAST
        if not covers:
            self._report(
                f"prior: {path.name} beside the scene is of another place, or does not reach all of it: "
                "passed over there."
            )
        return covers

    def _pass_over(self, path: Path, error: FusarError) -> None:
        self._report(f"prior: {path.name} beside the scene is passed over: {str(error).rstrip('.')}.")
