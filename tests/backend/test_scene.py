"""Scene: every kind of SAR raster opens, reads by windows, and refuses in one line what it cannot use."""

from __future__ import annotations

import datetime as dt
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasters import speckle, swath_gcps, write

from fusar_gpt.contract.dates import acquisition_date
from fusar_gpt.errors import SceneError
from fusar_gpt.frames import SceneWindow
from fusar_gpt.imagery import open_scene
from fusar_gpt.imagery.scene import Scene

GEOREF = Path(__file__).parents[3] / "shared" / "data" / "georef"
WHOLE = SceneWindow(0, 0, 40, 30)
POWER = speckle(30, 40)
POWER_DB = 10 * np.log10(POWER)


@pytest.mark.parametrize(
    ("name", "stored", "quantity", "expected", "tolerance"),
    [
        ("power.tif", POWER, "power", POWER_DB, 1e-4),
        ("linear64.tif", POWER.astype(np.float64), "power", POWER_DB, 1e-4),
        ("negative.tif", POWER_DB, "dB", POWER_DB, 1e-6),
        ("uncalibrated_dB.tif", POWER_DB + 80, "dB", POWER_DB + 80, 1e-5),
        ("dn.tif", (np.sqrt(POWER) * 1e5).astype(np.uint16), "amplitude", POWER_DB + 100, 0.2),
        ("slc.tif", (np.sqrt(POWER) * np.exp(1.2j)).astype(np.complex64), "amplitude", POWER_DB, 1e-4),
        ("grey.tif", (POWER * 3000).clip(0, 255).astype(np.uint8), "grey", (POWER * 3000).clip(0, 255), 1),
    ],
)
def test_every_kind_of_number_becomes_decibels(tmp_path, name, stored, quantity, expected, tolerance):
    with open_scene(write(tmp_path / name, stored)) as scene:
        assert scene.quantity == quantity
        db = scene.read(WHOLE)
        assert db.dtype == np.float32
        np.testing.assert_allclose(db, expected, atol=tolerance)


def test_integer_complex_and_scaled_decibels(tmp_path):
    slc = write(tmp_path / "i16.tif", np.full((4, 4), 300 + 400j, np.complex64), dtype="complex_int16")
    with open_scene(slc) as scene:
        np.testing.assert_allclose(scene.read(SceneWindow(0, 0, 4, 4)), 20 * np.log10(500), rtol=1e-6)
    scaled = write(tmp_path / "s.tif", np.full((4, 4), -1250, np.int16))
    with rasterio.open(scaled, "r+") as dataset:
        dataset.scales = (0.01,)
    with open_scene(scaled) as scene:
        assert scene.quantity == "dB"
        np.testing.assert_allclose(scene.read(SceneWindow(0, 0, 4, 4)), -12.5, rtol=1e-6)


@pytest.mark.parametrize("nodata", [None, -99.0, float("nan")])
def test_no_data_nan_inf_and_outside_are_nan(tmp_path, nodata):
    stored = POWER.copy()
    stored[0, :5] = [np.nan, np.inf, 0.0, -1.0, nodata or 0.0]
    with open_scene(write(tmp_path / "s.tif", stored, nodata=nodata)) as scene:
        db = scene.read(SceneWindow(-2, -3, 50, 40))
    inside = np.zeros((40, 50), dtype=bool)
    inside[3:33, 2:42] = True
    inside[3, 2:7] = False
    np.testing.assert_array_equal(np.isfinite(db), inside)
    np.testing.assert_allclose(db[4:33, 2:42], POWER_DB[1:], atol=1e-4)


def test_a_window_beside_the_scene_is_all_nan(tmp_path):
    with open_scene(write(tmp_path / "s.tif", POWER)) as scene:
        assert np.isnan(scene.read(SceneWindow(40, 0, 3, 3))).all()


@pytest.mark.parametrize(
    ("file", "names", "band", "expected"),
    [
        ("a.tif", ("VH", "VV"), None, 2),
        ("a.tif", ("Sigma0_HV", "Sigma0_HH"), None, 2),
        ("a.tif", ("alpha", "beta"), None, 1),
        ("a.tif", ("VH", "VV"), "vh", 1),
        ("a.tif", ("Intensity_VV", "VV"), "VV", 2),
        ("a.tif", ("Sigma0_VV", "Sigma0_VH"), "VH", 2),
        ("a.tif", ("VH", "VV"), 1, 1),
        ("a.tif", ("VH", "VV"), "1", 1),
        ("a.tif", ("Phase_VV", "Intensity_VV"), None, 2),
        ("a.tif", ("i_VV", "Intensity_VH"), None, 2),
        ("a.tif", ("Phase_VV", "Intensity_VV"), "VV", 2),
        ("a.tif", ("angle", "VH"), None, 2),
        ("a.tif", ("coh_VV", "Sigma0_HV"), None, 2),
        ("S1A_VH_VV_x.tif", (), None, 2),
        ("S1A_1SDV.tif", (), None, 1),
    ],
)
def test_bands_are_chosen_by_name_polarisation_or_number(tmp_path, file, names, band, expected):
    path = write(tmp_path / file, np.stack([POWER, 2 * POWER]), names=names)
    with open_scene(path, band=band) as scene:
        np.testing.assert_allclose(scene.read(WHOLE), 10 * np.log10(POWER * expected), atol=1e-4)
        assert scene.band == scene.bands[expected - 1]
        assert not names or scene.bands == names


def test_the_parts_of_complex_numbers_make_a_magnitude(tmp_path):
    random = np.random.default_rng(0)
    parts = (random.normal(0, 100, (2, 30, 40))).astype(np.int16)
    stored = np.concatenate([parts, np.zeros((1, 30, 40), np.int16)])
    path = write(tmp_path / "s.tif", stored, names=("i_VV", "q_VV", "Phase_VV"))
    for band in (None, "VV", "q_VV", 1):
        with open_scene(path, band=band) as scene:
            assert (scene.band, scene.quantity) == ("i_VV and q_VV", "amplitude")
            expected = 20 * np.log10(np.hypot(*parts.astype(np.float32)))
            np.testing.assert_allclose(scene.read(WHOLE), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("names", "band", "message"),
    [
        (
            ("Phase_VV", "Intensity_VV"),
            "Phase_VV",
            "holds phases, .*--band; the scene has: 1 = Phase_VV, 2 = Int",
        ),
        (("Phase_VV", "Phase_VH"), None, "holds phases"),
        (("i_VV", "q_VH"), None, "is one part of complex numbers, and the other part is missing"),
    ],
)
def test_phases_and_half_numbers_are_refused(tmp_path, names, band, message):
    path = write(tmp_path / "s.tif", np.stack([POWER, POWER]), names=names)
    with pytest.raises(SceneError, match=message):
        open_scene(path, band=band)


def test_undeclared_fill_is_no_data_in_every_read(tmp_path):
    power = np.full((300, 300), 1e-10, np.float32)
    power[100:250, 50:220] = speckle(150, 170)
    with open_scene(write(tmp_path / "s.tif", power)) as scene:
        np.testing.assert_array_equal(np.isfinite(scene.read(SceneWindow(0, 0, 300, 300))), power > 1e-9)
        small = scene.read_resampled(SceneWindow(0, 0, 300, 300), (60, 60))
        assert np.nanmin(small) > -70  # no mean of fill and data
        assert scene.warnings[0].startswith("The number 1e-10 (about 72% of the scene) is fill")
        assert scene.stretch().low_db == pytest.approx(
            np.percentile(10 * np.log10(speckle(150, 170)), 1), abs=0.5
        )


def test_quantity_and_scale_can_be_said(tmp_path):
    path = write(tmp_path / "s.tif", (POWER * 1e5).astype(np.uint16))
    with open_scene(path, quantity="power", scale=1e-5) as scene:
        assert scene.radiometry.reason == "power, as asked"
        np.testing.assert_allclose(scene.read(WHOLE)[POWER > 1e-3], POWER_DB[POWER > 1e-3], atol=0.1)
        assert scene.fingerprint == open_scene(path).fingerprint


@pytest.mark.parametrize("band", ["HH", 3, 0, "", "-1"])
def test_a_wrong_band_lists_the_right_ones(tmp_path, band):
    path = write(tmp_path / "s.tif", np.stack([POWER, POWER]), names=("VV", "VH"))
    with pytest.raises(SceneError, match=f"no band '{band}'; it has: 1 = VV, 2 = VH"):
        open_scene(path, band=band)


def test_tags_tell_where_the_scene_is_from(tmp_path):
    tags = {"FUSAR_SIMULATED": "YES", "FUSAR_ATTRIBUTION": "us", "ACQUISITION_START_TIME": "2021-03-04T05:06"}
    with open_scene(write(tmp_path / "20200101.tif", POWER, tags=tags)) as scene:
        assert (scene.simulated, scene.attribution, scene.acquired) == (True, "us", dt.date(2021, 3, 4))
    with open_scene(write(tmp_path / "plain.tif", POWER)) as scene:
        assert (scene.simulated, scene.attribution, scene.acquired) == (False, None, None)
        assert scene.name == "plain.tif"


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("S1A_IW_GRDH_1SDV_20180716T004042_20180717T004107_022812", dt.date(2018, 7, 16)),
        ("OPERA_L2_RTC-S1_T137-292318-IW1_20211119T015854Z_20250830T120333Z", dt.date(2021, 11, 19)),
        ("CAPELLA_C02_SM_GEO_HH_20201209213329_20201209213332", dt.date(2020, 12, 9)),
        ("2023-02-12-UMBRA", dt.date(2023, 2, 12)),
        ("scene_20231345_19991231", dt.date(1999, 12, 31)),
        ("L10003514087_20181", None),
    ],
)
def test_the_day_is_in_the_file_name(stem, expected):
    assert acquisition_date({"TIFFTAG_DATETIME": "2001:01:01 00:00:00"}, stem) == expected


@pytest.mark.parametrize(
    "path", ["https://x.org/a.tif", "/vsicurl/https://x.org/a.tif", "/vsizip/a.zip/b.tif", "s3://b/a.tif"]
)
def test_what_is_not_a_local_file_is_refused(path):
    with pytest.raises(SceneError, match="not a local file: download it first"):
        open_scene(path)


def test_a_missing_file_and_a_text_are_refused(tmp_path, capfd):
    with pytest.raises(SceneError, match="does not exist: check the path"):
        open_scene(tmp_path / "none.tif")
    (tmp_path / "note.tif").write_text("hello")
    with pytest.raises(SceneError, match=r"'note\.tif' cannot be opened as a raster"):
        open_scene(tmp_path / "note.tif")
    with pytest.raises(SceneError, match=r"is a folder: give one of its rasters, such as .*note\.tif"):
        open_scene(tmp_path)
    assert capfd.readouterr().err == ""


def test_a_scene_cut_short_or_empty_is_refused_when_read(tmp_path, capfd):
    cut = write(tmp_path / "cut.tif", speckle(300, 300), compress="deflate")
    cut.write_bytes(cut.read_bytes()[:100_000])
    with open_scene(cut) as scene, pytest.raises(SceneError, match="damaged or cut short"):
        scene.stretch()
    with (
        open_scene(write(tmp_path / "empty.tif", 0 * POWER)) as scene,
        pytest.raises(SceneError, match="holds no data: choose another"),
    ):
        scene.stretch()
    assert capfd.readouterr().err == ""


def test_the_stretch_is_the_scenes_and_not_the_windows(tmp_path):
    power = speckle(1500, 1700)
    power[:, :850] *= 1e-3
    with open_scene(write(tmp_path / "s.tif", power)) as scene:
        stretch = scene.stretch()
        assert stretch is scene.stretch()
        low, high = np.percentile(10 * np.log10(power), (1, 99.9))
        assert (stretch.low_db, stretch.high_db) == (pytest.approx(low, abs=1), pytest.approx(high, abs=1))
        dark = stretch.quantise(scene.read(SceneWindow(0, 0, 200, 200)))
        bright = stretch.quantise(scene.read(SceneWindow(1200, 0, 200, 200)))
        assert np.median(dark) + 60 < np.median(bright)


def test_data_in_a_corner_of_an_empty_scene_is_found(tmp_path):
    power = np.zeros((2400, 2400), dtype=np.float32)
    power[100:300, 150:350] = speckle(200, 200)
    with open_scene(write(tmp_path / "s.tif", power, compress="deflate")) as scene:
        assert scene.stretch().low_db == pytest.approx(
            np.percentile(10 * np.log10(speckle(200, 200)), 1), abs=2
        )


def test_a_scene_far_larger_than_memory_is_sampled_in_little_memory(tmp_path):
    path = tmp_path / "huge.tif"
    profile = {"dtype": "float32", "count": 1, "width": 200_000, "height": 150_000, "crs": "EPSG:32631"}
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512, "SPARSE_OK": True, "BIGTIFF": "YES"}
    place = rasterio.Affine(1, 0, 400000, 0, -1, 5e6)
    with rasterio.open(path, "w", driver="GTiff", transform=place, **profile, **tiles) as dataset:
        for row, col in [(0, 0), (85_200, 114_000), (149_504, 199_680)]:
            block = rasterio.windows.Window(col, row, 512, 512).intersection(
                rasterio.windows.Window(0, 0, 200_000, 150_000)
            )
            dataset.write(speckle(int(block.height), int(block.width))[None], window=block)
    tracemalloc.start()
    with open_scene(path) as scene:
        assert scene.stretch().high_db == pytest.approx(-11, abs=3)
        assert np.isfinite(scene.read(SceneWindow(0, 0, 512, 512))).all()
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_the_fingerprint_follows_pixels_place_and_band(tmp_path):
    def fingerprint(name, data, band=None, **options):
        with open_scene(write(tmp_path / name, data, names=("VV", "VH"), **options), band=band) as scene:
            return scene.fingerprint

    both = np.stack([POWER, POWER[::-1]])
    touched = both.copy()
    touched[0, 7, 7] *= 2
    first = fingerprint("a.tif", both)
    assert first == fingerprint("copy.tif", both)
    others = [
        fingerprint("b.tif", touched),
        fingerprint("c.tif", both, band="VH"),
        fingerprint("d.tif", both, crs="EPSG:32632"),
        fingerprint("e.tif", both, gcps=swath_gcps(40, 30)),
    ]
    assert len({first, *others}) == 5


def test_a_scene_is_sampled_once_as_long_as_its_files_stay_as_they_are(tmp_path, monkeypatch):
    looked, read_sample = [], Scene._read_sample
    monkeypatch.setattr(Scene, "_read_sample", lambda scene: looked.append(1) or read_sample(scene))

    def fingerprint(**options):
        with open_scene(tmp_path / "s.tif", **options) as scene:
            scene.stretch()
            return scene.fingerprint

    write(tmp_path / "s.tif", np.stack([POWER, POWER[::-1]]), names=("VV", "VH"))
    first = fingerprint()
    assert (fingerprint(), len(looked)) == (first, 1)
    assert fingerprint(band="VH") != first
    write(tmp_path / "s.tif", np.stack([2 * POWER, POWER[::-1]]), names=("VV", "VH"))
    assert fingerprint() != first
    assert len(looked) == 3


def test_a_resampled_read_keeps_the_mean_and_the_place(tmp_path):
    power = np.ones((80, 120), dtype=np.float32)
    power[:, 60:] = 100.0
    with open_scene(write(tmp_path / "s.tif", power)) as scene:
        small = scene.read_resampled(SceneWindow(0, 0, 240, 80), (20, 60))
    assert small.shape == (20, 60)
    np.testing.assert_allclose(small[:, :15], 0, atol=1e-5)
    np.testing.assert_allclose(small[:, 15:30], 20, atol=1e-5)
    assert np.isnan(small[:, 30:]).all()


@pytest.mark.skipif(not GEOREF.is_dir(), reason=f"real scenes are not in {GEOREF}")
def test_every_real_scene_opens_and_has_contrast():
    paths = sorted(GEOREF.glob("*/*.tif*"))
    assert len(paths) >= 12
    kinds = set()
    for path in paths:
        with open_scene(path) as scene:
            kinds.add((scene.band, scene.quantity))
            grey = scene.stretch().quantise(scene.read(SceneWindow(0, 0, scene.width, scene.height)))
            assert grey.std() > 5
            assert (grey == 255).mean() < 0.01
    assert {("VV", "power"), ("VV", "dB"), ("VV", "amplitude"), ("HH", "amplitude")} <= kinds
    assert {quantity for _, quantity in kinds} == {"power", "dB", "amplitude", "grey"}
