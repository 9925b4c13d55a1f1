"""Runs the model on requests: batching, constrained decoding, cancelling, streaming, token probabilities."""

from fusar_gpt.engine.batcher import Batcher
from fusar_gpt.engine.engine import DecodeRequest, Engine, EngineWrapper, OnText, Reply, never
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
    "never",
    "open_engine",
]
