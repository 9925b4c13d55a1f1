"""Checkpoint folders: what decides an answer, its hash, and writing one whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model.card import CARD_FILE, Card

# What the libraries raise about files that are missing, cut off or make no sense.
BROKEN = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, EOFError),
    *(SafetensorError, StrictDataclassError),
)

TLM_FILE = "tlm.safetensors"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
_DECIDING = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "adapter_config.json",
    "preprocessor_config.json",
    *TOKENIZER_FILES,
)
_REQUIRED = ("config.json", "preprocessor_config.json", "tokenizer.json")


def digest(folder: Path, card: Card) -> str:
    """SHA-256 over what decides an answer: the card, and the weights and settings beside it.

    Where the base lies is left out; what is in it counts through ``base_digests``. CheckpointError when a file
    is missing or altered.
    """
    described = {key: value for key, value in asdict(card).items() if key != "base"}
    total = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    found = set()
    for path in deciding_files(folder):
        one = sha256(path)
        if one != card.digests.get(path.name, one):
            raise CheckpointError(
                f"{path} is corrupted (its SHA-256 is not the card's): get the checkpoint again"
            )
        found.add(path.name)
        total.update(f"{path.name} {one}\n".encode())
    missing = sorted({*card.digests, *_REQUIRED} - found)
    if not any(name.endswith(".safetensors") for name in found):
        missing = missing or ["*.safetensors"]
    if missing:
        raise CheckpointError(f"{folder} lacks {', '.join(missing)}: get the checkpoint again")
    return total.hexdigest()


def deciding_files(folder: Path) -> list[Path]:
    """The files of a folder, its card aside, that decide an answer; sorted."""
    return sorted({path for pattern in _DECIDING for path in folder.glob(pattern)})


def sha256(path: Path) -> str:
    """SHA-256 of a file; CheckpointError when it cannot be read."""
    total = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    return total.hexdigest()


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out`` that becomes ``out`` at the end, or vanishes when anything fails.

    CheckpointError when ``out`` exists and is not an empty folder, or cannot be written.
    """
    out = out.expanduser().absolute()
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise CheckpointError(f"{out} exists already: give a new folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise CheckpointError(f"{out} cannot be made ({error.strerror}): give another folder") from error
    try:
        yield stage
        for path in (stage, *stage.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)  # the libraries write some files 0600
        if out.exists():
            out.rmdir()
        stage.rename(out)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        message = f"{out} cannot be written ({reason}): make room or give another folder"
        raise CheckpointError(message) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def write_card(folder: Path, card: Card, paths: list[Path]) -> Card:
    """Write the card last, with the digests of ``paths``: a folder without a card is no checkpoint."""
    (folder / CARD_FILE).unlink(missing_ok=True)
    card = Card(**{**asdict(card), "digests": {path.name: sha256(path) for path in paths}})
    card.write(folder)
    return card
