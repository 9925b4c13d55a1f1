"""Runs the model on requests: in batches, inside grammars, cancellable, streaming, with token probabilities."""

from fusar_gpt.engine.batcher import Batcher
from fusar_gpt.engine.engine import Engine, EngineOver, OnText, Reply, Request
from fusar_gpt.engine.local import LocalEngine
from fusar_gpt.engine.opening import open_engine
from fusar_gpt.engine.remembered import Remembered

__all__ = [
    "Batcher",
    "Engine",
    "EngineOver",
    "LocalEngine",
    "OnText",
    "Remembered",
    "Reply",
    "Request",
    "open_engine",
]
