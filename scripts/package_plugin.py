"""python3 scripts/package_plugin.py [FOLDER]: build FOLDER/fusar_qgis-VERSION.zip, default dist/ (make plugin).

The zip is what QGIS's official repository takes and "Install from ZIP" installs: one folder with the plugin, its
licence, the compiled translations and metadata that end with the version's changelog. The same tree gives the same
bytes. Standard library only.
"""

from __future__ import annotations

import configparser
import re
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = "fusar_qgis"
LIMIT_BYTES = 2_000_000
SUFFIXES = {".html", ".json", ".md", ".model3", ".png", ".py", ".qm", ".qml", ".svg", ".tif", ".txt"}
REQUIRED = (
    *("name", "description", "about", "version", "qgisMinimumVersion", "author", "email"),
    *("homepage", "repository", "tracker", "license", "icon", "tags"),
)

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16


class PackageError(Exception):
    """The tree cannot become a package; the message says what to do."""


def build(folder: Path, root: Path = ROOT) -> Path:
    """Write ``folder/fusar_qgis-VERSION.zip`` from the tree at ``root`` and return its path.

    Raises:
        PackageError: metadata are incomplete, versions disagree, or the package is too large.
    """
    metadata = _metadata(root)
    version = _agreed_version(root, metadata)
    notes = _notes(root, version)
    contents = {f"{PLUGIN}/{name}": path.read_bytes() for name, path in _files(root).items()}
    contents[f"{PLUGIN}/metadata.txt"] += _changelog_entry(version, notes).encode()
    icon = metadata["icon"]
    if f"{PLUGIN}/{icon}" not in contents:
        raise PackageError(f"metadata.txt names the icon {icon}, which is not in the plugin.")
    folder.mkdir(parents=True, exist_ok=True)
    package = folder / f"{PLUGIN}-{version}.zip"
    # Stored, not deflated: a deflated file's bytes depend on the zlib at hand.
    with zipfile.ZipFile(package, "w", zipfile.ZIP_STORED) as out:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr, entry.create_system = _MODE, 3
            out.writestr(entry, contents[name])
    size = package.stat().st_size
    if size > LIMIT_BYTES:
        package.unlink()
        raise PackageError(
            f"The package has {size:,} bytes; {LIMIT_BYTES:,} are allowed. Look for large resources."
        )
    return package


def _files(root: Path) -> dict[str, Path]:
    """Path inside the plugin -> file; what the plugin's links lead to is read where it lies."""
    found = {"LICENSE": root / "LICENSE", "metadata.txt": root / "metadata.txt"}
    plugin = root / PLUGIN
    linked = [
        path for path in plugin.iterdir() if path.is_symlink() and path.is_dir()
    ]  # rglob passes them by
    for folder, place in ((plugin, ""), *((link.resolve(), f"{link.name}/") for link in linked)):
        for path in folder.rglob("*"):
            name = path.relative_to(folder)
            left_out = any(part.startswith((".", "__pycache__")) for part in name.parts)
            if path.is_file() and path.suffix in SUFFIXES and not left_out:
                found[place + name.as_posix()] = path.resolve()
    return found


def _metadata(root: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser()
    parser.read(root / "metadata.txt", encoding="utf-8")
    metadata = parser["general"]
    missing = [key for key in REQUIRED if not metadata.get(key)]
    if missing:
        raise PackageError(f"metadata.txt lacks: {', '.join(missing)}.")
    return metadata


def _agreed_version(root: Path, metadata: configparser.SectionProxy) -> str:
    version = metadata["version"]
    project = re.search(r'^version = "(.+)"$', (root / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    if project is None or project[1] != version:
        said = project[1] if project else "none"
        raise PackageError(f"metadata.txt says version {version}, pyproject.toml {said}: make them the same.")
    return version


def _notes(root: Path, version: str) -> list[str]:
    """The lines that CHANGELOG.md has under the heading of that version."""
    changelog = (root / "CHANGELOG.md").read_text("utf-8")
    section = re.search(rf"^## {re.escape(version)}\b.*\n((?:(?!## ).*\n?)*)", changelog, re.MULTILINE)
    notes = [line for line in section[1].splitlines() if line.strip()] if section else []
    if not notes:
        raise PackageError(f"CHANGELOG.md says nothing under '## {version}': write what is new.")
    return notes


def _changelog_entry(version: str, notes: list[str]) -> str:
    """The metadata entry: continuation lines are indented, and a per cent sign is doubled for QGIS's ini reader."""
    lines = [f"changelog={version}", *(f"    {note}" for note in notes)]
    return "\n".join(lines).replace("%", "%%") + "\n"


def main() -> int:
    """Build the package and say where it is."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "dist"
    try:
        package = build(folder)
    except PackageError as error:
        sys.exit(str(error))
    print(f"{package} ({package.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
