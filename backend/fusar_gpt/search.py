"""The main path of a search: open the scene, index it as far as it is asked about, rank its slices, tell the best.

Read :mod:`fusar_gpt.interpret` beside it: both yield the same events, so a search is a run and a job like any other.
From Python, :func:`find` is all that is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely import transform
from shapely.geometry.base import BaseGeometry

from fusar_gpt import __version__
from fusar_gpt.contract import (
    DEFAULT_ENCODER,
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
from fusar_gpt.errors import Cancelled, SceneError, TaskError
from fusar_gpt.findings.coverage import ALL, without_data
from fusar_gpt.findings.georeference import finding_at
from fusar_gpt.frames import ScenePoints
from fusar_gpt.imagery import Area, RasterPolicy, Scene, open_scene_of
from fusar_gpt.interpret import RunIdentity, batches, scene_provenance
from fusar_gpt.retrieval.encoder import Describer, Encoder, open_encoder
from fusar_gpt.retrieval.examples import example_images, larger_than_slices
from fusar_gpt.retrieval.explain import matched
from fusar_gpt.retrieval.heat import heat_map
from fusar_gpt.retrieval.index import SceneIndex, fill, scene_index
from fusar_gpt.retrieval.index_folder import seconds_a_slice
from fusar_gpt.retrieval.query import TextQuery, query_vector, read_texts
from fusar_gpt.retrieval.ranking import Place, Slices, best_places, compared
from fusar_gpt.retrieval.slicing import OVERLAP, Lattice, lattice

STEPS = 20
"""How often a search says how far its index is: as often when there is nothing to do, so that a job can resume."""

EXPLAINED = 100
"""Most places that are explained: each takes a fifth of a second."""
_EXPLAINED_AT_ONCE = 8
_LEEWAY = 1.1

SIMILARITY_MEANING = (
    "similarity: cosine of a place's vector and the query's, which ranks and says nothing by itself; percentile: the "
    "share of the slices searched that are less like the query"
)


def find(
    scene: str | Path,
    *texts: str,
    like: Sequence[tuple[float, float] | Area] = (),
    unlike: Sequence[tuple[float, float] | Area] = (),
    area: Area | None = None,
    encoder: Encoder | None = None,
    **choices: Any,
) -> Finished:
    """Search a scene and wait for all of it: ``find("scene.tif", "ships at the docks").findings``.

    Args:
        scene: The file.
        *texts: What to find.
        like: Examples of what to find: points (x, y) or areas, all in one CRS.
        unlike: Examples of what is not meant.
        area: Where to look.
        encoder: What compares; None opens the one that the request names.
        **choices: Other fields of the request: ``top``, ``explain``, ``examples_crs`` (of points; longitude and
            latitude by default), ...

    Raises a :class:`~fusar_gpt.errors.FusarError` as :func:`search`.
    """
    points_crs = choices.pop("examples_crs", "EPSG:4326")
    crs = {one.crs_text() if isinstance(one, Area) else points_crs for one in (*like, *unlike)}
    if len(crs) > 1:
        raise TaskError(f"examples are in {' and '.join(sorted(crs))}: give all in one CRS")
    choices["examples_crs"] = crs.pop() if crs else points_crs
    if area:
        choices |= {"area": area.outline(), "area_crs": area.crs_text()}
    try:
        request = SearchRequest(
            str(scene), texts, tuple(map(_example, like)), tuple(map(_example, unlike)), **choices
        )
    except ValueError as error:
        raise TaskError(str(error)) from error
    *_, last = search(request, encoder or open_encoder(request.encoder or DEFAULT_ENCODER))
    assert isinstance(last, Finished)
    return last


def _example(place: tuple[float, float] | Area) -> Example:
    return place.outline() if isinstance(place, Area) else MapPoint("Point", place)


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
    texts = read_texts(request.texts, encoder)
    with open_scene_of(request, policy, cancelled) as scene, ExitStack() as held:
        area = area_px(request, scene)
        indexes = [
            held.enter_context(scene_index(scene, encoder, side_m, overlap_of(request), folder))
            for side_m in ground_sides(request, encoder, scene)
        ]
        vector = query_vector(*examples_of(request, texts, scene, indexes[0].lattice, encoder))
        wanted = [index.lattice.touching(area) for index in indexes]
        total = sum(int(one.sum()) for one in wanted)
        run = provenance(identity or RunIdentity.new(), request, scene, area, indexes, encoder, texts)
        yield Started(run, total)
        yield from in_steps(embedded(indexes, wanted, scene, encoder, cancelled), total)
        slices = compared(indexes, wanted, vector, scene.width, scene.height)
        run = with_data_share(run, slices, scene)
        places = best_places(slices.similarities, slices.boxes, request.top)
        words = explained(places, slices, texts, scene, encoder, cancelled) if request.explain else {}
        found = tuple(
            place_finding(place, rank, slices, words.get(place.number), scene, run)
            for rank, place in enumerate(places, 1)
        )
        heat = heat_map(slices.similarities, slices.boxes, scene) if request.heat else None
    yield Found(found)
    yield Finished(run, found, heat)


def plan_search(
    request: SearchRequest, encoder: Encoder, policy: RasterPolicy | None = None, folder: Path | None = None
) -> SearchPlan:
    """How much a search would have to index first; writes nothing. Raises as :func:`search`, but for examples."""
    read_texts(request.texts, encoder)
    with open_scene_of(request, policy) as scene:
        area = area_px(request, scene)
        slices = ready = 0
        for side_m in ground_sides(request, encoder, scene):
            with scene_index(scene, encoder, side_m, overlap_of(request), folder, make=False) as index:
                wanted = index.lattice.touching(area)
                slices += int(wanted.sum())
                ready += int(wanted.sum()) - len(index.missing(wanted))
    return SearchPlan(slices, ready, (slices - ready) * seconds_a_slice(folder, encoder.hash))


def area_px(request: SearchRequest, scene: Scene) -> BaseGeometry:
    """The area in scene pixels; the whole scene where none was drawn."""
    area = Area.from_geojson(request.area, request.area_crs) if request.area else Area.whole(scene)
    return area.on_scene(scene)


def ground_sides(request: SearchRequest, encoder: Encoder, scene: Scene) -> Sequence[float | None]:
    """Ground sides of the slices: those asked for that differ, else that of the images that the encoder was taught."""
    if request.ground_m:
        sides = (lattice(scene, encoder.image_px, side_m).side for side_m in reversed(request.ground_m))
        return list(reversed(dict(zip(sides, reversed(request.ground_m), strict=True)).values()))
    return [encoder.image_px * encoder.pixel_m[0] if encoder.pixel_m and scene.georeferenced else None]


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
    request: SearchRequest, texts: TextQuery, scene: Scene, slices: Lattice, encoder: Encoder
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The vectors of what is wanted [N, E] and of what is not [M, E]: words, and places as slices of a size."""
    wanted, unwanted = (
        np.concatenate(
            [
                encoder.embed_texts(words),
                encoder.embed_images(example_images(places, request.examples_crs, scene, slices)),
            ]
        )
        for words, places in ((texts.wanted, request.like), (texts.unwanted, request.unlike))
    )
    return wanted, unwanted


def explained(
    places: Sequence[Place],
    slices: Slices,
    texts: TextQuery,
    scene: Scene,
    encoder: Encoder,
    cancelled: Callable[[], bool],
) -> dict[int, str | None]:
    """For the best places by number: what the encoder says of them that matches the words that were looked for."""
    if not isinstance(encoder, Describer):
        return {}
    found: dict[int, str | None] = {}
    for some in batches(iter(places[:EXPLAINED]), _EXPLAINED_AT_ONCE):
        if cancelled():
            raise Cancelled("cancelled")
        said = encoder.describe(np.stack([slices.image(place.number, scene) for place in some]))
        pairs = zip(some, said, strict=True)
        found |= {place.number: matched(words, texts.wanted) for place, words in pairs}
    return found


def place_finding(
    place: Place, rank: int, slices: Slices, words: str | None, scene: Scene, run: Run
) -> Finding:
    """A place as a feature; where it lies beyond the scene's edge, its part on the scene."""
    box = slices.boxes[place.number]
    on_it = SceneBox(*np.minimum(np.maximum(box, 0), [scene.width, scene.height] * 2).tolist())
    columns: dict[str, Value] = {
        "rank": rank,
        "percentile": place.percentile,
        "similarity": place.similarity,
        "query": "; ".join(run.prompts),
        "matched": words,
        "side_m": float(box[2] - box[0]) * scene.pixel_size_m,
        "data_share": int(slices.data[place.number]) / 100,
        "chip": int(slices.numbers[place.number]),
        "prior_nodes": 0,
        **run.provenance(),
    }
    return finding_at(on_it, scene, run, PLACES, columns, f"{run.id} place {place.number}")


def provenance(
    identity: RunIdentity,
    request: SearchRequest,
    scene: Scene,
    area: BaseGeometry,
    indexes: Sequence[SceneIndex],
    encoder: Encoder,
    texts: TextQuery,
) -> Run:
    """Everything that decides the places."""
    ground = transform(area, lambda xy: scene.to_ground(ScenePoints.of(xy)).xy())
    return Run(
        id=identity.id,
        version=__version__,
        model=encoder.name,
        model_hash=encoder.hash,
        demonstration=encoder.demonstration,
        task=SEARCH,
        targets=(),
        prompts=tuple(text for text in request.texts if text.strip()),
        **scene_provenance(scene, scene.stretch()),
        chip_ground_m=indexes[0].lattice.side * scene.pixel_size_m,
        aspect="undistorted",
        overlap=overlap_of(request),
        area=ground.wkt,
        started=identity.started,
        warnings=(
            *scene.warnings,
            *chain.from_iterable(index.notes for index in indexes),
            *texts.notes,
            *doubts(request, scene, [index.lattice for index in indexes], encoder),
        ),
        score_meaning=SIMILARITY_MEANING,
    )


def doubts(request: SearchRequest, scene: Scene, lattices: Sequence[Lattice], encoder: Encoder) -> list[str]:
    """Sentences about slices and examples that the encoder was not taught, and about what it cannot explain."""
    said = []
    least_m = lattices[0].image_px * scene.pixel_size_m
    if request.ground_m and least_m > _LEEWAY * min(request.ground_m):
        said.append(
            f"Slices show at least {least_m:.0f} m of this scene, not {min(request.ground_m):.0f} m: its pixels are "
            "not magnified."
        )
    for slices in lattices:
        slice_m, pixel_m = (
            side * scene.pixel_size_m for side in (slices.side, slices.side / slices.image_px)
        )
        least, greatest = encoder.pixel_m or (pixel_m, pixel_m)
        if scene.georeferenced and not least / _LEEWAY <= pixel_m <= _LEEWAY * greatest:
            taught = f"{least:g}" if least == greatest else f"{least:g} to {greatest:g}"
            said.append(
                f"Slices of {slice_m:.0f} m have pixels of {pixel_m:.3g} m, a size that {encoder.name} was not taught "
                f"({taught} m): how it ranks them is a guess."
            )
        if slices.side > min(scene.width, scene.height):
            said.append(
                f"A slice of {slice_m:.0f} m reaches beyond the scene, which is smaller: there the encoder sees black."
            )
    examples = (*request.like, *request.unlike)
    said += larger_than_slices(examples, request.examples_crs, scene, lattices[0])
    if request.explain and not isinstance(encoder, Describer):
        said.append(f"{encoder.name} cannot say what it sees: no place is explained.")
    elif request.explain and not any(map(str.strip, request.texts)):
        said.append("Only words that were looked for can be explained, and there were none.")
    elif request.explain and request.top > EXPLAINED:
        said.append(f"Only the first {EXPLAINED} places are explained.")
    return said


def with_data_share(run: Run, slices: Slices, scene: Scene) -> Run:
    """The run with what was seen of its area. Raises SceneError if no slice has data enough."""
    share = slices.data_share
    if not np.isfinite(slices.similarities).any():
        half = f"half of a slice of {run.chip_ground_m:.0f} m"
        if share >= ALL:
            raise SceneError(
                f"'{scene.name}' is smaller than {half}, too little to compare: take a larger scene"
            )
        raise SceneError(
            f"there is no data on {without_data(share)} of the area, band '{scene.band}' of '{scene.name}', and "
            f"nowhere on {half}, so there is nothing to search: draw the area where the scene has data, or choose "
            "another band"
        )
    said = [f"No data on {without_data(share)} of the area: nothing is known of that ground."]
    return replace(run, data_share=share, warnings=(*run.warnings, *(said if share < ALL else ())))
