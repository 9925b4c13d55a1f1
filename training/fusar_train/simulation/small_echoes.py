"""Small objects (cranes, vehicles, buoys, towers), wakes on the sea, and azimuth ambiguities of what is bright."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusar_train.simulation.clutter import moved, power
from fusar_train.simulation.ground import Berth, Surface, at
from fusar_train.simulation.models import gain
from fusar_train.simulation.targets import Site

Floats = NDArray[np.floating]


def add_points(site: Site, x: Floats, y: Floats, z: Floats | float, db: Floats) -> None:
    """Adds point scatterers [N] (metres, dB at 3 m pixels), laid over by their heights; ships hide those under them."""
    shift = site.sensor.layover
    rows, cols = site.pixels(x + shift[0] * np.asarray(z), y + shift[1] * np.asarray(z))
    height, width = site.land.shape
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    inside[inside] = ~site.taken[rows[inside], cols[inside]]
    np.add.at(site.echo, (rows[inside], cols[inside]), power(db[inside] + 2 * gain(site.land.pixel_m)))


def add_small_echoes(site: Site, rng: np.random.Generator) -> None:
    """Adds small objects everywhere, as many per hectare as the surface has, and cranes along the quays."""
    width, height = site.land.size
    count = int(rng.poisson(min(12 * width * height / 1e4, 40_000)))
    x, y = rng.uniform(0, width, count), rng.uniform(0, height, count)
    rows, cols = site.pixels(x, y)
    rate = np.array([0.0, 0.0, 0.003, 0.0, 0.003, 0.005, 0.4, 0.006, rng.uniform(0.05, 0.6), 0.01])
    chance = rate[site.land.surface[rows, cols]]
    on_flat = {"": 0.0, "ship": 0.003, "plane": 0.012}
    hosts = np.array([on_flat[flat.hosts] for flat in site.land.flats])
    chance = chance + hosts[site.land.flat[rows, cols]]
    kept = rng.random(count) < chance
    number = int(kept.sum())
    add_points(site, x[kept], y[kept], rng.uniform(0, 6, number), rng.normal(1, 6, number))
    if rng.random() < 0.5:
        for berth in site.land.berths:
            add_cranes(site, berth, rng)
    if rng.random() < 0.25:
        add_towers(site, rng)


def add_cranes(site: Site, berth: Berth, rng: np.random.Generator) -> None:
    """Gantry cranes on rails along a quay: legs, a beam over the water 30 to 45 m up, a cab."""
    for _ in range(int(berth.length / 110)):
        foot = at(berth.x, berth.y, berth.along, float(rng.uniform(-0.45, 0.45) * berth.length), 0.0)
        out = np.linspace(-22, 30, 14)
        x, y = foot[0] + out * np.cos(berth.outward), foot[1] + out * np.sin(berth.outward)
        beam = rng.uniform(28, 45)
        add_points(site, x, y, beam, rng.normal(0, 3, out.size))
        legs = np.array([1, 9])
        for z, db in ((0.0, 13.0), (beam / 2, 5.0)):
            add_points(site, x[legs], y[legs], z, rng.normal(db, 4, 2))


def add_towers(site: Site, rng: np.random.Generator) -> None:
    """Lattice towers, chimneys or wind turbines: a bright foot and a line of points towards the radar."""
    width, height = site.land.size
    tall = rng.uniform(30, 110)
    for _ in range(int(rng.integers(1, 4))):
        z = np.linspace(0, tall, max(4, int(tall / 8)))
        x, y = np.full(z.size, rng.uniform(0, width)), np.full(z.size, rng.uniform(0, height))
        add_points(site, x, y, z, rng.normal(-2, 4, z.size) + 14 * (z == 0))


def wake_factor(site: Site) -> NDArray[np.float32]:
    """A factor [h, w] on the sea's backscatter: a dark turbulent track with a bright edge, and faint Kelvin arms."""
    factor = np.ones(site.land.shape, np.float32)
    sea = site.land.flat > 0
    for wake in site.wakes:
        u, v = site.land.frame(wake.x, wake.y, wake.heading)
        behind = -u / np.float32(wake.length)
        fade = np.where((behind > 0) & (behind < 1), 1 - behind, 0).astype(np.float32) * sea
        wide = np.float32(0.5 * wake.beam + 0.6 * site.land.pixel_m) * (1 + behind)
        dark = np.abs(v) < wide
        edge = (v > wide) & (v < wide + np.float32(2.5 * site.land.pixel_m))
        arms = np.abs(np.abs(v) + u * np.float32(0.34)) < np.float32(max(6, 1.2 * site.land.pixel_m))
        factor *= 1 + fade * (np.float32(-0.7) * dark + np.float32(2.0) * edge + np.float32(0.9) * arms)
    return factor


def add_ghosts(site: Site, rng: np.random.Generator) -> None:
    """Azimuth ambiguities: weaker, smeared copies of everything bright, at a fixed distance along azimuth.

    The distance is that of another scene's targets as much as of this one's: it is kilometres for a satellite,
    so a chip mostly shows ghosts of what lies outside. Here it is kept short, so that a chip has both.
    """
    distance = rng.uniform(0.15, 0.45) * min(site.land.shape) * rng.choice([-1, 1])
    right = -np.sin(site.sensor.look) * distance
    down = np.cos(site.sensor.look) * distance
    ghost = sum(
        (moved(site.echo, round(right * k), round(down * k)) for k in (1.0, 1.012, 1.024)),
        start=np.zeros_like(site.echo),
    )
    ghost[site.land.surface != Surface.FLAT] = 0
    site.echo += ghost * power(rng.uniform(-27, -20))
