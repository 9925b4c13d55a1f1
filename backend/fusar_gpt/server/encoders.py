"""The encoders that searches of a server may use: loaded when they are first asked for, a few kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from fusar_gpt.contract import DEFAULT_ENCODER, EncoderCard
from fusar_gpt.errors import CheckpointError, FusarError
from fusar_gpt.model import store
from fusar_gpt.model.klip_card import KlipCard
from fusar_gpt.retrieval.encoder import Encoder, open_encoder
from fusar_gpt.retrieval.folder import read_config

KEPT = 2
"""The most encoders that stay loaded."""
WORDS = 2000
"""The most words of an encoder that are told."""
OPEN_CLIP = "open_clip:"
"""Before the folder of an open_clip model."""


class Encoders:
    """The default encoder, which the server's owner chooses, and every FUSAR-KLIP of the store. Thread-safe.

    A client names one by its name alone: nothing that it writes becomes a path or the id of a download.
    """

    def __init__(
        self,
        default: str = DEFAULT_ENCODER,
        device: str = "auto",
        load: Callable[..., Encoder] = open_encoder,
    ) -> None:
        """None is loaded yet.

        Args:
            default: A stored name, a folder, a model hub id, or ``open_clip:`` and a folder.
            device: Where they compute.
            load: Opens one by such a text, ``device`` by name.

        Raises CheckpointError where there is no such default.
        """
        self._source, self._device, self._load = default, device, load
        self._default = _described(default)
        self._loaded: dict[str, Encoder] = {}  # the one that was used last comes last
        self._loading = threading.Lock()

    def __call__(self, name: str | None = None) -> Encoder:
        """An encoder by the name that a client gives; None is the default. Blocks while one is loaded.

        Raises FusarError where there is none of that name, CheckpointError where it is broken.
        """
        source = self._source_of(name)
        with self._loading:
            encoder = self._loaded.pop(source, None) or self._load(source, device=self._device)
            self._loaded[source] = encoder
            while len(self._loaded) > KEPT:
                del self._loaded[next(iter(self._loaded))]
        return encoder

    def cards(self) -> Iterator[EncoderCard]:
        """What clients may name, the default first."""
        yield self._default
        for entry in store.entries():
            if isinstance(entry.card, KlipCard) and entry.name != self._default.name:
                with suppress(CheckpointError):  # a broken one is none that can be searched with
                    yield _shown(entry.name, entry.folder, entry.card)

    def _source_of(self, name: str | None) -> str:
        """What to load for a name."""
        if name in (None, self._default.name):
            return self._source
        folder = store.find(str(name))
        if folder is None or store.kind_of(folder) != store.FUSAR_KLIP:
            known = ", ".join(card.name for card in self.cards())
            raise FusarError(
                f"this server does not search with {str(name)[:100]!r}: name one of its encoders, {known}; "
                "its owner gives it another one with fusar serve --encoder"
            )
        return str(folder)


def _described(source: str) -> EncoderCard:
    """What is told of the default. Raises CheckpointError where it is missing."""
    if source.startswith(OPEN_CLIP):
        folder = Path(source.removeprefix(OPEN_CLIP)).expanduser()
        if not folder.is_dir():
            raise CheckpointError(f"{folder} is not a folder: give {OPEN_CLIP} and the folder of a model")
        name = folder.resolve().name
        return EncoderCard(f"{OPEN_CLIP}{name}", name, demonstration=False)
    folder = store.find_folder(source, DEFAULT_ENCODER)
    card = KlipCard.read(folder)
    return _shown(source if store.find(source) else card.name, folder, card)


def _shown(name: str, folder: Path, card: KlipCard) -> EncoderCard:
    """What is told of a FUSAR-KLIP, without its towers. Raises CheckpointError."""
    taught = card.pixel_m
    return EncoderCard(
        name=name,
        title=card.title,
        demonstration=card.demonstration,
        licence=card.licence,
        image_px=read_config(folder).image.image_px,
        pixel_m=None if taught is None else (taught[0], taught[1]),
        words=tuple(card.words[:WORDS]),
    )
