"""The plugin's modules under PyQt6, as QGIS 4 has it; QGIS's own names are stand-ins, Qt's are real."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "fusar_qgis"
SOURCES = [path for path in PLUGIN.rglob("*.py") if "contract" not in path.parts]

# qgis.PyQt of QGIS 4 is PyQt6, with these where Qt 5 had them.
MOVED = {"QAction": "QtGui", "QActionGroup": "QtGui", "QShortcut": "QtGui"}

IMPORT_ALL = """
import importlib, importlib.abc, importlib.machinery, sys, types
sys.path.insert(0, sys.argv[1])

class Name(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        made = 40000 if name == "QGIS_VERSION_INT" else Name(name, (), {})
        setattr(cls, name, made)
        return made
    def __or__(cls, other):
        return cls
    __ror__ = __or__

class Module(types.ModuleType):
    __path__ = []
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        made = Name(name, (), {})
        setattr(self, name, made)
        return made

for name in ("qgis", "qgis.core", "qgis.gui", "qgis.utils", "osgeo"):
    sys.modules[name] = Module(name)
pyqt = sys.modules["qgis.PyQt"] = Module("qgis.PyQt")
for name in ("QtCore", "QtGui", "QtNetwork", "QtWidgets", "QtXml", "sip"):
    real = importlib.import_module(f"PyQt6.{name}")
    sys.modules[f"qgis.PyQt.{name}"] = real
    setattr(pyqt, name, real)
widgets, gui = sys.modules["qgis.PyQt.QtWidgets"], sys.modules["qgis.PyQt.QtGui"]
for name in ("QAction", "QActionGroup", "QShortcut"):
    setattr(widgets, name, getattr(gui, name))
for name in sys.argv[2:]:
    importlib.import_module(name)
"""


def test_every_module_imports_under_pyqt6():
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SOURCES]
    names = [name.removesuffix(".__init__") for name in names]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, str(ROOT), *names], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def chains(tree: ast.AST) -> set[tuple[str, ...]]:
    """Return every ``A.B.C`` of a module, as its names."""
    found = set()
    for node in ast.walk(tree):
        names = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if names and isinstance(node, ast.Name):
            found.add((node.id, *reversed(names)))
    return found


def qt_names(tree: ast.AST) -> dict[str, str]:
    """Return the names imported from Qt, each with its module."""
    return {
        alias.asname or alias.name: node.module.rpartition(".")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("qgis.PyQt.Qt")
        for alias in node.names
    }


def missing(source: str) -> list[str]:
    """Return the attributes of Qt's classes that PyQt6 lacks: unscoped enums and what Qt 6 has removed."""
    tree = ast.parse(source)
    modules, lost = qt_names(tree), []
    for root, *names in chains(tree):
        if root not in modules:
            continue
        found = getattr(importlib.import_module(f"PyQt6.{MOVED.get(root, modules[root])}"), root, None)
        for name in names:
            if isinstance(found, type) and not hasattr(found, name):
                lost.append(".".join([root, *names]))
            found = getattr(found, name, None)
    return lost


def test_the_check_finds_what_qt6_lacks():
    assert missing("from qgis.PyQt.QtCore import Qt\nQt.AlignLeft") == ["Qt.AlignLeft"]
    assert missing("from qgis.PyQt.QtCore import Qt\nQt.AlignmentFlag.AlignLeft") == []
    assert missing("from qgis.PyQt.QtGui import QFontMetrics\nQFontMetrics.width") == ["QFontMetrics.width"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PLUGIN)))
def test_enums_are_scoped_and_nothing_removed_is_used(path):
    if path.name == "compat.py":  # it alone knows the names of old versions
        return
    source = path.read_text("utf-8")
    assert missing(source) == []
    assert not [chain for chain in chains(ast.parse(source)) if "exec_" in chain]
