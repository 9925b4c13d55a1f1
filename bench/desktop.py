"""python3 bench/desktop.py [--runs N]: the real QGIS under Xvfb, with real mouse and keyboard.

How long a new user waits for the first finding of the sample scene, from the first press to the layer on the map, with
the real backend (started on the way). And how long the GUI thread is away while a run of 200 chips comes in.

The stand-in backend sends 20 findings a chip, 10 chips a second; real mouse and keyboard under Xvfb. A timer of 5 ms
in the GUI thread notes how late it comes, from Start to the run's last message, map drawing included.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e" / "desktop"))

from desktop import SAMPLES, drive, first_run  # noqa: E402


def main() -> None:
    """Print a line a run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    os.environ["STANDIN_PAUSE"] = "0.1"
    for run in range(parser.parse_args().runs):
        with tempfile.TemporaryDirectory(prefix="fusar-bench-") as folder:
            first = first_run(Path(folder, "first"), ROOT / ".venv" / "bin" / "fusar")
            print(
                f"run {run + 1}: first finding after {first['first_finding_s']:.1f} s {first['errors'] or ''}"
            )
            result = drive(
                Path(folder, "home"),
                SAMPLES / "harbour_simulated.tif",
                ROOT / "tests" / "qgis" / "standin.py",
                targets=["crowded"],
            )
        features = sum(len(layer["features"]) for layer in result["layers"])
        late = result["stalls_over_20_ms"]
        over = sum(stall > 50 for stall in late)
        print(
            f"run {run + 1}: until the question is there, longest stall {result['longest_stall_before_ms']} ms\n"
            f"run {run + 1}: {features} findings, longest stall {result['longest_stall_ms']} ms; "
            f"{len(late)} over 20 ms, {over} over 50 ms {result['errors'] or ''}",
            flush=True,
        )


if __name__ == "__main__":
    main()
