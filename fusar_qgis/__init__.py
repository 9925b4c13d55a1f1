"""The FUSAR-GPT plugin for QGIS: PyQGIS, Qt through ``qgis.PyQt``, numpy and nothing else to install."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qgis.gui import QgisInterface

    from .plugin import FusarPlugin


def classFactory(iface: QgisInterface) -> FusarPlugin:  # noqa: N802 - QGIS calls it by this name
    """Return the plugin; QGIS calls this once when the plugin is loaded."""
    from .plugin import FusarPlugin

    return FusarPlugin(iface)
