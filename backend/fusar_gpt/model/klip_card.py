"""The card of a FUSAR-KLIP checkpoint, and whether its files are the card's. Light: no towers are loaded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model.folder import CARD_FILE, KLIP_CARD_FILE, read_json, refuse_code, sha256

CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer.json"
WEIGHTS_FILE = "model.safetensors"
FILES = (CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE)
"""What decides a vector; the card holds the SHA-256 of each."""
AGAIN = "get the checkpoint again"


@dataclass(frozen=True, kw_only=True)
class KlipCard:
    """The file ``klip.json`` of a checkpoint folder.

    Attributes:
        name, title, licence, trained_on: As they should be shown.
        demonstration: Its answers are no measurement.
        key_sets: The sets of sub-texts that it learned (``fusar_train.corpus.texts``).
        with_keys: The share of its texts that were told as "Key: text".
        pixel_m: The smallest and greatest pixel side of its images in metres; None where that is not known.
        sensors: Of its images; empty where that is not known.
        facts: What it was taught to tell, in words, with how often; the words of a search it may understand.
        figures: What was measured, by name.
        training: How it was made: data, settings, steps, versions.
        digests: SHA-256 of the files that decide a vector; written by ``save_klip``.
    """

    name: str
    title: str
    licence: str
    trained_on: str
    demonstration: bool = False
    key_sets: list[str] = field(default_factory=list)
    with_keys: float = 0.0
    pixel_m: list[float] | None = None
    sensors: list[str] = field(default_factory=list)
    facts: dict[str, dict[str, int]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> KlipCard:
        """The card of a folder; CheckpointError when it is missing or invalid, or the folder wants code to be run."""
        path = folder / KLIP_CARD_FILE
        if not path.is_file():
            what = (
                "is a FUSAR-GPT, which interprets scenes"
                if (folder / CARD_FILE).is_file()
                else f"is no FUSAR-KLIP checkpoint (it has no {KLIP_CARD_FILE})"
            )
            raise CheckpointError(
                f"{folder} {what}: give a FUSAR-KLIP, whose folder has a {KLIP_CARD_FILE}; fusar checkpoint list "
                "shows those that have a name"
            )
        refuse_code(folder)
        return read_json(cls, path)

    def write(self, folder: Path) -> None:
        """Writes the card into a folder."""
        (folder / KLIP_CARD_FILE).write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        """What its file holds."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    def check_files(self, folder: Path) -> None:
        """CheckpointError when a file is missing or not the one the card names, such as another tokenizer."""
        for name in FILES:
            if not (folder / name).is_file():
                raise CheckpointError(f"{folder} lacks {name}: {AGAIN}")
            if sha256(folder / name) != self.digests.get(name):
                other = "another tokenizer than its weights were trained with"
                what = other if name == TOKENIZER_FILE else f"another {name}"
                raise CheckpointError(f"{folder} holds {what} (its SHA-256 is not the card's): {AGAIN}")

    @property
    def hash(self) -> str:
        """SHA-256 of what decides a vector: vectors of other hashes cannot be compared with it."""
        return hashlib.sha256(json.dumps(self.digests, sort_keys=True).encode()).hexdigest()
