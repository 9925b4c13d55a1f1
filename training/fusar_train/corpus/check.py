"""Is a data set fit to train on: every fault of it, each with the record's name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.images import digest
from fusar_train.corpus.record import Record
from fusar_train.corpus.records import read_leniently

FIRST_AEF_YEAR = 2017


@dataclass
class CheckReport:
    """What a check found.

    Attributes:
        faults: One line each; a data set with any is refused.
        notes: What may be right but should be known.
        counts: Records, objects and the like.
    """

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Checked:
    """What is kept of a record: little, as there may be millions."""

    name: str
    split: str
    scene: str
    picture: bytes


def check(folders: Sequence[Path], *, shared_scenes: bool = False) -> CheckReport:
    """Reads everything that training would read.

    A record without a split counts as of the folder that holds it, so that a training and a test folder can be held
    against each other.

    Args:
        folders: Folders, JSONL files or shards.
        shared_scenes: Scenes that lie in several splits are noted, not refused: some official splits have them.
    """
    report = CheckReport()
    seen: list[_Checked] = []
    for folder in folders:
        ids: set[str] = set()
        before = report.counts["records"]
        for record in _readable(folder, report):
            if record.id in ids:
                report.faults.append(f"{folder}: the id {record.id} comes twice: rename one.")
            ids.add(record.id)
            report.counts["records"] += 1
            if known := _check_record(record, folder, report):
                seen.append(known)
        if report.counts["records"] == before:
            report.faults.append(f"{folder} is empty: it holds no record that can be read.")
    _pictures(seen, report)
    _scenes(seen, report.notes if shared_scenes else report.faults)
    return report


def _readable(folder: Path, report: CheckReport) -> Iterator[Record]:
    try:
        for record in read_leniently(folder):
            if isinstance(record, CorpusError):
                report.faults.append(str(record))
            else:
                yield record
    except CorpusError as error:
        report.faults.append(str(error))


def _check_record(record: Record, folder: Path, report: CheckReport) -> _Checked | None:
    """Checks one record by itself; None when its image cannot be read."""
    counts = report.counts
    counts["objects"] += len(record.objects)
    counts["without objects"] += not record.objects
    counts["questions"] += len(record.messages)
    counts[f"in {record.split or 'no split'}"] += 1
    for item in record.objects:
        counts[f"objects {item.label}"] += 1
    if record.prior is not None:
        counts["with a prior"] += 1
        report.faults += _prior_faults(record)
    try:
        pixels = record.pixels()
    except CorpusError as error:
        report.faults.append(f"{record.id}: {error}")
        return None
    height, width = pixels.shape[:2]
    report.faults += _box_faults(record, width, height)
    name = f"{folder.name}:{record.id}"
    return _Checked(name, record.split or str(folder.absolute()), record.scene, digest(pixels))


def _box_faults(record: Record, width: int, height: int) -> Iterator[str]:
    col, row = (0, 0) if record.window is None else (record.window.col, record.window.row)
    image = SceneBox(col, row, col + width, row + height)
    for number, item in enumerate(record.objects, 1):
        box = item.box
        edges = f"{box.left:g}, {box.top:g}, {box.right:g}, {box.bottom:g}"
        across = min(box.right, image.right) - max(box.left, image.left)
        down = min(box.bottom, image.bottom) - max(box.top, image.top)
        if box.area <= 0:
            yield f"{record.id}: object {number}, {edges}, has no area: remove it."
        elif across <= 0 or down <= 0:
            yield f"{record.id}: object {number}, {edges}, lies outside its {width} x {height} px: remove it."


def _prior_faults(record: Record) -> Iterator[str]:
    try:
        features, _ = record.vectors()
        stated = record.prior_year()
    except CorpusError as error:
        yield f"{record.id}: {error}"
        return
    if not len(features):
        yield f"{record.id}: its prior holds no vector: set prior to null."
    taken = record.provenance.get("year")
    if stated is not None and taken is not None and stated != taken:
        yield f"{record.id}: its prior is of {stated} and its image of {taken}: fetch that year's."
    for year in {year for year in (stated, taken) if year is not None}:
        if not FIRST_AEF_YEAR <= year <= date.today().year:
            yield f"{record.id}: AEF has no year {year}: its first is {FIRST_AEF_YEAR}."


def _pictures(seen: Sequence[_Checked], report: CheckReport) -> None:
    """Pixel-identical pictures in different splits are faults, within one they are counted."""
    first: dict[bytes, _Checked] = {}
    for one in seen:
        other = first.setdefault(one.picture, one)
        if other.split != one.split:
            report.faults.append(_leak(one, other, "show the same picture"))
        elif other is not one:
            report.counts["pictures that come again in their split"] += 1


def _scenes(seen: Sequence[_Checked], lines: list[str]) -> None:
    """One line for each scene that lies in several splits."""
    first: dict[str, _Checked] = {}
    leaks: dict[str, str] = {}
    for one in seen:
        other = first.setdefault(one.scene, one)
        if other.split != one.split:
            leaks.setdefault(one.scene, _leak(one, other, f"are of one scene, {one.scene}"))
    lines += leaks.values()


def _leak(one: _Checked, other: _Checked, what: str) -> str:
    named = " and ".join(f"{record.name} ({Path(record.split).name})" for record in (one, other))
    return f"{named} {what}: split again with fusar-train data split --again."
