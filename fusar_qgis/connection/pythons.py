"""Finds a Python outside QGIS that can make a virtual environment."""

from __future__ import annotations

import os
import sys

from qgis.PyQt.QtCore import QObject, QStandardPaths, pyqtSignal

from ..core.installing import OLDEST_PYTHON
from .command import Command

_LIMIT_S = 20
_SILENT = "fits"
# Those that most packages are built for come first.
_MINORS = (12, 11, 13, 10, 14)
_USUAL_PLACES = ("/usr/local/bin", "/opt/homebrew/bin", "/usr/bin")

_CHECK = f"""
import platform, sys
version = platform.python_version()
if sys.version_info < {OLDEST_PYTHON}:
    sys.exit("old " + version)
if sys.maxsize < 2**32:
    sys.exit("32bit " + version)
try:
    import ensurepip, ssl, venv
except ImportError as error:
    sys.exit("lacks " + version + " " + str(error.name))
print("{_SILENT}", version, sys.executable)
"""


class PythonSearch(QObject):
    """Tries one Python after the other by running it; ``found`` or ``failed`` comes once for each ``start``."""

    found = pyqtSignal(str, str)  # executable, version
    failed = pyqtSignal(str)  # what was seen, and how to get one
    line_added = pyqtSignal(str)  # a line for the log

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._left: list[list[str]] = []
        self._tried: list[str] = []
        self._refusal = ""
        self._command = Command(self)
        self._command.ended.connect(self._judge)

    def start(self, chosen: str = "") -> None:
        """Look at ``chosen`` alone, or at all that can be found."""
        self._left = [[chosen]] if chosen else _candidates()
        self._tried, self._refusal = [], ""
        self._next()

    def stop(self) -> None:
        """Stop without an answer."""
        self._left = []
        self._command.close()
        self._command.deleteLater()
        self._command = Command(self)
        self._command.ended.connect(self._judge)

    def _next(self) -> None:
        if self._left:
            program, *words = self._left.pop(0)
            self._tried = [program, *words]
            self._command.run(program, [*words, "-I", "-c", _CHECK], limit_s=_LIMIT_S)
        else:
            self.failed.emit(self._refusal or self._none())

    def _judge(self, fits: bool) -> None:
        last = self._command.lines[-1] if self._command.lines else ""
        said = last.split(" ", 2)
        self.line_added.emit(f"{' '.join(self._tried)}: {last}")
        if fits and said[0] == _SILENT:
            self._left = []
            self.found.emit(said[2], said[1])
            return
        # A Python that is new enough and only lacks a part is the best hint.
        if said[0] == "lacks":
            self._refusal = self._lacks(self._tried[0], said[1])
        self._next()

    def _lacks(self, program: str, version: str) -> str:
        if sys.platform.startswith("linux"):
            return str(
                self.tr(
                    "Python {version} at {path} cannot make environments: its venv module is not installed. "
                    "Install it (Debian, Ubuntu: apt-get install python3-venv), then try again."
                ).format(version=version, path=program)
            )
        return str(
            self.tr(
                "Python {version} at {path} is not complete. Install Python again from python.org, then try again."
            ).format(version=version, path=program)
        )

    def _none(self) -> str:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        if sys.platform.startswith("linux"):
            return str(
                self.tr(
                    "No Python {oldest} or newer was found outside QGIS. Install one (Debian, Ubuntu: apt-get "
                    "install python3 python3-venv) or choose one under “Python”, then try again."
                ).format(oldest=oldest)
            )
        return str(
            self.tr(
                "No Python {oldest} or newer (64 bit) was found outside QGIS. Install one from python.org or "
                "choose one under “Python”, then try again."
            ).format(oldest=oldest)
        )


def _candidates() -> list[list[str]]:
    """Return commands that may be a Python, the best first; QGIS's own fails the check where it is unfit."""
    launcher = QStandardPaths.findExecutable("py") if os.name == "nt" else ""
    found = [[launcher, f"-3.{minor}"] for minor in _MINORS] if launcher else []
    names = [f"python3.{minor}" for minor in _MINORS] + ["python3", "python"]
    for name in names:
        for places in ([], list(_USUAL_PLACES)):  # a desktop's PATH is often shorter than a terminal's
            path = QStandardPaths.findExecutable(name, places)
            if path and [path] not in found:
                found.append([path])
    return found
