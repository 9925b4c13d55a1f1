"""``fusar-train evaluate``: predictions, figures and a report, and from predictions alone the same figures."""

import json
from dataclasses import replace

import numpy as np
import pytest
from evaluation_samples import CARD, Oracle, classify, count, run

from fusar_gpt.errors import FusarError, OutputError
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.records import read_records, replace_records
from fusar_train.evaluation import command
from fusar_train.evaluation.labelled_images import open_images
from fusar_train.evaluation.predictions import (
    Condition,
    PredictionsError,
    TrueClass,
    read_predictions,
    write_predictions,
)

pytestmark = pytest.mark.usefixtures("no_java")


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


def test_a_model_of_images_alone_is_asked_without_a_prior(oracle, toy, tmp_path, capsys, monkeypatch):
    engine = command.load_engine("oracle")
    engine.card = replace(CARD, uses_prior=False)
    monkeypatch.setattr(command, "load_engine", lambda name: engine)
    run("oracle", toy, "--out", tmp_path, "--prior", "own,wrong", "--tasks", "count")
    assert "oracle was trained on images alone: asked without a prior" in capsys.readouterr().out
    assert {p.prior for p in read_predictions(tmp_path / "predictions.jsonl")} == {"none"}


def test_how_the_truth_was_made_stands_beside_the_figures(oracle, toy, tmp_path, capsys):
    made = "boxes made by threshold: never a yardstick against CFAR"
    replace_records(
        [replace(one, provenance={**one.provenance, "truth": made}) for one in read_records(toy)], toy
    )
    run("oracle", toy, "--out", tmp_path, "--tasks", "count", "--limit", "2")
    said = f"The truth of {toy.name}: {made}."
    assert capsys.readouterr().out.count(said) == 1
    assert said in (tmp_path / "report.html").read_text(encoding="utf-8")


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


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["cfar", "simulated:many"], "simulated:300"),
        (["cfar", "simulated:0"], "simulated:300"),
        (["cfar", "varied:0"], "varied:300"),
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


def test_images_are_shown_as_bright_as_asked(toy):
    images = open_images(str(toy), "test", None)
    darker, brighter = images.brighter(-6), images.brighter(40)
    assert darker.name == f"{images.name}, -6 dB"
    assert np.abs(darker[0].pixels - images[0].pixels / 1.9953).max() <= 0.51
    assert set(np.unique(brighter[0].pixels)) <= {0, 100, 200, 255}
    assert darker[0].questions == images[0].questions


def test_a_place_that_cannot_be_written_is_told_before_anything_is_asked(toy, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError):
        run("cfar", toy, "--out", tmp_path / "file")
    with pytest.raises(OutputError):
        run("cfar", toy, "--predictions", tmp_path)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "words",
    [
        ["--tasks", "guess"],
        ["--prior", "mine"],
        ["--limit", "0"],
        ["--split", "all"],
        ["--brighter", "60"],
        ["--brighter", "nan"],
    ],
)
def test_wrong_options_are_usage_errors(words):
    with pytest.raises(SystemExit):
        run("cfar", "simulated:1", *words)
