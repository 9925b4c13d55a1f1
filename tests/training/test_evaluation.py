"""From data and a model to predictions, figures and a report, and from predictions alone to the same figures."""

import argparse
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fusar_gpt.engine import Reply
from fusar_gpt.errors import FusarError, OutputError
from fusar_gpt.frames import ChipBox, SceneBox
from fusar_gpt.model import Card
from fusar_gpt.tasks import Task
from fusar_gpt.tasks.compact import render_boxes, render_count, render_grid, render_label
from fusar_train.cli import evaluate as cli_evaluate
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.record import Message, Record, RecordObject
from fusar_train.corpus.records import write_records
from fusar_train.evaluation import baselines, captions, command
from fusar_train.evaluation.inference import ask
from fusar_train.evaluation.labelled_images import open_images, simulated_images
from fusar_train.evaluation.metrics import ALL, OTHER, UNREADABLE, WITH_ANY, MetricKey
from fusar_train.evaluation.predictions import (
    Condition,
    LabelledQuestion,
    PredictedBox,
    PredictionsError,
    TrueBox,
    TrueClass,
    predict,
    read_predictions,
    write_predictions,
)
from fusar_train.evaluation.report import overall
from fusar_train.evaluation.results import evaluate_predictions, to_json

CARD = Card(
    name="oracle", title="Oracle", prompt_set="compact", width=112, height=112, patch=8, merge=2, ground_m=None,
    targets=["ship", "plane"], demonstration=True, prior_years=None, licence="none", trained_on="nothing",
)  # fmt: skip
ORACLE = Condition("oracle", "ab" * 32, "own", "toy test")


class Oracle:
    """An engine that knows the answers to all questions about some examples, but for what it is told to say."""

    card, hash = CARD, ORACLE.hash

    def __init__(self, examples, **instead):
        self.instead = instead
        self.examples = {examples[i].pixels.tobytes(): examples[i] for i in range(len(examples))}

    def answer(self, requests, cancelled):
        return [self.reply(request) for request in requests]

    def reply(self, request):
        example = self.examples[request.image.tobytes()]
        word, *rest = request.prompt.split()
        text = self.instead.get(word) or self.right(example, Task(word), rest)
        return Reply(text, tuple(range(1, len(text) + 1)), np.full(len(text), -0.1), finished=True)

    def right(self, example, task, rest):
        asked = [a for a in example.questions if a.task is task]
        if task is Task.CLASSIFY:
            near = min(
                asked, key=lambda a: abs(a.box.left - float(rest[0])) + abs(a.box.top - float(rest[1]))
            )
            return render_label(near.truth.label)
        if task is Task.DESCRIBE:
            return asked[0].truth[0]
        [truth] = [a.truth for a in asked if a.target == rest[0]]
        if task is Task.COUNT:
            return render_count(truth)
        if task is Task.LOCATE:
            return render_grid(truth)
        return render_boxes([(t.box, t.label) for t in truth], example.frame)


def record(folder, number, objects, **fields):
    """A stored record of an image 100 x 80 with noise and bright objects."""
    rng = np.random.default_rng(number)
    image = rng.integers(5, 60, (80, 100), dtype=np.uint8)
    for item in objects:
        box = item.box
        image[round(box.top) : round(box.bottom), round(box.left) : round(box.right)] = 250
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number}.png"
    Image.fromarray(image).save(path)
    given = {
        "id": f"toy/{number}", "image": path, "window": None, "objects": tuple(objects), "prior": None,
        "messages": (), "caption": None, "scene": f"scene {number}", "split": "test",
        "provenance": {"dataset": "toy", "licence": "none", "simulated": True, "complete": ["ship", "plane"]},
    }  # fmt: skip
    return Record(**{**given, **fields})


SHIP = RecordObject(SceneBox(10, 10, 30, 22), "ship", fine="S-1")
PLANE = RecordObject(SceneBox(60, 40, 80, 60), "plane")


@pytest.fixture
def toy(tmp_path):
    """Four test records: a ship and a plane, a captioned ship, nothing, a difficult ship; and two to train on."""
    raw = tmp_path / "raw"
    unsure = replace(SHIP, difficult=True)
    records = [
        record(raw, 1, [SHIP, PLANE]),
        record(raw, 2, [SHIP], caption="one ship at sea"),
        record(raw, 3, [], messages=(Message(task=Task.ASK, question="is there water?", answer="yes"),)),
        record(raw, 4, [unsure]),
        record(raw, 5, [], split="train"),
        record(raw, 6, [PLANE], split="train"),
    ]
    write_records(records, tmp_path / "toy")
    return tmp_path / "toy"


@pytest.fixture(autouse=True)
def no_java(monkeypatch):
    """METEOR takes seconds to start; test_metrics runs it."""
    monkeypatch.setattr(captions, "why_missing", lambda name: "not in this test.")


def run(*words):
    parser = argparse.ArgumentParser()
    cli_evaluate.add_arguments(parser)
    command.run(parser.parse_args([str(word) for word in words]))


def count(image, answer, truth, condition=ORACLE, target="ship"):
    asked = LabelledQuestion(Task.COUNT, truth, target)
    return predict(condition, image, (100, 80), asked, answer, f"count {target}", str(answer))


def detect(image, said, truth, target="ship"):
    asked = LabelledQuestion(Task.DETECT, tuple(truth), target)
    return predict(ORACLE, image, (100, 80), asked, tuple(said), f"detect {target}")


def classify(image, answer, name):
    asked = LabelledQuestion(Task.CLASSIFY, name, box=ChipBox(0, 0, 9, 9))
    return predict(ORACLE, image, (100, 80), asked, answer, "classify 0 0 9 9", answer or "")


def figures(predictions):
    return evaluate_predictions(predictions)[0].figures


# Figures from predictions, by hand


def test_counting():
    found = figures(
        [
            count("a", 1, 1),
            count("b", 3, 1),
            count("c", None, 2),
            count("d", 0, 0),
            count("a", 0, 0, target="plane"),
        ]
    )
    assert found[MetricKey(Task.COUNT, "ship", "accuracy")].value == 0.5
    assert found[MetricKey(Task.COUNT, "ship", "MAE")].value == pytest.approx(2 / 3, abs=1e-6)
    assert found[MetricKey(Task.COUNT, "ship", "MAE")].n == 3
    assert found[MetricKey(Task.COUNT, "ship", "accuracy", WITH_ANY)].value == pytest.approx(1 / 3, abs=1e-6)
    assert found[MetricKey(Task.COUNT, ALL, "accuracy")].value == 0.6
    assert overall(MetricKey(Task.COUNT, ALL, "accuracy"), figures([count("a", 1, 1)])).value == 1


def test_detection_sums_over_images_and_classes():
    a, b = ChipBox(0, 0, 10, 10), ChipBox(50, 0, 60, 10)
    ship, plane = TrueBox(a, "ship"), TrueBox(b, "plane")
    found = figures(
        [
            detect("1", [PredictedBox(a, "ship", 0.9), PredictedBox(b, "ship", 0.8)], [ship]),
            detect("1", [PredictedBox(b, "plane", 0.5), PredictedBox(a, "Ship", 0.9)], [plane], "plane"),
            detect("2", [], [ship, replace(ship, box=b, difficult=True)]),
        ]
    )
    assert found[MetricKey(Task.DETECT, "ship", "P@0.5")].value == 0.5
    assert found[MetricKey(Task.DETECT, "ship", "R@0.5")].value == 0.5
    assert found[MetricKey(Task.DETECT, "plane", "P@0.5")].value == 1  # the one called a ship is no plane
    assert found[MetricKey(Task.DETECT, ALL, "F1@0.5")].value == pytest.approx(4 / 6, abs=1e-6)
    assert found[MetricKey(Task.DETECT, ALL, "R@0.5")].n == 3
    assert found[MetricKey(Task.DETECT, "ship", "AP@0.5")].value == pytest.approx(51 / 101, abs=1e-6)
    both = (51 / 101 + 1) / 2
    assert found[MetricKey(Task.DETECT, ALL, "AP@0.5")].value == pytest.approx(both, abs=1e-6)


def test_without_scores_there_is_no_average_precision():
    box = ChipBox(0, 0, 10, 10)
    found = figures([detect("1", [PredictedBox(box, "ship")], [TrueBox(box, "ship")])])
    assert found[MetricKey(Task.DETECT, "ship", "F1@0.75")].value == 1
    assert {key.metric for key in found} == {
        f"{name}@{iou}" for name in ("P", "R", "F1") for iou in (0.25, 0.5, 0.75)
    }


def test_boxes_are_compared_inside_the_frame():
    said, true = ChipBox(90, 0, 140, 10), ChipBox(90, 0, 100, 10)
    found = figures([detect("1", [PredictedBox(said, "ship", 0.5)], [TrueBox(true, "ship")])])
    assert found[MetricKey(Task.DETECT, "ship", "F1@0.75")].value == 1


def test_nothing_said_has_no_precision():
    found = figures([detect("1", [], [TrueBox(ChipBox(0, 0, 10, 10), "ship")])])
    assert found[MetricKey(Task.DETECT, "ship", "P@0.5")].value is None
    assert found[MetricKey(Task.DETECT, "ship", "F1@0.5")].value == 0


def test_classes_and_their_confusion():
    rows = [
        classify("1", "Ship", TrueClass("ship", "S-1")),
        classify("1", "s-1", TrueClass("ship", "S-1")),
        classify("2", "plane", TrueClass("ship")),
        classify("2", "truck", TrueClass("plane", "P-2")),
        classify("3", None, TrueClass("plane", "P-2")),
    ]
    [measured] = evaluate_predictions(rows)
    found = measured.figures
    assert found[MetricKey(Task.CLASSIFY, ALL, "accuracy")].value == 0.4
    assert found[MetricKey(Task.CLASSIFY, "ship", "accuracy")].value == pytest.approx(2 / 3, abs=1e-6)
    assert found[MetricKey(Task.CLASSIFY, ALL, "mean class accuracy")].value == pytest.approx(1 / 3, abs=1e-6)
    assert found[MetricKey(Task.CLASSIFY, "S-1", "fine accuracy")].value == 0.5
    assert found[MetricKey(Task.CLASSIFY, ALL, "fine accuracy")].n == 4
    table = measured.confusion["coarse"]
    assert (table.rows, table.columns) == (("plane", "ship"), ("plane", "ship", OTHER, UNREADABLE))
    assert table.counts.tolist() == [[0, 0, 1, 1], [1, 2, 0, 0]]
    assert measured.confusion["fine"].counts.tolist() == [[0, 0, 1, 1], [0, 1, 1, 0]]


def test_the_gain_of_a_prior_is_paired():
    bare = replace(ORACLE, prior="none")
    own = [count(str(i), 1, 1) for i in range(20)]
    none = [count(str(i), int(i > 4), 1, condition=bare) for i in range(20)]
    with_prior, without = evaluate_predictions([*own, *none])
    gain = with_prior.gains[MetricKey(Task.COUNT, "ship", "accuracy")]
    assert gain.value == 0.25
    assert 0 < gain.low < 0.25 < gain.high < 0.6
    assert without.gains == {}
    assert evaluate_predictions([*own, *none[1:]])[0].gains == {}  # not the same images


# Questions and answers


def test_a_stored_record_is_asked_what_its_objects_tell(toy):
    examples = open_images(str(toy), "test", CARD)
    assert (len(examples), examples.name) == (4, "toy test")
    first = examples[0]
    assert first.pixels.shape == (112, 112)
    truths = {(a.task, a.target): a.truth for a in first.questions if a.task is not Task.CLASSIFY}
    assert truths[Task.COUNT, "ship"] == 1
    assert truths[Task.LOCATE, "ship"] == {1}
    [ship] = truths[Task.DETECT, "ship"]
    scale = 1.12  # 100 pixels become 112, and 10 rows are added above for the square
    assert ship.box.left == pytest.approx(10 * scale)
    assert ship.box.top == pytest.approx(20 * scale)
    assert [a.truth for a in first.questions if a.task is Task.CLASSIFY] == [
        TrueClass("ship", "S-1"),
        TrueClass("plane"),
    ]
    assert [a.truth for a in examples[1].questions if a.task is Task.DESCRIBE] == [("one ship at sea",)]
    assert [a.truth for a in examples[2].questions if a.task is Task.ASK] == [("yes",)]
    doubtful = {(a.task, a.target) for a in examples[3].questions}
    assert (Task.COUNT, "ship") not in doubtful
    assert (Task.COUNT, "plane") in doubtful
    assert (Task.DETECT, "ship") in doubtful


def test_an_oracle_is_right_about_everything(toy):
    examples = open_images(str(toy), "test", CARD)
    condition = replace(ORACLE, data=examples.name)
    tasks = [task for task in Task if task is not Task.ASK]
    predictions = [p for batch in ask(Oracle(examples), examples, condition, tasks) for p in batch]
    found = figures(predictions)
    whole_pixels = ("F1@0.75", "AP@[.5:.95]")  # answers are rounded to them
    judged = {
        key: figure.value
        for key, figure in found.items()
        if key.metric not in ("MAE", "CIDEr", *whole_pixels)
        and "fine" not in key.metric
        and figure.value is not None
    }
    assert set(judged.values()) == {1.0}
    assert {key.task for key in judged} == set(tasks)
    assert found[MetricKey(Task.COUNT, ALL, "MAE")].value == 0
    scores = [f.score for p in predictions if p.task is Task.DETECT for f in p.answer]
    assert scores == pytest.approx([np.exp(-0.1)] * len(scores))


def test_unreadable_answers_are_wrong(toy):
    examples = open_images(str(toy), "test", CARD)
    engine = Oracle(examples, count="many", locate="[", detect="7 ship l1 u2", classify="{}")
    tasks = (Task.COUNT, Task.LOCATE, Task.CLASSIFY, Task.DETECT)
    predictions = [p for batch in ask(engine, examples, ORACLE, tasks) for p in batch]
    assert {p.answer for p in predictions} == {None}
    found = figures(predictions)
    assert found[MetricKey(Task.COUNT, ALL, "accuracy")].value == 0
    assert found[MetricKey(Task.LOCATE, ALL, "acc100")].value == 0
    assert found[MetricKey(Task.COUNT, ALL, "MAE")].value is None


def test_simulated_chips_fit_the_card_and_priors_can_be_spoilt():
    examples = simulated_images(4, "test", CARD)
    assert examples[0].pixels.shape == (112, 112)
    bare, own, wrong = (
        next(ask(Recorder(), examples, replace(ORACLE, prior=prior), [Task.COUNT]))
        for prior in ("none", "own", "wrong")
    )
    assert {p.nodes for p in bare} == {0}
    nodes = {examples.id_of(i): len(examples[i].values) for i in range(4)}
    assert all(p.nodes == nodes[p.image] for p in own)
    given = [Recorder.seen[-4 * 2 + 2 * i] for i in range(4)]
    for i, values in enumerate(given):
        other = [examples[j] for j in range(4) if np.array_equal(examples[j].values, values)]
        assert len(other) == 1
        assert other[0].place != examples[i].place
    assert len(wrong) == 8


class Recorder:
    """Says 1 and remembers the priors it was given."""

    card, hash, seen = CARD, ORACLE.hash, []

    def answer(self, requests, cancelled):
        self.seen.extend(request.values for request in requests)
        return [Reply("1", (1,), np.zeros(1), finished=True) for _ in requests]


# Baselines


def test_blind_guessers():
    asked = [
        count("a", 2, 2),
        count("b", 5, 1),
        count("c", 5, 1),
        detect("a", [], [TrueBox(ChipBox(0, 0, 9, 9), "ship")]),
    ]
    one = baselines.always_one(asked)
    assert figures(one)[MetricKey(Task.COUNT, "ship", "accuracy")].value == pytest.approx(2 / 3, abs=1e-6)
    train = [LabelledQuestion(Task.COUNT, 2, "ship")] * 2 + [LabelledQuestion(Task.COUNT, 1, "ship")]
    common = baselines.commonest(asked, train, "of train")
    assert [p.answer for p in common] == [2, 2, 2, ()]
    assert common[0].condition.model == "commonest answer (of train)"
    assert [p.answer for p in baselines.neighbour(asked)][:3] == [1, 1, 2]


# Files


def answered(asked, answer, **more):
    return predict(ORACLE, "b", (9, 9), asked, answer, "q", "r", **more)


def all_kinds():
    box = ChipBox(0.1, 2, 3.5, 44)
    return [
        count("a \u4e16\n<b>", 3, 4),
        answered(LabelledQuestion(Task.LOCATE, frozenset({1, 9}), "ship"), frozenset({2})),
        answered(LabelledQuestion(Task.CLASSIFY, TrueClass("ship", "S-1"), box=box), "plane"),
        detect("b", [PredictedBox(box, "ship", 0.25)], [TrueBox(box, "ship", "S-1", difficult=True)]),
        answered(LabelledQuestion(Task.DESCRIBE, ("x", "y")), "x", nodes=12, score=0.5),
        answered(LabelledQuestion(Task.ASK, ("x",), text="why?"), None),
    ]


def test_predictions_survive_a_file(tmp_path):
    path = tmp_path / "p.jsonl"
    with path.open("w", encoding="utf-8") as file:
        write_predictions(file, all_kinds())
    assert len(path.read_text(encoding="utf-8").splitlines()) == 6
    assert read_predictions(path) == all_kinds()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda row: "{",
        lambda row: "[1]",
        lambda row: json.dumps({**row, "task": "guess"}),
        lambda row: json.dumps({**row, "answer": -1}),
        lambda row: json.dumps({**row, "truth": "3"}),
        lambda row: json.dumps({**row, "truth": True}),
        lambda row: json.dumps({**row, "target": None}),
        lambda row: json.dumps({**row, "frame": [0, 5]}),
        lambda row: json.dumps({**row, "prior": "mine"}),
        lambda row: json.dumps({**row, "model": "tiny"}),
        lambda row: json.dumps({key: value for key, value in row.items() if key != "image"}),
        lambda row: json.dumps(row).replace('"answer": 3', '"answer": NaN'),
        lambda row: "[" * 100_000,
    ],
)
def test_a_broken_line_is_one_line_of_error(tmp_path, spoil):
    path = tmp_path / "p.jsonl"
    with path.open("w", encoding="utf-8") as file:
        write_predictions(file, all_kinds()[:1])
    good = path.read_text(encoding="utf-8")
    path.write_text(good + spoil(json.loads(good)) + "\n", encoding="utf-8")
    with pytest.raises(PredictionsError, match=r"line 2 is not a prediction") as told:
        read_predictions(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("content", [None, b"", b"\n\n", b"\xff\xfe"])
def test_an_unreadable_or_empty_file_is_one_line_of_error(tmp_path, content):
    path = tmp_path / "p.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PredictionsError, match=r"p\.jsonl"):
        run("--recompute", path)


# The command


@pytest.fixture
def oracle(monkeypatch, toy):
    examples = open_images(str(toy), "test", CARD)
    monkeypatch.setattr(command, "load_engine", lambda name: Oracle(examples, ask="yes", count="<b>2</b>"))


def test_a_run_leaves_predictions_figures_and_a_page(oracle, toy, tmp_path, capsys):
    out = tmp_path / "out"
    run("oracle", toy, "--out", out, "--prior", "own,none")
    assert "count accuracy" in capsys.readouterr().out
    predictions = read_predictions(out / "predictions.jsonl")
    models = list(dict.fromkeys((p.condition.model, p.condition.prior) for p in predictions))
    assert models == [
        ("oracle", "own"), ("oracle", "none"), ("CA-CFAR", "none"), ("always 1", "none"),
        ("commonest answer (of train)", "none"), ("next image's truth", "none"),
    ]  # fmt: skip
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "not comparable" in page
    assert "data:image/png;base64," in page
    assert "<script" not in page
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")


def test_the_figures_follow_from_the_predictions_alone(oracle, toy, tmp_path, monkeypatch):
    run("oracle", toy, "--out", tmp_path / "out", "--seed", "3", "--limit", "3")
    monkeypatch.setattr(command, "load_engine", None)
    run("--recompute", tmp_path / "out" / "predictions.jsonl", "--out", tmp_path / "again", "--seed", "3")
    first, again = ((tmp_path / name / "figures.json").read_bytes() for name in ("out", "again"))
    assert first == again
    assert json.loads(first)["conditions"][0]["images"] == 3


def test_two_runs_write_the_same_bytes(oracle, toy, tmp_path):
    for name in ("one", "two"):
        run("oracle", toy, "--out", tmp_path / name, "--tasks", "count,detect")
    for file in ("predictions.jsonl", "figures.json", "report.html"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_words_of_models_and_data_are_escaped(tmp_path):
    bad = "<img src=x onerror=alert(1)>"
    rows = [
        count(bad, 1, 2, target="ship"),
        classify(bad, bad, TrueClass(bad)),
        count("x", 1, 2, condition=Condition(bad, bad, "own", bad)),
    ]
    with (tmp_path / "p.jsonl").open("w", encoding="utf-8") as file:
        write_predictions(file, rows)
    run("--recompute", tmp_path / "p.jsonl", "--out", tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert bad not in page
    assert "&lt;img src=x" in page


def test_figures_are_plain_json():
    rows = to_json(evaluate_predictions(all_kinds()))
    assert json.loads(json.dumps(rows, allow_nan=False))[0]["model"] == {"name": "oracle", "hash": "ab" * 32}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["cfar", "simulated:many"], "simulated:300"),
        (["cfar", "simulated:0"], "simulated:300"),
        (["cfar", "ssdd:nowhere"], "no SSDD folder"),
        (["cfar", "nowhere"], "nowhere"),
        (["cfar"], "Give a checkpoint and data"),
        ([], "Give a checkpoint and data"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(words, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FusarError, match=told) as error:
        run(*words)
    assert "\n" not in str(error.value)


def test_empty_and_foreign_data_are_one_line(toy, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "records.jsonl").write_text("")
    with pytest.raises((PredictionsError, CorpusError), match="empty"):
        run("cfar", tmp_path / "empty")
    with pytest.raises(PredictionsError, match="no split val: take test or train"):
        run("cfar", toy, "--split", "val")
    with pytest.raises(PredictionsError, match=r"The model knows tank, .* has plane, ship"):
        open_images(str(toy), "test", replace(CARD, targets=["tank"]))
    with pytest.raises(PredictionsError, match="nothing that cfar could answer"):
        run("cfar", toy, "--tasks", "describe")


def test_a_place_that_cannot_be_written_is_told_before_anything_is_asked(toy, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError):
        run("cfar", toy, "--out", tmp_path / "file")
    with pytest.raises(OutputError):
        run("cfar", toy, "--predictions", tmp_path)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "words", [["--tasks", "guess"], ["--prior", "mine"], ["--limit", "0"], ["--split", "all"]]
)
def test_wrong_options_are_usage_errors(words):
    with pytest.raises(SystemExit):
        run("cfar", "simulated:1", *words)
