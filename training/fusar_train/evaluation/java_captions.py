"""METEOR and SPICE, which are Java programs that pycocoevalcap brings along."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusar_train.evaluation.bootstrap import Statistic, ratio
from fusar_train.evaluation.captions import words

NAMES = ("METEOR", "SPICE")

_Corpus = dict[int, list[str]]


class JavaCaptions:
    """Runs the programs; METEOR, which takes seconds to load, once for all corpora. Use it with ``with``."""

    def __init__(self) -> None:
        self._meteor: Any = None

    def __enter__(self) -> JavaCaptions:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._meteor is None:
            return
        process = self._meteor.meteor_p  # pycocoevalcap itself leaves it to the garbage collector
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
        self._meteor = None

    def statistics(
        self, said: Sequence[str], truth: Sequence[Sequence[str]]
    ) -> tuple[dict[str, Statistic], list[str]]:
        """The figures that can be had here, over N captions, and a notice for each that cannot.

        Args:
            said: N captions.
            truth: the references of each.
        """
        found, notices = {}, []
        references = {i: [" ".join(words(text)) for text in texts] for i, texts in enumerate(truth)}
        answers = {i: [" ".join(words(text))] for i, text in enumerate(said)}
        for name, score in (("METEOR", self._score_meteor), ("SPICE", _score_spice)):
            missing = why_missing(name)
            try:
                if missing is None:
                    found[name] = around(*score(references, answers))
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                missing = f"its Java program failed ({error})."
            notices += [f"{name} is left out: {missing}"] if missing else []
        return found, notices

    def _score_meteor(self, references: _Corpus, said: _Corpus) -> tuple[float, NDArray[np.float64]]:
        if self._meteor is None:
            from pycocoevalcap.meteor.meteor import Meteor

            self._meteor = Meteor()
        corpus, each = self._meteor.compute_score(references, said)
        return float(corpus), np.array(each)


def _score_spice(references: _Corpus, said: _Corpus) -> tuple[float, NDArray[np.float64]]:
    from pycocoevalcap.spice.spice import Spice

    _, each = Spice().compute_score(references, said)
    scores = np.nan_to_num(np.array([row["All"]["f"] for row in each]))
    return float(scores.mean()), scores


def around(corpus: float, each: NDArray[np.float64]) -> Statistic:
    """The corpus figure, moved from draw to draw as the mean of its captions [N] moves."""
    mean, shift = ratio(each, np.ones(len(each))), corpus - each.mean()
    return Statistic(mean.n, lambda weights: mean.of(weights) + shift)


def why_missing(name: str) -> str | None:
    """What METEOR or SPICE lacks on this machine, with what to do; None when it can be had."""
    package = importlib.util.find_spec("pycocoevalcap")
    if package is None or not package.submodule_search_locations:
        return "pycocoevalcap is not installed; pip install pycocoevalcap."
    if shutil.which("java") is None:
        return "it needs Java, and there is no java on the PATH; install a Java runtime."
    folder = Path(package.submodule_search_locations[0])
    if name == "SPICE" and not list(folder.glob("spice/lib/stanford-corenlp-*-models.jar")):
        return (
            "its language models are not here; fetch them once (400 MB) with "
            "python -m pycocoevalcap.spice.get_stanford_models."
        )
    return None
