"""Runs inside the real QGIS (``qgis --code``): installs FUSAR_PACKAGE as "Install from ZIP" does; unloads it."""

import json
import os
import sys
import traceback
from pathlib import Path

import pyplugin_installer
from qgis.core import QgsApplication, QgsSettings
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtWidgets import QAction
from qgis.utils import active_plugins, iface, pluginMetadata, plugins, unloadPlugin

NAME = "fusar_qgis"
result = {"errors": []}


def actions() -> list[str]:
    found = iface.mainWindow().findChildren(QAction)
    return sorted({action.objectName() for action in found if action.objectName().startswith("Fusar")})


def install():
    result["before"] = [NAME in plugins, actions()]
    pyplugin_installer.instance().installFromZipFile(os.environ["FUSAR_PACKAGE"])
    result["active"] = NAME in active_plugins
    result["kept"] = QgsSettings().value(f"/PythonPlugins/{NAME}", False, type=bool)
    result["file"] = sys.modules[NAME].__file__
    result["profile"] = QgsApplication.qgisSettingsDirPath()
    result["changelog"] = pluginMetadata(NAME, "changelog")
    result["actions"] = actions()
    unloadPlugin(NAME)
    QTimer.singleShot(300, leave)


def leave():
    result["left"] = actions()
    Path(os.environ["HOME"], "out", "result.json").write_text(json.dumps(result), encoding="utf-8")
    iface.actionExit().trigger()


def note_exception(kind, error, trace):
    # QGIS would open a dialog that nobody closes.
    result["errors"].append("".join(traceback.format_exception(kind, error, trace)))
    QTimer.singleShot(0, leave)


sys.excepthook = note_exception
QTimer.singleShot(1000, install)
