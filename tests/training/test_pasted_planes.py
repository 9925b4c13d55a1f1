"""Real planes on simulated aprons: which records give them, where they are parked, and what their boxes hold."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.record import Record, RecordObject
from fusar_train.corpus.records import write_records
from fusar_train.pretrain.batches import Mixture
from fusar_train.simulation import varied
from fusar_train.simulation.land import build
from fusar_train.simulation.pasted import CutOut, cut_outs, paste_planes
from fusar_train.simulation.radar import Sensor
from fusar_train.simulation.targets import Site

SHAPE = (240, 240)


@pytest.fixture
def folder(tmp_path):
    """Records of single planes: two of the split train, one held out, one with two planes, one small in its image."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (60, 80)).astype(np.uint8)
    pixels[20:40, 30:50] = 250
    Image.fromarray(pixels).save(tmp_path / "plane.png")
    whole = RecordObject(SceneBox(0, 0, 80, 60), "plane", "A330")
    record = Record(id="a/0", image=tmp_path / "plane.png", objects=(whole,), scene="0", split="train")
    records = [
        record,
        replace(record, id="a/1", objects=(replace(whole, fine="MiG"),)),
        replace(record, id="a/2", scene="1", split="test"),
        replace(record, id="a/3", objects=(whole, whole)),
        replace(record, id="a/4", objects=(replace(whole, box=SceneBox(30, 20, 50, 40)),)),
    ]
    write_records(records, tmp_path / "records")
    return tmp_path / "records"


def aprons(count):
    for seed in range(count):
        rng = np.random.default_rng(seed)
        land = build("airfield", SHAPE, rng)
        yield Site.empty(land, Sensor.random(rng, land.pixel_m)), rng


def test_records_of_one_whole_plane_give_cut_outs(folder):
    found = cut_outs(folder)
    assert [one.length_m for one in found] == [61.0, None]
    assert len(cut_outs(folder, "test")) == 1
    assert found[0].power.max() == 1
    assert np.median(found[0].power) == 0, "the ground around is not pasted"
    with pytest.raises(CorpusError, match="no record of the split val"):
        cut_outs(folder, "val")


def test_planes_stand_on_true_aprons_and_their_boxes_hold_their_echoes(folder):
    planes, parked = cut_outs(folder), 0
    for site, rng in aprons(12):
        before = site.echo.copy()
        paste_planes(site, planes, 6, rng)
        assert len(site.targets) <= 6
        added = site.echo - before
        for target in site.targets:
            left, top, right, bottom = map(int, target.box)
            assert site.land.flats[target.flat].hosts == "plane"
            assert site.land.flats[target.flat].real
            assert added[top:bottom, left:right].any()
            added[top:bottom, left:right] = 0
        assert not added.any()
        parked += len(site.targets)
    assert parked > 12


def test_a_longer_plane_is_larger():
    def size(length):
        sides = []
        for site, rng in aprons(8):
            paste_planes(site, [CutOut(np.ones((40, 40), np.float32), length)], 3, rng)
            sides += [target.box[2] - target.box[0] for target in site.targets]
        return np.median(sides)

    assert size(60.0) > 1.6 * size(30.0)


def test_a_mixture_parks_them(folder, monkeypatch):
    seen = []
    monkeypatch.setattr(varied, "paste_planes", lambda site, planes, count, rng: seen.append(len(planes)))
    mixture = Mixture(real_share=0.0, varied=1.0, crowd=0.0, no_prior=0.0, wrong_prior=0.0)
    monkeypatch.setattr(varied, "SITUATIONS", {"busy airfield": (varied.busy_airfield, 1.0)})
    chips = mixture.chips(0, planes=folder)
    for _ in range(12):
        next(chips)
    assert set(seen) == {2}
