"""What is wrong with a user's texts, tokenizer or settings is said in one line that tells what to do next."""

import json
import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from klip_samples import SETTINGS, made, order, settings, sub_texts, write_data
from transformers import BertConfig, BertForMaskedLM

from fusar_train.cli import main
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.records import write_records
from fusar_train.corpus.texts.sub_texts import SubTexts
from fusar_train.klip.data import plain, read_data
from fusar_train.klip.settings import KlipError, KlipRun
from fusar_train.klip.start import open_tokenizer
from fusar_train.klip.train import prepare, train_klip
from fusar_train.stages.trainer import numbered


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("klip") / "data", 24)


def write_texts(folder, count, texts, **more):
    """A folder of records with these texts."""
    raw = folder.with_name(f"{folder.name}-raw")
    write_records([made(raw, n, texts=texts(n), **more) for n in range(count)], folder)
    return folder


def said(**texts):
    return (SubTexts(keys="targets", said=texts, by={}),)


def refused(data, tmp_path, match, **changes):
    with pytest.raises((KlipError, CorpusError), match=match) as error:
        train_klip(order(data, tmp_path / "out", **changes))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


# Which records.


def test_records_of_other_splits_are_counted_where_none_is_of_the_one_asked_for(data, tmp_path):
    refused(
        data,
        tmp_path,
        "no record is of the split val, but 24 of train. .* --set split=NAME, or null",
        split="val",
    )
    loose = write_data(tmp_path / "loose", 8, split=None)
    refused(loose, tmp_path, "no record is of the split train, but 8 of no split.* --set split=NAME, or null")
    assert len(read_data([loose], None, None)) == 8


def test_one_record_alone_is_refused(tmp_path):
    refused(
        write_data(tmp_path / "data", 1),
        tmp_path,
        "only one record of the split train has sub-texts: give more",
    )


def test_a_data_set_that_is_given_twice_would_meet_itself(data, tmp_path):
    again = data.parent / "other" / ".." / data.name
    run = order(data, tmp_path / "out")
    twice = KlipRun((data, again), None, run.out, run.work, run.settings, device="cpu")
    with pytest.raises(KlipError, match="data is given 2 times: give it once"):
        train_klip(twice)
    copy = shutil.copytree(data, tmp_path / "copy")
    assert "24 ids are of several records, such as sample/000" in " ".join(
        read_data([data, copy], None, None).notes
    )


def test_a_folder_that_is_not_there_is_named_whichever_texts_are_asked_for(tmp_path):
    refused(tmp_path / "nowhere", tmp_path, "nowhere holds no records.jsonl")
    with pytest.raises(CorpusError, match=r"nowhere holds no records\.jsonl"):
        train_klip(order(tmp_path / "nowhere", tmp_path / "out", texts="mine"))


# Which texts.


@pytest.mark.parametrize(
    "other", ["SHIPS  IN PORT .", "ships, in port", '"Ships in port!"', "\uff53hips in port"]
)
def test_one_text_for_all_is_refused_however_it_is_written(tmp_path, other):
    same = write_texts(tmp_path / "data", 8, lambda n: said(Count="Ships in port." if n % 2 else other))
    refused(
        same, tmp_path, "all 8 records of the split train have the same text, .* nothing tells them apart"
    )


def test_few_different_texts_are_said(tmp_path):
    few = read_data(
        [write_texts(tmp_path / "data", 8, lambda n: said(Count="None." if n else "Two."))], None, None
    )
    assert "8 records have only 2 different texts: no text can find one image" in " ".join(few.notes)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2.5 m", "25 m"),
        ("~5 ships", "5 ships"),
        ("-3", "3"),
        ("no ships", "ships"),
        (".", "?"),
        ("3 / 4", "3 4"),
    ],
)
def test_what_tells_another_number_is_another_fact(one, other):
    assert plain(one) != plain(other)


@given(st.text(alphabet="aB3 .,;!?-~%\n\u8239\u3002\uff0c"))
def test_the_plain_form_is_its_own_plain_form_and_knows_no_case_nor_blanks(text):
    once = plain(text)
    assert plain(once) == once
    assert plain(f"  {text}\n ") == once


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ({"said": {"Count": " "}}, "line 2: the sub-text Count is empty: leave the key out"),
        ({"said": {"Count": 3}}, "line 2: the sub-text Count is 3, not a text in quotation marks"),
        ({"said": {"Colour": "red"}}, "line 2: 'Colour' is no key of targets"),
        ({"said": ["three"]}, 'line 2: a line is {"id"'),
        (
            {"said": {"Count": "x"}, "keys": "ships"},
            "line 2: the key set 'ships' is none of targets, terrain",
        ),
        (
            {"said": {"Count": "x"}, "by": {"facts": "many"}},
            "line 2: by.facts is 'many', not what each key tells",
        ),
        ({}, "line 2: there is no 'said'"),
        (3, 'line 2: a line is {"id"'),
    ],
)
def test_a_line_of_texts_that_makes_no_sense_is_named(tmp_path, line, match):
    folder = write_data(tmp_path / "data", 4, texts=())
    (folder / "texts").mkdir()
    good = {"id": "sample/000", "keys": "targets", "said": {"Count": "One."}}
    bad = {"id": "sample/001", "keys": "targets", **line} if isinstance(line, dict) else line
    (folder / "texts/mine.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(bad)}\n")
    refused(folder, tmp_path, match)


def test_texts_of_other_records_are_not_taken_for_none(tmp_path):
    folder = write_data(tmp_path / "data", 4, texts=())
    (folder / "texts").mkdir()
    other = {"id": "other/000", "keys": "targets", "said": {"Count": "One."}}
    (folder / "texts/mine.jsonl").write_text(json.dumps(other) + "\n")
    refused(
        folder,
        tmp_path,
        "none of 4 records .* has sub-texts: those of mine beside them are of records with other",
    )


# Which words.


def write_bert(folder, words):
    config = BertConfig(
        vocab_size=len(words) + 5, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=96,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    return str(folder)


@pytest.fixture(scope="module")
def words(data):
    found = {
        word.strip(".") for text in read_data([data], None, None).words() for word in text.lower().split()
    }
    return sorted({*found, "targets", *["location", "feature", "environment", ":", "."]})


def test_a_bert_is_never_read_with_the_tokenizer_of_another(data, words, tmp_path):
    one, other = write_bert(tmp_path / "one", words), write_bert(tmp_path / "other", words[::-1])
    refused(
        data, tmp_path, f"{other} numbers its words otherwise than {one} was trained with: give --set tokenizer={one}",
        text=one, tokenizer=other,
    )  # fmt: skip
    shutil.copytree(one, tmp_path / "same")
    train_klip(order(data, tmp_path / "out", text=one, tokenizer=str(tmp_path / "same"), max_steps=1))
    (tmp_path / "other/vocab.txt").unlink()
    refused_bert = {"text": other, "tokenizer": other}
    with pytest.raises(
        KlipError, match=r"other cannot be read \(it has neither tokenizer.json nor vocab.txt\): put"
    ):
        train_klip(order(data, tmp_path / "again", **refused_bert))


def test_a_run_goes_on_with_the_tokenizer_that_it_began_with_or_not_at_all(data, words, tmp_path):
    bert = write_bert(tmp_path / "bert", words)
    asked = order(data, tmp_path / "out", text=bert, tokenizer=bert, max_steps=4)
    prepare(asked).trainer.train(2)
    (tmp_path / "bert/vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words[::-1]])
    )
    with pytest.raises(KlipError, match="vocabulary"):
        prepare(order(data, tmp_path / "out", text=bert, tokenizer=bert, max_steps=4, resume=True))
    assert [step for step, _ in numbered(tmp_path / "out.run")] == [2]


def test_a_tokenizer_that_may_have_too_few_words_says_which_number_to_raise(data, tmp_path):
    refused(
        data, tmp_path, r"unknown to the tokenizer, such as in .*: raise --set tokenizer=20", tokenizer=20
    )


def test_of_a_mixed_corpus_a_strange_text_is_shown(words, tmp_path):
    bert = write_bert(tmp_path / "bert", words)
    mixed = write_texts(
        tmp_path / "data", 24, lambda n: said(Count=f"{n}艘船停在港口") if n % 3 == 0 else (sub_texts(n),)
    )
    refused(
        mixed,
        tmp_path,
        r"such as in '\d+艘船停在港口': give the tokenizer and text",
        text=bert,
        tokenizer=bert,
    )


# How it is trained.


def test_what_is_too_large_for_the_data_is_said_before_anything_is_fetched(data, tmp_path, monkeypatch):
    monkeypatch.setattr("fusar_train.klip.start.weights_folder", lambda name: pytest.fail("asked the hub"))
    hub = {"image": "nobody/vit", "text": "nobody/bert", "tokenizer": "nobody/bert"}
    refused(data, tmp_path, "queue 20000 is larger than the 24 records", **hub, queue=20000)


def test_a_state_that_fails_at_once_is_said_to_be_spoiled(data, tmp_path):
    changes = {"max_steps": 6, "save_every": 1, "batch": 8}
    prepared = prepare(order(data, tmp_path / "out", **changes))
    prepared.trainer.train(2)
    with torch.no_grad():
        prepared.trainer.model.match_head.bias[0] = torch.nan
    prepared.trainer.step = 3
    prepared.trainer.save()
    again = prepare(order(data, tmp_path / "out", resume=True, **changes)).trainer
    with pytest.raises(
        KlipError, match="checkpoint-3 was read just now and may be spoiled: remove it to go on from "
    ):
        again.train()
    shutil.rmtree(tmp_path / "out.run/checkpoint-3")
    train_klip(order(data, tmp_path / "out", resume=True, **changes))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--set", "learning_rate=.nan"], "learning_rate: Input should be greater than 0, not nan"),
        (["--set", "lerning_rate=1"], "unknown field 'lerning_rate'"),
        (["--settings", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["--resume"], "holds no run to resume"),
        (["--texts", "x"], "is not described by 'x', but by nobody"),
    ],
)
def test_what_makes_no_sense_on_the_command_line_is_one_line(data, tmp_path, capsys, words, line):
    small = tmp_path / "small.yaml"
    small.write_text(json.dumps(SETTINGS))
    given_ = [
        "klip",
        "--data",
        data,
        "--out",
        tmp_path / "out",
        "--device",
        "cpu",
        "--settings",
        small,
        *words,
    ]
    assert main([str(word) for word in given_]) == 1
    told = capsys.readouterr().err.strip()
    assert line in told
    assert "\n" not in told


def test_words_are_learned_whether_or_not_their_facts_are_told(data):
    found = read_data([data], None, None)
    assert len(open_tokenizer(settings(), found)) <= SETTINGS["tokenizer"]
