"""What tells noise from truth, measured for every sub-text of a corpus: by removal (FUSAR-KLIP 3.4), and on its own.

Each measure is a number that means something by itself, in the unit that ``MEASURES`` states. What other texts or
images it is compared with is drawn by the run's seed alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from numpy.typing import NDArray
from torch import Tensor

from fusar_gpt.cli.terminal import progress_bar
from fusar_train.klip.data import SLOTS, UNKNOWN_FACT, SubText, rows_of
from fusar_train.klip.scio.reading import CHUNK, Case, Chunk, Reader, Values, blanked
from fusar_train.klip.train import Prepared

POOL = 256
"""Records whose texts others are compared with."""
OTHERS, OTHER_IMAGES = 4, 64
"""Other images under which a sub-text's likelihood is measured, and those that they are drawn from."""

MEASURES: Mapping[str, str] = MappingProxyType(
    {
        "itc_removed": "loss of ITC without the sub-text less that with it, in nats (eq. 10)",
        "itm_removed": "score of ITM without the sub-text less that with it, in log-odds (eq. 11)",
        "itm_kept": "loss of ITM without all that ITC would remove, less that with it, in nats (algorithm 1, line 8)",
        "cosine": "ITC's cosine of the image and the sub-text alone",
        "rank": "share of other texts of its key that ITC finds less like the image",
        "itc_gain": "how much likelier ITC finds it than a text of its key drawn blindly, in nats",
        "itm": "score of ITM of the image and the sub-text alone, in log-odds",
        "likelihood": "mean log-likelihood of its tokens, as the decoder sees the image, in nats",
        "mlm_gain": "how much likelier the decoder finds it for this image than for others, in nats",
    }
)
"""The names of all measures, and what they are."""

Where = NDArray[np.int64]


@dataclass(frozen=True)
class Measured:
    """The measures of M sub-texts.

    Attributes:
        at: Record and place of each, int64 [M, 2].
        group: Number of its key, key set and version, int64 [M]: what is compared with each other.
        text: Number of the whole text that it is part of, int64 [M].
        values: By name, float64 [M]; NaN where a measure is not defined, such as by removal of all there is.
    """

    at: Where
    group: NDArray[np.int64]
    text: NDArray[np.int64]
    values: Mapping[str, Values]


def measure(prepared: Prepared, names: Collection[str]) -> Measured:
    """Some of ``MEASURES`` for all sub-texts of ``prepared.data``; several processes share the work.

    Raises:
        KlipError: An image cannot be read.
    """
    state, data = PartialState(), prepared.data
    meter = Meter(prepared, names)
    mine: list[dict[str, Values]] = []
    numbers = range(state.process_index, len(data), state.num_processes)
    with progress_bar(len(data), "images", "screening") as show:
        for begin in range(0, len(numbers), CHUNK):
            some = numbers[begin : begin + CHUNK]
            mine.append(meter(meter.reader.chunk(some)))
            if state.is_main_process:
                show(min((begin + CHUNK) * state.num_processes, len(data)))
    parts = gather_object(mine) if state.num_processes > 1 else mine
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    at = np.stack([joined.pop("record"), joined.pop("place")], axis=1).astype(np.int64)
    order = np.lexsort((at[:, 1], at[:, 0]))
    group, text = (joined.pop(name).astype(np.int64)[order] for name in ("group", "text"))
    return Measured(at[order], group, text, {name: values[order] for name, values in joined.items()})


class Meter:
    """Measures the sub-texts of one chunk of images after another."""

    def __init__(self, prepared: Prepared, names: Collection[str]) -> None:
        self.reader = Reader(prepared)
        self.names = set(names)
        self._seed = prepared.run.settings.seed
        rng = np.random.default_rng((self._seed, 4))
        self.pool: list[int] = rng.permutation(len(prepared.data))[:POOL].tolist()
        self._of_keys = _Pool.of_keys(self.reader, self.pool)
        self._of_texts: dict[tuple[int, str], _Pool] = {}
        if self.names & {"itc_removed", "itm_kept"}:
            self._of_texts = _Pool.of_texts(self.reader, self.pool)
        # Not those of the same chunk: neighbours in a corpus are often of one scene, and alike.
        self._other_tokens = (
            self.reader.images(self.pool[:OTHER_IMAGES])[0] if "mlm_gain" in self.names else torch.zeros(0)
        )
        self._tau = float(self.reader.model.temperature.detach())

    def __call__(self, chunk: Chunk) -> dict[str, Values]:
        """All that was asked for, by name, and ``record``, ``place``, ``group`` and ``text``; float64 [cases] each."""
        cases = chunk.cases
        found = {
            "record": np.array([case.record for case in cases], float),
            "place": np.array([case.place for case in cases], float),
            "group": np.array([case.own.version * len(SLOTS) + case.own.slot for case in cases], float),
            "text": np.array([_text_number(case) for case in cases], float),
        }
        if self.names & {"cosine", "rank", "itc_gain"}:
            found |= self.alone(chunk, cases)
        if "itm" in self.names:
            sentences = [self.reader.sentence([case.own]) for case in cases]
            found["itm"] = self.reader.match(sentences, chunk.tokens, [case.row for case in cases])
        if self.names & {"likelihood", "mlm_gain"}:
            found |= self.written(chunk, cases)
        if self.names & {"itc_removed", "itm_removed", "itm_kept"}:
            found |= self.removed(chunk)
        return {name: values for name, values in found.items() if name in self.names or name not in MEASURES}

    def alone(self, chunk: Chunk, cases: Sequence[Case]) -> dict[str, Values]:
        """``cosine``, ``rank`` and ``itc_gain``."""
        images = chunk.vectors[[case.row for case in cases]]
        texts = self.reader.vectors([self.reader.sentence([case.own]) for case in cases])
        own = (images * texts).sum(-1).cpu().numpy().astype(float)
        rank, gain = np.zeros(len(cases)), np.zeros(len(cases))
        groups: dict[tuple[int, int], list[int]] = {}
        for n, case in enumerate(cases):
            groups.setdefault((case.own.version, case.own.slot), []).append(n)
        for key, rows in groups.items():
            pool = self._of_keys.get(key)
            if pool is None:  # so few have this key that none is in the pool
                rank[rows], gain[rows] = np.nan, np.nan
                continue
            others = (images[rows] @ pool.vectors.T).cpu().numpy().astype(float)
            facts = np.array([cases[n].own.fact for n in rows])
            slot = key[1]
            different = pool.facts[None, :, slot] != facts[:, None]
            less = others < own[rows, None]
            with np.errstate(invalid="ignore"):
                rank[rows] = (less & different).sum(1) / different.sum(1)
            mean = np.logaddexp.reduce(others / self._tau, axis=1) - np.log(others.shape[1])
            gain[rows] = own[rows] / self._tau - mean
        return {"cosine": own, "rank": rank, "itc_gain": gain}

    def written(self, chunk: Chunk, cases: Sequence[Case]) -> dict[str, Values]:
        """``likelihood`` and ``mlm_gain``."""
        context = (
            self.reader.settings.without_context == 0
        )  # a decoder that never saw a bare blank needs its context
        visible = [blanked(case, context) for case in cases]
        rows = [case.row for case in cases]
        others, tokens = [], chunk.tokens
        if "mlm_gain" in self.names:
            others = self._others(cases, len(tokens))
            tokens = torch.cat([tokens, self._other_tokens])
        own, *under = self.reader.likelihood(cases, visible, tokens, [rows, *others])
        found = {"likelihood": own / np.array([len(case.own.tokens) + 1 for case in cases])}
        if "mlm_gain" in self.names:
            mean = np.logaddexp.reduce(under, axis=0) - np.log(len(under)) if under else np.nan
            found["mlm_gain"] = own - mean
        return found

    def _others(self, cases: Sequence[Case], first: int) -> list[list[int]]:
        """``OTHERS`` times, another image for each case: a number among the tokens, where others begin at ``first``."""
        drawn: dict[int, list[int]] = {}
        for record in {case.record for case in cases}:
            order = np.random.default_rng((self._seed, 5, record)).permutation(len(self._other_tokens))
            drawn[record] = [first + n for n in order.tolist() if self.pool[n] != record]
        most = min(map(len, drawn.values()))
        return [[drawn[case.record][k] for case in cases] for k in range(min(OTHERS, most))]

    def removed(self, chunk: Chunk) -> dict[str, Values]:
        """``itc_removed``, ``itm_removed`` and ``itm_kept``."""
        cases, whole = chunk.cases, [self.reader.sentence(case.text) for case in chunk.cases]
        some = [n for n, case in enumerate(cases) if case.rest]
        rest = [self.reader.sentence(cases[n].rest) for n in some]
        nothing = np.full(len(cases), np.nan)
        found = {name: nothing.copy() for name in ("itc_removed", "itm_removed", "itm_kept")}
        if self.names & {"itc_removed", "itm_kept"}:
            found["itc_removed"][some] = self.loss(chunk, [cases[n] for n in some], rest) - self.loss(
                chunk, [cases[n] for n in some], [whole[n] for n in some]
            )
        if self.names & {"itm_removed", "itm_kept"}:
            before = self._matched(chunk, cases, whole)
            rows = [cases[n].row for n in some]
            if "itm_removed" in self.names:
                found["itm_removed"][some] = self.reader.match(rest, chunk.tokens, rows) - before[some]
        if "itm_kept" in self.names:
            kept = self._kept(cases, found["itc_removed"] < 0)
            found["itm_kept"][:] = [0.0 if text else np.nan for text in kept]
            some = [n for n, text in enumerate(kept) if text and len(text) < len(cases[n].text)]
            after = self._matched(
                chunk, [cases[n] for n in some], [self.reader.sentence(kept[n]) for n in some]
            )
            found["itm_kept"][some] = itm_loss(after) - itm_loss(before[some])
        return found

    def loss(self, chunk: Chunk, cases: Sequence[Case], sentences: Sequence[tuple[int, ...]]) -> Values:
        """L_ITC of eq. 4 [N] of texts of some images, against the pool's texts that are not true of them."""
        own = self.reader.vectors(sentences)
        images = chunk.vectors[[case.row for case in cases]]
        alike = ((own * images).sum(-1) / self._tau).cpu().numpy().astype(float)
        total = np.zeros(len(cases))
        groups: dict[tuple[int, str], list[int]] = {}
        for n, case in enumerate(cases):
            groups.setdefault((case.own.version, SLOTS[case.own.slot][0]), []).append(n)
        for key, rows in groups.items():
            pool = self._of_texts.get(key)
            if pool is None:
                total[rows] = alike[rows]
                continue
            others = (images[rows] @ pool.vectors.T / self._tau).cpu().numpy().astype(float)
            shown = self.reader.data.fact_rows([cases[n].record for n in rows])
            true = ((pool.facts[None] == shown[:, None]) | (pool.facts[None] == UNKNOWN_FACT)).all(-1)
            others[true] = -np.inf
            total[rows] = np.logaddexp(alike[rows], np.logaddexp.reduce(others, axis=1))
        lost: Values = total - alike
        return lost

    def _matched(self, chunk: Chunk, cases: Sequence[Case], sentences: Sequence[tuple[int, ...]]) -> Values:
        """ITM's scores [N]; a text that several cases share is matched once."""
        pairs = [(case.row, sentence) for case, sentence in zip(cases, sentences, strict=True)]
        known = {pair: n for n, pair in enumerate(dict.fromkeys(pairs))}
        scores = self.reader.match([text for _, text in known], chunk.tokens, [row for row, _ in known])
        return scores[[known[pair] for pair in pairs]]

    def _kept(self, cases: Sequence[Case], removable: NDArray[np.bool_]) -> list[tuple[SubText, ...]]:
        """Of each case's text, what ITC would not remove."""
        gone = {(case.record, case.place) for case, bad in zip(cases, removable, strict=True) if bad}
        return [
            tuple(
                one
                for one, place in zip(case.text, case.places, strict=True)
                if (case.record, place) not in gone
            )
            for case in cases
        ]


def itm_loss(score: Values) -> Values:
    """L_ITM of eq. 5 for a pair that belongs together, of its log-odds."""
    return np.logaddexp(0, -score)


def _text_number(case: Case) -> int:
    sets = {keys: n for n, keys in enumerate(dict.fromkeys(keys for keys, _ in SLOTS))}
    return (case.record * 64 + case.own.version) * len(sets) + sets[SLOTS[case.own.slot][0]]


@dataclass(frozen=True)
class _Pool:
    """Texts to compare with: unit vectors [P, E] and facts int64 [P, slots]."""

    vectors: Tensor
    facts: NDArray[np.int64]

    @classmethod
    def of_keys(cls, reader: Reader, numbers: Sequence[int]) -> dict[tuple[int, int], _Pool]:
        """The sub-texts of some records by version and slot."""
        found: dict[tuple[int, int], list[tuple[SubText, ...]]] = {}
        for number in numbers:
            for one in reader.data.sub_texts[number]:
                found.setdefault((one.version, one.slot), []).append((one,))
        return {key: cls._read(reader, texts) for key, texts in found.items()}

    @classmethod
    def of_texts(cls, reader: Reader, numbers: Sequence[int]) -> dict[tuple[int, str], _Pool]:
        """Their whole texts by version and key set."""
        found: dict[tuple[int, str], list[tuple[SubText, ...]]] = {}
        for text in _texts(reader, numbers):
            found.setdefault((text[0].version, SLOTS[text[0].slot][0]), []).append(text)
        return {key: cls._read(reader, texts) for key, texts in found.items()}

    @classmethod
    def _read(cls, reader: Reader, texts: Sequence[tuple[SubText, ...]]) -> _Pool:
        return cls(reader.vectors([reader.sentence(text) for text in texts]), rows_of(texts))


def _texts(reader: Reader, numbers: Sequence[int]) -> Iterator[tuple[SubText, ...]]:
    for number in numbers:
        seen: set[tuple[int, str]] = set()
        for case in reader.cases(number):
            key = (case.own.version, SLOTS[case.own.slot][0])
            if key not in seen:
                seen.add(key)
                yield case.text
