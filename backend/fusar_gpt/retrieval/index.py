"""The index of a scene: a vector for each slice, on disk, filled as searches need it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.contract import ENOUGH_DATA
from fusar_gpt.errors import Cancelled
from fusar_gpt.folders import user_folder
from fusar_gpt.imagery import Scene, read_chip
from fusar_gpt.retrieval.encoder import Encoder
from fusar_gpt.retrieval.slicing import OVERLAP, Lattice, lattice

NOT_READ = 255
"""Instead of a share of data: nobody has looked at the slice yet."""
BATCH = 64


def default_folder() -> Path:
    """Where indexes are kept: in $FUSAR_CACHE, else in the platform's place for what can be made again."""
    if home := os.environ.get("FUSAR_CACHE"):
        return Path(home).expanduser() / "search"
    return user_folder("cache") / "fusar-gpt" / "search"


@dataclass(frozen=True)
class SceneIndex:
    """The slices of a scene at one ground size, and what is known of them.

    Attributes:
        lattice: The slices.
        vectors: float16 [slices, E], of length 1 where ``data`` says that there is one; a memory map.
        data: uint8 [slices], the share of the slice with data in percent, or ``NOT_READ``; a memory map.
    """

    lattice: Lattice
    vectors: NDArray[np.float16]
    data: NDArray[np.uint8]

    @property
    def searchable(self) -> NDArray[np.bool_]:
        """Which slices have a vector, [slices]."""
        return np.asarray((self.data != NOT_READ) & (self.data >= 100 * ENOUGH_DATA))

    def missing(self, wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The numbers of the wanted slices that nobody has looked at yet."""
        return np.flatnonzero(wanted & (self.data == NOT_READ))


@contextmanager
def scene_index(
    scene: Scene,
    encoder: Encoder,
    ground_m: float | None = None,
    overlap: float = OVERLAP,
    folder: Path | None = None,
) -> Iterator[SceneIndex]:
    """The index of a scene by an encoder, as far as it is there; one process at a time may hold it.

    It is another one for another scene's content, band, quantity, stretch, encoder or slicing.
    """
    slices = lattice(scene, encoder.image_px, ground_m, overlap)
    stretch = scene.stretch()
    described = {
        "scene": scene.name,
        "fingerprint": scene.fingerprint,
        "band": scene.band,
        "quantity": scene.quantity,
        "stretch": [stretch.low_db, stretch.high_db],
        "encoder": encoder.name,
        "encoder_hash": encoder.hash,
        "side_px": slices.side,
        "overlap": overlap,
        "slices": len(slices),
    }
    key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:32]
    place = (folder or default_folder()) / key
    place.mkdir(parents=True, exist_ok=True)
    vectors, data = place / "vectors.npy", place / "data.npy"
    if not (place / "index.json").is_file():
        np.lib.format.open_memmap(vectors, "w+", np.float16, (len(slices), encoder.dimensions)).flush()
        np.save(data, np.full(len(slices), NOT_READ, np.uint8))
        (place / "index.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
    yield SceneIndex(slices, np.load(vectors, mmap_mode="r+"), np.load(data, mmap_mode="r+"))


def fill(
    index: SceneIndex,
    numbers: NDArray[np.int64],
    scene: Scene,
    encoder: Encoder,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[int]:
    """Embeds slices that nobody has looked at, and yields how many of them are done after each batch.

    Raises:
        Cancelled: What is done by then stays.
        SceneError: The file is damaged.
    """
    stretch = scene.stretch()
    for at in range(0, len(numbers), BATCH):
        if cancelled():
            raise Cancelled("cancelled")
        some = numbers[at : at + BATCH]
        read = [read_chip(scene, index.lattice.chip(int(number)), stretch) for number in some]
        shares = np.array([round(100 * float(one.has_data.mean())) for one in read], np.uint8)
        usable = shares >= 100 * ENOUGH_DATA
        if usable.any():
            images = np.stack([one.grey for one, use in zip(read, usable, strict=True) if use])
            index.vectors[some[usable]] = encoder.embed_images(images).astype(np.float16)
        index.data[some] = shares
        yield at + len(some)
