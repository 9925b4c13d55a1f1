"""Small records with sub-texts, and settings of a very small FUSAR-KLIP, for the tests of its training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.record import Record, RecordObject
from fusar_train.corpus.records import write_records
from fusar_train.corpus.texts.sub_texts import SubTexts
from fusar_train.klip.settings import KlipRun, KlipSettings

SIDE = 32
WHERE = ("upper left", "upper right", "lower left", "lower right")
SETTINGS = {
    "image": {
        "image_px": SIDE, "token_px": 8, "stem": [8], "hidden": 32, "layers": 1, "heads": 2, "mlp": 64, "grid": 2,
    },
    "text": {"hidden": 32, "layers": 1, "heads": 2, "mlp": 64, "pool": "mean"},
    "tokenizer": 300,
    "fusion_layers": 1,
    "embedding": 32,
    "longest": 96,
    "epochs": 100,
    "batch": 16,
    "learning_rate": 3e-3,
    "warmup_steps": 5,
    "alpha": 0.0,
    "easy_share": 0.5,
    "hard": 0.4,
    "without_context": 0.5,
    "whole": 1.0,
    "most_sub_texts": 2,
    "log_every": 10,
    "save_every": 1000,
}  # fmt: skip


def settings(**changes):
    return KlipSettings(**{**SETTINGS, **changes})


def order(data, out, *, resume=False, texts=None, **changes):
    """A run of the small settings with changes."""
    work = out.with_name(f"{out.name}.run")
    return KlipRun((data,), texts, out, work, settings(**changes), resume, "cpu")


def image(number):
    """A dark image with a bright square in one of four quarters, dim or bright, on one of four grounds."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 25, (SIDE, SIDE)) + 30 * (number // 8 % 4)
    row, col = divmod(number % 4, 2)
    pixels[16 * row + 4 : 16 * row + 12, 16 * col + 4 : 16 * col + 12] = 255 if number // 4 % 2 else 170
    return pixels.clip(0, 255).astype(np.uint8)


def sub_texts(number, wording=0):
    """What ``image`` shows, in one of two wordings."""
    where = WHERE[number % 4]
    size = ("weak", "strong")[number // 4 % 2]
    ground = ("water", "grass", "trees", "sand")[number // 8 % 4]
    said = {
        "Location": (f"A target lies in the {where}.", f"In the {where} a target is seen.")[wording],
        "Feature": (f"The echo is {size}.", f"It is a {size} echo.")[wording],
        "Environment": (f"All around is {ground}.", f"It lies amid {ground}.")[wording],
    }
    facts = {"Location": where, "Feature": size, "Environment": ground}
    return SubTexts(keys="targets", said=said, by={"describer": "template", "facts": facts})


def made(folder: Path, number, texts=None, **more):
    """The record of one image; ``texts`` are its sub-texts instead of the true ones."""
    path = folder / f"{number}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image(number)).save(path)
    known = {
        "id": f"sample/{number:03d}",
        "image": path,
        "objects": (RecordObject(SceneBox(1, 1, 5, 5), "ship"),),
        "scene": f"scene-{number}",
        "split": "train",
        "texts": (sub_texts(number, number // 32 % 2),) if texts is None else texts,
        "provenance": {
            "dataset": "sample",
            "licence": "CC0",
            "pixel_m": 3.0,
            "sensor": "simulated SAR",
            "simulated": True,
        },
    }
    return Record(**{**known, **more})


def write_data(folder, count=32, **more):
    """A folder of ``count`` such records."""
    write_records([made(folder.with_name(f"{folder.name}-raw"), n, **more) for n in range(count)], folder)
    return folder
