"""The text of one answer as it grows, and which of its words mean which findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fusar_gpt.contract import Finding
from fusar_gpt.server.chat.phrases import Phrases


class Prose:
    """Words that know what they mean.

    Attributes:
        text: What was said so far.
        spans: For each finding's id the ranges [start, end) of ``text``, in characters (Unicode code points),
            that mean it.
        phrases: The language.
    """

    def __init__(self, phrases: Phrases, tell: Callable[[str], None]) -> None:
        self.text = ""
        self.spans: dict[str, list[list[int]]] = {}
        self.phrases = phrases
        self._tell = tell

    def write(self, text: str, findings: Sequence[Finding] = ()) -> None:
        """Go on with these words, which mean these findings."""
        start = len(self.text)
        self.text += text
        self.mark(start, findings)
        self._tell(text)

    def say(self, key: str, findings: Sequence[Finding] = (), **values: object) -> None:
        """Go on with a sentence of :class:`Phrases`."""
        self.write(self.phrases(key, **values), findings)

    def mark(self, start: int, findings: Sequence[Finding]) -> None:
        """What was said from ``start`` on means these findings."""
        for finding in findings:
            self.spans.setdefault(finding.id, []).append([start, len(self.text)])

    def numbers(self, numbers: Mapping[str, int], meant: Mapping[str, Sequence[Finding]]) -> None:
        """So many of each class, each with the findings meant."""
        for place, (target, number) in enumerate(numbers.items()):
            self.write(self.phrases("and") if place else "")
            self.write(self.phrases.number(number, target), meant.get(target, ()))

    def line(self, number: int, finding: Finding) -> None:
        """One detection of a list."""
        score = finding.properties.get("score")
        self.say(
            "line",
            [finding],
            number=number,
            label=self.phrases.name(str(finding.properties["label"])),
            place=self.phrases.place(finding),
            size=self.phrases.size(finding),
            score=score if isinstance(score, float) else 0.0,
        )
