"""The miniature experiment: chips on disk, what each row trains, going on after a stop, and honest intervals."""

import argparse
import inspect
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
import stage_samples
import yaml
from stage_samples import write_base

from fusar_gpt.errors import FusarError
from fusar_gpt.tasks import Task
from fusar_train.cli import reproduce as cli_reproduce
from fusar_train.corpus.records import read_records
from fusar_train.evaluation.bootstrap import Estimate, ratio
from fusar_train.evaluation.labelled_images import open_images, simulated_images
from fusar_train.evaluation.metrics import ALL, MetricKey
from fusar_train.evaluation.seeds import T_975, over_seeds
from fusar_train.pretrain.batches import Mixture
from fusar_train.pretrain.train import PretrainSettings, TinyTrainer, tiny_card
from fusar_train.reproduce import scheduler, worker
from fusar_train.reproduce.curves import curves_of, draw
from fusar_train.reproduce.experiment import BASE_SETTINGS, ROWS, TABLES, Experiment, TrainingRun, plan
from fusar_train.reproduce.outcome import (
    RunOutcome,
    read_outcome,
    row_difference,
    row_mean,
)
from fusar_train.simulation.records import write_chips
from fusar_train.stages import two_stage
from fusar_train.stages.examples import load_examples
from fusar_train.stages.settings import RECIPES, Settings
from fusar_train.stages.trainer import numbered
from fusar_train.validation import read_yaml

COUNTING = MetricKey(Task.COUNT, ALL, "accuracy")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Two random layers that know ships and planes; their TLM is in effect."""
    card = replace(stage_samples.CARD, width=64, height=64, targets=["ship", "plane"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage_samples, "CARD", card)
        patch.setattr(stage_samples, "fresh_processor", lambda: processor(card))
        return write_base(tmp_path_factory.mktemp("reproduce") / "base")


def processor(card, make=stage_samples.fresh_processor):
    return make(card)


def order(out, *more):
    parser = argparse.ArgumentParser()
    cli_reproduce.add_arguments(parser)
    return parser.parse_args(["--out", str(out), "--smoke", "--device", "cpu", *more])


def reproduce(out, *more):
    args = order(out, *more)
    args.run(args)
    return json.loads((out / "results.json").read_text())


def test_stored_chips_are_the_simulated_ones(tmp_path):
    write_chips(tmp_path / "test", "test", 3, 4)
    card = tiny_card(real=False)
    whole = simulated_images(7, "test", card)
    read = open_images(str(tmp_path / "test"), "test", card)
    assert [read.id_of(i) for i in range(len(read))] == [f"simulated/test-{n:06d}" for n in range(3, 7)]
    for i in range(4):
        mine, theirs = read[i], whole[i + 3]
        assert np.array_equal(mine.pixels, theirs.pixels)
        assert np.allclose(mine.values, theirs.values, atol=1e-6)
        assert np.allclose(mine.positions, theirs.positions, atol=1e-6)
        assert set(mine.questions) == set(theirs.questions)
    record = next(iter(read_records(tmp_path / "test")))
    assert record.provenance.items() >= {"simulated": True, "pixel_m": 3.0, "year": 2024}.items()


def test_stored_chips_are_what_a_stage_learns_from(tmp_path):
    write_chips(tmp_path / "train", "train", 0, 3)
    for stage, tasks in ((1, {"describe"}), (2, {"count", "locate", "classify", "detect"})):
        settings = read_yaml(RECIPES / f"stage{stage}_mini.yaml", Settings)
        examples = load_examples([tmp_path / "train"], tiny_card(real=False), settings)
        assert {examples[i].name.split("(")[1].rstrip(")") for i in range(len(examples))} == tasks
        assert all(record.prior for record, _ in examples.questions)
    captions = [record.caption for record in read_records(tmp_path / "train")]
    settings = read_yaml(RECIPES / "stage1_mini.yaml", Settings)
    told = load_examples([tmp_path / "train"], tiny_card(real=False), settings)
    assert [told[i].answer for i in range(len(told))] == captions


def test_each_row_differs_by_what_its_table_says():
    experiment = Experiment(RECIPES, "full", "base", "", False, "cpu", False)
    shown = {row: experiment.settings(TrainingRun(row, 4)) for row in ROWS}
    assert {row: sorted(stages) for row, stages in shown.items()} == {
        "base": [], "sft2": [2], "sft1+sft2": [1, 2], "sft2+tlm": [2],
        "all": [1, 2], "sum": [1, 2], "concat": [1, 2], "tlm-alone": [1, 2],
    }  # fmt: skip
    for row, stages in shown.items():
        blind = ROWS[row].prior == "none"
        for stage, settings in stages.items():
            assert settings.seed == 4
            assert settings.priors is not blind
            first = stage == min(stages)
            assert ("tlm" in settings.trainables) is (first and not blind)
            assert (settings.tlm is not None) is (first and not blind), (
                "a fresh one with each seed, then kept"
            )
            assert ("lora" in settings.trainables) is not (row == "tlm-alone" and stage == 1)
    assert [shown[row][1].tlm["fusion"] for row in ("all", "sum", "concat")] == ["modulate", "sum", "concat"]
    assert {line.row for table in TABLES for line in table.lines} == set(ROWS)
    runs = plan(list(ROWS), 3)
    assert len(set(runs)) == len(runs) == 1 + 3 * (len(ROWS) - 1)


def test_the_base_never_meets_a_prior_and_its_tlm_stays_the_identity(tmp_path):
    settings = yaml.safe_load(BASE_SETTINGS.read_text())
    records = Mixture(**settings["mixture"]).chips(0)
    assert [len(next(records).values) for _ in range(5)] == [0] * 5
    settings |= {"batch": 2, "processes": 1}
    for phase in settings["phases"]:
        phase["steps"] = 1
    TinyTrainer(PretrainSettings(**settings), tmp_path).run()
    assert not scheduler.knows_prior(tmp_path)


def test_a_run_goes_on_where_it_was_stopped(base, tmp_path, monkeypatch):
    chosen = order(tmp_path, "--base", str(base))
    experiment = scheduler.begin(chosen, scheduler.PRESETS["smoke"], scheduler.Log(tmp_path))
    assert experiment.knows_prior
    mine = TrainingRun("all", 0)
    folder = experiment.folder(mine)
    write = two_stage.write_result

    def stop(config, *rest):
        if config.out.name == "stage2":
            raise KeyboardInterrupt
        write(config, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(two_stage, "write_result", stop)
        with pytest.raises(KeyboardInterrupt):
            worker.run_one(experiment, mine)
    assert [step for step, _ in numbered(folder / "stage2.run")] == [3]
    made = (folder / "stage1/model.safetensors").stat().st_mtime_ns
    log = (folder / "stage2.run/log.jsonl").read_text()
    worker.run_one(replace(experiment, keep=True), mine)
    assert (folder / "stage1/model.safetensors").stat().st_mtime_ns == made
    assert (folder / "stage2.run/log.jsonl").read_text() == log, "no step was made again"
    worker.run_one(experiment, mine)
    assert sorted(path.name for path in folder.iterdir()) == [
        "predictions.jsonl", "result.json", "stage1.run", "stage2.run",
    ]  # fmt: skip
    worker.run_one(experiment, TrainingRun("base", 0))
    untrained = read_outcome(experiment, TrainingRun("base", 0))
    assert (len(untrained.images), untrained.losses) == (6, {})


def test_the_command_runs_the_rows_and_never_twice(base, tmp_path, monkeypatch):
    results = reproduce(tmp_path, "--base", str(base), "--rows", "sft2")
    assert results["planned"] == ["sft2-seed0"]
    assert results["failed"] == {}
    assert {figure["metric"] for figure in results["runs"][0]["figures"]} == {"accuracy", "acc100", "F1@0.5"}
    page = (tmp_path / "results.md").read_text()
    assert "Its figures mean nothing" in page
    assert "The base had learnt a prior before" in page
    assert all(f"| {paper} |" in page for paper in (34.85, 36.36, 41.92, 52.23, 37.88, 52.53))
    texts = [node.text for node in ET.parse(tmp_path / "curves.svg").iter() if node.text]
    assert "sft2" in texts

    def never(*arguments):
        raise AssertionError("a finished run was started again")

    monkeypatch.setattr(scheduler, "opened", never)
    assert reproduce(tmp_path, "--base", str(base), "--rows", "sft2")["runs"] == results["runs"]
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in base.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    card = json.loads((copy / "fusar.json").read_text())
    (copy / "fusar.json").write_text(json.dumps({**card, "title": "Another"}))
    with pytest.raises(FusarError, match="was begun with other base_sha256: give the same"):
        reproduce(tmp_path, "--base", str(copy), "--rows", "sft2")
    with pytest.raises(FusarError, match="holds the smoke experiment: give another --out"):
        scheduler.check_preset(tmp_path, scheduler.PRESETS["full"])


def test_a_run_that_fails_is_named_and_does_not_stop_the_others(base, tmp_path, monkeypatch):
    def fails(arguments, log, threads):
        script = "import sys; print('The loss is not finite at step 3.'); sys.exit(1)"
        with log.open("wb") as said:
            return subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=said)

    monkeypatch.setattr(scheduler, "opened", fails)
    with pytest.raises(FusarError, match=r"2 of 2 runs failed \(sft2-seed0, all-seed0\)"):
        reproduce(tmp_path, "--base", str(base), "--rows", "all,sft2", "--jobs", "1")
    page = (tmp_path / "results.md").read_text()
    assert "- sft2-seed0 **failed**: The loss is not finite at step 3." in page
    assert list(json.loads((tmp_path / "results.json").read_text())["failed"]) == ["sft2-seed0", "all-seed0"]


def test_a_run_ends_when_the_command_is_gone():
    source = inspect.getsource(worker.end_with_parent)
    script = f"import os, sys, threading, time\n{source}\nend_with_parent()\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as child:
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(timeout=0.5)
        child.stdin.close()
        assert child.wait(timeout=20) == 1


def test_wrong_orders_are_one_line(tmp_path):
    with pytest.raises(FusarError, match="There is no row lora: take some of base, sft2"):
        reproduce(tmp_path, "--rows", "lora")
    with pytest.raises(FusarError, match="11 seeds are too many: take 1 to 10"):
        reproduce(tmp_path, "--seeds", "11")


def outcome(row, seed, right):
    """A run whose answer about chip i is right where ``right[i]``."""
    statistic = ratio(np.array(right, float), np.ones(len(right)))
    value = Estimate(float(np.mean(right)), 0.0, 1.0, len(right))
    losses = {1: [], 2: [(1, 2.0 + seed), (6, 1.0)]}
    mine = TrainingRun(row, seed)
    return mine, RunOutcome(
        mine, tuple(map(str, range(len(right)))), {COUNTING: statistic}, {COUNTING: value}, losses, {}
    )


def test_means_and_differences_by_hand():
    found = dict(
        [
            outcome("sft2", 0, [1, 0, 0, 0]),
            outcome("sft2", 1, [1, 1, 0, 0]),
            outcome("all", 0, [1, 1, 1, 0]),
            outcome("all", 1, [1, 1, 1, 0]),
            outcome("all", 2, [1, 1, 1, 1]),
        ]
    )
    mean = row_mean(found, "all", COUNTING)
    assert mean.value == pytest.approx(2.5 / 3)
    assert mean.half == pytest.approx(4.303 * np.sqrt(1 / 48) / np.sqrt(3))
    apart = row_difference(found, "all", "sft2", COUNTING)
    assert (apart.seeds.n, apart.seeds.value) == (2, pytest.approx(0.375)), "seed 2 has no partner"
    assert apart.seeds.half == pytest.approx(12.706 * 0.125), "of 0.5 and 0.25"
    assert not apart.seeds.decided
    assert apart.chips.value == pytest.approx(0.375)
    assert 0 <= apart.chips.low < apart.chips.high <= 1, "no chip is answered worse, and chip 0 always right"
    assert row_difference(found, "sum", "sft2", COUNTING) is None
    assert row_mean(found, "sum", COUNTING) is None
    assert over_seeds([0.5]).half is None
    short = dict([outcome("all", 0, [1, 1, 1]), outcome("sft2", 0, [1, 1])])
    with pytest.raises(FusarError, match="all and sft2 were measured on different chips"):
        row_difference(short, "all", "sft2", COUNTING)


def test_seeds_that_agree_on_few_chips_decide_nothing():
    both = [("sft2", [1, 0, 0, 0]), ("all", [1, 1, 0, 0])]
    found = dict(outcome(row, seed, right) for seed in (0, 1) for row, right in both)
    apart = row_difference(found, "all", "sft2", COUNTING)
    assert apart.seeds.decided, "both seeds say 0.25"
    assert apart.chips.low == 0, "one chip in four: it may not be among those drawn"
    assert not apart.decided
    many = dict(outcome(row, seed, right * 100) for seed in (0, 1) for row, right in both)
    assert row_difference(many, "all", "sft2", COUNTING).decided


@pytest.mark.parametrize("degrees", range(1, 10))
def test_the_table_of_the_t_distribution(degrees):
    """Student's density integrated up to the tabled value is 0.975: half, and the area from 0 on."""
    t = np.linspace(0, T_975[degrees - 1], 200_001)
    density = (1 + t**2 / degrees) ** (-(degrees + 1) / 2)
    far = np.tan(np.linspace(0, np.pi / 2, 2_000_001)[:-1])  # all of 0 to infinity, for the constant
    whole = np.trapezoid((1 + far**2 / degrees) ** (-(degrees + 1) / 2), far)
    assert 0.5 + np.trapezoid(density, t) / whole / 2 == pytest.approx(0.975, abs=1e-4)


def test_curves_are_means_over_the_seeds():
    found = dict([outcome("all", 0, [1]), outcome("all", 1, [1])])
    assert curves_of(found, 2)["all"][0] == (1, 2.5)
    assert curves_of(found, 1) == {}
    texts = [node.text for node in ET.fromstring(draw(found)).iter() if node.text]
    assert "no run yet" in texts
    assert "all" in texts
