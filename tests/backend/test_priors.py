"""AEF vectors on a chip, from real GDAL and numpy files made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine
from rasterio.warp import transform as warp_points

from fusar_gpt.errors import PriorError
from fusar_gpt.frames import ChipPoints, LonLatPoints
from fusar_gpt.priors import FilePrior, Footprint, NoPrior, PriorField, files, open_prior
from fusar_gpt.priors.field import dequantise

SIZE = 224
SCENE = 1000
AEF_POINTS = Path(__file__).parents[2] / "../shared/data/aef_points/aef_s1_landcover_2024.npz"


def linear(west: float, south: float, east: float, north: float) -> Footprint:
    """A north-up geographic chip: the paper's linear map."""

    def lonlat_to_chip(points: LonLatPoints) -> ChipPoints:
        x = (points.x - west) / (east - west) * SIZE
        return ChipPoints(x, (north - points.y) / (north - south) * SIZE)

    return Footprint(
        west, south, east, north, SIZE, SIZE, lonlat_to_chip, lambda p: ChipPoints(p.x, p.y), SCENE, SCENE
    )


CHIP = linear(3.00, 44.99, 3.01, 45.0)


def unit(rows: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(rows, 64))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def write_raster(path, values, transform, crs="EPSG:32631", nodata=None, **tags):
    count, height, width = values.shape
    profile = {"count": count, "height": height, "width": width, "dtype": values.dtype, "nodata": nodata}
    profile |= {"compress": "deflate", "transform": transform, "crs": crs}
    with rasterio.open(path, "w", driver="GTiff", **profile) as raster:
        raster.write(values)
        raster.update_tags(**tags)
    return path


def image(height=150, width=130):
    """A raster in which every pixel has a vector of its own."""
    return unit(height * width).T.reshape(64, height, width)


# UTM 31 N near 3 E, 45 N, where the chip lies: 500000 is 3 E.
TRANSFORMS = {
    "north-up": Affine(10, 0, 499_900, 0, -10, 4_983_100),
    "south-up": Affine(10, 0, 499_900, 0, 10, 4_981_700),
    "rotated": Affine.translation(500_400, 4_981_600) @ Affine.rotation(40) @ Affine.scale(10, 10),
}


# --- rasters ---


@pytest.mark.parametrize("direction", TRANSFORMS)
@pytest.mark.parametrize("window_limit", [0, 10**6])
def test_every_node_gets_the_pixel_that_gdal_finds_there(tmp_path, monkeypatch, direction, window_limit):
    monkeypatch.setattr(files, "_WINDOW_LIMIT", window_limit)  # node by node, and one window
    path = write_raster(tmp_path / "aef.tif", image(), TRANSFORMS[direction])
    field = FilePrior(path, nodes=(7, 5)).prior(CHIP, 2024)
    assert 20 <= len(field) <= 35
    with rasterio.open(path) as raster:
        x, y = warp_points("EPSG:4326", raster.crs, field.lonlat.x, field.lonlat.y)
        there = np.array(list(raster.sample(zip(x, y, strict=True))))
    np.testing.assert_allclose(field.values, there, atol=1e-6)
    chip = CHIP.lonlat_to_chip(field.lonlat)
    np.testing.assert_allclose(field.positions, np.stack([chip.y, chip.x], axis=1) / SIZE, atol=1e-6)


def test_a_raster_in_degrees(tmp_path):
    path = write_raster(
        tmp_path / "aef.tif", image(), Affine(1e-4, 0, 2.99895, 0, -1e-4, 45.00105), "EPSG:4326"
    )
    field = FilePrior(path, nodes=(2, 2)).prior(CHIP, None)
    rows, cols = [110, 110, 10, 10], [10, 110, 10, 110]  # south first, longitude fastest
    np.testing.assert_allclose(field.values, image()[:, rows, cols].T, atol=1e-6)
    np.testing.assert_allclose(field.positions, [[1, 0], [1, 1], [0, 0], [0, 1]], atol=1e-6)


@settings(deadline=None)
@given(
    west=st.floats(-179, 178),
    south=st.floats(-60, 59),
    span=st.floats(1e-3, 0.5),
    shape=st.tuples(st.integers(2, 9), st.integers(2, 9)),
)
def test_nodes_lie_where_the_linear_map_of_the_paper_puts_them(west, south, span, shape):
    footprint = linear(west, south, west + span, south + span)
    nodes = footprint.nodes(shape)
    chip = footprint.lonlat_to_chip(nodes)
    i, j = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]))
    np.testing.assert_allclose(chip.x, (i / (shape[0] - 1)).ravel() * SIZE, atol=1e-6)
    np.testing.assert_allclose(chip.y, (1 - j / (shape[1] - 1)).ravel() * SIZE, atol=1e-6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    west=st.floats(2.98, 3.02),
    south=st.floats(44.97, 45.01),
    span=st.floats(1e-5, 0.05),
    angle=st.floats(-3.2, 3.2),
)
def test_any_chip_gets_unit_vectors_at_places_on_it(tmp_path, west, south, span, angle):
    path = tmp_path / "aef.tif"
    if not path.exists():
        write_raster(path, image(), TRANSFORMS["rotated"])
    straight = linear(west, south, west + span, south + span)

    def turned(points: LonLatPoints) -> ChipPoints:
        chip = straight.lonlat_to_chip(points)
        turn = complex(np.cos(angle), np.sin(angle))
        z = (chip.x - SIZE / 2 + 1j * (chip.y - SIZE / 2)) * turn * 1.3
        return ChipPoints(z.real + SIZE / 2, z.imag + SIZE / 2)

    field = FilePrior(path, nodes=(5, 4)).prior(
        Footprint(
            *(getattr(straight, name) for name in ("west", "south", "east", "north")),
            SIZE,
            SIZE,
            turned,
            straight.scene_to_chip,
            SCENE,
            SCENE,
        ),
        None,
    )
    assert len(field) <= 20
    assert field.values.shape == (len(field), 64)
    np.testing.assert_allclose(np.linalg.norm(field.values, axis=1), 1, atol=1e-6)
    assert ((field.positions >= 0) & (field.positions <= 1)).all()
    chip = turned(field.lonlat)
    np.testing.assert_allclose(field.positions * SIZE, np.stack([chip.y, chip.x], axis=1), atol=1e-3)


def test_codes_are_dequantised_quadratically_with_their_sign():
    codes = np.array([[-127, 127, 64, -3, 0, 1] + [0] * 58, [-128] + [5] * 63], dtype=np.int8)
    found = dequantise(codes)
    np.testing.assert_allclose(found[0, :6], np.array([-(127**2), 127**2, 64**2, -9, 0, 1]) / 127.5**2)
    assert np.isnan(found[1]).all()


@pytest.mark.skipif(not AEF_POINTS.exists(), reason="the real AEF vectors of ../shared/data are not here")
def test_real_codes_are_unit_vectors():
    lengths = np.linalg.norm(dequantise(np.load(AEF_POINTS)["codes"]), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=0.02)


@pytest.mark.parametrize(
    ("dtype", "hole", "nodata", "kept"),
    [
        ("int8", -128, -128, 0),
        ("int8", -128, None, 0),
        ("int8", 0, 0, 0),
        ("float32", np.nan, None, 0),
        ("float32", -9999, -9999, 0),
        ("float64", np.inf, None, 0),
        ("float32", 0.125, None, 4),
    ],
)
def test_nodes_without_data_are_dropped(tmp_path, dtype, hole, nodata, kept):
    values = np.full((64, 150, 130), hole, dtype=dtype)
    field = FilePrior(write_raster(tmp_path / "a.tif", values, TRANSFORMS["north-up"], nodata=nodata), (2, 2))
    assert len(field.prior(CHIP, None)) == kept


def test_a_zero_in_one_band_is_data_even_where_zero_is_nodata(tmp_path):
    values = np.full((64, 150, 130), 40, dtype=np.int8)
    values[7] = 0
    path = write_raster(tmp_path / "aef.tif", values, TRANSFORMS["south-up"], nodata=0)
    assert len(FilePrior(path, (3, 3)).prior(CHIP, None)) == 9


def test_a_chip_elsewhere_has_no_nodes(tmp_path):
    prior = FilePrior(write_raster(tmp_path / "aef.tif", image(), TRANSFORMS["north-up"]))
    for elsewhere in (linear(10, 50, 10.1, 50.1), linear(-170, -80, -169, -79)):
        field = prior.prior(elsewhere, None)
        assert (len(field), field.values.shape, field.positions.shape) == (0, (0, 64), (0, 2))


def test_nodes_of_a_box_that_are_beside_a_narrow_chip_are_dropped(tmp_path):
    path = write_raster(tmp_path / "aef.tif", image(), TRANSFORMS["north-up"])

    def diamond(points: LonLatPoints) -> ChipPoints:
        chip = CHIP.lonlat_to_chip(points)
        u, v = chip.x - SIZE / 2, chip.y - SIZE / 2
        return ChipPoints(u + v + SIZE / 2, v - u + SIZE / 2)

    box = (CHIP.west, CHIP.south, CHIP.east, CHIP.north)
    footprint = Footprint(*box, SIZE, SIZE, diamond, CHIP.scene_to_chip, SCENE, SCENE)
    field = FilePrior(path, (5, 5)).prior(footprint, None)
    assert len(field) == 13  # the diamond holds 13 of 25 nodes, four of them on its corners


def test_a_box_over_the_antimeridian():
    nodes = linear(179.5, -17, -179.5, -16).nodes((5, 2))
    assert nodes.x.tolist() == [179.5, 179.75, 180, -179.75, -179.5] * 2


def test_tags_become_provenance(tmp_path):
    tags = {"AEF_YEAR": "2023", "AEF_VERSION": "V1", "AEF_ATTRIBUTION": "Google", "FUSAR_SIMULATED": "YES"}
    field = FilePrior(write_raster(tmp_path / "aef.tif", image(), TRANSFORMS["south-up"], **tags)).prior(
        CHIP, 2020
    )
    assert (field.source, field.year, field.version) == ("file:aef.tif", 2023, "V1")
    assert (field.attribution, field.simulated) == ("Google", True)
    bare = FilePrior(write_raster(tmp_path / "b.tif", image(), TRANSFORMS["south-up"], AEF_YEAR="new"))
    assert (bare.prior(CHIP, 2020).year, bare.prior(CHIP, 2020).simulated) == (None, False)


# --- points ---


def test_positions_are_fractions_of_the_scene(tmp_path):
    positions = np.array([[0.1, 0.2], [0.0, 0.0], [0.224, 0.1], [0.9, 0.1], [np.nan, 0.1]], dtype=np.float32)
    values = 1.1 * unit(5)
    values[1, 0] = np.nan
    np.savez(tmp_path / "aef.npz", features=values, positions=positions)
    field = FilePrior(tmp_path / "aef.npz").prior(CHIP, None)
    np.testing.assert_allclose(field.positions, [[100 / SIZE, 200 / SIZE], [1, 100 / SIZE]], atol=1e-6)
    np.testing.assert_allclose(field.values, unit(5)[[0, 2]], atol=1e-6)
    assert np.isnan(field.lonlat.xy()).all()


def codes_of(vectors):
    """AEF's codes of vectors, as numbers that are not rounded."""
    return 127.5 * np.sqrt(np.abs(vectors)) * np.sign(vectors)


@pytest.mark.parametrize(
    ("form", "why"),
    [
        (lambda vectors: np.rint(codes_of(vectors)), "they look like codes: store them as int8"),
        (lambda vectors: codes_of(vectors) / 127, "only divided by 127: square them"),
        (lambda vectors: 10 * vectors, "vectors of length 10"),
        (lambda vectors: vectors / 4, "vectors of length 0.25"),
        (lambda vectors: np.rint(127 * vectors).astype(np.int8), "vectors of length"),
        (lambda vectors: np.broadcast_to(vectors[:1], vectors.shape), "the same vector at all 40 places"),
    ],
)
def test_what_is_no_aef_vector_is_refused(tmp_path, form, why):
    stored = form(unit(40))
    stored = stored if stored.dtype == np.int8 else stored.astype(np.float32)
    np.savez(tmp_path / "aef.npz", features=stored, positions=np.zeros((40, 2), np.float32))
    with pytest.raises(PriorError, match=why):
        FilePrior(tmp_path / "aef.npz")
    bands = np.asarray(stored).T.reshape(64, 5, 8)
    path = write_raster(
        tmp_path / "aef.tif", np.repeat(np.repeat(bands, 30, 1), 20, 2), TRANSFORMS["north-up"]
    )
    if "same" not in why:
        with pytest.raises(PriorError, match=why.replace(" all 40 ", " all ")):
            FilePrior(path).prior(CHIP, None)


@pytest.mark.parametrize(
    "form", [lambda v: v, lambda v: np.rint(codes_of(v)).astype(np.int8), lambda v: 0.9 * v]
)
def test_vectors_that_were_rounded_or_resampled_are_taken(tmp_path, form):
    np.savez(tmp_path / "aef.npz", features=form(unit(40)), positions=np.full((40, 2), 0.1, np.float32))
    assert len(FilePrior(tmp_path / "aef.npz").prior(CHIP, None)) == 40


def test_lon_and_lat_rule_over_positions(tmp_path):
    lon, lat = np.array([3.005, 3.5, np.inf, 3.01]), np.array([44.995, 44.995, 0, 45.0])
    np.savez(
        tmp_path / "aef.npz", features=unit(4), positions=np.zeros((4, 2)), lon=lon, lat=lat, year=2021,
        simulated=True, version="V1", attribution="Google",
    )  # fmt: skip
    field = FilePrior(tmp_path / "aef.npz").prior(CHIP, None)
    np.testing.assert_allclose(field.positions, [[0.5, 0.5], [0, 1]], atol=1e-6)
    np.testing.assert_allclose(field.lonlat.xy(), [[3.005, 44.995], [3.01, 45.0]])
    assert (field.year, field.simulated, field.version, field.attribution) == (2021, True, "V1", "Google")


def test_the_older_table(tmp_path):
    place = [[3.005, 44.995, 1, 2, 3, 4], [4.0, 44.995, 1, 2, 3, 4]]
    np.save(tmp_path / "aef.npy", np.hstack([place, unit(2)]))
    field = FilePrior(tmp_path / "aef.npy").prior(CHIP, None)
    np.testing.assert_allclose(field.positions, [[0.5, 0.5]], atol=1e-6)
    np.testing.assert_allclose(field.values, unit(2)[:1], atol=1e-6)


def test_a_file_without_points_is_an_empty_prior(tmp_path):
    np.savez(tmp_path / "aef.npz", features=np.empty((0, 64)), positions=np.empty((0, 2)))
    assert len(FilePrior(tmp_path / "aef.npz").prior(CHIP, None)) == 0


# --- none, and what is no prior ---


def test_no_prior():
    source = open_prior("none")
    assert isinstance(source, NoPrior)
    field = source.prior(CHIP, 2024)
    assert (len(field), field.source) == (0, "none")


def test_a_field_of_another_shape_is_a_bug():
    with pytest.raises(ValueError, match="positions"):
        PriorField(
            np.zeros((1, 64), np.float32), np.zeros((2, 2), np.float32), LonLatPoints.of([[0, 0]]), "x"
        )


def bad_file(kind: str, folder: Path) -> Path:
    path = folder / (kind + (".tif" if kind[0] == "r" else ".npz"))
    north_up = TRANSFORMS["north-up"]
    small = image(4, 4)
    arrays = {"features": unit(3), "positions": np.zeros((3, 2))}
    rasters = {
        "r 63 bands": (small[:63], north_up, "EPSG:32631"),
        "r uint8": (small.astype("uint8"), north_up, "EPSG:32631"),
        "r no crs": (small, north_up, None),
        "r not on Earth": (small, north_up, 'LOCAL_CS["here",UNIT["metre",1]]'),
    }
    points = {
        "no features": {"positions": np.zeros((3, 2))},
        "no positions": {"features": unit(3)},
        "63 wide": {**arrays, "features": unit(3)[:, :63]},
        "other lengths": {**arrays, "positions": np.zeros((2, 2))},
        "lon and lat differ": {"features": unit(3), "lon": np.zeros(3), "lat": np.zeros(2)},
        "in pixels": {**arrays, "positions": np.full((3, 2), 112.0)},
        "integers": {**arrays, "features": np.zeros((3, 64), dtype=np.int64)},
        "pickled": {**arrays, "features": np.array([{}], dtype=object)},
    }
    if kind in rasters:
        return write_raster(path, *rasters[kind])
    if kind in points:
        np.savez(path, **points[kind])
    elif kind == "table":
        path = path.with_suffix(".npy")
        np.save(path, np.zeros((3, 69)))
    elif kind == "pickled table":
        path = path.with_suffix(".npy")
        np.save(path, np.array([{}], dtype=object))
    elif kind == "cut off":
        np.savez(path, **arrays)
        path.write_bytes(path.read_bytes()[:500])
    elif kind != "missing":
        path.write_bytes(b"not a prior" if kind != "empty" else b"")
    return path


BAD = {
    "missing": "give the path",
    "r text": "64-band",
    "r 63 bands": "63 bands",
    "r uint8": "int8 codes or as floats",
    "r no crs": "with a CRS",
    "r not on Earth": "warp it",
    "text": "plain arrays",
    "empty": "plain arrays",
    "cut off": "plain arrays",
    "pickled": "plain arrays",
    "pickled table": "plain arrays",
    "table": r"must be \[S, 70\]",
    "no features": "must hold features",
    "no positions": "must hold positions",
    "63 wide": r"floats \[S, 64\]",
    "other lengths": "export it again",
    "lon and lat differ": "export it again",
    "in pixels": "divide by",
    "integers": "must be floats",
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_prior_is_refused_in_one_line_that_says_what_to_do(tmp_path, kind):
    path = bad_file(kind, tmp_path)
    with pytest.raises(PriorError, match=BAD[kind]) as error:
        open_prior(str(path))
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_raster_that_breaks_while_it_is_read(tmp_path):
    path = write_raster(tmp_path / "aef.tif", image(), TRANSFORMS["north-up"])
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 100_000] = bytes(100_000)
    path.write_bytes(content)
    with pytest.raises(PriorError, match="fetch it again"):
        FilePrior(path).prior(CHIP, None)
