"""A picture of a run: the scene as the model saw it, the area, the boxes and the grid."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from shapely.geometry.base import BaseGeometry

from fusar_gpt.contract import Finding, Run
from fusar_gpt.findings.caption import GROUND, Colour, LegendEntry, colours, draw_caption, font, warnings_of
from fusar_gpt.findings.finding import surest_first
from fusar_gpt.findings.georeference import DETECTIONS
from fusar_gpt.frames import SceneBox, SceneWindow, corner_array
from fusar_gpt.imagery import Area, Scene, Stretch
from fusar_gpt.output import whole_file

LONG_SIDE = 1400
"""Pixels of the picture's longer side, at most."""

_MAX_ENLARGEMENT = 8
_MIN_WIDTH = 900
_FINE = 2
"""Marks are drawn this many times larger and then reduced, which smooths slanted lines."""

_AREA = (255, 255, 255)
_Rectangle = tuple[float, float, float, float]


def write_overlay(path: Path, scene: Scene, run: Run, findings: Iterable[Finding]) -> None:
    """Writes :func:`draw_overlay`'s picture.

    Raises:
        OutputError: The file cannot be written. What stood there is untouched.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(draw_overlay(scene, run, findings))


def draw_overlay(scene: Scene, run: Run, findings: Iterable[Finding]) -> bytes:
    """A PNG of the area and its surroundings in the scene's own pixel geometry, and the findings on it.

    The caption below names the classes, gives scale and north, and says what is simulated or a demonstration.
    """
    findings = list(findings)
    area = Area(shapely.from_wkt(run.area), scene.crs).on_scene(scene)
    view = _View.over(area, scene)
    picture = view.picture(scene, Stretch(run.stretch_low_db, run.stretch_high_db))
    marks = _Marks(view, colours(_classes(findings)))
    marks.area(area)
    marks.grid([f for f in findings if f.layer == "grid"])
    if not any(f.properties.get("method") == DETECTIONS for f in findings):  # else the boxes show the number
        marks.counts(
            [f for f in findings if f.properties.get("count") is not None and "chip" in f.properties]
        )
    marks.boxes([f for f in findings if f.properties.get("label") is not None])
    picture.alpha_composite(marks.reduced())

    canvas = Image.new("RGBA", (max(picture.width, _MIN_WIDTH), picture.height), GROUND)
    canvas.paste(picture, ((canvas.width - picture.width) // 2, 0))
    caption = draw_caption(
        canvas.width, _legend(findings), scene, view.window, view.scale, run.scene, warnings_of(run)
    )
    whole = Image.new("RGB", (canvas.width, canvas.height + caption.height), GROUND)
    whole.paste(canvas, (0, 0))
    whole.paste(caption, (0, canvas.height))
    png = io.BytesIO()
    whole.save(png, "PNG", compress_level=4)
    return png.getvalue()


@dataclass(frozen=True)
class _View:
    """The part of the scene that is shown; ``scale`` is picture pixels to one scene pixel."""

    window: SceneWindow
    scale: float

    @classmethod
    def over(cls, area: BaseGeometry, scene: Scene) -> _View:
        """The area with a margin around it, as far as the scene goes."""
        left, top, right, bottom = area.bounds
        margin = 0.08 * max(right - left, bottom - top)
        col, row = max(int(left - margin), 0), max(int(top - margin), 0)
        end_col = min(int(np.ceil(right + margin)), scene.width)
        end_row = min(int(np.ceil(bottom + margin)), scene.height)
        window = SceneWindow(col, row, max(end_col - col, 1), max(end_row - row, 1))
        return cls(window, min(LONG_SIDE / max(window.width, window.height), _MAX_ENLARGEMENT))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return max(round(self.window.width * self.scale), 1), max(round(self.window.height * self.scale), 1)

    def picture(self, scene: Scene, stretch: Stretch) -> Image.Image:
        width, height = self.size
        shape = (min(height, self.window.height), min(width, self.window.width))
        grey = Image.fromarray(stretch.quantise(scene.read_resampled(self.window, shape)))
        return grey.resize((width, height), Image.Resampling.BICUBIC).convert("RGBA")

    def place(self, xy: NDArray[np.float64]) -> list[tuple[float, float]]:
        """Scene pixels [N, 2] on the enlarged layer of marks."""
        corner = (self.window.col, self.window.row)
        return [(float(x), float(y)) for x, y in (xy - corner) * (self.scale * _FINE)]

    def rectangle(self, box: SceneBox) -> _Rectangle:
        (left, top), _, (right, bottom), _ = self.place(corner_array(box))
        return left, top, right, bottom


class _Marks:
    """The layer of marks, drawn ``_FINE`` times larger than the picture."""

    def __init__(self, view: _View, colour: dict[str, Colour]) -> None:
        self._view, self._colour = view, colour
        width, height = view.size
        self._layer = Image.new("RGBA", (width * _FINE, height * _FINE))
        self._draw = ImageDraw.Draw(self._layer)
        self._line = max(2, round(_FINE * max(width, height) / 700))
        self._font = font(_FINE * min(max(11, max(width, height) / 88), 16))
        self._labels: list[_Rectangle] = []

    def reduced(self) -> Image.Image:
        return self._layer.resize(self._view.size, Image.Resampling.BOX)

    def area(self, area: BaseGeometry) -> None:
        """Everything outside the area is dimmed, its edge is a white line."""
        shade = Image.new("L", self._layer.size, 110)
        drawn = ImageDraw.Draw(shade)
        parts = shapely.get_parts(area)
        for part in parts:
            drawn.polygon(self._view.place(shapely.get_coordinates(part.exterior)), fill=0)
            for hole in part.interiors:
                drawn.polygon(self._view.place(shapely.get_coordinates(hole)), fill=110)
        self._layer.paste((*GROUND, 255), mask=shade)
        self._layer.putalpha(shade)
        for part in parts:
            for ring in (part.exterior, *part.interiors):
                points = self._view.place(shapely.get_coordinates(ring))
                self._draw.line(points, fill=(0, 0, 0, 160), width=3 * self._line, joint="curve")
                self._draw.line(points, fill=(*_AREA, 255), width=self._line, joint="curve")

    def grid(self, cells: Sequence[Finding]) -> None:
        """Thin lines around every cell; cells with the target are shaded and named."""
        for cell in cells:
            frame = self._view.rectangle(cell.box)
            self._draw.rectangle(frame, outline=(255, 255, 255, 110), width=max(self._line // 2, 1))
        hits = [cell for cell in cells if cell.properties["hit"]]
        for cell in hits:
            self._shade(self._view.rectangle(cell.box), self._colour[str(cell.properties["target"])])
        for cell in hits:
            target, frame = str(cell.properties["target"]), self._view.rectangle(cell.box)
            name = f"{cell.properties['cell']} {target}"
            self._label([name], self._inner_corner(frame), self._colour[target])

    def counts(self, answers: Iterable[Finding]) -> None:
        """A thin frame around each chip that was counted, with the count in its corner."""
        for answer in answers:
            target, frame = str(answer.properties["target"]), self._view.rectangle(answer.box)
            self._draw.rectangle(frame, outline=(255, 255, 255, 110), width=max(self._line // 2, 1))
            name = f"{target}: {answer.properties['count']}"
            self._label([name], self._inner_corner(frame), self._colour[target])

    def boxes(self, findings: Sequence[Finding]) -> None:
        """Boxes first, then their labels, the surest ones first, so that no box hides a label."""
        frames = [(finding, self._view.rectangle(finding.box)) for finding in findings]
        for finding, (left, top, right, bottom) in frames:
            around = (left - self._line, top - self._line, right + self._line, bottom + self._line)
            self._draw.rectangle(around, outline=(0, 0, 0, 190), width=3 * self._line)
            self._draw.rectangle(
                (left, top, right, bottom),
                outline=self._colour[str(finding.properties["label"])],
                width=self._line,
            )
        for finding, frame in sorted(frames, key=lambda pair: surest_first(pair[0])):
            label, confidence = str(finding.properties["label"]), finding.properties["confidence"]
            texts = [label] if confidence is None else [f"{label} {confidence:.0%}", label]
            self._label(texts, self._around(frame), self._colour[label])

    def _shade(self, frame: _Rectangle, colour: Colour) -> None:
        left, top = max(round(frame[0]), 0), max(round(frame[1]), 0)
        right, bottom = min(round(frame[2]), self._layer.width), min(round(frame[3]), self._layer.height)
        if left < right and top < bottom:
            tile = Image.new("RGBA", (right - left, bottom - top), (*colour, 60))
            edge = (0, 0, tile.width - 1, tile.height - 1)
            ImageDraw.Draw(tile).rectangle(edge, outline=(*colour, 255), width=self._line)
            self._layer.alpha_composite(tile, (left, top))

    def _inner_corner(self, frame: _Rectangle) -> list[tuple[float, float, str]]:
        """Under one another from the top left corner on, for several targets in one cell."""
        step = self._font.size * 1.7
        return [
            (frame[0] + 3 * self._line, frame[1] + 3 * self._line + step * row, "left top")
            for row in range(4)
        ]

    def _around(self, frame: _Rectangle) -> list[tuple[float, float, str]]:
        left, top, right, bottom = frame
        gap = 3 * self._line
        return [
            (left - gap + self._line, top - gap, "left bottom"),
            (left - gap + self._line, bottom + gap, "left top"),
            (right + gap, top - gap, "left top"),
            (left - gap, top - gap, "right top"),
        ]

    def _label(
        self, texts: Sequence[str], places: Sequence[tuple[float, float, str]], colour: Colour
    ) -> None:
        """Writes the first text at the first place where it covers no other label; none if all are taken."""
        pad = self._font.size * 0.3
        for text in texts:
            width, height = self._font.getlength(text) + 2 * pad, self._font.size + 1.6 * pad
            for x, y, side in places:
                left = x if side.startswith("left") else x - width
                top = y if side.endswith("top") else y - height
                spot = (left, top, left + width, top + height)
                inside = (
                    min(left, top) >= 0 and spot[2] <= self._layer.width and spot[3] <= self._layer.height
                )
                if inside and not any(_touch(spot, taken) for taken in self._labels):
                    self._labels.append(spot)
                    self._draw.rounded_rectangle(spot, radius=pad, fill=(*colour, 235))
                    self._draw.text(
                        (left + pad, top + height / 2), text, fill=(10, 14, 20), font=self._font, anchor="lm"
                    )
                    return


def _touch(one: _Rectangle, other: _Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _classes(findings: Iterable[Finding]) -> list[str]:
    """Every label and target that is drawn in a colour of its own."""
    names = (f.properties.get(column) for f in findings for column in ("label", "target"))
    return sorted({str(name) for name in names if name is not None})


def _legend(findings: Sequence[Finding]) -> list[LegendEntry]:
    """What the caption explains, most frequent class first."""
    colour = colours(_classes(findings))
    boxes = Counter(str(f.properties["label"]) for f in findings if f.properties.get("label") is not None)
    cells = Counter(str(f.properties["target"]) for f in findings if f.properties.get("hit"))
    entries = [LegendEntry(f"{name} ({count})", colour[name], "box") for name, count in boxes.most_common()]
    entries += [
        LegendEntry(f"grid cell with {name} ({count})", colour[name], "cell")
        for name, count in cells.most_common()
    ]
    return [*entries, LegendEntry("area", _AREA, "line")]
