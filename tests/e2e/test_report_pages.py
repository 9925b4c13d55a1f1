"""The HTML pages in a real browser: its console stays silent, no table is empty, and the map answers a click."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fusar_gpt.frames import SceneWindow
from fusar_train import cli as training_cli
from fusar_train.corpus.slices.pages import write_map
from fusar_train.corpus.slices.slice import Fate, Slice, SliceRow, Verdict
from fusar_train.evaluation import captions

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--v=0",
)  # fmt: skip
EVIL = "<script>alert('x')</script> & <img src=http://evil>"


@dataclass
class Table:
    """What a table holds: its cells that are no headings, and how many of them have text."""

    cells: int = 0
    filled: int = 0


class Page(HTMLParser):
    """The tables, tags and text of a page as the browser has built it."""

    def __init__(self, dom: str) -> None:
        super().__init__()
        self.tables: list[Table] = []
        self.tags: set[str] = set()
        self.text = ""
        self._in_cell = False
        self.feed(dom)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "table":
            self.tables.append(Table())
        if tag == "td":
            self.tables[-1].cells += 1
            self._in_cell = True

    def handle_endtag(self, tag):
        if tag == "td":
            self._in_cell = False

    def handle_data(self, data):
        self.text += data
        if self._in_cell and data.strip():
            self.tables[-1].filled += 1
            self._in_cell = False


@dataclass
class Opened:
    """A page in the browser, and every line of its console."""

    page: Page
    console: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        """What is wrong with it."""
        empty = [number for number, table in enumerate(self.page.tables, 1) if not table.filled]
        return [*self.console, *(f"table {number} is empty" for number in empty)]


@pytest.fixture
def open_page(tmp_path):
    """Opens a page in Chromium."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    assert browser, "There is no Chromium: run sh scripts/require_chromium.sh, as make test does."

    def opened(path: Path) -> Opened:
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        command = [browser, *QUIET, profile, "--dump-dom", path.absolute().as_uri()]
        done = subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
        return Opened(Page(done.stdout), console)

    return opened


def test_the_report_of_runs(demo, open_page):
    opened = open_page(demo[1] / "report.html")
    assert opened.faults() == []
    assert len(opened.page.tables) >= 7, "detections, grid and answers, and the facts of four runs"
    assert "Simulated scene." in opened.page.text


def test_the_report_of_an_evaluation(open_page, tmp_path, monkeypatch):
    monkeypatch.setattr(captions, "why_missing", lambda name: "not in this test.")
    out = tmp_path / "evaluation"
    words = ["tiny", "simulated:4", "--prior", "own,none", "--tasks", "count,classify,detect"]
    assert training_cli.main(["evaluate", *words, "--out", str(out)]) == 0
    opened = open_page(out / "report.html")
    assert opened.faults() == []
    assert len(opened.page.tables) >= 4, "papers, gains, confusion, all figures"
    assert "Beside the papers" in opened.page.text

    hostile = (out / "predictions.jsonl").read_text("utf-8").replace('"ship"', json.dumps(EVIL))
    (tmp_path / "hostile.jsonl").write_text(hostile, "utf-8")
    again = ["evaluate", "--recompute", str(tmp_path / "hostile.jsonl"), "--out", str(tmp_path / "hostile")]
    assert training_cli.main(again) == 0
    opened = open_page(tmp_path / "hostile" / "report.html")
    assert opened.faults() == []
    assert opened.page.tags.isdisjoint({"script", "img"})
    assert EVIL in opened.page.text


def slice_row(scene, scale, west, size, fate, parent=None):
    """A square slice whose upper left corner lies at (west, -18) degrees."""
    ring = ((0, 0), (1, 0), (1, -1), (0, -1), (0, 0))
    one = Slice(
        id=f"{scene}/{scale}-0-0", scene=scene, scale=scale, parent=parent, window=SceneWindow(0, 0, 100, 100),
        width=100, height=100, footprint=tuple((west + size * x, size * y - 18) for x, y in ring), crs="EPSG:4326",
        affine=None, pixel_m=12.5,
    )  # fmt: skip
    verdict = Verdict(fate=fate, features={"entropy": 5.5})
    return SliceRow(slice=one, verdict=verdict, data_share=1, prior="none", prior_nodes=0, thumbnail=b"")


def test_the_map_of_a_corpus(open_page, tmp_path):
    large = slice_row("fiji", "large", 179.98, 0.04, Fate.KEPT)
    rows = [
        large,
        slice_row("fiji", "medium", 180.0, 0.02, Fate.WATER, large.slice.id),
        slice_row(EVIL, "large", 2.0, 0.04, Fate.POOR),
    ]
    write_map(rows, tmp_path / "map.html", EVIL)
    opened = open_page(tmp_path / "map.html")
    assert opened.faults() == []
    assert opened.page.tags.isdisjoint({"img"})
    assert EVIL in opened.page.text

    page = (tmp_path / "map.html").read_text("utf-8")
    acts = """<script>
    const said = [], box = canvas.getBoundingClientRect();
    const click = (x, y) => { for (const kind of ["pointerdown", "pointerup"]) canvas.dispatchEvent(
        new PointerEvent(kind, {clientX: box.left + x, clientY: box.top + y, pointerId: 1})); };
    const press = (key) => canvas.dispatchEvent(new KeyboardEvent("keydown", {key}));
    const told = () => said.push(document.querySelector("#slice").textContent);
    const button = (title) => [...document.querySelectorAll("#filters button")].find((b) => b.title === title);
    button("Show fiji").click();
    click(W / 2 + 5, H / 2 - 5); told();
    click(W / 2 + 5, H / 2 - 5); told();
    press("Escape"); told();
    button("Only water").click(); press("n"); told();
    document.querySelector(".related button").click(); told();
    said.push(shown.join(""));
    document.body.append("SAID" + JSON.stringify(said));
    </script></body>"""
    free = re.sub(r'<meta http-equiv="Content-Security-Policy".*?>', "", page).replace("</body>", acts)
    (tmp_path / "acts.html").write_text(free, "utf-8")
    opened = open_page(tmp_path / "acts.html")
    assert opened.console == []
    first, second, none, water, parent, shown = json.loads(opened.page.text.rpartition("SAID")[2])
    assert "fiji/medium-0-0Dropped: water" in first
    assert "18.01000° S, 179.99000° W" in first
    assert "entropy5.5" in first
    assert "It was dropped before its pixels were read." in first
    assert "with data" not in first
    assert "Parentfiji/large-0-0" in first
    assert "fiji/large-0-0kept" in second
    assert "Children (1)fiji/medium-0-0" in second
    assert none == ""
    assert "Dropped: water" in water
    assert "fiji/large-0-0kept" in parent
    assert shown == "010"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<table><thead><tr><th>Class</th></tr></thead><tbody></tbody></table>", "table 1 is empty"),
        ("<table><tr><td> </td></tr></table>", "table 1 is empty"),
        ("<script>console.error('lost')</script>", "lost"),
        ("<script>nowhere()</script>", "nowhere is not defined"),
        (
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'"><script>1</script>',
            "Content Security Policy",
        ),
    ],
)
def test_the_check_finds_what_is_wrong(open_page, tmp_path, body, fault):
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><title>x</title>{body}", "utf-8")
    [told] = open_page(path).faults()
    assert fault in told
