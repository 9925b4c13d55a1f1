"""What a search leaves in the project: a group with the ranked places and, below them, the heat map of the scene."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from qgis.core import QgsLayerTree, QgsLayerTreeGroup, QgsProject, QgsRasterLayer, QgsVectorLayer
from qgis.PyQt import sip

from ..background import BackgroundTask
from ..contract import PLACES, Finished, Found
from . import findings_layer, storage
from .heat_map import heat_layer, heat_layers, keep_heat_beside, write_heat
from .run_groups import group_name
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
        instead_of: QgsLayerTreeGroup | None = None,
        began: float | None = None,
    ) -> None:
        """As :func:`add_places`; ``instead_of`` as in :func:`replace_places`."""
        project = QgsProject.instance()
        super().__init__(finished.run.record(), project, scene, dict(request or {}), began=began)
        self.places: QgsVectorLayer | None = None
        self.heat: QgsRasterLayer | None = None
        self._title, self._heat_map = title, finished.heat
        self._old = [] if instead_of is None else _of_searches(instead_of)
        self._reused = instead_of
        self.settled.connect(self._remove_old)
        self.add(Found(finished.findings))
        self.finish(finished.run.warnings)

    @property
    def group(self) -> QgsLayerTreeGroup | None:
        """Their group in the Layers panel."""
        return None if self._group is None or sip.isdeleted(self._group) else self._group


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
        finished, title, request, began: As for :func:`add_places`; without a title the group is named as a new one.
        scene: As for :func:`add_places`; empty: as of the earlier search.
    """
    group, layer = _group_and_layer(shown)
    if layer is not None and not scene:
        scene = str(layer.customProperty(findings_layer.SCENE_PROPERTY) or "")
    return PlaceLayers(finished, title, scene, request, instead_of=group, began=began)
