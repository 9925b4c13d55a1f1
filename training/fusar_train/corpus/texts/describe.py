"""Slices described by a vision model with HCoT and HCoT-MIS (FUSAR-KLIP 3.2), many at once, and never twice.

A slice is asked for when the one that holds it has its texts (eq. 1-3). Every answer is written as it comes: whatever
ends a run, the next goes on from there.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusar_gpt.output import whole_file
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.record import Record
from fusar_train.corpus.texts.answer_cache import AnswerCache, question_key
from fusar_train.corpus.texts.cost import NO_TOKENS, Measured, Prices, Tokens, request_tokens, text_tokens
from fusar_train.corpus.texts.endpoint import Answer, Endpoint, EndpointClosedError, NoAnswerError
from fusar_train.corpus.texts.extract import Extracted, extract
from fusar_train.corpus.texts.picture import Picture, picture_of
from fusar_train.corpus.texts.prompts import Larger, Templates, facts_of
from fusar_train.corpus.texts.schedule import Job, Schedule
from fusar_train.corpus.texts.sub_texts import KEY_SETS, SubTexts
from fusar_train.corpus.texts.survey import Chosen, Survey
from fusar_train.corpus.texts.texts_file import TextsFile

_FEWEST_IN_A_ROW = 5
"""Slices in a row without an answer, at least, after which a run ends; or as many as are in flight."""

_BEGINNING = 80


@dataclass(frozen=True)
class DescribeOptions:
    """How a model is asked.

    Attributes:
        in_flight: Requests at a time.
        max_px: Longest side of a picture that is sent.
        ask_again: Keys that an answer lacks are asked for once more.
        rule: Of ``cost.IMAGE_RULES``.
        prices: What tokens cost; None where unknown.
        max_cost: Nothing more is asked when the next request might go beyond it.
    """

    in_flight: int = 16
    max_px: int = 1024
    ask_again: bool = False
    rule: str = "qwen"
    prices: Prices | None = None
    max_cost: float | None = None


@dataclass
class Summary:
    """What a run brought.

    Attributes:
        described: Slices and key sets with texts.
        cached: How many of the answers were known from before.
        missing: Of those described, how many lack each key.
        refused: Slices that the model would not describe, with the beginning of what it said.
        failed: Slices without texts, and why.
        tokens: As the endpoint counted them; estimated where it does not count.
        estimated: How many answers were not counted by the endpoint.
        requests: Answers that were asked for.
        seconds: Wall clock.
        ended: Why the run ended before its time; None if it did not.
    """

    described: int = 0
    cached: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    refused: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    tokens: Tokens = NO_TOKENS
    estimated: int = 0
    requests: int = 0
    seconds: float = 0.0
    ended: str | None = None

    def lines(self, prices: Prices | None) -> list[str]:
        """The summary in words."""
        rate = (
            f", {self.described / self.seconds:.1f} a second" if self.seconds > 0 and self.described else ""
        )
        told = [f"described: {self.described}{rate}"]
        if self.cached:
            told.append(f"known from before, at no cost: {self.cached} answers")
        if self.missing:
            by_key = ", ".join(f"{key} {number}" for key, number in self.missing.most_common())
            told.append(f"keys that answers lack: {by_key}")
        for what, listed in (("refused", self.refused), ("failed", self.failed)):
            if listed:
                told.append(f"{what}: {len(listed)}")
        counted = (
            f" ({self.estimated} answers estimated, as the endpoint does not count)" if self.estimated else ""
        )
        cost = f", cost {prices.of(self.tokens):.4g}" if prices else ""
        told.append(
            f"tokens: {self.tokens.sent:,} sent, {self.tokens.answered:,} answered, "
            f"in {self.requests} requests{cost}{counted}"
        )
        return told


def describe(
    folder: Path,
    chosen: Chosen,
    found: Survey,
    description: Description,
    show: Callable[[int], None],
) -> Summary:
    """Describes what a survey found undone; texts and faults are written as they come.

    An interrupt, and an endpoint that gives no more answers, end the run; the summary says so in ``ended``.

    Args:
        folder: Of the records.
        chosen: Which of them.
        found: By ``survey``.
        description: Who is asked, and how.
        show: Takes how many of ``found.undone`` are through.

    Raises:
        OutputError: The texts cannot be written.
    """
    import openai  # noqa: F401 - takes a second or more, which is no part of the rate

    summary, began = description.summary, time.monotonic()
    records = (record for record in chosen.records(folder) if isinstance(record, Record))
    schedule = Schedule(records, found.parents, found.undone)
    try:
        asyncio.run(description.run(schedule, show))
    except KeyboardInterrupt:
        summary.ended = "interrupted"
    except EndpointClosedError as error:
        summary.ended = str(error)
    finally:
        summary.seconds = time.monotonic() - began
        write_faults(description.texts.path.with_suffix(".faults.txt"), summary, found.bad)
    return summary


@dataclass
class Description:
    """A run: who is asked, and how; where the answers go; and what came of it so far."""

    endpoint: Endpoint
    templates: Templates
    texts: TextsFile
    cache: AnswerCache
    options: DescribeOptions
    by: Mapping[str, Any]
    """Begins what is written of each text's origin: describer, endpoint, model, templates."""
    measured: Measured = field(default_factory=Measured)
    summary: Summary = field(default_factory=Summary)
    _in_a_row: int = 0
    _stop: bool = False
    _closed: str = ""
    _asked: int = 0
    """Tokens of the requests that are in flight."""

    async def run(self, schedule: Schedule, show: Callable[[int], None]) -> None:
        """Describes all of a schedule.

        Raises:
            EndpointClosedError: The endpoint gives no more answers.
            OutputError: The texts cannot be written.
        """
        done, running = 0, set[asyncio.Task[None]]()
        slots = asyncio.Semaphore(self.options.in_flight)
        try:
            async with self.endpoint:
                while True:
                    # Twice as many as are in flight: the pictures of the next are ready when an answer comes.
                    while not self._stop and len(running) < 2 * self.options.in_flight:
                        if (job := schedule.next()) is None:
                            break
                        running.add(asyncio.create_task(self._through(job, schedule, slots)))
                    if not running:
                        return
                    finished, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    if errors := [error for task in finished if (error := task.exception())]:
                        raise errors[0]
                    done += len(finished)
                    show(done)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _through(self, job: Job, schedule: Schedule, slots: asyncio.Semaphore) -> None:
        name = f"{job.record.id} ({job.keys})"
        try:
            found = await self._texts_of(job, self._larger(job, schedule), slots)
        except _BudgetSpentError as error:
            self._stop, self.summary.ended = True, str(error)
            return
        except EndpointClosedError:
            raise
        except CorpusError as error:
            self.summary.failed[name] = str(error)
            self._give_up_after_many(error)
        else:
            if isinstance(found, SubTexts):
                self.texts.add(job.record.id, found)
                self.summary.described += 1
                self.summary.missing.update(found.missing)
            else:
                self.summary.refused[name] = found
        schedule.finish(job)

    def _larger(self, job: Job, schedule: Schedule) -> Larger | None:
        """The nearest slice that holds this one and is described, by the same key set."""
        for parent in schedule.ancestors(job.record.id):
            if texts := self.texts.known.get((parent, job.keys)):
                scale = texts.by.get("scale")
                return Larger(parent, str(scale) if scale else None, texts)
        return None

    async def _texts_of(self, job: Job, larger: Larger | None, slots: asyncio.Semaphore) -> SubTexts | str:
        """The sub-texts of a slice, or the beginning of a refusal."""
        record = job.record
        picture = await asyncio.to_thread(picture_of, record, self.options.max_px)
        facts = facts_of(record, picture.size, picture.stored)
        words = [self.templates.prompt(facts, job.keys, larger)]
        answer = await self._answer(words, job.keys, picture, slots)
        found = extract(answer.text, job.keys, cut=answer.cut)
        if self.options.ask_again and found.said and (missing := _lacking(found, job.keys)):
            words += [answer.text, self.templates.again(missing)]
            with suppress(NoAnswerError):
                more = extract((await self._answer(words, job.keys, picture, slots)).text, job.keys)
                found = Extracted({**more.said, **found.said})
        if not found.said and (answer.refused or found.refused):
            return answer.text.strip()[:_BEGINNING] or "refused without a word"
        if not found.said:
            raise NoAnswerError(f"no key in the answer, which begins {answer.text.strip()[:_BEGINNING]!r}")
        by = {**self.by, "endpoint": answer.endpoint, "parent": larger.id if larger else None}
        scale = {"scale": facts.scale} if facts.scale else {}
        return SubTexts(keys=job.keys, said=_in_order(found.said, job.keys), by=by | scale)

    async def _answer(
        self, words: Sequence[str], keys: str, picture: Picture, slots: asyncio.Semaphore
    ) -> Answer:
        """The answer to a conversation that begins with the picture: as known from before, or by the endpoint."""
        model = self.endpoint.options
        settings = f"{model.max_answer} {model.temperature}"
        key = question_key(picture.jpeg, model.model, settings, *words)
        if known := self.cache.get(key):
            self.summary.cached += 1
            return known
        estimated = request_tokens("".join(words), picture.size, self.options.rule)
        question = await asyncio.to_thread(self.endpoint.question, _messages(words, picture))
        async with slots:
            if self._closed:
                raise EndpointClosedError(self._closed)
            self._within_budget(estimated)
            self._asked += estimated
            try:
                answer = await self.endpoint.ask(question)
            except EndpointClosedError as error:
                self._closed = str(error)
                raise
            finally:
                self._asked -= estimated
        self._in_a_row = 0
        self._count(answer, estimated)
        if extract(answer.text, keys).said or len(words) > 1:  # a refusal is not for ever
            self.cache.put(key, answer, model.model, self.templates.digest, estimated)
        return answer

    def _count(self, answer: Answer, estimated: int) -> None:
        tokens = answer.tokens
        if tokens:
            self.measured += Measured(1, estimated, tokens)
        else:
            self.summary.estimated += 1
            tokens = Tokens(self.measured.scaled(estimated), text_tokens(answer.text))
        self.summary.requests += 1
        self.summary.tokens += tokens

    def _within_budget(self, estimated: int) -> None:
        """_BudgetSpentError when the answers in flight and the next might cost more than what is left."""
        prices, most = self.options.prices, self.options.max_cost
        if prices is None or most is None:
            return
        flying = self.options.in_flight * self.measured.answer()
        coming = Tokens(
            self.measured.scaled(self._asked + estimated), flying if self._asked else self.measured.answer()
        )
        if self._stop or prices.of(self.summary.tokens + coming) > most:
            raise _BudgetSpentError(f"--max-cost {most:g} would not cover the next request")

    def _give_up_after_many(self, error: CorpusError) -> None:
        if not isinstance(error, NoAnswerError):
            return
        self._in_a_row += 1
        if self._in_a_row >= max(self.options.in_flight, _FEWEST_IN_A_ROW):
            raise EndpointClosedError(
                f"{self._in_a_row} slices in a row got no answer, the last because: {error}"
            )


class _BudgetSpentError(CorpusError):
    """What may be spent is spent."""


def write_faults(path: Path, summary: Summary, bad: Sequence[str]) -> None:
    """Lists what has no texts and why; removes the list of an earlier run where there is nothing to list.

    Raises:
        OutputError: It cannot be written.
    """
    lines = [
        *(f"failed\t{name}\t{reason}" for name, reason in summary.failed.items()),
        *(f"refused\t{name}\t{said}" for name, said in summary.refused.items()),
        *(f"unreadable\t{error}" for error in bad),
    ]
    if not lines:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_text("".join(f"{' '.join(line.splitlines())}\n" for line in lines), encoding="utf-8")


def _messages(words: Sequence[str], picture: Picture) -> list[dict[str, Any]]:
    """The first words with the picture; then answer and question by turns."""
    image = {"type": "image_url", "image_url": {"url": picture.url()}}
    first = {"role": "user", "content": [{"type": "text", "text": words[0]}, image]}
    roles = ("user", "assistant")
    return [first, *({"role": roles[i % 2], "content": words[i]} for i in range(1, len(words)))]


def _lacking(found: Extracted, keys: str) -> Sequence[str]:
    return SubTexts(keys=keys, said=found.said).missing


def _in_order(said: Mapping[str, str], keys: str) -> dict[str, str]:
    return {key: said[key] for key in KEY_SETS[keys] if key in said}
