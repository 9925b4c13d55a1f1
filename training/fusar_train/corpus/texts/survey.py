"""What there is to describe in a folder of records, and what it will cost, before anything is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.record import Record
from fusar_train.corpus.records import read_leniently
from fusar_train.corpus.sidecars import WITHOUT_TEXTS
from fusar_train.corpus.texts.cost import Measured, Tokens, request_tokens
from fusar_train.corpus.texts.picture import sent_size
from fusar_train.corpus.texts.prompts import Larger, SliceFacts, Templates, facts_of
from fusar_train.corpus.texts.sub_texts import KEY_SETS, SubTexts

INDEX_FILE = "index.parquet"

_WITH_EACH_KEY = 3  # tokens: the key, a colon, the end of the line


@dataclass(frozen=True)
class Chosen:
    """Which records are described, and in what.

    Attributes:
        keys: Names of the key sets.
        split: Only records of that split; None for all.
        limit: At most so many records in this run.
    """

    keys: Sequence[str] = tuple(KEY_SETS)
    split: str | None = None
    limit: int | None = None

    def records(self, folder: Path) -> Iterator[Record | CorpusError]:
        """The records of that split in the folder's order; a bad one comes as its error."""
        for record in read_leniently(folder, WITHOUT_TEXTS):
            if isinstance(record, CorpusError) or self.split in (None, record.split):
                yield record


@dataclass
class Survey:
    """What is to be described.

    Attributes:
        undone: Record id and key set of what nobody has said yet.
        parents: The id of the slice that holds another, as far as known, also where it was dropped.
        records: Records with something to be said.
        described: Records of which all was said before.
        bad: What is wrong with records that cannot be read.
        variants: How many requests there are of each (facts, key set, whether a larger slice comes with it).
    """

    undone: set[tuple[str, str]] = field(default_factory=set)
    parents: dict[str, str] = field(default_factory=dict)
    records: int = 0
    described: int = 0
    bad: list[str] = field(default_factory=list)
    variants: Counter[tuple[SliceFacts, str, bool]] = field(default_factory=Counter)

    def tokens(self, templates: Templates, rule: str, measured: Measured) -> Tokens:
        """The tokens of all requests; CorpusError when a template makes no sense."""
        sent = sum(
            number * request_tokens(_worded(templates, *variant, measured.answer()), _size(variant[0]), rule)
            for variant, number in self.variants.items()
        )
        return Tokens(measured.scaled(sent), len(self.undone) * measured.answer())


def survey(folder: Path, chosen: Chosen, known: Collection[tuple[str, str]], max_px: int) -> Survey:
    """Goes through the records; only the heads of image files are read.

    Args:
        folder: Of the records.
        chosen: Which of them.
        known: Record id and key set of what was said before.
        max_px: Longest side of a picture that is sent.

    Raises:
        CorpusError: There is no record at all.
    """
    found = Survey(parents=dropped_parents(folder))
    sizes: dict[tuple[str, str], tuple[int, int]] = {}
    for record in chosen.records(folder):
        if isinstance(record, CorpusError):
            found.bad.append(str(record))
            continue
        if parent := record.provenance.get("parent"):
            found.parents[record.id] = str(parent)
        undone = [keys for keys in chosen.keys if (record.id, keys) not in known]
        if not undone:
            found.described += 1
            continue
        if chosen.limit is not None and found.records >= chosen.limit:
            break
        found.records += 1
        found.undone.update((record.id, keys) for keys in undone)
        facts = _facts(record, sizes, max_px)
        found.variants.update((facts, keys, bool(parent)) for keys in undone if facts)
    if not (found.records or found.described or found.bad):
        which = f" of the split {chosen.split!r}" if chosen.split else ""
        raise CorpusError(f"{folder} holds no record{which}: there is nothing to describe.")
    return found


def dropped_parents(folder: Path) -> dict[str, str]:
    """The parents of a corpus's slices, also of those that were dropped, as its index tells; else none."""
    index = folder / INDEX_FILE
    if not index.is_file():
        return {}
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(index, columns=["id", "parent"])
    except (ArrowException, OSError, KeyError, ValueError) as error:
        raise CorpusError(f"{index} cannot be read ({error}): build the corpus again.") from error
    pairs = zip(table["id"].to_pylist(), table["parent"].to_pylist(), strict=True)
    return {one: parent for one, parent in pairs if parent}


def _facts(record: Record, sizes: dict[tuple[str, str], tuple[int, int]], max_px: int) -> SliceFacts | None:
    """Facts that stand for those of many records: with their places they would all differ."""
    kind = (record.scene, str(record.provenance.get("scale") or record.id))
    try:
        size = sizes[kind] = sizes.get(kind) or record.size()  # slices of one scene and scale have one size
    except CorpusError:
        return None  # told when its turn comes
    facts = facts_of(record, sent_size(size, max_px), size)
    return SliceFacts(
        width=facts.width,
        height=facts.height,
        pixel_m=facts.pixel_m and round(facts.pixel_m, 3),
        scale=facts.scale,
        footprint=((12.34567, 12.34567),) if facts.footprint else (),
    )


def _worded(templates: Templates, facts: SliceFacts, keys: str, larger: bool, answer: int) -> str:
    """A prompt whose larger slice is described by texts of about so many tokens in all."""
    words = " ".join(["word"] * max(answer // len(KEY_SETS[keys]) - _WITH_EACH_KEY, 1))
    said = SubTexts(keys=keys, said=dict.fromkeys(KEY_SETS[keys], words))
    return templates.prompt(facts, keys, Larger("", "large", said) if larger else None)


def _size(facts: SliceFacts) -> tuple[int, int]:
    return facts.width, facts.height
