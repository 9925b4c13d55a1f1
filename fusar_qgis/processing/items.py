"""The rasters of a batch, and its items: one job for each scene and area."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCoordinateTransformContext,
    QgsCsException,
    QgsGeometry,
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingUtils,
    QgsProperty,
    QgsRasterLayer,
)

from ..contract import FeatureCollection, InterpretRequest, Task, read_outline
from ..core.journal import key_of
from ..layers.scene import SceneError, crs_text, geojson, original_of, scene_of
from ..translation import translate

BOXES_AT_ONCE = 100


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
        layer = original_of(layer) or layer
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
                "Processing",
                "it cannot be opened: the file is missing, damaged or not a raster. Check the file.",
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


@dataclass(frozen=True)
class Place:
    """A feature of the layer of areas, or of boxes; ``geometry`` is in the layer's CRS."""

    id: int
    geometry: QgsGeometry


@dataclass(frozen=True)
class BatchItem:
    """One job.

    Attributes:
        scene: The scene.
        places: The area; or the boxes to classify; nothing means the whole scene.
        crs: CRS of the places.
        asked: The fields of the request but for ``scene``, ``area`` and ``boxes``.
    """

    scene: OpenScene
    places: tuple[Place, ...]
    crs: QgsCoordinateReferenceSystem
    asked: dict[str, Any]

    @property
    def name(self) -> str:
        """How the log calls it."""
        if not self.places:
            return self.scene.name
        ids = f"{self.places[0].id}" + (f" to {self.places[-1].id}" if len(self.places) > 1 else "")
        return f"{self.scene.name}, {ids}"

    @property
    def weight(self) -> int:
        """How much of the batch it is."""
        return max(len(self.places), 1)

    @property
    def area(self) -> int | None:
        """The id of the area's feature; None for a whole scene."""
        return self.places[0].id if self.places else None

    def request(self, scene: str) -> InterpretRequest:
        """Return the request; ``scene`` is what the backend knows the scene by."""
        where: dict[str, Any] = {}
        if self.places:
            shapes = tuple(read_outline(geojson(place.geometry)) for place in self.places)
            is_boxes = self.asked["task"] is Task.CLASSIFY
            where = {"boxes": FeatureCollection.of(shapes)} if is_boxes else {"area": shapes[0]}
            where["area_crs"] = crs_text(self.crs)
        return InterpretRequest(scene=scene, **self.asked, **where)

    def key(self, backend: Sequence[str]) -> str:
        """Return what names this item in the journal, for answers of ``backend``: its version and model."""
        return key_of([list(backend), self.scene.identity, self.request("").to_json()])

    def halves(self) -> tuple[BatchItem, BatchItem]:
        """Return two items with half of the boxes each."""
        middle = len(self.places) // 2
        return replace(self, places=self.places[:middle]), replace(self, places=self.places[middle:])


def items_of(
    scenes: Sequence[OpenScene],
    places: Sequence[Place],
    crs: QgsCoordinateReferenceSystem,
    asked: dict[str, Any],
    transforms: QgsCoordinateTransformContext,
) -> list[BatchItem]:
    """Return the items for the places that touch the bounds of each scene.

    Without ``crs`` every scene is one item. An area is looked at on every scene, a box on the first that has it.
    """
    if not crs.isValid():
        return [BatchItem(scene, (), crs, asked) for scene in scenes]
    found = []
    size, left = 1, list(places)
    for scene in scenes:
        transform = QgsCoordinateTransform(crs, scene.crs, transforms)
        near = [place for place in left if _touches(place.geometry, transform, scene.outline)]
        if asked["task"] is Task.CLASSIFY:
            size, taken = BOXES_AT_ONCE, {place.id for place in near}
            left = [place for place in left if place.id not in taken]
        for start in range(0, len(near), size):
            found.append(BatchItem(scene, tuple(near[start : start + size]), crs, asked))
    return found


def _touches(geometry: QgsGeometry, transform: QgsCoordinateTransform, outline: QgsGeometry) -> bool:
    moved = QgsGeometry(geometry)
    try:
        moved.transform(transform)
    except QgsCsException:
        return False  # it lies where the scene's CRS does not reach
    return bool(moved.intersects(outline))
