"""Simulated slices that are rich or poor in information, for the KNN filter of ``fusar-train corpus build``.

``python -m fusar_train.simulation.screening_examples OUT.npz [--real FOLDER]`` makes again what ships: the features of
these slices, and of pictures that somebody has looked at and sorted into ``FOLDER/rich`` and ``FOLDER/poor`` (only
their features are kept, never pixels). A real picture's source is its file name up to the first ``--``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusar_train.corpus.slices.examples import Examples, labelled_pictures
from fusar_train.simulation.chip import observe, populate
from fusar_train.simulation.ground import COVER_NAMES, Land, Surface, smooth_field
from fusar_train.simulation.land import airfield, countryside, inland, port, river
from fusar_train.simulation.radar import Sensor, quantise
from fusar_train.simulation.targets import Site

SIDES_PX = (64, 100, 160, 224, 320, 448, 640)
GROUNDS_M = (500.0, 1000.0, 1000.0, 2000.0)
EACH = 50
"""Slices of each kind."""
LEAST_SHIPS = 3
"""Of an anchorage."""
LEAST_BUILT = {"port": 0.15, "airfield": 0.05, "town": 0.25, "mixed": 0.1}
"""The share of built-up land of each kind of place that has some, of the part with data."""
_BUILT = COVER_NAMES.index("built-up land")


@dataclass(frozen=True)
class ExampleSlice:
    """A labelled slice: pixels uint8 [h, w], where they are data, what it shows, and whether it is rich."""

    pixels: NDArray[np.uint8]
    has_data: NDArray[np.bool_]
    kind: str
    rich: bool
    source: str


def town(shape: tuple[int, int], rng: np.random.Generator, pixel_m: float) -> Land:
    """Countryside with a town."""
    land = countryside(shape, rng, pixel_m)
    land.paint(
        smooth_field(shape, rng.uniform(200, 500) / pixel_m, rng) > rng.uniform(-1.5, 0.3), Surface.BUILT
    )
    return land


def mixed(shape: tuple[int, int], rng: np.random.Generator, pixel_m: float) -> Land:
    """A river or lakes among fields and settlements."""
    return (river if rng.random() < 0.5 else inland)(shape, rng, pixel_m)


def sea(windy: bool) -> Callable[[tuple[int, int], np.random.Generator, float], Land]:
    """A builder of nothing but water."""

    def build(shape: tuple[int, int], rng: np.random.Generator, pixel_m: float) -> Land:
        land = Land.empty(shape, pixel_m, rng)
        wind = float(rng.uniform(3, 13)) if windy else 0.0
        land.add_flat(np.ones(shape, np.bool_), rng, 1.0, "ship", Surface.BARE, wind)
        return land

    return build


def ground_of(*surfaces: Surface) -> Callable[[tuple[int, int], np.random.Generator, float], Land]:
    """A builder of ground of one cover, one of ``surfaces``."""

    def build(shape: tuple[int, int], rng: np.random.Generator, pixel_m: float) -> Land:
        land = Land.empty(shape, pixel_m, rng)
        land.surface[:] = surfaces[int(rng.integers(len(surfaces)))]
        return land

    return build


KINDS: dict[
    str, tuple[Callable[[tuple[int, int], np.random.Generator, float], Land], bool, tuple[int, int]]
] = {
    "port": (port, True, (20, 0)),
    "airfield": (airfield, True, (0, 20)),
    "town": (town, True, (0, 0)),
    "mixed": (mixed, True, (3, 0)),
    "anchorage": (sea(windy=True), True, (16, 0)),
    "calm anchorage": (sea(windy=False), True, (16, 0)),
    "open sea": (sea(windy=True), False, (0, 0)),
    "calm water": (sea(windy=False), False, (0, 0)),
    "forest": (ground_of(Surface.TREES), False, (0, 0)),
    "fields": (ground_of(Surface.CROPS, Surface.BARE), False, (0, 0)),
    "grassland": (ground_of(Surface.GRASS, Surface.SHRUB), False, (0, 0)),
    "wetland": (ground_of(Surface.FLOODED), False, (0, 0)),
}
"""What is simulated: how it is built, whether it is rich, and at most how many ships and planes it gets."""


def simulated(each: int = EACH, seed: int = 21) -> Iterator[ExampleSlice]:
    """``each`` slices of every kind, of several sizes, pixel spacings, radars and stretches; a fifth has fill.

    Their source is the class of pixel spacing: radars of one class are alike.
    """
    for number, (kind, (build, rich, most)) in enumerate(KINDS.items()):
        for turn in range(each):
            rng = np.random.default_rng((seed, number, turn))
            side, ground_m = int(rng.choice(SIDES_PX)), float(rng.choice(GROUNDS_M))
            pixel_m = float(np.clip(ground_m / side, 0.8, 20))
            data = wedge((side, side), rng) if rng.random() < 0.2 else np.ones((side, side), np.bool_)
            site = _site(build, data, pixel_m, most, kind, rng)
            pixels = np.where(data, quantise(observe(site, rng), rng), 0).astype(np.uint8)
            source = "simulated " + (
                "below 2 m" if pixel_m < 2 else "2 to 6 m" if pixel_m < 6 else "above 6 m"
            )
            yield ExampleSlice(pixels, data, kind, rich, source)


def _site(
    build: Callable[[tuple[int, int], np.random.Generator, float], Land],
    data: NDArray[np.bool_],
    pixel_m: float,
    most: tuple[int, int],
    kind: str,
    rng: np.random.Generator,
) -> Site:
    """A place, its targets and a radar, that shows where there is data what its kind promises."""
    while True:
        land = build(data.shape, rng, pixel_m)
        sensor = replace(Sensor.random(rng, pixel_m), looks=int(rng.choice([1, 1, 2, 4, 8])))
        if most == (0, 0):
            site = Site.empty(land, sensor)
        else:
            ships, planes = (int(rng.integers(0, number + 1)) for number in most)
            site = populate(land, sensor, (ships, planes), rng)
        if _shows(site, kind, data):
            return site


def _shows(site: Site, kind: str, data: NDArray[np.bool_]) -> bool:
    if kind not in LEAST_BUILT:
        middles = [
            (int((top + bottom) / 2), int((left + right) / 2))
            for (left, top, right, bottom), _ in site.real()
        ]
        height, width = data.shape
        seen = sum(bool(0 <= row < height and 0 <= col < width and data[row, col]) for row, col in middles)
        return "anchorage" not in kind or seen >= LEAST_SHIPS
    return bool((site.land.cover()[data] == _BUILT).mean() >= LEAST_BUILT[kind])


def wedge(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Data [h, w] on one side of a line that leaves a half to nine tenths of the slice, as a scene's edge does."""
    rows, cols = np.mgrid[: shape[0], : shape[1]] / np.array(shape).reshape(2, 1, 1)
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * cols + np.sin(angle) * rows
    return np.asarray(along <= np.quantile(along, rng.uniform(0.55, 0.9)))


def make(real: Path | None = None, each: int = EACH) -> Examples:
    """The labelled examples: simulated ones and, from a folder of sorted pictures, real ones."""
    slices = list(simulated(each))
    made = Examples.of_pictures(
        ((slice_.pixels, slice_.has_data) for slice_ in slices),
        [slice_.rich for slice_ in slices],
        [slice_.source for slice_ in slices],
        [slice_.kind for slice_ in slices],
    )
    return made if real is None else made.joined(labelled_pictures(real))


def main() -> None:
    """Make the file that ships, and tell how well one source's examples are told by those of the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--real", type=Path, help="folder with rich/ and poor/ pictures, named SOURCE--anything.png"
    )
    given = parser.parse_args()
    examples = make(given.real)
    examples.write(given.out)
    for source, (right, count) in examples.leave_one_source_out().items():
        print(f"{source}: {right} of {count} right")


if __name__ == "__main__":
    main()
