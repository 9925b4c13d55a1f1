"""The one exception family a user may see: its message says on one line what is wrong and what to do next."""

from __future__ import annotations

import re


class FusarError(Exception):
    """Base of every expected failure; the CLI prints it as one line and exits with 1."""

    @property
    def code(self) -> str:
        """The kind of failure for programs: ``SceneError`` is ``scene-error``."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", type(self).__name__).lower()


class SceneError(FusarError):
    """The scene cannot be opened, read or placed on the ground."""


class AreaError(FusarError):
    """The area is unreadable, empty, invalid or outside the scene."""


class PriorError(FusarError):
    """The prior cannot be read or does not fit."""


class TaskError(FusarError):
    """The question does not make sense: an unknown target, no boxes to classify, no text to ask."""


class CheckpointError(FusarError):
    """The checkpoint is missing, corrupted or not one of ours."""


class TooLarge(FusarError):  # noqa: N818 - a refusal, not a fault
    """More was given than is taken at once; the message names the limit."""


class OutputError(FusarError):
    """The result cannot be written; whatever stood there before is untouched."""


class Cancelled(FusarError):  # noqa: N818 - the user asked for it, so it is no error
    """The user stopped the run."""
