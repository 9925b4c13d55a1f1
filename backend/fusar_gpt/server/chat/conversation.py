"""From an analyst's message, English or Chinese, to the task that it asks for; follow-ups included.

These are small rules and no model: a wrong guess is noticed at once, because every answer names what was counted or
detected. A message that no rule matches is put to the model as a free question.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fusar_gpt.errors import TooLarge
from fusar_gpt.server.chat.vocabulary import Vocabulary, singular
from fusar_gpt.tasks import SEARCHES, Task

Pick = int | Literal["largest", "smallest"]
"""One of several objects: its number in the answer from 1 on, -1 for the last, or its size."""

LONGEST = 4000
"""The most characters of a user's message, before and after Unicode normalisation (which makes 18 of some)."""

CONVERSATION = 1_000_000
"""The most characters of a whole conversation."""

READ = 20
"""The user's messages that the rules read, the newest ones."""

HISTORY = 1500
"""Characters of the earlier conversation that are sent along with a free question."""


@dataclass(frozen=True)
class Intent:
    """What one message asks for.

    Attributes:
        task: The task.
        targets: The classes; empty for all that the checkpoint knows.
        pick: A single object among the detections of ``targets``.
        text: The analyst's own words.
    """

    task: Task
    targets: tuple[str, ...] = ()
    pick: Pick | None = None
    text: str = ""


# What comes before a command: the start of a clause, or a word such as "please".
_COMMAND = r"(?:^|[.;:!?,] *|\b(?:to|please|(?:can|could|would|will) you|and|then|now|just|also) +)"
_OBJECT = r"(?:ones?|objects?|targets?|findings?|detections?|of (?:them|these|those))"
_RANKS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_DIGITS = "一二三四五六七八九十"
_UNIT = "[个個艘架只隻条條辆輛座处處]"

_RULES: tuple[tuple[Task, re.Pattern[str]], ...] = (
    (
        Task.COUNT,
        re.compile(
            rf"\bhow many\b|\b(?:the )?number of\b|{_COMMAND}(?:re)?count\b|\bare there (?:any|some)\b|\bis there an?\b"
            rf"|\bany\b[^.?!]*\bhere\b|多少|几{_UNIT}|幾{_UNIT}|[数數]一[数數]|[计計][数數]|[数數]量|有几|有没有|有沒有"
        ),
    ),
    (
        Task.LOCATE,
        re.compile(
            rf"\b(?:which|what) (?:grid )?(?:cells?|parts?|squares?|tiles?)\b|\bgrid\b|{_COMMAND}locate\b"
            r"|[哪那][些个個几幾]?(?:个|個)?(?:格|网格|網格|方格|区域|區域)|九宫格|九宮格|网格|網格|定位"
        ),
    ),
    (
        Task.DETECT,
        re.compile(
            rf"\bwhere\b|{_COMMAND}(?:detect|find|show|point out|mark|outline|highlight|list|draw|box)\b"
            r"|在哪|哪里|哪裡|哪儿|位置|[检檢][测測]|找出|找到|找一下|[标標]出|[标標][注註]|圈出|框出|[显顯]示|列出"
        ),
    ),
    (
        Task.CLASSIFY,
        re.compile(
            rf"\bwhat(?:'s| is| are) (?:it|this|that|these|those|they)\b(?! (?:about|for|doing))"
            rf"|{_COMMAND}(?:classify|identify)\b|\b(?:what|which) (?:kind|type|sort|class|category)\b"
            rf"|[这這那它]{_UNIT}?是什[么麼]|什么类型|什麼類型|哪[种類类]|分[类類]|[识識][别別]"
        ),
    ),
    (
        Task.DESCRIBE,
        re.compile(
            rf"{_COMMAND}(?:describe|summari[sz]e|caption)\b|\bdescription\b|\boverview\b"
            r"|\bwhat (?:do|can) (?:you|we|i) see\b|\bwhat(?:'s| is) (?:in|here|there|shown|visible)\b"
            r"|\btell me about (?:this|the (?:area|scene|image))"
            r"|描述|概括|概述|介[绍紹]|[说說]明一下|看到(?:了)?什[么麼]|有(?:些)?什[么麼]|[总總][结結]"
        ),
    ),
)
_PICKS = re.compile(
    rf"\b(?P<rank>{'|'.join(_RANKS)}|last|[0-9]{{1,3}}(?:st|nd|rd|th))(?= +(?:{_OBJECT})\b| *[.?!]*$)"
    rf"|(?:\b(?:number|no\.?|{_OBJECT}) *#?|#) *(?P<number>[0-9]{{1,3}})\b"
    r"|\b(?P<large>largest|biggest|longest)\b|\b(?P<small>smallest|shortest|tiniest)\b"
    rf"|第(?P<zh>[{_DIGITS}]|[0-9]{{1,3}})(?={_UNIT}|[^\w]|是|在|$)|(?P<zh_last>最[后後]一?{_UNIT})"
    r"|(?P<zh_large>最[大长長])|(?P<zh_small>最[小短])"
)
_KIND = re.compile(
    r"\bwhat(?:'s| is| are)\b(?! (?:the )?(?:size|length|width|position))|\b(?:kind|type|sort|class|category)\b"
    r"|\b(?:classify|identify)\b|是什[么麼]|[类類]型|哪[种類类]|分[类類]|[识識][别別]"
)
_AGAIN = re.compile(
    r"^(?:and|what about|how about|also|now|then|the|any|or)\b|^(?:那|那么|还有|還有|以及)|呢"
)
_NOUN = re.compile(
    rf"\b(?:how many|number of|are there (?:any|some)|is there an?|{_COMMAND}(?:count|locate|detect|find))"
    r"(?: (?:all|the|any|every|of|these|those|more|other))* (?P<noun>[a-z][a-z-]{2,30})"
)
_NO_NOUN = re.compile(
    "are|is|was|were|do|does|did|can|could|there|here|they|them|these|those|this|that|each|(?:any|some|every)thing"
    "|(?:object|target|thing|item|one)s?|else|where|what|which|with|and|you|have|has"
)
_ZH_NOUN = re.compile(
    rf"(?:多少|几|幾|[数數]量)(?:{_UNIT})?(?!目标|目標|物体|物體|[这這那东東在里裡呢吗嗎])(?P<noun>[\u4e00-\u9fff]+)"
)


def understand(messages: Sequence[str], vocabulary: Vocabulary) -> Intent:
    """What the last message asks for; the earlier ones complete a follow-up. Never raises.

    Args:
        messages: The analyst's messages, oldest first, at least one.
        vocabulary: The classes the checkpoint knows.
    """
    intent, topic = Intent(Task.ASK), None
    for text in messages[-READ:]:
        intent = _intent(text, vocabulary, topic)
        if intent.task in SEARCHES or intent.pick is not None:
            topic = intent
    return intent


def check_length(messages: Sequence[tuple[str, str]]) -> None:
    """Raise TooLarge for a conversation, (role, text) of each message, that is longer than what is read."""
    total = sum(len(text) for _, text in messages)
    if total > CONVERSATION:
        raise TooLarge(
            f"the conversation has {total} characters, at most {CONVERSATION} are taken: begin a new one"
        )
    for role, text in messages:
        # A text that is too long already is not normalised: that takes time with the square of its length.
        if role == "user" and (len(text) > LONGEST or len(normalised(text)) > LONGEST):
            raise TooLarge(
                f"a message of the user has over {LONGEST} characters (after Unicode normalisation): shorten it"
            )


def normalised(text: str) -> str:
    """The text in Unicode's compatibility form."""
    return unicodedata.normalize("NFKC", text)


def is_chinese(text: str) -> bool:
    """Whether the text has a Chinese character."""
    return re.search(r"[\u3400-\u9fff]", text) is not None


def _intent(text: str, vocabulary: Vocabulary, before: Intent | None) -> Intent:
    plain = normalised(text[:LONGEST])[:LONGEST]
    words = " ".join(plain.casefold().replace("\u2019", "'").split())
    named = vocabulary.named(words)
    earlier = before.targets if before else ()
    task = next((task for task, rule in _RULES if rule.search(words)), None)
    pick = _pick(words, named, vocabulary)
    if task is Task.CLASSIFY and pick is None and before is not None:
        pick = before.pick  # "what is it?" after "where is the second one?"
    if pick is not None and task is not Task.COUNT:
        kind = Task.CLASSIFY if _KIND.search(words) else Task.DETECT
        return Intent(kind, named or earlier, pick, text)
    if task is None:
        task = _continued(words, named, vocabulary, before)
    if task not in SEARCHES:
        return Intent(task, text=text)
    if not named and (unknown := _unknown(words)):
        return Intent(task, (unknown,), text=text) if unknown.isascii() else Intent(Task.ASK, text=text)
    return Intent(task, named or earlier, text=text)


def _continued(words: str, named: tuple[str, ...], vocabulary: Vocabulary, before: Intent | None) -> Task:
    """The task of a message without one: "and planes?" repeats the last task, a bare "ships" detects them."""
    if not named:
        return Task.ASK
    bare = not vocabulary.without(words)
    if (bare or _AGAIN.search(words)) and len(words) < 60:
        return before.task if before and before.task in SEARCHES else Task.DETECT
    return Task.ASK


def _pick(words: str, named: tuple[str, ...], vocabulary: Vocabulary) -> Pick | None:
    """The single object that is meant; "the second ship" is read as "the second one"."""
    found = _PICKS.search(vocabulary.replaced(words, "one") if named else words)
    if found is None:
        return None
    if found["large"] or found["zh_large"]:
        return "largest"
    if found["small"] or found["zh_small"]:
        return "smallest"
    if found["zh_last"] or found["rank"] == "last":
        return -1
    number = found["number"] or found["zh"] or found["rank"]
    for ordered in (_RANKS, _DIGITS):
        if number in ordered:
            return ordered.index(number) + 1
    return max(int(re.sub("[a-z]", "", number)), 1)


def _unknown(words: str) -> str | None:
    """The class asked for, if the vocabulary lacks it: the answer must say so rather than count something else."""
    found = _NOUN.search(words)
    if found and not _NO_NOUN.fullmatch(found["noun"]):
        return singular(found["noun"])
    chinese = _ZH_NOUN.search(words)
    return chinese["noun"] if chinese else None


def with_history(messages: Sequence[tuple[str, str]]) -> str:
    """The last message after the earlier ones, of which at most the newest ``HISTORY`` characters are kept.

    Args:
        messages: (role, text) of the whole conversation, oldest first.
    """
    *before, (_, question) = messages
    lines = [f"{role}: {' '.join(text.split())}" for role, text in before if text.strip()]
    if not lines:
        return question
    return f"{chr(10).join(lines)[-HISTORY:]}\nuser: {question}"
