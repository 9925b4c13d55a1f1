"""What a search leaves in the project: a group with the ranked places and, below them, the heat map of the scene."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsLayerTreeGroup,
    QgsMapLayer,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QTimer

from ..background import BackgroundTask
from ..contract import PLACES, Finished, Found, HeatMap
from ..translation import translate
from . import storage
from .findings_layer import KIND_PROPERTY, SCENE_PROPERTY, findings_layers, heat_layers, run_of
from .heat_map import heat_layer, move_heat, write_first
from .run_groups import group_name, is_hidden_for_a_while
from .run_layers import RunLayers
from .wording import run_caveats

_HEAT = "heat"


class PlaceLayers(RunLayers):
    """Puts the places of a search and its heat map into the project; ``settled`` comes once, when all is written.

    It deletes itself a moment later. ``warned`` brings what could not be written, as of any run.

    Attributes:
        places: The layer of the places; None before it is there, and where nothing was found.
        heat: The layer of the heat map; None before it is there, and where there is none.
        group: Their group in the Layers panel; None before it is there.
    """

    def __init__(
        self,
        finished: Finished,
        title: str = "",
        scene: str = "",
        request: Mapping[str, Any] | None = None,
        *,
        instead_of: QgsVectorLayer | None = None,
        began: float | None = None,
    ) -> None:
        """As :func:`add_places`; ``instead_of`` are the places that leave the project when these are there."""
        super().__init__(
            finished.run.record(), QgsProject.instance(), scene, dict(request or {}), began=began
        )
        self.places: QgsVectorLayer | None = self._layers.get(PLACES)  # of a search that is there already
        self.heat: QgsRasterLayer | None = None
        self._title, self._heat_map, self._warned = title, finished.heat, False
        self._old: dict[str, str] = {}
        if instead_of is not None:
            known = str(run_of(instead_of).get("id"))
            self._old = _layers_of_run(known) if known != self.objectName() else {}
            self._group = self._group or _group_of(instead_of)
        self.warned.connect(self._note_warning)
        self.settled.connect(self._remove_old)
        self.add(Found(finished.findings))
        QTimer.singleShot(0, partial(self.finish, finished.run.warnings))  # the caller connects first

    @property
    def group(self) -> QgsLayerTreeGroup | None:
        """Their group in the Layers panel."""
        return None if self._group is None or sip.isdeleted(self._group) else self._group

    def _its_group(self) -> QgsLayerTreeGroup:
        name = f"{self._title} ({run_caveats(self._run)})" if self._title else group_name(self._run)
        group = self.group
        if group is None:
            self._group = group = QgsProject.instance().layerTreeRoot().insertGroup(0, name)
        elif not self._layers:
            group.setName(name)
        return group

    def _add_layer(self, kind: str, layer: QgsVectorLayer) -> None:
        super()._add_layer(kind, layer)
        self.places = layer
        self._look_as_before(layer, kind)
        if self._heat_map is not None:
            paths = _heat_paths(layer, self._temporary)
            work = partial(write_first, self._heat_map, paths)
            task = BackgroundTask(_HEAT, work, (OSError, RuntimeError), quiet=True)
            self._making[_HEAT] = task  # the run is not settled before
            task.over.connect(self._on_heat_written)
            task.start()

    def _on_heat_written(self) -> None:
        source, reason = self._making.pop(_HEAT).result or ("", "")
        if self._over or self._heat_map is None:
            return
        if source:  # else QGIS is being closed
            self._add_heat(self._heat_map, source)
        if reason and not self._warned:
            text = translate(
                "PlaceLayers",
                "The heat map cannot be written: {reason}. It is shown until you close QGIS; the places are kept.",
            )
            self.warned.emit(text.replace("{reason}", reason))
        self._timer.start(0)

    def _add_heat(self, heat: HeatMap, source: str) -> None:
        layer, group, places = heat_layer(source, heat.crs), self.group, self.places
        if not layer.isValid() or group is None or places is None or sip.isdeleted(places):
            return  # the analyst has taken the places off the map meanwhile
        for name, value in {**self._properties, KIND_PROPERTY: _HEAT}.items():
            layer.setCustomProperty(name, value)
        QgsProject.instance().addMapLayer(layer, False)
        if (node := group.insertLayer(len(group.children()), layer)) is not None:  # None while QGIS ends
            node.setExpanded(False)
        self.heat = layer
        self._look_as_before(layer, _HEAT)
        places.dataSourceChanged.connect(partial(_follow, places.id(), layer.id()))

    def _look_as_before(self, layer: QgsMapLayer, kind: str) -> None:
        """Leave a layer unchecked where the analyst has unchecked the one whose place it takes."""
        node, old = (_node(one) for one in (layer.id(), self._old.get(kind, "")))
        if node is not None and old is not None and not old.itemVisibilityChecked():
            node.setItemVisibilityChecked(is_hidden_for_a_while(old))

    def _note_warning(self) -> None:
        self._warned = True

    def _remove_old(self) -> None:
        if self.places is not None:  # else nothing was found: what there was stays
            QgsProject.instance().removeMapLayers(list(self._old.values()))


def add_places(
    finished: Finished,
    title: str = "",
    scene: str = "",
    request: Mapping[str, Any] | None = None,
    *,
    began: float | None = None,
) -> PlaceLayers:
    """Store the places of a search and add them to the project, at the top of the Layers panel.

    The call returns at once: files are written in the background, features in bundles. The places go to the project's
    GeoPackage, else to a temporary one, else they stay in memory; the heat map goes beside them as a GeoTIFF.

    Args:
        finished: A search that has ended: a run whose task is ``search``, its places, its heat map if it has one.
        title: What the group is called, before what is never silent (``demonstration model``); empty: the time, the
            size of the area and the words that were searched for.
        scene: The source of the scene's layer for GDAL, as ``QgsRasterLayer.source()``; thumbnails are cut from it.
        request: The inputs of the search as ``SearchRequest.to_json()``, with ``layer_id``, the scene's layer.
        began: When the search began, by ``time.monotonic``; None: now.

    Returns:
        What puts them there; connect ``warned`` and ``settled`` at once. It is owned by the project.
    """
    return PlaceLayers(finished, title, scene, request, began=began)


def replace_places(
    shown: QgsLayerTreeGroup | QgsVectorLayer,
    finished: Finished,
    title: str = "",
    scene: str = "",
    request: Mapping[str, Any] | None = None,
    *,
    began: float | None = None,
) -> PlaceLayers:
    """Put the places of a refined search where those of an earlier one are shown, in the same group.

    The earlier layers leave the project as soon as the new ones are written; their file keeps them. Where nothing was
    found they stay. A group or layer that is gone by now is no reason to fail: the places get a group of their own.

    Args:
        shown: The group of an earlier search, or its layer of places.
        finished: As for :func:`add_places`.
        title: As for :func:`add_places`; the group is named anew.
        scene: As for :func:`add_places`; empty: as of the earlier search.
        request: As for :func:`add_places`.
        began: As for :func:`add_places`.
    """
    places = _places_of(shown)
    if places is not None and not scene:
        scene = str(places.customProperty(SCENE_PROPERTY) or "")
    return PlaceLayers(finished, title, scene, request, instead_of=places, began=began)


def _places_of(shown: QgsLayerTreeGroup | QgsVectorLayer) -> QgsVectorLayer | None:
    """Return the layer of places that is, or is in, what an analyst sees; None where that is gone."""
    if sip.isdeleted(shown) or isinstance(shown, QgsVectorLayer):
        return None if sip.isdeleted(shown) else shown
    layers = (node.layer() for node in shown.findLayers())
    return next(
        (one for one in layers if one is not None and one.customProperty(KIND_PROPERTY) == PLACES), None
    )


def _layers_of_run(run_id: str) -> dict[str, str]:
    """Return the ids of the layers of a run by kind, with its heat map."""
    project = QgsProject.instance()
    layers: list[QgsMapLayer] = [*findings_layers(project), *heat_layers(project)]
    return {
        str(one.customProperty(KIND_PROPERTY)): one.id()
        for one in layers
        if str(run_of(one).get("id")) == run_id
    }


def _group_of(layer: QgsMapLayer) -> QgsLayerTreeGroup | None:
    """Return the group that a layer is in; None where it is in none."""
    node = _node(layer.id())
    parent = None if node is None else node.parent()
    return None if parent is None or parent.parent() is None else parent


def _node(layer_id: str) -> Any:
    return QgsProject.instance().layerTreeRoot().findLayer(layer_id)


def _heat_paths(places: QgsVectorLayer, *elsewhere: Path) -> list[Path]:
    """Return the files that a heat map may go to, the best first: beside its places. None where these have no file."""
    if places.providerType() != "ogr":
        return []
    file, table = storage.source_of(places)
    name = f"{file.stem}_{table}_heat.tif"
    return list(dict.fromkeys(one.with_name(name) for one in (file, *elsewhere)))


def _follow(places_id: str, heat_id: str) -> None:
    """Move a heat map from a temporary file to where its places are now, as when the project is saved."""
    places, heat = map(QgsProject.instance().mapLayer, (places_id, heat_id))
    if places is None or heat is None or not storage.is_temporary(Path(heat.source())):
        return
    for path in _heat_paths(places)[:1]:
        if not storage.is_temporary(path):
            with suppress(OSError):  # it stays where it is
                move_heat(heat, path)
