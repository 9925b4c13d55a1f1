"""The rasters of a batch: named in the GUI thread, opened in the worker's; a bad one costs none of the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsGeometry,
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingUtils,
    QgsProperty,
    QgsRasterLayer,
)
from qgis.PyQt.QtCore import QCoreApplication

from ..layers.scene import SceneError, crs_text, scene_of

translate = QCoreApplication.translate


@dataclass(frozen=True)
class RasterSource:
    """A raster as a parameter names it; not opened yet."""

    source: str
    provider: str
    name: str
    crs: QgsCoordinateReferenceSystem  # that the analyst has given the layer; not valid: the raster's own


@dataclass(frozen=True)
class OpenScene:
    """A raster that can be interpreted; it was open and is not any more.

    Attributes:
        name: The file's name, or the layer's where it is no file.
        path: The file that the backend opens itself; empty where it must be clipped and sent.
        source: How to open it again.
        crs: Its CRS.
        outline: Its bounds in its CRS.
        identity: JSON that changes when the raster does.
    """

    name: str
    path: str
    source: RasterSource
    crs: QgsCoordinateReferenceSystem
    outline: QgsGeometry
    identity: list[Any]


def raster_sources(
    parameters: Mapping[str, Any], name: str, context: QgsProcessingContext
) -> list[RasterSource]:
    """Return the rasters of the parameter ``name``, each once; to be called in the GUI thread."""
    found = {}
    for value in _flat(parameters.get(name), context):
        layer = value
        if not isinstance(value, QgsMapLayer):
            # Layers of the project and of a model's earlier steps; no file is opened here.
            layer = QgsProcessingUtils.mapLayerFromString(str(value), context, False)
        if layer is None:
            crs = QgsCoordinateReferenceSystem()
            raster = RasterSource(str(value), "gdal", Path(str(value)).name, crs)
        else:
            raster = RasterSource(layer.source(), layer.providerType(), layer.name(), layer.crs())
        found[raster.source] = raster
    return list(found.values())


def open_layer(raster: RasterSource) -> QgsRasterLayer:
    """Open a raster in this thread, in the CRS that it has for the analyst."""
    options = QgsRasterLayer.LayerOptions(False)
    options.skipCrsValidation = True  # in a worker thread nobody can be asked for a CRS
    layer = QgsRasterLayer(raster.source, raster.name, raster.provider, options)
    if layer.isValid() and raster.crs.isValid():
        layer.setCrs(raster.crs)
    return layer


def open_scene(raster: RasterSource) -> OpenScene:
    """Look at a raster. Raises SceneError, which says why it cannot be interpreted."""
    layer = open_layer(raster)
    if not layer.isValid():
        raise SceneError(
            translate(
                "Processing", "it cannot be opened: it is missing, damaged or no raster. Check the file."
            )
        )
    path = scene_of(layer).path or ""
    name = raster.name
    identity: list[Any] = [raster.source, crs_text(layer.crs())]
    if path:
        file = Path(path).stat()
        name, identity = Path(path).name, [path, file.st_size, file.st_mtime_ns]
    return OpenScene(name, path, raster, layer.crs(), QgsGeometry.fromRect(layer.extent()), identity)


def open_scenes(
    rasters: Iterable[RasterSource],
) -> Iterator[tuple[RasterSource, OpenScene | None, str]]:
    """Yield each raster with its scene, or with None and why not."""
    for raster in rasters:
        try:
            yield raster, open_scene(raster), ""
        except (SceneError, OSError) as error:
            yield raster, None, str(error)


def _flat(value: Any, context: QgsProcessingContext) -> Iterator[Any]:
    if isinstance(value, QgsProperty):
        value = value.value(context.expressionContext())[0]
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _flat(one, context)
    elif value:
        yield value
