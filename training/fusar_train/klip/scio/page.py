"""SCIO's decisions as one page: each sub-text beside its image, with what was measured and what became of it."""

from __future__ import annotations

import base64
import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from markupsafe import Markup
from PIL import Image

from fusar_gpt.cli.terminal import progress_bar
from fusar_gpt.findings.report import load_template
from fusar_gpt.output import whole_file
from fusar_train.corpus.slices.sampling import evenly
from fusar_train.klip.batches import grey_image
from fusar_train.klip.data import SLOTS, KlipData
from fusar_train.klip.scio.decisions import Round
from fusar_train.klip.scio.measures import MEASURES
from fusar_train.klip.scio.options import ScioOptions
from fusar_train.klip.scio.rebuild import ACCEPTANCES, Rebuilt
from fusar_train.klip.scio.rules import RULES
from fusar_train.klip.scio.screen import Judged

MAX_NOISY, MAX_KEPT, MAX_PICTURES = 10_000, 1_000, 2_000
"""Decisions and images on one page; of more, an even sample of the sub-texts, and the images of the noisiest."""

KEPT, LEFT_OUT, NOT_TAKEN, TAKEN = "kept", "left out", "rewritten, not taken", "rewritten"
DECISIONS: Mapping[str, str] = MappingProxyType(
    {
        KEPT: "no noise by the rule",
        LEFT_OUT: "noise: the decoder does not learn it; ITC and ITM still see it",
        NOT_TAKEN: "noise that was written again, but no better; left out",
        TAKEN: "noise in whose place a better sub-text was written; learned again",
    }
)
"""What may become of a sub-text."""
_PICTURE_PX = 72
_GREYS = 16


def write_page(path: Path, data: KlipData, options: ScioOptions, rounds: Sequence[Round]) -> None:
    """Writes one page that opens from disk and asks no network; it shows the decisions after the last screen.

    Raises:
        OutputError: The file cannot be written. What stood there is untouched.
    """
    made = rounds[-1]
    rewritten = {(one.record, one.place): one for one in made.rebuilt}
    decided = {
        (one.record, one.place): decision(one, rewritten.get((one.record, one.place))) for one in made.judged
    }
    shown = _shown(made.judged)
    numbers = list(dict.fromkeys(one.record for one in shown))
    pictures = _pictures(data, numbers[:MAX_PICTURES])
    rows = [
        _row(data, one, rewritten.get((one.record, one.place)), decided[one.record, one.place])
        for one in shown
    ]
    script = (files("fusar_train.klip.scio") / "decisions.js").read_text("utf-8")
    html = load_template("fusar_train.klip.scio", "decisions.html").render(
        title="What SCIO did to the texts",
        subtitle=f"{len(data):,} images, {len(made.judged):,} sub-texts; rule {options.rule}",
        rule=RULES[options.rule],
        options=options,
        acceptance=ACCEPTANCES[options.acceptance].says,
        rounds=[_counts(one) for one in rounds],
        decisions=DECISIONS,
        keys=_by_key(data, made.judged, decided),
        totals=Counter(decided.values()),
        total=len(made.judged),
        measures={name: MEASURES[name] for name in RULES[options.rule].measures},
        embedded={
            "rows": rows,
            "pictures": pictures,
            "keys": [" ".join(slot) for slot in SLOTS],
            "decisions": list(DECISIONS),
            "ids": {number: data.records[number].id for number in numbers},
        },
        shown=len(rows),
        pictured=sum(map(bool, pictures.values())),
        script=Markup(script),  # noqa: S704 - our own, and only it may run, known by its hash
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    with whole_file(path) as temporary:
        temporary.write_text(html, "utf-8", newline="\n")


def decision(judged: Judged, rebuilt: Rebuilt | None) -> str:
    """What became of a sub-text, of ``DECISIONS``."""
    if not judged.noisy:
        return KEPT
    if rebuilt is None or rebuilt.after is None:
        return LEFT_OUT
    return TAKEN if rebuilt.accepted else NOT_TAKEN


def _shown(judged: Sequence[Judged]) -> list[Judged]:
    """The noise, or an even sample of it, and an even sample of what is kept; the noisiest first."""
    noisy, kept = ([one for one in judged if one.noisy is bad] for bad in (True, False))
    some = evenly(noisy, MAX_NOISY) + evenly(kept, MAX_KEPT)
    return sorted(some, key=lambda one: (not one.noisy, -one.score))


def _row(data: KlipData, judged: Judged, rebuilt: Rebuilt | None, decided: str) -> dict[str, Any]:
    told = data.sub_texts[judged.record][judged.place]
    row: dict[str, Any] = {
        "i": judged.record,
        "k": told.slot,
        "t": told.text,
        "d": list(DECISIONS).index(decided),
        "s": _short(judged.score),
        "m": {name: _short(value) for name, value in judged.values.items()},
    }
    if rebuilt is not None and rebuilt.after is not None:
        row["n"] = rebuilt.after
        row["c"] = {
            name: [_short(value), _short(rebuilt.values_after[name])]
            for name, value in rebuilt.values_before.items()
        }
    return row


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _counts(made: Round) -> dict[str, int]:
    return {
        "sub_texts": len(made.judged),
        "noisy": sum(one.noisy for one in made.judged),
        "rewritten": sum(one.after is not None for one in made.rebuilt),
        "accepted": sum(one.accepted for one in made.rebuilt),
    }


def _by_key(
    data: KlipData, judged: Sequence[Judged], decided: Mapping[tuple[int, int], str]
) -> list[tuple[str, str, dict[str, int]]]:
    """Key set, key and how many sub-texts have each decision."""
    counts: dict[int, Counter[str]] = {}
    for one in judged:
        slot = data.sub_texts[one.record][one.place].slot
        counts.setdefault(slot, Counter())[decided[one.record, one.place]] += 1
    return [(*SLOTS[slot], dict(counts[slot])) for slot in sorted(counts)]


def _pictures(data: KlipData, numbers: Sequence[int]) -> dict[int, str]:
    """Some records' images as small PNGs in base 64."""
    found = {}
    with progress_bar(len(numbers), "images", "page") as show:
        for done, number in enumerate(numbers, 1):
            pixels = grey_image(data.records[number], _PICTURE_PX)
            file = io.BytesIO()
            Image.fromarray(pixels).quantize(_GREYS).save(file, "PNG", optimize=True)
            found[number] = base64.b64encode(file.getvalue()).decode("ascii")
            show(done)
    return found
