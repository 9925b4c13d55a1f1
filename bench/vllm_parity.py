"""Compare the engine vllm with the local one on the sample scenes, question by question, and print a table.

    VLLM_API_KEY=KEY python bench/vllm_parity.py URL [--model tiny] [--dtype float32] [--most 24]

``scripts/vllm_parity.sh`` starts the server and runs this. Exit status 1 when a text differs: in half precision single
tokens may, since no two kernels round alike.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import product

import numpy as np
from tables import row

from fusar_gpt.engine import DecodeRequest, Engine, EngineWrapper, Reply, open_engine
from fusar_gpt.engine_options import EngineOptions
from fusar_gpt.errors import TaskError
from fusar_gpt.frames import ScenePoints
from fusar_gpt.imagery import Area, open_scene
from fusar_gpt.interpret import interpret
from fusar_gpt.planning import request_for
from fusar_gpt.samples import SAMPLES, Sample
from fusar_gpt.tasks import Task


class Recording(EngineWrapper):
    """Keeps what a run asks, what is answered, and the seconds that takes."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.requests: list[DecodeRequest] = []
        self.replies: list[Reply] = []
        self.seconds = 0.0

    def answer(
        self,
        requests: Sequence[DecodeRequest],
        cancelled: Callable[[], bool] = lambda: False,
        on_text: Callable[[int, str], None] | None = None,
    ) -> list[Reply]:
        """As the engine's."""
        start = time.perf_counter()
        replies = self._engine.answer(requests, cancelled, on_text)
        self.seconds += time.perf_counter() - start
        self.requests += requests
        self.replies += replies
        return replies


def asked(engine: Engine, sample: Sample, task: Task, prior: str, most: int) -> Recording:
    """The first ``most`` questions, or a batch more, of a run over the whole scene, answered here."""
    recording = Recording(engine)
    extra = {"question": "is there water?"} if task is Task.ASK else {}
    if task is Task.CLASSIFY:
        extra = {"boxes": tuple(middles(sample))}
    request = request_for(sample.scene, task, prior=prior, **extra)
    with closing(interpret(request, recording, report=lambda line: None)) as events:
        for _ in events:
            if len(recording.requests) >= most:
                break
    return recording


def middles(sample: Sample) -> Iterator[Area]:
    """Two boxes around the middle of the scene, to classify."""
    with open_scene(sample.scene) as scene:
        middle = np.array([scene.width, scene.height]) / 2
        for half in (10, 30):  # px
            corners = scene.to_lonlat(ScenePoints.of(np.array([middle - half, middle + half]))).xy()
            yield Area.from_bbox(*corners.min(axis=0), *corners.max(axis=0))


def main() -> int:
    """Print a row for each scene, task and kind of prior."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--most", type=int, default=24, help="questions a row, about; default: %(default)s")
    args = parser.parse_args()
    here = EngineOptions(args.model, args.device, args.dtype)
    there = EngineOptions(args.model, args.device, args.dtype, engine="vllm", vllm_url=args.url)
    local, remote = open_engine(here), open_engine(there)
    row("scene", "task", "prior", "questions", "same text", "largest difference of log p", "here", "vLLM")
    row(*["---"] * 8)
    differ = 0
    for sample, task in product(SAMPLES, Task):
        for prior in filter(None, ("none", sample.prior)):
            name = ("none" if prior == "none" else "own", sample.scene.stem, task.value)
            try:
                ours = asked(local, sample, task, str(prior), args.most)
            except TaskError as error:
                row(name[1], name[2], name[0], f"not asked: {error}", "", "", "", "")
                continue
            theirs = Recording(remote)
            theirs.answer(ours.requests)
            pairs = list(zip(ours.replies, theirs.replies, strict=True))
            same = [(a, b) for a, b in pairs if (a.text, a.finished) == (b.text, b.finished)]
            differ += len(pairs) - len(same)
            gaps = [np.abs(a.logprobs - b.logprobs).max(initial=0) for a, b in same]
            row(
                *(name[1], name[2], name[0], str(len(pairs)), str(len(same)), f"{max(gaps, default=0):.1e}"),
                *(f"{ours.seconds:.1f} s", f"{theirs.seconds:.1f} s"),
            )
    return 1 if differ else 0


if __name__ == "__main__":
    raise SystemExit(main())
