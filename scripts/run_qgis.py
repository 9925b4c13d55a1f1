"""python3 scripts/run_qgis.py [SCENE]: QGIS with the plugin, its backend running and a scene on the map (make qgis).

Everything QGIS remembers stays in build/qgis-profile; the backend ends with QGIS. Standard library only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "backend" / "fusar_gpt" / "samples"

_SETTINGS = """
[PythonPlugins]
fusar_qgis=true

[app]
askToSaveMemoryLayers=false

[qgis]
askToSaveProjectChanges=false
checkVersion=false

[Raster]
defaultContrastEnhancementLimits\\singleBand=CumulativeCut
"""


def make_profile(profiles: Path, locale: str = "") -> None:
    """Make a QGIS profile in which the plugin is enabled, unless there is one already."""
    settings = profiles / "profiles" / "default" / "QGIS" / "QGIS3.ini"
    if not settings.exists():
        settings.parent.mkdir(parents=True)
        spoken = f"\n[locale]\noverrideFlag=true\nuserLocale={locale}\n" if locale else ""
        settings.write_text(_SETTINGS + spoken, encoding="utf-8")


def qgis_command(profiles: Path, *words: str) -> list[str]:
    """Return the command that starts QGIS with that profile."""
    return ["qgis", "--noversioncheck", "--nologo", "--profiles-path", str(profiles), *words]


def qgis_environment() -> dict[str, str]:
    """Return an environment in which QGIS finds this plugin, and the system's Python, which is QGIS's own."""
    ours = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    system_first = os.pathsep.join(["/usr/bin", "/bin", os.environ.get("PATH", "")])
    return ours | {"PATH": system_first, "QGIS_PLUGINPATH": str(ROOT)}


@contextmanager
def backend(executable: str) -> Iterator[dict[str, str]]:
    """Run ``fusar serve`` and give the environment that leads the plugin to it."""
    command = [executable, "serve", "--child", "--root", "/"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        ready = process.stdout.readline()
        if not ready:
            sys.exit("The backend did not start; its reason is above. Try: fusar doctor")
        address = json.loads(ready)
        yield {"FUSAR_URL": address["url"], "FUSAR_TOKEN": address["token"]}
        process.stdin.close()


def main() -> int:
    """Open QGIS and wait until the analyst closes it."""
    if not shutil.which("qgis"):
        sys.exit("QGIS is not installed. Try: sh scripts/require_qgis.sh")
    executable = os.environ.get("FUSAR_EXECUTABLE") or shutil.which("fusar")
    if not executable:
        sys.exit("The backend is not installed. Try: make qgis")
    scenes = [Path(sys.argv[1])] if sys.argv[1:] else [SAMPLES / "harbour_simulated.tif"]
    profiles = ROOT / "build" / "qgis-profile"
    make_profile(profiles)
    print("Starting the backend ...", file=sys.stderr)
    with backend(executable) as address:
        environment = qgis_environment() | address
        command = qgis_command(profiles, *(str(scene.resolve()) for scene in scenes))
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
