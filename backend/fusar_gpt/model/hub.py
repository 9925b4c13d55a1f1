"""Downloads from the model hub into the hub library's cache, with every file's checksum verified."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import DryRunFileInfo, HfApi, constants, snapshot_download
from huggingface_hub.errors import DryRunError, HTTPError  # type: ignore[attr-defined]  # its HTTP library's, whichever that is
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from fusar_gpt.errors import CheckpointError

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")

MARGIN = 2 << 30  # bytes that stay free on the disk after a download

# AttributeError: where a connection breaks, one of the library's threads closes the session that another still uses.
_FAILED = (OSError, ValueError, HTTPError, AttributeError)


@dataclass(frozen=True)
class Remote:
    """The files of one repository that match ``patterns``, as the hub lists them."""

    repo: str
    patterns: tuple[str, ...]
    files: tuple[DryRunFileInfo, ...]

    @property
    def missing(self) -> int:
        """Bytes that are not in the cache yet."""
        return sum(file.file_size or 0 for file in self.files if file.will_download)


def look_up(repo: str, patterns: Sequence[str]) -> Remote:
    """What a repository holds, as the hub (HF_ENDPOINT, if set) lists it. CheckpointError when that fails."""
    try:
        with _bars(shown=False):
            files = snapshot_download(repo, allow_patterns=list(patterns), endpoint=_endpoint(), dry_run=True)
    except _FAILED as error:
        raise CheckpointError(
            f"{repo} cannot be fetched ({_reason(error)}): check its name and the network"
        ) from error
    if not files:
        raise CheckpointError(f"{repo} holds no {' or '.join(patterns)}: check its name and --subfolder")
    return Remote(repo, tuple(patterns), tuple(files))


def check_space(remotes: Sequence[Remote]) -> None:
    """CheckpointError when the hub's cache has no room for what is missing."""
    cache = Path(constants.HF_HUB_CACHE)
    needed = sum(remote.missing for remote in remotes)
    existing = next(path for path in (cache, *cache.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed and needed + MARGIN > free:
        raise CheckpointError(
            f"{cache} has {in_words(free)} free, and {in_words(needed + MARGIN)} are needed: make room or "
            "point HF_HOME to another disk"
        )


def fetch(remote: Remote, report: Callable[[str], None]) -> Path:
    """Download what is missing, verify every file's checksum, and return the folder.

    The hub library shows progress on a terminal, keeps complete files and resumes a file after a broken
    connection. A file whose checksum differs from the hub's is deleted: CheckpointError.
    """
    total = in_words(sum(file.file_size or 0 for file in remote.files))
    report(f"{remote.repo}: {in_words(remote.missing)} of {total} to download")
    try:
        # By branch and not by commit: later look-ups without network need the branch in the cache.
        with _bars(shown=sys.stderr.isatty()):
            folder = Path(
                snapshot_download(remote.repo, allow_patterns=list(remote.patterns), endpoint=_endpoint())
            )
    except _FAILED as error:
        message = (
            f"{remote.repo} was not fetched completely ({_reason(error)}): run the command again to go on"
        )
        raise CheckpointError(message) from error
    if folder.name != remote.files[0].commit_hash:
        raise CheckpointError(f"{remote.repo} changed on the hub meanwhile: run the command again")
    report(f"{remote.repo}: comparing {total} with the hub's checksums")
    try:
        found = HfApi(endpoint=_endpoint()).verify_repo_checksums(remote.repo, revision=folder.name)
    except _FAILED as error:
        raise CheckpointError(
            f"the checksums of {remote.repo} cannot be had ({_reason(error)}): run the command again"
        ) from error
    for wrong in found.mismatches:
        path = folder / wrong["path"]
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    if found.mismatches:
        raise CheckpointError(
            f"{found.mismatches[0]['path']} of {remote.repo} arrived corrupted and was deleted: run the command again"
        )
    return folder


def cached(repo: str, patterns: Sequence[str]) -> Path | None:
    """The folder of a repository whose chosen files are all in the cache, or None."""
    try:
        return Path(snapshot_download(repo, allow_patterns=list(patterns), local_files_only=True))
    except _FAILED:
        return None


def in_words(size: int) -> str:
    """Bytes as people read them, such as "16.6 GB"."""
    for unit, step in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= step:
            return f"{size / step:.1f} {unit}"
    return f"{size} bytes"


@contextmanager
def _bars(*, shown: bool) -> Iterator[None]:
    """Show or hide the hub library's progress bars; bars that the user has disabled stay hidden."""
    hide = not shown and not are_progress_bars_disabled()
    if hide:
        disable_progress_bars()
    try:
        yield
    finally:
        if hide:
            enable_progress_bars()


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _reason(error: Exception) -> str:
    if isinstance(error, DryRunError):  # the library's words speak of its own dry run
        return "it cannot be reached, or only with a token"
    return " ".join(str(error).split())[:200] or type(error).__name__
