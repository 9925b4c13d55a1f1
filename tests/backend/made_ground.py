"""A made-up Earth: AEF codes anywhere as a function of zone and pixel, whole tiles of it, and a source of those."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from fusar_gpt.frames import ChipPoints, LonLatPoints
from fusar_gpt.priors import Footprint
from fusar_gpt.priors.tiles import Tile

SIZE = 224
YEARS = (2017, 2021, 2024)
ROOT = Path(__file__).parents[2]
VECTORS = np.load(ROOT / "training/fusar_train/simulation/aef_vectors_2024.npz")["codes"].reshape(-1, 64)
METRE = 1 / 111_320  # degrees of latitude


def codes_at(zone, col, up, holes=True):
    """int8 [..., 64] of pixels counted eastward and upward in a zone, negative south of the equator: real vectors.

    With ``holes``, one patch of 3 x 3 pixels in five has no data.
    """
    zone, col, up = np.broadcast_arrays(np.asarray(zone), col, up)
    mixed = (zone + 60) * 7_919 + col * 104_729 + up * 1_299_709
    codes = VECTORS.take((mixed ^ (mixed >> 7)) % len(VECTORS), axis=0)
    if holes:
        codes[((zone + col // 3 * 31 + up // 3 * 17) % 5) == 0] = -128
    return codes


@cache
def ground(tile: Tile, holes=True) -> np.ndarray:
    """The codes of a tile, int8 [64, 128, 128], north up."""
    col = tile.col * 128 + np.arange(128)
    up = tile.row * 128 + 127 - np.arange(128)
    zone = -tile.zone if tile.south else tile.zone
    return np.ascontiguousarray(codes_at(zone, col[None, :], up[:, None], holes).transpose(2, 0, 1))


def chip(west, south, width_m, height_m=None, turn=lambda u, v: (u, v)) -> Footprint:
    """A chip that fills its box; ``turn`` moves places on it, given and returned as fractions of the box.

    It may lie across the antimeridian, and then its east is less than its west.
    """
    high = (height_m or width_m) * METRE
    wide = width_m * METRE / np.cos(np.radians(max(abs(south), abs(south + high)) - high / 2))

    def lonlat_to_chip(points: LonLatPoints) -> ChipPoints:
        u, v = turn((points.x - west) % 360 / wide, (south + high - points.y) / high)
        return ChipPoints(u * SIZE, v * SIZE)

    east = west + wide if west + wide <= 180 else west + wide - 360
    return Footprint(
        west, south, east, south + high, SIZE, SIZE, lonlat_to_chip, lambda p: ChipPoints(p.x, p.y), 999, 999
    )


@dataclass
class MadeGround:
    """A source of tiles that counts what it is asked.

    Attributes:
        block: Tiles a side that come with one fetch.
        delay_s: What a fetch takes.
        error: Raised instead of an answer.
        water: Tiles without data.
    """

    block: int = 1
    parallel: int = 4
    delay_s: float = 0.0
    error: Exception | None = None
    held: tuple[int, ...] = YEARS
    known: tuple[int, ...] = ()
    water: frozenset[Tile] = frozenset()
    name: str = "made-up"
    key: str = "made-v1"
    version: str | None = "V1"
    attribution: str = "Nobody."
    fetches: Counter = field(default_factory=Counter)
    asked: Counter = field(default_factory=Counter)
    most: int = 0
    running: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def years(self, tile, retry):
        with self.lock:
            self.asked[tile] += 1
        self.fail(retry)
        return self.held

    def known_years(self, tile):
        return self.known

    def fetch(self, tile, year, retry):
        with self.lock:
            self.fetches[tile, year] += 1
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            self.fail(retry)
        finally:
            with self.lock:
                self.running -= 1
        left, bottom = tile.col // self.block * self.block, tile.row // self.block * self.block
        return {
            one: np.full((64, 128, 128), -128, np.int8) if one in self.water else ground(one)
            for one in (
                Tile(tile.zone, tile.south, left + right, bottom + up)
                for right in range(self.block)
                for up in range(self.block)
            )
        }

    def fail(self, retry):
        end = time.monotonic() + self.delay_s
        while time.monotonic() < end:
            retry.deadline().check()
            time.sleep(0.005)
        if self.error:
            raise self.error
