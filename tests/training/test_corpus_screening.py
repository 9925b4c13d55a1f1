"""Screening of slices: features, labelled examples, the order of what drops a slice, and the picture of it."""

import io
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fusar_gpt.frames import LonLatPoints, SceneWindow
from fusar_gpt.priors import PriorField
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.land_cover import BUILT, WATER, cover_prototypes
from fusar_train.corpus.slices.examples import Examples
from fusar_train.corpus.slices.features import FEATURES, measure
from fusar_train.corpus.slices.screening import Screen, ScreenOptions, write_screening_picture
from fusar_train.corpus.slices.slice import Fate, Slice, SliceRow, Verdict
from fusar_train.simulation.screening_examples import KINDS, simulated, wedge

NO_PRIOR = PriorField.empty("none")
SQUARE = ((4.0, 52.0), (4.015, 52.0), (4.015, 52.009), (4.0, 52.009), (4.0, 52.0))


def slice_of(id="s/medium-0-0", footprint=SQUARE):
    return Slice(
        id=id,
        scene="s",
        scale="medium",
        parent=None,
        window=SceneWindow(0, 0, 100, 100),
        width=100,
        height=100,
        footprint=footprint,
        crs="EPSG:4326",
        affine=None,
        pixel_m=10.0,
    )


def prior_of(covers):
    """Nodes on a square grid, each with the mean vector of one cover (indices [n, n], row by row)."""
    covers = np.asarray(covers)
    side = len(covers)
    at = np.linspace(0, 1, side, dtype=np.float32)
    positions = np.stack(np.meshgrid(at, at, indexing="ij"), axis=-1).reshape(-1, 2)
    values = cover_prototypes()[0][covers.ravel()]
    return PriorField(values, positions, LonLatPoints(*positions.T.astype(float)), "test")


def speckle(level, size=256, looks=4, seed=0):
    """Uniform ground or water under speckle, linear in amplitude."""
    power = np.random.default_rng(seed).gamma(looks, 1 / looks, (size, size))
    return np.clip(level * np.sqrt(power), 0, 255).astype(np.uint8)


def with_ships(pixels, places, size=(6, 24)):
    for row, col in places:
        pixels[row : row + size[0], col : col + size[1]] = 255
    return pixels


def blocks(size=256, step=32):
    """Bright houses and dark shadows in a grid, with wide streets and squares."""
    rng = np.random.default_rng(3)
    coarse = rng.choice([30, 90, 150, 240], (size // step, size // step))
    return np.kron(coarse, np.ones((step, step))).astype(np.uint8)


def whole(pixels):
    return np.ones(pixels.shape, bool)


@pytest.fixture(scope="module")
def screen():
    return Screen.of(ScreenOptions())


@pytest.fixture(scope="module")
def simulation():
    return list(simulated(each=3, seed=99))


def judge(screen, pixels, has_data=None, prior=NO_PRIOR):
    return screen.judge(pixels, whole(pixels) if has_data is None else has_data, prior, slice_of())


# Features


def test_features_do_not_depend_on_the_pixel_count():
    ground = blocks(256, 32)
    fine = np.kron(ground, np.ones((20, 20), np.uint8))  # 0.2 m instead of 4 m
    coarse, fine = measure(ground, whole(ground)), measure(fine, whole(fine))
    assert fine == pytest.approx(coarse, rel=0.1, abs=0.03)


def test_speckle_is_no_structure_whatever_the_looks_and_the_pixel_count():
    for size in (64, 100, 256, 800):
        for looks in (1, 4):
            found = measure(speckle(90, size, looks), np.ones((size, size), bool))
            assert found["echoes"] == 0, (size, looks)
            assert abs(found["glcm_correlation"]) < 0.15, (size, looks)


def test_a_wedge_of_fill_is_no_texture():
    pixels = speckle(90, 512)
    data = wedge(pixels.shape, np.random.default_rng(5))
    cut = np.where(data, pixels, 0).astype(np.uint8)
    complete, found = measure(pixels, whole(pixels)), measure(cut, data)
    for name in ("mean", "std", "glcm_contrast", "glcm_entropy", "block_std", "texture_spread"):
        assert found[name] == pytest.approx(complete[name], rel=0.15, abs=0.5), name
    assert found["edges"] < 0.01
    assert found["texture_density"] == found["echoes"] == 0
    assert measure(cut, whole(cut))["texture_density"] > 0  # as texture it would show


@pytest.mark.parametrize("value", [0, 77, 255])
def test_a_picture_of_one_value_has_no_structure(value):
    found = measure(np.full((90, 120), value, np.uint8), np.ones((90, 120), bool))
    assert found["mean"] == value
    assert found["std"] == found["edges"] == found["glcm_correlation"] == found["glcm_contrast"] == 0


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.sampled_from(["zero", "full", "noise", "checkers", "gradient", "half"]),
    st.sampled_from(["all", "one", "none", "wedge", "random"]),
    st.integers(0, 2**32 - 1),
)
def test_any_picture_gets_a_verdict(screen, shape, kind, missing, seed):
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    pixels = {
        "zero": np.zeros(shape),
        "full": np.full(shape, 255),
        "noise": rng.integers(0, 256, shape),
        "checkers": 255 * ((rows + cols) % 2),
        "gradient": (rows + cols) % 256,
        "half": 255 * (cols < shape[1] / 2),
    }[kind].astype(np.uint8)
    data = {
        "all": np.ones(shape, bool),
        "one": np.zeros(shape, bool),
        "none": np.zeros(shape, bool),
        "wedge": rows <= cols,
        "random": rng.random(shape) < 0.5,
    }[missing]
    if missing == "one":
        data[-1, -1] = True
    for judging in (screen, replace(screen, options=replace(screen.options, min_data=0.0))):
        verdict = judging.judge(pixels, data, NO_PRIOR, slice_of())
        assert (verdict.fate is Fate.NO_DATA) >= (not data.any())
        assert all(math.isfinite(value) for value in verdict.features.values())


# Examples and KNN


def test_the_examples_that_ship_tell_each_source_by_the_others():
    examples = Examples.read()
    assert examples.rich.any()
    assert not examples.rich.all()
    assert examples.rows.shape == (len(examples), len(FEATURES))
    found = examples.leave_one_source_out()
    assert len(found) >= 7
    assert sum(count for _, count in found.values()) == len(examples)
    assert sum(right for right, _ in found.values()) >= 0.92 * len(examples)


def test_new_simulated_slices_are_told_rich_from_poor(screen, simulation):
    """Other seeds than those of the examples."""
    right = [
        (screen.judge(each.pixels, each.has_data, NO_PRIOR, slice_of()).fate is Fate.KEPT) == each.rich
        for each in simulation
    ]
    assert len(right) == 3 * len(KINDS)
    assert sum(right) >= 0.85 * len(right)


def test_examples_are_read_as_they_were_written(tmp_path, simulation):
    few = simulation[::6]
    examples = Examples.of_pictures(
        [(each.pixels, each.has_data) for each in few],
        [each.rich for each in few],
        [each.source for each in few],
        [each.kind for each in few],
    )
    examples.write(tmp_path / "examples.csv")
    again = Examples.read(tmp_path / "examples.csv")
    assert (again.sources, again.kinds) == (examples.sources, examples.kinds)
    assert again.rich.tolist() == examples.rich.tolist()
    assert again.rows == pytest.approx(examples.rows, rel=1e-4)


@pytest.mark.parametrize("text", ["", "label,kind\nrich,x\n", "label,kind,source,mean\nsplendid,a,b,1\n"])
def test_a_damaged_file_of_examples_is_named(tmp_path, text):
    (tmp_path / "examples.csv").write_text(text)
    with pytest.raises(CorpusError, match=r"examples\.csv"):
        Examples.read(tmp_path / "examples.csv")


def test_own_examples_decide_instead_of_those_that_ship(tmp_path):
    """Who collects woods calls town poor."""
    for label, pictures in (
        ("poor", [blocks(256, 32), blocks(256, 16), blocks(512, 64)]),
        ("rich", [speckle(90, seed=seed) for seed in range(3)]),
    ):
        (tmp_path / label).mkdir()
        for number, pixels in enumerate(pictures):
            Image.fromarray(pixels).save(tmp_path / label / f"mine--{number}.png")
        (tmp_path / label / ".hidden.png").write_bytes(b"no picture")
    own = Screen.of(ScreenOptions(examples=tmp_path))
    verdict = judge(own, blocks(256, 32))
    assert (verdict.fate, verdict.richness) == (Fate.POOR, 0.0)
    assert judge(Screen.of(ScreenOptions()), blocks(256, 32)).fate is Fate.KEPT


def test_a_folder_without_one_of_the_labels_is_refused(tmp_path):
    (tmp_path / "rich").mkdir()
    Image.fromarray(blocks()).save(tmp_path / "rich" / "a.png")
    with pytest.raises(CorpusError, match="poor"):
        Screen.of(ScreenOptions(examples=tmp_path))


def test_the_threshold_is_the_users(screen):
    pixels = blocks(256, 32)
    strict = replace(screen, options=replace(screen.options, richness=1.01))
    assert judge(screen, pixels).fate is Fate.KEPT
    assert judge(strict, pixels).fate is Fate.POOR


# The order of tests, and the switches


def test_too_little_data_comes_first(screen):
    pixels, data = blocks(), np.zeros((256, 256), bool)
    data[:100] = True
    assert judge(screen, pixels, data).fate is Fate.NO_DATA
    data[:150] = True
    assert judge(screen, pixels, data).fate is not Fate.NO_DATA


def test_water_is_told_by_the_prior_even_where_it_is_bright_and_rough(screen):
    swell = 1 + 0.15 * np.sin(np.arange(256) / 9)
    sea = np.clip(speckle(120) * swell, 0, 255).astype(np.uint8)
    assert judge(screen, sea).fate is Fate.POOR
    assert judge(screen, sea, prior=prior_of(np.full((8, 8), WATER))).fate is Fate.WATER
    on_land = judge(screen, sea, prior=prior_of(np.full((8, 8), BUILT)))
    assert (on_land.fate, on_land.features["built_share"]) == (Fate.POOR, 1.0)


def test_a_prior_of_water_drops_no_town(screen):
    """Land that was won from the sea since."""
    assert judge(screen, blocks(256, 32), prior=prior_of(np.full((8, 8), WATER))).fate is Fate.KEPT


def test_dark_ground_is_no_water_where_the_prior_knows_better(screen):
    verdict = judge(screen, speckle(20), prior=prior_of(np.full((8, 8), BUILT)))
    assert verdict.fate is Fate.MONOTONOUS


def test_without_a_prior_dark_and_plain_is_water_and_says_so(screen):
    verdict = judge(screen, speckle(20))
    assert verdict.fate is Fate.WATER
    assert verdict.features["prior_nodes"] == 0
    assert judge(screen, speckle(110)).fate is Fate.MONOTONOUS


@pytest.mark.parametrize("level", [20, 110])
@pytest.mark.parametrize("places", [[(100, 100)], [(20, 30), (90, 200), (180, 60), (230, 140)]])
@pytest.mark.parametrize("known", [True, False])
def test_ships_keep_a_slice_of_sea(screen, level, places, known):
    prior = prior_of(np.full((8, 8), WATER)) if known else NO_PRIOR
    assert judge(screen, speckle(level), prior=prior).fate is not Fate.KEPT
    verdict = judge(screen, with_ships(speckle(level), places), prior=prior)
    assert verdict.fate is Fate.KEPT
    assert verdict.features["echoes"] == len(places)


def test_the_simulations_anchorages_are_no_water(screen, simulation):
    for each in simulation:
        if "anchorage" in each.kind:
            prior = prior_of(np.full((8, 8), WATER))
            assert screen.judge(each.pixels, each.has_data, prior, slice_of()).fate is Fate.KEPT


def test_each_switch_lets_its_own_kind_through():
    sea, field = speckle(20), speckle(110)
    for options, kept in (
        (ScreenOptions(drop_water=False), sea),
        (ScreenOptions(drop_monotonous=False), field),
    ):
        screen = Screen.of(options)
        fates = {judge(screen, pixels).fate for pixels in (sea, field) if pixels is not kept}
        assert judge(screen, kept).fate is Fate.KEPT
        assert fates <= {Fate.WATER, Fate.MONOTONOUS}
    off = Screen.of(ScreenOptions(screen=False, drop_water=False, drop_monotonous=False))
    verdict = judge(off, sea)
    assert (verdict.fate, verdict.richness) == (Fate.KEPT, None)
    assert "mean" not in verdict.features  # nothing was measured


def test_a_screen_is_sent_to_other_processes_by_its_options():
    options = ScreenOptions(regions=("texture",), richness=0.7)
    assert pickle.loads(pickle.dumps(options)) == options


# The picture


def row(number, fate=Fate.KEPT, richness=None, size=(96, 64)):
    stored = io.BytesIO()
    Image.fromarray(np.full(size, number % 256, np.uint8)).save(stored, "PNG")
    verdict = Verdict(fate=fate, richness=richness)
    return SliceRow(
        slice=slice_of(f"s/medium-0-{number}"),
        verdict=verdict,
        data_share=1.0,
        prior="none",
        prior_nodes=0,
        thumbnail=stored.getvalue(),
    )


def rows(count):
    """Kept from a richness of .5 on, each of its own grey, and one of every fate that was not screened."""
    for number in range(count):
        richness = number / count
        yield row(number, Fate.KEPT if richness >= 0.5 else Fate.POOR, richness)
    for number, fate in enumerate(Fate):
        yield row(number, fate)


@pytest.mark.parametrize("count", [0, 1, 40])
def test_the_picture_of_any_number_of_rows(tmp_path, count):
    given = list(rows(count)) if count > 1 else [row(0, Fate.WATER)] * count
    write_screening_picture(given, tmp_path / "screening.png")
    with Image.open(tmp_path / "screening.png") as picture:
        assert picture.width > 800
        colours = {colour for _, colour in picture.getcolors(1 << 24)}
    assert ((255, 120, 90) in colours) == bool(count)  # something was dropped


def test_the_picture_shows_both_sides_of_the_threshold(tmp_path):
    """Grey 100 lies below .5 of 250, grey 126 just above."""
    write_screening_picture(rows(250), tmp_path / "screening.png")
    with Image.open(tmp_path / "screening.png") as picture:
        colours = {colour for _, colour in picture.getcolors(1 << 24)}
    for grey in (0, 124, 125, 249):
        assert (grey, grey, grey) in colours, grey


def test_the_picture_of_many_rows_is_a_sample_of_them(tmp_path):
    one = row(7, Fate.KEPT, 0.9)
    write_screening_picture((one for _ in range(100_000)), tmp_path / "many.png")
    write_screening_picture((one for _ in range(400)), tmp_path / "few.png")
    with Image.open(tmp_path / "many.png") as many, Image.open(tmp_path / "few.png") as few:
        assert many.size == few.size


def test_a_row_without_a_thumbnail_gets_an_empty_tile(tmp_path):
    bad = [replace(row(0, Fate.WATER), thumbnail=b""), replace(row(1), thumbnail=b"no PNG")]
    write_screening_picture(bad, tmp_path / "p.png")
    assert (tmp_path / "p.png").exists()
