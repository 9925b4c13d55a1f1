"""What goes wrong with data a user gave."""

from __future__ import annotations

from fusar_gpt.errors import FusarError


class CorpusError(FusarError):
    """A data set, record, image or prior is missing, damaged or not what it should be; the record is named."""
