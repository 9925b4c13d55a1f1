"""What FUSAR-KLIP learns from: records and their sub-texts, each with the fact that it tells; what is wrong there."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.retrieval import KlipTokenizer
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.record import Record
from fusar_train.corpus.records import read_leniently
from fusar_train.corpus.sidecars import describers
from fusar_train.corpus.texts.sub_texts import KEY_SETS
from fusar_train.klip.settings import KlipError, KlipSettings

SLOTS = tuple((keys, key) for keys in KEY_SETS for key in KEY_SETS[keys])
"""What a sub-text may be about: key set and key. A sub-text's ``slot`` is its number here."""
UNKNOWN_FACT = -1
TOO_STRANGE, STRANGE = 0.25, 0.02
"""The share of unknown words from which texts are refused, and from which it is said."""
_NAMED = 3
_LOOKED_AT = 2000
_FEW = 0.5
"""It is said when fewer than this share of the records' texts differ."""
_SIGNS = ".,;:!?\"'()。、"
_HEADING = 4
"""Tokens that the key of a sub-text takes."""


@dataclass(frozen=True)
class SubText:
    """One sub-text of a record.

    Attributes:
        slot: What it is about, a number of ``SLOTS``.
        text: Its words.
        fact: Number of what it tells; equal numbers say the same, however they word it.
        version: 0, or the number of its text where a record has several of one key set, such as in two languages.
        tokens: Its token ids; empty before it is tokenised.
        learnt: Whether the decoder may be asked to write it. SCIO leaves noise out (FUSAR-KLIP 3.4).
    """

    slot: int
    text: str
    fact: int
    version: int = 0
    tokens: tuple[int, ...] = ()
    learnt: bool = True


@dataclass(frozen=True)
class KlipData:
    """Records with their sub-texts.

    Attributes:
        records: Those that have any.
        sub_texts: Of each record, by version and then in the order of ``SLOTS``. A sub-text's place is its number here.
        facts: The canonical form of each fact, by its number, with its slot.
        notes: What the user should know about them.
    """

    records: Sequence[Record]
    sub_texts: Sequence[tuple[SubText, ...]]
    facts: Mapping[tuple[int, str], int]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    def fact_rows(self, which: Iterable[int]) -> NDArray[np.int64]:
        """What is told of some records, int64 [N, slots]: the number of a fact, or ``UNKNOWN_FACT``."""
        return rows_of([self.sub_texts[number] for number in which])

    def words(self) -> Iterable[str]:
        """All texts."""
        return (one.text for several in self.sub_texts for one in several)

    def tokenised(self, tokenizer: KlipTokenizer) -> KlipData:
        """With the token ids of every sub-text."""
        known: dict[str, tuple[int, ...]] = {}

        def ids(text: str) -> tuple[int, ...]:
            if text not in known:
                known[text] = tuple(tokenizer.pieces(text))
            return known[text]

        told = [tuple(replace(one, tokens=ids(one.text)) for one in several) for several in self.sub_texts]
        return replace(self, sub_texts=told)

    def changed(
        self,
        tokenizer: KlipTokenizer,
        said: Mapping[tuple[int, int], str],
        unlearnt: Collection[tuple[int, int]] = (),
    ) -> KlipData:
        """With other words for some sub-texts, and some left out of what the decoder learns; all others are learned.

        Words that the data hold for the same key tell the fact that they tell there.

        Args:
            tokenizer: That of the run.
            said: New texts by (number of the record, place of the sub-text).
            unlearnt: (number of the record, place) of sub-texts that the decoder is not asked to write.
        """
        facts = dict(self.facts)
        known = (
            {(one.slot, one.text): one.fact for several in self.sub_texts for one in several} if said else {}
        )
        told = []
        for number, several in enumerate(self.sub_texts):
            now = []
            for place, one in enumerate(several):
                at = (number, place)
                if at in said:
                    fact = known.get((one.slot, said[at]), UNKNOWN_FACT)
                    if fact == UNKNOWN_FACT:
                        fact = facts.setdefault((one.slot, plain(said[at])), len(facts))
                    ids = tuple(tokenizer.pieces(said[at]))
                    one = replace(one, text=said[at], fact=fact, tokens=ids)
                now.append(replace(one, learnt=at not in unlearnt))
            told.append(tuple(now))
        return replace(self, sub_texts=told, facts=facts)

    def fingerprint(self) -> str:
        """SHA-256 over all records' names and texts, in order."""
        total = hashlib.sha256()
        for record, several in zip(self.records, self.sub_texts, strict=True):
            total.update(repr((record.id, [(one.slot, one.text) for one in several])).encode())
        return total.hexdigest()


def rows_of(texts: Sequence[Sequence[SubText]]) -> NDArray[np.int64]:
    """What some texts tell, int64 [N, slots]: the number of a fact, or ``UNKNOWN_FACT``."""
    rows = np.full((len(texts), len(SLOTS)), UNKNOWN_FACT, np.int64)
    for row, several in enumerate(texts):
        for one in several:
            rows[row, one.slot] = one.fact
    return rows


def key_sets(told: Sequence[SubText]) -> list[list[SubText]]:
    """The whole texts among a record's sub-texts: one for each key set and version."""
    texts: dict[tuple[int, str], list[SubText]] = {}
    for one in told:
        texts.setdefault((one.version, SLOTS[one.slot][0]), []).append(one)
    return list(texts.values())


def plain(text: str) -> str:
    """The text as its own fact where no describer says what it tells: equal words say the same.

    Case, blanks and the signs between words make no difference; those within a number do.
    """
    return (
        " ".join(bare for word in normalize("NFKC", text).casefold().split() if (bare := word.strip(_SIGNS)))
        or text.strip()
    )


def read_data(paths: Sequence[Path], texts: str | None, split: str | None) -> KlipData:
    """The records of some data sets that have sub-texts; those that cannot be read are told in the notes.

    Args:
        paths: Folders or files of records.
        texts: Name of the describer; None takes the only one.
        split: Of the records; None takes all.

    Raises:
        CorpusError: Nothing is there, or several have described the records and none is named.
        KlipError: No record has a sub-text, or all have the same.
    """
    _check_paths(paths)
    records, told, errors, mute = [], [], [], 0
    other: Counter[str] = Counter()
    facts: dict[tuple[int, str], int] = {}
    for record in (one for path in paths for one in read_leniently(path, texts)):
        if isinstance(record, CorpusError):
            errors.append(str(record))
        elif split in (None, record.split):
            try:
                record.size()
            except CorpusError as error:
                errors.append(str(error))
                continue
            mute += not record.texts
            if record.texts:
                records.append(record)
                told.append(_sub_texts(record, facts))
        else:
            other[record.split or "no split"] += 1
    where = ", ".join(map(str, paths))
    if not records:
        raise KlipError(f"{where}: {_nothing(paths, split, mute, other, errors)}")
    different = len({rows.tobytes() for rows in (rows_of([one]) for one in told)})
    if len(records) == 1:
        raise KlipError(
            f"{where}: only one record{_of(split)} has sub-texts: give more, to tell it apart from."
        )
    if different == 1:
        raise KlipError(
            f"{where}: all {len(records)} records{_of(split)} have the same text, {told[0][0].text[:60]!r}..., so "
            "nothing tells them apart: give texts that say what each image shows."
        )
    return KlipData(records, told, facts, tuple(_notes(records, told, errors, mute, different)))


def _check_paths(paths: Sequence[Path]) -> None:
    """KlipError where a data set is named twice: its images would be negatives of themselves."""
    for path, count in Counter(path.resolve() for path in paths).items():
        if count > 1:
            raise KlipError(f"--data {path} is given {count} times: give it once.")


def _of(split: str | None) -> str:
    return f" of the split {split}" if split else ""


def _nothing(
    paths: Sequence[Path], split: str | None, mute: int, other: Counter[str], errors: Sequence[str]
) -> str:
    """Why no record has sub-texts, and what to do."""
    bad = f"; {len(errors)} records cannot be read, the first: {errors[0]}" if errors else ""
    if not mute and other:
        found = ", ".join(f"{count} of {name}" for name, count in other.items())
        return (
            f"no record is of the split {split}, but {found}{bad}. Take another one (to train, --set split=NAME, or "
            "null for all; to evaluate, --split NAME), or divide them with fusar-train data split."
        )
    if names := sorted(
        {name for path in paths for name in describers(path if path.is_dir() else path.parent)}
    ):
        return (
            f"none of {mute} records{_of(split)} has sub-texts{bad}: those of {', '.join(names)} beside them are of "
            "records with other ids. Describe these with fusar-train corpus describe."
        )
    return (
        f"none of {mute} records{_of(split)} has sub-texts{bad}. Describe them with fusar-train corpus describe, or "
        "take another split (to train, --set split=NAME; to evaluate, --split NAME)."
    )


def _sub_texts(record: Record, facts: dict[tuple[int, str], int]) -> tuple[SubText, ...]:
    found: dict[tuple[int, int], SubText] = {}
    versions: Counter[str] = Counter()
    for one in record.texts:
        known = one.by.get("facts") or {}
        version = versions[one.keys]
        versions[one.keys] += 1
        for key, text in one.said.items():
            slot = SLOTS.index((one.keys, key))
            fact = (slot, str(known.get(key) or plain(text)))
            found[version, slot] = SubText(slot, text, facts.setdefault(fact, len(facts)), version)
    return tuple(found[place] for place in sorted(found))


def _notes(
    records: Sequence[Record],
    told: Sequence[Sequence[SubText]],
    errors: Sequence[str],
    mute: int,
    different: int,
) -> Iterable[str]:
    if errors:
        yield f"{len(errors)} records cannot be read and are left out: {'; '.join(errors[:_NAMED])}"
    if mute:
        yield f"{mute} records have no sub-texts and are left out"
    if again := [name for name, count in Counter(record.id for record in records).items() if count > 1]:
        yield (
            f"{len(again)} ids are of several records, such as {again[0]}: if these are the same images, give them once"
        )
    if different < len(records) * _FEW:
        yield (
            f"{len(records)} records have only {different} different texts: no text can find one image among those "
            "that share it"
        )
    sets = [one for several in told for one in key_sets(several)]
    if fewer := sum(len(one) < len(KEY_SETS[SLOTS[one[0].slot][0]]) for one in sets):
        yield f"{fewer} of {len(sets)} texts have fewer than eight sub-texts: what is missing is not learned from them"


def readable(data: KlipData, tokenizer: KlipTokenizer, longest: int, remedy: str) -> KlipData:
    """The data as a tokenizer reads it, without sub-texts that are too long for the decoder.

    Args:
        data: The data.
        tokenizer: Of the model.
        longest: Most tokens of a text.
        remedy: What to do where the tokenizer does not know the language.

    Raises:
        KlipError: The texts are in another language than the tokenizer knows, or all too long.
    """
    notes = [*data.notes]
    different = list(dict.fromkeys(data.words()))
    strange = tokenizer.unknown_share(different[:: max(len(different) // _LOOKED_AT, 1)])
    if strange > STRANGE:
        said = f"{strange:.0%} of the words of the texts are unknown to the tokenizer"
        if strange > TOO_STRANGE:
            raise KlipError(f"{said}, such as in {_strangest(tokenizer, different)[:60]!r}: {remedy}")
        notes.append(said)
    data = data.tokenised(tokenizer)
    room = most_tokens(longest)
    long = [(i, one) for i, several in enumerate(data.sub_texts) for one in several if len(one.tokens) > room]
    if long:
        number, first = long[0]
        which = f"{data.records[number].id}, {SLOTS[first.slot][1]}, has {len(first.tokens)}"
        said = f"{len(long)} sub-texts are longer than the decoder writes, {room} tokens ({which})"
        kept = [tuple(one for one in several if len(one.tokens) <= room) for several in data.sub_texts]
        full = [number for number, several in enumerate(kept) if several]
        if not full:
            raise KlipError(f"{said}, and no others are left: shorten them, or raise --set longest=...")
        notes.append(f"{said}: they are left out; shorten them, or raise --set longest=...")
        data = replace(data, records=[data.records[n] for n in full], sub_texts=[kept[n] for n in full])
    return replace(data, notes=tuple(notes))


def fitted(data: KlipData, tokenizer: KlipTokenizer, settings: KlipSettings) -> KlipData:
    """The data as a run reads it: as ``readable``, and enough for its batches.

    Raises:
        KlipError: The texts are in another language than the tokenizer knows, all too long, or fewer than a batch or
            the queue wants.
    """
    remedy = (
        f"raise --set tokenizer={settings.tokenizer}, the most words that it may have."
        if isinstance(settings.tokenizer, int)
        else "give the tokenizer and text tower of their language (--set text=... --set tokenizer=...), or train both "
        "on them: a number as tokenizer, sizes as text (see tiny.yaml)."
    )
    data = readable(data, tokenizer, settings.longest, remedy)
    notes = [*data.notes]
    sets = [
        [one for one in several if SLOTS[one.slot][0] == keys]
        for several in data.sub_texts
        for keys in KEY_SETS
    ]
    if crowded := sum(length_of(told) > settings.longest for told in sets if told):
        notes.append(
            f"{crowded} texts are longer than the {settings.longest} tokens that are read: as many of their sub-texts "
            "as fit are drawn each time"
        )
    check_count(data, settings)
    return replace(data, notes=tuple(notes))


def check_count(data: KlipData, settings: KlipSettings) -> None:
    """KlipError unless there are as many records as a batch and the queue want."""
    for name, value in (("batch", settings.batch), ("queue", settings.queue)):
        if value > len(data):
            raise KlipError(
                f"{name} {value} is larger than the {len(data)} records with sub-texts: an image would meet itself "
                f"among the others. Give more data, or --set {name}={len(data) if name == 'batch' else 0}."
            )


def _strangest(tokenizer: KlipTokenizer, texts: Sequence[str]) -> str:
    """Of some texts the one with the largest share of unknown words, the first of them."""
    return max(texts[:_LOOKED_AT], key=lambda text: tokenizer.unknown_share([text]))


def length_of(told: Sequence[SubText]) -> int:
    """The most tokens that the decoder needs for some sub-texts: all are visible, and the longest is written again."""
    visible = sum(len(one.tokens) + _HEADING for one in told) + 2
    return visible + 2 * _HEADING + max(len(one.tokens) for one in told)


def most_tokens(longest: int) -> int:
    """Most tokens of a sub-text: it must fit beside a text that is as long, and be written after it."""
    return longest // 3
