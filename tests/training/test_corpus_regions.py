"""Regions of a corpus: polygons of users, land cover by likeness, examples, texture."""

import json

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from test_corpus_screening import SQUARE, blocks, judge, prior_of, slice_of, speckle

from fusar_gpt.errors import AreaError
from fusar_gpt.frames import LonLatPoints
from fusar_gpt.priors import NoPrior, PriorField, PriorSource
from fusar_gpt.priors.field import dequantise
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.land_cover import BUILT, COVERS, VECTORS, WATER, cover_prototypes, covers_of
from fusar_train.corpus.slices.regions import (
    BUILT_UP,
    PORT,
    Cover,
    Polygons,
    Prototype,
    Regions,
    like,
    prototype_at,
)
from fusar_train.corpus.slices.screening import Screen, ScreenOptions
from fusar_train.corpus.slices.slice import Fate
from fusar_train.simulation.ground import COVER_NAMES
from fusar_train.simulation.prior import real_vectors

TREES = COVERS.index("trees")
NO_PRIOR = PriorField.empty("none")


def ring(west, south, east, north):
    return ((west, south), (east, south), (east, north), (west, north), (west, south))


def geojson(path, *features):
    """Polygons (west, south, east, north) with properties."""
    listed = [
        {
            "type": "Feature",
            "properties": properties,
            "geometry": {"type": "Polygon", "coordinates": [ring(*bounds)]},
        }
        for bounds, properties in features
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": listed}))
    return path


# Polygons


@pytest.mark.parametrize(
    ("ending", "crs"),
    [("geojson", "EPSG:4326"), ("gpkg", "EPSG:32631"), ("gpkg", "EPSG:4326"), ("shp", "EPSG:32631")],
)
def test_polygons_of_every_format_and_crs_give_their_names(tmp_path, ending, crs):
    frame = geopandas.GeoDataFrame(
        {"Kind": ["port", None, None], "NAME": ["Europoort", "Schiphol", None]},
        geometry=[
            shapely.box(4.0, 52.0, 4.1, 52.1),
            shapely.box(5, 52, 5.1, 52.1),
            shapely.box(6, 52, 6.1, 52.1),
        ],
        crs="EPSG:4326",
    ).to_crs(crs)
    path = tmp_path / f"wanted.{ending}"
    frame.to_file(path)
    polygons = Polygons([path])
    assert polygons.under(SQUARE) == "Europoort"
    assert polygons.under(ring(5.0, 52.0, 5.01, 52.01)) == "Schiphol"
    assert polygons.under(ring(6.0, 52.0, 6.01, 52.01)) == "wanted"
    assert polygons.under(ring(7.0, 52.0, 7.01, 52.01)) is None


def test_a_kind_stands_for_a_missing_name(tmp_path):
    path = geojson(tmp_path / "a.geojson", ((4, 52, 5, 53), {"kind": "airport", "name": ""}))
    assert Polygons([path]).under(SQUARE) == "airport"


def test_a_slice_belongs_if_enough_of_it_or_of_a_small_polygon_is_covered(tmp_path):
    large = geojson(tmp_path / "large.geojson", ((4.0, 50, 5, 53), {"name": "large"}))
    small = geojson(tmp_path / "small.geojson", ((4.001, 52.001, 4.002, 52.002), {"name": "small"}))
    third, fifth = ring(3.998, 52, 4.001, 52.003), ring(3.996, 52, 4.001, 52.003)
    assert Polygons([large]).under(third) == "large"
    assert Polygons([large]).under(fifth) is None
    assert Polygons([small]).under(SQUARE) == "small"
    assert Polygons([small, large]).under(SQUARE) == "large"


@pytest.mark.parametrize("around", [-360, 0, 360])
def test_polygons_and_slices_meet_across_the_antimeridian(tmp_path, around):
    path = geojson(tmp_path / "fiji.geojson", ((179.9, -17, 180.1, -16), {"name": "Fiji"}))
    polygons = Polygons([path])
    assert polygons.under(ring(179.98 + around, -16.5, 180.01 + around, -16.4)) == "Fiji"
    assert polygons.under(ring(-179.99 + around, -16.5, -179.95 + around, -16.4)) == "Fiji"
    assert polygons.under(ring(-179.8 + around, -16.5, -179.7 + around, -16.4)) is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-400, 400), st.floats(-90, 90)) | st.just((np.nan, 0.0)), max_size=6))
def test_any_footprint_gets_an_answer(tmp_path_factory, points):
    path = geojson(tmp_path_factory.mktemp("p") / "a.geojson", ((-10, -10, 10, 10), {"name": "zero"}))
    assert Polygons([path]).under([*points, *points[:1]]) in (None, "zero")


def test_what_is_no_region_is_refused_in_words(tmp_path):
    with pytest.raises(AreaError, match=r"'harbors' does not exist.*'landcover' or 'texture'"):
        Screen.of(ScreenOptions(regions=("harbors",)))
    (tmp_path / "empty.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(AreaError, match="empty"):
        Screen.of(ScreenOptions(regions=(str(tmp_path / "empty.geojson"),)))


# Land cover


def test_the_covers_are_those_of_the_simulation():
    assert COVERS == COVER_NAMES
    expected = real_vectors().mean(axis=2)
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    assert cover_prototypes() == pytest.approx(expected, abs=1e-5)


def test_water_and_built_up_land_are_told_in_a_region_never_seen():
    """Leave one region out: of water, built-up land and the rest, the mean of the three shares told right."""
    with np.load(VECTORS) as stored:
        codes = stored["codes"]
    vectors = dequantise(codes.reshape(-1, 64)).astype(np.float32).reshape(codes.shape)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    truth = np.repeat(np.arange(len(COVERS)), codes.shape[2])
    right = []
    for region in range(len(codes)):
        told = covers_of(vectors[region].reshape(-1, 64), np.delete(cover_prototypes(), region, 0))
        groups = [truth == WATER, truth == BUILT, (truth != WATER) & (truth != BUILT)]
        same = [told == WATER, told == BUILT, (told != WATER) & (told != BUILT)]
        right.append([same[kind][groups[kind]].mean() for kind in range(3)])
    assert np.mean(right) > 0.8


def grid(**parts):
    """8 x 8 nodes of trees with rows of other covers: built=(0, 3) is rows 0 to 2."""
    covers = np.full((8, 8), TREES)
    for name, (first, last) in parts.items():
        covers[first:last] = {"built": BUILT, "water": WATER}[name]
    return prior_of(covers)


@pytest.mark.parametrize(
    ("prior", "region"),
    [
        (grid(built=(0, 3)), BUILT_UP),
        (grid(built=(0, 2)), None),
        (grid(built=(0, 2), water=(2, 8)), PORT),
        (grid(built=(0, 1), water=(5, 8)), None),  # built land, but not beside the water
        (grid(water=(0, 8)), None),
        (NO_PRIOR, None),
    ],
)
def test_a_port_is_built_beside_water(prior, region):
    cover = Cover.of(prior)
    assert (cover.region if cover else None) == region


def test_a_slice_outside_the_regions_is_dropped_and_one_inside_named():
    screen = Screen.of(ScreenOptions(regions=("landcover",)))
    inside = judge(screen, blocks(), prior=grid(built=(0, 4), water=(4, 7)))
    assert (inside.fate, inside.region) == (Fate.KEPT, PORT)
    outside = judge(screen, blocks(), prior=grid())
    assert (outside.fate, outside.region) == (Fate.OUTSIDE, None)
    assert judge(screen, blocks()).features["prior_nodes"] == 0  # why nothing was found
    assert ScreenOptions(regions=("landcover",)).needs_prior
    assert not ScreenOptions(regions=("texture",)).needs_prior


def test_texture_finds_what_has_structure():
    screen = Screen.of(ScreenOptions(regions=("texture",)))
    assert judge(screen, blocks()).region == "textured"
    assert judge(screen, speckle(90)).fate is Fate.OUTSIDE


def test_several_ways_are_asked_in_turn(tmp_path):
    path = geojson(tmp_path / "a.geojson", ((4, 52, 5, 53), {"name": "drawn"}))
    regions = Regions.of((str(path), "landcover", "texture"))
    port, away = grid(built=(0, 4), water=(4, 8)), slice_of(footprint=ring(9, 52, 9.01, 52.01))
    assert regions.name(slice_of(), port, Cover.of(port), lambda: 1.0) == "drawn"
    assert regions.name(away, port, Cover.of(port), lambda: 1.0) == PORT
    assert regions.name(away, NO_PRIOR, None, lambda: 1.0) == "textured"
    assert regions.name(away, NO_PRIOR, None, lambda: 0.0) is None
    assert Regions.of(()) is None


# Regions by example


class Planted(PriorSource):
    """The same vectors wherever they are asked for; remembers the box."""

    name = "planted"

    def prior(self, footprint, year):
        self.asked = footprint, year
        return grid(built=(0, 8))


def test_an_example_finds_slices_like_it():
    source = Planted()
    airport = prototype_at(source, "airport", LonLatPoints.of([(4.76, 52.31)]), 2024)
    footprint, year = source.asked
    assert year == 2024
    assert footprint.west < 4.76 < footprint.east
    assert (footprint.north - footprint.south) * 111.32 == pytest.approx(0.5, rel=0.01)
    assert like(grid(built=(0, 3)), [airport]) == "airport"
    assert like(grid(built=(0, 2)), [airport]) is None
    assert like(NO_PRIOR, [airport]) is None
    woods = Prototype("woods", tuple(map(tuple, grid().values.tolist())))
    assert like(grid(built=(0, 3)), [airport, woods]) == "woods"
    screen = Screen.of(ScreenOptions(like=(airport,)))
    assert judge(screen, blocks(), prior=grid(built=(0, 4))).region == "airport"
    assert judge(screen, blocks(), prior=grid()).fate is Fate.OUTSIDE


def test_an_example_where_the_prior_has_nothing_is_refused():
    with pytest.raises(CorpusError, match=r"no vectors at 4, 52 for 'airport'"):
        prototype_at(NoPrior(), "airport", LonLatPoints.of([(4.0, 52.0)]), None)
