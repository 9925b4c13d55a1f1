"""Asks a checkpoint every task about held-out chips, through the serving engine and parser, and takes the figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fusar_gpt.engine import Engine, Request
from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks import Answer, Boxes, Count, Grid, Label, Question, Task, Text, cell_of, prompt_set
from fusar_train.corpus.mixture import TEST_STREAM
from fusar_train.corpus.questions import describe, frame_size
from fusar_train.corpus.record import LABELS, Record, no_prior
from fusar_train.corpus.ssdd import read_voc, split, whole
from fusar_train.evaluation.metrics import accuracy, detection, localisation
from fusar_train.simulation import CHIP_PX, simulate_chip

Figures = dict[str, float]


def simulated_test(count: int) -> list[Record]:
    """Simulated chips of the stream that training never draws from."""
    return [simulate_chip(number, TEST_STREAM) for number in range(count)]


def real_test(folder: Path) -> list[Record]:
    """The held-out real images, whole, one chip each; they have no prior."""
    return [whole(image, CHIP_PX) for image in split(read_voc(folder))[1]]


def without_prior(records: Sequence[Record]) -> list[Record]:
    """The records with S = 0."""
    values, positions = no_prior()
    return [replace(record, values=values, positions=positions) for record in records]


def with_wrong_prior(records: Sequence[Record]) -> list[Record]:
    """Each record with the prior of the next one that shows another kind of place."""
    spoilt = []
    for i, record in enumerate(records):
        others = [*records[i + 1 :], *records[:i]]
        other = next((o for o in others if o.place != record.place), others[0])
        spoilt.append(replace(record, values=other.values, positions=other.positions))
    return spoilt


def answers(engine: Engine, records: Sequence[Record], questions: Sequence[Question]) -> list[Answer]:
    """What the engine says to one question a record, parsed as when serving."""
    prompts = prompt_set(engine.card.prompt_set)
    requests = [
        Request(
            record.image, record.values, record.positions, prompts.prompt(question, frame_size(record)),
            prompts.grammar(question), prompts.max_tokens(question),
        )
        for record, question in zip(records, questions, strict=True)
    ]  # fmt: skip
    replies = engine.answer(requests, lambda: False)
    return [
        prompts.parse(question, reply.text, frame_size(record), finished=reply.finished)
        for record, question, reply in zip(records, questions, replies, strict=True)
    ]


def measure(engine: Engine, records: Sequence[Record], labels: Sequence[str] = LABELS) -> Figures:
    """All figures of a checkpoint on some records."""

    def said(task: Task, label: str) -> list[Answer]:
        return answers(engine, records, [Question(task, target=label)] * len(records))

    figures: Figures = {}
    for label in labels:
        counts = [a.value if isinstance(a, Count) else None for a in said(Task.COUNT, label)]
        cells = [a.cells if isinstance(a, Grid) else frozenset[int]() for a in said(Task.LOCATE, label)]
        boxes = [boxes_of(a) for a in said(Task.DETECT, label)]
        figures |= task_figures(records, label, counts, cells, boxes)
    figures |= classification(engine, records)
    if all(record.place for record in records):
        texts = answers(engine, records, [Question(Task.DESCRIBE)] * len(records))
        captions = [a.text if isinstance(a, Text) else None for a in texts]
        figures["describe exact"] = accuracy(captions, [describe(record).answer for record in records])
    return figures


def boxes_of(answer: Answer) -> list[ChipBox]:
    """The boxes of a detect answer."""
    return [item.box for item in answer.boxes] if isinstance(answer, Boxes) else []


def classification(engine: Engine, records: Sequence[Record]) -> Figures:
    """Accuracy on up to two true boxes a chip, over all and as the mean over classes."""
    asked = [(record, item) for record in records for item in record.objects[:2]]
    questions = [Question(Task.CLASSIFY, box=item.box) for _, item in asked]
    parsed = answers(engine, [record for record, _ in asked], questions)
    said = [a.label if isinstance(a, Label) else None for a in parsed]
    figures = {"classify": accuracy(said, [item.label for _, item in asked])}
    for label in sorted({item.label for _, item in asked}):
        mine = [s for s, (_, item) in zip(said, asked, strict=True) if item.label == label]
        figures[f"classify {label}"] = accuracy(mine, [label] * len(mine))
    return figures


def true_cells(record: Record, label: str) -> frozenset[int]:
    """The cells that hold a target."""
    return frozenset(cell_of(box, frame_size(record)) for box in record.boxes(label))


def task_figures(
    records: Sequence[Record],
    label: str,
    counts: Sequence[int | None],
    cells: Sequence[frozenset[int]],
    boxes: Sequence[Sequence[ChipBox]],
) -> Figures:
    """The figures of count, locate and detect for one class, given what was said."""
    truth = [record.boxes(label) for record in records]
    grid = [true_cells(record, label) for record in records]
    figures = {f"count {label}": accuracy(counts, [len(boxes) for boxes in truth])}
    some = [i for i, boxes in enumerate(truth) if boxes]
    figures[f"count {label}, chips with any"] = accuracy(
        [counts[i] for i in some], [len(truth[i]) for i in some]
    )
    figures |= {f"locate {label} {name}": v for name, v in asdict(localisation(cells, grid)).items()}
    present = localisation([cells[i] for i in some], [grid[i] for i in some])
    figures[f"locate {label} acc100, chips with any"] = present.acc100
    for threshold in (0.25, 0.5):
        sums = detection(boxes, truth, threshold)
        name = f"detect {label} @{threshold}"
        figures |= {f"{name} P": sums.precision, f"{name} R": sums.recall, f"{name} F1": sums.f1}
    return figures


def chance(records: Sequence[Record], labels: Sequence[str] = LABELS) -> dict[str, Figures]:
    """Two blind guessers: one always gives the commonest answer, one gives the truth of the next chip."""
    shifted = [*records[1:], records[0]]
    common: Figures = {}
    other: Figures = {}
    for label in labels:
        counts = [len(record.boxes(label)) for record in records]
        cells = [true_cells(record, label) for record in records]
        number, grid = most_common(counts), most_common(cells)
        guesses = [number] * len(records), [grid] * len(records), [list[ChipBox]()] * len(records)
        common |= task_figures(records, label, *guesses)
        moved = [record.boxes(label) for record in shifted]
        other |= task_figures(
            records, label, [len(b) for b in moved], [true_cells(record, label) for record in shifted], moved
        )
    classes = [item.label for record in records for item in record.objects[:2]]
    common["classify"] = accuracy([most_common(classes)] * len(classes), classes)
    return {"commonest answer": common, "next chip's truth": other}


def most_common(values: Sequence[Any]) -> Any:
    """The value that occurs most often."""
    return Counter(values).most_common(1)[0][0]


def measure_all(
    engine: Engine, count: int, real: Path | None, tell: Callable[[str], None] = print
) -> dict[str, dict[str, Figures]]:
    """The figures of a model on simulated chips (right, no and wrong prior) and on real held-out images."""
    records = simulated_test(count)
    sets = {
        "right prior": records,
        "no prior": without_prior(records),
        "wrong prior": with_wrong_prior(records),
    }
    results: dict[str, dict[str, Figures]] = {"simulated": {}}
    for name, variant in sets.items():
        tell(f"{len(variant)} simulated chips, {name}")
        results["simulated"][name] = measure(engine, variant)
    results["simulated"] |= chance(records)
    if real:
        images = real_test(real)
        tell(f"{len(images)} real images")
        results["ssdd"] = {"no prior": measure(engine, images, ["ship"])} | chance(images, ["ship"])
    return results
