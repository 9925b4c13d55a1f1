"""The zip is what QGIS's official repository takes, and "Install from ZIP" installs, starts and unloads it."""

import ast
import configparser
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
sys.path.insert(0, str(ROOT / "tests" / "e2e" / "desktop"))
from desktop import HERE, play
from package_plugin import PLUGIN, PackageError, build
from run_qgis import qgis_environment

CONTRACT = ROOT / "backend" / "fusar_gpt" / "contract"
OWN = {PLUGIN, "qgis", "osgeo", "numpy", "processing"}


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def contents(package) -> dict[PurePosixPath, bytes]:
    with zipfile.ZipFile(package) as opened:
        return {PurePosixPath(name): opened.read(name) for name in opened.namelist()}


@pytest.fixture(scope="module")
def metadata(contents) -> configparser.SectionProxy:
    parser = configparser.ConfigParser()
    parser.read_string(contents[PurePosixPath(PLUGIN, "metadata.txt")].decode())
    return parser["general"]


def test_one_folder_with_all_that_is_needed_and_nothing_else(package, contents):
    assert package.stat().st_size < 2_000_000
    assert {name.parts[0] for name in contents} == {PLUGIN}
    names = {str(name.relative_to(PLUGIN)) for name in contents}
    assert {"__init__.py", "metadata.txt", "LICENSE", "resources/icon.svg", "i18n/fusar_zh_CN.qm"} <= names
    modules = {str(path.relative_to(ROOT / PLUGIN)) for path in (ROOT / PLUGIN).rglob("*.py")}
    modules |= {f"contract/{path.name}" for path in CONTRACT.glob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    for name in names:
        assert not re.search(r"(^|/)(\.|__pycache__|tests?/|test_)|\.(pyc|ts|sh|so|exe|dll)$", name)


def test_the_contract_in_the_zip_is_the_backends_byte_for_byte(contents):
    shipped = {name.name: data for name, data in contents.items() if name.parent.name == "contract"}
    assert shipped == {path.name: path.read_bytes() for path in CONTRACT.glob("*.py")}
    assert "request.py" in shipped


def test_no_resource_is_left_out(contents):
    resources = [path for path in (ROOT / PLUGIN / "resources").rglob("*") if path.is_file()]
    shipped = [
        path
        for path in resources
        if "__pycache__" not in path.parts and path.suffixes[-2:] != [".aux", ".xml"]
    ]
    assert {PurePosixPath(path.relative_to(ROOT).as_posix()) for path in shipped} <= set(contents)


def test_the_plugin_asks_for_nothing_that_qgis_lacks(contents):
    for name, data in contents.items():
        if name.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(data, str(name), feature_version=(3, 9))):
            if isinstance(node, ast.Import):
                wanted = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                wanted = {node.module.split(".")[0]}
            else:
                continue
            assert wanted <= OWN | sys.stdlib_module_names, name


def test_metadata_follow_the_rules_of_the_repository(metadata):
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?", metadata["version"])
    assert metadata["qgisMinimumVersion"] == "3.22"
    assert metadata["qgisMaximumVersion"] == "4.99"
    assert re.fullmatch(r"[^@\s]+@[^@\s]+\.[a-z]+", metadata["email"])
    for key in ("homepage", "repository", "tracker"):
        assert metadata[key].startswith("https://")
    assert not re.search(r"<\w+", metadata["description"] + metadata["about"])
    assert metadata["changelog"].startswith(f"{metadata['version']}\n- ")
    source = ast.parse((ROOT / PLUGIN / "plugin.py").read_text("utf-8"))
    methods = {node.name for node in ast.walk(source) if isinstance(node, ast.FunctionDef)}
    assert metadata.getboolean("hasProcessingProvider") == ("initProcessing" in methods)


def test_the_same_tree_gives_the_same_bytes(package, tmp_path):
    copy = copy_tree(tmp_path / "copy")
    for path in copy.rglob("*"):
        os.utime(path, (10**9, 10**9))
    (copy / PLUGIN / "__pycache__").mkdir(exist_ok=True)
    (copy / PLUGIN / "__pycache__" / "plugin.cpython-39.pyc").write_bytes(b"")
    (copy / PLUGIN / ".hidden.py").write_text("")
    assert build(tmp_path, copy).read_bytes() == package.read_bytes()


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        ("metadata.txt", r"version=.*", "version=9.9.9", "9.9.9, pyproject.toml"),
        ("metadata.txt", r"\ntracker=.*", "", "lacks: tracker"),
        ("metadata.txt", r"icon=.*", "icon=none.svg", "icon none.svg"),
        ("CHANGELOG.md", r"## \d", "## Version ", "CHANGELOG.md says nothing"),
    ],
)
def test_a_tree_that_cannot_be_published_says_what_to_mend(tmp_path, file, before, after, said):
    copy = copy_tree(tmp_path / "copy")
    text = (copy / file).read_text("utf-8")
    (copy / file).write_text(re.sub(before, after, text), "utf-8")
    with pytest.raises(PackageError, match=said):
        build(tmp_path, copy)
    assert not list(tmp_path.glob("*.zip"))


def test_too_large_a_package_is_refused(tmp_path):
    copy = copy_tree(tmp_path / "copy")
    (copy / PLUGIN / "resources" / "large.png").write_bytes(bytes(2_000_000))
    with pytest.raises(PackageError, match="2,000,000 are allowed"):
        build(tmp_path, copy)
    assert not list(tmp_path.glob("*.zip"))


def test_a_per_cent_sign_in_the_changelog_survives_the_ini_reader(tmp_path):
    copy = copy_tree(tmp_path / "copy")
    text = (copy / "CHANGELOG.md").read_text("utf-8")
    (copy / "CHANGELOG.md").write_text(re.sub(r"(## \d.*\n)", r"\1\n- 10 % faster\n", text, count=1), "utf-8")
    with zipfile.ZipFile(build(tmp_path, copy)) as opened:
        parser = configparser.ConfigParser()
        parser.read_string(opened.read(f"{PLUGIN}/metadata.txt").decode())
    assert "- 10 % faster" in parser["general"]["changelog"]


@pytest.mark.timeout(360)
def test_install_from_zip_in_a_fresh_profile(package, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)
    environment = qgis_environment() | {"FUSAR_PACKAGE": str(package)}
    del environment["QGIS_PLUGINPATH"]
    result = play(tmp_path / "home", HERE / "install.py", environment)
    assert result["errors"] == []
    assert result["before"] == [False, []]
    assert result["active"]
    assert result["kept"]
    assert Path(result["file"]).is_relative_to(result["profile"])
    assert Path(result["profile"]).is_relative_to(tmp_path)
    assert result["changelog"].startswith("0.")
    assert "FusarInterpretSar" in result["actions"]
    assert result["left"] == []


def copy_tree(root: Path) -> Path:
    """What the package is made from, at another place, its links being files and folders there."""
    root.mkdir()
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / PLUGIN, root / PLUGIN, ignore=ignore)
    shutil.copytree(ROOT / "i18n", root / "i18n")
    for name in ("LICENSE", "metadata.txt", "CHANGELOG.md", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    return root
