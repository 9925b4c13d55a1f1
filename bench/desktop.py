"""python3 bench/desktop.py [--runs N] [--long]: the real QGIS under Xvfb, with real mouse and keyboard.

How long a new user waits for the first finding of the sample scene, from the first press to the layer on the map, with
the real backend (started on the way). And how long the GUI thread is away while a run of 200 chips comes in.

With --long instead: a run of 14,000 chips with two findings each, 50 chips a second, and the findings panel open.

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

from desktop import LIMIT_S, SAMPLES, drive, first_run  # noqa: E402

_LONG_S = 1500


def main() -> None:
    """Print a line a run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--long", action="store_true")
    args = parser.parse_args()
    for run in range(args.runs):
        with tempfile.TemporaryDirectory(prefix="fusar-bench-") as folder:
            if args.long:
                os.environ |= {"STANDIN_PAUSE": "0.02", "STANDIN_CROWD": "14000x2"}
            else:
                os.environ["STANDIN_PAUSE"] = "0.1"
                first = first_run(Path(folder, "first"), ROOT / ".venv" / "bin" / "fusar")
                print(
                    f"run {run + 1}: first finding after {first['first_finding_s']:.1f} s {first['errors'] or ''}"
                )
            result = drive(
                Path(folder, "home"),
                SAMPLES / "harbour_simulated.tif",
                ROOT / "tests" / "qgis" / "standin.py",
                targets=["crowded"],
                panel=args.long,
                limit_s=_LONG_S if args.long else LIMIT_S,
            )
        if result["errors"]:
            print(result["errors"])
            continue
        features = sum(len(layer["features"]) for layer in result["layers"])
        late = result["stalls_over_20_ms"]
        over = sorted((stall for stall in late if stall > 50), reverse=True)
        print(
            f"run {run + 1}: until the question is there, longest stall {result['longest_stall_before_ms']} ms\n"
            f"run {run + 1}: {features} findings, longest stall {result['longest_stall_ms']} ms; "
            f"{len(late)} over 20 ms, {len(over)} over 50 ms: {over[:20]}",
            flush=True,
        )


if __name__ == "__main__":
    main()
