"""The texts that SCIO leaves, as a describer's file that can be copied beside a corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from fusar_gpt.output import whole_file
from fusar_train.corpus.record import Record
from fusar_train.corpus.sidecars import TEXTS_FOLDER, text_line
from fusar_train.corpus.texts.sub_texts import SubTexts
from fusar_train.klip.data import SLOTS, KlipData
from fusar_train.klip.scio.decisions import FOLDER

SUFFIX = "-scio"


def write_cleaned(
    work: Path,
    texts: str | None,
    before: KlipData,
    after: KlipData,
    dropped: set[tuple[int, int]],
    by: Mapping[str, Any],
) -> list[Path]:
    """Writes NAME-scio.jsonl for each describer into the run's folder, whole or not at all; returns the files.

    Args:
        work: The run's folder.
        texts: The describers, as ``KlipRun.texts`` names them.
        before: The data as they were read.
        after: The same with the words that SCIO has accepted.
        dropped: Record and place of sub-texts that are noise and were not rewritten: they are left out.
        by: What is said of SCIO beside each text.

    Raises:
        OutputError: They cannot be written.
    """
    folder = work / FOLDER / TEXTS_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    names = texts.split(",") if texts else [_only(before)]
    count = 1 + max((one.version for several in before.sub_texts for one in several), default=0)
    if len(names) != count:  # a describer with several texts of one key set, or one that some data lack
        names = [names[0], *(f"{names[0]}-{number}" for number in range(2, count + 1))]
    files = [folder / f"{name}{SUFFIX}.jsonl" for name in names]
    with ExitStack() as stack:
        streams: list[TextIO] = []
        for file in files:
            temporary = stack.enter_context(whole_file(file))
            streams.append(stack.enter_context(temporary.open("w", encoding="utf-8")))
        for record, version, one in _cleaned(before, after, dropped, by):
            streams[version].write(text_line(record.id, one) + "\n")
    return files


def _only(data: KlipData) -> str:
    """The name of the describer of texts that nobody was named for."""
    for record in data.records:
        for one in record.texts:
            return str(one.by.get("describer") or "texts")
    return "texts"


def _cleaned(
    before: KlipData, after: KlipData, dropped: set[tuple[int, int]], by: Mapping[str, Any]
) -> Iterator[tuple[Record, int, SubTexts]]:
    facts = {(slot, number): name for (slot, name), number in after.facts.items()}
    for number, record in enumerate(before.records):
        changes: dict[tuple[int, int], tuple[str, str] | None] = {}
        for place, (old, new) in enumerate(
            zip(before.sub_texts[number], after.sub_texts[number], strict=True)
        ):
            if (number, place) in dropped:
                changes[old.version, old.slot] = None
            elif old.text != new.text:
                changes[old.version, old.slot] = new.text, facts[new.slot, new.fact]
        versions: Counter[str] = Counter()
        for one in record.texts:
            version = versions[one.keys]
            versions[one.keys] += 1
            slots = {key: SLOTS.index((one.keys, key)) for key in one.said}
            mine = {key: changes[version, slot] for key, slot in slots.items() if (version, slot) in changes}
            changed = _changed(one, mine, by)
            if changed.said:
                yield record, version, changed


def _changed(one: SubTexts, changes: Mapping[str, tuple[str, str] | None], by: Mapping[str, Any]) -> SubTexts:
    said, facts = dict(one.said), dict(one.by.get("facts") or {})
    for key, change in changes.items():
        if change is None:
            del said[key]
            facts.pop(key, None)
        else:
            said[key] = change[0]
            if facts:
                facts[key] = change[1]
    told = {**one.by, "facts": facts} if "facts" in one.by else one.by
    return replace(one, said=said, by={**told, **by})
