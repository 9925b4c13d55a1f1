"""The file of predictions: it survives, and what is broken in it is told in one line."""

import json

import pytest
from evaluation_samples import all_kinds, run

from fusar_train.evaluation.predictions import (
    PredictionsError,
    read_predictions,
    write_predictions,
)


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
