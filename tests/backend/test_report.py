"""The picture and the page an analyst reads."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from findings_samples import all_seen, chips_of, open_sample, run_on, sure_of
from PIL import Image

from fusar_gpt.contract import Finding, Run
from fusar_gpt.errors import OutputError
from fusar_gpt.findings import ReportedRun, draw_overlay, georeference, write_overlay, write_report
from fusar_gpt.findings.caption import colours, warnings_of
from fusar_gpt.findings.report import MAX_ROWS
from fusar_gpt.frames import ChipBox
from fusar_gpt.imagery import Area, Scene
from fusar_gpt.tasks import Answer, Boxes, Count, Grid, LabelledBox, Question, Task, Text

EVIL = "<script>alert('x')</script> & <img src=http://evil>"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that tags nest, and keeps the tags, the links and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def findings_on(scene: Scene, run: Run, ships: int = 2) -> list[Finding]:
    found = tuple(
        LabelledBox(ChipBox(10, 20 + i % 60, 40, 30 + i % 60), "ship", (0, 1), ((0, 1),))
        for i in range(ships)
    )
    asked: list[tuple[Question, Answer]] = [
        (Question(Task.DETECT, target="ship"), Boxes("x", True, found)),
        (Question(Task.LOCATE, target="plane"), Grid("1 6", True, frozenset({1, 6}))),
        (Question(Task.LOCATE, target="ship"), Grid("none", True, frozenset())),
        (Question(Task.COUNT, target="ship"), Count("7", True, 7)),
        (Question(Task.COUNT, target="plane"), Count("lots", False, None)),
        (Question(Task.ASK, text=f"What? {EVIL}"), Text("t", True, EVIL)),
    ]
    chip = chips_of(scene)[0]
    return [
        f
        for question, answer in asked
        for f in georeference(answer, question, chip, scene, run, sure_of(answer), 3, all_seen(chip))
    ]


def report(folder: Path, run: Run, findings: list[Finding], picture: bytes = b"png") -> str:
    write_report(folder / "report.html", [ReportedRun(run, findings, picture)])
    return (folder / "report.html").read_text("utf-8")


def test_page_is_self_contained_and_trusts_no_text(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:
        run = run_on(
            scene, prompts=(EVIL,), model=EVIL, scene=EVIL, attribution=EVIL, targets=(EVIL,), prior=EVIL,
            prior_note=EVIL, prior_attribution=EVIL, band=EVIL, started=EVIL,
        )  # fmt: skip
        findings = [  # as if class names had come from anywhere
            replace(
                f,
                properties={
                    k: EVIL if k in ("label", "target") and v else v for k, v in f.properties.items()
                },
            )
            for f in findings_on(scene, run)
        ]
        picture = draw_overlay(scene, run, findings)
        html = report(tmp_path, run, findings, picture)
    page = Page(html)
    assert "script" not in page.tags
    assert page.text.count(EVIL) >= 16
    assert html.count("<img") == 1
    assert [link[:22] for link in page.links] == ["data:image/png;base64,"]
    assert base64.b64decode(page.links[0][22:]) == picture
    assert not re.search(r"url\(|@import|https?://(?!evil)", html)


def test_page_says_what_an_analyst_must_know(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:
        run = run_on(scene, prior_attribution="The AlphaEarth Foundations")
        text = Page(report(tmp_path, run, findings_on(scene, run))).text
    for words in (
        "Simulated scene.", "Demonstration model.", "No prior.", "neither is the chance of being right",
        "top left (1), middle right (6)", "in none of the nine cells", "cut off or not understood",
        "EPSG:32631", "ab12", "2026-01-02 03:04 UTC", "192 m a side, 25% overlap", "Made by <a test>",
        "The AlphaEarth Foundations", "60 \u00d7 20 m", "ship counted", "51.7",
    ):  # fmt: skip
        assert words in text


def test_a_confidence_is_a_percentage_and_its_lack_is_no_number(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:
        run = run_on(scene, confidence_meaning="probability of a test")
        findings = findings_on(scene, run)
        sure = [
            replace(f, properties=f.properties | {"confidence": 0.873}) if f.layer == "detections" else f
            for f in findings
        ]
        without, page = Page(report(tmp_path, run, findings)).text, Page(report(tmp_path, run, sure)).text
    assert (without.count("not known"), without.count("87 %")) == (5, 0)
    assert (page.count("not known"), page.count("87 %")) == (3, 2)
    assert "probability of a test." in page


def test_page_makes_no_false_warnings_and_survives_an_empty_run(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:
        run = run_on(scene, demonstration=False, scene_simulated=False, prior="aef.tif", prior_year=2024)
        text = Page(report(tmp_path, run, [])).text
    assert "Simulated" not in text
    assert "Demonstration" not in text
    assert "No prior" not in text
    assert "aef.tif, year 2024" in text
    assert "reported nothing" in text


def test_long_tables_point_to_the_geopackage(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:
        run = run_on(scene)
        html = report(tmp_path, run, findings_on(scene, run, ships=MAX_ROWS + 5))
    assert "5 more are in the GeoPackage" in html


def test_unwritable_report_and_overlay_are_one_line(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:
        with pytest.raises(OutputError):
            write_overlay(tmp_path / "missing" / "overlay.png", scene, run_on(scene), [])
        with pytest.raises(OutputError):
            write_report(tmp_path / "missing" / "report.html", [ReportedRun(run_on(scene), [], b"")])


def test_overlay_draws_each_box_where_it_is(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:  # 240 x 180 px are shown 1400 / 240 times larger
        run = run_on(scene)
        found = LabelledBox(ChipBox(30, 40, 60, 50), "ship", (0, 1), ((0, 1),))
        chip = chips_of(scene)[0]
        answer = Boxes("x", True, (found,))
        findings = georeference(
            answer,
            Question(Task.DETECT, target="ship"),
            chip,
            scene,
            run,
            sure_of(answer),
            0,
            all_seen(chip),
        )
        write_overlay(tmp_path / "overlay.png", scene, run, findings)
    with Image.open(tmp_path / "overlay.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape[1] == 1400
    orange = (np.abs(pixels - colours([])["ship"]).max(axis=2) < 12)[: 180 * 1400 // 240]
    scale = 1400 / 240
    # The lower edge of the box carries no label: its line is as long as the box and lies on it.
    row = round(50 * scale)
    columns = np.nonzero(orange[row - 2 : row + 1].any(axis=0))[0]
    assert (columns.min(), columns.max()) == pytest.approx((30 * scale, 60 * scale), abs=2)


@pytest.mark.parametrize(("size", "degrees"), [((20, 15), 0.0), ((2000, 90), 45.0), ((90, 2000), -100.0)])
def test_overlay_of_any_shape(tmp_path: Path, size: tuple[int, int], degrees: float) -> None:
    with open_sample(tmp_path, size=size, degrees=degrees) as scene:
        run = run_on(scene)
        with Image.open(io.BytesIO(draw_overlay(scene, run, findings_on(scene, run)))) as picture:
            assert 900 <= picture.width <= 1400
            assert picture.height <= 1400 + 200


def test_overlay_shows_the_area_and_its_surroundings_only(tmp_path: Path) -> None:
    with open_sample(tmp_path, size=(2000, 2000)) as scene:
        west, north = 560_000, 5_730_000
        area = Area.from_bbox(west + 2000, north - 2400, west + 2400, north - 2000, crs=scene.crs)
        png = draw_overlay(scene, run_on(scene, area=area.geometry.wkt), [])
    with Image.open(io.BytesIO(png)) as picture:
        # 200 scene pixels and a margin, not more than 8 times enlarged.
        assert picture.width == pytest.approx(1400, abs=1)
        grey = np.asarray(picture.convert("L"))[:1400]
    assert grey[500:900, 500:900].mean() > 1.3 * grey[:60, :].mean()


def test_warnings_name_what_is_not_real(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:
        assert warnings_of(run_on(scene)) == ["Simulated scene", "Demonstration model", "No prior"]
        assert warnings_of(run_on(scene, prior="x.npz", prior_simulated=True))[-1] == "Simulated prior"
        assert warnings_of(run_on(scene, scene_simulated=False, demonstration=False, prior="x.npz")) == []
