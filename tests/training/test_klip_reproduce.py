"""Table 8 in miniature: what is run, figures against planted noise, going on after a stop, honest tables."""

import argparse
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from accelerate import PartialState
from hypothesis import given
from hypothesis import strategies as st
from klip_samples import made

from fusar_gpt.errors import FusarError
from fusar_train.cli import klip_reproduce, main
from fusar_train.klip.data import SLOTS, KlipData, SubText, plain
from fusar_train.klip.reproduce import command, worker
from fusar_train.klip.reproduce.chips import Truth, make_chips, make_noise
from fusar_train.klip.reproduce.experiment import ARMS, Experiment, Start, TrainingRun, plan
from fusar_train.klip.reproduce.measuring import ASKED
from fusar_train.klip.reproduce.results_files import write_results
from fusar_train.klip.reproduce.screening import Found, rewritten_figures
from fusar_train.klip.reproduce.tables import Outcome, changes, sections_of
from fusar_train.klip.scio.rebuild import Rebuilt
from fusar_train.klip.scio.screen import Judged
from fusar_train.klip.trainer import KlipTrainer
from fusar_train.stages.trainer import numbered

FULL = ("none", "screen", "rebuild")
COUNT, PLACE = SLOTS.index(("targets", "Count")), SLOTS.index(("targets", "Location"))


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """The smoke experiment with its chips, noise and taught image tower."""
    PartialState(cpu=True)
    found = Experiment(tmp_path_factory.mktemp("table8"), "smoke", FULL)
    for split in ("train", "test"):
        make_chips(found, split)
    worker.make_start(found, Start(0))
    return found


def test_the_runs_go_seed_by_seed_and_arms_differ_by_scio_alone():
    runs = plan([0.0, 0.2], 2)
    assert [run.name for run in runs] == ["noise0-seed0", "noise20-seed0", "noise0-seed1", "noise20-seed1"]
    assert [run.texts for run in runs] == ["brief", "noise20-seed0", "brief", "noise20-seed1"]
    assert ARMS["none"] is None
    assert [(ARMS[arm].rebuild, ARMS[arm].rule) for arm in ("screen", "rebuild")] == [
        (False, ARMS["screen"].rule),
        (True, ARMS["screen"].rule),
    ]
    full = Experiment(Path("out"), "full", FULL)
    assert full.settings(0).max_steps == 3 * full.first_phase()
    assert full.settings(1).seed == 1


def test_planted_noise_is_known_and_of_each_seed_its_own(experiment):
    planted = {}
    for seed in (0, 1):
        run = TrainingRun(0.2, seed)
        make_noise(experiment, run)
        make_noise(experiment, run)  # it is there already
        truth = Truth.read(experiment.data("train"), run)
        planted[seed] = truth.planted
        assert len(truth.planted) / len(truth.facts) == pytest.approx(0.2, abs=0.02)
    assert planted[0] != planted[1]
    lines = (experiment.data("train") / "texts/noise20-seed0.jsonl").read_text().splitlines()
    for line in map(json.loads, lines):
        for key, text in line["said"].items():
            spot = (line["id"], SLOTS.index((line["keys"], key)))
            assert truth.is_true(spot, text) is (spot not in planted[0])
    assert not Truth.read(experiment.data("train"), TrainingRun(0.0, 0)).planted


def small(tmp_path, texts):
    """Data of one record a text, about its count; and the facts that are true."""
    records = [made(tmp_path, number) for number in range(len(texts))]
    told = [(SubText(COUNT, text, number),) for number, text in enumerate(texts)]
    return KlipData(records, told, {}), [record.id for record in records]


def test_a_screen_is_measured_by_hand(tmp_path):
    data, ids = small(tmp_path, ["one", "two", "three", "four", "five"])
    truth = Truth({}, {}, frozenset({(ids[0], COUNT), (ids[3], COUNT), (ids[2], PLACE)}))
    judged = [
        Judged(record, 0, {}, score, score > 0.5) for record, score in enumerate((0.9, 0.8, 0.1, 0.4, 0.2))
    ]
    assert Found.of(data, judged, truth).figures() == pytest.approx(
        {
            "flagged": 2 / 5, "planted": 2 / 5, "AUC": 5 / 6, "recall": 1 / 2, "precision": 1 / 2,
            "precision at 10 %": 1.0, "precision at the planted share": 1 / 2,
        }
    )  # fmt: skip
    clean = Found.of(data, judged, Truth({}, {}, frozenset())).figures()
    assert clean == pytest.approx({"flagged": 2 / 5, "planted": 0.0}), (
        "without noise there is nothing to find"
    )


@given(st.lists(st.tuples(st.floats(-5, 5), st.booleans(), st.booleans()), min_size=2, max_size=30))
def test_figures_of_a_screen_stay_within_their_limits(cases):
    scores, noisy, wrong = (np.array(column) for column in zip(*cases, strict=True))
    found = Found(scores, noisy, wrong)
    figures = found.figures()
    assert all(0 <= value <= 1 for value in figures.values())
    if wrong.any() and not wrong.all():
        turned = Found(-scores, noisy, wrong).figures()
        assert figures["AUC"] + turned["AUC"] == pytest.approx(1)
    if wrong.any() and noisy.any():
        assert figures["precision"] * noisy.sum() == pytest.approx(figures["recall"] * wrong.sum())


def test_rewritten_texts_are_judged_by_what_they_tell(tmp_path):
    texts = ["two ships", "9 ships", "one ship", "9 ships", "no ship"]
    data, ids = small(tmp_path, texts)
    facts = dict(
        zip(((one, COUNT) for one in ids), ("ship=2", "ship=3", "ship=1", "ship=4", "ship=0"), strict=True)
    )
    meanings = {
        (COUNT, plain(text)): frozenset({fact})
        for text, fact in (("Two ships", "ship=2"), ("a pair of ships", "ship=2"), ("three ships", "ship=3"))
    }
    truth = Truth(facts, meanings, frozenset({(ids[1], COUNT), (ids[3], COUNT)}))
    rebuilt = [
        Rebuilt(0, 0, texts[0], "A pair of  SHIPS", {}, {}, True),  # right, and right again in other words
        Rebuilt(1, 0, texts[1], "three ships", {}, {}, True),  # repaired
        Rebuilt(2, 0, texts[2], "three ships", {}, {}, True),  # spoiled
        Rebuilt(3, 0, texts[3], "four ships at last", {}, {}, False),  # in words that no true text has
        Rebuilt(4, 0, texts[4], None, {}, {}, False),
    ]
    assert rewritten_figures(data, rebuilt, truth) == pytest.approx(
        {
            "written again": 4 / 5, "accepted": 3 / 4, "true of written": 1 / 2, "true of accepted": 2 / 3,
            "repaired of planted": 1 / 2, "spoiled of right": 1 / 2, "wrong before": 2 / 5, "wrong after": 2 / 5,
        }
    )  # fmt: skip


def test_a_run_goes_on_where_it_was_stopped_and_arms_share_what_is_the_same(experiment, monkeypatch):
    run = TrainingRun(0.2, 0)
    folder = experiment.folder(run)
    steps: list[str] = []
    one_step, data_seen = KlipTrainer._one_step, {}

    def counted(self, batch):
        arm = self._work.stem
        if arm == "rebuild" and self.step == 5 and "stopped" not in data_seen:
            data_seen["stopped"] = True
            raise KeyboardInterrupt
        steps.append(arm)
        one_step(self, batch)

    monkeypatch.setattr(KlipTrainer, "_one_step", counted)
    with pytest.raises(KeyboardInterrupt):
        worker.run_one(experiment, run)
    made_before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.json")}
    assert set(made_before) == {"rules.json", "none.json", "screen.json"}
    assert numbered(folder / "rebuild.run")[-1][0] == 5
    worker.run_one(experiment, run)
    counts = {arm: steps.count(arm) for arm in ("first", *FULL)}
    assert counts == {"first": 2, "none": 4, "screen": 4, "rebuild": 2}, "no step was made twice"
    assert {name: (folder / name).stat().st_mtime_ns for name in made_before} == made_before
    assert sorted(path.name for path in folder.iterdir()) == [
        "none.json", "rebuild.json", "result.json", "rules.json", "screen.json",
    ]  # fmt: skip
    outcome = command.read_outcome(experiment, run)
    assert set(outcome.arms) == set(FULL)
    assert set(outcome.figures("rebuild", "written")) == set(ASKED)
    first, again = (outcome.round(arm, 0, "screened") for arm in ("screen", "rebuild"))
    assert first == again, "up to the second screen both arms are one"
    assert outcome.round("rebuild", 1, "rewritten")["wrong before"] == pytest.approx(0.2, abs=0.02)
    assert not outcome.round("none", 0, "screened")
    rules = outcome.rules
    assert {"text", "algorithm", "summed", "alone"} <= set(rules)
    assert rules["text"]["flagged"] != pytest.approx(rules["alone"]["flagged"])
    with_more = Experiment(experiment.out, "smoke", ("none",))
    assert command.read_outcome(with_more, run) is not None
    (folder / "result.json").write_text("{")
    with pytest.raises(FusarError, match=r"makes no sense .*: remove .*noise20-seed0 and repeat"):
        command.read_outcome(experiment, run)


class Child:
    """A process that has ended."""

    stdin = None

    def __init__(self, returncode):
        self.returncode = returncode

    def poll(self):
        return self.returncode

    def terminate(self):
        pass

    def wait(self):
        pass


def reproduce(out, *more):
    parser = argparse.ArgumentParser()
    klip_reproduce.add_arguments(parser)
    args = parser.parse_args(["--out", str(out), "--smoke", *more])
    args.run(args)


def test_the_command_writes_results_names_what_failed_and_never_runs_twice(tmp_path, monkeypatch):
    begun = []

    def begin(module, words, log, threads):
        begun.append(words[3])
        experiment = Experiment(Path(words[0]), words[1], tuple(words[2].split(",")))
        if words[3] == "vision":
            (experiment.folder(Start(int(words[4]))) / "vision.safetensors").write_bytes(b"")
        elif words[3] == "0.4":
            log.write_text("The loss is not finite at step 3.\n")
            return Child(1)
        else:
            content = outcome(0.5)
            path = experiment.folder(TrainingRun(float(words[3]), int(words[4]))) / "result.json"
            path.write_text(json.dumps({"rules": content.rules, "arms": content.arms}))
        return Child(0)

    monkeypatch.setattr(command, "opened", begin)
    monkeypatch.setattr(command, "make_chips", lambda experiment, split: None)
    with pytest.raises(FusarError, match=r"Failed: noise40-seed0\. results.md says why"):
        reproduce(tmp_path, "--noise", "0.4,0", "--jobs", "1")
    assert begun == ["vision", "0.0", "0.4"]
    page = (tmp_path / "results.md").read_text()
    assert "noise40-seed0 **failed**: The loss is not finite at step 3." in page
    assert "Its figures mean nothing" in page
    with pytest.raises(FusarError, match="Failed: noise40-seed0"):
        reproduce(tmp_path, "--noise", "0,0.4")
    assert begun == ["vision", "0.0", "0.4", "0.4"], "what is finished is not run again"
    monkeypatch.setattr(command.child_processes, "statuses", lambda *rest: iter(()))
    reproduce(tmp_path, "--noise", "0,0.1", "--minutes", "0.001")
    assert "noise10-seed0: not finished yet" in (tmp_path / "results.md").read_text()
    assert "1 are not finished: repeat the command" in (tmp_path / "log.txt").read_text()
    assert json.loads((tmp_path / "results.json").read_text())["planned"] == ["noise0-seed0", "noise10-seed0"]
    (tmp_path / "experiment.json").write_text('{"preset": "full"}')
    with pytest.raises(FusarError, match=r"begun with other preset, .*: give another --out"):
        reproduce(tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--noise", "0.1,1"], "A share of noise of 1 makes no sense"),
        (["--noise", "nan"], "A share of noise of nan makes no sense"),
        (["--arms", "none,both"], "There is no arm 'both': take some of none, screen, rebuild"),
        (["--seeds", "11"], "11 seeds are too many: take 1 to 10"),
    ],
)
def test_wrong_orders_are_one_line(tmp_path, capsys, words, said):
    assert main(["klip", "reproduce", "--out", str(tmp_path / "out"), *words]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words", [["--noise", "a"], ["--minutes", "0"], ["--minutes", "nan"], ["--seeds", "0"]]
)
def test_what_is_no_number_is_wrong_usage(tmp_path, words):
    with pytest.raises(SystemExit) as stopped:
        main(["klip", "reproduce", "--out", str(tmp_path), *words])
    assert stopped.value.code == 2


def outcome(mean, gain=0.0):
    """A finished run whose arms retrieve with a mean of ``mean``, more by ``gain`` where they screen."""
    columns = ("text \u2192 image R@10", "mean")

    def arm(value, rounds=()):
        figures = {kind: dict.fromkeys(columns, value) for kind in ("retrieval", "by facts")}
        return {"figures": {**figures, "written": dict.fromkeys(ASKED, value / 2)}, "rounds": list(rounds)}

    screened = {"screened": {"AUC": 0.8, "flagged": 0.1, "precision": 0.5, "recall": 0.25}}
    rewritten = {**screened, "rewritten": {"written again": 0.05, "true of accepted": 0.75}}
    return Outcome(
        {"gain": {"AUC": 0.9, "flagged": 0.1}, "text": {"flagged": 0.2}},
        {
            "none": arm(mean),
            "screen": arm(mean + gain, [screened, screened]),
            "rebuild": arm(mean + 2 * gain, [screened, rewritten]),
        },
    )


def test_differences_are_paired_by_seed_and_stand_beside_the_paper(tmp_path):
    outcomes = {
        TrainingRun(0.2, 0): outcome(0.3, 0.02),
        TrainingRun(0.2, 1): outcome(0.5, 0.02),
        TrainingRun(0.2, 2): outcome(0.4, 0.02),
        TrainingRun(0.0, 0): outcome(0.6, 0.1),
    }
    found = changes(outcomes, 0.2, "rebuild")["retrieval: mean"]
    assert (found.n, found.value) == (3, pytest.approx(0.04))
    assert found.half == pytest.approx(0, abs=1e-9), "the seeds differ, and their differences do not"
    experiment = Experiment(tmp_path, "smoke", FULL)
    sections = {section.key: section for section in sections_of(experiment, outcomes)}
    row = next(one for one in sections["retrieval"].rows if one.name == "20 % noise: no screening")
    assert row.figures["mean"].value == pytest.approx(0.4)
    assert row.figures["mean"].high - row.figures["mean"].low == pytest.approx(2 * 4.303 * 0.1 / 3**0.5)
    assert [len(section.rows) for section in sections.values()] == [4, 6, 6, 6, 4, 4, 2]
    notes = " ".join(sections["differences"].notes)
    assert (
        "20 % noise, screening: by facts: mean +2.0, retrieval: mean +2.0, written: mean of six +1.0."
        in notes
    )
    assert "0 % noise, screening and rebuilding: one seed decides nothing." in notes
    assert "mean of six +2.2 by screening, +4.5 by screening and refining" in notes
    write_results(experiment, list(outcomes), outcomes, {"noise40-seed0": "<b>it & died</b>"})
    page = (tmp_path / "results.md").read_text()
    assert "*the paper, FUSAR-GEOVL: no screening* |  | 92.8 | 93.9" in page
    html = (tmp_path / "results.html").read_text()
    assert "&lt;b&gt;it &amp; died" in html
    assert "not comparable" in html
    drawn = ET.parse(tmp_path / "results.svg")
    assert len([node for node in drawn.iter() if node.tag.endswith("polyline")]) == 3 * 3 + 1
    whole = json.loads((tmp_path / "results.json").read_text())
    assert len(whole["tables"]) == len(sections)
    write_results(experiment, plan([0.0], 1), {}, {})
    assert "nothing measured yet" in (tmp_path / "results.svg").read_text()
