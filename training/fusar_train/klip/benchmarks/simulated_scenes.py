"""Simulated chips with what each pixel shows, for detection and segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.cli.terminal import progress_bar
from fusar_train.corpus.chip import LabelledBox
from fusar_train.simulation.chip import MARGIN, TEST_STREAM, TRAIN_STREAM, compose, observe
from fusar_train.simulation.looks import looks_of, shown_cover
from fusar_train.simulation.radar import quantise

FIRST = 90_000_000
"""Number of the first chip in both streams: corpora begin at 0, the supervised start at 50,000,000."""


@dataclass(frozen=True)
class SimulatedScenes:
    """N chips of 224 px of 3 m; the last ones are for the test, of a stream that nothing is trained on.

    Attributes:
        images: uint8 [N, 224, 224].
        objects: All that look like a ship or a plane, whether they are or not: an image alone cannot tell.
        cover: The number in ``simulation.looks.NAMES`` of what each pixel shows, uint8 [N, 224, 224].
        held_out: Bool [N].
    """

    images: NDArray[np.uint8]
    objects: Sequence[tuple[LabelledBox, ...]]
    cover: NDArray[np.uint8]
    held_out: NDArray[np.bool_]


@lru_cache(maxsize=1)
def simulated_scenes(count: int, seed: int) -> SimulatedScenes:
    """``count`` chips to learn from and a third as many to test; the same for the same."""
    tested = max(count // 3, 1)
    wanted = [(TRAIN_STREAM, n) for n in range(count)] + [(TEST_STREAM, n) for n in range(tested)]
    inside = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    images, objects, cover = [], [], []
    with progress_bar(len(wanted), "simulated chips", "chips") as show:
        for done, (stream, number) in enumerate(wanted, 1):
            site, _, rng = compose(FIRST + seed * (count + tested) + number, stream)
            images.append(quantise(observe(site, rng)[inside], rng))
            objects.append(looks_of(site, MARGIN).objects)
            cover.append(shown_cover(site, MARGIN))
            show(done)
    return SimulatedScenes(np.stack(images), objects, np.stack(cover), np.arange(len(wanted)) >= count)
