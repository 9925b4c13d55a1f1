"""What an arm's model can do with chips that it has never seen, beside clean texts: retrieval, and what it writes."""

from __future__ import annotations

from dataclasses import replace

from fusar_gpt.retrieval import Klip
from fusar_gpt.retrieval.decoding import Blank
from fusar_train.corpus.texts.template import BRIEF
from fusar_train.klip.batches import blank_key
from fusar_train.klip.benchmarks import retrieval
from fusar_train.klip.benchmarks.options import BenchmarkOptions, grey_images
from fusar_train.klip.data import SLOTS
from fusar_train.klip.reproduce.chips import Truth
from fusar_train.klip.reproduce.experiment import Experiment
from fusar_train.klip.reproduce.screening import Shares

RETRIEVAL, BY_FACTS, WRITTEN = "retrieval", "by facts", "written"
TARGET_COUNT, TARGET_REC, TARGET_POS = "Target Count", "Target Rec", "Target Pos"
MAIN_LAND, ALL_LAND, REG_LAND = "Main Land", "ALL Land", "Reg Land"
ASKED = {
    TARGET_COUNT: ("targets", "Count"),
    TARGET_REC: ("targets", "Category"),
    TARGET_POS: ("targets", "Location"),
    MAIN_LAND: ("terrain", "Terrain"),
    ALL_LAND: ("terrain", "Terrain"),
    REG_LAND: ("terrain", "Location"),
}
"""The paper's six questions (Table 8), and the sub-text that answers each here."""
_FIRST_ONLY = MAIN_LAND


def figures_of(experiment: Experiment, klip: Klip) -> dict[str, Shares]:
    """All figures of a model by kind: retrieval of whole texts, plain and by facts, and the truth of what it writes.

    Raises:
        FusarError: A chip cannot be read, or a vector is not finite.
    """
    options = BenchmarkOptions(klip=klip, name="", data=(experiment.data("test"),), texts=BRIEF)
    found: dict[str, Shares] = {}
    for name, section in zip((RETRIEVAL, BY_FACTS), retrieval.sections(options), strict=True):
        both = section.rows[0]  # the texts of both key sets together; the rows below are of each
        found[name] = {column: figure.value for column, figure in both.figures.items()}
    return {**found, WRITTEN: written_figures(experiment, options)}


def written_figures(experiment: Experiment, options: BenchmarkOptions) -> Shares:
    """The share of chips of which the decoder writes what is true, by the paper's names of the questions.

    It sees the image and nothing of a text. A chip of which nothing is to be said about a key is not asked about it.
    """
    klip, data = options.klip, options.described.data
    truth = replace(Truth.read(experiment.data("train")), facts=Truth.read(experiment.data("test")).facts)
    records = data.records[: experiment.size.written]
    images = grey_images(records, klip.image_px)
    found: Shares = {}
    said: dict[int, list[str]] = {}
    for name, asked in ASKED.items():
        slot = SLOTS.index(asked)
        rows = [row for row, record in enumerate(records) if (record.id, slot) in truth.facts]
        if not rows:
            continue
        if slot not in said:
            said[slot] = klip.write(images[rows], [Blank(blank_key(slot))] * len(rows))
        facts = [truth.facts[records[row].id, slot] for row in rows]
        told = [truth.told(slot, text) for text in said[slot]]
        if name == _FIRST_ONLY:
            facts = [_first(fact) for fact in facts]
            told = [frozenset(map(_first, several)) for several in told]
        found[name] = sum(fact in several for fact, several in zip(facts, told, strict=True)) / len(rows)
    return found


def _first(fact: str) -> str:
    """The main one of several land covers."""
    return fact.partition("+")[0]
