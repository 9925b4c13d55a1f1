"""Training chips made in QGIS have the grey of the chips that the backend makes, whatever a file stores."""

from dataclasses import asdict

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import Affine

from fusar_gpt.frames import SceneWindow
from fusar_gpt.imagery import open_scene
from fusar_qgis.contract.evidence import StoredBand
from fusar_qgis.contract.radiometry import Radiometry, judge
from fusar_qgis.contract.sample import sample_band
from fusar_qgis.contract.stretch import Stretch, to_decibel

GENERATOR = np.random.default_rng(3)
SHAPE = (1400, 1500)
SPECKLE = GENERATOR.gamma(1.0, 1e-2, SHAPE).astype("float32")
STORED = {
    "grey": (SPECKLE * 3000).clip(0, 255).astype("uint8"),
    "amplitude": (np.sqrt(SPECKLE) * 3000).astype("uint16"),
    "power": SPECKLE,
    "negative_dB": 10 * np.log10(SPECKLE + 1e-9),
    "named_dB": np.abs(10 * np.log10(SPECKLE + 1e-9)),
    "complex": (np.sqrt(SPECKLE) * np.exp(1j * GENERATOR.random(SHAPE))).astype("complex64"),
    "mostly_empty": np.where(np.arange(SHAPE[1]) > 1450, SPECKLE, 0),
}


@pytest.mark.parametrize("name", STORED)
def test_same_grey_as_the_backend(tmp_path, name):
    stored = STORED[name]
    path = tmp_path / f"{name}.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=SHAPE[0], width=SHAPE[1], count=1, dtype=stored.dtype,
        crs="EPSG:32650", transform=Affine(10, 0, 5e5, 0, -10, 4e6),
    ) as raster:  # fmt: skip
        raster.write(stored, 1)

    def read(col, row, width, height):
        part = stored[row : row + height, col : col + width]
        return (np.abs(part) if np.iscomplexobj(part) else part).astype("float32")

    with open_scene(path) as scene:
        stretch = scene.stretch()
        theirs = stretch.quantise(scene.read(SceneWindow(100, 200, 300, 250)))
        theirs_judged = scene.radiometry
    sample = sample_band(read, SHAPE[1], SHAPE[0])
    judged = judge(sample, StoredBand(stored.dtype.name, name="band 1", context=name))
    assert asdict(judged) == asdict(theirs_judged)
    ours = Stretch.of_samples(judged.decibels(sample.numbers), judged.quantity)
    assert (ours.low_db, ours.high_db) == (stretch.low_db, stretch.high_db)
    assert np.array_equal(ours.quantise(judged.decibels(read(100, 200, 300, 250))), theirs)


def test_a_band_of_zeros_holds_no_data():
    assert np.isnan(to_decibel(np.zeros(4, "float32"), "amplitude")).all()


@given(
    quantity=st.sampled_from(["amplitude", "power", "dB", "grey"]),
    scale=st.sampled_from([1.0, 0.5, -0.25]),
    offset=st.sampled_from([0.0, 64.0]),
    fill=st.sampled_from([(), (7.0,)]),
    noise=st.sampled_from([0.0, 0.125]),
    zeros=st.booleans(),
    stored=st.lists(st.integers(-1200, 1200).map(float), min_size=1),
)
def test_the_gaps_are_the_numbers_that_are_no_data(quantity, scale, offset, fill, noise, zeros, stored):
    seen = Radiometry(quantity, "", scale, offset, fill, noise if quantity == "power" else 0.0, zeros)
    numbers = np.array(stored, "float32")
    in_gap = np.zeros(numbers.shape, bool)
    for low, high in seen.gaps():
        in_gap |= (low <= numbers) & (numbers <= high)
    assert np.array_equal(in_gap, np.isnan(seen.decibels(numbers)))
