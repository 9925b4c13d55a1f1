"""What pip would install, read from its report before anything is downloaded: for which device, how much, how long."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .installing import Source, unpacked_bytes

# Wheels over 1 MB for Linux on x86-64, in MB; an index seldom says how large its files are before they come.
_MEGABYTES = {
    "apache-tvm-ffi": 3.3,
    "fusar-gpt": 9.2,
    "hf-xet": 4.3,
    "networkx": 2.1,
    "numpy": 17,
    "nvidia-cublas": 423,
    "nvidia-cuda-nvrtc": 90,
    "nvidia-cudnn-cu13": 553,
    "nvidia-cufft": 214,
    "nvidia-curand": 60,
    "nvidia-cusolver": 201,
    "nvidia-cusparse": 146,
    "nvidia-cusparselt-cu13": 170,
    "nvidia-nccl-cu13": 216,
    "nvidia-nvjitlink": 47,
    "nvidia-nvshmem-cu13": 60,
    "pillow": 7.1,
    "pydantic-core": 2.3,
    "pygments": 1.3,
    "pyogrio": 33,
    "pyproj": 9.5,
    "rasterio": 36,
    "shapely": 2.3,
    "sympy": 6.3,
    "tokenizers": 3.4,
    "torch": 192,
    "transformers": 13,
    "triton": 286,
    "xgrammar": 1.3,
}
_OTHER_MEGABYTES, _CUDA_TORCH_MEGABYTES = 0.4, 555

# Measured on two cores: 2.5 GB were unpacked and tried in 87 s. Lines of 100 and of 10 Mbit/s.
_FAST, _SLOW = (12.5e6, 60e6), (1.25e6, 15e6)


@dataclass(frozen=True)
class InstallPlan:
    """What pip would install.

    Attributes:
        count: How many packages; 0 where that is not known.
        download: Bytes to download, about.
        disk: Bytes that it takes on the disk, about and rather more.
        cuda: Whether the libraries for NVIDIA GPUs are among it.
        torch: The version of torch; empty where torch is not among it.
    """

    count: int
    download: int
    disk: int
    cuda: bool = False
    torch: str = ""

    @property
    def minutes(self) -> tuple[int, int]:
        """How long it takes on a fast and on a slow line and disk."""
        seconds = [self.download / line + self.disk / disk for line, disk in (_FAST, _SLOW)]
        low, high = (max(1, round(value / 60)) for value in seconds)
        return low, max(high, low + 1)


def usual_plan(source: Source, *, gpu: bool) -> InstallPlan:
    """Return what an installation from ``source`` takes, as far as that is known before pip is asked."""
    if source.kind == "wheels":
        sizes = {wheel.name: wheel.stat().st_size for wheel in Path(source.place).glob("*.whl")}
        disk = sum(unpacked_bytes(name, size) for name, size in sizes.items())
        return InstallPlan(len(sizes), 0, disk, any(map(_is_cuda, sizes)))
    names = [name for name in _MEGABYTES if gpu or not _is_cuda(name)]
    plan = _plan([(name, "" if gpu else "+cpu", None) for name in names])
    return replace(plan, count=0, torch="")


def read_plan(report: str) -> InstallPlan:
    """Return what pip's installation report says. Raises ValueError: it is none."""
    try:
        items = json.loads(report)["install"]
        found = [
            (canonical(item["metadata"]["name"]), item["metadata"]["version"], item["download_info"]["url"])
            for item in items
        ]
    except (KeyError, TypeError) as error:
        raise ValueError("pip's report does not list what would be installed.") from error
    return _plan(found)


def _plan(packages: Iterable[tuple[str, str, str | None]]) -> InstallPlan:
    """Add up packages, each a name, a version and an address; None where the address is not known."""
    packages = list(packages)
    cuda = any(_is_cuda(name) for name, _, _ in packages)
    download = disk = 0
    for name, version, address in packages:
        size = None if address is None else _local_bytes(address)
        if size is None:
            size = _usual_bytes(name, version, cuda=cuda)
            download += size
        disk += unpacked_bytes(name, size)
    torch = next((version for name, version, _ in packages if name == "torch"), "")
    return InstallPlan(len(packages), download, disk, cuda, torch)


def _local_bytes(address: str) -> int | None:
    """Return the size of a wheel on this computer; None of one that must be downloaded or built."""
    parts = urlsplit(address)
    if parts.scheme != "file":
        return None
    path = unquote(parts.path)
    file = Path(path[1:] if re.match(r"/[A-Za-z]:", path) else path)
    return file.stat().st_size if file.is_file() else None


def _usual_bytes(name: str, version: str, *, cuda: bool) -> int:
    megabytes = _MEGABYTES.get(name, _OTHER_MEGABYTES)
    if name == "torch" and cuda and not version.endswith("+cpu"):
        megabytes = _CUDA_TORCH_MEGABYTES
    return int(megabytes * 1e6)


def _is_cuda(name: str) -> bool:
    """Whether a package or wheel is one of NVIDIA's; triton is none, xgrammar needs it everywhere on Linux."""
    return canonical(name).startswith("nvidia-")


def canonical(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def labelled_version(lines: Iterable[str], label: str, like: str) -> str:
    """Return torch's version with a local ``label`` such as ``cpu`` among what ``pip index versions`` says.

    The one of the release ``like`` goes before the newest; empty if there is none.
    """
    found = [
        version
        for line in lines
        if line.strip().startswith("Available versions:")
        for version in line.split(":", 1)[1].replace(" ", "").split(",")
        if version.partition("+")[2].startswith(label)
    ]
    same = [version for version in found if version.partition("+")[0] == like.partition("+")[0]]
    return (same or found or [""])[0]


def missing_package(lines: Iterable[str]) -> str:
    """Return the package that pip says nobody offers; empty if it says something else."""
    for line in lines:
        found = _MISSING.search(line)
        if found:
            return canonical(found[1])
    return ""


_MISSING = re.compile(
    r"ERROR: (?:Could not find a version that satisfies the requirement|No matching distribution found for) "
    r"([A-Za-z0-9][A-Za-z0-9._-]*)"
)


def is_usage_error(lines: Iterable[str]) -> bool:
    """Whether this pip does not know an option that it was given."""
    return any("no such option" in line or "invalid choice" in line for line in lines)
