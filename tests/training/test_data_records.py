"""Stored records: what is written is read back, folders and shards alike; what makes no sense is named."""

import io
import json
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from corpus_samples import RELEASE, TINY, prior_file, record, save, ship, speckle, write_lines
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fusar_gpt.frames import SceneBox, SceneWindow
from fusar_gpt.tasks import Task
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.images import crop, digest, read_image
from fusar_train.corpus.record import Message, Record, grown
from fusar_train.corpus.records import read_records, write_records
from fusar_train.corpus.shards import write_shards

edge = st.floats(-500, 5000, allow_nan=False)
text = st.text(max_size=30)


@st.composite
def boxes(draw):
    (left, right), (top, bottom) = (sorted(draw(st.tuples(edge, edge))) for _ in range(2))
    return SceneBox(left, top, right, bottom)


messages = st.builds(
    Message,
    task=st.sampled_from(Task),
    target=st.none() | text,
    box=st.none() | boxes(),
    question=text,
    answer=text,
)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return save(tmp_path_factory.mktemp("source") / "a.png", speckle())


@given(st.lists(boxes(), max_size=4), st.lists(messages, max_size=3), st.none() | text, text)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_record_comes_back_as_it_was(image, tmp_path_factory, places, said, caption, scene):
    objects = tuple(
        ship(b.left, b.top, b.right, b.bottom, fine="S-1", difficult=i > 1) for i, b in enumerate(places)
    )
    window = SceneWindow(-3, 4, 50, 60)
    provenance = {"pixel_m": 1.5, "note": "Genève"}
    one = Record(
        id="set/x.1", image=image, window=window, objects=objects, messages=tuple(said), caption=caption,
        scene=scene, split="val", provenance=provenance,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("out") / "set"
    assert write_records([one], folder) == 1
    (back,) = read_records(folder)
    assert back.image != image
    assert (back.objects, back.messages, back.window) == (one.objects, one.messages, one.window)
    assert (back.id, back.caption, back.scene, back.split) == (one.id, caption, scene, "val")
    assert back.provenance == provenance
    assert (back.pixels() == one.pixels()).all()


def test_shards_hold_the_same_records_cut_to_their_windows(tmp_path):
    prior = prior_file(tmp_path / "p.npz", rows=7, year=2021)
    whole = record(tmp_path, "b.c", [ship(10, 20, 30, 40)], prior=prior)
    part = replace(whole, id="set/part", window=SceneWindow(5, 10, 60, 50))
    more = [record(tmp_path, f"n{i}", [], pixels=speckle(i)) for i in range(3)]
    paths = write_shards([whole, part, *more], tmp_path / "shards", per_shard=2)
    assert [path.name for path in paths] == [f"shard-{i:06d}.tar" for i in range(3)]
    back = list(read_records(tmp_path / "shards"))
    assert [one.id for one in back] == ["set/b.c", "set/part", "set/n0", "set/n1", "set/n2"]
    assert (back[0].pixels() == whole.pixels()).all()
    assert back[0].image_source().read() == whole.image.read_bytes()
    assert (back[1].pixels() == part.pixels()).all()
    assert back[1].window is None
    assert back[1].boxes("ship") == [SceneBox(5, 10, 25, 30)]
    assert back[1].provenance["cut"] == [5, 10, 60, 50]
    for kept, given_ in zip(back[0].vectors(), whole.vectors(), strict=True):
        assert (kept == given_).all()
    assert back[0].prior_year() == 2021
    assert [one.id for one in read_records(paths[1])] == ["set/n0", "set/n1"]


def test_shards_of_the_same_records_are_the_same_bytes(tmp_path):
    one = record(tmp_path)
    first, second = (write_shards([one], tmp_path / name)[0].read_bytes() for name in ("x", "y"))
    assert first == second
    with pytest.raises(CorpusError, match="holds shards already"):
        write_shards([one], tmp_path / "x")


def tar(path, *members):
    with tarfile.open(path, "w") as archive:
        for name, content, kind in members:
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(content), kind, "/etc/passwd"
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../evil.json", tarfile.REGTYPE),
        ("/etc/x.json", tarfile.REGTYPE),
        ("a b.json", tarfile.REGTYPE),
        ("link.png", tarfile.SYMTYPE),
        ("hard.json", tarfile.LNKTYPE),
        ("device.png", tarfile.CHRTYPE),
    ],
)
def test_shards_with_foreign_members_are_refused(tmp_path, name, kind):
    path = tar(tmp_path / "x.tar", (name, b"", kind))
    with pytest.raises(CorpusError, match="which no shard has"):
        list(read_records(path))


def test_damaged_shards_are_named(tmp_path):
    raw = b'{"id": "a", "image": "a.png", "objects": [], "scene": "a"}'
    path = tar(tmp_path / "x.tar", ("a.json", raw, tarfile.REGTYPE))
    with pytest.raises(CorpusError, match=r"a\.json names an image or prior that is not in the shard"):
        list(read_records(path))
    path.write_bytes(write_shards([record(tmp_path)], tmp_path / "s")[0].read_bytes()[:1000])
    with pytest.raises(CorpusError, match="no readable tar file"):
        list(read_records(path))


GOOD = {"id": "a", "image": "a.png", "objects": [], "scene": "s"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000 + "\n", "is no JSON"),
        ("[]\n", "a record is a JSON object"),
        ({"id": "a", "image": "a.png", "objects": []}, "there is no field 'scene'"),
        (GOOD | {"obejcts": []}, "unknown field 'obejcts'"),
        (GOOD | {"image": "../../etc/passwd"}, "no path inside"),
        (GOOD | {"image": "/etc/passwd"}, "no path inside"),
        (GOOD | {"prior": "..\\x.npz"}, "no path inside"),
        (GOOD | {"id": "../a"}, "id: must be words"),
        (GOOD | {"split": "training"}, "split: must be one of"),
        (GOOD | {"window": [0, 0, 0, 5]}, "window: empty window"),
        (GOOD | {"window": [0, 0.5, 3, 5]}, "whole pixels"),
        (GOOD | {"objects": [{"box": [9, 0, 3, 5], "label": "ship"}]}, "object 1, box: box .* inverted"),
        ('{"id": "a", "image": "a.png", "scene": "s", "objects": [{"box": [0, 0, NaN, 1]}]}\n', "NaN"),
        (GOOD | {"objects": [{"box": [0, 0, 1e999, 5], "label": "ship"}]}, "Infinity"),
        (GOOD | {"objects": [{"box": [1, 2, 3], "label": "ship"}]}, "four finite numbers"),
        (GOOD | {"objects": [{"box": [1, 2, 3, 4], "label": ""}]}, "object 1, label: .*at least 1 character"),
        (GOOD | {"messages": [{"task": "guess", "question": "", "answer": ""}]}, "guess"),
        (GOOD | {"provenance": {"pixel_m": -1}}, "pixel_m"),
        (GOOD | {"provenance": {"year": "2020"}}, "year"),
    ],
)
def test_bad_lines_are_named_by_file_and_number(tmp_path, line, said):
    write_lines(tmp_path / "records.jsonl", [GOOD | {"id": "good"}, "\n", line])
    records = read_records(tmp_path)
    assert next(records).id == "good"
    with pytest.raises(CorpusError, match=said) as caught:
        next(records)
    assert "records.jsonl, line 3," in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    good = record(tmp_path, "good")
    lost = replace(good, id="set/lost", image=tmp_path / "lost.png")
    out = tmp_path / "out"
    with pytest.raises(CorpusError, match=r"lost\.png does not exist"):
        write_records([good, lost], out)
    with pytest.raises(CorpusError, match="Two records are called 'set/good'"):
        write_records([good, good], out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.png"]
    write_records([good], out)
    with pytest.raises(CorpusError, match="there already"):
        write_records([good], out)


def test_an_image_that_several_records_show_is_stored_once(tmp_path):
    one = record(tmp_path)
    halves = [replace(one, id=f"set/{x}", window=SceneWindow(x, 0, 100, 120)) for x in (0, 100)]
    write_records(halves, tmp_path / "out")
    back = list(read_records(tmp_path / "out"))
    assert back[0].image == back[1].image
    assert (np.concatenate([half.pixels() for half in back], axis=1) == one.pixels()).all()


def test_a_stretched_chip_shows_the_window_and_nothing_else(tmp_path):
    pixels = np.zeros((100, 200), np.uint8)
    pixels[50:100, 100:200] = 255
    chip, plan = record(tmp_path, pixels=pixels).chip(RELEASE)
    assert chip.shape == (504, 504)
    assert (plan.window.width, plan.window.height, plan.token_rows) == (200, 100, 18)
    assert chip[260:, 260:].min() == 255
    assert chip[:240].max() == 0


@pytest.mark.parametrize("factor", [1, 6])
def test_an_undistorted_chip_is_black_around_the_window_and_never_magnified(tmp_path, factor):
    pixels = np.full((100 * factor, 200 * factor), 200, np.uint8)
    one = record(tmp_path, pixels=pixels, prior=prior_file(tmp_path / "p.npz"))
    part = replace(one, window=SceneWindow(20, 10, 100 * factor, 50 * factor))
    chip, plan = part.chip(TINY)
    assert chip.shape == (224, 224)
    assert plan == part.plan(TINY)
    side = max(100 * factor, 224)
    left, top = (side - 100 * factor) // 2, (side - 50 * factor) // 2
    assert plan.window == SceneWindow(20 - left, 10 - top, side, side)
    shown = np.argwhere(chip > 100)
    scale = 224 / side
    np.testing.assert_allclose(shown.min(0), [top * scale, left * scale], atol=1)
    np.testing.assert_allclose(
        shown.max(0) + 1, [(top + 50 * factor) * scale, (left + 100 * factor) * scale], atol=1
    )
    (_, inside), (_, moved) = part.vectors(), part.vectors(plan)
    assert moved[:, 1] == pytest.approx((inside[:, 1] * 100 * factor + left) / side, abs=1e-6)
    assert moved[:, 0] == pytest.approx((inside[:, 0] * 50 * factor + top) / side, abs=1e-6)


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([(1, 1), (4, 3), (9, 16), (224, 224)]))
def test_growing_keeps_the_window_inside_and_takes_the_shape(width, height, shape):
    window = grown(SceneWindow(7, -5, width, height), *shape)
    box, seen = SceneWindow(7, -5, width, height).box(), window.box()
    assert seen.left <= box.left
    assert seen.top <= box.top
    assert seen.right >= box.right
    assert seen.bottom >= box.bottom
    assert abs(window.width * shape[1] - window.height * shape[0]) <= max(shape)
    assert (window.width >= shape[0], window.height >= shape[1]) == (True, True)


def test_the_eight_forms_of_a_picture_share_a_digest_and_others_do_not():
    pixels = speckle(shape=(5, 8))
    forms = [np.rot90(form, k) for form in (pixels, pixels[:, ::-1]) for k in range(4)]
    assert len({digest(form) for form in forms}) == 1
    assert digest(pixels.reshape(8, 5)) != digest(pixels)
    changed = pixels.copy()
    changed[0, 0] ^= 1
    assert digest(changed) != digest(pixels)


@pytest.mark.parametrize("window", [(-3, -2, 6, 5), (5, 2, 9, 9), (2, 1, 3, 2), (50, 50, 4, 4)])
def test_crops_are_black_outside(window):
    pixels = speckle(shape=(6, 10)) + 1
    cut = crop(pixels, SceneWindow(*window))
    col, row, width, height = window
    padded = np.pad(pixels, 60)
    assert (cut == padded[60 + row : 60 + row + height, 60 + col : 60 + col + width]).all()


def test_images_of_other_kinds_become_grey_or_rgb_of_8_bits(tmp_path):
    grey = speckle()
    save(tmp_path / "rgb.png", np.stack([grey] * 3, axis=-1))
    assert (read_image(tmp_path / "rgb.png", "x") == grey).all()
    colour = np.stack([grey, grey, 255 - grey], axis=-1)
    save(tmp_path / "colour.png", colour)
    assert (read_image(tmp_path / "colour.png", "x") == colour).all()
    amplitude = np.random.default_rng(0).rayleigh(300, (50, 60)).astype(np.uint16)
    Image.fromarray(amplitude).save(tmp_path / "deep.tif")
    quantised = read_image(tmp_path / "deep.tif", "x")
    assert quantised.dtype == np.uint8
    assert quantised.min() < 30
    assert quantised.max() > 200
    one = Record(id="set/deep", image=tmp_path / "deep.tif", objects=(), scene="s")
    write_records([one], tmp_path / "out")
    (back,) = read_records(tmp_path / "out")
    assert back.image.suffix == ".png"
    assert (back.pixels() == quantised).all()


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"features": np.zeros((5, 63), np.float32)}, r"features is float32 \[5, 63\]"),
        ({"features": np.full((5, 64), np.nan, np.float32)}, "no numbers"),
        ({"positions": np.zeros((4, 2), np.float32)}, r"positions is float32 \[4, 2\]"),
        ({"positions": np.full((5, 2), 30, np.float32)}, "0 to 1 of the window"),
        ({"year": np.float32([1, 2])}, "year must be"),
    ],
)
def test_priors_of_another_form_are_refused(tmp_path, arrays, said):
    one = record(tmp_path, prior=prior_file(tmp_path / "p.npz", **arrays))
    with pytest.raises(CorpusError, match=said):
        one.vectors()


def test_pickles_and_bombs_are_no_priors(tmp_path):
    np.savez(tmp_path / "o.npz", features=np.array([{}], dtype=object), positions=np.zeros((1, 2)))
    np.savez_compressed(tmp_path / "b.npz", features=np.zeros((400_000, 64), np.float32))
    (tmp_path / "n.npz").write_bytes(b"PK nothing")
    for name, said in (("o", "no readable prior"), ("b", "larger than 64 MB"), ("n", "no readable prior")):
        with pytest.raises(CorpusError, match=said):
            record(tmp_path, prior=tmp_path / f"{name}.npz").vectors()


def test_a_picture_that_unpacks_beyond_reason_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    one = record(tmp_path, pixels=speckle(shape=(50, 30)))
    with pytest.raises(CorpusError, match="cut it into pieces"):
        one.pixels()


def test_json_lines_stay_readable_for_others(tmp_path):
    write_records([record(tmp_path, objects=[ship(1, 2, 3, 4)])], tmp_path / "out")
    (line,) = (tmp_path / "out" / "records.jsonl").read_text().splitlines()
    assert json.loads(line)["objects"] == [{"box": [1, 2, 3, 4], "label": "ship"}]
    assert json.loads(line)["image"] == "images/set/a.png"
