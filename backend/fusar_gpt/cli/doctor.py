"""``fusar doctor``: what is installed, on what device it runs, and how to get what is missing."""

from __future__ import annotations

import platform
import shutil
import sys
from importlib import metadata, util

from fusar_gpt import __version__
from fusar_gpt.errors import FusarError

NEEDED = (
    "torch",
    "transformers",
    "xgrammar",
    "rasterio",
    "pyogrio",
    "shapely",
    "pyproj",
    "fastapi",
    "uvicorn",
)
EXTRAS = {
    "ee": ("ee", "AEF priors from Earth Engine"),
    "parquet": ("pyarrow", "searches as GeoParquet"),
    "train": ("accelerate", "training"),
}


def examine() -> int:
    """Print the findings; returns 0 when a scene can be interpreted here, else 1."""
    print(f"fusar-gpt {__version__}, Python {platform.python_version()} at {sys.executable}")
    missing = [name for name in NEEDED if util.find_spec(name) is None]
    for name in NEEDED:
        print(f"  {name:13}{'MISSING' if name in missing else metadata.version(name)}")
    if missing:
        print(f"Get them: python -m pip install -c constraints.txt {' '.join(missing)}")
        return 1
    print_device()
    healthy = print_model()
    for extra, (module, purpose) in EXTRAS.items():
        if util.find_spec(module) is None:
            print(f"Optional: {purpose}: python -m pip install 'fusar-gpt[{extra}]'")
    print("Priors: fusar prior doctor says which sources of AEF vectors work from here")
    qgis = shutil.which("qgis")
    print(
        f"QGIS: {qgis or 'not found; apt-get install qgis, or connect from another computer (fusar serve)'}"
    )
    return 0 if healthy else 1


def print_device() -> None:
    """The device a model would run on, and its memory."""
    import torch

    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        print(f"Device: {device.name}, {device.total_memory / 2**30:.0f} GiB")
    else:
        print(
            f"Device: CPU, {torch.get_num_threads()} threads. The 7B model needs a GPU, the tiny one does not."
        )


def print_model() -> bool:
    """Load the bundled checkpoint and say what it is; False when it is damaged."""
    from fusar_gpt.model import load_checkpoint

    try:
        checkpoint = load_checkpoint("tiny")
    except FusarError as error:
        print(f"Model tiny: {error}")
        return False
    card = checkpoint.card
    print(f"Model tiny: {card.title}, sha256 {checkpoint.hash[:12]}, knows: {', '.join(card.targets)}")
    if card.demonstration:
        print("  It is a demonstration: train or import a real checkpoint for real work.")
    return True
