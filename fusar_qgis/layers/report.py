"""The report of a run as a PDF: an overview, counts and provenance, then a card with a picture for each finding."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from qgis.core import QgsFeature, QgsPrintLayout
from qgis.PyQt.QtCore import QRectF, Qt
from qgis.PyQt.QtGui import QColor, QImage, QPainter, QPen

from ..contract import SceneBox
from ..core import review
from ..translation import translate
from .exports import Snapshot, boxes_of, open_scene
from .features import value_of
from .report_pages import Flow
from .sar_file import SarFile
from .scene import SceneError
from .storage import StorageError
from .thumbnails import sar_thumbnail
from .wording import run_caveats, run_title

MOST_CARDS = 96
_THUMBNAIL = 300
_OVERVIEW = 1400
_MARGIN = 0.1  # of the ground that the findings are on
_ID_LINE = 24  # characters of an id beside a picture
_LEAST_BOX = 8  # pixels on the overview: a smaller one is not seen


@dataclass
class Contents:
    """What a report says; pictures are files.

    Attributes:
        title: Of the first page.
        caveats: Whole sentences that a reader must know.
        facts: Names and values of the run, the counts and the review.
        overview: The scene around the findings with their boxes; empty where it cannot be read.
        cards: For each finding its picture, or nothing, and its lines.
        left_out: A sentence about findings that have no card; empty if all have one.
    """

    title: str
    caveats: list[str] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    overview: str = ""
    cards: list[tuple[str, list[str]]] = field(default_factory=list)
    left_out: str = ""


def gather(taken: Snapshot, folder: Path) -> Contents:
    """Return the report of a layer as it was; its pictures are written to ``folder``. For any thread.

    Raises OSError.
    """
    run = taken.run
    contents = Contents(run_title(str(run.get("task") or ""), str(run.get("targets") or "")))
    contents.facts = _facts(taken)
    caveats = [run_caveats(run), *str(run.get("warnings") or "").splitlines(), *_attributions(taken)]
    contents.caveats = [one for one in caveats if one]
    ranked = sorted(range(len(taken.features)), key=lambda at: _rank(taken.features[at], taken.ranking))
    shown = ranked[:MOST_CARDS]
    if len(shown) < len(ranked):
        text = translate(
            "Report", "Only the best {n} have a card; {rest} more are in the layer and its exports."
        )
        contents.left_out = text.replace("{n}", str(len(shown))).replace(
            "{rest}", str(len(ranked) - len(shown))
        )
    pictures: dict[int, str] = {}
    try:
        pictures = _pictures(taken, shown, folder, contents)
    except (SceneError, StorageError) as error:
        text = translate("Report", "There are no pictures, for the scene cannot be read: {reason}")
        contents.caveats.append(text.replace("{reason}", str(error)))
    contents.cards = [(pictures.get(at, ""), _lines(taken.features[at])) for at in shown]
    return contents


def lay_out(contents: Contents, layout: QgsPrintLayout) -> Iterator[int]:
    """Fill a new layout with the pages of a report, A4 upright; in the GUI thread, which goes on between the steps."""
    layout.initializeDefaults()
    flow = Flow(layout)
    flow.text(contents.title, 20, bold=True)
    flow.text(" · ".join(contents.caveats[:1]), 10)
    yield 0
    if contents.overview:
        flow.picture(contents.overview)
        yield 0
    for name, value in contents.facts:
        flow.pair(name, value)
        yield 0
    if contents.caveats[1:] or contents.left_out:
        flow.text(translate("Report", "What a reader must know"), 12, bold=True)
    for caveat in (*contents.caveats[1:], contents.left_out):
        flow.text(caveat, 9)
        yield 0
    if contents.cards:
        flow.new_page()
    for picture, lines in contents.cards:
        flow.card(picture, lines)
        yield 0


def _facts(taken: Snapshot) -> list[tuple[str, str]]:
    run, features = taken.run, taken.features
    rejected, _ = taken.left_out
    reviews = Counter(str(value_of(one, "review") or "") for one in features)
    classes = Counter(_label(one) for one in features)
    who = sorted({str(value_of(one, "reviewed_by")) for one in features if value_of(one, "reviewed_by")})
    model = " ".join(str(run.get(name) or "") for name in ("model", "version"))
    facts = [
        (translate("Report", "Findings"), ", ".join(f"{name}: {n}" for name, n in classes.most_common())),
        (translate("Report", "Accepted"), str(sum(reviews[one] for one in review.KEPT))),
        (translate("Report", "Rejected, not shown"), str(rejected)),
        (translate("Report", "Not reviewed"), str(reviews[""])),
        (translate("Report", "Reviewed by"), ", ".join(who) or translate("Report", "nobody yet")),
        (translate("Report", "Scene"), str(run.get("scene") or "")),
        (translate("Report", "Band"), f"{run.get('band') or ''} {run.get('quantity') or ''}".strip()),
        (translate("Report", "Started"), str(run.get("started") or "")),
        (translate("Report", "Model"), model.strip()),
        (translate("Report", "Hash of the model"), str(run.get("model_hash") or "")[:16]),
        (translate("Report", "Prior"), str(run.get("prior") or "")),
        (translate("Report", "Confidence"), str(run.get("confidence_meaning") or "")),
        (translate("Report", "Run"), str(run.get("id") or "")),
    ]
    return [(name, value) for name, value in facts if value] if features else facts[1:]


def _attributions(taken: Snapshot) -> Iterator[str]:
    for name in ("attribution", "prior_attribution"):
        yield str(taken.run.get(name) or "")


def _label(feature: QgsFeature) -> str:
    final = review.final_label(value_of(feature, "label"), value_of(feature, "reviewed_label"))
    return final or str(value_of(feature, "target") or value_of(feature, "task") or "?")


def _rank(feature: QgsFeature, ranking: str) -> float:
    """Return what the best come first by: what a person added, then by the layer's number."""
    number = value_of(feature, ranking) if ranking else None
    return -2.0 if number is None else -float(number)


def _lines(feature: QgsFeature) -> list[str]:
    lines = [_label(feature)]
    for name, text, digits in (
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
        lines.append(f"{float(lat):.5f}, {float(lon):.5f}")
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


def _pictures(taken: Snapshot, shown: list[int], folder: Path, contents: Contents) -> dict[int, str]:
    """Write the pictures; return those of findings by row. Raises SceneError, StorageError or OSError."""
    scene = open_scene(taken)
    boxes = [SceneBox(*box) for box in boxes_of(taken, scene)]
    if not boxes:
        return {}
    overview = folder / "overview.png"
    _save(_overview(scene, boxes), overview)
    contents.overview = str(overview)
    files = {}
    for at in shown:
        path = folder / f"{at}.png"
        _save(sar_thumbnail(scene, boxes[at], _THUMBNAIL), path)
        files[at] = str(path)
    return files


def _save(picture: QImage, path: Path) -> None:
    if not picture.save(str(path)):
        raise OSError(translate("Report", "The folder for temporary files cannot be written."))


def _overview(scene: SarFile, boxes: list[SceneBox]) -> QImage:
    """Return the scene around the boxes, with them. Raises SceneError."""
    left, right = min(box.left for box in boxes), max(box.right for box in boxes)
    top, bottom = min(box.top for box in boxes), max(box.bottom for box in boxes)
    margin = max(_MARGIN * max(right - left, bottom - top), 32)
    col, row = max(0, int(left - margin)), max(0, int(top - margin))
    width = min(int(right + margin) + 1, scene.width) - col
    height = min(int(bottom + margin) + 1, scene.height) - row
    scale = min(_OVERVIEW / max(width, height), 8.0)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    least = min(size[0], width), min(size[1], height)
    grey = scene.grey(col, row, width, height, least)
    picture = QImage(grey.tobytes(), *least, least[0], QImage.Format.Format_Grayscale8)
    picture = picture.convertToFormat(QImage.Format.Format_RGB32).scaled(*size)
    painter = QPainter(picture)
    for width_px, colour in ((5, "black"), (2.5, "#ffd500")):  # read on dark and on light ground
        painter.setPen(QPen(QColor(colour), width_px))
        for box in boxes:
            across = max((box.right - box.left) * scale, _LEAST_BOX)
            down = max((box.bottom - box.top) * scale, _LEAST_BOX)
            x, y = (box.left + box.right) / 2 - col, (box.top + box.bottom) / 2 - row
            painter.drawRect(QRectF(x * scale - across / 2, y * scale - down / 2, across, down))
    _scale_bar(painter, size, scene.pixel_m() / scale)
    painter.end()
    return picture


def _scale_bar(painter: QPainter, size: tuple[int, int], pixel_m: float) -> None:
    """Draw a round length of about a quarter of the picture's width, bottom left."""
    wanted = size[0] * pixel_m / 4
    tens = 10.0 ** (len(str(int(max(wanted, 1)))) - 1)
    length = max(one * tens for one in (1, 2, 5) if one * tens <= max(wanted, 1))
    font = painter.font()
    font.setPixelSize(max(size[1] // 40, 12))
    painter.setFont(font)
    bar = QRectF(20, size[1] - 40, length / pixel_m, 8)
    painter.fillRect(bar.adjusted(-4, -font.pixelSize() * 1.6, 4, 4), QColor("white"))
    painter.fillRect(bar, QColor("black"))
    painter.setPen(QColor("black"))
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    over = QRectF(bar.left(), bar.top() - font.pixelSize() * 1.5, size[0], font.pixelSize() * 1.4)
    painter.drawText(over, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
