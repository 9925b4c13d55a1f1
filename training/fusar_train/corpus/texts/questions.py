"""Questions that sub-texts answer: one for each key, and one for all keys of a set together.

The wording is fixed and only here: a key is always asked for in the same few ways, and no two keys share one, so that
"Location" of the targets and "Location" of the terrain cannot be confused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal

from fusar_gpt.tasks import Question, Task, prompt_set
from fusar_train.corpus.record import Message, Record
from fusar_train.corpus.texts.sub_texts import KEY_SETS, SubTexts

Asked = Literal["keys", "whole", "both", "none"]
"""Which questions sub-texts become: one a key, one a key set, both, or none."""

OF_KEYS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "targets": {
            "Count": ("How numerous are the targets, kind by kind?", "What is the number of targets, in words?"),
            "Location": ("In which parts of the image do the targets lie?", "What is the position of the targets?"),
            "Feature": ("What do the targets look like in this SAR image?", "What features do the targets have?"),
            "Size": ("What size do the targets have?", "How long and wide are the targets?"),
            "Category": ("What category do the targets belong to?", "Of what categories are the targets?"),
            "Distribution": ("How are the targets distributed?", "How do the targets lie to each other?"),
            "Region": ("What region do the targets lie in?", "What is the region of the targets?"),
            "Environment": ("What environment surrounds the targets?", "What lies around the targets?"),
        },
        "terrain": {
            "Terrain": ("What terrain does this SAR image show?", "What covers most of the ground?"),
            "Functionality": ("What is this place used for?", "What function does the area have?"),
            "Location": ("Where on Earth does this place lie?", "What is the geographic location of the area?"),
            "Layout": ("How is the area laid out?", "What layout does the ground have?"),
            "Boundary": ("What boundaries does the terrain have?", "Where does one kind of ground end at another?"),
            "Building": ("What buildings does the area have?", "What do the buildings of this place look like?"),
            "Road": ("What roads does the area have?", "How do roads and runways cross the area?"),
            "Water": ("What water does the area have?", "How much of the ground is water, and where?"),
        },
    }
)  # fmt: skip
"""The ways in which each key of each set is asked for."""

_WHOLE = "Say all about {of}, one a line: {keys}."
_OF = {"targets": "the targets", "terrain": "the terrain"}

_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。！？]|;(?=\s)|\n")  # noqa: RUF001 - Chinese has its own punctuation


def whole_question(keys: str) -> str:
    """How all keys of a set are asked for together."""
    *most, last = (key.lower() for key in KEY_SETS[keys])
    return _WHOLE.format(of=_OF[keys], keys=f"{', '.join(most)} and {last}")


def sub_text_messages(
    record: Record, words: str, size: tuple[int, int], asked: Asked, seed: int, *, plain: bool
) -> list[Message]:
    """The questions that a record's sub-texts answer, key set by key set.

    Each key is asked for in one of its ways, drawn by the seed and the record's id. All keys of a set together are the
    answer to ``whole_question``. In half of the records one key set is the answer to the plain question to describe the
    chip instead, so that it is learnt too.

    Args:
        record: With ``texts``.
        words: Name of the backend's prompt set.
        size: (width, height) of the chip as the model sees it.
        asked: Which questions.
        seed: Of the draws.
        plain: The plain question has no other answer.
    """
    made = []
    described = [texts for texts in record.texts if texts.said]
    lot = _draw(2 * len(described), seed, record.id) if plain and described else len(described)
    for number, texts in enumerate(described):
        if asked in ("keys", "both"):
            made += list(_of_keys(record.id, texts, words, size, seed))
        if asked in ("whole", "both"):
            together = Question(Task.ASK, text=whole_question(texts.keys))
            question = Question(Task.DESCRIBE) if number == lot else together
            made.append(_message(question, texts.whole(), words, size))
    return made


def taught(messages: Iterable[Message], words: str) -> list[str]:
    """The first way of asking for each key that some messages ask for, and the questions for whole sets among them."""
    said = {message.question for message in messages if message.task is Task.ASK}
    listed = [(ways, ways[0]) for of in OF_KEYS.values() for ways in of.values()]
    listed += [((whole,), whole) for whole in map(whole_question, KEY_SETS)]
    prompts = prompt_set(words)
    return [
        first
        for ways, first in listed
        if any(prompts.prompt(Question(Task.ASK, text=way), (1, 1)) in said for way in ways)
    ]


def within(answer: str, longest: int) -> str:
    """The answer up to the last sentence or line that ends within ``longest`` characters; empty where none does."""
    if len(answer) <= longest:
        return answer
    ends = [found.end() for found in _SENTENCE_END.finditer(answer[: longest + 1]) if found.end() <= longest]
    return answer[: ends[-1]].rstrip() if ends else ""


def _of_keys(
    record_id: str, texts: SubTexts, words: str, size: tuple[int, int], seed: int
) -> Iterator[Message]:
    for key, ways in OF_KEYS[texts.keys].items():
        if key in texts.said:
            way = ways[_draw(len(ways), seed, record_id, texts.keys, key)]
            yield _message(Question(Task.ASK, text=way), texts.said[key], words, size)


def _draw(count: int, *of: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(of).encode()).digest()[:8], "big") % count


def _message(question: Question, answer: str, words: str, size: tuple[int, int]) -> Message:
    return Message(task=question.task, question=prompt_set(words).prompt(question, size), answer=answer)
