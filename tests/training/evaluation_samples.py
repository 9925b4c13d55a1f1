"""Predictions, stored records and an oracle for the tests of the evaluation."""

import argparse
from dataclasses import replace

import numpy as np
from PIL import Image

from fusar_gpt.engine import Reply
from fusar_gpt.frames import ChipBox, SceneBox
from fusar_gpt.model import Card
from fusar_gpt.tasks import Task
from fusar_gpt.tasks.compact import render_boxes, render_count, render_grid, render_label
from fusar_train.cli import evaluate as cli_evaluate
from fusar_train.corpus.record import Message, Record, RecordObject
from fusar_train.evaluation import command
from fusar_train.evaluation.predictions import (
    Condition,
    LabelledQuestion,
    PredictedBox,
    Prediction,
    TrueBox,
    TrueClass,
)
from fusar_train.evaluation.results import evaluate_predictions

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


def toy_records(raw):
    """Four test records: a ship and a plane, a captioned ship, nothing, a difficult ship; and two to train on."""
    unsure = replace(SHIP, difficult=True)
    return [
        record(raw, 1, [SHIP, PLANE]),
        record(raw, 2, [SHIP], caption="one ship at sea"),
        record(raw, 3, [], messages=(Message(task=Task.ASK, question="is there water?", answer="yes"),)),
        record(raw, 4, [unsure]),
        record(raw, 5, [], split="train"),
        record(raw, 6, [PLANE], split="train"),
    ]


def run(*words):
    parser = argparse.ArgumentParser()
    cli_evaluate.add_arguments(parser)
    command.run(parser.parse_args([str(word) for word in words]))


def count(image, answer, truth, condition=ORACLE, target="ship"):
    asked = LabelledQuestion(Task.COUNT, truth, target)
    return Prediction.of(condition, image, (100, 80), asked, answer, f"count {target}", str(answer))


def detect(image, said, truth, target="ship"):
    asked = LabelledQuestion(Task.DETECT, tuple(truth), target)
    return Prediction.of(ORACLE, image, (100, 80), asked, tuple(said), f"detect {target}")


def classify(image, answer, name):
    asked = LabelledQuestion(Task.CLASSIFY, name, box=ChipBox(0, 0, 9, 9))
    return Prediction.of(ORACLE, image, (100, 80), asked, answer, "classify 0 0 9 9", answer or "")


def figures(predictions):
    return evaluate_predictions(predictions)[0].figures


def answered(asked, answer, **more):
    return Prediction.of(ORACLE, "b", (9, 9), asked, answer, "q", "r", **more)


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
