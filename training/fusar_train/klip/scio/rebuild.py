"""Rebuilding: the decoder writes again what the screen calls noise, which is taken where it is better (3.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from types import MappingProxyType

import numpy as np
from accelerate import PartialState
from accelerate.utils import gather_object
from numpy.typing import NDArray

from fusar_gpt.cli.terminal import progress_bar
from fusar_train.klip.data import SLOTS, UNKNOWN_FACT, SubText, plain
from fusar_train.klip.scio.measures import Meter
from fusar_train.klip.scio.reading import CHUNK, Case, Chunk, Values
from fusar_train.klip.scio.screen import Judged
from fusar_train.klip.settings import KlipError
from fusar_train.klip.train import Prepared

HARD_TO_WRITE = ("Count", "Location")
"""Keys that are only kept out of what the decoder learns: it hardly ever writes them rightly (docs/klip.md)."""

_Both = dict[str, tuple[Values, Values]]
_Key = tuple[int, int]
"""A slot and a version of the texts."""


@dataclass(frozen=True)
class Rebuilt:
    """What became of one sub-text that was called noise.

    Attributes:
        record: Number of its record in the data.
        place: Its place among the sub-texts of the record.
        before: What it said.
        after: What the decoder wrote; None where it wrote nothing.
        values_before: What acceptance looks at, with the old sub-text.
        values_after: With the new one.
        accepted: Whether the new one takes its place.
    """

    record: int
    place: int
    before: str
    after: str | None
    values_before: dict[str, float]
    values_after: dict[str, float]
    accepted: bool


@dataclass(frozen=True)
class Acceptance:
    """When a new sub-text is better than the old one.

    Attributes:
        says: In one sentence.
        compare: The values [N] with the old and the new sub-texts, by name, for cases, their new sub-texts, and
            which sub-texts are noise.
        better: Whether the new ones are better, bool [N], by these values and the margin.
    """

    says: str
    compare: Callable[[Meter, Chunk, Sequence[Case], Sequence[SubText], set[tuple[int, int]]], _Both]
    better: Callable[[_Both, float], NDArray[np.bool_]]


def rebuild(
    prepared: Prepared,
    judged: Sequence[Judged],
    margin: float,
    acceptance: str = "alone",
    *,
    every_key: bool = False,
) -> list[Rebuilt]:
    """Writes the noise of ``prepared.data`` again.

    Each noisy sub-text becomes a blank in its text (eq. 12), of which the other noisy ones are left out, and the
    decoder fills it (eq. 13). Of a key that is told in stock phrases (``stock_phrases``), only these are taken; of
    others, what tells enough (``FreeWording``).

    Args:
        prepared: A run; its trainer's model writes and judges, as it is now.
        judged: Of ``screen``.
        margin: By how much the new sub-text must be better, as ``ACCEPTANCES`` says.
        acceptance: A name of ``ACCEPTANCES``.
        every_key: Rewrite those of ``HARD_TO_WRITE``, too.

    Raises:
        KlipError: There is no such acceptance, the margin is below 0, or an image cannot be read.
    """
    check_acceptance(acceptance, margin)
    noisy = {(one.record, one.place) for one in judged if one.noisy}
    chosen = {at for at in noisy if every_key or SLOTS[_told(prepared, at).slot][1] not in HARD_TO_WRITE}
    state = PartialState()
    numbers = sorted({record for record, _ in chosen})[state.process_index :: state.num_processes]
    writer = _Writer(prepared, noisy)
    found: list[Rebuilt] = []
    with progress_bar(len(numbers), "images", "rebuilding") as show:
        for begin in range(0, len(numbers), CHUNK):
            chunk = writer.meter.reader.chunk(numbers[begin : begin + CHUNK])
            cases = [case for case in chunk.cases if (case.record, case.place) in chosen]
            found += writer.rebuilt(chunk, cases, ACCEPTANCES[acceptance], margin)
            show(min(begin + CHUNK, len(numbers)))
    parts = gather_object(found) if state.num_processes > 1 else found
    return sorted(parts, key=lambda one: (one.record, one.place))


def check_acceptance(acceptance: str, margin: float) -> None:
    """KlipError unless there is such an acceptance, and the margin is a number from 0 on."""
    if acceptance not in ACCEPTANCES:
        raise KlipError(
            f"There is no acceptance {acceptance!r} of rewritten sub-texts: take one of {', '.join(ACCEPTANCES)}."
        )
    if not 0 <= margin < np.inf:
        raise KlipError(f"A margin of {margin:g} makes no sense: give a number from 0 on.")


def _told(prepared: Prepared, at: tuple[int, int]) -> SubText:
    return prepared.data.sub_texts[at[0]][at[1]]


def stock_phrases(told: Sequence[SubText]) -> set[_Key]:
    """The slots and versions of which most sub-texts come more than once.

    What a weak decoder writes may please ITC though it says nothing of its key ("The slice."): where a key is told in
    stock phrases, only these are taken.
    """
    times = Counter((one.slot, one.version, one.tokens) for one in told)
    all_told, again = Counter[_Key](), Counter[_Key]()
    for (slot, version, _), count in times.items():
        all_told[slot, version] += count
        again[slot, version] += count if count > 1 else 0
    return {key for key, count in all_told.items() if again[key] > count / 2}


@dataclass(frozen=True)
class FreeWording:
    """How much a sub-text of a key without stock phrases must tell, by its words.

    Attributes:
        telling: Words of the key's sub-texts that at most half of them have, so that they tell these apart.
        least: How many of them a new sub-text must have: half as many as the median one, and one at least.
    """

    telling: frozenset[str]
    least: float

    @classmethod
    def of(cls, texts: Sequence[set[str]]) -> FreeWording:
        """That of a key whose sub-texts have these words."""
        times = Counter(word for words in texts for word in words)
        telling = frozenset(word for word, count in times.items() if count <= len(texts) / 2)
        return cls(telling, max(median(len(telling & words) for words in texts) / 2, 1))

    def tells(self, words: set[str]) -> bool:
        """Whether a sub-text of such words tells enough."""
        return len(self.telling & words) >= self.least


def free_wordings(
    told: Sequence[SubText], stock: set[_Key], words_of: Callable[[str], Sequence[str]]
) -> dict[_Key, FreeWording]:
    """Of each slot and version without stock phrases."""
    texts: dict[_Key, list[set[str]]] = {}
    for one in told:
        if (one.slot, one.version) not in stock:
            texts.setdefault((one.slot, one.version), []).append(set(words_of(one.text)))
    return {key: FreeWording.of(mine) for key, mine in texts.items()}


class _Writer:
    def __init__(self, prepared: Prepared, noisy: set[tuple[int, int]]) -> None:
        self.meter = Meter(prepared, {"itc_removed"})
        self._noisy = noisy
        self._tokenizer = prepared.tokenizer
        told = [one for several in prepared.data.sub_texts for one in several]
        # The decoder writes in small letters: what the corpus says somewhere is taken in the words of the corpus.
        self._known = {(one.slot, one.version, one.tokens): one for one in told}
        self._versions = {one.version for one in told}
        self._free = free_wordings(told, stock_phrases(told), self._tokenizer.words)

    def rebuilt(
        self, chunk: Chunk, cases: Sequence[Case], acceptance: Acceptance, margin: float
    ) -> list[Rebuilt]:
        """What became of some cases."""
        visible = [self._visible(case) for case in cases]
        # In which language is to be written, only the rest of a text can tell.
        able = [n for n, text in enumerate(visible) if len(text) > 1 or len(self._versions) == 1]
        new: dict[int, SubText] = {}
        written = self.meter.reader.write([cases[n] for n in able], [visible[n] for n in able], chunk.tokens)
        for n, words in zip(able, written, strict=True):
            if plain(words):
                new[n] = self._sub_text(cases[n].own, words)
        told = list(new)
        if not told:
            return [_as_it_was(case) for case in cases]
        both = acceptance.compare(
            self.meter, chunk, [cases[n] for n in told], list(new.values()), self._noisy
        )
        better = acceptance.better(both, margin)
        found = [_as_it_was(case) for case in cases]
        for k, n in enumerate(told):
            before, after = ({name: float(pair[side][k]) for name, pair in both.items()} for side in (0, 1))
            found[n] = replace(
                found[n],
                after=new[n].text,
                values_before=before,
                values_after=after,
                accepted=bool(better[k]) and self._may_be_said(cases[n].own, new[n]),
            )
        return found

    def _may_be_said(self, old: SubText, new: SubText) -> bool:
        """Whether the new sub-text is another one that the corpus says somewhere, or that is free and tells enough."""
        if new.tokens == old.tokens or (new.slot, new.version, new.tokens) in self._known:
            return new.tokens != old.tokens
        free = self._free.get((new.slot, new.version))
        return free is not None and free.tells(set(self._tokenizer.words(new.text)))

    def _visible(self, case: Case) -> tuple[SubText | None, ...]:
        """The text with a blank in place of the case, without other noise."""
        return tuple(
            None if place == case.place else one
            for one, place in zip(case.text, case.places, strict=True)
            if place == case.place or (case.record, place) not in self._noisy
        )

    def _sub_text(self, old: SubText, words: str) -> SubText:
        tokens = tuple(self._tokenizer.pieces(words))
        known = self._known.get((old.slot, old.version, tokens))
        if known is not None:
            return known
        return replace(old, text=words[0].upper() + words[1:], tokens=tokens, fact=UNKNOWN_FACT)


def _as_it_was(case: Case) -> Rebuilt:
    return Rebuilt(case.record, case.place, case.own.text, None, {}, {}, False)


def _alone(
    meter: Meter, chunk: Chunk, cases: Sequence[Case], new: Sequence[SubText], noisy: set[tuple[int, int]]
) -> _Both:
    images = chunk.vectors[[case.row for case in cases]]
    old_new = ([case.own for case in cases], new)
    cosines = [
        (images * meter.reader.vectors([meter.reader.sentence([one]) for one in told])).sum(-1)
        for told in old_new
    ]
    tau = meter.reader.model.temperature.detach()
    before, after = ((cosine / tau).cpu().numpy().astype(float) for cosine in cosines)
    return {"itc_alone": (before, after)}


def _whole(
    meter: Meter, chunk: Chunk, cases: Sequence[Case], new: Sequence[SubText], noisy: set[tuple[int, int]]
) -> _Both:
    """Eq. 14 and 15: the text with the new sub-text beside the text as it was."""
    reader = meter.reader
    before = [reader.sentence(case.text) for case in cases]
    after = [
        reader.sentence((*case.text[: case.at], one, *case.text[case.at + 1 :]))
        for case, one in zip(cases, new, strict=True)
    ]
    return _compared(meter, chunk, cases, before, after)


def _filled(
    meter: Meter, chunk: Chunk, cases: Sequence[Case], new: Sequence[SubText], noisy: set[tuple[int, int]]
) -> _Both:
    """Algorithm 1, line 11: the text with all that was written beside the text without noise."""
    reader = meter.reader
    written = {(case.record, case.place): one for case, one in zip(cases, new, strict=True)}
    before, after = [], []
    for case in cases:
        told = [((case.record, place), one) for one, place in zip(case.text, case.places, strict=True)]
        kept = [one for at, one in told if at not in noisy]
        full = [written.get(at, one) for at, one in told if at not in noisy or at in written]
        before.append(reader.sentence(kept))
        after.append(reader.sentence(full))
    return _compared(meter, chunk, cases, before, after)


def _compared(
    meter: Meter,
    chunk: Chunk,
    cases: Sequence[Case],
    before: Sequence[tuple[int, ...]],
    after: Sequence[tuple[int, ...]],
) -> _Both:
    rows = [case.row for case in cases]
    itc = [meter.loss(chunk, cases, texts) for texts in (before, after)]
    itm = [meter.reader.match(texts, chunk.tokens, rows) for texts in (before, after)]
    return {"itc": (itc[0], itc[1]), "itm": (itm[0], itm[1])}


def _both_improve(both: _Both, margin: float) -> NDArray[np.bool_]:
    (itc_before, itc_after), (itm_before, itm_after) = both["itc"], both["itm"]
    return (itc_before - itc_after > margin) & (itm_after > itm_before)


def _rises(both: _Both, margin: float) -> NDArray[np.bool_]:
    before, after = both["itc_alone"]
    return after - before > margin


ACCEPTANCES: Mapping[str, Acceptance] = MappingProxyType(
    {
        "alone": Acceptance(
            "ITC's cosine of image and sub-text alone, over the temperature, rises by more than the margin",
            _alone,
            _rises,
        ),
        "text": Acceptance(
            "ITC's loss of the text falls by more than the margin and ITM's score rises (eq. 14 and 15)",
            _whole,
            _both_improve,
        ),
        "algorithm": Acceptance(
            "as text, of all that was rewritten together, beside the text without noise (algorithm 1, line 11)",
            _filled,
            _both_improve,
        ),
    }
)
"""By name, when a rewritten sub-text is accepted."""
