"""Tasks for the processes that test_corpus_workers starts; light to import there."""

import os
import signal

from fusar_gpt.errors import PriorError


def do(task, following, say):
    """What a task says is to happen."""
    kind, number = task
    if kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "wrong":
        raise PriorError("no prior")
    if kind == "memory":
        raise MemoryError
    say(f"did {number}")
    return number * 2


def begin():
    """As a process begins."""
    return do
