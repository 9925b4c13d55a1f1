"""Small bases and records for the tests of the two stages."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fusar_gpt.model import save_checkpoint
from fusar_train.cli.train import add_arguments
from fusar_train.stages.settings import Settings, StageConfig
from fusar_train.stages.two_stage import run_stage

sys.path.append(str(Path(__file__).parents[1] / "backend"))
from fresh_model import CARD, fresh_model, fresh_processor
from release_format import base_model, make_images_only, write_processor, write_release
from release_format import write_base as write_base_of_release

__all__ = ["base_model", "make_images_only", "write_base_of_release", "write_processor", "write_release"]

SETTINGS = {
    "tasks": ["describe"],
    "trainables": "tlm+lora",
    "epochs": 1,
    "max_steps": 3,
    "learning_rate": 1e-2,
    "warmup": 0.0,
    "batch": 4,
    "micro_batch": 4,
    "lora_rank": 4,
    "lora_dropout": 0.0,
    "gradient_checkpointing": False,
    "save_every": 2,
    "log_every": 1,
}
STAGE2 = {"tasks": ["count", "locate", "classify", "detect"], "trainables": "lora"}


def write_base(folder, **sizes):
    """A random FUSAR-GPT of two layers, its TLM in effect, stored as float32."""
    processor = fresh_processor()
    model = fresh_model(processor.tokenizer, **sizes)
    save_checkpoint(folder, model, processor, CARD, dtype=torch.float32)
    return folder


def write_data(folder, count=12, priors=lambda number: number % 2 == 0, change=lambda number, line: line):
    """Records of random chips with 0 to 3 ships; ``change`` may alter each line."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    (folder / "priors").mkdir()
    lines = []
    for number in range(count):
        image, prior = f"images/{number}.png", f"priors/{number}.npz"
        Image.fromarray(rng.integers(0, 256, (48, 64), dtype=np.uint8)).save(folder / image)
        if priors(number):
            vectors = rng.normal(size=(4, 64)).astype(np.float32)
            write_prior(folder / prior, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
        corners = rng.integers(0, 40, (number % 4, 2)).tolist()
        line = {
            "id": f"sample/{number:03d}",
            "image": image,
            "window": None,
            "objects": [{"box": [x, y, x + 9, y + 7], "label": "ship"} for x, y in corners],
            "prior": prior if priors(number) else None,
            "messages": [],
            "caption": None,
            "scene": f"scene-{number}",
            "split": "train",
            "provenance": {"dataset": "sample", "licence": "CC0", "complete": ["ship"], "year": 2024},
        }
        lines.append(change(number, line))
    (folder / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def write_prior(path, vectors, **more):
    places = np.random.default_rng(len(vectors)).random((len(vectors), 2)).astype(np.float32)
    np.savez(path, features=vectors, positions=places, **more)


def order(
    stage,
    base,
    data,
    out,
    *,
    resume=False,
    without_stage1=False,
    report="none",
    visual_tokens=None,
    **settings,
):
    """An order with ``SETTINGS``, those of stage 2 where it is that, and changes to them."""
    chosen = Settings(**{**SETTINGS, **(STAGE2 if stage == 2 else {}), **settings})
    work = out.with_name(f"{out.name}.run")
    return StageConfig(
        stage, str(base), (data,), out, work, chosen, resume, without_stage1, report, "cpu", visual_tokens
    )


def train(stage, base, data, out, **changes):
    """Runs a stage; returns the checkpoint's folder."""
    run_stage(order(stage, base, data, out, **changes))
    return out


def losses(out):
    """The losses that a run logged."""
    lines = out.with_name(f"{out.name}.run") / "log.jsonl"
    return [json.loads(line)["loss"] for line in lines.read_text().splitlines()]


def command(stage, base, data, out, *more):
    """As ``fusar-train`` would run it, with the tiny settings and few steps."""
    parser = argparse.ArgumentParser()
    add_arguments(stage, parser)
    given = ["--base", base, "--data", data, "--out", out, "--settings", "tiny", "--device", "cpu"]
    given += ["--set", "max_steps=4", "--set", "batch=4", "--set", "micro_batch=4", *more]
    arguments = parser.parse_args(list(map(str, given)))
    arguments.run(arguments)
