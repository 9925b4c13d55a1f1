"""``fusar-train data``: the whole way on a small set, and the picture of it."""

import argparse

import numpy as np
import pytest
from corpus_samples import prior_file, record, ship, speckle, voc_set
from PIL import Image

from fusar_train.cli.data import add_arguments
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.preview import COLOURS, PRIOR_COLOUR, tile, write_preview
from fusar_train.corpus.records import read_records


def data(*words):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args([str(word) for word in words])
    return arguments.run(arguments)


def test_from_a_public_set_to_shards(tmp_path, capsys):
    source, out = voc_set(tmp_path / "voc", 10), tmp_path / "set"
    data("import", "ssdd", source, "--out", out, "--licence", "mine", "--pixel-m", "3", "--year", 2018)
    data("split", out, "--shares", ".6,.2,.2", "--seed", 4)
    data("check", out)
    data("derive", out, "--out", tmp_path / "chips", "--as-it-comes")
    data("export", "ms-swift", tmp_path / "chips", "--out", tmp_path / "swift.jsonl")
    data("export", "shards", tmp_path / "chips", "--out", tmp_path / "shards", "--per-shard", 4)
    data("preview", tmp_path / "shards", "--out", tmp_path / "sheet.png", "--count", 5)
    told = capsys.readouterr().out
    for said in (
        "10 records",
        "6 train, 2 val, 2 test",
        "10 objects ship",
        "10 chips",
        "50 lines",
        "3 shards",
    ):
        assert said in told
    chips = list(read_records(tmp_path / "shards"))
    assert [chip.provenance["licence"] for chip in chips] == ["mine"] * 10
    assert chips[0].provenance["frame"] == [504, 504]
    assert chips[0].provenance["year"] == 2018
    assert sorted(chip.split for chip in chips) == ["test"] * 2 + ["train"] * 6 + ["val"] * 2
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 1000


def test_compact_questions_are_of_the_tiny_models_frame(tmp_path):
    data("import", "ssdd", voc_set(tmp_path / "voc", 2), "--out", tmp_path / "set", "--name", "mine")
    data(
        "derive", tmp_path / "set", "--out", tmp_path / "chips", "--prompt-set", "compact", "--empty-share", 0
    )
    first = next(read_records(tmp_path / "chips"))
    assert first.id == "mine/000"
    assert [m.question for m in first.messages][:3] == ["count ship", "locate ship", "detect ship"]
    # 200 x 120 px lie in the middle of 224 x 224, in their own size: x = 60 + 12, y = 30 + 52
    assert first.messages[2].answer == "75 ship l24 u14 r32 d22"


def test_faults_make_the_command_fail(tmp_path, capsys):
    data("import", "ssdd", voc_set(tmp_path / "voc", 2), "--out", tmp_path / "set")
    (tmp_path / "set" / "images" / "ssdd" / "001.png").unlink()
    with pytest.raises(CorpusError, match="1 faults"):
        data("check", tmp_path / "set")
    assert "fault: ssdd/001:" in capsys.readouterr().err


def test_bad_files_are_left_out_by_name(tmp_path, capsys):
    root = voc_set(tmp_path / "voc", 3)
    (root / "Annotations" / "001.xml").write_text("<annotation>")
    data("import", "ssdd", root, "--out", tmp_path / "set", "--skip-bad")
    told = capsys.readouterr()
    assert "2 records, 1 left out" in told.out
    assert "001.xml is no XML" in told.err


@pytest.mark.parametrize(
    "words",
    [
        ("import", "unheard-of", "x", "--out", "y"), ("import", "voc", "x", "--out", "y", "--pixel-m", "-1"),
        ("import", "voc", "x", "--out", "y", "--name", "a b"), ("import", "voc", "x", "--out", "y", "--scene", "("),
        ("split", "x", "--shares", "1,2"), ("import", "voc", "x", "--out", "y", "--scene", "no group"),
    ],
)  # fmt: skip
def test_wrong_usage_exits_with_2(words, capsys):
    with pytest.raises(SystemExit) as caught:
        data(*words)
    assert caught.value.code == 2
    assert "error" in capsys.readouterr().err


def test_a_tile_shows_boxes_where_the_objects_are(tmp_path):
    pixels = np.zeros((112, 224), np.uint8)
    one = record(tmp_path, "x", [ship(50, 40, 90, 60)], pixels, prior=prior_file(tmp_path / "p.npz", 1))
    shown = np.array(tile(one))[56:168, :224]
    red = (shown == COLOURS["ship"]).all(-1)
    red[25:40, 45:80] = False  # the name above the box
    rows, columns = np.nonzero(red)
    assert (columns.min(), columns.max()) == (49, 90)
    assert rows.max() == 60
    assert (shown == PRIOR_COLOUR).all(-1).any()


def test_the_sheet_is_spread_over_the_set(tmp_path):
    records = [record(tmp_path, f"n{i:02d}", [], speckle(i)) for i in range(9)]
    assert write_preview(records, tmp_path / "x.png", 3) == ["set/n00", "set/n04", "set/n08"]
    assert len(write_preview(records, tmp_path / "x.png", 50)) == 9
    with pytest.raises(CorpusError, match="nothing to show"):
        write_preview([], tmp_path / "x.png")
