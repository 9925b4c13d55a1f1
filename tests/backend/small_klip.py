"""An untrained FUSAR-KLIP, small enough to be written and read in a moment."""

from __future__ import annotations

import torch

from fusar_gpt.retrieval import ImageTowerConfig, KlipCard, KlipConfig, KlipModel, TextTowerConfig, save_klip
from fusar_gpt.retrieval.tokenizer import train_tokenizer

TEXTS = ["Three ships lie in the harbour.", "Open sea.", "港口有三艘船。", "开阔的海面。"]
CARD = KlipCard(name="small", title="Small", licence="CC0", trained_on="nothing")
SIDE = 32


def small_tokenizer():
    return train_tokenizer(TEXTS * 3, 160)


def config(vocabulary, **image):
    sizes = {
        "image_px": SIDE,
        "token_px": 8,
        "stem": (8,),
        "hidden": 16,
        "layers": 1,
        "heads": 2,
        "mlp": 32,
        "grid": 2,
    }
    return KlipConfig(
        image=ImageTowerConfig(**{**sizes, **image}),
        text=TextTowerConfig(
            vocabulary=vocabulary, hidden=16, layers=1, fusion_layers=1, heads=2, mlp=32, longest=24
        ),
        embedding=8,
    )


def small_model(tokenizer):
    torch.manual_seed(0)
    return KlipModel(config(len(tokenizer))).eval()


def write_small_klip(folder, card=CARD):
    """Writes one into a folder; returns the folder."""
    tokenizer = small_tokenizer()
    save_klip(folder, small_model(tokenizer), tokenizer, card)
    return folder
