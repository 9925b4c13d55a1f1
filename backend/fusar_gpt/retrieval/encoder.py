"""What a search needs of a model: vectors of images and texts, and what words it knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.contract import DEFAULT_ENCODER
from fusar_gpt.retrieval.decoding import Blank
from fusar_gpt.retrieval.klip import Klip, load_klip


class Encoder(Protocol):
    """A dual encoder of images and texts."""

    @property
    def name(self) -> str:
        """As it is shown."""

    @property
    def hash(self) -> str:
        """SHA-256 of what decides a vector: vectors of other hashes cannot be compared with its own."""

    @property
    def demonstration(self) -> bool:
        """Whether its answers are no measurement."""

    @property
    def image_px(self) -> int:
        """The side of the images that it sees."""

    @property
    def pixel_m(self) -> tuple[float, float] | None:
        """The smallest and greatest pixel side of the images that it was taught, in metres; None: not known."""

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""

    @property
    def words(self) -> frozenset[str]:
        """The words that it was taught; empty where that is not known."""

    def words_of(self, text: str) -> list[str]:
        """The words of a text as they would stand in ``words``: in small letters, Chinese characters one by one."""

    def embed_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Unit vectors float32 [N, dimensions] of grey images uint8 [N, image_px, image_px]."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors float32 [N, dimensions] of texts; TooLarge for one that is longer than the model reads."""


@runtime_checkable
class Describer(Protocol):
    """An encoder that can also say what it sees."""

    def describe(self, images: NDArray[np.uint8]) -> list[Mapping[str, str]]:
        """What it would write of each of N images uint8 [N, image_px, image_px], by key: "targets Category"."""


@dataclass(frozen=True)
class KlipEncoder:
    """A FUSAR-KLIP as an :class:`Encoder` and a :class:`Describer`."""

    klip: Klip

    @property
    def name(self) -> str:
        """That of its card."""
        return self.klip.card.name

    @property
    def hash(self) -> str:
        """That of its card."""
        return self.klip.card.hash

    @property
    def demonstration(self) -> bool:
        """As its card says."""
        return self.klip.card.demonstration

    @property
    def image_px(self) -> int:
        """Of its image tower."""
        return self.klip.image_px

    @property
    def pixel_m(self) -> tuple[float, float] | None:
        """As its card says."""
        taught = self.klip.card.pixel_m
        return None if taught is None else (taught[0], taught[1])

    @property
    def dimensions(self) -> int:
        """Of both towers' projections."""
        return self.klip.model.config.embedding

    @cached_property
    def words(self) -> frozenset[str]:
        """Those of its card."""
        return frozenset(self.klip.card.words)

    def words_of(self, text: str) -> list[str]:
        """As its tokenizer divides it."""
        return self.klip.tokenizer.words(text)

    def embed_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As :meth:`Klip.embed_images`."""
        return self.klip.embed_images(images)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As :meth:`Klip.embed_texts`."""
        return self.klip.embed_texts(texts)

    def describe(self, images: NDArray[np.uint8]) -> list[Mapping[str, str]]:
        """As :meth:`Klip.write`, for each key of which its card holds facts."""
        keys = list(self.klip.card.facts)
        written = [self.klip.write(images, [Blank(key)] * len(images)) for key in keys]
        return [dict(zip(keys, of_one, strict=True)) for of_one in zip(*written, strict=True)]


def open_encoder(name: str = DEFAULT_ENCODER, *, device: str = "auto") -> Encoder:
    """An encoder by name: a FUSAR-KLIP in the store, a folder or a model hub id.

    Raises:
        CheckpointError: It is missing, broken or no encoder, or the device is not there.
    """
    return KlipEncoder(load_klip(name, device=device))
