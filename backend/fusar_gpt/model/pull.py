"""Fetching a released checkpoint and its base from the model hub into the store."""

from __future__ import annotations

from collections.abc import Callable

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import hub
from fusar_gpt.model.adapter import CONFIG_FILE
from fusar_gpt.model.base import BASE_FILES
from fusar_gpt.model.card import Card
from fusar_gpt.model.released import FILM_FILE, RELEASED_SIGMA, SETTINGS_FILE, import_release
from fusar_gpt.model.store import place

RELEASE = "kkcyy/FUSAR-GPT"
SUBFOLDER = "stage2/detection"
BASE = "Qwen/Qwen2.5-VL-7B-Instruct"

_RELEASE_FILES = (*BASE_FILES, FILM_FILE)


def pull(
    repo: str = RELEASE,
    *,
    base: str = BASE,
    subfolder: str | None = None,
    sigma: float | None = None,
    name: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Card:
    """Download a release and its base into the hub's cache and import it into the store.

    Args:
        repo: the release's hub id.
        base: the base's hub id.
        subfolder: of the repository that holds the adapter; None takes the only one, of the authors'
            repository the detection stage.
        sigma: as ``import_release``'s; None takes 2 for the authors' repository unless it says otherwise.
        name: in the store; None takes the repository's.
        say: told what takes long.

    Raises:
        CheckpointError: no network, no room, a corrupted file, or a release that does not fit.
    """
    name = name or repo.rpartition("/")[2].lower()
    out = place(name)
    if subfolder is None:
        subfolder = SUBFOLDER if repo == RELEASE else _only_adapter(repo)
    inside = f"{subfolder.strip('/')}/" if subfolder else ""
    release = hub.look_up(repo, [inside + pattern for pattern in _RELEASE_FILES])
    weights = hub.look_up(base, BASE_FILES)
    hub.check_space([release, weights])
    source = hub.fetch(release, say) / inside
    hub.fetch(weights, say)
    if repo == RELEASE and sigma is None and not (source / SETTINGS_FILE).is_file():
        sigma = RELEASED_SIGMA
    return import_release(source, base, out, sigma=sigma, name=name, say=say)


def _only_adapter(repo: str) -> str:
    """The folder of a repository's only adapter; CheckpointError when it holds several."""
    files = hub.look_up(repo, [f"*{CONFIG_FILE}"]).files
    folders = sorted(file.rfilename.rpartition("/")[0] for file in files)
    if len(folders) > 1:
        raise CheckpointError(f"{repo} holds several adapters: give one as --subfolder {', '.join(folders)}")
    return folders[0]
