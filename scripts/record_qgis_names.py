"""Records in ``tests/core/qgis_names`` what the QGIS that runs this has of the names that the plugin uses.

By it the tests under PyQt6 tell a name that QGIS has from one that it has not, without a QGIS. Run
``/usr/bin/python3 scripts/record_qgis_names.py``, or ``sh scripts/test_qgis_matrix.sh --record`` for every version.
"""

from __future__ import annotations

import ast
import importlib
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "fusar_qgis"
RECORDS = ROOT / "tests" / "core" / "qgis_names"
MODULES = ("qgis.core", "qgis.gui", "qgis.utils")


def sources() -> list[Path]:
    """Return the plugin's modules, without the contract, which knows no QGIS."""
    return sorted(path for path in PLUGIN.rglob("*.py") if "contract" not in path.relative_to(PLUGIN).parts)


def imported(tree: ast.AST) -> dict[str, tuple[str, str]]:
    """Return what a module imports from QGIS and GDAL: the name here, with the module and the name there."""
    found = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.level:
            continue
        for alias in node.names:
            if node.module in MODULES:
                found[alias.asname or alias.name] = (node.module, alias.name)
            elif node.module == "osgeo":
                found[alias.asname or alias.name] = (f"osgeo.{alias.name}", "")
    return found


def chains(tree: ast.AST) -> set[tuple[str, ...]]:
    """Return every ``A.B.C`` of a module, as its names."""
    found = set()
    for node in ast.walk(tree):
        names = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            found.add((node.id, *reversed(names)))
    return found


def used() -> dict[str, set[str]]:
    """Return the names of each module that the plugin uses."""
    found: dict[str, set[str]] = {}
    for path in sources():
        tree = ast.parse(path.read_text("utf-8"))
        names = imported(tree)
        for module, name in names.values():
            found.setdefault(module, set()).update({name} - {""})
        for root, *parts in chains(tree):
            if parts and root in names and not names[root][1]:  # gdal.Open
                found[names[root][0]].add(parts[0])
    return found


def attributes() -> set[str]:
    """Return every name that the plugin asks of any object."""
    trees = (ast.parse(path.read_text("utf-8")) for path in sources())
    return {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def describe(value: Any, asked: set[str]) -> dict[str, Any]:
    """Return what a class has of its own of the names ``asked``, and the class of Qt that it is made from."""
    if not isinstance(value, type):
        return {"is": type(value).__name__}
    qt = next((one for one in value.__mro__ if one.__module__.startswith("PyQt")), object)
    names = sorted(name for name in set(dir(value)) - set(dir(qt)) if not name.startswith("_"))
    kinds = {name: getattr(value, name) for name in names if isinstance(getattr(value, name, None), type)}
    enums = {name: members(kind, names) for name, kind in kinds.items()}
    record: dict[str, Any] = {"names": " ".join(name for name in names if name in asked)}
    enums = {
        name: " ".join(sorted(asked.intersection(one)))
        for name, one in enums.items()
        if name in asked and one
    }
    if enums:
        record["enums"] = enums
    if qt is not object:
        record["qt"] = f"{qt.__module__.partition('.')[2]}.{qt.__name__}"
    return record


def members(kind: type, beside: list[str]) -> list[str]:
    """Return the members of an enum that can be reached through it; nothing for another class.

    ``beside`` are the names of the class that it belongs to: an enum of Qt 5 tells its members only when asked.
    """
    names = {*dir(kind), *beside}
    return [name for name in names if isinstance(getattr(kind, name, None), kind)]


def record() -> dict[str, Any]:
    """Return the record of this QGIS."""
    from qgis.core import Qgis

    modules, asked = {}, attributes()
    for module, names in sorted(used().items()):
        here = importlib.import_module(module)
        modules[module] = {
            name: describe(getattr(here, name), asked) for name in sorted(names) if hasattr(here, name)
        }
    return {"version": Qgis.QGIS_VERSION_INT, "modules": modules}


def as_text(recorded: dict[str, Any]) -> str:
    """Return a record as JSON, a line for each name, so that a change is read easily."""
    modules = [
        f'"{module}": {{\n' + ",\n".join(f'"{name}": {json.dumps(one)}' for name, one in names.items()) + "}"
        for module, names in recorded["modules"].items()
    ]
    return f'{{"version": {recorded["version"]}, "modules": {{\n' + ",\n".join(modules) + "}}\n"


def place(version: int) -> Path:
    """Return the file of a version, such as 3.22.json."""
    return RECORDS / f"{version // 10000}.{version // 100 % 100}.json"


if __name__ == "__main__":
    found = record()
    RECORDS.mkdir(exist_ok=True)
    place(found["version"]).write_text(as_text(found), "utf-8")
    print(place(found["version"]).relative_to(ROOT))
