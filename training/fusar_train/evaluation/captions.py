"""Caption metrics over a corpus: BLEU, CIDEr, and METEOR and SPICE where Java is installed.

BLEU (Papineni et al., 2002) and CIDEr-D (Vedantam et al., 2015) give the figures of pycocoevalcap on the same
words. Words here are runs of letters, digits, ``.``, ``-`` and ``'`` between word characters, in lower case, so
that the figures are the same with and without Java; the PTB tokenizer of the COCO tools differs in rare cases.
"""

from __future__ import annotations

import importlib.util
import math
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusar_train.evaluation.bootstrap import Statistic, ratio

TOKENIZER = "lower case, words of letters and digits that may hold . - ' inside; no punctuation"
_WORD = re.compile(r"\w+(?:[.'-]\w+)*")
_ORDERS = range(1, 5)
_CIDER_SIGMA = 6.0

Grams = Counter[tuple[str, ...]]
_Corpus = dict[int, list[str]]


def words(text: str) -> list[str]:
    """The words of a text."""
    return _WORD.findall(text.lower())


def grams(text: str, order: int) -> Grams:
    """How often each run of ``order`` words occurs."""
    tokens = words(text)
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def bleu(said: Sequence[str], truth: Sequence[Sequence[str]]) -> list[Statistic]:
    """BLEU-1..4 of N captions, each with its references; without smoothing, the closest reference's length."""
    rows = [_bleu_sums(text, references) for text, references in zip(said, truth, strict=True)]
    sums = np.array(rows, dtype=np.float64).reshape(-1, 10)
    return [_bleu_statistic(sums, order) for order in _ORDERS]


def _bleu_statistic(sums: NDArray[np.float64], order: int) -> Statistic:
    return Statistic(len(sums), lambda weights: _bleu(weights @ sums, order))


def _bleu_sums(said: str, references: Sequence[str]) -> list[int]:
    """Words said, words of the closest reference, then for each order the right and all runs."""
    length = len(words(said))
    closest = min((len(words(text)) for text in references), key=lambda other: (abs(other - length), other))
    sums = [length, closest]
    for order in _ORDERS:
        most: Grams = Counter()
        for text in references:
            most |= grams(text, order)
        mine = grams(said, order)
        sums += [(mine & most).total(), mine.total()]
    return sums


def _bleu(sums: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """BLEU [R] of sums [R, 10]."""
    right, all_said = sums[:, 2 : 2 + 2 * order : 2], sums[:, 3 : 3 + 2 * order : 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(all_said > 0, right / all_said, 0.0)
        brevity = np.where(sums[:, 0] > 0, np.minimum(1 - sums[:, 1] / sums[:, 0], 0), -np.inf)
        return np.asarray(np.exp(np.log(shares).mean(axis=1) + brevity))


def cider(said: Sequence[str], truth: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """CIDEr-D [N] of each caption: 0 to 10. The document frequencies are those of all N captions' references."""
    total = np.zeros(len(said))
    for order in _ORDERS:
        texts = [[grams(text, order) for text in references] for references in truth]
        frequency = Counter(gram for references in texts for gram in set().union(*references))
        for i, references in enumerate(texts):
            mine = grams(said[i], order)
            alike = [_alike(mine, other, frequency, len(said)) for other in references]
            gaps = [_length(said[i]) - _length(text) for text in truth[i]]
            near = [math.exp(-(gap**2) / (2 * _CIDER_SIGMA**2)) for gap in gaps]
            total[i] += np.mean([a * b for a, b in zip(alike, near, strict=True)])
    return 10 * total / len(_ORDERS)


def _length(text: str) -> int:
    """The COCO tools count pairs of words."""
    return max(len(words(text)) - 1, 0)


def _alike(mine: Grams, other: Grams, frequency: Counter[tuple[str, ...]], documents: int) -> float:
    """Cosine of the TF-IDF vectors, the said one clipped to the reference."""

    def weigh(found: Grams) -> dict[tuple[str, ...], float]:
        return {gram: n * math.log(documents / max(frequency[gram], 1)) for gram, n in found.items()}

    a, b = weigh(mine), weigh(other)
    lengths = math.hypot(*a.values()) * math.hypot(*b.values())
    shared = sum(min(value, b[gram]) * b[gram] for gram, value in a.items() if gram in b)
    return shared / lengths if lengths else 0.0


def caption_statistics(said: Sequence[str], truth: Sequence[Sequence[str]]) -> dict[str, Statistic]:
    """BLEU-1..4 and CIDEr as functions of how often each of N captions counts."""
    found = {f"BLEU-{order}": s for order, s in zip(_ORDERS, bleu(said, truth), strict=True)}
    return found | {"CIDEr": ratio(cider(said, truth), np.ones(len(said)))}


class JavaCaptions:
    """METEOR and SPICE, Java programs that pycocoevalcap brings along. Use it with ``with``.

    METEOR, which takes seconds to load, runs once for all corpora.
    """

    def __init__(self) -> None:
        self._meteor: Any = None

    def __enter__(self) -> JavaCaptions:
        return self

    def __exit__(self, *_: object) -> None:
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
            truth: The references of each.
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
