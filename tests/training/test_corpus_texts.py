"""Sub-texts and splits that lie beside records, and come with them."""

from dataclasses import replace

import pytest
from corpus_samples import record

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.records import read_records, write_records
from fusar_train.corpus.shards import write_shards
from fusar_train.corpus.sidecars import text_line
from fusar_train.corpus.texts.sub_texts import KEY_SETS, SubTexts

SEA = SubTexts(
    keys="terrain", said={"Terrain": "Open water.", "Water": "All of it."}, by={"describer": "template"}
)


@pytest.fixture
def folder(tmp_path):
    write_records([record(tmp_path / "image", "one")], tmp_path / "records")
    return tmp_path / "records"


def describe(folder, name, *texts):
    (folder / "texts").mkdir(exist_ok=True)
    lines = "".join(text_line("set/one", each) + "\n" for each in texts)
    (folder / "texts" / f"{name}.jsonl").write_text(lines, encoding="utf-8")


def test_sub_texts_come_with_the_records_they_describe(folder):
    describe(folder, "template", SEA)
    assert next(read_records(folder)).texts == (SEA,)


def test_a_later_line_replaces_an_earlier_one(folder):
    again = replace(SEA, said={"Terrain": "海面。"})
    describe(folder, "template", SEA, again)
    assert next(read_records(folder)).texts == (again,)


def test_of_several_describers_one_must_be_named(folder):
    describe(folder, "template", SEA)
    describe(folder, "model", replace(SEA, by={"describer": "model"}))
    with pytest.raises(CorpusError, match="described by model, template: name one"):
        next(read_records(folder))
    assert next(read_records(folder, "model")).texts[0].by == {"describer": "model"}
    with pytest.raises(CorpusError, match="not described by 'nobody', but by model"):
        next(read_records(folder, "nobody"))


@pytest.mark.parametrize("store", [write_records, write_shards])
def test_sub_texts_stay_with_records_that_are_stored_anew(folder, store, tmp_path):
    describe(folder, "template", SEA)
    store(read_records(folder), tmp_path / "again")
    assert next(read_records(tmp_path / "again")).texts == (SEA,)


def test_the_splits_of_a_corpus_are_those_of_its_scenes(folder, tmp_path):
    scene = next(read_records(folder)).scene
    write_shards(read_records(folder), tmp_path / "shards")
    (tmp_path / "shards" / "splits.json").write_text(f'{{"{scene}": "val"}}')
    assert next(read_records(tmp_path / "shards")).split == "val"
    (tmp_path / "shards" / "splits.json").write_text(f'{{"{scene}": "some"}}')
    with pytest.raises(CorpusError, match="no map of scenes"):
        next(read_records(tmp_path / "shards"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id": "one", "keys": "colours", "said": {}}', "key set 'colours'"),
        ('{"id": "one", "keys": "terrain", "said": {"Count": "two"}}', "'Count' is no key of terrain"),
        ('{"id": "one", "keys": "terrain", "said": {"Water": " "}}', "Water is empty"),
        ('{"keys": "terrain", "said": {}}', "there is no 'id'"),
        ('{"id": "one", "keys"', "line 1"),
    ],
)
def test_lines_that_make_no_sense_are_named(folder, line, said):
    (folder / "texts").mkdir()
    (folder / "texts" / "model.jsonl").write_text(line + "\n")
    with pytest.raises(CorpusError, match=said):
        next(read_records(folder))


def test_what_is_missing_is_listed_and_never_invented():
    assert SEA.missing == tuple(key for key in KEY_SETS["terrain"] if key not in ("Terrain", "Water"))
    assert SEA.whole() == "Terrain: Open water.\nWater: All of it."
