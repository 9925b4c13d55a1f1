"""Collects what helps to help: versions, the backend's state, the settings and the last messages, as Markdown."""

from __future__ import annotations

import os
import platform
import sys
from collections import deque
from configparser import ConfigParser
from pathlib import Path
from typing import Any

from osgeo import gdal
from qgis.core import Qgis, QgsApplication, QgsSettings
from qgis.PyQt.QtCore import PYQT_VERSION_STR, QObject, qVersion

from ..connection.backend import Backend
from ..connection.command import fusar_executable
from ..connection.environment import environment_folder
from ..core import installing
from ..core.diagnostics import diagnostics
from .messages import PRODUCT

_MOST_ERRORS = 20
_METADATA = Path(__file__).parents[1] / "metadata.txt"
_GROUP = "fusar/"


class Diagnostics(QObject):
    """Remembers the last warnings and errors that concern the plugin; :meth:`text` tells them with all the rest."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._backend = backend
        self._errors: deque[str] = deque(maxlen=_MOST_ERRORS)
        backend.failed.connect(self.remember)
        QgsApplication.messageLog().messageReceived[str, str, Qgis.MessageLevel].connect(self._on_logged)

    def remove(self) -> None:
        """Listen no longer."""
        self._backend.failed.disconnect(self.remember)
        QgsApplication.messageLog().messageReceived[str, str, Qgis.MessageLevel].disconnect(self._on_logged)
        self.deleteLater()

    def remember(self, problem: str) -> None:
        """Keep what went wrong, once if it repeats itself."""
        if problem and (not self._errors or self._errors[-1] != problem):
            self._errors.append(problem)

    def text(self) -> str:
        """Return it all as Markdown, without the token; nothing is started and nothing asked for that."""
        sections = {"Versions": _versions(), "Backend": self._state(), "Settings": _settings()}
        homes = {str(Path.home()), os.path.realpath(Path.home()), os.environ.get("USERPROFILE", "")}
        return diagnostics(
            sections, list(self._errors), homes=sorted(homes), secrets=[os.environ.get("FUSAR_TOKEN", "")]
        )

    def _state(self) -> dict[str, object]:
        backend, info = self._backend, self._backend.info
        rows: dict[str, object] = {"State": backend.state, "Problem": backend.problem or "none"}
        if info is not None:
            rows |= {"Version": info.version, "Device": info.device}
            rows["Models"] = ", ".join(model.name for model in info.models)
        rows["Program"] = fusar_executable() or "not found"
        rows["Environment"] = f"{installing.state_of(environment_folder())}, {environment_folder()}"
        rows["FUSAR_URL"] = os.environ.get("FUSAR_URL", "no")
        return rows

    def _on_logged(self, text: str, tag: str, level: Qgis.MessageLevel) -> None:
        bad = level in (Qgis.MessageLevel.Warning, Qgis.MessageLevel.Critical)
        if bad and (tag == PRODUCT or "fusar" in text.lower()):
            self.remember(text)


def _versions() -> dict[str, object]:
    metadata = ConfigParser()
    metadata.read(_METADATA, encoding="utf-8")
    return {
        "Plugin": metadata.get("general", "version", fallback="?"),
        "QGIS": Qgis.QGIS_VERSION,
        "Qt": f"{qVersion()}, PyQt {PYQT_VERSION_STR}",
        "GDAL": gdal.__version__,
        "Python": sys.version,
        "System": f"{platform.platform()}, {QgsApplication.osName()}",
        "Language": QgsApplication.locale(),
    }


def _settings() -> dict[str, Any]:
    settings = QgsSettings()
    return {key: settings.value(key) for key in sorted(settings.allKeys()) if key.startswith(_GROUP)}
