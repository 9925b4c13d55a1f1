"""Prepare training chips: cut a raster and its truth polygons into records that fusar-train reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateTransform,
    QgsFeature,
    QgsPointXY,
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterBand,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ..core.export import file_stem
from ..layers.features import value_of
from ..layers.sar_file import SarFile, write_png
from ..layers.scene import SceneError, scene_of
from ..translation import QT_TRANSLATE_NOOP, translate
from .base import TRAINING, FusarAlgorithm
from .parameters import QUANTITY, SCALE, numbers, with_help

RASTER, BAND, TRUTH, LABEL, FINE = "INPUT", "BAND", "TRUTH", "LABEL_FIELD", "FINE_FIELD"
SIZE, EMPTY, COMPLETE, DATASET, LICENCE = "SIZE", "KEEP_EMPTY", "COMPLETE", "DATASET", "LICENCE"
SENSOR, OUTPUT = "SENSOR", "OUTPUT"
_ATTEMPT = ".partial"


class PrepareChips(FusarAlgorithm):
    """A raster and a truth layer in, a folder of records out."""

    NAME = "preparechips"
    TITLE = QT_TRANSLATE_NOOP("Processing", "Prepare training chips")
    HELP = QT_TRANSLATE_NOOP(
        "Processing",
        "Cuts a raster into chips, in the grey that the model sees, with the boxes of a layer of known "
        "objects: a folder of records (docs/training-data.md). All chips of a raster are one scene, so "
        "that none leaks into another split. Then, in a terminal: “fusar-train data derive FOLDER --out "
        "CHIPS” makes the questions and answers.",
    )
    GROUP = TRAINING
    TAGS = ("dataset", "chip", "tile", "label", "truth", "records", "jsonl", "fine-tuning")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802 - QGIS's name
        """Declare the parameters and outputs."""
        polygons = [QgsProcessing.SourceType.TypeVectorPolygon]
        integer = QgsProcessingParameterNumber.Type.Integer
        for parameter in (
            with_help(
                QgsProcessingParameterRasterLayer(RASTER, translate("Processing", "SAR raster")),
                translate(
                    "Processing",
                    "A file on this computer; its numbers become the grey that the model sees.",
                ),
            ),
            with_help(
                QgsProcessingParameterBand(
                    BAND, translate("Processing", "Band"), parentLayerParameterName=RASTER, optional=True
                ),
                translate("Processing", "Empty: VV, else HH, else the first."),
            ),
            *numbers(),
            with_help(
                QgsProcessingParameterFeatureSource(
                    TRUTH, translate("Processing", "Truth polygons"), polygons
                ),
                translate(
                    "Processing",
                    "A polygon around each known object, in any CRS; its bounds in pixels become the box.",
                ),
            ),
            with_help(
                QgsProcessingParameterField(
                    LABEL, translate("Processing", "Field of the class"), parentLayerParameterName=TRUTH
                ),
                translate(
                    "Processing",
                    "The class of each polygon, such as ship; an empty one is an error.",
                ),
            ),
            with_help(
                QgsProcessingParameterField(
                    FINE,
                    translate("Processing", "Field of the finer class"),
                    parentLayerParameterName=TRUTH,
                    optional=True,
                ),
                translate(
                    "Processing",
                    "Such as the type of a ship, where that is known.",
                ),
            ),
            with_help(
                QgsProcessingParameterNumber(
                    SIZE, translate("Processing", "Side of a chip in pixels"), integer, 1008, minValue=16
                ),
                translate(
                    "Processing",
                    "About: the raster is cut into the fewest equal chips of this size.",
                ),
            ),
            with_help(
                QgsProcessingParameterBoolean(
                    EMPTY, translate("Processing", "Keep chips without objects"), True
                ),
                translate(
                    "Processing",
                    "They teach that there may be nothing.",
                ),
            ),
            with_help(
                QgsProcessingParameterBoolean(
                    COMPLETE, translate("Processing", "Every object of these classes is marked"), True
                ),
                translate("Processing", "Without this, no chip can teach how many there are, or none."),
            ),
            with_help(
                QgsProcessingParameterString(
                    DATASET, translate("Processing", "Name of the data set"), "qgis", optional=False
                ),
                translate(
                    "Processing",
                    "It begins the id of every record.",
                ),
            ),
            with_help(
                QgsProcessingParameterString(SENSOR, translate("Processing", "Sensor"), optional=True),
                translate(
                    "Processing",
                    "Such as Sentinel-1; kept in every record.",
                ),
            ),
            with_help(
                QgsProcessingParameterString(LICENCE, translate("Processing", "Licence"), optional=True),
                translate(
                    "Processing",
                    "What may be done with the data; kept in every record.",
                ),
            ),
            with_help(
                QgsProcessingParameterFolderDestination(OUTPUT, translate("Processing", "Folder of records")),
                translate(
                    "Processing",
                    "A new folder: records.jsonl and the images. An old one is never overwritten.",
                ),
            ),
        ):
            self.addParameter(parameter)
        self.addOutput(QgsProcessingOutputNumber("CHIPS", translate("Processing", "Number of chips")))
        self.addOutput(QgsProcessingOutputNumber("OBJECTS", translate("Processing", "Number of objects")))

    def prepareAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> bool:
        """Find the raster's file in the GUI thread."""
        try:
            self._path = str(scene_of(self.parameterAsRasterLayer(parameters, RASTER, context)).path or "")
        except SceneError as error:
            raise QgsProcessingException(str(error)) from error
        if not self._path:
            raise QgsProcessingException(
                translate(
                    "Processing", "The raster is not a file on this computer. Save it as a GeoTIFF first."
                )
            )
        return True

    def processAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Write the records beside their place and move them there when all are complete."""
        folder = Path(self.parameterAsString(parameters, OUTPUT, context))
        if folder.exists() and any(folder.iterdir()):
            raise QgsProcessingException(
                translate("Processing", "{folder} is there already: name a new folder.").format(folder=folder)
            )
        partial = folder.with_name(folder.name + _ATTEMPT)
        try:
            shutil.rmtree(partial, ignore_errors=True)
            (partial / "images").mkdir(parents=True)
            counts = self._write(parameters, context, feedback, partial)
            if feedback.isCanceled():
                return {}
            if not counts["CHIPS"]:
                raise QgsProcessingException(translate("Processing", "No object lies on the raster."))
            if folder.exists():
                folder.rmdir()
            partial.rename(folder)
        except SceneError as error:
            raise QgsProcessingException(str(error)) from error
        except OSError as error:
            raise QgsProcessingException(
                translate("Processing", "{folder} cannot be written: {reason}").format(
                    folder=folder, reason=error.strerror or error
                )
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return {OUTPUT: str(folder), **counts}

    def _write(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
        folder: Path,
    ) -> dict[str, int]:
        band = self.parameterAsInt(parameters, BAND, context) if parameters.get(BAND) else None
        quantity = self.parameterAsEnumString(parameters, QUANTITY, context) or None
        scale = self.parameterAsDouble(parameters, SCALE, context) if parameters.get(SCALE) else None
        raster = SarFile(self._path, band, quantity, scale)
        objects = list(self._objects(parameters, context, raster))
        size = self.parameterAsInt(parameters, SIZE, context)
        empty = self.parameterAsBool(parameters, EMPTY, context)
        stem = file_stem(Path(self._path).stem)
        about = self._about(parameters, context, raster, objects)
        windows = _windows(raster.width, raster.height, size)
        counts = {"CHIPS": 0, "OBJECTS": 0}
        with (folder / "records.jsonl").open("w", encoding="utf-8") as stream:
            for number, (col, row, width, height) in enumerate(windows):
                if feedback.isCanceled():
                    break
                here = [
                    _moved(one, col, row) for one in objects if _meets(one["box"], col, row, width, height)
                ]
                if here or empty:
                    name = f"{stem}_{row}_{col}"
                    write_png(folder / "images" / f"{name}.png", raster.grey(col, row, width, height))
                    record = {
                        "id": f"{about['dataset']}/{name}",
                        "image": f"images/{name}.png",
                        "objects": here,
                        "scene": stem,
                        "provenance": {**about, "cut": [col, row, width, height]},
                    }
                    stream.write(json.dumps(record, ensure_ascii=False) + "\n")
                    counts["CHIPS"] += 1
                    counts["OBJECTS"] += len(here)
                feedback.setProgress(100 * (number + 1) / len(windows))
        return counts

    def _about(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        raster: SarFile,
        objects: list[dict[str, Any]],
    ) -> dict[str, Any]:
        about: dict[str, Any] = {
            "dataset": file_stem(self.parameterAsString(parameters, DATASET, context)),
            "licence": self.parameterAsString(parameters, LICENCE, context) or None,
            "sensor": self.parameterAsString(parameters, SENSOR, context) or None,
            "pixel_m": raster.pixel_m(),
            "simulated": raster.simulated or None,
            "from": Path(self._path).name,
        }
        if self.parameterAsBool(parameters, COMPLETE, context):
            about["complete"] = sorted({one["label"] for one in objects})
        return {name: value for name, value in about.items() if value is not None}

    def _objects(
        self, parameters: dict[str, Any], context: QgsProcessingContext, raster: SarFile
    ) -> Iterator[dict[str, Any]]:
        """Yield the truth as the record's objects, with boxes in pixels of the raster."""
        source = self.parameterAsSource(parameters, TRUTH, context)
        label = self.parameterAsString(parameters, LABEL, context)
        fine = self.parameterAsString(parameters, FINE, context)
        transform = QgsCoordinateTransform(source.sourceCrs(), raster.crs, context.transformContext())
        for feature in source.getFeatures():
            box = _box(feature, transform, raster)
            said = _text(feature, label)
            if box is None:
                continue
            if not said:
                raise QgsProcessingException(
                    translate("Processing", "Feature {id} has no class in the field {field}.").format(
                        id=feature.id(), field=label
                    )
                )
            found: dict[str, Any] = {"box": box, "label": said}
            if fine and _text(feature, fine):
                found["fine"] = _text(feature, fine)
            yield found


def _windows(width: int, height: int, size: int) -> list[tuple[int, int, int, int]]:
    """Return (col, row, width, height) of the fewest equal windows of about ``size`` that cover a raster."""
    across, down = max(-(-width // size), 1), max(-(-height // size), 1)
    cols = [width * number // across for number in range(across + 1)]
    rows = [height * number // down for number in range(down + 1)]
    return [
        (cols[x], rows[y], cols[x + 1] - cols[x], rows[y + 1] - rows[y])
        for y in range(down)
        for x in range(across)
    ]


def _box(feature: QgsFeature, transform: QgsCoordinateTransform, raster: SarFile) -> list[float] | None:
    """Return left, top, right, bottom in pixels; None where the feature is not on the raster."""
    geometry = feature.geometry()
    if geometry.isEmpty():
        return None
    geometry.transform(transform)
    corners = raster.to_pixel([QgsPointXY(vertex) for vertex in geometry.vertices()])
    if not corners:
        return None
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    box = [min(xs), min(ys), max(xs), max(ys)]
    return box if _meets(box, 0, 0, raster.width, raster.height) else None


def _meets(box: list[float], col: int, row: int, width: int, height: int) -> bool:
    left, top, right, bottom = box
    return left < col + width and right > col and top < row + height and bottom > row


def _moved(found: dict[str, Any], col: int, row: int) -> dict[str, Any]:
    left, top, right, bottom = found["box"]
    return {**found, "box": [left - col, top - row, right - col, bottom - row]}


def _text(feature: QgsFeature, field: str) -> str:
    value = value_of(feature, field)
    return "" if value is None else str(value).strip()
