"""What the findings of one run amount to, as they come and are replaced."""

from __future__ import annotations

from collections import Counter

from ..contract import Finding
from .counting import Cells, Counts


class Tally:
    """Keeps count of the findings that stand.

    Attributes:
        counts: The counts among them.
        cells: The grid cells among them.
        understood: What a free question was taken for.
        kind_of: The kind of every finding that stands, by its id.
    """

    def __init__(self) -> None:
        self.counts = Counts()
        self.cells = Cells()
        self.understood: set[str] = set()
        self.kind_of: dict[str, str] = {}
        self._by_kind: Counter[str] = Counter()
        self._unclear: set[str] = set()
        self._without_data: set[str] = set()

    @property
    def detected(self) -> int:
        """How many detections stand so far."""
        return self._by_kind["detections"]

    def drop(self, finding_id: str) -> str:
        """Leave a finding out that is replaced; return its kind, or an empty text."""
        self._unclear.discard(finding_id)
        self._without_data.discard(finding_id)
        self.counts.drop(finding_id)
        self.cells.drop(finding_id)
        kind = self.kind_of.pop(finding_id, "")
        self._by_kind[kind] -= 1
        return kind

    def add(self, finding: Finding) -> None:
        """Take a finding in."""
        self._by_kind[self.kind_of.get(finding.id, "")] -= 1  # it may be told twice
        self._by_kind[finding.layer] += 1
        self.kind_of[finding.id] = finding.layer
        self.counts.add(finding)
        self.cells.add(finding)
        if finding.properties.get("understood"):
            self.understood.add(str(finding.properties["understood"]))
        if finding.is_unclear:
            self._unclear.add(finding.id)
        elif finding.lacks_data:
            self._without_data.add(finding.id)

    def numbers(self) -> dict[str, int]:
        """Return how many findings of each kind there are.

        ``answers`` are those that were understood, ``unclear`` the others but for chips ``without_data``.
        """
        counts = Counter(self.kind_of.values())
        counts["unclear"] = len(self._unclear)
        counts["without_data"] = len(self._without_data)
        counts["answers"] -= counts["unclear"] + counts["without_data"]
        return dict(counts)
