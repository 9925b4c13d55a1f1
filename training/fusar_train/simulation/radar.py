"""From mean backscatter and point targets to a quantised SAR image.

The image is made as a radar makes it: a complex field of ground and targets goes through the system's impulse
response, is detected, and independent looks are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.contract.stretch import LEAST_SPAN_DB, Stretch
from fusar_train.simulation.ground import PIXEL_M

UNWEIGHTED, MODERATE, HAMMING = 1.0, 0.75, 0.54


@dataclass(frozen=True)
class Sensor:
    """A radar and its geometry over the image.

    Attributes:
        pixel_m: pixel spacing.
        resolution_m: -3 dB width of the impulse response in ground range and in azimuth.
        looks: independent looks averaged in power.
        look: direction in which the radar looks (ground range), radians in the image; azimuth is at right angles.
        incidence: incidence angle from the vertical, radians.
        weighting: alpha of the generalised Hamming window over the band: 1 leaves the sidelobes of a sinc
            (-13 dB), 0.75 gives about -21 dB, 0.54 (Hamming) about -42 dB.
        noise_db: noise-equivalent backscatter.
    """

    pixel_m: float = PIXEL_M
    resolution_m: tuple[float, float] = (4.0, 4.0)
    looks: int = 1
    look: float = 0.0
    incidence: float = 0.6
    weighting: float = MODERATE
    noise_db: float = -25.0

    @classmethod
    def random(cls, rng: np.random.Generator, pixel_m: float = PIXEL_M) -> Sensor:
        """A sensor as they come: mostly looking along an image axis, else along a geocoded orbit."""
        look = rng.integers(4) * np.pi / 2 + (0.0 if rng.random() < 0.6 else rng.normal(0, 0.25))
        range_m, azimuth_m = pixel_m * rng.uniform(1.0, 1.8) * rng.uniform(0.9, 1.3, 2)
        return cls(
            pixel_m,
            (float(range_m), float(azimuth_m)),
            int(rng.choice([1, 1, 1, 1, 1, 2, 2, 4])),
            float(look),
            float(np.radians(rng.uniform(22, 50))),
            float(rng.choice([UNWEIGHTED, MODERATE, MODERATE, HAMMING])),
            float(rng.uniform(-29, -22)),
        )

    @property
    def layover(self) -> tuple[float, float]:
        """By how much (x, y) a point appears displaced for each metre of its height: towards the radar."""
        towards = -1 / np.tan(self.incidence)
        return float(towards * np.cos(self.look)), float(towards * np.sin(self.look))


def beamwidth(weighting: float) -> float:
    """The -3 dB width of the response to a weighted band, in reciprocals of the bandwidth: 0.886 unweighted."""
    t = np.linspace(0, 1, 2001)
    response = weighting * np.sinc(t) + (1 - weighting) / 2 * (np.sinc(t - 1) + np.sinc(t + 1))
    return float(2 * t[np.argmax(response < response[0] / np.sqrt(2))])


def transfer(shape: tuple[int, int], sensor: Sensor) -> NDArray[np.float32]:
    """The transfer function [h, w // 2 + 1] over ``rfft2`` frequencies; white noise keeps its power.

    It is the weighting window over the band that the resolution needs. A resolution finer than the pixels
    fills the whole band of the raster.
    """
    fy = np.fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(shape[1]).astype(np.float32)[None, :]
    c, s = np.float32(np.cos(sensor.look)), np.float32(np.sin(sensor.look))
    response = np.ones((shape[0], shape[1] // 2 + 1), np.float32)
    width = beamwidth(sensor.weighting)
    for frequency, resolution in zip((c * fx + s * fy, c * fy - s * fx), sensor.resolution_m, strict=True):
        phase = np.abs(frequency) * np.float32(resolution / sensor.pixel_m / width)
        window = np.cos(np.float32(2 * np.pi) * phase) * np.float32(1 - sensor.weighting)
        window += np.float32(sensor.weighting)
        window *= phase <= 0.5
        response *= window
    weight = np.full(response.shape[1], 2.0)
    weight[0] = 1.0
    weight[-1] = 1.0 if shape[1] % 2 == 0 else 2.0
    return response * np.float32(np.sqrt(shape[0] * shape[1] / (response**2 @ weight).sum()))


def texture(field: NDArray[np.float32], order: NDArray[np.float32] | float) -> NDArray[np.float32]:
    """A Gaussian field turned to gamma texture of unit mean and shape ``order`` (Wilson and Hilferty's cube).

    Under speckle, which is gamma too, it makes K-distributed clutter.
    """
    ninth = np.float32(1.0) / (np.float32(9.0) * np.asarray(order, np.float32))
    root = np.maximum(np.float32(1.0) - ninth + field * np.sqrt(ninth), np.float32(0.05))
    return np.asarray(root * root * root, np.float32)


def detect(
    ground: NDArray[np.float32], points: NDArray[np.float32], sensor: Sensor, rng: np.random.Generator
) -> NDArray[np.float32]:
    """The power image [h, w] of ground with mean power ``ground`` and point targets of power ``points`` in it.

    Every look draws the ground as complex Gaussian noise, which becomes speckle, and the targets with phases of
    their own, so that neighbouring scatterers interfere as they do. All looks take their noise from one field at
    different displacements, which is independent at every pixel and saves drawing it again.
    """
    response = transfer(ground.shape, sensor)
    spread = np.sqrt(ground / 2)
    spots = np.flatnonzero(points)
    amplitudes = np.sqrt(points.ravel()[spots])
    noise = np.tile(rng.standard_normal(ground.size, dtype=np.float32), 2)
    starts = iter(rng.integers(ground.size, size=2 * sensor.looks))
    power = np.zeros_like(ground)
    for _ in range(sensor.looks):
        phases = rng.random(spots.size, dtype=np.float32) * np.float32(2 * np.pi)
        for part in (np.cos, np.sin):
            start = next(starts)
            field = noise[start : start + ground.size].reshape(ground.shape) * spread
            field.ravel()[spots] += amplitudes * part(phases)
            spectrum = np.fft.rfft2(field)
            spectrum *= response
            seen = np.fft.irfft2(spectrum, ground.shape)
            seen *= seen
            power += seen
    return np.asarray(power / np.float32(sensor.looks), np.float32)


def to_db(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power in decibels."""
    return np.asarray(np.log(power + np.float32(1e-7)) * np.float32(10 / np.log(10)), np.float32)


def quantise(db: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The 8-bit chip [h, w] as the backend would hand it over, from a scene of one kind or another.

    Mostly the backend's own stretch, with the limits of a scene like this chip or of a larger, unlike one; now
    and then a picture that its producer had already turned to 8 bits, linear in amplitude.
    """
    kind = rng.random()
    if kind < 0.4:
        return Stretch.of_samples(db[::2, ::2]).quantise(db)
    if kind < 0.65:
        low = float(rng.uniform(-32, -20))
        return Stretch(low, max(low + LEAST_SPAN_DB, float(rng.uniform(-5, 10)))).quantise(db)
    amplitude = np.exp(db * np.float32(np.log(10) / 20))
    brightest = max(
        float(np.percentile(amplitude[::2, ::2], rng.uniform(97, 99.8))), 3 * float(amplitude.mean())
    )
    return np.asarray(np.rint(np.clip(amplitude / brightest, 0, 1) * 255), np.uint8)
