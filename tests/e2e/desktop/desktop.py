"""Start the real QGIS under Xvfb and let driver.py work in it.

``python3 tests/e2e/desktop/desktop.py --executable .venv/bin/fusar --screenshot docs/images/qgis.png`` takes the
README's picture.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from run_qgis import SAMPLES, make_profile, qgis_command, qgis_environment  # noqa: E402

SCREEN = "-screen 0 1600x1000x24"
LIMIT_S = 300
CORNERS = (0.2, 0.15, 0.8, 0.85)


def drive(
    home: Path,
    scene: Path,
    executable: Path,
    *,
    task: str = "detect",
    targets: Sequence[str] = (),
    corners: Sequence[float] = CORNERS,
    cancel: bool = False,
    kill: bool = False,
    locale: str = "",
    backend: Mapping[str, str] | None = None,
    panel: bool = False,
    limit_s: float = LIMIT_S,
) -> dict:
    """Run the driver's story in a fresh home folder; return what it noted down, screenshots lie in ``home/out``.

    ``backend`` is the environment that leads to one that lets nobody in.
    """
    plan = {"task": task, "targets": list(targets), "corners": list(corners), "cancel": cancel, "kill": kill}
    plan |= {"refused": backend is not None, "panel": panel, "patience_s": 0.4 * limit_s}
    make_profile(home / "profiles", locale)
    story = json.dumps(plan | {"scene": str(scene), "out": str(home / "out")})
    environment = {"FUSAR_EXECUTABLE": str(executable.resolve()), "FUSAR_DRIVE": story, **(backend or {})}
    return play(home, HERE / "driver.py", qgis_environment() | environment, limit_s)


def first_run(home: Path, executable: Path) -> dict:
    """The first minute of a new user: welcome, sample scene, rectangle, findings; ``home/out`` has screenshots."""
    make_profile(home / "profiles")
    story = json.dumps({"out": str(home / "out")})
    ours = {"FUSAR_EXECUTABLE": str(executable.resolve()), "FUSAR_DRIVE": story}
    return play(home, HERE / "first_run_driver.py", qgis_environment() | ours)


def play(home: Path, script: Path, environment: Mapping[str, str], limit_s: float = LIMIT_S) -> dict:
    """Run ``script`` inside the desktop, with its profile in ``home``; return ``home/out/result.json``."""
    out = home / "out"
    for folder in (out, home / "tmp", home / "run"):
        folder.mkdir(parents=True)
    (home / "run").chmod(0o700)
    places = {
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(HERE),  # what the drivers share
        "QT_QPA_PLATFORM": "xcb",
    }
    words = qgis_command(home / "profiles", "--code", str(script))
    log = home / "qgis.log"
    with log.open("wb") as stream:
        command = ["xvfb-run", "-a", "-s", SCREEN, *words]
        process = subprocess.Popen(
            command,
            env={**environment, **places},
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    result = out / "result.json"
    if not result.exists():
        raise RuntimeError(f"QGIS ended without a result:\n{log.read_text(errors='replace')[-3000:]}")
    return json.loads(result.read_text(encoding="utf-8"))


def main() -> int:
    """Take the picture."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--executable", type=Path, required=True, help="the backend: .venv/bin/fusar")
    parser.add_argument("--scene", type=Path, default=SAMPLES / "harbour_simulated.tif")
    parser.add_argument("--task", default="detect")
    parser.add_argument("--targets", nargs="+", default=(), help="default: the model's first")
    parser.add_argument("--corners", type=float, nargs=4, default=CORNERS, metavar="SHARE")
    parser.add_argument("--locale", default="")
    parser.add_argument("--home", type=Path, help="a folder to keep everything in; default: a temporary one")
    parser.add_argument("--screenshot", type=Path, required=True)
    args = parser.parse_args()
    home = args.home or Path(tempfile.mkdtemp(prefix="fusar-desktop-"))
    result = drive(
        home,
        args.scene.resolve(),
        args.executable,
        task=args.task,
        targets=args.targets,
        corners=args.corners,
        locale=args.locale,
    )
    picture = home / "out" / "4_findings.png"
    subprocess.run(
        ["convert", str(picture), "-strip", "-colors", "200", f"PNG8:{args.screenshot}"], check=True
    )
    print(
        json.dumps(
            {key: value for key, value in result.items() if key != "layers"}, ensure_ascii=False, indent=1
        )
    )
    return bool(result["errors"])


if __name__ == "__main__":
    sys.exit(main())
