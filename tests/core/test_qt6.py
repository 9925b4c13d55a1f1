"""The plugin's modules under PyQt6, as QGIS 4 has it; QGIS's own names are those that were recorded, Qt's are real."""

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from record_qgis_names import PLUGIN, RECORDS, chains, imported, sources, used  # noqa: E402

RECORDED = {
    path.stem: json.loads(path.read_text("utf-8"))["modules"] for path in sorted(RECORDS.glob("*.json"))
}
OLDEST, NEWEST = "3.22", "3.44"
AGAIN = "scripts/record_qgis_names.py has not seen it: run sh scripts/test_qgis_matrix.sh --record"

# qgis.PyQt of QGIS 4 is PyQt6, with these where Qt 5 had them.
MOVED = {"QAction": "QtGui", "QActionGroup": "QtGui", "QShortcut": "QtGui"}

REMOVED = {
    *(
        "QDesktopWidget",
        "QMatrix",
        "QRegExp",
        "QSignalMapper",
        "QStringRef",
        "QTextCodec",
        "SIGNAL",
        "SLOT",
        "qApp",
    ),
    *("codecForName", "delta", "desktop", "exec_", "fromTime_t", "globalPos", "globalX", "globalY", "matrix"),
    *("networkAccessible", "numColors", "print_", "resetMatrix", "setClickable", "setCodec", "setMatrix"),
    *(
        "setNetworkAccessible",
        "setNumColors",
        "setResizeMode",
        "setTabStopWidth",
        "setTextCodec",
        "setUserData",
    ),
    *("tabStopWidth", "toAscii", "toTime_t", "winEvent"),
}
"""What objects of Qt 5 or PyQt5 answer to and those of PyQt6 do not, whatever the object."""

IMPORT_ALL = """
import enum, importlib, json, sys, types
root, record, *names = sys.argv[1:]
sys.path.insert(0, root)

def stub(name, known):
    if "is" in known:
        return (lambda *_: None) if known["is"] == "function" else object()
    bases = ()
    if "qt" in known:
        module, _, base = known["qt"].rpartition(".")
        bases = (getattr(importlib.import_module("PyQt6." + module), base),)
    enums = {kind: members.split() for kind, members in known.get("enums", {}).items()}
    inside = {one for members in enums.values() for one in members}
    made = type(bases[0])(name, bases, {}) if bases else type(name, (), {})
    for one in known["names"].split():
        if one not in inside:  # QGIS 4 knows the scoped names only
            setattr(made, one, type(one, (), {}))
    for kind, members in enums.items():
        setattr(made, kind, enum.IntFlag(kind, members))
    return made

pyqt = types.ModuleType("qgis.PyQt")
sys.modules |= {"qgis": types.ModuleType("qgis"), "osgeo": types.ModuleType("osgeo"), "qgis.PyQt": pyqt}
for name in ("QtCore", "QtGui", "QtNetwork", "QtWidgets", "QtXml", "sip"):
    real = importlib.import_module("PyQt6." + name)
    sys.modules["qgis.PyQt." + name] = real
    setattr(pyqt, name, real)
widgets, gui = sys.modules["qgis.PyQt.QtWidgets"], sys.modules["qgis.PyQt.QtGui"]
for name in ("QAction", "QActionGroup", "QShortcut"):
    setattr(widgets, name, getattr(gui, name))
for path, known in json.load(open(record, encoding="utf-8"))["modules"].items():
    module = types.ModuleType(path)
    for name, about in known.items():
        setattr(module, name, stub(name, about))
    sys.modules[path] = module
    package, _, name = path.rpartition(".")
    setattr(sys.modules[package], name, module)
sys.modules["qgis.core"].Qgis.QGIS_VERSION_INT = 40000
for name in names:
    importlib.import_module(name)
"""


def modules() -> list[str]:
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sources()]
    return [name.removesuffix(".__init__") for name in names]


def import_all(*names: str, path: Path = ROOT) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", IMPORT_ALL, str(path), str(RECORDS / f"{NEWEST}.json"), *names]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_module_imports_under_pyqt6():
    done = import_all(*modules())
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    "line",
    [
        "from qgis.core import QgsNoSuchThing",
        "from qgis.core import QgsTask\nQgsTask.Flag.NoSuchFlag",
        "from qgis.core import QgsTask\nQgsTask.CanCancel",
        "from qgis.gui import QgsMessageBar\nQgsMessageBar.noSuchMethod",
        "from qgis.PyQt.QtCore import QRegExp",
    ],
)
def test_a_name_that_does_not_exist_fails(tmp_path, line):
    (tmp_path / "wrong.py").write_text(line)
    done = import_all("wrong", path=tmp_path)
    assert "Error: " in done.stderr.splitlines()[-1]


def test_the_record_knows_every_name_that_the_plugin_imports():
    for version in (OLDEST, NEWEST):
        lost = {
            f"{module}.{name}"
            for module, names in used().items()
            for name in names
            if name not in RECORDED[version].get(module, {})
        }
        assert lost <= {f"qgis.core.{name}" for name in only_in_compat(version)}, AGAIN


def only_in_compat(version: str) -> set[str]:
    """Return what compat.py alone imports and the version lacks: it asks for the version first."""
    asked = {name for path in sources() if path.name != "compat.py" for name in names_of(path)}
    return names_of(PLUGIN / "compat.py") - asked - set(RECORDED[version]["qgis.core"])


def names_of(path: Path) -> set[str]:
    return {name for _, name in imported(ast.parse(path.read_text("utf-8"))).values()}


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
        if found is None:
            lost.append(root)
        for name in names:
            if isinstance(found, type) and not hasattr(found, name):
                lost.append(".".join([root, *names]))
            found = getattr(found, name, None)
    return lost


def unknown(source: str, version: str, *, scoped: bool = True) -> Iterator[str]:
    """Yield the attributes of QGIS's classes that a version has not recorded, and if ``scoped`` enums without scope."""
    tree = ast.parse(source)
    names = imported(tree)
    for root, *parts in chains(tree):
        if root not in names or not names[root][1] or not parts:
            continue
        module, name = names[root]
        about = RECORDED[version].get(module, {}).get(name)
        if about is None or "is" in about:
            continue
        if not is_known(about, parts, scoped=scoped):
            yield ".".join([root, *parts])


def is_known(about: dict, parts: list[str], *, scoped: bool) -> bool:
    enums = {kind: members.split() for kind, members in about.get("enums", {}).items()}
    if parts[0] in enums:
        return len(parts) == 1 or parts[1] in enums[parts[0]]
    if scoped and any(parts[0] in members for members in enums.values()):
        return False
    return parts[0] in about["names"].split() or qt_has(about, parts[0])


def qt_has(about: dict, name: str) -> bool:
    module, _, base = about.get("qt", "QtCore.").rpartition(".")
    return hasattr(getattr(importlib.import_module(f"PyQt6.{module}"), base, None), name)


def test_the_checks_find_what_is_wrong():
    assert missing("from qgis.PyQt.QtCore import Qt\nQt.AlignLeft") == ["Qt.AlignLeft"]
    assert missing("from qgis.PyQt.QtCore import Qt\nQt.AlignmentFlag.AlignLeft") == []
    assert missing("from qgis.PyQt.QtGui import QFontMetrics\nQFontMetrics.width") == ["QFontMetrics.width"]
    assert missing("from qgis.PyQt.QtCore import QRegExp\nQRegExp('a')") == ["QRegExp"]
    task = "from qgis.core import QgsTask\nQgsTask."
    assert list(unknown(task + "Flag.CanCancel", OLDEST)) == []
    assert list(unknown(task + "CanCancel", OLDEST)) == ["QgsTask.CanCancel"]
    assert list(unknown(task + "Flag.Hidden", OLDEST)) == ["QgsTask.Flag.Hidden"]  # since 3.26
    assert list(unknown(task + "Flag.Hidden", NEWEST)) == []
    assert list(unknown(task + "noSuchMethod", NEWEST)) == ["QgsTask.noSuchMethod"]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PLUGIN)))
def test_enums_are_scoped_and_nothing_removed_is_used(path):
    source = path.read_text("utf-8")
    if path.name == "compat.py":  # it alone knows the names of old versions and of new ones
        assert set(unknown(source, OLDEST, scoped=False)) & set(unknown(source, NEWEST)) == set()
        return
    assert missing(source) == []
    for version in (OLDEST, NEWEST):
        assert list(unknown(source, version)) == [], AGAIN
    attributes = {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
    assert attributes & REMOVED == set()
    assert not {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)} & REMOVED


def test_no_method_is_used_that_newer_versions_of_qgis_have_lost():
    here = {
        node.attr
        for path in sources()
        if path.name != "compat.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
    }
    of = {
        version: {
            name
            for module in record.values()
            for one in module.values()
            for name in one.get("names", "").split()
        }
        for version, record in RECORDED.items()
    }
    assert here & (of[OLDEST] - of[NEWEST]) == set()
