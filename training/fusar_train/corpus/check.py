"""Is a data set fit to train on: every fault of it, each with the record's name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from datetime import date
from pathlib import Path

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.box_format import is_share
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import is_litter
from fusar_train.corpus.images import digest, turn_of
from fusar_train.corpus.labels import class_faults
from fusar_train.corpus.overlap import Overlap, outermost, same_ground
from fusar_train.corpus.record import Record
from fusar_train.corpus.records import read_leniently
from fusar_train.corpus.sidecars import WITHOUT_TEXTS

FIRST_AEF_YEAR = 2017

_OUTSIDE, _MOST_OUTSIDE, _FEW = "objects that reach out of their image", 0.2, 5


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
    record: Record


Compare = Callable[[Sequence[Record], Sequence[str], Sequence[str]], Iterable[Overlap]]
"""Finds which of some records show the same ground; given are also their scenes and their splits."""


def check(
    folders: Sequence[Path], *, shared_scenes: bool = False, compare: Compare | None = same_ground
) -> CheckReport:
    """Reads everything that training would read.

    A record without a split counts as of the folder that holds it, so that a training and a test folder can be held
    against each other.

    Args:
        folders: Folders, JSONL files or shards.
        shared_scenes: Scenes and ground that lie in several splits are noted, not refused: some official splits have
            them.
        compare: Finds the same ground in several splits; None does without, as it takes long on large sets.
    """
    report = CheckReport()
    seen: list[_Checked] = []
    for folder in folders:
        ids: set[str] = set()
        labels: set[str] = set()
        before = report.counts["records"]
        for record in _readable(folder, report):
            if record.id in ids:
                report.faults.append(f"{folder}: the id {record.id} comes twice: rename one.")
            ids.add(record.id)
            labels.update(item.label for item in record.objects)
            report.counts["records"] += 1
            if known := _check_record(record, folder, report):
                seen.append(known)
        if report.counts["records"] == before:
            report.faults.append(f"{folder} is empty: it holds no record that can be read.")
        report.faults += class_faults(labels, str(folder))
    outside, all_objects = report.counts[_OUTSIDE], report.counts["objects"]
    if outside > max(_MOST_OUTSIDE * all_objects, _FEW):
        report.notes.append(
            f"{outside} of {all_objects} objects reach out of their images: look at them with fusar-train data preview."
        )
    _pictures(seen, report)
    _scenes(seen, report.notes if shared_scenes else report.faults)
    if compare:
        _ground(seen, compare, report.notes if shared_scenes else report.faults)
    return report


def _readable(folder: Path, report: CheckReport) -> Iterator[Record]:
    try:
        for record in read_leniently(folder, WITHOUT_TEXTS):
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
    report.faults += [*_file_faults(record, folder), *_box_faults(record, width, height)]
    report.counts[_OUTSIDE] += _reaching_out(record, width, height)
    name = f"{folder.name}:{record.id}"
    return _Checked(name, record.split or str(folder.absolute()), record.scene, digest(pixels), record)


def _file_faults(record: Record, folder: Path) -> Iterator[str]:
    root = (folder if folder.is_dir() else folder.parent).absolute()
    if record.image.is_relative_to(root) and is_litter(record.image.relative_to(root)):
        yield f"{record.id}: {record.image} is no part of the data: remove the record."
    if orientation := turn_of(record.image_source(), str(record.image)):
        yield (
            f"{record.id}: its image has the EXIF orientation {orientation}, which viewers follow, not training: "
            "store it as its boxes have it, without that entry."
        )


def _reaching_out(record: Record, width: int, height: int) -> int:
    """How many objects reach out of the image or window by more than a tenth of their own size."""
    col, row = (0, 0) if record.window is None else (record.window.col, record.window.row)
    boxes = (item.box for item in record.objects)
    return sum(
        max(col - box.left, box.right - col - width) > (box.right - box.left) / 10 + 1
        or max(row - box.top, box.bottom - row - height) > (box.bottom - box.top) / 10 + 1
        for box in boxes
    )


def _box_faults(record: Record, width: int, height: int) -> Iterator[str]:
    col, row = (0, 0) if record.window is None else (record.window.col, record.window.row)
    image = SceneBox(col, row, col + width, row + height)
    first: dict[object, int] = {}
    for number, item in enumerate(record.objects, 1):
        box = item.box
        if (other := first.setdefault((box, item.label), number)) != number:
            yield f"{record.id}: object {number} is object {other} again: remove it."
            continue
        edges = f"{box.left:g}, {box.top:g}, {box.right:g}, {box.bottom:g}"
        across = min(box.right, image.right) - max(box.left, image.left)
        down = min(box.bottom, image.bottom) - max(box.top, image.top)
        if box.area <= 0:
            yield f"{record.id}: object {number}, {edges}, has no area: remove it."
        elif is_share(astuple(box)) and min(width, height) > 1:
            yield f"{record.id}: object {number}, {edges}, is smaller than a pixel, as a share would be: correct it."
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


def _ground(seen: Sequence[_Checked], compare: Compare, lines: list[str]) -> None:
    """One line for each record that shows ground of another split, with the surest of the others."""
    seen = [seen[number] for number in outermost([one.record for one in seen])]
    splits = [one.split for one in seen]
    best: dict[int, Overlap] = {}
    pairs: Counter[int] = Counter()
    if len(set(splits)) < 2:
        return
    for found in compare([one.record for one in seen], [one.scene for one in seen], splits):
        mine = found.one if Path(splits[found.other]).name == "train" else found.other
        if seen[found.one].picture == seen[found.other].picture:
            continue
        pairs[mine] += 1
        if mine not in best or found.correlation > best[mine].correlation:
            best[mine] = found
    for mine, found in sorted(best.items()):
        x, y = found.shift
        more = f" (and {pairs[mine] - 1} more of it)" if pairs[mine] > 1 else ""
        shown = (
            f"show the same ground, the first {x} px right and {y} px down on the second, "
            f"with a correlation of {found.correlation:.2f}{more}"
        )
        lines.append(_leak(seen[found.other], seen[found.one], shown))


def _leak(one: _Checked, other: _Checked, what: str) -> str:
    named = " and ".join(f"{record.name} ({Path(record.split).name})" for record in (one, other))
    return f"{named} {what}: split again with fusar-train data split --again."
