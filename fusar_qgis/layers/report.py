"""The report of a run as a PDF: an overview, counts and provenance, then a card with a picture for each finding."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from qgis.core import QgsFeature
from qgis.PyQt.QtCore import QPointF, QRectF, Qt
from qgis.PyQt.QtGui import QColor, QImage, QPainter, QPen, QPolygonF, QTransform

from ..contract import SEARCH, SceneBox
from ..core import review
from ..translation import translate
from .exports import Rings, Snapshot, area_of, boxes_of, open_scene
from .features import value_of
from .report_pages import pages
from .run_groups import size_in_words, started
from .sar_file import SarFile
from .scene import SceneError
from .storage import StorageError
from .thumbnails import sar_thumbnail
from .wording import result_in_words, run_caveats, title_of

MOST_CARDS = 96
_THUMBNAIL = 300
_OVERVIEW = 1400
_MARGIN = 0.04  # of the ground that is shown
_MOST_NUMBERED = 40  # boxes on the overview: the numbers of more would hide each other
_LEAST_BOX = 8  # pixels on the overview: a smaller one is not seen
_YELLOW = "#ffd500"
_ID_LINE = 24  # characters of an id beside a picture

Step = Callable[[int, int], None]
"""Called with how many parts are done, of how many; what it raises stops the report."""


@dataclass
class Contents:
    """What a report says.

    Attributes:
        title: Of the first page.
        caveats: Whole sentences that a reader must know.
        facts: Names and values of the run, the counts and the review.
        overview: The scene around the area with the findings' boxes; None where it cannot be read.
        cards: For each finding its picture, or None, and its lines.
        left_out: A sentence about findings that have no card; empty if all have one.
    """

    title: str
    caveats: list[str] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    overview: QImage | None = None
    cards: list[tuple[QImage | None, list[str]]] = field(default_factory=list)
    left_out: str = ""


def write_report(taken: Snapshot, path: Path, step: Step) -> int:
    """Write the report of a run as it was; return the number of its pages. For any thread. Raises OSError."""
    contents = gather(taken, step)
    foot = " · ".join((contents.title, str(taken.run.get("id") or "")))
    with pages(path, foot) as flow:
        flow.text(contents.title, 20, bold=True, space=0)
        flow.text(" · ".join(contents.caveats[:1]), 10)
        if contents.overview is not None:
            flow.picture(contents.overview)
        for name, value in contents.facts:
            flow.pair(name, value)
        if contents.caveats[1:] or contents.left_out:
            flow.space(4)
            flow.text(translate("Report", "What a reader must know"), 12, bold=True)
        for caveat in (*contents.caveats[1:], contents.left_out):
            flow.text(caveat, 9)
        if contents.cards:
            flow.new_page()
        for number, (picture, lines) in enumerate(contents.cards):
            flow.card(picture, lines)
            step(len(contents.cards) + number, 2 * len(contents.cards))
        return flow.page


def gather(taken: Snapshot, step: Step) -> Contents:
    """Return the report of a run as it was, with its pictures; ``step`` is called for each. For any thread."""
    run = taken.run
    contents = Contents(title_of(run))
    contents.facts = _facts(taken)
    caveats = [run_caveats(run), _what_became(taken), *str(run.get("warnings") or "").splitlines()]
    contents.caveats = [one for one in (*caveats, *_attributions(taken)) if one]
    found = [at for at, one in enumerate(taken.features) if _is_found(one)]
    ranked = sorted(found, key=lambda at: _rank(taken.features[at], taken.ranking))
    shown = ranked[:MOST_CARDS]
    if len(shown) < len(ranked):
        text = translate(
            "Report", "Only the best {n} have a card; {rest} more are in the layer and its exports."
        )
        contents.left_out = text.replace("{n}", str(len(shown))).replace(
            "{rest}", str(len(ranked) - len(shown))
        )
    pictures: list[QImage | None] = [None] * len(shown)
    try:
        scene = open_scene(taken)
        boxes = [SceneBox(*box) for box in boxes_of(taken, scene)]
        contents.overview = _overview(scene, boxes, shown, area_of(taken, scene))
        for number, at in enumerate(shown):
            step(number, 2 * len(shown))
            alone = value_of(taken.features[at], "rank") is not None
            pictures[number] = sar_thumbnail(scene, boxes[at], _THUMBNAIL, alone=alone)
    except (SceneError, StorageError) as error:
        text = translate("Report", "There are no pictures, for the scene cannot be read: {reason}")
        contents.caveats.append(text.replace("{reason}", str(error)))
    contents.cards = [
        (picture, _lines(taken.features[at], number))
        for number, (picture, at) in enumerate(zip(pictures, shown), 1)  # noqa: B905 - Python 3.9
    ]
    return contents


def _what_became(taken: Snapshot) -> str:
    return {
        "dismissed": translate("Report", "The run was cancelled: what it had not reached is not in here."),
        "failed": translate(
            "Report", "The run failed before its end: what it had not reached is not in here."
        ),
    }.get(taken.status, "")


def _facts(taken: Snapshot) -> list[tuple[str, str]]:
    run, features = taken.run, taken.features
    rejected, _ = taken.left_out
    reviews = Counter(str(value_of(one, "review") or "") for one in features)
    classes = Counter(_label(one) for one in features if _is_found(one))
    who = sorted({str(value_of(one, "reviewed_by")) for one in features if value_of(one, "reviewed_by")})
    is_search = run.get("task") == SEARCH
    model = " ".join(str(run.get(name) or "") for name in ("model", "version"))
    found = ", ".join(f"{name}: {n}" for name, n in classes.most_common())
    began = started(run).toUTC().toString("yyyy-MM-dd HH:mm 'UTC'")
    facts = [
        (
            translate("Report", "Searched for"),
            "; ".join(str(run.get("prompts") or "").splitlines()) if is_search else "",
        ),
        (translate("Report", "Findings"), found or translate("Report", "none")),
        (translate("Report", "The run's own count"), ", ".join(result_in_words(taken.result))),
        (translate("Report", "Accepted"), str(sum(reviews[one] for one in review.KEPT))),
        (translate("Report", "Rejected, not shown"), str(rejected)),
        (translate("Report", "Not reviewed"), str(reviews[""])),
        (translate("Report", "Reviewed by"), ", ".join(who) or translate("Report", "nobody yet")),
        (translate("Report", "Area"), size_in_words(run)),
        (translate("Report", "Scene"), str(run.get("scene") or "")),
        (translate("Report", "Band"), f"{run.get('band') or ''} {run.get('quantity') or ''}".strip()),
        (translate("Report", "Started"), began),
        (translate("Report", "Model"), model.strip()),
        (translate("Report", "Hash of the model"), str(run.get("model_hash") or "")[:16]),
        (
            translate("Report", "Prior"),
            "" if is_search else " ".join(str(run[one]) for one in ("prior", "prior_year") if run.get(one)),
        ),
        (translate("Report", "Similarity"), str(run.get("score_meaning") or "") if is_search else ""),
        (translate("Report", "Confidence"), str(run.get("confidence_meaning") or "")),
        (translate("Report", "Run"), str(run.get("id") or "")),
    ]
    return [(name, value) for name, value in facts if value]


def _attributions(taken: Snapshot) -> Iterator[str]:
    for name in ("attribution", "prior_attribution"):
        yield str(taken.run.get(name) or "")


def _is_found(feature: QgsFeature) -> bool:
    """Whether it is more than a grid cell in which there is nothing."""
    return value_of(feature, "hit") is not False


def _label(feature: QgsFeature) -> str:
    if value_of(feature, "rank") is not None:
        return translate("Report", "place")
    final = review.final_label(value_of(feature, "label"), value_of(feature, "reviewed_label"))
    return final or str(value_of(feature, "target") or value_of(feature, "task") or "?")


def _rank(feature: QgsFeature, ranking: str) -> float:
    """Return what the best come first by: a place's rank; else what a person added, then the layer's number."""
    rank = value_of(feature, "rank")
    if rank is not None:
        return float(rank)
    number = value_of(feature, ranking) if ranking else None
    return -2.0 if number is None else -float(number)


def _lines(feature: QgsFeature, number: int) -> list[str]:
    """Return what a card says; its number is that of the box on the overview."""
    lines = [f"{number} · {_label(feature)}"]
    for name, text, digits in (
        ("rank", translate("Report", "Rank {n}"), 0),
        ("percentile", translate("Report", "More like the query than {n} % of the scene"), 1),
        ("similarity", translate("Report", "Similarity {n} (ranks only)"), 3),
        ("side_m", translate("Report", "Side {n} m"), 0),
        ("confidence", translate("Report", "Confidence {n}"), 2),
        ("objectness", translate("Report", "Objectness {n} (ranks only)"), 2),
        ("length_m", translate("Report", "Length {n} m"), 0),
        ("width_m", translate("Report", "Width {n} m"), 0),
        ("cell", translate("Report", "Cell {n}"), 0),
        ("count", translate("Report", "Count {n}"), 0),
    ):
        number = value_of(feature, name)
        if number is not None and not (name == "objectness" and value_of(feature, "confidence") is not None):
            lines.append(text.replace("{n}", f"{float(number):.{digits}f}"))
    said = value_of(feature, "text")
    lines += [str(said)[:160]] if said else []
    lon, lat = value_of(feature, "lon"), value_of(feature, "lat")
    if lon is not None and lat is not None:
        north, east = "N" if float(lat) >= 0 else "S", "E" if float(lon) >= 0 else "W"
        lines.append(f"{abs(float(lat)):.5f}° {north}, {abs(float(lon)):.5f}° {east}")
    who = value_of(feature, "reviewed_by")
    decision = {
        review.ACCEPTED: translate("Report", "accepted"),
        review.RELABELLED: translate("Report", "relabelled"),
        review.ADDED: translate("Report", "added"),
    }.get(str(value_of(feature, "review") or ""), translate("Report", "not reviewed"))
    if value_of(feature, "model_box") is not None:
        changed = translate("Report", "box changed")
        decision = f"{decision}, {changed}"
    lines.append(f"{decision} · {who}" if who else decision)
    # An id has no spaces to be wrapped at.
    return lines + textwrap.wrap(str(value_of(feature, "id") or ""), _ID_LINE)


def _overview(scene: SarFile, boxes: list[SceneBox], shown: list[int], area: Rings) -> QImage | None:
    """Return the scene around the area and the boxes, with them; None where there are neither. Raises SceneError.

    ``shown`` are the boxes that have a card, in its order: they get their numbers where there are few.
    """
    points = [point for ring in area for point in ring]
    xs = [x for x, _ in points] + [x for box in boxes for x in (box.left, box.right)]
    ys = [y for _, y in points] + [y for box in boxes for y in (box.top, box.bottom)]
    if not xs:
        return None
    margin = max(_MARGIN * max(max(xs) - min(xs), max(ys) - min(ys)), 8)
    col, row = (
        min(max(0, int(min(one) - margin)), most - 1) for one, most in ((xs, scene.width), (ys, scene.height))
    )
    width = max(min(int(max(xs) + margin) + 1, scene.width) - col, 1)
    height = max(min(int(max(ys) + margin) + 1, scene.height) - row, 1)
    scale = min(_OVERVIEW / max(width, height), 8.0)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    least = min(size[0], width), min(size[1], height)
    grey = scene.grey(col, row, width, height, least)
    picture = QImage(grey.tobytes(), *least, least[0], QImage.Format.Format_Grayscale8)
    picture = picture.convertToFormat(QImage.Format.Format_RGB32).scaled(*size)
    painter = QPainter(picture)
    painter.setTransform(QTransform(scale, 0, 0, scale, -col * scale, -row * scale))
    for pen in _pens(1.5, Qt.PenStyle.DashLine):
        painter.setPen(pen)
        for ring in area:
            painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in ring]))
    places = [_at_least(box, _LEAST_BOX / scale) for box in boxes]
    for pen in _pens(2.5, Qt.PenStyle.SolidLine):
        painter.setPen(pen)
        painter.drawRects(places)
    painter.resetTransform()
    if len(shown) <= _MOST_NUMBERED:
        for number, at in enumerate(shown, 1):
            corner = places[at].topRight()
            _number(
                painter, size, QPointF((corner.x() - col) * scale, (corner.y() - row) * scale), str(number)
            )
    _scale_bar(painter, size, scene.pixel_m() / scale)
    painter.end()
    return picture


def _pens(width: float, style: Qt.PenStyle) -> Iterator[QPen]:
    """Return pens that are read on dark and on light ground, one over the other, as wide at every scale."""
    for colour, wide in (("black", 2 * width), (_YELLOW, width)):
        pen = QPen(QColor(colour), wide, style)
        pen.setCosmetic(True)
        yield pen


def _at_least(box: SceneBox, least: float) -> QRectF:
    """Return a box, made larger about its middle where it would not be seen."""
    across, down = max(box.right - box.left, least), max(box.bottom - box.top, least)
    return QRectF((box.left + box.right - across) / 2, (box.top + box.bottom - down) / 2, across, down)


def _number(painter: QPainter, size: tuple[int, int], corner: QPointF, number: str) -> None:
    """Write the number of a box beside its upper right corner."""
    font = painter.font()
    font.setPixelSize(max(max(size) // 60, 10))
    font.setBold(True)
    painter.setFont(font)
    room = QRectF(0, 0, font.pixelSize() * (0.62 * len(number) + 0.4), font.pixelSize() * 1.15)
    room.moveBottomLeft(corner)
    room.moveLeft(min(room.left(), size[0] - room.width()))
    room.moveTop(max(room.top(), 0))
    painter.fillRect(room, QColor("black"))
    painter.setPen(QColor(_YELLOW))
    painter.drawText(room, Qt.AlignmentFlag.AlignCenter, number)


def _scale_bar(painter: QPainter, size: tuple[int, int], pixel_m: float) -> None:
    """Draw a round length of about a quarter of the picture's width, bottom left."""
    wanted = size[0] * pixel_m / 4
    tens = 10.0 ** (len(str(int(max(wanted, 1)))) - 1)
    length = max(one * tens for one in (1, 2, 5) if one * tens <= max(wanted, 1))
    font = painter.font()
    font.setPixelSize(max(max(size) // 50, 12))
    font.setBold(False)
    painter.setFont(font)
    bar = QRectF(20, size[1] - 40, length / pixel_m, 8)
    wide = max(bar.width(), font.pixelSize() * 3.5)
    painter.fillRect(
        QRectF(bar.left() - 4, bar.top() - font.pixelSize() * 1.6, wide + 8, font.pixelSize() * 1.6 + 12),
        QColor("white"),
    )
    painter.fillRect(bar, QColor("black"))
    painter.setPen(QColor("black"))
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    over = QRectF(bar.left(), bar.top() - font.pixelSize() * 1.5, size[0], font.pixelSize() * 1.4)
    painter.drawText(over, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
