"""A raster layer as a scene that a backend can interpret, or the reason why it cannot; GeoJSON and CRS texts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from osgeo import gdal, osr
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCoordinateTransformContext,
    QgsCsException,
    QgsDistanceArea,
    QgsGeometry,
    QgsMapLayer,
    QgsProject,
    QgsProviderRegistry,
    QgsRasterLayer,
    QgsRasterRenderer,
    QgsSingleBandGrayRenderer,
    QgsSingleBandPseudoColorRenderer,
)

from .. import compat
from ..contract.bands import choose_band, shows_ground
from ..core.acquisition import Acquisition, acquisition
from ..translation import translate

PICTURE_OF = "fusar/picture_of"
"""Of a layer that shows another one, whose numbers QGIS cannot draw: the id of that one."""

_SAME_DEGREES = 1e-7  # a centimetre
_DECIMALS = 17  # as many as a number has
# What the backend opens by path; everything else is clipped and sent.
_PLAIN = ("GTiff", "PNG", "JPEG", "JP2OpenJPEG", "HFA", "NITF", "ENVI")


class SceneError(Exception):
    """The layer cannot be interpreted; the message says what to do."""


@dataclass(frozen=True)
class Scene:
    """A raster layer that can be interpreted.

    Attributes:
        layer_id: The layer's id.
        name: The layer's name.
        crs: The layer's CRS, always valid.
        band: The band on the screen, counted from 1; the one that a backend takes where that shows no ground.
        path: The file, where a backend on this computer may open it itself and places it where QGIS does; else None.
        bands: How many there are.
        acquired: When it was taken, if tags or names tell.
        layer: The layer, for the GUI thread, as long as it is in the project.
    """

    layer_id: str
    name: str
    crs: QgsCoordinateReferenceSystem
    band: int
    path: str | None
    bands: int
    acquired: Acquisition | None
    layer: QgsRasterLayer = field(compare=False, repr=False)


def original_of(layer: QgsMapLayer | None) -> QgsMapLayer | None:
    """Return the SAR layer that ``layer`` is a picture of, None if that is gone; any other layer itself."""
    original = "" if layer is None else str(layer.customProperty(PICTURE_OF) or "")
    return QgsProject.instance().mapLayer(original) if original else layer


def scene_of(layer: QgsMapLayer | None) -> Scene:
    """Return the scene of ``layer``, of its original where it is a picture of one, or raise SceneError."""
    shown, layer = layer, original_of(layer)
    if layer is None and shown is not None:
        raise SceneError(
            translate(
                "Scene", "The layer that “{name}” shows is not in the project any more. Add the file again."
            ).format(name=shown.name())
        )
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
    if not layer.isValid():
        raise SceneError(
            translate("Scene", "“{name}” cannot be read. Check its source (right-click, Change Data Source).")
            .format(name=layer.name())
        )  # fmt: skip
    file = _local_file(layer)
    dataset = open_raster(file) if file else None
    path = file if dataset is not None and _is_plain(dataset, layer) else None
    if not layer.crs().isValid():
        raise SceneError(_unplaced(layer.name(), dataset))
    renderer = layer.renderer()
    return Scene(
        layer_id=layer.id(),
        name=layer.name(),
        crs=layer.crs(),
        band=_usual_band(layer, renderer),
        path=path,
        bands=layer.bandCount(),
        acquired=_acquired(layer, dataset),
        layer=layer,
    )


def crs_of(text: str) -> QgsCoordinateReferenceSystem:
    """Return the CRS of an authority code or WKT; invalid where it is neither."""
    crs = QgsCoordinateReferenceSystem()
    crs.createFromUserInput(text)
    return crs


def crs_text(crs: QgsCoordinateReferenceSystem) -> str:
    """Return the EPSG code, or WKT where the code would mean nothing outside this QGIS."""
    return str(crs.authid() if crs.authid().startswith("EPSG:") else crs.toWkt(crs.WktVariant.WKT_PREFERRED))


def ellipsoid_measure(
    crs: QgsCoordinateReferenceSystem, context: QgsCoordinateTransformContext | None = None
) -> QgsDistanceArea:
    """Return what measures lines between points in ``crs`` in metres on the ellipsoid of WGS 84."""
    measure = QgsDistanceArea()
    measure.setSourceCrs(crs, context or QgsCoordinateTransformContext())
    measure.setEllipsoid("EPSG:7030")
    return measure


def geojson(geometry: QgsGeometry) -> dict[str, Any]:
    """Return a geometry as GeoJSON, x (east) before y (north), without heights."""
    flat = QgsGeometry(geometry)
    flat.get().dropZValue()
    flat.get().dropMValue()
    return dict(json.loads(flat.asJson(_DECIMALS)))


def geojson_features(outlines: Iterable[QgsGeometry]) -> dict[str, Any]:
    """Return outlines as a GeoJSON FeatureCollection without properties."""
    features = [{"type": "Feature", "properties": {}, "geometry": geojson(one)} for one in outlines]
    return {"type": "FeatureCollection", "features": features}


def open_raster(uri: str) -> gdal.Dataset | None:
    """Open what GDAL calls ``uri``, in any thread; None where it cannot, whoever has set GDAL to raise or not."""
    try:
        return gdal.OpenEx(uri, gdal.OF_RASTER)
    except RuntimeError:
        return None


def is_placed(dataset: gdal.Dataset) -> bool:
    """Whether the dataset says where its pixels lie, by a geotransform or by control points."""
    return dataset.GetGeoTransform(can_return_null=True) is not None or dataset.GetGCPCount() > 0


def shown_band(renderer: QgsRasterRenderer | None) -> int:
    """Return the one band that is shown, counted from 1; 0 where there is no such."""
    if isinstance(renderer, QgsSingleBandGrayRenderer):
        return compat.gray_band(renderer)
    return compat.coloured_band(renderer) if isinstance(renderer, QgsSingleBandPseudoColorRenderer) else 0


def _usual_band(layer: QgsRasterLayer, renderer: QgsRasterRenderer | None) -> int:
    names = [layer.bandName(number).partition(": ")[2] for number in range(1, layer.bandCount() + 1)]
    shown = shown_band(renderer)
    if 1 <= shown <= len(names) and shows_ground(names[shown - 1]):
        return int(shown)
    try:
        return choose_band(names)[0]
    except ValueError:  # the backend says why
        return max(int(shown), 1)


def _local_file(layer: QgsRasterLayer) -> str:
    """The one raster of a file on this computer; empty for archives, one of several rasters, and services."""
    if layer.providerType() != "gdal":
        return ""
    place = QgsProviderRegistry.instance().decodeUri("gdal", layer.source())
    path = place.get("path") or ""
    inside = place.get("vsiPrefix") or place.get("layerName") or place.get("openOptions")
    return str(Path(path).resolve()) if path and not inside and Path(path).is_file() else ""


def _is_plain(dataset: gdal.Dataset, layer: QgsRasterLayer) -> bool:
    """Whether the backend opens the file, and places it where QGIS shows it. Raises SceneError if nobody can."""
    if not is_placed(dataset):
        if dataset.GetMetadata("RPC") or dataset.GetMetadata("GEOLOCATION"):
            return False  # QGIS warps it, the backend does not
        raise SceneError(_unplaced(layer.name(), dataset))
    # The analyst may have given the layer another CRS than the file has.
    same = layer.dataProvider().crs() == layer.crs() and _is_placed_alike(dataset, layer.crs())
    return same and dataset.GetDriver().ShortName in _PLAIN


def _is_placed_alike(dataset: gdal.Dataset, crs: QgsCoordinateReferenceSystem) -> bool:
    """Whether QGIS took the file's CRS for itself, and not for an EPSG code that looks like it."""
    own = dataset.GetSpatialRef() or dataset.GetGCPSpatialRef()
    if own is None or dataset.GetGCPCount() or own.IsSame(_srs(crs)):
        return True
    geotransform = dataset.GetGeoTransform()
    x, y = gdal.ApplyGeoTransform(geotransform, dataset.RasterXSize / 2, dataset.RasterYSize / 2)
    wgs84 = osr.SpatialReference()
    wgs84.ImportFromEPSG(4326)
    own.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    wgs84.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    try:
        lon, lat, _ = osr.CoordinateTransformation(own, wgs84).TransformPoint(x, y)
        to_degrees = QgsCoordinateTransform(
            crs, QgsCoordinateReferenceSystem("EPSG:4326"), QgsCoordinateTransformContext()
        )
        shown = to_degrees.transform(x, y)
    except (RuntimeError, QgsCsException):
        return True  # the backend says what is wrong
    return bool(max(abs(shown.x() - lon), abs(shown.y() - lat)) < _SAME_DEGREES)


def _srs(crs: QgsCoordinateReferenceSystem) -> osr.SpatialReference:
    srs = osr.SpatialReference()
    srs.SetFromUserInput(crs.toWkt(crs.WktVariant.WKT_PREFERRED))
    return srs


def _unplaced(name: str, dataset: gdal.Dataset | None) -> str:
    if dataset is not None and is_placed(dataset):
        return translate(
            "Scene", "“{name}” has no CRS. Set it (right-click the layer, Layer CRS), then try again."
        ).format(name=name)
    return translate(
        "Scene", "“{name}” has no georeferencing. Georeference the file first (Layer, Georeferencer)."
    ).format(name=name)


def _acquired(layer: QgsRasterLayer, dataset: gdal.Dataset | None) -> Acquisition | None:
    tags = dataset.GetMetadata() if dataset is not None else {}
    # The layer's name first: the source may begin with a folder's date.
    by_name = acquisition(tags, layer.name())
    return (
        by_name if by_name and by_name.certain else acquisition(tags, _file_name(layer.source())) or by_name
    )


def _file_name(source: str) -> str:
    """What comes last in a source: of a subdataset or an archive, the file it lies in too."""
    return "/".join(source.replace("\\", "/").split("|")[0].rsplit("/", 2)[-2:])
