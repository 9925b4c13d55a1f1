"""A very small random FUSAR-GPT and inputs for it, shared by the tests of model and engine."""

from __future__ import annotations

import numpy as np
import torch

from fusar_gpt.model import (
    Card,
    FusarGptForConditionalGeneration,
    FusarGptProcessor,
    tiny_config,
    tiny_image_processor,
    tiny_tokenizer,
)

CARD = Card(
    name="fresh",
    title="Untrained",
    prompt_set="compact",
    width=64,
    height=48,
    patch=8,
    merge=2,
    ground_m=None,
    targets=["ship"],
    demonstration=True,
    prior_years=None,
    licence="GPL-3.0-or-later",
    trained_on="nothing",
    position_ramps=True,
)


def fresh_processor(card=CARD):
    return FusarGptProcessor(tiny_tokenizer(), tiny_image_processor(), card)


def fresh_config(tokenizer, **sizes):
    return tiny_config(
        tokenizer, **{"vision_depth": 2, "vision_hidden": 32, "text_layers": 2, "text_hidden": 64, **sizes}
    )


def fresh_model(tokenizer, seed=0, live=True, **sizes):
    """A random model; ``live`` makes its weights large and its TLM effective, so that inputs matter."""
    torch.manual_seed(seed)
    model = FusarGptForConditionalGeneration(fresh_config(tokenizer, **sizes)).eval()
    if live:
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.mul_(4.0)
            model.model.tlm.w2.weight.normal_(std=0.05)
            model.model.tlm.w2.bias.normal_(std=0.05)
    return model


def chip(seed, card=CARD):
    return np.random.default_rng(seed).integers(0, 256, (card.height, card.width), dtype=np.uint8)


def prior(seed, count):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(count, 64)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return values, generator.random((count, 2)).astype(np.float32)
