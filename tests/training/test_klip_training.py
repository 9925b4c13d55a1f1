"""FUSAR-KLIP's training from end to end, in small: it learns, goes on after a crash, tells what is wrong with data."""

import json
import os
import signal
import socket
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import PartialState
from klip_samples import image, made, order, settings, sub_texts, write_data
from safetensors.torch import load_file

from fusar_gpt.retrieval import load_klip
from fusar_gpt.retrieval.decoding import Blank
from fusar_train.cli import main
from fusar_train.corpus.records import write_records
from fusar_train.corpus.sidecars import text_line
from fusar_train.corpus.texts.sub_texts import SubTexts
from fusar_train.klip import states
from fusar_train.klip.batches import Collator, Schedule
from fusar_train.klip.data import SLOTS, fitted, read_data, rows_of
from fusar_train.klip.settings import RECIPES, KlipError, KlipSettings
from fusar_train.klip.start import new_model, open_tokenizer
from fusar_train.klip.train import prepare, train_klip
from fusar_train.klip.trainer import KlipTrainer
from fusar_train.stages.trainer import numbered
from fusar_train.validation import read_yaml

SHORT = {
    "max_steps": 6,
    "save_every": 2,
    "queue": 8,
    "alpha": 0.4,
    "batch": 8,
    "matched": 0.8,
    "log_every": 1,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("klip") / "data")


@pytest.fixture(scope="module")
def read(data):
    """The data as a run has it, and the tokenizer."""
    small = settings()
    found = read_data([data], None, "train")
    tokenizer = open_tokenizer(small, found)
    return fitted(found, tokenizer, small), tokenizer


def weights(out):
    return load_file(out / "model.safetensors")


def log(out):
    lines = (out.with_name(f"{out.name}.run") / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_it_learns_thirty_two_images_by_heart(data, tmp_path):
    steady = {"schedule": "epochs", "decay": 1.0}  # ITM starts to learn when ITC has
    train_klip(order(data, tmp_path / "out", epochs=150, learning_rate=2e-3, **steady))
    klip = load_klip(tmp_path / "out", device="cpu")
    images = np.stack([image(number) for number in range(32)])
    texts = [" ".join(sub_texts(number).said.values()) for number in range(32)]
    alike = klip.embed_images(images) @ klip.embed_texts(texts).T
    assert (alike.argmax(0) == np.arange(32)).mean() >= 0.9
    assert (alike.argmax(1) == np.arange(32)).mean() >= 0.9
    right, wrong = klip.match(images, texts), klip.match(images, [*texts[1:], texts[0]])
    assert right.mean() > wrong.mean() + 0.3
    written = klip.write(images, [Blank("targets Location")] * 32)
    expected = [sub_texts(number).said["Location"].lower() for number in range(32)]
    assert np.mean([one == other for one, other in zip(written, expected, strict=True)]) >= 0.9
    assert klip.card.pixel_m == [3.0, 3.0]
    assert klip.card.facts["targets Feature"] == {"strong": 16, "weak": 16}
    assert {"strong", "weak"} <= set(klip.card.words)
    assert klip.card.training["simulated"] == 32


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out"
    train_klip(order(data, out, **SHORT))
    return out


def in_a_process(rank, processes, port, body):
    """A forked process that carries out ``body`` as one of several; returns its number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads only wait
        if child := os.fork():
            return child
    known = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": processes,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    os.environ.update({name: str(value) for name, value in known.items()} if processes > 1 else {})
    PartialState._reset_state()
    try:
        body()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - this process ends here, whatever it was
        traceback.print_exc()
        os._exit(1)


def test_a_run_killed_in_the_middle_of_a_save_goes_on_as_if_nothing_had_happened(
    data, uninterrupted, tmp_path
):
    out, work = tmp_path / "out", tmp_path / "out.run"
    write = torch.save

    def hang(content, path):
        write(content, path)
        if "checkpoint-4" in str(path):
            time.sleep(600)

    def hanging():
        states.torch.save = hang
        train_klip(order(data, out, **SHORT))

    child = in_a_process(0, 1, 0, hanging)
    half = work / ".partial/checkpoint-4/optimizer.pt"
    until = time.monotonic() + 60
    while not (half.exists() and half.stat().st_size) and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert [step for step, _ in numbered(work)] == [2]
    with pytest.raises(KlipError, match="holds a run that was not finished"):
        train_klip(order(data, out, **SHORT))
    train_klip(order(data, out, resume=True, **SHORT))
    for name, weight in weights(uninterrupted).items():
        assert torch.equal(weight, weights(out)[name]), name
    assert [line["loss"] for line in log(out)] == [line["loss"] for line in log(uninterrupted)]


def test_two_processes_share_a_run(data, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def sharing():
        train_klip(order(data, tmp_path / "out", **SHORT))

    children = [in_a_process(rank, 2, port, sharing) for rank in range(2)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert load_klip(tmp_path / "out", device="cpu").card.training["steps"] == 6
    assert len(log(tmp_path / "out")) == 6


def test_a_run_goes_on_only_with_what_it_was_begun_with(data, tmp_path, monkeypatch):
    out = tmp_path / "out"
    stopped = order(data, out, **SHORT)
    prepare(stopped).trainer.train(2)
    with pytest.raises(KlipError, match="begun with other longest: give the same"):
        train_klip(order(data, out, resume=True, **{**SHORT, "longest": 90}))
    write_records(
        [made(tmp_path / "raw", n, texts=(sub_texts(n, 1),)) for n in range(32)], tmp_path / "other"
    )
    with pytest.raises(KlipError, match="begun with other sub-texts, vocabulary"):
        train_klip(order(tmp_path / "other", out, resume=True, **SHORT))
    with pytest.raises(KlipError, match="holds no run to resume"):
        train_klip(order(data, tmp_path / "nothing", resume=True, **SHORT))
    train_klip(order(data, out, resume=True, **{**SHORT, "save_every": 3, "learning_rate": 1e-4}))
    assert load_klip(out, device="cpu").card.training["steps"] == 6


@pytest.mark.parametrize("part", ["match_head", "image_projection", "text_projection"])
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_what_is_saved(data, tmp_path, part):
    out = tmp_path / "out"
    prepared = prepare(order(data, out, **SHORT))
    prepared.trainer.train(4)
    before = {name: weight.clone() for name, weight in prepared.trainer.model.state_dict().items()}
    with torch.no_grad():
        getattr(prepared.trainer.model, part).bias[0] = torch.nan
    with pytest.raises(
        KlipError, match=r"loss is not finite at step 5, at sample/0.*Step 4 is saved .* --resume"
    ):
        prepared.trainer.train()
    again = prepare(order(data, out, resume=True, **SHORT))
    assert again.trainer.step == 4
    for name, weight in again.trainer.model.state_dict().items():
        assert torch.equal(weight, before[name])


def test_an_image_that_breaks_during_the_run_is_named_and_nothing_trained_is_lost(tmp_path):
    folder = write_data(tmp_path / "data", 16)
    prepared = prepare(order(folder, tmp_path / "out", **SHORT))
    prepared.trainer.train(2)
    broken = folder / "images/sample/003.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(KlipError, match=r"Record sample/003: .*truncated.* Step 2 is saved"):
        prepared.trainer.train()


def test_a_disk_that_is_full_is_said_and_what_was_saved_stays(data, tmp_path, monkeypatch):
    prepared = prepare(order(data, tmp_path / "out", **SHORT))
    prepared.trainer.train(2)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fusar_train.klip.states.torch.save", full)
    with pytest.raises(KlipError, match=r"Step 4 cannot be saved .* No space left .* Step 2 is saved"):
        prepared.trainer.train()
    assert [step for step, _ in numbered(tmp_path / "out.run")] == [2]
    assert not (tmp_path / "out.run/.partial").exists()


def test_sub_texts_can_be_left_out_of_what_the_decoder_learns_and_rewritten(read):
    found, tokenizer = read
    feature = SLOTS.index(("targets", "Feature"))
    place = [one.slot for one in found.sub_texts[0]].index(feature)
    noise = {(number, place) for number in range(len(found))}
    changed = found.changed(tokenizer, {(0, place): "A rebuilt echo."}, noise)
    assert [one.text for one in changed.sub_texts[0] if one.slot == feature] == ["A rebuilt echo."]
    assert changed.fact_rows([0])[0, feature] not in found.fact_rows(range(32))[:, feature]
    schedule = Schedule(changed, settings(blanks=3, without_context=0.0), 32)
    for place in range(100):
        example = schedule[place]
        assert all(example.sub_texts[blank].slot != feature for blank in example.blanks)
        assert any(one.slot == feature for one in example.sub_texts)  # still there for ITC and ITM
    nothing = found.changed(tokenizer, {}, {(n, each) for n in range(32) for each in range(3)})
    batch = Collator(nothing, tokenizer)([Schedule(nothing, settings(), 32)[place] for place in range(16)])
    assert not len(batch.asked)
    trainer = KlipTrainer(
        new_model(settings(), tokenizer), tokenizer, nothing, settings(), Path(), torch.device("cpu")
    )
    total, (_, _, mlm, _) = trainer.losses(batch)
    assert torch.isfinite(total)
    assert mlm == 0
    assert found.changed(tokenizer, {}).fingerprint() == found.fingerprint()


def test_a_text_is_all_of_a_key_set_or_a_few_sub_texts(read):
    found, _ = read
    few = Schedule(found, settings(whole=0.0, most_sub_texts=2), 32)
    assert {len(few[place].sub_texts) for place in range(50)} == {1, 2}
    whole = Schedule(found, settings(whole=1.0), 32)
    assert {len(whole[place].sub_texts) for place in range(50)} == {3}
    assert all(len(few[place].sub_texts) == len(few[place].sub_texts) for place in range(4))
    seen = [whole[place].record for place in range(32)]
    assert sorted(seen) == list(range(32))
    assert [whole[place].record for place in range(32, 64)] != seen


def test_texts_are_told_with_their_keys_where_this_is_asked_for(read):
    found, tokenizer = read
    for share, begins in ((1.0, "location:"), (0.0, ("a target", "in the"))):
        batch = Collator(found, tokenizer)([Schedule(found, settings(with_keys=share), 32)[0]])
        assert tokenizer.decode(batch.ids[0].tolist()).startswith(begins)


def test_half_precision_learns_too(data, tmp_path):
    train_klip(order(data, tmp_path / "out", **{**SHORT, "max_steps": 2, "precision": "bfloat16"}))
    assert all(np.isfinite(line["loss"]) for line in log(tmp_path / "out"))


def test_texts_that_are_longer_than_what_is_read_lose_some_of_their_sub_texts_aloud(data, tmp_path, capsys):
    prepared = prepare(order(data, tmp_path / "out", longest=40))
    assert "32 texts are longer than the 40 tokens that are read" in capsys.readouterr().err
    schedule = prepared.trainer.schedule()
    assert {len(schedule[place].sub_texts) for place in range(20)} == {2}
    prepared.trainer.train(1)


def test_records_of_both_key_sets_give_texts_of_either(tmp_path):
    terrain = SubTexts(keys="terrain", said={"Location": "Sea everywhere.", "Water": "All of it."}, by={})
    folder = write_data(tmp_path / "data")
    both = [made(tmp_path / "raw", n, texts=(sub_texts(n), terrain)) for n in range(32)]
    write_records(both, tmp_path / "both")
    found = read_data([tmp_path / "both"], None, "train")
    tokenizer = open_tokenizer(settings(), found)
    whole = Schedule(fitted(found, tokenizer, settings()), settings(), 32)
    sets = {tuple(SLOTS[one.slot][0] for one in whole[place].sub_texts) for place in range(40)}
    assert sets == {("targets",) * 3, ("terrain",) * 2}
    assert folder.is_dir()


def test_two_texts_of_one_key_set_are_drawn_in_turn_and_mean_the_same(tmp_path):
    both = [made(tmp_path / "raw", n, texts=(sub_texts(n, 0), sub_texts(n, 1))) for n in range(32)]
    write_records(both, tmp_path / "both")
    found = read_data([tmp_path / "both"], None, "train")
    found = fitted(found, open_tokenizer(settings(), found), settings())
    for chosen in (Schedule(found, settings(whole=1.0), 32), Schedule(found, settings(whole=0.0), 32)):
        versions = [{one.version for one in chosen[place].sub_texts} for place in range(40)]
        assert {0} in versions
        assert {1} in versions
        assert all(len(one) == 1 for one in versions)
    assert (rows_of([found.sub_texts[5][:3]]) == rows_of([found.sub_texts[5][3:]])).all()


def described(folder, name, lines):
    (folder / "texts").mkdir(exist_ok=True)
    (folder / "texts" / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


def refused(data, tmp_path, match, **changes):
    with pytest.raises(KlipError, match=match) as error:
        train_klip(order(data, tmp_path / "out", **changes))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_corpus_without_texts_is_refused(tmp_path):
    refused(
        write_data(tmp_path / "data", 4, texts=()),
        tmp_path,
        "none of 4 records of the split train has sub-texts",
    )


def test_one_text_for_all_is_refused(tmp_path):
    same = write_data(tmp_path / "data", 20, texts=(sub_texts(1),))
    refused(same, tmp_path, "all 20 records of the split train have the same text")


def test_texts_longer_than_the_decoder_are_left_out_and_named_or_refused(tmp_path, capsys):
    long = SubTexts(keys="targets", said={"Count": "one two three " * 30, "Size": "Rather {n} small."}, by={})
    texts = [(SubTexts(keys="targets", said={**long.said, "Size": f"Size {n}."}, by={}),) for n in range(20)]
    write_records([made(tmp_path / "raw", n, texts=texts[n]) for n in range(20)], tmp_path / "data")
    prepared = prepare(order(tmp_path / "data", tmp_path / "out", max_steps=1))
    assert (
        "20 sub-texts are longer than the decoder writes, 32 tokens (sample/000, Count, has"
        in capsys.readouterr().err
    )
    assert {one.slot for several in prepared.data.sub_texts for one in several} == {
        SLOTS.index(("targets", "Size"))
    }
    only = [(SubTexts(keys="targets", said={"Count": f"one two three {n} " * 30}, by={}),) for n in range(20)]
    write_records([made(tmp_path / "raw", n, texts=only[n]) for n in range(20)], tmp_path / "all")
    refused(tmp_path / "all", tmp_path, "no others are left: shorten them, or raise --set longest")


def test_texts_in_another_language_than_the_tokenizer_knows_are_refused(data, tmp_path):
    from transformers import BertConfig, BertForMaskedLM

    bert = tmp_path / "bert"
    config = BertConfig(
        vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(bert)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"三艘船停在港口。开阔的海面", ":", "."]
    (bert / "vocab.txt").write_text("\n".join(dict.fromkeys(words)))
    (bert / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    own = {"text": str(bert), "tokenizer": str(bert), "longest": 64}
    refused(data, tmp_path, r"\d+% of the words of the texts are unknown to the tokenizer", **own)
    chinese = [
        SubTexts(keys="targets", said={"Count": f"{'三艘船' if n % 2 else '船'}停在港口。"}, by={})
        for n in range(32)
    ]
    write_records([made(tmp_path / "raw", n, texts=(chinese[n],)) for n in range(32)], tmp_path / "chinese")
    train_klip(order(tmp_path / "chinese", tmp_path / "out", max_steps=1, **own))
    klip = load_klip(tmp_path / "out", device="cpu")
    assert klip.model.config.text.layers == 1  # and one that looks at the image
    lower = BertForMaskedLM.from_pretrained(bert).bert.encoder.layer[0].attention.self.query.weight
    assert torch.allclose(klip.model.text.layers[0].attention.self.query.weight, lower, atol=1e-4)


def test_imagenet_weights_come_from_a_folder(data, tmp_path):
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(
        image_size=32,
        patch_size=8,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
    )
    vit = ViTModel(config, add_pooling_layer=False)
    vit.save_pretrained(tmp_path / "vit")
    small = settings(image=str(tmp_path / "vit"))
    found = read_data([data], None, "train")
    model = new_model(small, open_tokenizer(small, found))
    assert torch.equal(model.image.vit.layers[0].mlp.fc1.weight, vit.layers[0].mlp.fc1.weight)
    (tmp_path / "vit" / "model.safetensors").unlink()
    refused(data, tmp_path, "vit cannot be loaded", image=str(tmp_path / "vit"))
    (tmp_path / "vit" / "modeling.py").write_text("")
    refused(data, tmp_path, "wants code of its own", image=str(tmp_path / "vit"))


def test_a_hub_that_cannot_be_reached_is_one_sentence(data, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    refused(
        data,
        tmp_path,
        "nobody/vit-none is no folder, and from the hub .* cannot be fetched",
        image="nobody/vit-none",
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"queue": 40}, "queue 40 is larger than the 32 records"),
        ({"batch": 40}, "batch 40 is larger than the 32 records"),
        ({"split": "val"}, "no record is of the split val, but 32 of train"),
        ({"image": {"image_px": 30, "token_px": 8}}, "The setting image makes no sense"),
        ({"vision_start": 8}, "vision_start wants images of 224 px"),
    ],
)
def test_what_does_not_fit_the_data_is_refused(data, tmp_path, changes, said):
    refused(data, tmp_path, said, **changes)


def test_bad_records_are_named_and_the_rest_goes_on(tmp_path, capsys):
    folder = write_data(tmp_path / "data")
    (folder / "images/sample/003.png").write_bytes(b"no image")
    prepared = prepare(order(folder, tmp_path / "out"))
    assert len(prepared.data) == 31
    told = capsys.readouterr().err
    assert "1 records cannot be read and are left out" in told
    assert "003.png" in told
    assert "31 of 31 texts have fewer than eight sub-texts" in told


def test_of_several_describers_one_is_named_on_the_command_line(data, tmp_path, capsys):
    folder = write_data(tmp_path / "data", texts=())
    for name in ("model", "template"):
        lines = [text_line(f"sample/{n:03d}", sub_texts(n, int(name == "model"))) for n in range(32)]
        described(folder, name, lines)
    small = tmp_path / "small.yaml"
    small.write_text(json.dumps({**vars_of(settings(max_steps=1))}))
    command = [
        "klip",
        "--data",
        str(folder),
        "--out",
        str(tmp_path / "out"),
        "--settings",
        str(small),
        "--device",
        "cpu",
    ]
    assert main(command) == 1
    assert "described by model, template: name one of them" in capsys.readouterr().err
    assert main([*command, "--texts", "model", "--set", "batch=8"]) == 0
    assert load_klip(tmp_path / "out", device="cpu").card.training["texts"] == "model"
    assert main([*command, "--texts", "model"]) == 1
    assert "exists already" in capsys.readouterr().err


def vars_of(chosen):
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in chosen.record().items()
    }


@pytest.mark.parametrize("name", ["tiny", "paper"])
def test_the_recipes_can_be_read(name):
    found = read_yaml(RECIPES / f"{name}.yaml", KlipSettings)
    if name == "paper":
        stated = (
            found.batch,
            found.queue,
            found.alpha,
            found.weight_decay,
            found.learning_rate,
            found.warmup_steps,
        )
        assert stated == (32, 20000, 0.4, 0.05, 3e-4, 3000)
        assert (found.epochs, found.weights) == (36, (1, 1, 1))


def test_simulation_teaches_the_image_tower_first(tmp_path, monkeypatch):
    from fusar_train.klip import vision_start

    monkeypatch.setattr(vision_start, "_BATCH", 4)
    tower = {
        "image_px": 224,
        "token_px": 32,
        "stem": [8, 8],
        "hidden": 16,
        "layers": 1,
        "heads": 2,
        "mlp": 32,
        "grid": 3,
    }
    folder = write_data(tmp_path / "data")
    asked = order(folder, tmp_path / "out", image=tower, vision_start=8, vision_rate=1e-3, max_steps=1)
    prepared = prepare(asked)
    untaught = new_model(asked.settings, prepared.tokenizer)
    taught = prepared.trainer.model.image.vit.layers[0].mlp.fc1.weight
    assert not torch.equal(taught, untaught.image.vit.layers[0].mlp.fc1.weight)
    assert (tmp_path / "out.run" / vision_start.FILE).is_file()
