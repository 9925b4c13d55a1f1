"""FUSAR-KLIP checkpoints among the others: listed by their kind, opened by their name, never asked to interpret."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from small_klip import CARD, SIDE, write_small_klip

from fusar_gpt.cli import main
from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import load, load_checkpoint, store
from fusar_gpt.retrieval import load_klip
from fusar_gpt.server.serve import describe


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A store with a FUSAR-KLIP and a bundled one."""
    monkeypatch.setenv("FUSAR_HOME", str(tmp_path / "home"))
    told = {"facts": {"targets Count": {"ship=3": 5, "ship=0": 9}}, "training": {"steps": 7, "texts": None}}
    write_small_klip(tmp_path / "home/checkpoints/mine", replace(CARD, demonstration=True, **told))
    bundled = write_small_klip(tmp_path / "bundled")
    monkeypatch.setitem(store.BUNDLED, "klip-tiny", bundled)
    return tmp_path / "home/checkpoints"


def ok(capsys, *argv):
    assert main(["checkpoint", *map(str, argv)]) == 0
    return capsys.readouterr().out


def failed(capsys, *argv):
    assert main([*map(str, argv)]) == 1
    line = capsys.readouterr().err.strip()
    assert "\n" not in line
    return line


def test_it_is_listed_by_its_kind(capsys, home):
    lines = ok(capsys, "list").splitlines()
    assert next(line for line in lines if line.startswith("mine")) == (
        f"mine       Small ({size(home / 'mine')}, demonstration only; compares images with texts, cannot interpret)"
    )
    assert [line.split()[0] for line in lines[::2]] == ["tiny", "klip-tiny", "mine"]
    rows = {row["name"]: row for row in json.loads(ok(capsys, "list", "--json"))}
    assert {name: row["kind"] for name, row in rows.items()} == {
        "tiny": "FUSAR-GPT",
        "klip-tiny": "FUSAR-KLIP",
        "mine": "FUSAR-KLIP",
    }
    assert (rows["klip-tiny"]["bundled"], rows["klip-tiny"]["base"], rows["mine"]["problem"]) == (
        True,
        None,
        None,
    )


def size(folder):
    from fusar_gpt.model.hub import in_words

    return in_words(sum(path.stat().st_size for path in folder.iterdir()))


def test_a_broken_one_and_a_folder_without_a_card_are_listed_with_what_is_wrong(capsys, home):
    (home / "mine/klip.json").write_text("{}")
    (home / "empty").mkdir()
    rows = {row["name"]: row for row in json.loads(ok(capsys, "list", "--json"))}
    assert (rows["mine"]["kind"], rows["empty"]["kind"]) == ("FUSAR-KLIP", None)
    assert "klip.json cannot be read (name: Field required)" in rows["mine"]["problem"]
    assert "it has neither fusar.json nor klip.json" in rows["empty"]["problem"]
    assert "cannot be loaded" in ok(capsys, "list")


def test_a_bundled_one_that_is_not_installed_says_so(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(store.BUNDLED, "klip-tiny", tmp_path / "nowhere")
    assert "klip-tiny is not in this installation: install fusar-gpt again" in ok(capsys, "list")
    with pytest.raises(CheckpointError, match="klip-tiny is not in this installation"):
        load_klip("klip-tiny")


def test_it_is_opened_by_its_name(home):
    bundled, mine = load_klip("klip-tiny", device="cpu"), load_klip("mine", device="cpu")
    images = np.zeros((2, SIDE, SIDE), np.uint8)
    assert np.array_equal(bundled.embed_images(images), mine.embed_images(images))
    assert bundled.card.hash == mine.card.hash


def test_it_is_shown_with_what_it_is_for_and_what_it_knows(capsys, home):
    shown = json.loads(ok(capsys, "show", "mine", "--json"))
    assert shown["hash"] == load_klip("mine", device="cpu").card.hash
    assert (shown["kind"], shown["image_px"], shown["vector"], shown["longest_text"]) == (
        "FUSAR-KLIP",
        SIDE,
        8,
        24,
    )
    assert shown["facts"] == {"targets Count": {"ship=3": 5, "ship=0": 9}}
    lines = {" ".join(line.split()) for line in ok(capsys, "show", "mine").splitlines()}
    assert {
        "kind FUSAR-KLIP: compares images with texts and writes texts; it cannot interpret a scene",
        "facts targets Count 2 (--json tells them)",
        "training steps 7",
        "figures none measured",
        "pixel m not known",
        "longest text 24 tokens",
    } <= lines


def test_its_figures_are_told_one_a_line(capsys, home):
    card = json.loads((home / "mine/klip.json").read_text())
    (home / "mine/klip.json").write_text(
        json.dumps(
            card
            | {
                "figures": {
                    "Retrieval": "R@10 41.0",
                    "Facts": {"Count": "P@10 3", "mean": "P@10 4"},
                    "Boxes": {},
                }
            }
        )
    )
    told = "\n  Retrieval: R@10 41.0\n  Facts: mean P@10 4 (1 more lines: --json tells them)\n  Boxes: \n"
    assert told in ok(capsys, "show", "mine")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_show_reads_every_byte_of_it(capsys, home, name):
    path = home / "mine" / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b" ")
    assert "its SHA-256 is not the card's" in failed(capsys, "checkpoint", "show", "mine")
    path.unlink()
    assert f"lacks {name}" in failed(capsys, "checkpoint", "show", "mine")


def test_it_is_removed_by_its_name_and_the_bundled_one_stays(capsys, home):
    assert "came with the program" in failed(capsys, "checkpoint", "remove", "klip-tiny", "--yes")
    ok(capsys, "remove", "mine", "--yes")
    assert not (home / "mine").exists()


@pytest.mark.parametrize(
    "opened",
    [
        lambda name: load_checkpoint(name, device="cpu"),
        lambda name: load(name, device="cpu"),
        describe,
    ],
    ids=["load_checkpoint", "load", "server"],
)
def test_it_is_never_asked_to_interpret(opened):
    for name in ("klip-tiny", "mine"):
        with pytest.raises(
            CheckpointError, match="is a FUSAR-KLIP, which compares images with texts and cannot"
        ):
            opened(name)


def test_commands_that_need_the_other_kind_say_so(capsys, tmp_path):
    kind = "is a FUSAR-KLIP, which compares images with texts and cannot interpret a scene: give a FUSAR-GPT"
    out = tmp_path / "out"
    assert kind in failed(capsys, "checkpoint", "export", "mine", "--out", out)
    assert kind in failed(capsys, "serve", "--model", "mine", "--port", "0")
    assert not out.exists()


def test_a_fusar_gpt_is_no_fusar_klip(home):
    with pytest.raises(CheckpointError, match="is a FUSAR-GPT, which interprets scenes: give a FUSAR-KLIP"):
        load_klip("tiny", device="cpu")
    (home / "other").mkdir()
    with pytest.raises(
        CheckpointError, match=r"no FUSAR-KLIP checkpoint \(it has no klip.json\): give a FUSAR-KLIP"
    ):
        load_klip("other", device="cpu")
    with pytest.raises(CheckpointError, match="nowhere is not a checkpoint: give klip-tiny, a stored name"):
        load_klip("nowhere", device="cpu")


def test_the_folder_of_a_trained_one_is_a_checkpoint_wherever_it_lies(home, tmp_path):
    moved = shutil.copytree(home / "mine", tmp_path / "moved")
    assert load_klip(moved, device="cpu").card.name == "small"
