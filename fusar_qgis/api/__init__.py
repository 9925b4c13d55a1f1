"""For the Python console, scripts and other plugins: the state of the backend, interpretations and searches.

``from fusar_qgis import api``, in the GUI thread of a QGIS in which the plugin is enabled. What ``__all__`` names stays
as it is from version to version; docs/python.md has examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsRasterLayer, QgsRectangle

from ..connection.backend import Backend
from ..connection.backend_status import BackendStatus, ask_status, choice_and_status
from ..connection.child import ChildBackend
from ..connection.network_consent import may_fetch
from ..contract import (
    AUTO_PRIOR,
    Finding,
    Found,
    SaidQuantity,
    SearchRequest,
    Task,
    read_boxes,
    read_outline,
)
from ..contract.geometry import read_example
from ..core.request import LayerRequest
from ..layers.scene import SceneError, crs_text, geojson, geojson_features, scene_of
from ..translation import translate
from .backend_run import cancel_all
from .interpretation import Interpretation
from .search import Search

__all__ = ["BackendStatus", "Finding", "Found", "Interpretation", "Search", "interpret", "search", "status"]


@dataclass(frozen=True)
class _Loaded:
    """What the plugin lends while it is loaded."""

    backend: Backend
    child: ChildBackend


_loaded: _Loaded | None = None


def status() -> BackendStatus:
    """Return what is there of a backend, within three seconds; nothing is started, and nobody else is asked.

    Raises:
        RuntimeError: The plugin is not enabled.
    """
    child = _its_plugin().child
    choice, known = choice_and_status(child)
    return known if choice is None else ask_status(choice, child, known)


def interpret(
    layer: QgsRasterLayer,
    area: QgsGeometry | QgsRectangle | None = None,
    *,
    area_crs: QgsCoordinateReferenceSystem | None = None,
    task: str = "detect",
    targets: Sequence[str] = (),
    question: str | None = None,
    boxes: Sequence[QgsGeometry] = (),
    prior: str | Path = AUTO_PRIOR,
    prior_network: bool | None = None,
    allow_no_prior: bool = False,
    year: int | None = None,
    band: int | None = None,
    quantity: SaidQuantity | None = None,
    scale: float | None = None,
    ground_m: float | None = None,
    model: str | None = None,
) -> Interpretation:
    """Start an interpretation and return at once, before any of its signals.

    Args:
        layer: The scene, in a project or not.
        area: Polygons or a rectangle in ``area_crs``, x (east) before y; None: the whole scene, or the boxes.
        area_crs: Of the area and the boxes; None: the CRS of ``layer``.
        task: ``detect``, ``locate``, ``count``, ``describe``, ``ask`` or ``classify``.
        targets: The classes to look for; empty: all that the model knows.
        question: In your own words, for ``ask``.
        boxes: Polygons around the objects to classify.
        prior: ``auto``, ``none``, ``cog``, ``earth-engine``, or a file; a server elsewhere is sent it, or has it.
        prior_network: Whether the prior may be fetched from the network; None: as answered in the options.
        allow_no_prior: Go on without a prior where none can be had.
        year: Of the prior; None: the scene's.
        band: Counted from 1; None: the one on the screen.
        quantity: What the band's numbers are: ``power``, ``amplitude``, ``db``, ``grey``; None: judged.
        scale: What the stored numbers are multiplied by; None: as the file states.
        ground_m: Ground side of a chip in metres; None: as the model was trained.
        model: A name that the backend offers; None: the one it runs.

    Raises:
        RuntimeError: The plugin is not enabled.
        ValueError: The layer, the area or the question cannot be used; the message says why and what to do.
    """
    loaded = _its_plugin()
    try:
        scene = scene_of(layer)
    except SceneError as error:
        raise ValueError(str(error)) from error
    crs = area_crs or layer.crs()
    outline = QgsGeometry.fromRect(area) if isinstance(area, QgsRectangle) else area
    needed = outline if outline is not None or not boxes else QgsGeometry.unaryUnion(list(boxes))
    request = LayerRequest(
        scene="",  # known once the backend is
        task=Task(task),
        targets=tuple(targets),
        area=None if outline is None else read_outline(geojson(outline)),
        area_crs=crs_text(crs),
        question=question,
        boxes=read_boxes(geojson_features(boxes)) if boxes else None,
        model=model,
        prior=str(Path(prior).absolute() if Path(prior).is_file() else prior),
        prior_network=may_fetch() if prior_network is None else prior_network,
        allow_no_prior=allow_no_prior,
        year=year,
        band=scene.band if band is None else band,
        quantity=quantity,
        scale=scale,
        ground_m=ground_m,
        layer_id=layer.id(),
        network_settled=True,
    )
    started = Interpretation(loaded.backend, layer, request, needed)
    started.start()
    return started


def search(
    layer: QgsRasterLayer,
    text: str | Sequence[str] = (),
    *,
    like: Sequence[QgsGeometry] = (),
    unlike: Sequence[QgsGeometry] = (),
    area: QgsGeometry | QgsRectangle | None = None,
    crs: QgsCoordinateReferenceSystem | None = None,
    top: int = 20,
    encoder: str | None = None,
    ground_m: float | None = None,
    explain: bool = False,
    heat: bool = True,
    band: int | None = None,
    quantity: SaidQuantity | None = None,
    scale: float | None = None,
) -> Search:
    """Start a search for words or examples and return at once, before any of its signals.

    Args:
        layer: The scene, in a project or not.
        text: What to find, in your own words; several texts are averaged.
        like: Points or polygons in ``crs`` that show what to find, x (east) before y.
        unlike: Likewise, what is not meant.
        area: Polygons or a rectangle in ``crs``: where to look; None: the whole scene.
        crs: Of the examples and the area; None: the CRS of ``layer``.
        top: How many places to find at most.
        encoder: What compares images and texts: a name that the backend offers; None: its default.
        ground_m: Ground side of a place in metres; None: as the encoder was trained.
        explain: Say of each place which of the encoder's words for it are those of the text.
        heat: Make a heat map of the whole scene.
        band: Counted from 1; None: the one on the screen.
        quantity: What the band's numbers are: ``power``, ``amplitude``, ``db``, ``grey``; None: judged.
        scale: What the stored numbers are multiplied by; None: as the file states.

    Raises:
        RuntimeError: The plugin is not enabled.
        ValueError: The layer or an example cannot be used, or there is nothing to look for; the message says why.
    """
    loaded = _its_plugin()
    try:
        scene = scene_of(layer)
    except SceneError as error:
        raise ValueError(str(error)) from error
    outline = QgsGeometry.fromRect(area) if isinstance(area, QgsRectangle) else area
    crs_name = crs_text(crs or layer.crs())
    request = SearchRequest(
        scene="",  # known once the backend is
        texts=(text,) if isinstance(text, str) else tuple(text),
        like=tuple(read_example(geojson(one)) for one in like),
        unlike=tuple(read_example(geojson(one)) for one in unlike),
        examples_crs=crs_name,
        area=None if outline is None else read_outline(geojson(outline)),
        area_crs=crs_name,
        top=top,
        encoder=encoder,
        ground_m=() if ground_m is None else (ground_m,),
        explain=explain,
        heat=heat,
        band=scene.band if band is None else band,
        quantity=quantity,
        scale=scale,
    )
    # Of an example, also what lies around it is needed, as far as the encoder looks.
    started = Search(loaded.backend, layer, request, None if like or unlike else outline)
    started.start()
    return started


def attach(backend: Backend, child: ChildBackend) -> None:
    """Lend the plugin's backend, for the plugin alone."""
    global _loaded
    _loaded = _Loaded(backend, child)


def detach() -> None:
    """Cancel what runs, for the plugin alone: it is unloaded."""
    global _loaded
    cancel_all()
    _loaded = None


def _its_plugin() -> _Loaded:
    if _loaded is None:
        raise RuntimeError(
            translate("Api", "The FUSAR-GPT plugin is not enabled. Enable it in the plugin manager first.")
        )
    return _loaded
