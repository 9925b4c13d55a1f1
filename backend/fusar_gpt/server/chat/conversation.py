"""The bounds of a conversation, and how much of it goes along with a free question."""

from __future__ import annotations

from collections.abc import Sequence

from fusar_gpt.errors import TooLarge
from fusar_gpt.tasks.questions import LONGEST, normalised

CONVERSATION = 1_000_000
"""The most characters of a whole conversation."""

HISTORY = 1500
"""Characters of the earlier conversation that are sent along with a free question."""


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
