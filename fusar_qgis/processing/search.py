"""Search a raster by words or by examples: ranked places and a heat map out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsFeatureRequest,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingOutputNumber,
)

from .. import compat
from ..connection.backend import BackendChoice, ChoiceError
from ..connection.blocking_client import BlockingClient, Stopped
from ..connection.child import ChildBackend
from ..connection.diagnosis import RequestError
from ..contract import PLACES, Finished, JobEvent, Progress, SearchRequest, read_outline
from ..contract.geometry import Example, read_example
from ..contract.search import MAX_EXAMPLES, MAX_TEXTS
from ..layers.clipping import ClipError
from ..layers.features import fields_of
from ..layers.heat_map import style_heat, write_heat
from ..layers.scene import SceneError, crs_text, geojson
from ..layers.storage import storable
from ..layers.wording import findings_in_words, run_caveats, time_left
from ..translation import QT_TRANSLATE_NOOP, translate, translate_count
from . import parameters as declared
from .base import FusarAlgorithm
from .batch import send_scene
from .items import OpenScene, open_scene, raster_sources
from .parameters import RASTERS
from .results import COLUMNS, FindingsSink, LayerPostProcessor, provenance_lines, style_findings
from .search_parameters import AREA, ENCODER, HEAT, LIKE, OUTPUT, TEXT, TOP, UNLIKE, how, outputs, what

FOUND = "FOUND"
_TRUSTED_S = 2.0


class Search(FusarAlgorithm):
    """A raster, words and examples in; the places most like them out."""

    NAME = "search"
    TITLE = QT_TRANSLATE_NOOP("Processing", "Search by words or by example")
    HELP = QT_TRANSLATE_NOOP(
        "Processing",
        "Finds the places of a SAR raster that are most like a text, or like other places: the best first, with the "
        "share of the scene that is less like it. The similarity ranks and says nothing by itself: the best place may "
        "still show nothing of what you look for. The first search of a raster indexes it, which takes a while; the "
        "index is kept, also that of a search that was stopped. Give the places to “Interpret areas”, “Count objects” "
        "or another algorithm as its areas, and the model looks at these only. The bundled encoder is a demonstration "
        "and knows few words; what it does not know is said.",
    )
    TAGS = ("search", "find", "retrieval", "similarity", "text", "example", "heat map", "KLIP", "CLIP")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802 - QGIS's name
        """Declare the parameters and outputs."""
        for parameter in (*what(), *how(), *outputs()):
            self.addParameter(parameter)
        self.addOutput(QgsProcessingOutputNumber(FOUND, translate("Processing", "Number of places")))

    def checkParameterValues(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        """There must be something to look for; a heat map is a GeoTIFF."""
        fine, reason = super().checkParameterValues(parameters, context)
        if not fine:
            return fine, reason
        texts = self._texts(parameters, context)
        if not texts and not parameters.get(LIKE):
            return False, translate(
                "Processing", "Write what to find, or give a layer with places that are like it."
            )
        if len(texts) > MAX_TEXTS:
            return False, translate_count("Processing", "At most %n text(s), one in a line.", MAX_TEXTS)
        heat = parameters.get(HEAT)
        if isinstance(heat, QgsProcessingOutputLayerDefinition):
            heat = heat.sink.staticValue()
        if not declared.is_temporary(heat) and Path(str(heat)).suffix.lower() not in (".tif", ".tiff"):
            return False, translate("Processing", "Name a file for the heat map that ends in .tif.")
        return fine, reason

    def prepareAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> bool:
        """Read what only the GUI thread may: the settings, and which layer is which file."""
        (self._raster, *_) = raster_sources(parameters, RASTERS, context)
        self._child: ChildBackend = self.provider().child
        try:
            self._choice = BackendChoice.of_settings()
        except ChoiceError as error:
            raise QgsProcessingException(str(error)) from error
        return True

    def processAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Search, then write what was found."""
        self._heat = self.parameterAsOutputLayer(
            parameters, HEAT, context
        )  # once: it names a new file each time
        try:
            scene = self._open()
            request, needed = self._request(parameters, context, scene)
            finished = self._search(request, scene, needed, feedback)
        except Stopped:
            return {}
        except (RequestError, ClipError) as error:
            raise QgsProcessingException(str(error)) from error
        run = finished.run.record()
        feedback.pushInfo(f"{scene.name}: {run_caveats(run)}\n{provenance_lines(run)}")
        for warning in finished.run.warnings:
            feedback.pushWarning(warning)
        said = findings_in_words({PLACES: len(finished.findings)})
        feedback.pushInfo(", ".join(said) or translate("Processing", "nothing found"))
        places = self._write_places(parameters, context, finished, scene)
        heat = self._write_heat(context, finished)
        return {OUTPUT: places, **heat, FOUND: len(finished.findings)}

    def _open(self) -> OpenScene:
        try:
            return open_scene(self._raster)
        except (SceneError, OSError) as error:
            raise QgsProcessingException(f"{self._raster.source}: {error}") from error

    def _request(
        self, parameters: dict[str, Any], context: QgsProcessingContext, scene: OpenScene
    ) -> tuple[SearchRequest, QgsGeometry | None]:
        """Return the request, and what of the scene it needs in its CRS; None is all of it."""
        like, unlike = (
            tuple(_examples_of(self._shapes(parameters, name, context, scene.crs))) for name in (LIKE, UNLIKE)
        )
        if len(like) > MAX_EXAMPLES or len(unlike) > MAX_EXAMPLES:
            raise QgsProcessingException(
                translate_count(
                    "Processing", "At most %n example(s): select some of the layer's features.", MAX_EXAMPLES
                )
            )
        if not like and not self._texts(parameters, context):
            raise QgsProcessingException(translate("Processing", "The layer of examples is empty."))
        shapes = self._shapes(parameters, AREA, context, scene.crs)
        area = QgsGeometry.unaryUnion(shapes) if shapes else None
        if area is None and parameters.get(AREA):
            raise QgsProcessingException(translate("Processing", "The layer of the area is empty."))
        ground = self.parameterAsDouble(parameters, declared.GROUND, context)
        scale = self.parameterAsDouble(parameters, declared.SCALE, context)
        request = SearchRequest(
            scene="",  # known once the backend is
            texts=self._texts(parameters, context),
            like=like,
            unlike=unlike,
            examples_crs=crs_text(scene.crs),
            area=None if area is None else read_outline(geojson(area)),
            area_crs=crs_text(scene.crs),
            top=self.parameterAsInt(parameters, TOP, context),
            encoder=self.parameterAsString(parameters, ENCODER, context).strip() or None,
            ground_m=(ground,) if parameters.get(declared.GROUND) not in (None, "") else (),
            heat=bool(self._heat),
            band=self.parameterAsInt(parameters, declared.BAND, context) or None,
            quantity=self.parameterAsEnumString(parameters, declared.QUANTITY, context) or None,
            scale=scale if parameters.get(declared.SCALE) not in (None, "") else None,
        )
        # Of an example, also what lies around it is needed, as far as the encoder looks.
        return request, None if like or unlike else area

    def _texts(self, parameters: dict[str, Any], context: QgsProcessingContext) -> tuple[str, ...]:
        lines = self.parameterAsString(parameters, TEXT, context).splitlines()
        return tuple(line.strip() for line in lines if line.strip())

    def _shapes(
        self,
        parameters: dict[str, Any],
        name: str,
        context: QgsProcessingContext,
        crs: QgsCoordinateReferenceSystem,
    ) -> list[QgsGeometry]:
        """Return the geometries of a layer in ``crs``."""
        source = self.parameterAsSource(parameters, name, context)
        if source is None:
            return []
        if not source.sourceCrs().isValid():
            raise QgsProcessingException(
                translate(
                    "Processing",
                    "The layer of the examples or of the area has no CRS. Set it in the layer's properties.",
                )
            )
        move = QgsCoordinateTransform(source.sourceCrs(), crs, context.transformContext())
        features = source.getFeatures(QgsFeatureRequest().setNoAttributes())
        shapes = [feature.geometry() for feature in features if feature.hasGeometry()]
        try:
            for shape in shapes:
                shape.transform(move)
        except QgsCsException as error:
            raise QgsProcessingException(
                translate(
                    "Processing", "An example or the area lies where the CRS of the raster does not reach."
                )
            ) from error
        return shapes

    def _search(
        self,
        request: SearchRequest,
        scene: OpenScene,
        needed: QgsGeometry | None,
        feedback: QgsProcessingFeedback,
    ) -> Finished:
        """Have the backend search. Raises Stopped, RequestError and ClipError."""
        with BlockingClient(self._choice, self._child, feedback.isCanceled) as client:
            known = send_scene(client, scene, needed, scene.crs, feedback)
            job = client.start_search({**request.to_json(), "scene": known})
            job.received.connect(partial(_report, feedback, time.monotonic()))
            try:
                client.wait_for(job)
            except Stopped:
                job.cancel()
                feedback.pushInfo(
                    translate("Processing", "Cancelled. What is indexed by now is kept for the next search.")
                )
                raise
            if job.end is not None and job.end.status != "successful":
                stopped = translate("Processing", "somebody else cancelled it on the backend")
                raise QgsProcessingException(job.end.message or stopped)
            finished = client.finished(job.id)
            client.client.dismiss(job.id)  # the backend need not keep what is here
            return finished

    def _write_places(
        self, parameters: dict[str, Any], context: QgsProcessingContext, finished: Finished, scene: OpenScene
    ) -> str:
        crs = storable(scene.crs)
        fields = fields_of(COLUMNS[PLACES])
        sink, layer = self.parameterAsSink(parameters, OUTPUT, context, fields, compat.MULTIPOLYGON, crs)
        if sink is None:
            raise QgsProcessingException(self.invalidSinkError(parameters, OUTPUT))
        places = FindingsSink(PLACES, sink, layer, crs, context)
        for place in finished.findings:
            places.add(place, scene.name, None)
        LayerPostProcessor.plan(
            layer, context, partial(style_findings, PLACES, set(), [finished.run.record()])
        )
        return str(layer)

    def _write_heat(self, context: QgsProcessingContext, finished: Finished) -> dict[str, str]:
        path = self._heat
        if not path or finished.heat is None:
            return {}
        try:
            write_heat(finished.heat, Path(path))
        except OSError as error:
            text = translate("Processing", "The heat map cannot be written: {reason}. Choose another place.")
            raise QgsProcessingException(text.replace("{reason}", error.strerror or str(error))) from error
        LayerPostProcessor.plan(path, context, style_heat)
        return {HEAT: path}


def _examples_of(shapes: list[QgsGeometry]) -> Iterator[Example]:
    """Yield what shapes show; of several points each for itself."""
    for shape in map(geojson, shapes):
        points = shape["coordinates"] if shape["type"] == "MultiPoint" else []
        for part in [{"type": "Point", "coordinates": point} for point in points] or [shape]:
            yield read_example(part)


def _report(feedback: QgsProcessingFeedback, began: float, event: JobEvent) -> None:
    """Say how much of the raster is indexed, and how long the rest takes."""
    if not isinstance(event, Progress) or not event.total:
        return
    feedback.setProgress(100 * event.done / event.total)
    text = translate("Processing", "{done} of {total} parts of the raster are indexed").format(
        done=event.done, total=event.total
    )
    spent = time.monotonic() - began
    if event.done and spent > _TRUSTED_S:
        text += f" ({time_left(spent * (event.total - event.done) / event.done)})"
    feedback.setProgressText(text)
