"""Runs the model on batches of requests: greedy, inside a grammar, cancellable, with token probabilities."""

from fusar_gpt.engine.engine import Engine, Reply, Request
from fusar_gpt.engine.local import LocalEngine

__all__ = ["Engine", "LocalEngine", "Reply", "Request"]
