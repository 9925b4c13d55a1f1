"""One object seen in overlapping chips becomes one finding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fusar_gpt.contract import Finding, Found, SceneBox
from fusar_gpt.findings.finding import overlap
from fusar_gpt.imagery import Chip, Scene

SAME_OBJECT = 0.5
"""Least overlap of two boxes that show the same object."""


@dataclass(frozen=True)
class _View:
    """One chip's view of an object; ``cut`` when a neighbour may see more of it."""

    finding: Finding
    window: SceneBox
    cut: bool

    @property
    def rank(self) -> tuple[bool, float, float, str]:
        """The best view is whole; among cut ones it is the largest; then objectness decides, then the id."""
        objectness = self.finding.properties.get("objectness")
        return (
            not self.cut,
            self.finding.box.area if self.cut else 0.0,
            objectness if isinstance(objectness, float) else 0.0,
            self.finding.id,
        )


@dataclass
class _Object:
    best: _View
    chips: set[int]


class Merge:
    """Merges the detections of a scene's chips one-to-one while they stream in.

    Two boxes show the same object when they come from different chips, bear the same label and agree in the
    part of the scene that both chips see: intersection over union at least ``SAME_OBJECT`` there, or, for a
    box cut off by its chip's edge, that share of it inside the other. Pairs are matched greedily, best first,
    and an object takes at most one box of a chip. Other layers pass through as they are.

    Chips come in the row-major order of ``plan_chips``: objects above the current row are forgotten, so
    memory follows the width of a scene and not its area.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene_width, self._scene_height = scene.width, scene.height
        self._objects: list[_Object] = []

    def add(self, chip: Chip, findings: Iterable[Finding]) -> Found:
        """What one chip's findings change; it may be called again for the same chip."""
        window = SceneBox(*chip.footprint.bounds)
        self._objects = [o for o in self._objects if o.best.window.bottom > window.top]
        added: list[Finding] = []
        replaces: dict[str, str] = {}
        views: list[_View] = []
        for finding in findings:
            if finding.layer == "detections":
                views.append(_View(finding, window, self._is_cut(finding.box, window)))
            else:
                added.append(finding)
        matched = self._match(chip.index, views)
        for number, view in enumerate(views):
            known = matched.get(number)
            if known is None:
                self._objects.append(_Object(view, {chip.index}))
                added.append(view.finding)
                continue
            known.chips.add(chip.index)
            if view.rank > known.best.rank:
                replaces[view.finding.id] = known.best.finding.id
                added.append(view.finding)
                known.best = view
        return Found(tuple(added), replaces)

    def _match(self, chip: int, views: Sequence[_View]) -> dict[int, _Object]:
        """Each view's object, for the views of objects already known."""
        pairs = [
            (-likeness, view.finding.id, known.best.finding.id, number, known)
            for known in self._objects
            if chip not in known.chips
            for number, view in enumerate(views)
            if (likeness := _likeness(view, known.best)) >= SAME_OBJECT
        ]
        matched: dict[int, _Object] = {}
        taken: set[int] = set()
        for *_, number, known in sorted(pairs, key=lambda pair: pair[:3]):
            if number not in matched and id(known) not in taken:
                matched[number] = known
                taken.add(id(known))
        return matched

    def _is_cut(self, box: SceneBox, window: SceneBox) -> bool:
        """Whether the box touches an edge of its chip beyond which the scene goes on."""
        near_x = 0.01 * (window.right - window.left)
        near_y = 0.01 * (window.bottom - window.top)
        return (
            (window.left > 0 and box.left <= window.left + near_x)
            or (window.top > 0 and box.top <= window.top + near_y)
            or (window.right < self._scene_width and box.right >= window.right - near_x)
            or (window.bottom < self._scene_height and box.bottom >= window.bottom - near_y)
        )


def _likeness(one: _View, other: _View) -> float:
    """How well two chips agree on an object in the part of the scene that both see, in [0, 1]."""
    if one.finding.properties["label"] != other.finding.properties["label"]:
        return 0.0
    shared = overlap(one.window, other.window)
    if shared is None:
        return 0.0
    a, b = overlap(one.finding.box, shared), overlap(other.finding.box, shared)
    both = a and b and overlap(a, b)
    if a is None or b is None or both is None:
        return 0.0
    # A cut box shows an unknown part of the object: it need not fill the other box, only lie in it.
    against = [a.area + b.area - both.area]
    against += [part.area for part, view in ((a, one), (b, other)) if view.cut]
    return both.area / min(against)
