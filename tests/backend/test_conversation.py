"""A conversation: what goes along with a free question, and sentences in two languages."""

from __future__ import annotations

import string

from fusar_gpt.server.chat import phrases
from fusar_gpt.server.chat.conversation import HISTORY, with_history


def test_a_free_question_brings_the_conversation_along() -> None:
    assert with_history([("user", "is it busy?")]) == "is it busy?"
    spoken = [("user", "is it\nbusy?"), ("assistant", "yes"), ("user", "why?")]
    assert with_history(spoken) == "user: is it busy?\nassistant: yes\nuser: why?"
    long = with_history([("user", "a" * 9999), ("user", "why?")])
    assert len(long) < HISTORY + 20
    assert long.endswith("user: why?")


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_say_the_same() -> None:
    assert phrases.ENGLISH.keys() == phrases.CHINESE.keys()
    for key, english in phrases.ENGLISH.items():
        assert fields(english) == fields(phrases.CHINESE[key]), key
