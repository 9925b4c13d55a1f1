"""Files and commands of the backend's Python environment: its folder's state, pip's arguments and output."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "fusar-gpt"
OLDEST_PYTHON = (3, 10)
MARKER = "fusar-environment.json"
LOG = "fusar-install.log"
REPORT = "fusar-plan.json"  # of pip, while it is read

NONE, FOREIGN, HALF, READY = "none", "foreign", "half", "ready"

# What a virtual environment is made of; whatever else lies in its folder was put there by somebody else.
_PARTS = (
    *("bin", "include", "lib", "lib64", "share", "etc", "man", "pyvenv.cfg", ".gitignore"),
    *("Include", "Lib", "Scripts", LOG, REPORT, MARKER),
)


class SourceError(ValueError):
    """There is nothing to install at the place; the message is the place."""


@dataclass(frozen=True)
class Source:
    """Where the backend is installed from: a ``wheel``, a ``checkout``, a folder of ``wheels``, or the ``index``."""

    kind: str
    place: str = ""


def source_of(place: str) -> Source:
    """Return what lies at ``place``; the package index if it is empty. Raises SourceError."""
    if not place.strip():
        return Source("index")
    path = Path(place.strip()).expanduser()
    if path.suffix == ".whl" and path.is_file():
        return Source("wheel", str(path))
    if _is_checkout(path):
        return Source("checkout", str(path))
    if path.is_dir() and any(path.glob("fusar_gpt-*.whl")):
        return Source("wheels", str(path))
    raise SourceError(place)


def _is_checkout(folder: Path) -> bool:
    try:
        text = (folder / "pyproject.toml").read_text("utf-8")
    except (OSError, ValueError):
        return False
    return re.search(rf"""^name\s*=\s*["']{PACKAGE}["']""", text, re.MULTILINE) is not None


def nearby_source(folders: Iterable[Path]) -> Source:
    """Return what can be installed from the first of ``folders`` that holds a backend; else the package index.

    A folder of wheels counts as one only with torch in it, since it is then used without the network.
    """
    for folder in folders:
        if _is_checkout(folder):
            return Source("checkout", str(folder))
        wheels = list(folder.glob("fusar_gpt-*.whl"))
        if wheels and any(folder.glob("torch-*.whl")):
            return Source("wheels", str(folder))
        if wheels:
            return Source("wheel", str(max(wheels, key=lambda wheel: wheel.stat().st_mtime)))
    return Source("index")


def unpacked_bytes(wheel: str, size: int) -> int:
    """Return about how much disk a wheel of ``size`` bytes takes once it is installed, rather more than less."""
    return (_CUDA_UNPACKED if re.match("nvidia[-_]", wheel) else _UNPACKED) * size


_UNPACKED = 5  # measured: 610 MB of wheels with torch for the CPU became 2.5 GB
_CUDA_UNPACKED = 2  # measured: NVIDIA's libraries, which hardly shrink when they are packed, grow by 1.5


def free_bytes(folder: Path) -> int:
    """Return the free disk space where ``folder`` is or will be. Raises OSError, also where none is kept."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    usage = shutil.disk_usage(place)
    if not usage.total:  # a file system that holds no data, or does not tell
        raise OSError(f"{place} does not say how much space it has.")
    return usage.free


def has_nvidia_gpu() -> bool:
    """Whether NVIDIA's driver is on this computer."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def expects_cuda(torch_index: str) -> bool:
    """Whether pip is likely to bring torch for the NVIDIA GPU: elsewhere than on Linux only from its index."""
    return has_nvidia_gpu() and (sys.platform.startswith("linux") or bool(torch_index))


def state_of(folder: Path) -> str:
    """Return NONE (nothing there), READY, HALF (ours, but not finished) or FOREIGN (not ours)."""
    marked = read_marker(folder)
    if marked is not None:
        return READY if marked.get("state") == READY and executable_in(folder).is_file() else HALF
    try:
        return FOREIGN if any(folder.iterdir()) else NONE
    except FileNotFoundError:
        return NONE
    except OSError:
        return FOREIGN


def read_marker(folder: Path) -> dict[str, str] | None:
    """Return what our marker in ``folder`` says, or None where there is none of ours."""
    try:
        marked = json.loads((folder / MARKER).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return marked if isinstance(marked, dict) and marked.get("package") == PACKAGE else None


def mark(folder: Path, state: str, source: Source) -> None:
    """Say in ``folder`` that it is ours, and how far it is. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    said = {"package": PACKAGE, "state": state, "source": source.place}
    (folder / MARKER).write_text(json.dumps(said), "utf-8")


def parts_of(folder: Path) -> list[Path]:
    """Return what may be deleted in an environment of ours, the marker last; nothing in any other folder."""
    if read_marker(folder) is None:
        return []
    return [folder / name for name in _PARTS if os.path.lexists(folder / name)]


def python_in(folder: Path) -> Path:
    """Return the environment's Python."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def executable_in(folder: Path) -> Path:
    """Return the environment's ``fusar``."""
    return folder / ("Scripts/fusar.exe" if os.name == "nt" else "bin/fusar")


def pip_words(source: Source, *, torch: str = "", torch_index: str = "") -> list[str]:
    """Return the words after ``python -m pip install``.

    ``torch`` is the version to take, empty for the one that pip prefers; ``torch_index`` one more index to look in.
    """
    version = [f"torch=={torch}"] if torch else []
    if source.kind == "wheels":
        return [*place_words(source), "--upgrade", *version, PACKAGE]
    rest = {
        "index": [PACKAGE],
        "wheel": ["--find-links", str(Path(source.place).parent), source.place],
        "checkout": [source.place],
    }[source.kind]
    constraints = Path(source.place) / "constraints.txt"
    bound = ["--constraint", str(constraints)] if source.kind == "checkout" and constraints.is_file() else []
    return [*bound, *place_words(source, torch_index), "--upgrade", *version, *rest]


def place_words(source: Source, torch_index: str = "") -> list[str]:
    """Return pip's options that say where it looks for packages."""
    if source.kind == "wheels":
        return ["--no-index", "--find-links", source.place]
    return ["--extra-index-url", torch_index] if torch_index else []


def without_password(line: str) -> str:
    """Return a line of the log without the names and passwords that an index's address may hold, as pip writes it."""
    return re.sub(r"(://)[^/\s@]+@", r"\1****@", line)


def is_unreachable(lines: Iterable[str]) -> bool:
    """Whether pip's ``lines`` say that the index did not answer; pip then also claims that it has no package."""
    return any("Retrying (" in line or "ConnectionError" in line for line in lines)


def read_pip_line(line: str) -> tuple[str, str] | None:
    """Return the step that pip begins: ``look``, ``download``, ``build`` or ``install``, and of what; else None."""
    line = line.strip()
    for kind, pattern in _STEPS:
        found = pattern.match(line)
        if found:
            return kind, found[1]
    if line.startswith("Installing collected packages:"):
        return "install", str(line.count(",") + 1)
    return None


_STEPS = (
    ("look", re.compile(r"(?:Collecting|Processing) (?:.*[/\\])?([^\s/\\]+)")),
    ("download", re.compile(r"Downloading (?:.*/)?([^\s/]+(?: \([^)]*\))?)")),
    ("build", re.compile(r"Building wheel for (\S+)")),
)


def read_failure(lines: list[str]) -> str:
    """Return the line among ``lines`` that says best why a command failed."""
    said = [line.strip() for line in lines if line.strip()]
    errors = [line for line in said if line.startswith("ERROR: ")]
    # pip's first complaint is the cause, the later ones follow from it.
    return errors[0][len("ERROR: ") :] if errors else (said[-1] if said else "")
