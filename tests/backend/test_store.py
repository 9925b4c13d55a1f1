"""The store of checkpoints, its commands, and fetching from a hub (a loopback one)."""

from __future__ import annotations

import collections
import json
import shutil
import sys
from pathlib import Path

import pytest
from fresh_model import CARD, fresh_model, fresh_processor
from loopback_hub import Repository, loopback_hub
from release_format import SIGMA, base_model, make_images_only, write_base, write_release

from fusar_gpt.cli import main
from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import load_checkpoint, save_checkpoint, store
from fusar_gpt.model.hub import MARGIN
from fusar_gpt.model.released import BASE, RELEASE, pull

PROCESSOR = fresh_processor()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FUSAR_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "checkpoints"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    save_checkpoint(folder, fresh_model(PROCESSOR.tokenizer), PROCESSOR, CARD)
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """What the authors' repository and the base's hold: two stages, legacy, without tlm_config.json."""
    root = tmp_path_factory.mktemp("published")
    model = base_model()
    write_base(root / "base", model, shards=True)
    write_release(root / "stage1", model, settings=None, base_name=BASE)
    shutil.copytree(root / "stage1", root / "detection")
    return root


@pytest.fixture
def hub(published, tmp_path, monkeypatch):
    """A hub on 127.0.0.1 and an empty cache."""
    repositories = {
        RELEASE: Repository({"stage1/": published / "stage1", "stage2/detection/": published / "detection"}),
        BASE: Repository({"": published / "base"}),
    }
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with loopback_hub(repositories) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def ok(capsys, *argv):
    assert main(["checkpoint", *map(str, argv)]) == 0
    return capsys.readouterr()


def failed(capsys, *argv):
    assert main(["checkpoint", *map(str, argv)]) == 1
    line = capsys.readouterr().err.strip()
    assert "\n" not in line
    return line


# The store.


@pytest.mark.parametrize(
    ("platform", "variable", "value", "expected"),
    [
        ("linux", "XDG_DATA_HOME", "/data", "/data/fusar-gpt/checkpoints"),
        ("linux", "XDG_DATA_HOME", "", "~/.local/share/fusar-gpt/checkpoints"),
        ("darwin", "XDG_DATA_HOME", "/data", "~/Library/Application Support/fusar-gpt/checkpoints"),
        ("win32", "LOCALAPPDATA", "/local", "/local/fusar-gpt/checkpoints"),
    ],
)
def test_where_the_store_is(monkeypatch, platform, variable, value, expected):
    monkeypatch.delenv("FUSAR_HOME")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, value)
    assert store.store_folder() == Path(expected).expanduser()


def test_stored_checkpoints_load_by_name(home, saved):
    with pytest.raises(CheckpointError, match="mine is not a checkpoint"):
        load_checkpoint("mine", device="cpu")
    shutil.copytree(saved, home / "mine")
    assert load_checkpoint("mine", device="cpu").hash == load_checkpoint(saved, device="cpu").hash
    shutil.copytree(saved, home / "tiny")
    assert load_checkpoint("tiny", device="cpu").card.name == "tiny"  # the bundled one wins


def test_list(capsys, home, saved):
    assert "tiny" in ok(capsys, "list").out
    shutil.copytree(saved, home / "mine")
    (home / "broken").mkdir()
    (home / ".staged").mkdir()
    text = ok(capsys, "list").out
    assert "Untrained" in text
    assert "demonstration only" in text
    assert str(home / "mine") in text
    rows = {row["name"]: row for row in json.loads(ok(capsys, "list", "--json").out)}
    assert rows.keys() == {*store.BUNDLED, "mine", "broken"}
    size = sum(path.stat().st_size for path in saved.iterdir())
    assert rows["mine"] == {
        "name": "mine",
        "kind": "FUSAR-GPT",
        "title": "Untrained",
        "size": size,
        "folder": str(home / "mine"),
        "bundled": False,
        "demonstration": True,
        "base": None,
        "problem": None,
    }
    assert rows["tiny"]["bundled"] is True
    assert "fusar.json" in rows["broken"]["problem"]


def test_show(capsys, home, saved):
    shutil.copytree(saved, home / "mine")
    shown = json.loads(ok(capsys, "show", "mine", "--json").out)
    assert shown["hash"] == load_checkpoint("mine", device="cpu").hash
    assert shown["tlm"]["variant"] == "paper"
    assert shown["title"] == "Untrained"
    text = ok(capsys, "show", saved).out
    assert shown["hash"] in text
    assert "sigma 1.0, variant paper" in text
    assert "nowhere is not a checkpoint" in failed(capsys, "show", "nowhere")


def test_remove_deletes_only_what_lies_in_the_store(capsys, home, saved, tmp_path):
    outside = shutil.copytree(saved, tmp_path / "outside")
    shutil.copytree(saved, home / "mine")
    (home / "link").symlink_to(outside)
    (home / "mine" / "inner").symlink_to(outside)
    assert "would be deleted: confirm with --yes" in failed(capsys, "remove", "mine")
    assert (home / "mine").is_dir()
    for name in ("tiny", "nowhere", "../../outside", str(outside), ".", "..", ""):
        assert failed(capsys, "remove", name, "--yes")
    assert str(home / "mine") in ok(capsys, "remove", "mine", "--yes").out
    ok(capsys, "remove", "link", "--yes")
    assert not list(home.iterdir())
    assert (outside / "fusar.json").is_file()


def test_import_into_the_store(capsys, home, published):
    source, base = published / "detection", published / "base"
    line = failed(capsys, "import", source, "--base", base, "--name", "sar")
    assert "give --sigma" in line
    ok(capsys, "import", source, "--base", base, "--name", "sar", "--sigma", "2")
    checkpoint = load_checkpoint("sar", device="cpu")
    assert (checkpoint.card.name, checkpoint.card.width) == ("sar", 504)
    assert "is in the store already" in failed(capsys, "import", source, "--base", base, "--name", "sar")
    assert "bundled" in failed(capsys, "import", source, "--base", base, "--name", "tiny")
    assert "not a valid name" in failed(capsys, "import", source, "--base", base, "--name", "../sar")
    ok(capsys, "export", "sar", "--out", home / "whole")
    assert load_checkpoint("whole", device="cpu").card.base is None
    shown = json.loads(ok(capsys, "show", "sar", "--verify", "--json").out)
    assert shown["base_verified"] is True
    assert shown["base"] == str(base)


def test_show_verifies_every_byte_of_the_base(capsys, published, tmp_path):
    base = shutil.copytree(published / "base", tmp_path / "base")
    ok(capsys, "import", published / "detection", "--base", base, "--name", "sar", "--sigma", "2")
    path = base / "model-00001-of-00002.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    ok(capsys, "show", "sar")  # the size alone tells nothing
    assert "other weights now (model-00001-of-00002.safetensors)" in failed(capsys, "show", "sar", "--verify")


# The hub.


def downloaded(hub, method="GET"):
    return [
        path.rpartition("/")[2] for asked, path, _ in hub.asked if asked == method and "/resolve/" in path
    ]


def test_pull_fetches_the_authors_release_with_its_own_settings(capsys, hub, home):
    said = ok(capsys, "pull").err
    assert "to download" in said
    checkpoint = load_checkpoint("fusar-gpt", device="cpu")
    assert checkpoint.card.base == BASE
    assert checkpoint.card.base_digests.keys() == {f"model-0000{i}-of-00002.safetensors" for i in (1, 2)}
    assert checkpoint.model.config.tlm["sigma"] == SIGMA
    assert not any("stage1" in path for _, path, _ in hub.asked)
    before = len(downloaded(hub))
    assert "is in the store already" in failed(capsys, "pull")
    ok(capsys, "pull", "--name", "again")
    assert len(downloaded(hub)) == before  # all of it was in the cache
    for name in ("fusar-gpt", "again"):
        ok(capsys, "remove", name, "--yes")


def test_pull_fetches_stage_1_alone_beside_the_other(capsys, hub, home):
    ok(capsys, "pull", "--stage", "stage1")
    assert not [path for _, path, _ in hub.asked if "stage2/" in path]
    assert store.find("fusar-gpt-stage1") == home / "fusar-gpt-stage1"
    shown = json.loads(ok(capsys, "show", "fusar-gpt-stage1", "--json").out)
    assert (shown["tasks"], shown["free_questions"], shown["tlm"]["sigma"]) == (["describe"], True, 2.0)
    hub.repositories["someone/Else"] = hub.repositories[RELEASE]
    card = pull("someone/Else", stage="stage2", sigma=2.0)
    assert (card.name, card.tasks) == ("else-stage2", ["detect"])


def test_pull_takes_an_adapter_of_images_alone(capsys, hub, published, tmp_path):
    shutil.copytree(published / "detection", tmp_path / "plain")
    make_images_only(tmp_path / "plain", 56)
    hub.repositories[RELEASE] = Repository({"stage2/detection/": tmp_path / "plain"})
    ok(capsys, "pull", "--name", "plain")
    shown = json.loads(ok(capsys, "show", "plain", "--json").out)
    assert (shown["uses_prior"], shown["tlm"], shown["width"]) == (False, None, 56)
    lines = {" ".join(line.split()) for line in ok(capsys, "show", "plain").out.splitlines()}
    assert {"uses prior no", "tlm none", "targets any", "sensors not known", "taught questions none"} <= lines
    assert "holds no stage1/" in failed(capsys, "pull", "--stage", "stage1")


def test_a_pulled_checkpoint_loads_without_the_hub(hub, monkeypatch):
    pull()
    hub.repositories.clear()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    load_checkpoint("fusar-gpt", device="cpu")


def test_of_another_repository_nothing_is_assumed(capsys, hub):
    hub.repositories["someone/Else"] = hub.repositories[RELEASE]
    assert "give one as --subfolder stage1, stage2/detection" in failed(capsys, "pull", "someone/Else")
    assert not downloaded(hub)
    with pytest.raises(CheckpointError, match="give --sigma"):
        pull("someone/Else", subfolder="stage1")
    assert pull("someone/Else", subfolder="stage1", sigma=3.0).name == "else"
    assert load_checkpoint("else", device="cpu").model.config.tlm["sigma"] == 3.0


def test_import_takes_the_base_from_the_hub(capsys, hub, published):
    ok(capsys, "import", published / "detection", "--base", BASE, "--name", "sar", "--sigma", "2")
    assert load_checkpoint("sar", device="cpu").card.base == BASE


@pytest.mark.parametrize("name", ["model-00001-of-00002.safetensors", "config.json"])
def test_a_corrupted_download_is_refused_and_not_kept(hub, home, name):
    repository = hub.repositories[BASE]
    content = bytearray(repository.files[name])
    content[-3] ^= 1
    repository.served[name] = bytes(content)
    with pytest.raises(CheckpointError, match=f"{name} of {BASE} arrived corrupted and was deleted"):
        pull()
    assert not home.exists()
    del repository.served[name]
    hub.asked.clear()
    pull()
    assert downloaded(hub) == [name]  # the rest was kept
    load_checkpoint("fusar-gpt", device="cpu")


def test_a_broken_connection_is_resumed(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1 << 16)
    name = "model-00001-of-00002.safetensors"
    hub.repositories[BASE].cuts[name] = 100_000
    pull()
    ranges = [given for method, path, given in hub.asked if method == "GET" and path.endswith(name)]
    assert ranges == [None, "bytes=65536-"]
    load_checkpoint("fusar-gpt", device="cpu")


def test_a_full_disk_is_noticed_before_the_download(hub, home, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    needed = sum(len(content) for name, content in hub.repositories[BASE].files.items())
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**12, 0, MARGIN + needed))
    with pytest.raises(
        CheckpointError, match=r"has 2\.1 GB free, and 2\.1 GB are needed: make room"
    ) as caught:
        pull()
    assert "\n" not in str(caught.value)
    assert not downloaded(hub)
    assert not home.exists()


def test_what_is_not_on_the_hub(capsys, hub, monkeypatch):
    assert "nobody/nothing cannot be fetched" in failed(capsys, "pull", "nobody/nothing")
    assert "holds no stage9/" in failed(capsys, "pull", "--subfolder", "stage9")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "check its name and the network" in failed(capsys, "pull")


def test_a_connection_that_the_library_closes_under_itself_is_one_line(capsys, hub, monkeypatch):
    def broken(*_, **__):
        raise AttributeError("'NoneType' object has no attribute 'request'")

    monkeypatch.setattr("fusar_gpt.model.hub.snapshot_download", broken)
    assert "cannot be fetched" in failed(capsys, "pull")
