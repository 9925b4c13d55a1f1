"""One answer in the making: the runs that it takes, put into words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fusar_gpt.contract import Event, Finding, Finished, Found, Started, to_geojson
from fusar_gpt.engine import Engine
from fusar_gpt.errors import TaskError
from fusar_gpt.server.chat import telling
from fusar_gpt.server.chat.conversation import Intention
from fusar_gpt.server.chat.grounding import Ground
from fusar_gpt.server.chat.listening import Freedom, Listening
from fusar_gpt.server.chat.phrases import Phrases
from fusar_gpt.server.chat.prose import Prose
from fusar_gpt.tasks import Task


@dataclass(frozen=True)
class Progress:
    """How far one of the answer's runs is."""

    task: str
    done: int
    chips: int


Tell = Callable[[str | Progress], None]
"""Takes the next piece of the answer, or how far it is."""


class Narration:
    """Makes one answer.

    Attributes:
        prose: The answer so far.
        engine: Who is asked, with the number of tokens that it took.
    """

    def __init__(
        self,
        ground: Ground,
        engine: Engine,
        freedom: Freedom,
        phrases: Phrases,
        tell: Tell,
        cancelled: Callable[[], bool],
        *,
        self_check: bool = True,
    ) -> None:
        """An answer about a ground.

        Args:
            ground: What is asked about.
            engine: Who answers.
            freedom: How free text is made.
            phrases: The language.
            tell: Hears the answer as it is made; called in several threads, but never in two at a time.
            cancelled: Whether nobody listens any more.
            self_check: Compare counts with detections.
        """
        self.prose = Prose(phrases, tell)
        self.engine = Listening(engine, freedom, self._hear)
        self._ground, self._tell, self._cancelled, self._check = ground, tell, cancelled, self_check
        self._runs: list[Finished] = []
        self._compared: dict[str, Any] | None = None
        self._chip = Progress("", 0, 0)
        self._words_from: int | None = None
        self._blank = ""

    def make(self, intention: Intention) -> None:
        """Ask the model and tell the answer.

        Raises a FusarError where it cannot be answered, and Cancelled once nobody listens.
        """
        try:
            self._answer(intention)
        except TaskError as error:
            self.prose.write(str(error))  # a class that the model was not taught: the conversation goes on
        if self._runs:
            self.prose.write(f"\n\n{self.prose.phrases.provenance(self._runs[0].run)}")

    def grounds(self) -> dict[str, Any]:
        """What the answer rests on: run, findings with the spans of the text that mean them, the self-check."""
        features: list[dict[str, Any]] = []
        for finished in self._runs:
            features += to_geojson(finished.findings)["features"]
        for feature in features:
            feature["spans"] = self.prose.spans.get(feature["id"], [])
        return {
            "run": self._runs[0].run.record() if self._runs else None,
            "findings": {"type": "FeatureCollection", "features": features},
            "self_check": self._compared,
        }

    def _answer(self, intention: Intention) -> None:
        if intention.pick is not None:
            self._choose(intention)
        elif intention.task is Task.COUNT:
            self._count(intention.targets)
        elif intention.task is Task.DETECT:
            self._detect(intention.targets)
        elif intention.task is Task.LOCATE:
            finished = self._ask(Task.LOCATE, intention.targets, telling.cells)
            telling.all_cells(self.prose, finished, self._chip.chips)
        elif intention.task is not Task.CLASSIFY or not self._classify():
            self._in_words(intention)

    def _ask(
        self,
        task: Task,
        targets: Sequence[str],
        chip: Callable[[Prose, Sequence[Finding], str], None] | None = None,
    ) -> Finished:
        """One run; ``chip`` tells of each of several chips."""

        def told(found: Sequence[Finding]) -> None:
            if chip is not None:
                chip(self.prose, telling.of_chip(found), self._heading())

        return self._follow(self._ground.ask(task, targets, "", self.engine, self._cancelled), told)

    def _follow(
        self, events: Iterator[Event], told: Callable[[Sequence[Finding]], None] = lambda found: None
    ) -> Finished:
        """Go through one run, to its very end."""
        found: tuple[Finding, ...] = ()
        for event in events:
            if isinstance(event, Finished):
                self._runs.append(event)
            elif isinstance(event, Found):
                found += event.added
            elif isinstance(event, Started):
                self._tell_progress(Progress(event.run.task, 0, event.chips))
            else:
                told(found)
                found = ()
                self._tell_progress(Progress(self._chip.task, event.done, event.total))
        return self._runs[-1]

    def _tell_progress(self, chip: Progress) -> None:
        self._chip = chip
        self._tell(chip)

    def _heading(self) -> str:
        """Which of several chips the next words are about."""
        chip = self._chip
        return (
            self.prose.phrases(self._ground.unit, number=chip.done + 1, chips=chip.chips)
            if chip.chips > 1
            else ""
        )

    def _count(self, targets: Sequence[str]) -> None:
        counts = self._ask(Task.COUNT, targets, telling.chip_numbers)
        telling.count(self.prose, counts, self._chip.chips)
        if self._check:
            detections = self._ask(Task.DETECT, counts.run.targets)
            self._compare(counts, detections, detections)

    def _detect(self, targets: Sequence[str]) -> None:
        detections = self._ask(Task.DETECT, targets, telling.chip_numbers)
        telling.detections(self.prose, detections, self._chip.chips)
        if self._check:
            counts = self._ask(Task.COUNT, detections.run.targets)
            self._compare(counts, detections, counts)

    def _compare(self, counts: Finished, detections: Finished, check: Finished) -> None:
        """Say whether the count and the detections of the same area agree."""
        rows = telling.compare(self.prose, counts, detections)
        agree = all(row["agree"] for row in rows.values())
        self._compared = {"agree": agree, "targets": rows, "run": check.run.record()}

    def _choose(self, intention: Intention) -> None:
        """One of several detections: what it is, or where and how large."""
        finished = self._ask(Task.DETECT, intention.targets)
        number, finding = telling.choose(self.prose, finished, intention.pick or 1)
        if finding is None:
            return
        if intention.task is Task.CLASSIFY:
            events = self._ground.classify((finished.run, finding), self.engine, self._cancelled)
            if events is not None:
                telling.label(self.prose, self._follow(events).findings, (number, finding))
                return
        self.prose.line(number, finding)

    def _classify(self) -> bool:
        """What "this" is; False where "this" is too much for one object."""
        events = self._ground.classify(None, self.engine, self._cancelled)
        if events is not None:
            telling.label(self.prose, self._follow(events).findings)
        return events is not None

    def _in_words(self, intention: Intention) -> None:
        """The model's own words, as they are made."""
        task = Task.ASK if intention.task is Task.ASK else Task.DESCRIBE
        self.engine.in_words = True
        events = self._ground.ask(task, (), intention.text, self.engine, self._cancelled)
        self._follow(events, self._end_words)

    def _hear(self, piece: str) -> None:
        """Take the next piece of free text; white space waits, because it may be the last."""
        said = f"{self._blank}{piece}"
        words = (said.lstrip() if self._words_from is None else said).rstrip()
        self._blank = said[len(said.rstrip()) :]
        if words:
            self._begin_words()
            self.prose.write(words)

    def _begin_words(self) -> None:
        if self._words_from is None:
            self.prose.write(f"\n{self._heading()}" if self.prose.text else self._heading())
            self._words_from = len(self.prose.text)

    def _end_words(self, found: Sequence[Finding]) -> None:
        rows = telling.of_chip(found)
        if self._words_from is None:  # an engine that does not stream, or nothing was said
            self._begin_words()
            self.prose.write("".join(str(row.properties.get("text") or "") for row in rows))
        self.prose.mark(self._words_from or 0, rows)
        if not all(row.properties["complete"] for row in rows):
            self.prose.say("cut")
        self._words_from, self._blank = None, ""
