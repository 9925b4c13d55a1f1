"""Simulated chips: the same every time, radar statistics as in textbooks, tight boxes, a prior that fits the land."""

import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio

from fusar_gpt.frames import LonLatPoints
from fusar_gpt.imagery import open_scene
from fusar_train.simulation import CHIP_PX, drop_or_swap_prior, simulate_chip
from fusar_train.simulation.ambiguity import best_guess, measure, seen
from fusar_train.simulation.chip import MARGIN, compose, observe, populate
from fusar_train.simulation.clutter import relief
from fusar_train.simulation.ground import WATER, Flat, Land, Surface, at, smooth_field
from fusar_train.simulation.land import PLACES, build
from fusar_train.simulation.models import PLANES, SHIPS
from fusar_train.simulation.prior import CELL_M, PlacePrior, prior_raster, real_vectors
from fusar_train.simulation.radar import HAMMING, MODERATE, UNWEIGHTED, Sensor, detect, texture
from fusar_train.simulation.scene import SimulationError, encode, write_scene
from fusar_train.simulation.sheet import write_sheet
from fusar_train.simulation.small_echoes import add_ghosts
from fusar_train.simulation.targets import Site, draw_plane, draw_ship, place_planes, place_ships

SIDE = 240


def sea(rng, pixel_m=3.0):
    return build("open sea", (SIDE, SIDE), rng, pixel_m)


def plain(hosts, odds=1.0):
    """Smooth ground everywhere, and nothing else."""
    rng = np.random.default_rng(0)
    land = Land.empty((SIDE, SIDE), 3.0, rng)
    land.add_flat(np.ones(land.shape, np.bool_), rng, odds, hosts, Surface.BARE)
    return land


def test_a_chip_is_the_same_every_time_and_no_other():
    first, again, other = simulate_chip(5, 1), simulate_chip(5, 1), simulate_chip(5, 2)
    assert (first.image == again.image).all()
    assert (first.values == again.values).all()
    assert first.objects == again.objects
    assert (first.image != other.image).any()


def test_chips_are_varied_and_well_formed():
    chips = [simulate_chip(number) for number in range(60)]
    counts = [len(chip.objects) for chip in chips]
    assert min(counts) == 0 < 6 < max(counts) <= 60
    assert {item.label for chip in chips for item in chip.objects} == {"ship", "plane"}
    assert {chip.place for chip in chips} == set(PLACES)
    for chip in chips:
        assert chip.image.shape == (CHIP_PX, CHIP_PX)
        assert chip.cover.dtype == np.int64
        assert np.allclose(np.linalg.norm(chip.values, axis=1), 1, atol=1e-4)
        assert ((chip.positions >= 0) & (chip.positions <= 1)).all()
        for item in chip.objects:
            box = item.box
            assert 0 <= box.left < box.right <= CHIP_PX
            assert 0 <= box.top < box.bottom <= CHIP_PX


@pytest.mark.parametrize("looks", [1, 2, 4])
def test_speckle_has_the_contrast_of_its_looks(looks):
    """Over even ground, standard deviation over mean is one over the root of the number of looks."""
    sensor = Sensor(resolution_m=(4.0, 5.0), looks=looks, look=0.3)
    power = detect(np.ones((SIDE, SIDE), np.float32), np.zeros((SIDE, SIDE), np.float32), sensor, rng(1))
    assert power.mean() == pytest.approx(1, abs=0.04)
    assert power.std() / power.mean() == pytest.approx(looks**-0.5, rel=0.06)


@pytest.mark.parametrize("order", [1.5, 4.0, 15.0])
def test_textured_clutter_is_k_distributed(order):
    """The second moment of K-distributed power of L looks is (1 + 1/order) (1 + 1/L) in units of the mean squared."""
    ground = texture(smooth_field((600, 600), 4.0, rng(2)), order)
    assert ground.mean() == pytest.approx(1, abs=0.05)
    power = detect(ground, np.zeros_like(ground), Sensor(resolution_m=(3.0, 3.0), looks=2), rng(3))
    moment = (power**2).mean() / power.mean() ** 2
    assert moment == pytest.approx((1 + 1 / order) * 1.5, rel=0.08)


@pytest.mark.parametrize(
    ("weighting", "least", "most"), [(UNWEIGHTED, -13.6, -12.9), (MODERATE, -23, -19), (HAMMING, -50, -38)]
)
def test_a_point_has_the_width_and_the_sidelobes_of_its_window(weighting, least, most):
    points = np.zeros((512, 512), np.float32)
    points[256, 256] = 1e6
    sensor = Sensor(1.0, (16.0, 24.0), weighting=weighting)
    power = detect(np.full_like(points, 1e-9), points, sensor, rng(4))
    for cut, width in ((power[256], 16), (power[:, 256], 24)):
        db = 10 * np.log10(cut / cut.max() + 1e-12)
        assert (db > -3.01).sum() == pytest.approx(width, abs=1.5)
        right = db[256:]
        first_null = int(np.argmax(np.diff(right) > 0))
        assert least < right[first_null:].max() < most


def test_a_wall_casts_its_shadow_away_and_falls_towards_the_radar():
    land = plain("ship")
    land.surface[100:140, 100:110] = Surface.BUILT
    height = np.where(land.surface == Surface.BUILT, np.float32(12), np.float32(0))
    for look, axis in ((0.0, 1), (np.pi / 2, 0)):
        sensor = Sensor(look=look, incidence=np.radians(45))
        lit, walls = relief(land, height, sensor, rng(0))
        rows, cols = np.nonzero(walls)
        dark = np.argwhere(lit == 0)
        first, last = (100, 110) if axis else (100, 140)
        assert np.stack([rows, cols])[axis].min() == first - 4, "12 m are laid over 4 pixels at 45 degrees"
        assert np.stack([rows, cols])[axis].max() == first
        assert (dark[:, axis].min(), dark[:, axis].max()) == (last, last + 3)


def test_ghosts_lie_along_azimuth_and_are_weaker():
    site = Site.empty(plain("ship"), Sensor(look=0.0))
    site.echo[120, 120] = 1000.0
    add_ghosts(site, rng(0))
    rows, cols = np.nonzero(site.echo)
    assert set(cols) == {120}
    ghosts = site.echo[rows[rows != 120], 120]
    assert len(ghosts) >= 1
    assert ghosts.max() < 1000 / 50


@pytest.mark.parametrize("heading", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("kind", ["tanker", "coaster", "container ship"])
def test_a_ships_box_is_tight_about_what_a_radar_without_noise_sees(kind, heading):
    site = Site.empty(
        plain("ship"), Sensor(resolution_m=(3.0, 3.0), look=0.0, weighting=HAMMING, noise_db=-30)
    )
    assert draw_ship(site, 330, 360, heading, rng(1), 0.5 * sum(SHIPS[kind].length), SHIPS[kind])
    nothing = np.full(site.echo.shape, 1e-9, np.float32)
    sensor = replace(site.sensor, looks=40)
    power = detect(nothing, site.echo, sensor, rng(2))
    ground = 10 ** (site.land.flats[1].level_db / 10)
    rows, cols = np.nonzero(power > ground)
    seen_box = np.array([cols.min(), rows.min(), cols.max() + 1, rows.max() + 1])
    assert np.abs(np.array(site.targets[0].box) - seen_box).max() <= 2
    long = 0.5 * sum(SHIPS[kind].length) / 3
    left, top, right, bottom = site.targets[0].box
    assert max(right - left, bottom - top) == pytest.approx(
        long * max(abs(np.cos(heading)), abs(np.sin(heading))), abs=14
    )


def test_sizes_are_metres_at_any_pixel_spacing():
    spans = []
    for pixel_m in (1.0, 3.0, 10.0):
        site = Site.empty(sea(rng(3), pixel_m), Sensor(pixel_m, look=np.pi / 2))
        middle = SIDE / 2 * pixel_m
        assert draw_ship(site, middle, middle, 0.0, rng(1), 150.0, SHIPS["tanker"])
        left, _, right, _ = site.targets[0].box
        spans.append((right - left) * pixel_m)
    assert spans == pytest.approx([150] * 3, abs=12)


def test_ships_float_and_planes_stand_on_smooth_ground():
    for seed in range(5):
        site = Site.empty(build("port", (SIDE, SIDE), rng(seed)), Sensor())
        place_ships(site, 6, rng(seed))
        assert all(site.land.flats[target.flat].hosts == "ship" for target in site.targets)
        site = Site.empty(build("airfield", (SIDE, SIDE), rng(seed)), Sensor())
        place_planes(site, 6, rng(seed))
        assert {label for _, label in site.real()} <= {"plane"}
    assert not draw_ship(Site.empty(plain("plane"), Sensor()), 300, 300, 0.0, rng(0), 80, SHIPS["coaster"])
    assert not draw_plane(Site.empty(plain("ship"), Sensor()), 300, 300, 0.0, rng(0), 40, "airliner")
    assert draw_plane(Site.empty(plain("plane"), Sensor()), 300, 300, 0.0, rng(0), 40, next(iter(PLANES)))


@pytest.mark.parametrize("place", PLACES)
def test_the_image_does_not_tell_what_a_flat_is(place):
    """Turning every flat into its opposite changes truth and cover, and not one bit of the image."""
    land = build(place, (SIDE, SIDE), rng(7))
    turned = replace(land, flats=[replace(flat, real=not flat.real) for flat in land.flats])
    images, truths = [], []
    for twin in (land, turned):
        generator = rng(8)
        site = populate(twin, Sensor.random(generator), (8, 8), generator)
        images.append(observe(site, generator))
        truths.append(len(site.real()))
    assert (images[0] == images[1]).all()
    assert sum(truths) == len(site.targets)
    assert (land.cover() != turned.cover()).any()


def test_the_prior_decides_what_images_leave_open():
    """On the default mixture, knowing the land cover is worth at least 25 points of exact ship counts."""
    share = measure(80)
    assert share.ambiguous > 0.45
    assert 0.25 < share.empty < 0.65
    assert share.prior - share.best >= 0.25
    assert share.prior - share.all_alike >= 0.25
    assert share.prior > 0.93


def test_the_best_guess_knows_the_odds():
    site = Site.empty(plain("ship"), Sensor())
    covers = (WATER, int(Surface.BARE))
    site.land.flats[1:] = [Flat("ship", odds, True, covers, -20, 5) for odds in (1.0, 0.5, 0.6)]
    assert best_guess(site, seen(site, "ship")) == 1
    assert best_guess(site, {1: 7}) == 1
    assert best_guess(site, {1: 7, 3: 2}) == pytest.approx(0.6)
    assert best_guess(site, {2: 1, 3: 2}) == pytest.approx(0.3)
    assert best_guess(site, {2: 2, 3: 2}) == pytest.approx(0.5), "two of four are there either way"


def test_only_objects_on_true_flats_are_counted():
    for number in range(12):
        site, _, _ = compose(number)
        record = simulate_chip(number)
        true = sum(n for flat, n in seen(site, "ship").items() if site.land.flats[flat].real)
        assert len(record.boxes("ship")) == true
        middle = (
            np.array([(b.left + b.right, b.top + b.bottom) for b in record.boxes("ship")]).reshape(-1, 2) / 2
        )
        cols, rows = (middle.astype(int) + MARGIN).clip(0, SIDE - 1).T
        on_water = site.land.cover()[rows, cols] == WATER
        assert on_water.sum() >= 0.8 * len(on_water), "boxes of ships at quays may be centred on the quay"


def test_at_inverts_frame():
    u, v = Land.empty((40, 60), 3.0, rng(0)).frame(12.0, 7.0, 0.7)
    x, y = at(12.0, 7.0, 0.7, float(u[30, 20]), float(v[30, 20]))
    assert (x, y) == pytest.approx((20.5 * 3, 30.5 * 3), abs=1e-3)


def test_random_fields_have_unit_variance_everywhere():
    fields = np.stack([smooth_field((30, 40), 7.0, rng(seed)) for seed in range(600)])
    assert np.abs(fields.mean(0)).max() < 0.2
    assert fields.std(0) == pytest.approx(np.ones((30, 40)), abs=0.15)


def test_the_prior_tells_the_land_cover():
    """Most cells are nearest to a real vector of their own cover: the prior informs, though not perfectly."""
    vectors = real_vectors()
    hits = total = 0
    for seed in range(4):
        cover = build("port", (SIDE, SIDE), rng(seed)).cover()
        raster = prior_raster(cover, 3.0, rng(seed))
        assert raster.shape == (72, 72, 64)
        assert np.allclose(np.linalg.norm(raster, axis=-1), 1, atol=1e-5)
        centres = ((np.arange(72) + 0.5) * CELL_M / 3).astype(int)
        under = cover[np.ix_(centres, centres)]
        near = np.einsum("rcd,aked->rcake", raster[::3, ::3], vectors[:, :, ::4]).max(axis=(2, 4)).argmax(-1)
        hits, total = hits + (near == under[::3, ::3]).sum(), total + near.size
    assert 0.6 < hits / total < 0.99


def test_cells_mix_what_lies_under_them():
    cover = np.full((100, 100), WATER, np.uint8)
    cover[:, 50:] = Surface.BUILT
    year = PlacePrior(cover, 3.0, rng(12))
    year.shift = np.zeros(2)
    x = np.array([50.0, 150.0, 250.0])
    shares = year.shares(np.full(3, 150.0), x)
    assert shares[0, WATER] == 1
    assert shares[2, Surface.BUILT] == 1
    assert 0.2 < shares[1, WATER] < 0.8


def test_priors_are_spoilt_as_often_as_asked():
    record, other = simulate_chip(1), simulate_chip(2)
    generator = rng(0)
    spoilt = [drop_or_swap_prior(record, other, generator, drop=0.2, swap=0.3) for _ in range(400)]
    none = sum(len(chip.values) == 0 for chip in spoilt)
    wrong = sum(chip.values is other.values for chip in spoilt)
    assert 50 < none < 110
    assert 85 < wrong < 155
    assert all(chip.image is record.image for chip in spoilt)


@pytest.mark.parametrize(("place", "pixel_m"), [("harbour", 3.0), ("port", 1.0), ("coast", 12.0)])
def test_a_scene_opens_and_says_that_it_is_simulated(tmp_path, place, pixel_m):
    scene_path, prior_path, truth_path = write_scene(
        tmp_path, 3, place=place, shape=(240, 300), pixel_m=pixel_m
    )
    truth = json.loads(truth_path.read_text())
    assert {feature["properties"]["label"] for feature in truth["features"]} <= {"ship", "plane"}
    with open_scene(scene_path) as scene:
        assert scene.simulated
        assert scene.pixel_size_m == pytest.approx(pixel_m, rel=0.01)
        for feature in truth["features"]:
            corner = scene.from_lonlat(LonLatPoints.of(feature["geometry"]["coordinates"][0][0]))
            left, top = feature["properties"]["scene_box"][:2]
            assert 0 <= left < 300
            assert 0 <= top < 240
            assert (corner.x[0], corner.y[0]) == pytest.approx((left, top), abs=0.05)
    with rasterio.open(prior_path) as prior:
        assert (prior.count, prior.dtypes[0], prior.nodata) == (64, "int8", -128)
        assert prior.res == (10.0, 10.0)
        assert prior.tags()["FUSAR_SIMULATED"] == "YES"
        assert "Google DeepMind" in prior.tags()["AEF_ATTRIBUTION"]


def test_the_sample_scene_is_a_busy_harbour(tmp_path):
    truth = json.loads(write_scene(tmp_path)[2].read_text())
    labels = [feature["properties"]["label"] for feature in truth["features"]]
    assert labels.count("ship") > 8
    assert labels.count("plane") >= 3


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"place": "moon"}, "no simulated place 'moon'"),
        ({"pixel_m": 50.0}, "50 m"),
        ({"sensor": Sensor(looks=0)}, "0 looks"),
        ({"shape": (9, 99999)}, "99999 x 9"),
    ],
)
def test_impossible_scenes_are_refused_in_one_line(tmp_path, asked, words):
    with pytest.raises(SimulationError, match=words) as caught:
        write_scene(tmp_path / "new", **asked)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_a_sheet_shows_chips_beside_their_priors(tmp_path):
    from PIL import Image

    with Image.open(write_sheet(tmp_path, 0, (2, 1), prior=True)) as sheet:
        assert sheet.size == (4 * (CHIP_PX + 6), CHIP_PX + 6)
        pixels = np.asarray(sheet)
    assert (pixels[:CHIP_PX, CHIP_PX : 2 * CHIP_PX].std(axis=2) > 0).mean() > 0.9, "the prior is coloured"


def test_codes_keep_the_vectors():
    vectors = real_vectors()[0, :, :10]
    codes = encode(vectors).transpose(1, 2, 0).astype(np.float32)
    assert np.abs((codes / 127.5) ** 2 * np.sign(codes) - vectors).max() < 0.005


def rng(seed):
    return np.random.default_rng(seed)
