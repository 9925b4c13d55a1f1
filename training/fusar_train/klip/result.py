"""The checkpoint that a run leaves: the model, its tokenizer, and a card that says what it learned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model.folder import staged
from fusar_gpt.retrieval import KlipCard, KlipModel, KlipTokenizer, save_klip
from fusar_train.corpus.record import Record
from fusar_train.klip.data import SLOTS, KlipData
from fusar_train.klip.settings import KlipError, KlipRun
from fusar_train.stages.run_log import read_log

_PACKAGES = ("fusar-gpt", "torch", "transformers", "tokenizers")
_MOST_FACTS, _MOST_WORDS = 40, 1000


def check_free(out: Path) -> None:
    """KlipError unless the result can go to ``out``: before a long run, not after it."""
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise KlipError(f"{out} exists already: give a new folder.")


def write_result(
    run: KlipRun,
    model: KlipModel,
    tokenizer: KlipTokenizer,
    data: KlipData,
    steps: int,
    more: Mapping[str, Any] | None = None,
) -> KlipCard:
    """Writes the whole checkpoint, or nothing; ``more`` goes to the card's account of the training.

    Raises:
        KlipError: The folder cannot be written; the run can be resumed and then only writes.
    """
    card = card_of(run, data, tokenizer, steps, read_log(run.work))
    card.training.update(more or {})
    try:
        with staged(run.out) as stage:
            return save_klip(stage, model, tokenizer, card, dtype=getattr(torch, run.settings.weights_type))
    except CheckpointError as error:
        raise KlipError(f"{error}; nothing trained is lost: go on with --resume.") from error


def card_of(
    run: KlipRun, data: KlipData, tokenizer: KlipTokenizer, steps: int, log: Sequence[Mapping[str, float]]
) -> KlipCard:
    """The card of a run's model."""
    settings, records = run.settings, data.records
    sizes = [size for record in records if (size := record.provenance.get("pixel_m"))]
    sets = sorted({SLOTS[one.slot][0] for several in data.sub_texts for one in several})
    return KlipCard(
        name=run.out.name,
        title="FUSAR-KLIP" + (" (demonstration only)" if settings.demonstration else ""),
        licence="; ".join(_stated(records, "licence")),
        trained_on=f"{len(records)} images of {', '.join(_stated(records, 'dataset'))}",
        demonstration=settings.demonstration,
        key_sets=sets,
        with_keys=settings.with_keys,
        pixel_m=[min(sizes), max(sizes)] if sizes else None,
        sensors=sorted({str(name) for record in records if (name := record.provenance.get("sensor"))}),
        facts=_facts(data),
        words=words_of(data, tokenizer),
        training={
            "data": [str(path) for path in run.data],
            "texts": run.texts,
            "base": run.base,
            "data_sha256": data.fingerprint(),
            "records": len(records),
            "simulated": sum(bool(record.provenance.get("simulated")) for record in records),
            "notes": list(data.notes),
            "settings": settings.record(),
            "steps": steps,
            "last": dict(log[-1]) if log else None,
            "versions": {name: version(name) for name in _PACKAGES},
        },
    )


def words_of(data: KlipData, tokenizer: KlipTokenizer) -> list[str]:
    """The most frequent words of the texts."""
    counts: Counter[str] = Counter()
    for text, times in Counter(data.words()).items():
        for word in tokenizer.words(text):
            counts[word] += times
    return [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_WORDS]]


def _facts(data: KlipData) -> dict[str, dict[str, int]]:
    """The most frequent facts of each key, with how many images they are told of."""
    counts: dict[int, Counter[int]] = {}
    for several in data.sub_texts:
        for one in several:
            counts.setdefault(one.slot, Counter())[one.fact] += 1
    names = {number: name for (_, name), number in data.facts.items()}
    return {
        " ".join(SLOTS[slot]): {names[fact]: count for fact, count in counts[slot].most_common(_MOST_FACTS)}
        for slot in sorted(counts)
    }


def _stated(records: Sequence[Record], key: str) -> list[str]:
    """The different values of an entry of the records' provenance."""
    return sorted({str(record.provenance.get(key, f"unknown {key}")) for record in records})
