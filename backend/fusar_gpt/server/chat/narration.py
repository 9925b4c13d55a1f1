"""An answer while it is made: the runs it needs, rendered as text that streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fusar_gpt.contract import SEARCH, Event, Finding, Finished, Found, Polygon, Run, Started, to_geojson
from fusar_gpt.engine import Engine, ReplayEngine, Reply
from fusar_gpt.errors import TaskError
from fusar_gpt.planning import abilities_of
from fusar_gpt.server.chat import answer_text
from fusar_gpt.server.chat.answer_text import CitedText
from fusar_gpt.server.chat.grounding import ChatTarget, SamplingParams, StreamTap
from fusar_gpt.server.chat.phrases import Templates
from fusar_gpt.server.chat.place_questions import PlaceQuestion, place_question
from fusar_gpt.tasks import SEARCHES, Task
from fusar_gpt.tasks.abilities import understood
from fusar_gpt.tasks.questions import Intent
from fusar_gpt.tasks.vocabulary import Vocabulary


@dataclass(frozen=True)
class Progress:
    """How many chips of one of the answer's runs are done."""

    task: str
    done: int
    chips: int


Report = Callable[[str | Progress], None]
"""Receives the next piece of the answer, or its progress."""


class StreamRenderer:
    """Makes one answer.

    Attributes:
        text: The answer so far.
        engine: The engine, which counts the tokens of this answer.
    """

    def __init__(
        self,
        target: ChatTarget,
        engine: Engine,
        sampling: SamplingParams,
        templates: Templates,
        report: Report,
        cancelled: Callable[[], bool],
        *,
        self_check: bool = True,
    ) -> None:
        """An empty answer.

        Args:
            target: What is asked about.
            engine: The engine that all answers share.
            sampling: How free text is generated.
            templates: The sentences of the answer's language.
            report: Receives the answer while it is made; called from several threads, one at a time.
            cancelled: Whether the client has left.
            self_check: Whether counts are compared with detections.
        """
        self.text = CitedText(templates, report)
        known: dict[bytes, Reply] = {}  # a self-check may ask the same again
        replaying = ReplayEngine(engine, known.get, known.__setitem__)
        self.engine = StreamTap(replaying, sampling, self._stream_words)
        self._abilities = abilities_of(engine.card)
        self._picked = False
        self._target, self._report, self._cancelled, self._check = target, report, cancelled, self_check
        self._runs: list[Finished] = []
        self._compared: dict[str, Any] | None = None
        self._chip = Progress("", 0, 0)
        self._seen: dict[Polygon, str] = {}  # each chip that was looked at, and its CRS
        self._words_from: int | None = None
        self._blank = ""

    def make(self, questions: Sequence[str], history: str) -> None:
        """Run the model and write the answer.

        Raises a FusarError if it cannot be answered, and Cancelled once the client has left.

        Args:
            questions: What the analyst said, oldest first, at least one.
            history: The whole conversation, for a question that is put to the model in words.
        """
        try:
            if (places := self._places(questions[-1:])) is not None:
                self._search(places.words)
            else:
                intent = self._abilities.intent(questions)
                if intent.pick is not None and self._places(questions[-2:-1]) is not None:
                    self.text.fill("pick a place")  # never an object in the place of a place
                    return
                if intent.task is Task.ASK and Task.ASK in self._abilities.tasks:
                    intent = replace(intent, text=history)
                self._answer(intent)
        except TaskError as error:
            said = str(error)  # what the model was not taught: the conversation goes on
            self.text.write(said[:1].upper() + said[1:])
        if self._runs:
            run = self._runs[0].run
            lines = [self.text.templates.provenance(run), *run.warnings]
            if (what := self._understood_as(run)) is not None:
                lines.insert(0, self.text.templates("understood", what=what))
            self.text.write("\n\n" + "\n".join(lines))

    @property
    def _taken_for(self) -> tuple[Task, tuple[str, ...]] | None:
        """The task that the question was taken for, with its targets; None where it was a search or put in words."""
        if not self._runs or self._runs[0].run.task == SEARCH:
            return None
        run = self._runs[-1 if self._picked else 0].run
        task = Task(run.task)
        return (task, run.targets if task in SEARCHES else ()) if task is not Task.ASK else None

    def _understood_as(self, run: Run) -> str | None:
        """What the question was taken for, in the answer's language; None where it was put to the model in words."""
        if run.task == SEARCH:
            return self.text.templates("search", like=answer_text.likeness(self.text.templates, run))
        taken = self._taken_for
        return understood(*taken, self.text.templates.chinese) if taken else None

    @property
    def _understood(self) -> str | None:
        """The same for programs, such as ``count ship``."""
        if self._runs and (run := self._runs[0].run).task == SEARCH:
            return f"{SEARCH} {'; '.join(run.prompts) or 'like this'}"
        taken = self._taken_for
        return " ".join(filter(None, (taken[0].value, ", ".join(taken[1])))) if taken else None

    def evidence(self) -> dict[str, Any]:
        """What the answer rests on: the run, the findings with the spans of text that mean them, the self-check.

        ``chips`` are the places that the model saw, in the order in which it looked; one that several runs saw is
        there once. ``understood`` is the task that the question was taken for, such as ``count ship``.
        """
        features: list[dict[str, Any]] = []
        for finished in self._runs:
            features += to_geojson(finished.findings)["features"]
        for feature in features:
            feature["spans"] = self.text.spans.get(feature["id"], [])
        taken = self._taken_for
        for row in (feature["properties"] for feature in features if taken):
            if row["layer"] == "answers" and row.get("task"):
                row["understood"] = " ".join(filter(None, (row["task"], row.get("target"))))
        return {
            "run": self._runs[0].run.record() if self._runs else None,
            "findings": {"type": "FeatureCollection", "features": features},
            "self_check": self._compared,
            "chips": [{"footprint": chip.__geo_interface__, "crs": crs} for chip, crs in self._seen.items()],
            "understood": self._understood,
        }

    def _places(self, questions: Sequence[str]) -> PlaceQuestion | None:
        """The search that the question is, if there is one, and a scene to search."""
        if not questions or self._target.unit != "chip":
            return None
        return place_question(questions[0], Vocabulary(self._abilities.targets))

    def _search(self, words: str | None) -> None:
        """The places that are most like words; without any, like what the conversation is about."""
        events = self._target.search(words, self._cancelled)
        if events is None:
            self.text.fill("no example")
        else:
            answer_text.write_places(self.text, self._follow(events))

    def _answer(self, intent: Intent) -> None:
        self._picked = intent.pick is not None
        if self._picked:
            self._pick(intent)
        elif intent.task in (Task.COUNT, Task.DETECT):
            self._count_or_detect(intent.task, intent.targets)
        elif intent.task is Task.LOCATE:
            finished = self._ask(Task.LOCATE, intent.targets, answer_text.write_cells)
            answer_text.write_all_cells(self.text, finished, self._chip.chips)
        elif intent.task is not Task.CLASSIFY or not self._classify():
            self._in_words(intent)

    def _ask(
        self,
        task: Task,
        targets: Sequence[str],
        write_chip: Callable[[CitedText, Sequence[Finding], str], None] | None = None,
    ) -> Finished:
        """One run; ``write_chip`` writes about each of several chips."""

        def chip_done(found: Sequence[Finding]) -> None:
            if write_chip is not None:
                write_chip(self.text, answer_text.of_chips(found), self._heading())

        return self._follow(self._target.ask(task, targets, "", self.engine, self._cancelled), chip_done)

    def _follow(
        self, events: Iterator[Event], chip_done: Callable[[Sequence[Finding]], None] = lambda found: None
    ) -> Finished:
        """Consume the events of one run to the end; ``chip_done`` receives the findings of each chip."""
        found: tuple[Finding, ...] = ()
        crs = ""
        for event in events:
            if isinstance(event, Finished):
                self._runs.append(event)
            elif isinstance(event, Found):
                found += event.added
            elif isinstance(event, Started):
                crs = event.run.scene_crs
                self._report_progress(Progress(event.run.task, 0, event.chips))
            else:
                chip_done(found)
                found = ()
                if event.chip is not None:
                    self._seen.setdefault(event.chip, crs)
                self._report_progress(Progress(self._chip.task, event.done, event.total))
        return self._runs[-1]

    def _report_progress(self, chip: Progress) -> None:
        self._chip = chip
        self._report(chip)

    def _heading(self) -> str:
        """Names the chip that the next words are about, if there are several."""
        chip = self._chip
        if chip.chips <= 1:
            return ""
        return self.text.templates(self._target.unit, number=chip.done + 1, chips=chip.chips)

    def _count_or_detect(self, task: Task, targets: Sequence[str]) -> None:
        """Count or detect, and check the one against the other in the same area."""
        asked = self._ask(task, targets, answer_text.write_chip_numbers)
        write = answer_text.write_count if task is Task.COUNT else answer_text.write_detections
        write(self.text, asked, self._chip.chips)
        other = Task.DETECT if task is Task.COUNT else Task.COUNT
        if not self._check or other not in self._abilities.tasks:
            return
        check = asked if answer_text.merged_rows(asked) else self._check_run(other, asked.run.targets)
        counts, detections = (asked, check) if task is Task.COUNT else (check, asked)
        if answer_text.merged_rows(counts):
            rows = answer_text.write_chip_comparison(self.text, counts)
        else:
            rows = answer_text.write_comparison(self.text, counts, detections)
        agree = all(row["agree"] for row in rows.values())
        run = check.run.record() if check is not asked else None
        self._compared = {"agree": agree, "targets": rows, "run": run}

    def _check_run(self, task: Task, targets: Sequence[str]) -> Finished:
        """The run that a count or detections are checked against; what both detect is kept once."""
        check = self._ask(task, targets)
        if task is Task.COUNT:
            rows = tuple(finding for finding in check.findings if finding.layer != "detections")
            self._runs[-1] = replace(check, findings=rows)
        return check

    def _pick(self, intent: Intent) -> None:
        """Answer about one of several detections: what it is, or where it is and how large."""
        finished = self._ask(Task.DETECT, intent.targets)
        number, finding = answer_text.choose_detection(self.text, finished, intent.pick or 1)
        if finding is None:
            return
        if intent.task is Task.CLASSIFY:
            events = self._target.classify((finished.run, finding), self.engine, self._cancelled)
            if events is not None:
                answer_text.write_labels(self.text, self._follow(events).findings, (number, finding))
                return
        self.text.line(number, finding)

    def _classify(self) -> bool:
        """Classify what "this" means; false if it is too large for one object."""
        events = self._target.classify(None, self.engine, self._cancelled)
        if events is not None:
            answer_text.write_labels(self.text, self._follow(events).findings)
        return events is not None

    def _in_words(self, intent: Intent) -> None:
        """The model's own words, streamed as they are generated."""
        task = Task.ASK if intent.task is Task.ASK else self._abilities.in_words or Task.DESCRIBE
        self.engine.free_text = True
        events = self._target.ask(task, (), intent.text, self.engine, self._cancelled)
        self._follow(events, self._end_words)

    def _stream_words(self, piece: str) -> None:
        """Write a piece of free text; trailing white space waits, because it may be the end of the answer."""
        waiting = f"{self._blank}{piece}"
        words = (waiting.lstrip() if self._words_from is None else waiting).rstrip()
        self._blank = waiting[len(waiting.rstrip()) :]
        if words:
            self._begin_words()
            self.text.write(words)

    def _begin_words(self) -> None:
        if self._words_from is None:
            self.text.write(f"\n{self._heading()}" if self.text.text else self._heading())
            self._words_from = len(self.text.text)

    def _end_words(self, found: Sequence[Finding]) -> None:
        rows = answer_text.of_chips(found)
        if self._words_from is None:  # the engine does not stream, or the answer is empty
            self._begin_words()
            self.text.write("".join(str(row.properties.get("text") or "") for row in rows))
        self.text.cite(self._words_from or 0, rows)
        if any(row.is_unclear for row in rows):
            self.text.fill("cut")
        self._words_from, self._blank = None, ""
