"""Answers that other programs wrote: the authors' predictions.jsonl, SARChat's rows, SARLANG's CSV."""

import csv
import json

import pytest
from evaluation_samples import all_kinds, figures, run
from hypothesis import given
from hypothesis import strategies as st

from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks import Question, Task, prompt_set
from fusar_train.evaluation import sarchat
from fusar_train.evaluation.answer_files import read_answers
from fusar_train.evaluation.metrics import MetricKey
from fusar_train.evaluation.predictions import Condition, PredictionsError, write_predictions
from fusar_train.evaluation.sarlang import judged

PLANES = prompt_set("release").prompt(Question(Task.DETECT, target="plane"), (504, 504))
TRUE = [
    {"bbox_2d": [100, 100, 140, 140], "label": "plane"},
    {"bbox_2d": [300, 300, 340, 340], "label": "plane"},
]
# IoU with the first true box: 40 * 20 shared of 40 * 60, a third.
LOOSE = [{"bbox_2d": [100, 120, 140, 160], "label": "plane"}]


def row(**changed):
    given = {"id": "demo-01", "coordinate_size": 504, "question": PLANES, "gt": json.dumps(TRUE)}
    return {**given, "prediction_text": "...", "detections": TRUE, "parse_error": None, **changed}


def write(path, rows):
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


def value(found, task, metric, target="all"):
    return found[MetricKey(task, target, metric)].value


# --- the authors' predictions.jsonl ---


def test_the_authors_predictions_by_hand(tmp_path):
    path = write(
        tmp_path / "predictions.jsonl",
        [
            row(),  # two of two
            row(id=7, detections=LOOSE),  # one at .25, none at .5
            row(id="c", gt="None", detections=[]),
            row(id="d", prediction_text='[{"bbox_2d"', detections=None, parse_error="Expecting value"),
            row(id="e", gt=None),
        ],
    )
    read = read_answers(path)
    assert [p.image for p in read.predictions] == ["demo-01", "7", "c", "d"]
    assert {(p.task, p.target, p.frame, p.prior) for p in read.predictions} == {
        (Task.DETECT, "plane", (504, 504), "unknown")
    }
    assert read.predictions[0].answer[0].box == ChipBox(100, 100, 140, 140)
    assert [p.answer for p in read.predictions[2:]] == [(), None]
    found = figures(read.predictions)
    at = {
        iou: [value(found, Task.DETECT, f"{kind}@{iou}", "plane") for kind in ("P", "R", "F1")]
        for iou in (0.25, 0.5)
    }
    assert at[0.25] == pytest.approx([3 / 3, 3 / 6, 6 / 9], abs=1e-6)
    assert at[0.5] == pytest.approx([2 / 3, 2 / 6, 4 / 9], abs=1e-6)
    assert read.notices == (
        "1 row is left out: they hold no gt.",
        "1 of 4 answers the authors' script could not read (parse_error): they count as finding nothing.",
    )


def test_the_authors_answers_in_words_and_without_a_size(tmp_path):
    describe = prompt_set("release").prompt(Question(Task.DESCRIBE), (504, 504))
    plain = {"id": 0, "question": describe, "gt": "An apron.", "prediction_text": " An apron. "}
    asked = {**plain, "question": "<image>Is there water?", "gt": "No", "prediction_text": "no, none"}
    counted = prompt_set("release").prompt(Question(Task.COUNT, target="ship"), (504, 504))
    rows = [plain, asked, {**plain, "question": counted, "gt": 3, "prediction_text": "There are 3 ships"}]
    with pytest.raises(
        PredictionsError, match="line 3, makes no sense: gt: Input should be a valid string, not 3"
    ):
        read_answers(write(tmp_path / "p.jsonl", rows))
    rows[2]["gt"] = "3"
    read = read_answers(write(tmp_path / "p.jsonl", rows))
    assert [(p.task, p.answer) for p in read.predictions] == [
        (Task.DESCRIBE, "An apron."), (Task.ASK, "no, none"), (Task.COUNT, 3),
    ]  # fmt: skip
    assert read.predictions[1].text == "Is there water?"
    assert read.predictions[2].truth == 3


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"gt": "[{"}, "gt is neither None nor a list"),
        ({"gt": [{"bbox_2d": [3, 3], "label": "a"}]}, "gt is neither None nor a list"),
        ({"detections": "none"}, "detections: Input should be a valid list"),
        ({"detections": [{"bbox_2d": [1, 2, 3], "label": "a"}]}, "bbox_2d"),
        ({"coordinate_size": -1}, "coordinate_size"),
        ({"question": None}, "question"),
        ({"prediction_text": 3}, "prediction_text"),
    ],
)
def test_a_bad_row_of_the_authors_is_one_line(tmp_path, changed, told):
    with pytest.raises(PredictionsError, match=told) as caught:
        read_answers(write(tmp_path / "p.jsonl", [row(), row(**changed)]))
    assert "p.jsonl, line 2," in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("no_java")
def test_evaluate_takes_the_authors_predictions_without_a_model(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    path = write(tmp_path / "run" / "predictions.jsonl", [row()])
    before = path.read_bytes()
    run("--predictions", path, "--out", tmp_path / "out")
    said = capsys.readouterr().out
    assert "run on predictions.jsonl, 1 images" in said
    assert "detect F1@0.5" in said
    assert path.read_bytes() == before
    shown = json.loads((tmp_path / "out" / "figures.json").read_text())["conditions"][0]
    assert (shown["prior"], shown["model"]["name"]) == ("unknown", "run")
    write(path, [row(gt=None)])
    with pytest.raises(PredictionsError, match=r"holds nothing to measure\. 1 row is left out"):
        run("--predictions", path)


# --- SARChat ---


def chat(question, labels, response, image="a.png"):
    turns = [{"role": "system", "content": "You help."}, {"role": "user", "content": question}]
    return {
        "response": response,
        "labels": labels,
        "messages": turns,
        "images": [{"bytes": None, "path": image}],
    }


CHAT = [
    chat(
        "<image>\n[refer] Locate 1 aircraft.",
        "{<100><100><140><140>} (top left)",
        "{<100><120><140><160>} (center)",
    ),
    chat("[count] How many ships are there?", "2", "There are 2 ships"),
    chat("[count] How many ships are there?", "1: {<1><1><9><9>}", "2: {<1><1><9><9>}, {<50><1><60><9>}"),
    chat("[grounding] Where are the ships?", "top left, bottom right", "top left"),
    chat("[identify] What is in {<1><2><3><4>}?", "aircraft", "It is an aircraft."),
    chat("[classify] What does the image show?", "ship and aircraft", "Aircraft, ship"),
    chat("[describe] Describe it.", "one ship at sea", "one ship at sea"),
    chat("[vqa] Is there water?", "yes", "Yes, there is."),
    chat("[refer] Locate 1 ship.", None, "{<1><1><9><9>}"),
]


def test_sarchats_answers_by_hand(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(CHAT), encoding="utf-8")  # merged chunks are one JSON list under this name
    read = read_answers(path)
    kinds = [(p.task, p.target) for p in read.predictions]
    assert kinds == [
        (Task.DETECT, "aircraft"), (Task.LOCATE, "aircraft"), (Task.COUNT, "ship"), (Task.COUNT, "ship"),
        (Task.DETECT, "ship"), (Task.LOCATE, "ship"), (Task.CLASSIFY, None), (Task.CLASSIFY, None),
        (Task.DESCRIBE, None), (Task.ASK, None),
    ]  # fmt: skip
    assert read.notices == ("1 row is left out: they lack a question, a truth or an answer.",)
    found = figures(read.predictions)
    assert value(found, Task.DETECT, "F1@0.25", "aircraft") == 1
    assert value(found, Task.DETECT, "F1@0.5", "aircraft") == 0
    assert value(found, Task.DETECT, "P@0.5", "ship") == 0.5
    assert value(found, Task.COUNT, "accuracy", "ship") == 0.5
    assert value(found, Task.LOCATE, "acc100", "ship") == 0
    assert value(found, Task.LOCATE, "acc50", "ship") == 1
    assert value(found, Task.LOCATE, "top1", "aircraft") == 0
    assert value(found, Task.CLASSIFY, "accuracy") == 1
    assert value(found, Task.DESCRIBE, "exact") == 1
    assert value(found, Task.ASK, "SARLANG") == 1


def test_sarchats_form_under_plain_names_and_boxes_of_any_frame(tmp_path):
    rows = [
        {"id": 1, "question": "[refer] Locate 1 ship.", "gt": "{<1500><0><1600><99>}", "prediction": "none"}
    ]
    [prediction] = read_answers(write(tmp_path / "p.jsonl", rows), "sarchat").predictions
    assert (prediction.frame, prediction.answer, prediction.image) == ((1600, 1600), (), "1")
    with pytest.raises(PredictionsError, match="holds no question with a truth and an answer"):
        read_answers(write(tmp_path / "p.jsonl", [{"question": "why?"}]), "sarchat")


@given(st.text(), st.text(), st.text())
def test_no_text_makes_the_reader_of_sarchat_raise(question, truth, said):
    condition = Condition("x", "", "unknown", "y")
    assert list(sarchat._predictions(condition, "a", f"[count] {question}", truth or "1", said))


# --- SARLANG ---


@pytest.mark.parametrize(
    ("truth", "said", "right"),
    [
        ("yes", "Yes, it is.", True),
        ("No", "yes", False),
        ("3", "3", True),
        ("3", "There are 3", True),
        ("3", "4", False),
        ("3", "13", True),  # the published rule looks for a part of the text
        ("99", "none", False),
        ("100", "none", None),
        ("ship", "A ship at sea", True),
        ("harbor", "port", None),
        ("ship", "", None),
    ],
)
def test_sarlangs_rule(truth, said, right):
    assert judged(said, [truth]) is right


@pytest.mark.usefixtures("no_java")
@pytest.mark.parametrize("header", [True, False])
def test_sarlangs_answers_by_hand(tmp_path, capsys, header):
    rows = [
        ["a.png", "Yes, it is.", "Is there a ship?", "yes"],
        ["a.png", "yes", "Is there a plane?", "No"],
        ["b.png", "3", "How many ships?", "3"],
        ["b.png", "A ship, at sea", "What is it?", "ship"],
        ["b.png", "port", "Where?", "harbor"],
        ["b.png", "x", "Why?", ""],
    ]
    path = tmp_path / "VQA_result.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["image", "prediction", "question", "gt"]] * header + rows)
    read = read_answers(path)
    found = figures(read.predictions)
    assert [value(found, Task.ASK, key) for key in ("SARLANG", "SARLANG closed")] == pytest.approx(
        [0.75, 2 / 3], abs=1e-6
    )
    assert found[MetricKey(Task.ASK, "all", "SARLANG")].n == 4
    run("--predictions", path, "--benchmark", "sarlang")
    said = capsys.readouterr().out
    assert "1 row is left out: they hold no true answer." in said
    assert "leaves 1 of 5 free answers to a judge" in said


@pytest.mark.parametrize(
    ("content", "told"),
    [("a,b,c\n", "row 1 has 3 columns"), ("", "holds no answer"), ('"a', "cannot be read")],
)
def test_a_bad_file_of_sarlang_is_one_line(tmp_path, content, told):
    path = tmp_path / "answers.csv"
    path.write_text(content)
    with pytest.raises(PredictionsError, match=told) as caught:
        read_answers(path)
    assert "\n" not in str(caught.value)


def test_our_own_predictions_are_still_read_as_they_are(tmp_path):
    with (tmp_path / "p.jsonl").open("w", encoding="utf-8") as file:
        write_predictions(file, all_kinds())
    assert read_answers(tmp_path / "p.jsonl").predictions == all_kinds()
