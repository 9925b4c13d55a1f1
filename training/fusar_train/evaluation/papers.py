"""Figures of FUSAR-GPT (Zhang et al., 2026) on its own test set, which is not public: beside ours, not comparable."""

from __future__ import annotations

from fusar_gpt.tasks import Task
from fusar_train.evaluation.metrics import ALL, MetricKey

NOTE = (
    "FUSAR-GPT's paper, on its own data, which is not public: not comparable with the figures measured here"
)
QWEN, BASELINE, R3DET, FUSAR = "Qwen2.5-VL-7B", "best baseline", "R3Det", "FUSAR-GPT"
MODELS = (QWEN, BASELINE, R3DET, FUSAR)


def _row(task: Task, target: str, metric: str, **percent: float) -> tuple[MetricKey, dict[str, float]]:
    names = {"qwen": QWEN, "baseline": BASELINE, "r3det": R3DET, "fusar": FUSAR}
    return MetricKey(task, target, metric), {names[name]: value / 100 for name, value in percent.items()}


PAPERS: dict[MetricKey, dict[str, float]] = dict(
    [
        _row(Task.COUNT, ALL, "accuracy", qwen=34.85, baseline=46.97, fusar=52.53),
        _row(Task.LOCATE, ALL, "acc100", qwen=30.81, baseline=43.94, fusar=52.02),
        _row(Task.LOCATE, ALL, "acc50", qwen=57.07, baseline=71.72, fusar=79.29),
        _row(Task.LOCATE, ALL, "top1", qwen=78.28, baseline=85.86, fusar=91.41),
        _row(Task.CLASSIFY, "plane", "accuracy", qwen=64.66, fusar=76.85),
        _row(Task.CLASSIFY, "ship", "accuracy", qwen=55.19, fusar=67.42),
        _row(Task.DETECT, ALL, "F1@0.25", qwen=47.1, fusar=74.8),
        _row(Task.DETECT, ALL, "P@0.5", r3det=62.77),
        _row(Task.DETECT, ALL, "R@0.5", r3det=44.73),
        _row(Task.DETECT, ALL, "F1@0.5", qwen=27.7, r3det=52.20, fusar=58.7),
        _row(Task.DETECT, ALL, "F1@0.75", qwen=7.3, fusar=24.1),
        _row(Task.DESCRIBE, ALL, "BLEU-1", fusar=77.92),
        _row(Task.DESCRIBE, ALL, "BLEU-2", fusar=73.21),
        _row(Task.DESCRIBE, ALL, "BLEU-3", fusar=68.62),
        _row(Task.DESCRIBE, ALL, "BLEU-4", fusar=64.01),
        _row(Task.DESCRIBE, ALL, "CIDEr", fusar=160.21),
        _row(Task.DESCRIBE, ALL, "METEOR", fusar=45.60),
        _row(Task.DESCRIBE, ALL, "SPICE", fusar=89.29),
    ]
)
"""By figure, then by model; shares, CIDEr in its own unit."""
