"""A fresh engine on the CPU, and requests for it."""

from __future__ import annotations

import torch
from fresh_model import CARD, chip, fresh_model, fresh_processor, prior

from fusar_gpt.engine import DecodeRequest, LocalEngine
from fusar_gpt.model import Checkpoint

PROCESSOR = fresh_processor()
DIGITS = 'root ::= [0-9] (" " [0-9]){0,4}'
BOXES = 'root ::= "none" | box ("; " box)*\nbox ::= "ship" (" " [0-9]{1,3}){4}'


def engine(batch_size=8, live=True, **settings):
    model = fresh_model(PROCESSOR.tokenizer, live=live)
    checkpoint = Checkpoint(model, PROCESSOR, CARD, "hash", torch.device("cpu"))
    return LocalEngine(checkpoint, batch_size, **settings)


def never():
    return False


def request(seed, prompt="count ship", grammar=DIGITS, max_tokens=12, nodes=5):
    return DecodeRequest(chip(seed), *prior(seed, nodes), prompt, grammar, max_tokens)


MIXED = [
    request(0),
    request(1, "describe", None, 9, nodes=0),
    request(2, "detect ship", BOXES, 30),
    request(3, "locate any", nodes=40),
    request(4, "ask what is 日本?", None, 9),
    request(5, "detect ship", BOXES, 30, nodes=0),
]
