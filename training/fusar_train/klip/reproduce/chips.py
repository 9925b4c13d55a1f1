"""The data of the experiment: simulated chips, brief texts that are true of them, and copies with planted noise."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.sidecars import TEXTS_FOLDER, read_texts
from fusar_train.corpus.texts.noise import write_noise
from fusar_train.corpus.texts.template import BRIEF, TemplateDescriber
from fusar_train.klip.data import SLOTS, plain
from fusar_train.klip.reproduce.experiment import Experiment, TrainingRun
from fusar_train.klip.settings import KlipError
from fusar_train.simulation.records import write_chips

Spot = tuple[str, int]
"""Where a sub-text stands: id of its record, slot."""


def make_chips(experiment: Experiment, split: str) -> None:
    """Writes the chips of a split with their brief texts, unless they are there.

    Raises:
        FusarError: They cannot be written.
    """
    folder = experiment.data(split)
    if not folder.exists():
        count = experiment.size.train if split == "train" else experiment.size.test
        write_chips(folder, split, 0, count)
    if not (folder / TEXTS_FOLDER / f"{BRIEF}.jsonl").is_file():
        TemplateDescriber(brief="en").write(folder)


def make_noise(experiment: Experiment, run: TrainingRun) -> None:
    """Writes the run's texts, unless they are there: the brief ones, a share of them wrong."""
    folder = experiment.data("train")
    if run.noise and not (folder / TEXTS_FOLDER / f"{run.texts}.jsonl").is_file():
        _truth_file(folder, run).unlink(missing_ok=True)  # of a stop between the two files
        write_noise(folder, BRIEF, run.noise, run.seed, name=run.texts)


def _truth_file(folder: Path, run: TrainingRun) -> Path:
    return folder / TEXTS_FOLDER / f"{run.texts}.truth.json"


@dataclass(frozen=True)
class Truth:
    """What is true of the chips.

    Attributes:
        facts: What each sub-text should tell.
        meanings: By slot and plain text, the facts that some chip's true sub-text of these words tells.
        planted: Where the run's texts are wrong.
    """

    facts: Mapping[Spot, str]
    meanings: Mapping[tuple[int, str], frozenset[str]]
    planted: frozenset[Spot]

    @classmethod
    def read(cls, folder: Path, run: TrainingRun | None = None) -> Truth:
        """The truth of the chips in ``folder``, and of the texts of a run about them.

        Raises:
            FusarError: The files of the experiment are broken.
        """
        facts: dict[Spot, str] = {}
        meanings: defaultdict[tuple[int, str], set[str]] = defaultdict(set)
        for (name, keys), texts in read_texts(folder / TEXTS_FOLDER / f"{BRIEF}.jsonl").items():
            for key, text in texts.said.items():
                slot = SLOTS.index((keys, key))
                facts[name, slot] = texts.by["facts"][key]
                meanings[slot, plain(text)].add(texts.by["facts"][key])
        planted = _planted(_truth_file(folder, run)) if run and run.noise else frozenset()
        return cls(facts, {at: frozenset(told) for at, told in meanings.items()}, planted)

    def told(self, slot: int, text: str) -> frozenset[str]:
        """What a text tells, as far as one of the corpus has the same words; nothing where none has."""
        return self.meanings.get((slot, plain(text)), frozenset())

    def is_true(self, spot: Spot, text: str) -> bool:
        """Whether a text tells what is true there. Words that no true text of the corpus has count as untrue."""
        return self.facts.get(spot) in self.told(spot[1], text)


def _planted(path: Path) -> frozenset[Spot]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return frozenset((one["id"], SLOTS.index((one["keys"], one["key"]))) for one in content["planted"])
    except (OSError, ValueError, KeyError, TypeError, CorpusError) as error:
        raise KlipError(f"{path} cannot be read ({error}): begin anew in another folder.") from error
