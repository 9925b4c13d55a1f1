"""Runs the model on requests: in batches, inside grammars, cancellable, streaming, with token probabilities."""

from fusar_gpt.engine.batcher import Batcher
from fusar_gpt.engine.engine import DecodeRequest, Engine, EngineWrapper, OnText, Reply
from fusar_gpt.engine.local import LocalEngine, open_engine
from fusar_gpt.engine.replay import ReplayEngine

__all__ = [
    "Batcher",
    "DecodeRequest",
    "Engine",
    "EngineWrapper",
    "LocalEngine",
    "OnText",
    "ReplayEngine",
    "Reply",
    "open_engine",
]
