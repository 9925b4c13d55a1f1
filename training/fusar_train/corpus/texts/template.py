"""Sub-texts by templates, without a language model: true by construction from what a record knows.

RemoteCLIP's box to text, with the eight keys of FUSAR-KLIP 3.2.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fusar_gpt.output import whole_file
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.record import Record
from fusar_train.corpus.records import stored_records
from fusar_train.corpus.sidecars import TEXTS_FOLDER, text_line
from fusar_train.corpus.texts.brief import statements
from fusar_train.corpus.texts.brief_words import LANGUAGES
from fusar_train.corpus.texts.facts import Facts
from fusar_train.corpus.texts.sub_texts import KEY_SETS, SubTexts
from fusar_train.corpus.texts.target_texts import TARGETS
from fusar_train.corpus.texts.terrain_texts import TERRAIN
from fusar_train.corpus.texts.wording import Chooser

NAME, BRIEF = "template", "brief"
TABLES = {"targets": TARGETS, "terrain": TERRAIN}


def describe_record(record: Record, keys: str, rng: np.random.Generator) -> SubTexts:
    """What is known of a record, in sentences.

    Keys that cannot be known are missing. ``by["facts"]`` has the facts that each sub-text tells in one canonical form:
    equal facts mean that two sub-texts say the same, however they word it.

    Args:
        record: Its objects, provenance and prior tell.
        keys: The key set, "targets" or "terrain".
        rng: Chooses among the phrasings.

    Raises:
        CorpusError: The provenance makes no sense, or image or prior cannot be read.
        ValueError: An unknown key set.
    """
    return describe_facts(Facts.of(record), keys, rng)


def describe_facts(facts: Facts, keys: str, rng: np.random.Generator) -> SubTexts:
    """As ``describe_record``, of facts that are at hand."""
    if keys not in KEY_SETS:
        raise ValueError(f"the key set {keys!r} is none of {', '.join(KEY_SETS)}")
    choose = Chooser(rng)
    told = {key: TABLES[keys][key](facts, choose) for key in KEY_SETS[keys]}
    said = {key: text for key, (_, text) in told.items() if text}
    return SubTexts(
        keys=keys, said=said, by={"describer": NAME, "facts": {key: told[key][0] for key in said}}
    )


def describe_briefly(facts: Facts, keys: str, rng: np.random.Generator, language: str) -> SubTexts:
    """The same in a few words of a language of ``brief_words.LANGUAGES``, and coarser."""
    choose, told = Chooser(rng), statements(facts, keys)
    said = {key: LANGUAGES[language].told(those, choose) for key, those in told.items() if those}
    by = {"describer": BRIEF, "language": language}
    return SubTexts(
        keys=keys,
        said=said,
        by={**by, "facts": {key: ";".join(one.fact for one in told[key]) for key in said}},
    )


@dataclass
class TemplateDescriber:
    """Describes all records of a folder; the same seed gives each record the same texts, in any order.

    Attributes:
        seed: Chooses among the phrasings, with the record's id.
        key_sets: Those to fill; one of which nothing can be said of a record is left out.
        prior: Whether that is told, with words of doubt, which only the prior tells. An image does not bear it out.
        brief: The language of brief sub-texts; None for whole sentences, in English. Brief ones never tell the prior's.
        described: Records by key set.
        silent: Ids of records of which nothing can be said.
        errors: What could not be read.
    """

    seed: int = 0
    key_sets: tuple[str, ...] = tuple(KEY_SETS)
    prior: bool = True
    brief: str | None = None
    described: Counter[str] = field(default_factory=Counter)
    silent: list[str] = field(default_factory=list)
    errors: list[CorpusError] = field(default_factory=list)

    def describe(self, record: Record, size: tuple[int, int] | None = None) -> tuple[SubTexts, ...]:
        """The sub-texts of a record in each key set; ``size`` is its (width, height) if its image is not yet stored.

        Raises:
            CorpusError: The provenance makes no sense, or image or prior cannot be read.
        """
        facts = Facts.of(record, size, prior=self.prior and self.brief is None)
        texts = []
        for keys in self.key_sets:
            rng = np.random.default_rng((self.seed, zlib.crc32(f"{record.id}\n{keys}".encode())))
            one = (
                describe_briefly(facts, keys, rng, self.brief)
                if self.brief
                else describe_facts(facts, keys, rng)
            )
            if one.said:
                texts.append(SubTexts(keys=keys, said=one.said, by={**one.by, "seed": self.seed}))
        return tuple(texts)

    @property
    def name(self) -> str:
        """Of its file; brief texts in other languages than English have it in their name."""
        if self.brief is None:
            return NAME
        return BRIEF if self.brief == "en" else f"{BRIEF}-{self.brief}"

    def lines(self, folder: Path) -> Iterator[str]:
        """A line of each record and key set; records that cannot be read are kept in ``errors``."""
        for record in stored_records(folder):
            try:
                if isinstance(record, CorpusError):
                    raise record
                texts = self.describe(record)
            except CorpusError as error:
                self.errors.append(error)
                continue
            if not texts:
                self.silent.append(record.id)
            for one in texts:
                self.described[one.keys] += 1
                yield text_line(record.id, one)

    def write(self, folder: Path) -> Path:
        """Describes all records of a folder in ``texts/NAME.jsonl``, which appears whole, in place of an older one.

        Raises:
            CorpusError: There are no records.
            OutputError: It cannot be written.
        """
        if not folder.is_dir():
            raise CorpusError(f"{folder} is no folder of records: give the folder that holds them.")
        file = folder / TEXTS_FOLDER / f"{self.name}.jsonl"
        file.parent.mkdir(exist_ok=True)
        with whole_file(file) as temporary, temporary.open("w", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in self.lines(folder))
        return file
