"""The strip below an overlay: classes, scale, north, and what must be said about the run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import pyproj
from PIL import Image, ImageDraw, ImageFont

from fusar_gpt.contract import SEARCH, Run
from fusar_gpt.frames import LonLatPoints, ScenePoints, SceneWindow
from fusar_gpt.imagery import Scene

Colour = tuple[int, int, int]

GROUND: Colour = (13, 18, 26)
_INK: Colour = (232, 237, 243)
_SOFT: Colour = (150, 162, 176)
_WARN: Colour = (240, 228, 66)

_KNOWN: dict[str, Colour] = {"ship": (230, 159, 0), "plane": (86, 180, 233)}
_OTHERS: Sequence[Colour] = ((0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0))
"""Okabe and Ito's colours, which colour-blind readers can tell apart."""

_ELLIPSOID = pyproj.Geod(ellps="WGS84")


@dataclass(frozen=True)
class LegendEntry:
    """One entry of the legend."""

    text: str
    colour: Colour
    shape: Literal["box", "cell", "line"]


def colours(classes: Iterable[str]) -> dict[str, Colour]:
    """A colour for each class: fixed for ship and plane, in alphabetical order for the others."""
    others = sorted(set(classes) - set(_KNOWN))
    return _KNOWN | {name: _OTHERS[number % len(_OTHERS)] for number, name in enumerate(others)}


def font(size: float) -> ImageFont.FreeTypeFont:
    """Pillow's own font, so that pictures are the same on every machine."""
    loaded = ImageFont.load_default(size)
    if not isinstance(loaded, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow was built without FreeType; install Pillow's official wheel")
    return loaded


def warnings_of(run: Run) -> list[str]:
    """What a reader of this run must know before trusting anything in it."""
    said = []
    if run.scene_simulated:
        said.append("Simulated scene")
    if run.demonstration:
        said.append("Demonstration model")
    if run.prior == "none" and run.task != SEARCH:
        said.append("No prior")
    elif run.prior_simulated:
        said.append("Simulated prior")
    if run.warnings:
        said.append("See the run's warnings")
    return said


def draw_caption(
    width: int,
    entries: Sequence[LegendEntry],
    scene: Scene,
    window: SceneWindow,
    scale: float,
    title: str,
    said: Sequence[str],
) -> Image.Image:
    """The strip for a picture of the scene's ``window`` at ``scale`` picture pixels to a scene pixel."""
    unit, fine = width / 1000, 2
    pen = _Pen(fine, unit, Image.new("RGB", (width * fine, round(width * fine)), GROUND))
    right = pen.scale_bar(scene, window, scale)
    bottom = pen.legend(entries, right)
    bottom = pen.footer(title, said, bottom)
    strip = pen.image.crop((0, 0, pen.image.width, math.ceil(bottom / fine) * fine))
    return strip.resize((width, strip.height // fine), Image.Resampling.BOX)


class _Pen:
    """Draws on the strip; lengths are thousandths of its width."""

    def __init__(self, fine: int, unit: float, image: Image.Image) -> None:
        self.image = image
        self._fine = fine
        self._u = fine * unit
        self._draw = ImageDraw.Draw(image)
        self._font = font(14 * self._u)

    def scale_bar(self, scene: Scene, window: SceneWindow, scale: float) -> float:
        """Bar and north arrow at the right; returns where they begin."""
        u = self._u
        middle = window.row + window.height / 2
        ends = scene.to_lonlat(ScenePoints.of([(window.col, middle), (window.col + window.width, middle)]))
        ground = float(_ELLIPSOID.line_length(ends.x, ends.y))
        shown = window.width * scale * self._fine
        metres = _round_length(ground * min(shown, 180 * u) / shown)
        length = metres / ground * shown

        arrow = self.image.width - 34 * u
        self._north(arrow, 32 * u, scene, window)
        end = arrow - 34 * u
        y = 40 * u
        self._draw.line([(end - length, y), (end, y)], fill=_INK, width=round(2.5 * u))
        for x in (end - length, end):
            self._draw.line([(x, y - 6 * u), (x, y + 1.2 * u)], fill=_INK, width=round(2 * u))
        name = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
        self._draw.text((end - length / 2, y - 8 * u), name, fill=_INK, font=self._font, anchor="mb")
        return end - length

    def _north(self, x: float, y: float, scene: Scene, window: SceneWindow) -> None:
        """An arrow to true north, which is not up in a rotated scene."""
        centre = ScenePoints.of([window.col + window.width / 2, window.row + window.height / 2])
        here = scene.to_lonlat(centre)
        step = scene.pixel_size_m * max(window.width, window.height) / 20 / 111_000
        there = scene.from_lonlat(LonLatPoints(here.x, here.y + step))
        dx, dy = float(there.x[0] - centre.x[0]), float(there.y[0] - centre.y[0])
        norm = math.hypot(dx, dy) or 1.0
        dx, dy, u = dx / norm, dy / norm, self._u

        def point(ahead: float, aside: float) -> tuple[float, float]:
            return x + (dx * ahead - dy * aside) * u, y + (dy * ahead + dx * aside) * u

        self._draw.polygon([point(11, 0), point(-17, 7), point(-12, 0), point(-17, -7)], fill=_INK)
        self._draw.text(point(19, 0), "N", fill=_INK, font=font(12 * u), anchor="mm")

    def legend(self, entries: Sequence[LegendEntry], right: float) -> float:
        """The entries from left to right, in as many lines as they need; returns the bottom."""
        u = self._u
        x, y = 24 * u, 32 * u
        for entry in entries:
            wide = 30 * u + self._font.getlength(entry.text)
            if x > 24 * u and x + wide > right - 24 * u:
                x, y = 24 * u, y + 26 * u
            swatch = (x, y - 7 * u, x + 20 * u, y + 7 * u)
            if entry.shape == "line":
                self._draw.line([(x, y), (x + 20 * u, y)], fill=entry.colour, width=round(2.5 * u))
            else:
                shade = tuple(round(0.35 * c + 0.65 * g) for c, g in zip(entry.colour, GROUND, strict=True))
                self._draw.rectangle(
                    swatch,
                    outline=entry.colour,
                    width=round(2.5 * u),
                    fill=shade if entry.shape == "cell" else None,
                )
            self._draw.text((x + 28 * u, y), entry.text, fill=_INK, font=self._font, anchor="lm")
            x += wide + 24 * u
        return max(y + 24 * u, 62 * u)

    def footer(self, title: str, said: Sequence[str], top: float) -> float:
        """The scene's name at the left, the warnings at the right; returns the bottom."""
        u, small = self._u, font(13 * self._u)
        self._draw.line([(24 * u, top), (self.image.width - 24 * u, top)], fill=(45, 55, 68), width=round(u))
        y = top + 20 * u
        warning = "  ·  ".join(said)
        room = self.image.width - 72 * u - small.getlength(warning)
        while small.getlength(title) > room and len(title) > 4:
            title = title[:-4] + "..."
        self._draw.text((24 * u, y), title, fill=_SOFT, font=small, anchor="lm")
        self._draw.text((self.image.width - 24 * u, y), warning, fill=_WARN, font=small, anchor="rm")
        return y + 20 * u


def _round_length(metres: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is not longer."""
    power = 10.0 ** math.floor(math.log10(metres))
    return max(step * power for step in (1, 2, 5) if step * power <= metres)
