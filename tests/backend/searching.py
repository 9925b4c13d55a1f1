"""A server that searches: a small scene under its root, and a small encoder that a test can hold back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from rasters import write
from scripted_server import ApiServer, serve_api
from small_klip import CARD, write_small_klip

from fusar_gpt.retrieval.encoder import KlipEncoder, open_encoder
from fusar_gpt.server.encoders import Encoders

WORDS = ["three", "ships", "lie", "in", "the", "harbour", "open", "sea"]
SIZE = 256
"""Pixels of a side of the scenes."""
SLICES = 15 * 15
"""Of 32 pixels, each half over its neighbour; several batches of them."""


class HeldEncoder(KlipEncoder):
    """Embeds only while its gate is open; says when it was ``reached``, and counts the images."""

    def __init__(self, encoder: KlipEncoder) -> None:
        super().__init__(encoder.klip)
        object.__setattr__(self, "gate", threading.Event())
        object.__setattr__(self, "reached", threading.Event())
        object.__setattr__(self, "embedded", [])
        self.gate.set()

    def embed_images(self, images):
        if not len(images):  # a search without examples
            return super().embed_images(images)
        self.reached.set()
        assert self.gate.wait(30)
        self.embedded.append(len(images))
        return super().embed_images(images)


def search_scene(path: Path, seed: int = 0) -> Path:
    """Dark sea with bright blocks, 10 m a pixel in UTM."""
    random = np.random.default_rng(seed)
    power = random.gamma(20.0, 0.0005, (SIZE, SIZE)).astype(np.float32)
    for top, left in random.integers(0, SIZE - 12, (25, 2)):
        power[top : top + 5, left : left + 9] = 30.0
    return write(path, power)


def held_encoders(folder: Path) -> tuple[Encoders, HeldEncoder]:
    """Encoders whose default, called ``small``, lies in a folder."""
    model = write_small_klip(folder, replace(CARD, words=WORDS, demonstration=True))
    held = HeldEncoder(open_encoder(str(model)))

    def load(source: str, *, device: str) -> object:
        return held if source == str(model) else open_encoder(source, device=device)

    return Encoders(str(model), load=load), held


@contextmanager
def serve_search(folder: Path, **options: object) -> Iterator[tuple[ApiServer, HeldEncoder]]:
    """The API, whose scene is ``folder/scene.tif``, and its default encoder."""
    encoders, held = held_encoders(folder.parent / f"{folder.name}-small")
    path = search_scene(folder / "scene.tif")
    options.setdefault("indexes", folder.parent / f"{folder.name}-indexes")
    with serve_api(folder, encoders=encoders, **options) as api:
        api.inputs = {"scene": str(path), "texts": ["three ships in the harbour"], "top": 5}
        yield api, held
