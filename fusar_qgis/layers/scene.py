"""The active layer as a scene: a local, georeferenced raster file, or one clear reason why not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsMapLayer,
    QgsProviderRegistry,
    QgsRasterLayer,
    QgsSingleBandGrayRenderer,
)
from qgis.PyQt.QtCore import QCoreApplication

translate = QCoreApplication.translate


class SceneError(Exception):
    """The layer cannot be interpreted; the message says what to do."""


@dataclass(frozen=True)
class Scene:
    """The raster file behind a layer; ``band`` is the one on the screen, counted from 1."""

    layer: QgsRasterLayer
    path: str
    name: str
    crs: QgsCoordinateReferenceSystem
    band: int


def scene_of(layer: QgsMapLayer | None) -> Scene:
    """Return the scene of ``layer``, or raise SceneError."""
    if layer is None:
        raise SceneError(
            translate("Scene", "No layer is active. Select a SAR layer in the Layers panel, then try again.")
        )
    if not isinstance(layer, QgsRasterLayer):
        raise SceneError(
            translate(
                "Scene", "“{name}” is not a raster. Select a SAR layer in the Layers panel, then try again."
            ).format(name=layer.name())
        )
    place = QgsProviderRegistry.instance().decodeUri(layer.providerType(), layer.source())
    path = place.get("path") or ""
    inside = place.get("vsiPrefix") or place.get("layerName")  # an archive, or one of many rasters in a file
    if layer.providerType() != "gdal" or inside or not Path(path).is_file():
        raise SceneError(
            translate(
                "Scene", "“{name}” is not a local file. Save it as a GeoTIFF (Export, Save As) and use that."
            ).format(name=layer.name())
        )
    if not layer.crs().isValid():
        raise SceneError(
            translate(
                "Scene", "“{name}” has no georeferencing. Georeference the file first (Layer, Georeferencer)."
            ).format(name=layer.name())
        )
    renderer = layer.renderer()
    band = renderer.grayBand() if isinstance(renderer, QgsSingleBandGrayRenderer) else 1
    return Scene(layer, str(Path(path).resolve()), layer.name(), layer.crs(), band)
