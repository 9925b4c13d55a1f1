"""Finding checkpoints by name: the bundled ones, the user's own store, folders and the model hub."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download

from fusar_gpt.errors import CheckpointError
from fusar_gpt.folders import user_folder
from fusar_gpt.model.folder import CARD_FILE, KLIP_CARD_FILE, Card
from fusar_gpt.model.hub import HUB_ID
from fusar_gpt.model.klip_card import KlipCard

BUNDLED = {name: Path(__file__).parent.parent / "checkpoints" / name for name in ("tiny", "klip-tiny")}
FUSAR_GPT, FUSAR_KLIP = "FUSAR-GPT", "FUSAR-KLIP"

_DOWNLOADED = ("*.safetensors", "*.json", "*.jinja")
_NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True)
class Entry:
    """One checkpoint that can be loaded by its name; ``size`` in bytes, without its base.

    ``card`` is None and ``problem`` says why when the folder is none that can be loaded. ``kind`` is ``FUSAR_GPT`` or
    ``FUSAR_KLIP``, and None where the folder has no card.
    """

    name: str
    folder: Path
    size: int
    bundled: bool
    kind: str | None
    card: Card | KlipCard | None
    problem: str | None = None


def store_folder() -> Path:
    """The folder of the user's checkpoints: in $FUSAR_HOME, else in the platform's folder for data."""
    if home := os.environ.get("FUSAR_HOME"):
        return Path(home).expanduser() / "checkpoints"
    return user_folder("data") / "fusar-gpt" / "checkpoints"


def find(name: str) -> Path | None:
    """The folder of a bundled or stored checkpoint of that name, or None."""
    if name in BUNDLED:
        return BUNDLED[name]
    if not _NAME.fullmatch(name):
        return None
    folder = store_folder() / name
    return folder if folder.is_dir() else None


def find_folder(name: str, bundled: str = "tiny") -> Path:
    """The local folder of a bundled or stored name, a path, or a hub id (downloaded into the hub's own cache).

    Args:
        name: Any of these.
        bundled: The bundled checkpoint that an error offers.
    """
    folder = find(name) or Path(name).expanduser()
    if folder.is_dir():
        return folder
    if name in BUNDLED:
        raise CheckpointError(_not_installed(name))
    if folder.exists() or not HUB_ID.fullmatch(name):
        raise CheckpointError(
            f"{name} is not a checkpoint: give {bundled}, a stored name, a folder or a model hub id"
        )
    try:
        return Path(snapshot_download(name, allow_patterns=list(_DOWNLOADED)))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{name} is not a folder and cannot be downloaded from the model hub: check its name and the network"
        ) from error


def new_folder(name: str) -> Path:
    """The folder for a new checkpoint of that name; CheckpointError when the name is taken or invalid."""
    if not _NAME.fullmatch(name):
        raise CheckpointError(
            f"{name!r} is not a valid name for a checkpoint: use letters, digits, '.', '-' and '_'"
        )
    if name in BUNDLED:
        raise CheckpointError(f"{name} is the name of a bundled model: give another name")
    folder = store_folder() / name
    if folder.is_symlink() or folder.exists():
        raise CheckpointError(f"{name} is in the store already: remove it first or give another name")
    return folder


def entries() -> list[Entry]:
    """All bundled and stored checkpoints, the bundled ones first, the others by name."""
    store = store_folder()
    stored = store.iterdir() if store.is_dir() else ()
    found = [(name, folder, True) for name, folder in BUNDLED.items()]
    found += [
        (path.name, path, False)
        for path in sorted(stored)
        if path.is_dir() and _NAME.fullmatch(path.name) and path.name not in BUNDLED
    ]
    return [_entry(*one) for one in found]


def remove(name: str, *, really: bool = True) -> Path:
    """Delete a stored checkpoint and return where it was. A link is deleted, never what it points to.

    CheckpointError when there is none of that name, when it came with the program, and, saying what would be
    deleted, unless ``really``.
    """
    if name in BUNDLED:
        raise CheckpointError(f"{name} came with the program and stays: uninstall fusar-gpt to remove it")
    folder = find(name)
    if folder is None:
        raise CheckpointError(
            f"there is no {name} in {store_folder()}: see the names with fusar checkpoint list"
        )
    if not really:
        raise CheckpointError(f"{folder} would be deleted: confirm with --yes")
    try:
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder)
    except OSError as error:
        raise CheckpointError(
            f"{folder} cannot be removed ({error.strerror}): check its permissions"
        ) from error
    return folder


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def kind_of(folder: Path) -> str | None:
    """``FUSAR_GPT`` or ``FUSAR_KLIP`` by the card in a folder; None where it has none."""
    if (folder / CARD_FILE).is_file():
        return FUSAR_GPT
    return FUSAR_KLIP if (folder / KLIP_CARD_FILE).is_file() else None


def read_card(folder: Path) -> Card | KlipCard:
    """The card of a checkpoint of either kind.

    Raises:
        CheckpointError: The folder has none, or one that is invalid, or wants code to be run.
    """
    kind = kind_of(folder)
    if kind is None:
        raise CheckpointError(
            f"{folder} is no checkpoint (it has neither {CARD_FILE} nor {KLIP_CARD_FILE}): give a folder that has one"
        )
    return Card.read(folder) if kind == FUSAR_GPT else KlipCard.read(folder)


def _entry(name: str, folder: Path, bundled: bool) -> Entry:
    kind, size = kind_of(folder), size_of(folder)
    if not folder.is_dir():
        return Entry(name, folder, size, bundled, kind, None, _not_installed(name))
    try:
        return Entry(name, folder, size, bundled, kind, read_card(folder))
    except CheckpointError as error:
        return Entry(name, folder, size, bundled, kind, None, str(error))


def _not_installed(name: str) -> str:
    return f"the bundled model {name} is not in this installation: install fusar-gpt again"
