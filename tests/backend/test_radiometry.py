"""What a band's numbers are: judged from names, units, type, range and speckle, told, overridden; undeclared fill."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusar_gpt.contract.evidence import StoredBand
from fusar_gpt.contract.radiometry import Radiometry, judge
from fusar_gpt.contract.sample import sample_band
from fusar_gpt.contract.stretch import Stretch

SIDE = 320
SHIPS = (slice(90, 96), slice(80, 100)), (slice(200, 206), slice(240, 260))


def sea(looks: float = 4) -> np.ndarray:
    """Speckled power of mean 0.01 with two ships of 3."""
    random = np.random.default_rng(1)
    power = random.gamma(looks, 0.01 / looks, (SIDE, SIDE))
    for ship in SHIPS:
        power[ship] = random.gamma(4, 3 / 4, (6, 20))
    return power.astype(np.float32)


def sample(stored: np.ndarray):
    values = (np.abs(stored) if np.iscomplexobj(stored) else stored).astype(np.float32)
    values[~np.isfinite(values)] = np.nan
    return sample_band(lambda x, y, w, h: values[y : y + h, x : x + w], values.shape[1], values.shape[0])


def judged(stored: np.ndarray, *asked: object, **said: object) -> Radiometry:
    return judge(sample(stored), StoredBand(**{"dtype": stored.dtype.name, **said}), *asked)


def frame(around: float, inside: np.ndarray, side: int = 1300) -> np.ndarray:
    """A scene within a frame of one number."""
    framed = np.full((side, side), around, inside.dtype)
    framed[500 : 500 + SIDE, 600 : 600 + SIDE] = inside
    return framed


POWER, SINGLE = sea(), sea(1)
AMPLITUDE, DB = np.sqrt(POWER), 10 * np.log10(POWER)
SINGLE_DB = 10 * np.log10(SINGLE)
GREY = ((DB + 30) * 8).clip(0, 255).astype(np.uint8)
DENOISED = POWER - np.float32(0.0105)
FORMS = {
    "sigma0": (POWER, {"name": "Sigma0_VV"}, "power", 1),
    "float without a name": (POWER, {}, "power", 1),
    "amplitude by name": (AMPLITUDE, {"name": "Amplitude_VV"}, "amplitude", 1),
    "amplitude by unit": (AMPLITUDE, {"name": "VV amplitude"}, "amplitude", 1),
    "amplitude by speckle": (AMPLITUDE, {}, "amplitude", 1),
    "single-look amplitude by speckle": (np.sqrt(SINGLE), {}, "amplitude", 1),
    "amplitude with a scale": ((AMPLITUDE * 1000).astype(np.uint16), {"scale": 0.001}, "amplitude", 0.001),
    "power with a scale": ((POWER * 1e4).clip(0, 65535).astype(np.uint16), {"scale": 1e-4}, "power", 1e-4),
    "digital numbers": ((AMPLITUDE * 1000).astype(np.uint16), {}, "amplitude", 1),
    "a power plant": ((AMPLITUDE * 1000).astype(np.uint16), {"context": "power_plant"}, "amplitude", 1),
    "intensities": ((POWER * 1e6).astype(np.uint32), {"name": "Intensity_VV"}, "power", 1),
    "complex": ((AMPLITUDE * 1j).astype(np.complex64), {}, "amplitude", 1),
    "HyP3 amplitude": (AMPLITUDE, {"context": "S1A_IW_20150621T120220_DVP_RTC10_G_saufem_F8E2_VV"}, "amplitude", 1),
    "decibels": (DB, {}, "dB", 1),
    "single-look decibels": (SINGLE_DB, {}, "dB", 1),
    "decibels of a bright scene": (DB + 26, {}, "dB", 1),
    "decibels above zero": (DB + 80, {}, "dB", 1),
    "named decibels": (DB + 40, {"name": "Sigma0_VV_db"}, "dB", 1),
    "decibels in 8 bits": (DB.astype(np.int8), {}, "dB", 1),
    "decibels times 10": ((10 * DB).astype(np.int16), {}, "dB", 0.1),
    "decibels times 100": ((100 * DB).astype(np.int16), {}, "dB", 0.01),
    "single-look decibels times 100": ((100 * SINGLE_DB).astype(np.int16), {}, "dB", 0.01),
    "decibels packed in 8 bits": (((DB + 40) * 4).astype(np.uint8), {"scale": 0.25, "offset": -40.0}, "dB", 0.25),
    "decibels plus 100, times 100": (((DB + 100) * 100).astype(np.uint16), {}, "dB", 0.01),
    "noise removed": (DENOISED, {"name": "Sigma0_VH"}, "power", 1),
    "noise removed, uncalibrated": (DENOISED * np.float32(1e7), {}, "power", 1),
    "grey": (GREY, {}, "grey", 1),
    "grey with an offset": (GREY, {"offset": 1.0}, "grey", 1),
    "grey in 16 bits": (GREY.astype(np.uint16), {}, "grey", 1),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_recognised_and_shows_the_ships(form):
    stored, said, quantity, scale = FORMS[form]
    found = judged(stored, **said)
    assert (found.quantity, found.scale, found.warnings, found.fill) == (
        quantity,
        pytest.approx(scale),
        (),
        (),
    )
    assert found.reason
    db = found.decibels((np.abs(stored) if np.iscomplexobj(stored) else stored).astype(np.float32))
    grey = Stretch.of_samples(db, found.quantity).quantise(db).astype(int)
    background = np.median(grey)
    assert all(np.median(grey[ship]) > background + 90 for ship in SHIPS)


def test_the_reason_is_told_in_a_phrase():
    reason = judged((100 * DB).astype(np.int16)).reason
    assert reason.startswith("decibels times 100, from int16 values between -2")
    assert reason.endswith("without a scale tag")
    assert judged(POWER, name="Intensity_VV").reason == "power: 'Intensity_VV' names it"


@pytest.mark.parametrize(
    ("stored", "said", "quantity", "warning"),
    [
        (POWER, {"context": "test_db"}, "power", "'test_db' names decibels, but the numbers between"),
        (DB, {"name": "Intensity_VV"}, "dB", "names the numbers power, but they were taken for decibels"),
        (AMPLITUDE, {"name": "Intensity_VV"}, "power", "names power, but the speckle is that of amplitude"),
        ((GREY // 2 + 20).astype(np.uint16), {}, "dB", "if they are grey levels, say so with --quantity grey"),
    ],
)  # fmt: skip
def test_evidence_that_conflicts_is_a_warning(stored, said, quantity, warning):
    found = judged(stored, **said)
    assert found.quantity == quantity
    assert warning in found.warnings[0]


def test_ground_below_its_noise_is_dark_and_no_gap():
    found = judged(DENOISED, name="Sigma0_VH")
    assert (DENOISED < 0).mean() > 0.5
    db = found.decibels(DENOISED)
    assert np.isfinite(db).all()
    grey = Stretch.of_samples(db).quantise(db)
    assert not grey[DENOISED < 0].any()
    assert np.isnan(found.decibels(np.array([0, -9999, np.nan], np.float32))).all()


def test_zero_decibels_are_data_where_decibels_are_whole_numbers():
    stored = DB.astype(np.int8)
    assert np.isfinite(judged(stored).decibels(np.zeros(1, np.float32))).all()
    framed = frame(0, stored)
    assert np.isnan(judged(framed).decibels(np.zeros(1, np.float32))).all()


def test_what_shows_no_objects_is_refused():
    random = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"look like phases.*--band, or say what it is with --quantity"):
        judged(random.uniform(-np.pi, np.pi, (SIDE, SIDE)).astype(np.float32))
    part = (random.normal(0, 1, (SIDE, SIDE)) * AMPLITUDE * 1000).astype(np.int16)
    with pytest.raises(ValueError, match="evenly around zero, like one part"):
        judged(part)
    assert judged(part, "power").quantity == "power"


def test_the_analyst_has_the_last_word():
    assert judged(POWER, "amplitude").reason == "amplitude, as asked"
    times100 = (100 * DB).astype(np.int16)
    assert judged(times100, "dB").scale == pytest.approx(0.01)  # the factor is still judged
    asked = judged(times100, "dB", 0.02)
    assert (asked.quantity, asked.scale) == ("dB", 0.02)
    scaled = judged((POWER * 1e4).astype(np.uint16), None, 0.5, scale=1e-4, offset=3.0)
    assert (scaled.scale, scaled.offset) == (0.5, 0.0)


@pytest.mark.parametrize(
    ("stored", "asked", "warning"),
    [
        (POWER, "dB", "read as decibels, as asked, but look like none"),
        (DB, "power", "read as power, as asked, but look like decibels"),
        ((AMPLITUDE * 1000).astype(np.uint16), "grey", "Grey levels go from 0 to 255"),
    ],
)
def test_a_doubtful_order_is_obeyed_and_told(stored, asked, warning):
    found = judged(stored, asked)
    assert found.quantity == asked
    assert warning in found.warnings[0]


FILLED = {
    "-99 dB": (frame(-99, DB), -99),
    "-50 dB": (frame(-50, DB), -50),
    "1e-10": (frame(1e-10, POWER), 1e-10),
    "1 amid the numbers": (frame(1, POWER), 1),
    "-9999 in power": (frame(-9999, POWER), -9999),
    "65535": (frame(65535, (AMPLITUDE * 1000).astype(np.uint16)), 65535),
    "-32768": (frame(-32768, (100 * DB).astype(np.int16)), -32768),
    "-1 in noise-removed power": (frame(-1, DENOISED), -1),
    "white paper": (frame(255, GREY.clip(0, 200)), 255),
    "a small scene": (frame(-99, DB)[450:900:3, 550:1000:3], -99),
}


@pytest.mark.parametrize("form", FILLED)
def test_undeclared_fill_is_no_data_and_told(form):
    stored, fill = FILLED[form]
    found, values = judged(stored), stored.astype(np.float32)
    assert found.fill == (np.float32(fill),)
    assert f"The number {fill:.7g} (about" in found.warnings[-1]
    np.testing.assert_array_equal(np.isnan(found.decibels(values)), values == np.float32(fill))
    alone = judged(stored[500:800, 600:900] if stored.shape[0] > 1000 else stored[20:100, 20:100])
    assert found.quantity == alone.quantity


def test_several_fills_and_thin_frames_are_found():
    stored = frame(-99, DB)
    stored[480:500, 600:900] = stored[600:700, 400:600] = 7777
    assert judged(stored).fill == (-99, 7777)
    thin = np.tile(DB, (4, 4))
    for edge in (thin[:5], thin[-5:], thin[:, :5], thin[:, -5:]):
        edge[...] = -99
    assert judged(thin).fill == (-99,)
    scattered = np.where(np.random.default_rng(0).random(DB.shape) < 0.05, np.float32(-9999), DB)
    assert judged(scattered).fill == (-9999,)


@pytest.mark.parametrize(
    "stored",
    [
        np.where(np.random.default_rng(0).random(POWER.shape) < 0.01, 65535, AMPLITUDE * 1000).astype(
            np.uint16
        ),
        GREY.clip(60) - np.uint8(60),
        np.maximum(DB, np.median(DB)),
        (AMPLITUDE * 20).astype(np.uint16),
        np.full((64, 64), 7, np.float32),
    ],
    ids=["saturation", "black sea", "clipped", "few levels", "nothing else"],
)
def test_true_data_is_no_fill(stored):
    assert judged(stored).fill == ()


@given(
    st.sampled_from(("power", "amplitude", "dB")),
    st.integers(0, 2**32 - 1),
    st.sampled_from((1.0, 2.0, 4.4, 9.0)),
)
@settings(deadline=None, max_examples=30)
def test_speckle_alone_tells_floats_apart(quantity, seed, looks):
    power = np.random.default_rng(seed).gamma(looks, 0.02 / looks, (256, 256)).astype(
        np.float32
    ) + np.float32(1e-9)
    stored = {"power": power, "amplitude": np.sqrt(power), "dB": 10 * np.log10(power) + 60}[quantity]
    assert judged(stored.astype(np.float32)).quantity == quantity
