"""Servers in a thread: the real main path behind an engine that answers from pixels, or a scripted one."""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scripted_server import CARD, INFO, TOKEN, ScriptedEngine, scripted
from test_resume_jobs import BlobEngine

from fusar_gpt.contract import InterpretRequest
from fusar_gpt.engine import Engine, Reply
from fusar_gpt.interpret import interpret
from fusar_gpt.planning import request_for
from fusar_gpt.server import options, serve
from fusar_gpt.server.app import create_app
from fusar_gpt.server.security import Roots
from fusar_gpt.server.serve import StoppableServer
from fusar_gpt.tasks import Task
from fusar_gpt.tasks.compact import render_count, render_grid


class Sighted(BlobEngine):
    """Answers every task from the pixels of the chip, with awkward words."""

    card = replace(CARD, targets=[])

    def _reply(self, request, cancelled):
        task = request.prompt.split()[0]
        bright = int((request.image > 200).sum())
        words = {
            "count": render_count(bright // 9),
            "locate": render_grid([1, 5] if bright else []),
            "classify": "ship" if bright else "",
            "detect": None,
        }
        text = words.get(task, "dark sea;\n\u2028 \u8239 \U0001f600")
        if text is None:
            return super()._reply(request, cancelled)
        return Reply(text, tuple(range(1, len(text) + 1)), np.full(len(text), -0.3), finished=bright != 1)


def real(order, engine, cancelled, settings, run):
    return interpret(order, engine, cancelled, settings, identity=run)


@contextlib.contextmanager
def served(app, port: int = 0, tls: tuple[Path, Path] | None = None) -> Iterator[str]:
    """The address of an application that is served in a thread."""
    ready = threading.Event()
    with serve.bind("127.0.0.1", port) as listener:
        server = StoppableServer(app, ready.set, *(tls or ()))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            assert ready.wait(20)
            yield serve.url_of("127.0.0.1", listener, tls=tls is not None)
        finally:
            server.stop()
            thread.join(10)
            assert app.state.jobs.join(5)


def application(folder: Path, interpreter=real, load: Callable[[], Engine] = Sighted, **options: object):
    return create_app(
        interpreter, load, INFO, token=TOKEN, roots=Roots.of([folder]), state=folder / "state", **options
    )


def stage(folder: Path, **options: object) -> object:
    """The scripted interpreter behind an API, with a scene that it never opens."""
    (folder / "scene.tif").touch()
    return application(folder, scripted, ScriptedEngine, **options)


def act(folder: Path, direction: str | None = None) -> InterpretRequest:
    return request_for(Path(f"server:{folder}/scene.tif"), Task.DETECT, targets=("ship",), question=direction)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def arguments(*given: str) -> argparse.Namespace:
    """The options of ``fusar serve``."""
    parser = argparse.ArgumentParser()
    options.add_arguments(parser)
    return parser.parse_args(given)
