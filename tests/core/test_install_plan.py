"""What pip says before it downloads: how much, for which device, what is missing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusar_qgis.core.install_plan import (
    InstallPlan,
    is_usage_error,
    labelled_version,
    missing_package,
    read_plan,
    usual_plan,
)
from fusar_qgis.core.installing import Source


def report(*packages) -> str:
    """Pip's report of packages, each a name, a version and an address."""
    items = [
        {"metadata": {"name": name, "version": version}, "download_info": {"url": url}}
        for name, version, url in packages
    ]
    return json.dumps({"version": "1", "install": items})


def test_a_plan_for_the_cpu_and_one_for_nvidia():
    index = "https://index.example.org/x.whl"
    cpu = read_plan(report(("torch", "2.13.0+cpu", index), ("triton", "3.9.0", index)))
    assert (cpu.count, cpu.torch, cpu.cuda) == (2, "2.13.0+cpu", False)  # xgrammar needs triton everywhere
    cuda = read_plan(report(("torch", "2.14.1", index), ("nvidia_cublas", "13.1", index)))
    assert cuda.cuda
    assert cuda.download == 978e6
    assert cuda.disk == 5 * 555e6 + 2 * 423e6


def test_what_is_on_this_computer_is_not_downloaded_and_has_its_true_size(tmp_path):
    wheel = tmp_path / "a b-1.whl"
    wheel.write_bytes(b"12345")
    assert read_plan(report(("a", "1", wheel.as_uri()))) == InstallPlan(1, 0, 25)
    gone = (tmp_path / "gone.whl").as_uri()
    assert read_plan(report(("a", "1", gone))).download > 0


def test_nothing_to_install():
    assert read_plan(report()) == InstallPlan(0, 0, 0)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"install": [{}]}', '{"install": 3}', "null"])
def test_what_is_no_report(text):
    with pytest.raises(ValueError):
        read_plan(text)


def test_the_usual_sizes():
    cpu, cuda = (usual_plan(Source("index"), gpu=gpu) for gpu in (False, True))
    assert 0.5e9 < cpu.download < 0.8e9  # 610 MB measured
    assert 2.5e9 < cpu.disk < 4e9  # 2.5 GB measured
    assert 2.5e9 < cuda.download < 3.5e9
    assert (cuda.cuda, cpu.cuda, cpu.count) == (True, False, 0)
    assert cpu.minutes == (2, 12)


def test_nvidias_libraries_in_a_folder_are_known_by_their_names(tmp_path):
    (tmp_path / "nvidia_cublas-13.whl").write_bytes(b"12345")
    assert usual_plan(Source("wheels", str(tmp_path)), gpu=False) == InstallPlan(1, 0, 10, cuda=True)


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_slow_line_never_takes_less(download, disk):
    low, high = InstallPlan(1, download, disk).minutes
    assert 1 <= low < high


def test_the_build_of_torch_for_a_device():
    lines = ["torch (2.15.0)", "Available versions: 2.15.0, 2.14.1+cu130, 2.14.0+cpu, 2.13.0+cpu, 2.13.0"]
    assert labelled_version(lines, "cpu", "2.15.0") == "2.14.0+cpu"
    assert labelled_version(lines, "cpu", "2.13.0") == "2.13.0+cpu"
    assert labelled_version(lines, "cu", "2.15.0+cpu") == "2.14.1+cu130"
    assert labelled_version(["Available versions: 2.15.0"], "cpu", "2.15.0") == ""
    assert labelled_version([], "cpu", "") == ""


@pytest.mark.parametrize(
    ("line", "package"),
    [
        (
            "ERROR: Could not find a version that satisfies the requirement Not_There>=5 (from fusar-gpt)",
            "not-there",
        ),
        ("ERROR: No matching distribution found for fusar-gpt", "fusar-gpt"),
        ("ERROR: ResolutionImpossible", ""),
    ],
)
def test_what_nobody_offers(line, package):
    assert missing_package(["Collecting x", line]) == package


def test_a_pip_that_is_too_old_is_not_a_missing_package():
    assert is_usage_error(["Usage:", "no such option: --report"])
    assert is_usage_error(["option --use-feature: invalid choice: 'fast-deps' (choose from x)"])
    assert not is_usage_error(["ERROR: No matching distribution found for x"])
