"""The main path of a search: open the scene, index it as far as it is asked about, rank its slices, tell the best.

Read :mod:`fusar_gpt.interpret` beside it: both yield the same events, so a search is a run and a job like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from shapely import transform
from shapely.geometry.base import BaseGeometry

from fusar_gpt import __version__
from fusar_gpt.contract import (
    PLACES,
    SEARCH,
    Event,
    Example,
    Finding,
    Finished,
    Found,
    MapPoint,
    Progress,
    Run,
    SceneBox,
    SearchPlan,
    SearchRequest,
    Started,
)
from fusar_gpt.contract.run import Value
from fusar_gpt.errors import AreaError, SceneError
from fusar_gpt.findings.georeference import finding_at
from fusar_gpt.frames import GroundPoints, ScenePoints
from fusar_gpt.imagery import Area, RasterPolicy, Scene, crs_text, open_scene_of, read_chip
from fusar_gpt.imagery.area import known_crs
from fusar_gpt.interpret import RunIdentity
from fusar_gpt.lonlat import transformer
from fusar_gpt.retrieval.encoder import Encoder
from fusar_gpt.retrieval.heat import heat_map
from fusar_gpt.retrieval.index import SceneIndex, fill, scene_index
from fusar_gpt.retrieval.query import TextQuery, query_vector, read_texts
from fusar_gpt.retrieval.ranking import Place, best_places
from fusar_gpt.retrieval.slicing import OVERLAP, square_chip

STEPS = 20
"""How often a search says how far its index is: as often when there is nothing to do, so that a job can resume."""

SECONDS_A_SLICE = 0.005
"""Of the bundled encoder on one core, with reading; an estimate before anything was measured."""

SIMILARITY_MEANING = (
    "similarity: cosine of a place's vector and the query's, which ranks and says nothing by itself; percentile: the "
    "share of the slices searched that are less like the query"
)


def search(
    request: SearchRequest,
    encoder: Encoder,
    cancelled: Callable[[], bool] = lambda: False,
    identity: RunIdentity | None = None,
    policy: RasterPolicy | None = None,
    folder: Path | None = None,
) -> Generator[Event, None, None]:
    """Search a scene for words or for what is like examples.

    Args:
        request: What the analyst asks for.
        encoder: What compares images and texts.
        cancelled: Whether the analyst has stopped the search; what is indexed by then is kept.
        identity: Of a run that begins again; None is a new one.
        policy: Which rasters may be opened, where the scene is somebody else's file; None trusts it.
        folder: Where indexes are kept; None is the user's own.

    Raises a :class:`~fusar_gpt.errors.FusarError` that names what is wrong with the scene, area, examples or words,
    and :class:`~fusar_gpt.errors.Cancelled` soon after ``cancelled()`` is true.
    """
    texts = read_texts([text for text in request.texts if text.strip()], encoder)
    with open_scene_of(request, policy, cancelled) as scene, ExitStack() as held:
        area = area_px(request, scene)
        indexes = [
            held.enter_context(scene_index(scene, encoder, side_m, overlap_of(request), folder))
            for side_m in ground_sides(request, encoder)
        ]
        wanted = [index.lattice.touching(area) for index in indexes]
        total = sum(int(one.sum()) for one in wanted)
        run = provenance(identity or RunIdentity.new(), request, scene, area, indexes[0], encoder, texts)
        yield Started(run, total)
        yield from in_steps(embedded(indexes, wanted, scene, encoder, cancelled), total)
        vector = query_vector(*examples_of(request, texts, scene, indexes[0], encoder))
        slices = compared(indexes, wanted, vector, scene)
        places = best_places(slices.similarities, slices.boxes, request.top)
        found = tuple(place_finding(place, rank, slices, scene, run) for rank, place in enumerate(places, 1))
        heat = heat_map(slices.similarities, slices.boxes, scene) if request.heat else None
    yield Found(found)
    yield Finished(run, found, heat)


@dataclass(frozen=True)
class Slices:
    """All slices of a search, of one ground size or of several.

    Attributes:
        similarities: Cosines float32 [N]; NaN where there is no data, or outside the area.
        boxes: Left, top, right and bottom in scene pixels, [N, 4].
        data: Share with data in percent, uint8 [N].
    """

    similarities: NDArray[np.float32]
    boxes: NDArray[np.float64]
    data: NDArray[np.uint8]


def plan_search(
    request: SearchRequest, encoder: Encoder, policy: RasterPolicy | None = None, folder: Path | None = None
) -> SearchPlan:
    """How much a search would have to index first. Raises as :func:`search`."""
    with open_scene_of(request, policy) as scene:
        area = area_px(request, scene)
        slices = ready = 0
        for side_m in ground_sides(request, encoder):
            with scene_index(scene, encoder, side_m, overlap_of(request), folder) as index:
                wanted = index.lattice.touching(area)
                slices += int(wanted.sum())
                ready += int(wanted.sum()) - len(index.missing(wanted))
    return SearchPlan(slices, ready, (slices - ready) * SECONDS_A_SLICE)


def area_px(request: SearchRequest, scene: Scene) -> BaseGeometry:
    """The area in scene pixels; the whole scene where none was drawn."""
    area = Area.from_geojson(request.area, request.area_crs) if request.area else Area.whole(scene)
    return area.on_scene(scene)


def ground_sides(request: SearchRequest, encoder: Encoder) -> Sequence[float | None]:
    """Ground sides of the slices: those asked for, else that of the images that the encoder was taught."""
    if request.ground_m:
        return request.ground_m
    return [encoder.image_px * encoder.pixel_m[0] if encoder.pixel_m else None]


def overlap_of(request: SearchRequest) -> float:
    """Share of a slice's side that its neighbour sees too."""
    return OVERLAP if request.overlap is None else request.overlap


def embedded(
    indexes: Sequence[SceneIndex],
    wanted: Sequence[NDArray[np.bool_]],
    scene: Scene,
    encoder: Encoder,
    cancelled: Callable[[], bool],
) -> Iterator[int]:
    """Indexes what is missing; yields how many of the wanted slices are done."""
    missing = [index.missing(one) for index, one in zip(indexes, wanted, strict=True)]
    done = sum(int(one.sum()) for one in wanted) - sum(map(len, missing))
    for index, numbers in zip(indexes, missing, strict=True):
        for filled in fill(index, numbers, scene, encoder, cancelled):
            yield done + filled
        done += len(numbers)


def in_steps(done: Iterator[int], total: int) -> Iterator[Progress]:
    """Progress at ``STEPS`` even steps, whether there was anything to do or not."""
    told = 0
    for count in chain(done, [total]):
        while told < STEPS and count * STEPS >= (told + 1) * total:
            told += 1
            yield Progress(told * total // STEPS, total)


def examples_of(
    request: SearchRequest, texts: TextQuery, scene: Scene, index: SceneIndex, encoder: Encoder
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The vectors of what is wanted [N, E] and of what is not [M, E], of words and of places."""
    like, unlike = (
        [place_image(example, request.examples_crs, scene, index) for example in examples]
        for examples in (request.like, request.unlike)
    )
    none = np.zeros((0, encoder.image_px, encoder.image_px), np.uint8)
    wanted = [encoder.embed_texts(texts.wanted), encoder.embed_images(np.stack(like) if like else none)]
    unwanted = [
        encoder.embed_texts(texts.unwanted),
        encoder.embed_images(np.stack(unlike) if unlike else none),
    ]
    return np.concatenate(wanted), np.concatenate(unwanted)


def place_image(example: Example, crs: str, scene: Scene, index: SceneIndex) -> NDArray[np.uint8]:
    """A place as the encoder sees it: a slice around a point, or one that holds a polygon.

    Raises:
        AreaError: It lies outside the scene.
    """
    side = index.lattice.side
    if isinstance(example, MapPoint):
        x, y = on_scene(example, crs, scene)
    else:
        left, top, right, bottom = Area.from_geojson(example, crs).on_scene(scene).bounds
        x, y, side = (
            (left + right) / 2,
            (top + bottom) / 2,
            max(side, round(right - left), round(bottom - top)),
        )
    chip = square_chip(0, round(x - side / 2), round(y - side / 2), side, index.lattice.image_px)
    return read_chip(scene, chip, scene.stretch()).grey


def on_scene(point: MapPoint, crs: str, scene: Scene) -> tuple[float, float]:
    """A point in scene pixels, x and y. Raises AreaError where it lies outside the scene."""
    x, y = point.coordinates[:2]
    ground = GroundPoints(*transformer(known_crs(crs), scene.crs).transform([x], [y]))
    (found,) = scene.to_scene(ground).xy()
    if not (0 <= found[0] <= scene.width and 0 <= found[1] <= scene.height):
        raise AreaError(f"the example at {x:g}, {y:g} lies outside the scene: give a place on it, x before y")
    return float(found[0]), float(found[1])


def compared(
    indexes: Sequence[SceneIndex],
    wanted: Sequence[NDArray[np.bool_]],
    vector: NDArray[np.float32],
    scene: Scene,
) -> Slices:
    """Every slice beside the query. Raises SceneError where none has data."""
    looked = [one & index.searchable for index, one in zip(indexes, wanted, strict=True)]
    if not any(one.any() for one in looked):
        raise SceneError(
            f"there is no data in the area, band '{scene.band}' of '{scene.name}', so there is nothing to search: "
            "draw the area where the scene has data, or choose another band"
        )
    found = [
        np.where(one, index.vectors @ vector, np.nan).astype(np.float32)
        for index, one in zip(indexes, looked, strict=True)
    ]
    boxes = [index.lattice.boxes(np.arange(len(index.lattice))) for index in indexes]
    return Slices(
        np.concatenate(found), np.concatenate(boxes), np.concatenate([index.data for index in indexes])
    )


def place_finding(place: Place, rank: int, slices: Slices, scene: Scene, run: Run) -> Finding:
    """A place as a feature; where it lies beyond the scene's edge, its part on the scene."""
    box = slices.boxes[place.number]
    on_it = SceneBox(*np.minimum(np.maximum(box, 0), [scene.width, scene.height] * 2).tolist())
    columns: dict[str, Value] = {
        "rank": rank,
        "percentile": place.percentile,
        "similarity": place.similarity,
        "query": "; ".join(run.prompts),
        "matched": None,
        "side_m": float(box[2] - box[0]) * scene.pixel_size_m,
        "data_share": int(slices.data[place.number]) / 100,
        "chip": place.number,
        "prior_nodes": 0,
        **run.provenance(),
    }
    return finding_at(on_it, scene, run, PLACES, columns, f"{run.id} place {place.number}")


def provenance(
    identity: RunIdentity,
    request: SearchRequest,
    scene: Scene,
    area: BaseGeometry,
    index: SceneIndex,
    encoder: Encoder,
    texts: TextQuery,
) -> Run:
    """Everything that decides the places."""
    ground = transform(area, lambda xy: scene.to_ground(ScenePoints.of(xy)).xy())
    stretch = scene.stretch()
    return Run(
        id=identity.id,
        version=__version__,
        model=encoder.name,
        model_hash=encoder.hash,
        demonstration=encoder.demonstration,
        task=SEARCH,
        targets=(),
        prompts=tuple(text for text in request.texts if text.strip()),
        scene=scene.name,
        scene_crs=crs_text(scene.crs),
        scene_fingerprint=scene.fingerprint,
        scene_simulated=scene.simulated,
        band=scene.band,
        quantity=scene.quantity,
        quantity_reason=scene.radiometry.reason,
        stretch_low_db=stretch.low_db,
        stretch_high_db=stretch.high_db,
        chip_ground_m=index.lattice.side * scene.pixel_size_m,
        aspect="undistorted",
        overlap=overlap_of(request),
        area=ground.wkt,
        started=identity.started,
        attribution=scene.attribution,
        warnings=(*scene.warnings, *texts.notes),
        score_meaning=SIMILARITY_MEANING,
    )
