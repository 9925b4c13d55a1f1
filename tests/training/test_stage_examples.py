"""What a stage learns from: the order and the priors follow the seed, and a bad record is named."""

import json
import shutil
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage_samples import (
    SETTINGS,
    command,
    train,
    write_data,
    write_prior,
)

from fusar_gpt.errors import FusarError
from fusar_gpt.model.folder import CARD_FILE
from fusar_gpt.model.loaded import load
from fusar_gpt.tasks import Question, Task, prompt_set
from fusar_gpt.tasks.questions import understand
from fusar_gpt.tasks.vocabulary import Vocabulary
from fusar_train.corpus.records import read_records
from fusar_train.corpus.shards import write_shards
from fusar_train.corpus.sidecars import text_line
from fusar_train.corpus.texts.questions import OF_KEYS, whole_question, within
from fusar_train.corpus.texts.sub_texts import KEY_SETS, SubTexts
from fusar_train.stages import two_stage
from fusar_train.stages.examples import Schedule, load_examples
from fusar_train.stages.settings import Settings, StageError


def test_the_order_depends_on_the_seed_and_the_place_alone(base, data):
    def shown(**changes):
        settings = Settings(**{**SETTINGS, "max_steps": None, "epochs": 4, **changes})
        return Schedule(load_examples((data,), load(base).card, settings), settings)

    first, again, other = shown(), shown(batch=2, micro_batch=1), shown(seed=1)
    assert len(first) == len(again) == 48
    names = [first[place].name for place in range(48)]
    assert [again[place].name for place in reversed(range(48))] == names[::-1]
    assert [other[place].name for place in range(48)] != names
    assert all(len(set(names[epoch * 12 :][:12])) == 12 for epoch in range(4))


def test_priors_are_dropped_and_swapped_as_often_as_asked(base, data):
    card = load(base).card

    def shown(**changes):
        settings = Settings(**{**SETTINGS, "epochs": 20, "max_steps": None, **changes})
        schedule = Schedule(load_examples((data,), card, settings), settings)
        return [(len(one.prior[0]), one.prior[0].sum()) for one in map(schedule.__getitem__, range(240))]

    right, dropped, swapped = shown(), shown(drop_prior=0.5), shown(swap_prior=0.5)
    assert sum(length > 0 for length, _ in right) == 120
    assert 40 < sum(length > 0 for length, _ in dropped) < 80
    assert 35 < sum(a != b for a, b in zip(right, swapped, strict=True)) < 75
    assert all(length == 0 for length, _ in shown(priors=False, trainables="lora"))


def test_shards_are_read_when_they_are_needed(base, data, tmp_path):
    write_shards(read_records(data), tmp_path / "shards", per_shard=5)
    settings = Settings(**SETTINGS)
    card = load(base).card
    plain, packed = (load_examples((path,), card, settings) for path in (data, tmp_path / "shards"))
    assert plain.fingerprint() == packed.fingerprint()
    assert not any(hasattr(record, "held") for record in packed.records)
    for number in range(len(plain)):
        assert (plain[number].image == packed[number].image).all()
        assert (plain[number].prior[0] == packed[number].prior[0]).all()


def test_captions_and_own_messages_are_learnt_as_they_are(base, tmp_path):
    said = {"task": "ask", "target": None, "box": None, "question": "ask any ships?", "answer": "yes"}

    def change(number, line):
        return {**line, "caption": "A calm sea."} if number else {**line, "messages": [said]}

    data = write_data(tmp_path / "data", change=change)
    settings = Settings(**{**SETTINGS, "tasks": ["ask", "describe"]})
    examples = load_examples((data,), load(base).card, settings)
    assert (examples[0].prompt, examples[0].answer) == ("ask any ships?", "yes")
    assert {examples[number].answer for number in range(1, 12)} == {"A calm sea."}


def only(number, **fields):
    """Changes the record of that number."""
    return lambda at, line: {**line, **fields} if at == number else line


BOX = {"box": [9, 9, 3, 3], "label": "ship"}


FOREIGN = {"provenance": {"prompt_set": "release"}, "messages": [
    {"task": "describe", "target": None, "box": None, "question": "x", "answer": "y"}
]}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (only(3, image="images/none.png"), r"sample/003: .*none.png does not exist"),
        (only(3, objects=[BOX]), r"records.jsonl, line 4, .*inverted"),
        (only(3, prior="priors/wide.npz"), r"sample/003: .*features is float32 \[3, 32\]"),
        (only(3, prior="priors/old.npz"), r"sample/003: .*is of 2017, and the image of 2024"),
        (only(3, **FOREIGN), r"sample/003: its questions are in release words"),
        (lambda number, line: {**line, "split": "test"}, "no record of the split train"),
    ],
)
def test_bad_records_are_named_before_anything_is_trained(base, tmp_path, change, message):
    data = write_data(tmp_path / "data", change=change)
    write_prior(data / "priors/wide.npz", np.zeros((3, 32), np.float32))
    write_prior(data / "priors/old.npz", np.zeros((3, 64), np.float32), year=np.int64(2017))
    with pytest.raises(FusarError, match=message) as caught:
        train(1, base, data, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_image_that_breaks_on_the_way_is_named(base, data, tmp_path, monkeypatch, capsys):
    broken = write_data(tmp_path / "data")
    path = broken / "images/5.png"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(FusarError, match=r"Record sample/005: .*is no readable image") as caught:
        command(1, base, broken, tmp_path / "out", "--set", "workers=1")
    assert "\n" not in str(caught.value)


SHIPS = {"Count": "Two ships.", "Location": "In the upper left.", "Size": "30 m. Long ones."}
COAST = {"Terrain": "Mostly water.", "Location": "On a coast.", "Water": "In the west."}
TWO = {"template": (("targets", SHIPS), ("terrain", COAST))}


def describe(data, **by_describer):
    """Writes the same sub-texts for every record of a folder of ``write_data``."""
    (data / "texts").mkdir()
    for name, sets in by_describer.items():
        said = [SubTexts(keys=keys, said=texts, by={"describer": name}) for keys, texts in sets]
        lines = [text_line(f"sample/{number:03d}", one) for number in range(12) for one in said]
        (data / "texts" / f"{name}.jsonl").write_text("\n".join(lines))
    return data


def learnt(data, base, texts=None, **changes):
    """Prompts and answers of each record."""
    settings = Settings(**{**SETTINGS, **changes})
    found = defaultdict(list)
    examples = load_examples((data,), load(base).card, settings, texts)
    for number, (record, _) in enumerate(examples.questions):
        found[record.id].append((examples[number].prompt, examples[number].answer))
    return dict(found), examples


def asked(question):
    return prompt_set("compact").prompt(Question(Task.ASK, text=question), (64, 48))


def test_each_sub_text_has_a_question_of_its_own_and_all_have_one_together(base, tmp_path):
    data = describe(write_data(tmp_path / "data"), **TWO)
    found, _ = learnt(data, base)
    for examples in found.values():
        answers = dict(examples)
        assert len(answers) == len(examples) == 8
        for keys, said in (("targets", SHIPS), ("terrain", COAST)):
            whole = "\n".join(f"{key}: {text}" for key, text in said.items())
            prompt = asked(whole_question(keys))
            assert answers.pop(prompt if prompt in answers else "describe") == whole
            for key, text in said.items():
                assert (
                    answers.pop(*(asked(way) for way in OF_KEYS[keys][key] if asked(way) in answers)) == text
                )
        assert not answers
    plain = [dict(examples).get("describe", "")[:5] for examples in found.values()]
    assert {"", "Count", "Terra"} == set(plain)  # the whole of one set or the other, or none
    assert len({tuple(prompt for prompt, _ in examples) for examples in found.values()}) > 3  # ways differ


@pytest.mark.parametrize(("asked_for", "count"), [("keys", 3), ("whole", 1), ("both", 4)])
def test_of_one_key_set_half_of_the_plain_descriptions_are_all_sub_texts(base, tmp_path, asked_for, count):
    data = describe(write_data(tmp_path / "data"), template=(("targets", SHIPS),))
    found, _ = learnt(data, base, sub_texts=asked_for)
    assert {len(examples) for examples in found.values()} == {count}
    plain = sum(prompt == "describe" for examples in found.values() for prompt, _ in examples)
    assert plain == 0 if asked_for == "keys" else 2 < plain < 10
    again, _ = learnt(data, base, sub_texts=asked_for)
    assert again == found


def test_a_caption_stays_the_answer_to_the_plain_question(base, tmp_path):
    data = write_data(tmp_path / "data", change=lambda number, line: {**line, "caption": "A calm sea."})
    before, _ = learnt(data, base)
    assert before == {f"sample/{number:03d}": [("describe", "A calm sea.")] for number in range(12)}
    described, _ = learnt(describe(data, **TWO), base)
    assert all(dict(one)["describe"] == "A calm sea." and len(one) == 9 for one in described.values())
    assert learnt(data, base, sub_texts="none")[0] == before
    assert not {prompt for one in learnt(data, base, tasks=["count"])[0].values() for prompt, _ in one} - {
        "count ship"
    }


def test_too_long_answers_end_with_a_sentence_or_are_left_out_and_both_are_told(base, tmp_path):
    data = describe(write_data(tmp_path / "data"), template=(("targets", SHIPS),))
    found, examples = learnt(data, base, sub_texts="keys", longest_text=11)
    assert {answer for one in found.values() for _, answer in one} == {"Two ships.", "30 m."}
    assert sorted(examples.notes) == [
        "12 answers from sub-texts with more than 11 characters were cut behind a sentence",
        "12 answers from sub-texts with more than 11 characters were left out, as no sentence of them is that short",
    ]


@given(st.text("ab .。\n", max_size=60), st.integers(1, 60))
def test_a_text_is_cut_behind_a_sentence_within_the_limit(text, longest):
    cut = within(text, longest)
    assert text.startswith(cut)
    assert len(cut) <= longest
    assert cut == text or not cut.strip() or cut[-1] in ".。ab"


def test_a_describer_is_chosen_where_there_are_several(base, tmp_path):
    other = {**SHIPS, "Count": "No ship."}
    data = describe(write_data(tmp_path / "data"), template=TWO["template"], model=(("targets", other),))
    with pytest.raises(FusarError, match="described by model, template: name one of them with --texts"):
        learnt(data, base)
    found, _ = learnt(data, base, "model")
    assert "No ship." in dict(found["sample/000"]).values()
    with pytest.raises(FusarError, match="not described by 'nobody'"):
        learnt(data, base, "nobody")
    plain = write_data(tmp_path / "plain")
    both = load_examples((plain, data), load(base).card, Settings(**SETTINGS), "model")
    assert len(both) == 12 + 12 * 4
    with pytest.raises(FusarError, match="nobody has described these records"):
        learnt(plain, base, "model")


def test_a_corpus_of_shards_with_splits_and_texts_trains_and_resumes_only_with_the_same_texts(
    base, tmp_path, monkeypatch
):
    stored = write_data(tmp_path / "data", change=lambda number, line: {**line, "split": None})
    corpus = tmp_path / "corpus"
    write_shards(read_records(stored), corpus, per_shard=5)
    describe(corpus, **TWO)
    splits = {f"scene-{number}": "test" if number > 8 else "train" for number in range(12)}
    (corpus / "splits.json").write_text(json.dumps(splits))
    assert set(learnt(corpus, base)[0]) == {f"sample/{number:03d}" for number in range(9)}
    monkeypatch.setattr(
        two_stage, "write_result", lambda *_: (_ for _ in ()).throw(StageError("a full disk"))
    )
    with pytest.raises(StageError, match="a full disk"):
        train(1, base, corpus, tmp_path / "out")
    monkeypatch.undo()
    for changed, back in (("Two ships.", "2 ships."), ("2 ships.", "Two ships.")):
        path = corpus / "texts/template.jsonl"
        path.write_text(path.read_text().replace(changed, back))
        if back == "2 ships.":
            with pytest.raises(StageError, match="begun with other examples"):
                train(1, base, corpus, tmp_path / "out", resume=True)
    train(1, base, corpus, tmp_path / "out", resume=True)
    stage = json.loads((tmp_path / "out/training.json").read_text())["stages"][-1]
    assert (stage["records"], stage["examples"]) == (9, 72)


def test_a_base_that_answers_few_questions_is_said_to_answer_those_of_its_sub_texts(base, tmp_path):
    data = describe(write_data(tmp_path / "data"), template=(("targets", {"Size": "30 m."}),))
    few = tmp_path / "few"
    shutil.copytree(base, few)
    card = json.loads((few / CARD_FILE).read_text())
    (few / CARD_FILE).write_text(json.dumps({**card, "free_questions": False, "taught_questions": ["Who?"]}))
    made = load(train(1, few, data, tmp_path / "out", max_steps=1)).card
    assert made.taught_questions == ["Who?", OF_KEYS["targets"]["Size"][0], whole_question("targets")]


def test_no_two_sub_texts_share_a_question():
    ways = [way for keys in OF_KEYS.values() for of in keys.values() for way in of]
    assert {name: tuple(keys) for name, keys in OF_KEYS.items()} == dict(KEY_SETS)
    assert len({*ways, *map(whole_question, KEY_SETS)}) == len(ways) + 2
    for way in (*ways, *map(whole_question, KEY_SETS)):  # a server hands them to the model as they are
        assert understand([way], Vocabulary(["ship", "plane"])).task is Task.ASK
