"""Scenes over the same ground: they are one group, and a group never lies in two splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Protocol

import numpy as np
import shapely
from pyproj import Geod
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from fusar_gpt import lonlat
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.splits import drawn, joined

LEAST_WIDTH = 1 / 5000
"""Two footprints share ground where their overlap is, on average, wider than this part of the smaller scene's side.

Frames of one mosaic that only touch overlap by rounding and by how their edges bend in degrees, which is a twentieth of
a pixel; a corner in which a slice has room counts, even of a scene of 250 km (50 m).
"""

_ELLIPSOID = Geod(ellps="WGS84")


class Placed(Protocol):
    """What is known of where a scene lies, such as a ``SceneEntry``."""

    @property
    def name(self) -> str:
        """Its unique name."""

    @property
    def footprint(self) -> BaseGeometry:
        """Its outline, a Polygon or MultiPolygon in WGS 84 degrees (lon, lat).

        Across the antimeridian it is cut there, or longitudes run on beyond 180.
        """


def ground_groups(entries: Sequence[Placed]) -> dict[str, str]:
    """The group of each scene, the first of the group's scenes in order of name, whatever the order of ``entries``.

    Scenes are of one group where their footprints share ground (``LEAST_WIDTH``), or a chain of such scenes joins them.
    """
    return joined((entry.name for entry in entries), overlapping(entries))


def overlapping(entries: Sequence[Placed]) -> Iterator[tuple[str, str]]:
    """The names of every two scenes that share ground."""
    footprints = [shapely.make_valid(lonlat.split(entry.footprint)) for entry in entries]
    area = cache(lambda number: _measured(footprints[number])[0])
    outlines = np.array(footprints, dtype=object)
    for one, other in shapely.STRtree(outlines).query(outlines, predicate="intersects").T.tolist():
        if one < other:
            common, perimeter = _measured(shapely.intersection(footprints[one], footprints[other]))
            if common and 2 * common / perimeter > LEAST_WIDTH * min(area(one), area(other)) ** 0.5:
                yield entries[one].name, entries[other].name


def refused_scenes(entries: Sequence[Placed], kept: Mapping[str, str]) -> dict[str, CorpusError]:
    """The new scenes over ground of two splits, by name: left out, the splits given before can stay.

    New scenes are added one by one in order of name. One that joins groups of different splits is refused, the next
    may still be taken.

    Args:
        entries: All scenes, those that have a split and the new ones.
        kept: The splits given before, by scene.
    """
    neighbours: dict[str, set[str]] = defaultdict(set)
    for one, other in overlapping(entries):
        neighbours[one].add(other)
        neighbours[other].add(one)
    refused: dict[str, CorpusError] = {}
    before = {entry.name: kept[entry.name] for entry in entries if entry.name in kept}
    said_by = {
        name: (split, name) for name, split in before.items()
    }  # the split of its ground, and whose that is
    group_of = joined(before, ((one, other) for one in before for other in neighbours[one] & before.keys()))
    for name in sorted({entry.name for entry in entries} - before.keys()):
        groups = {group_of[other] for other in neighbours[name] if other in group_of}
        telling = sorted(said_by[group] for group in groups if group in said_by)
        if len({split for split, _ in telling}) > 1:
            refused[name] = _torn(name, telling[0], telling[-1])
            continue
        group_of.update({other: name for other, group in group_of.items() if group in groups})
        group_of[name] = name
        if telling:
            said_by[name] = telling[0]
    return refused


def assign_scene_splits(
    groups: Mapping[str, str],
    weights: Mapping[str, float],
    shares: tuple[float, float, float],
    seed: int,
    kept: Mapping[str, str] | None = None,
    *,
    again: bool = False,
) -> dict[str, str]:
    """The split of each scene, whole groups at a time; the same groups, weights and seed give the same splits.

    Scenes that have a split keep it, and with it all of their group; the other groups are dealt so that the shares are
    met as well as they can be.

    Args:
        groups: The group of each scene (``ground_groups``).
        weights: The size of each scene, such as its number of slices; one that is not named has none.
        shares: Of train, val and test; they sum to 1.
        seed: Draws the order.
        kept: Splits given before; scenes that are not in ``groups`` come back as they are.
        again: Draw anew for scenes in ``groups`` that have a split.

    Raises:
        CorpusError: The shares make no sense; or scenes of one group have different splits, as where a new scene joins
            them: leave out what ``refused_scenes`` names, or draw again.
    """
    kept = dict(kept or {})
    if again:
        kept = {scene: split for scene, split in kept.items() if scene not in groups}
    groups = dict(groups) | {scene: scene for scene in kept if scene not in groups}
    fixed: dict[str, tuple[str, str]] = {}
    for scene in sorted(kept.keys() & groups.keys()):
        first = fixed.setdefault(groups[scene], (kept[scene], scene))
        if first[0] != kept[scene]:
            new = sorted(one for one in groups if groups[one] == groups[scene] and one not in kept)
            raise _torn(new[0] if new else None, first, (kept[scene], scene))
    sizes: dict[str, float] = dict.fromkeys(sorted(set(groups.values())), 0.0)
    for scene, group in groups.items():
        sizes[group] += weights.get(scene, 0.0)
    chosen = drawn(sizes, {group: split for group, (split, _) in fixed.items()}, shares, seed)
    return {scene: chosen[group] for scene, group in sorted(groups.items())}


def _torn(new: str | None, one: tuple[str, str], other: tuple[str, str]) -> CorpusError:
    (first, here), (second, there) = one, other
    if new is None:
        shared = f"{here} is in {first} and {there} in {second}, but they share ground"
    else:
        shared = (
            f"{new} joins the ground of {here}, which is in {first}, and of {there}, which is in {second}"
        )
    return CorpusError(f"{shared}: leave one of them out, or draw all splits anew with --again.")


def _measured(geometry: BaseGeometry) -> tuple[float, float]:
    """Area in m2 and perimeter in m of a geometry's polygons, on the ellipsoid."""
    polygons = [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon"]
    measured = [_ELLIPSOID.geometry_area_perimeter(orient(part)) for part in polygons]
    area, perimeter = np.abs(np.array(measured).reshape(-1, 2)).sum(axis=0)
    return float(area), float(perimeter)
