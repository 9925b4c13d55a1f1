"""From an analyst's question, English or Chinese, to the task that it asks for; follow-ups included.

These are small rules and no model. A question is taken for a task only where nothing is left of it once the words for
the task and for classes are taken away, and those that change nothing about the answer: "how many ships are moored?" is
not "how many ships?".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fusar_gpt.contract import SEARCHES, Task
from fusar_gpt.tasks import question_patterns as patterns
from fusar_gpt.tasks.vocabulary import CLASS, Vocabulary, singular

Pick = int | Literal["largest", "smallest"]
"""One of several objects: its number in the answer from 1 on, -1 for the last, or its size."""

LONGEST = 4000
"""The most characters of a user's message, before and after Unicode normalisation (which makes 18 of some)."""

READ = 20
"""The user's messages that the rules read, the newest ones."""


@dataclass(frozen=True)
class Intent:
    """What one message asks for.

    Attributes:
        task: The task; ``ask`` where the message is none of the others.
        targets: The classes; empty for all that the checkpoint knows.
        pick: A single object among the detections of ``targets``.
        text: The analyst's own words.
    """

    task: Task
    targets: tuple[str, ...] = ()
    pick: Pick | None = None
    text: str = ""


@dataclass(frozen=True)
class _Message:
    """A message as the rules read it: what it says, the classes it names, and its words with ``CLASS`` for each."""

    text: str
    words: str
    named: tuple[str, ...]
    marked: str

    def has(self, task: Task) -> bool:
        return any(rule.search(self.marked) for kind, rule in patterns.RULES if kind is task)

    def without(self, *tasks: Task, also: re.Pattern[str] | None = None) -> str:
        """What is left once the words for these tasks and all harmless words are taken away."""
        rules = [rule for kind, rule in patterns.RULES if kind in tasks]
        left = self.marked
        for rule in [*([also] if also else ()), *rules, patterns.HARMLESS]:
            left = rule.sub(" ", left)
        return re.sub(r"[\W_]", "", left)


def understand(messages: Sequence[str], vocabulary: Vocabulary) -> Intent:
    """What the last message asks for; the earlier ones complete a follow-up. Never raises.

    Args:
        messages: The analyst's messages, oldest first, at least one.
        vocabulary: The classes the checkpoint knows.
    """
    intent, topic = Intent(Task.ASK), None
    for text in messages[-READ:]:
        intent = _intent(_read(text, vocabulary), vocabulary, topic)
        if intent.task in SEARCHES or intent.pick is not None:
            topic = intent
    return intent


def normalised(text: str) -> str:
    """The text in Unicode's compatibility form."""
    return unicodedata.normalize("NFKC", text)


def plain_words(text: str) -> str:
    """The words of a text as the rules read them: normalised, casefolded, with single spaces."""
    plain = normalised(text[:LONGEST])[:LONGEST]
    return " ".join(plain.casefold().replace("\u2019", "'").replace(CLASS, " ").split())


def is_chinese(text: str) -> bool:
    """Whether the text has a Chinese character."""
    return re.search(r"[\u3400-\u9fff]", text) is not None


def _read(text: str, vocabulary: Vocabulary) -> _Message:
    words = plain_words(text)
    named, marked = vocabulary.read(words)
    if not named and (unknown := _unknown(words)):
        # The answer must say that it is not known, rather than count something else.
        named = (singular(unknown["noun"]),)
        marked = f"{words[: unknown.start('noun')]} {CLASS} {words[unknown.end('noun') :]}"
    return _Message(text, words, named, marked)


def _unknown(words: str) -> re.Match[str] | None:
    """The class asked for, if the vocabulary lacks it."""
    found = patterns.NOUN.search(words)
    return found if found and not patterns.NO_NOUN.fullmatch(found["noun"]) else None


def _intent(said: _Message, vocabulary: Vocabulary, before: Intent | None) -> Intent:
    pick = _pick(said)
    if pick is not None and not said.has(Task.COUNT):
        return _about_one(said, pick, before)
    task = _task(said, vocabulary, before)
    if task is Task.CLASSIFY and before is not None and before.pick is not None:
        return Intent(
            task, before.targets, before.pick, said.text
        )  # "what is it?" after "where is the second one?"
    if task not in SEARCHES:
        return Intent(task, text=said.text)
    earlier = before.targets if before else ()
    return Intent(task, said.named or earlier, text=said.text)


def _task(said: _Message, vocabulary: Vocabulary, before: Intent | None) -> Task:
    """The task that every word of a message belongs to; ``ask`` where there is none."""
    for task in dict.fromkeys(kind for kind, _ in patterns.RULES):
        if said.has(task) and not said.without(task) and _fits(task, said, vocabulary, before):
            return task
    # A list of detections says how many there are, too.
    if said.has(Task.COUNT) and said.has(Task.DETECT) and not said.without(Task.COUNT, Task.DETECT):
        return Task.DETECT
    if said.named and not said.without(
        also=patterns.AGAIN
    ):  # "and planes?" goes on, a bare "ships" detects them
        return before.task if before and before.task in SEARCHES else Task.DETECT
    return Task.ASK


def _fits(task: Task, said: _Message, vocabulary: Vocabulary, before: Intent | None) -> bool:
    """Whether a task can be asked about what the message names."""
    if task is Task.CLASSIFY:  # what kind of ship it is was not taught; whether it is one may be asked
        return not said.named or patterns.IS_IT.search(said.marked) is not None
    if task is Task.DESCRIBE:
        return set(said.named) <= vocabulary.places
    if task is Task.DETECT and not said.named and patterns.SIZES.search(said.marked):
        return before is not None and patterns.PRONOUN.search(said.marked) is not None
    return True


def _about_one(said: _Message, pick: Pick, before: Intent | None) -> Intent:
    """A question about one of the objects that were, or are to be, detected."""
    subtype = said.named and patterns.TYPE.search(said.marked)  # "what type of ship is the second one?"
    left = _as_one(said).without(Task.DETECT, Task.CLASSIFY, also=patterns.PICKED)
    if subtype or left:
        return Intent(Task.ASK, text=said.text)
    kind = Task.CLASSIFY if patterns.KIND.search(said.words) else Task.DETECT
    return Intent(kind, said.named or (before.targets if before else ()), pick, said.text)


def _as_one(said: _Message) -> _Message:
    """The message in which "the second ship" is "the second one"."""
    return _Message(said.text, said.words, said.named, said.marked.replace(f" {CLASS} ", " one ").strip())


def _pick(said: _Message) -> Pick | None:
    """The single object that is meant."""
    found = patterns.PICKS.search(" ".join(_as_one(said).marked.split()))
    if found is None:
        return None
    if found["large"] or found["zh_large"]:
        return "largest"
    if found["small"] or found["zh_small"]:
        return "smallest"
    if found["zh_last"] or found["rank"] == "last":
        return -1
    number = found["number"] or found["zh"] or found["rank"]
    for ordered in (patterns.RANKS, patterns.DIGITS):
        if number in ordered:
            return ordered.index(number) + 1
    return max(int(re.sub("[a-z]", "", number)), 1)
