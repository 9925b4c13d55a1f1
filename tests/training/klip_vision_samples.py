"""A very small FUSAR-KLIP in memory, and options of its vision benchmarks, for their tests."""

from __future__ import annotations

import torch

from fusar_gpt.retrieval import ImageTowerConfig, Klip, KlipCard, KlipConfig, KlipModel, TextTowerConfig
from fusar_gpt.retrieval.tokenizer import train_tokenizer
from fusar_train.klip.benchmarks.options import BenchmarkOptions

SIDE = 32


def klip(**image):
    """An untrained model of 32 px."""
    tokenizer = train_tokenizer(["a ship on the sea", "trees and grass"], 100)
    sizes = {
        "image_px": SIDE,
        "token_px": 8,
        "stem": (8,),
        "hidden": 32,
        "layers": 1,
        "heads": 2,
        "mlp": 64,
        "grid": 2,
    }
    config = KlipConfig(
        image=ImageTowerConfig(**{**sizes, **image}),
        text=TextTowerConfig(
            vocabulary=len(tokenizer), hidden=32, layers=1, fusion_layers=1, heads=2, mlp=64, longest=64
        ),
        embedding=16,
    )
    torch.manual_seed(1)
    card = KlipCard(name="small", title="small", licence="CC0", trained_on="nothing")
    return Klip(KlipModel(config).eval(), tokenizer, card, torch.device("cpu"))


def asked(model=None, **changes):
    """Options without simulated chips."""
    known = {"klip": model or klip(), "name": "small", "data": (), "simulated": 0}
    return BenchmarkOptions(**{**known, **changes})
