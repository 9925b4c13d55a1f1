"""The map and the contact sheet of a corpus: all that is there, whatever names hold, of bounded size."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyproj import Transformer

from fusar_gpt.errors import OutputError
from fusar_gpt.frames import SceneWindow
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.slices.map_data import MapData
from fusar_train.corpus.slices.pages import FATE_COLOURS, TILES, write_map, write_sheet
from fusar_train.corpus.slices.sampling import EvenSample, evenly, fair_shares
from fusar_train.corpus.slices.slice import SCALES, Fate, Slice, SliceRow, Verdict

EVIL = "</script><script>alert('x')</script><img src=http://evil>"
TO_LON_LAT = Transformer.from_crs("EPSG:32631", "EPSG:4326", always_xy=True)


def thumbnail(seed=0, size=96):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size, size), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def row(scale="medium", at=(0, 0), fate=Fate.KEPT, *, scene="harbour", parent=None, turn=0.0, **changes):
    """A slice of 1 km2 at (km east, km south) of a scene that is turned by so many degrees."""
    affine = (
        Affine.translation(500_000, 6_100_000)
        @ Affine.rotation(turn)
        @ Affine.scale(4, -4)
        @ Affine.translation(250 * at[0], 250 * at[1])
    )
    corners = [affine @ xy for xy in ((0, 0), (250, 0), (250, 250), (0, 250), (0, 0))]
    one = Slice(
        id=f"{scene}/{scale}-{at[1]}-{at[0]}", scene=scene, scale=scale, parent=parent,
        window=SceneWindow(250 * at[0], 250 * at[1], 250, 250), width=250, height=250,
        footprint=tuple(TO_LON_LAT.transform(x, y) for x, y in corners), crs="EPSG:32631",
        affine=tuple(affine)[:6], pixel_m=4.0, sensor="S1", polarisation="VV", acquired="2024-05-01",
    )  # fmt: skip
    verdict = Verdict(fate=fate, region="port", richness=0.75, features={"entropy": 5.5})
    made = SliceRow(
        slice=one, verdict=verdict, data_share=1.0, prior="cog", prior_nodes=100, thumbnail=thumbnail(),
        group=scene, split="train",
    )  # fmt: skip
    return replace(made, **changes)


def many(count, fate=Fate.KEPT, scene="harbour"):
    return [row("small", (i % 20, i // 20), fate, scene=scene) for i in range(count)]


def held(html):
    """The numbers that a page embeds, unpacked."""
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)

    def unpacked(value):
        if isinstance(value, dict) and set(value) == {"type", "base64"}:
            return np.frombuffer(base64.b64decode(value["base64"]), np.dtype(value["type"]).newbyteorder("<"))
        return {key: unpacked(part) for key, part in value.items()} if isinstance(value, dict) else value

    return unpacked(json.loads(text))


def written(tmp_path, rows, title="A corpus"):
    write_map(iter(rows), tmp_path / "map.html", title)
    return (tmp_path / "map.html").read_text("utf-8")


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, attrs))


class TestMap:
    def test_it_holds_every_slice_with_its_place_reason_and_parent(self, tmp_path):
        large = row("large", turn=20)
        medium = row("medium", (1, 2), Fate.WATER, parent=large.slice.id, turn=20)
        lost = row("small", (1, 2), Fate.POOR, parent="harbour/medium-9-9", split=None)
        html = written(tmp_path, [large, medium, lost])
        data = held(html)
        assert data["ids"] == [each.slice.id for each in (large, medium, lost)]
        assert data["parents"].tolist() == [-1, 0, -1]
        assert data["parents_away"] == {"2": "harbour/medium-9-9"}

        def said(name):
            return [data["names"][name][code] for code in data["codes"][name]]

        assert said("fate") == ["kept", "water", "poor in information"]
        assert said("scale") == list(SCALES)
        assert said("split") == ["train", "train", ""]
        assert said("region") == ["port"] * 3
        assert data["numbers"]["richness"].tolist() == [0.75] * 3
        assert data["features"]["entropy"].tolist() == [5.5] * 3
        assert data["starts"].tolist() == [0, 4, 8, 12]
        rings = data["rings"].reshape(3, 4, 2) / 1e6
        np.testing.assert_allclose(rings[1], np.array(medium.slice.footprint)[:4], atol=1e-6)
        corners = np.array(data["pictures"]["1"]["corners"]).reshape(4, 2) / 1e6
        np.testing.assert_allclose(corners, np.array(medium.slice.footprint)[:4], atol=2e-6)
        assert "3 slices of 1 scene; 1 kept (33%)" in html

    def test_names_are_no_html_and_nothing_leads_to_a_network(self, tmp_path):
        evil = row(scene=EVIL, prior=EVIL, verdict=Verdict(fate=Fate.KEPT, region=EVIL, features={EVIL: 1.0}))
        html = written(tmp_path, [evil, replace(evil, split=EVIL)], EVIL)
        assert EVIL not in html
        tags = [(tag, dict(attributes)) for tag, attributes in Tags(html).found]
        assert [tag for tag, _ in tags].count("script") == 3
        assert "img" not in dict(tags)
        assert not any({"src", "href"} & attributes.keys() for _, attributes in tags)
        assert "http" not in re.sub("http(-equiv|://evil)", "", html)
        assert held(html)["names"]["scene"] == [EVIL]

    def test_only_its_own_script_may_run(self, tmp_path):
        html = written(tmp_path, [row()])
        [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert (
            f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
            in html
        )

    def test_a_large_corpus_gives_a_page_of_bounded_size_that_says_so(self, tmp_path, monkeypatch):
        monkeypatch.setattr("fusar_train.corpus.slices.pages.MapData", lambda: MapData(100, 10))
        html = written(tmp_path, many(300) + many(20, Fate.WATER, scene="sea"))
        data = held(html)
        assert 50 <= len(data["ids"]) <= 100
        assert len(data["pictures"]) == 10
        water = data["names"]["fate"].index("water")
        pictured = [data["codes"]["fate"][int(i)] for i in data["pictures"]]
        assert pictured.count(water) >= 2, "the few are not lost among the many"
        assert f"{len(data['ids'])} of 320 slices, chosen evenly" in html
        assert '<td class="n">300</td>' in html, "the table counts all"

    def test_a_slice_without_a_place_is_counted_and_told(self, tmp_path):
        def at(footprint):
            there = row(fate=Fate.DAMAGED, thumbnail=b"")
            return replace(there, slice=replace(there.slice, footprint=footprint))

        nan = float("nan")
        html = written(
            tmp_path,
            [row(), at(()), at(((nan, 0), (1, nan), (1, 1), (nan, 0))), at(((0, 0), (1e9, 0), (0, 1)))],
        )
        assert len(held(html)["ids"]) == 1
        assert "3 slices without a place on the map" in html

    def test_across_the_antimeridian_and_with_many_corners(self, tmp_path):
        turn = np.linspace(0, 2 * np.pi, 4001)
        ring = tuple(zip(180 + 0.01 * np.cos(turn), -18 + 0.01 * np.sin(turn), strict=True))
        there = row(scene="fiji")
        data = held(
            written(tmp_path, [replace(there, slice=replace(there.slice, footprint=ring, affine=None))])
        )
        assert len(data["rings"]) < 100
        lon = data["rings"][::2] / 1e6
        assert lon.min() == pytest.approx(179.99, abs=1e-4)
        assert lon.max() == pytest.approx(180.01, abs=1e-4)
        assert data["pictures"]["0"]["corners"] is None

    def test_a_damaged_thumbnail_costs_only_itself(self, tmp_path):
        html = written(
            tmp_path, [row(thumbnail=b"no PNG"), row(at=(1, 0), thumbnail=thumbnail()[:200]), row(at=(2, 0))]
        )
        assert list(held(html)["pictures"]) == ["2"]

    def test_no_rows_and_a_folder_in_the_way_are_refused_in_words(self, tmp_path):
        with pytest.raises(CorpusError, match="no slice to show"):
            write_map([], tmp_path / "map.html", "none")
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(OutputError, match="it is a folder"):
            write_map([row()], tmp_path, "none")


class TestSheet:
    def write(self, tmp_path, rows):
        write_sheet(iter(rows), tmp_path / "sheet.png")
        return Image.open(tmp_path / "sheet.png").convert("RGB")

    def test_every_fate_has_its_part_in_order(self, tmp_path):
        sheet = np.asarray(self.write(tmp_path, [row(fate=fate, at=(i, 0)) for i, fate in enumerate(Fate)]))
        tops = [np.argwhere((sheet == FATE_COLOURS[fate]).all(axis=2))[0, 0] for fate in Fate]
        assert tops == sorted(tops)

    def test_it_does_not_grow_with_the_corpus(self, tmp_path):
        few = self.write(tmp_path, many(TILES))
        assert self.write(tmp_path, many(50 * TILES)).size == few.size

    def test_slices_that_were_not_read_are_counted_only(self, tmp_path):
        assert self.write(tmp_path, [row(fate=Fate.DAMAGED, thumbnail=b"")]).height < 120
        self.write(tmp_path, [row(thumbnail=b"no PNG"), row(scene="\u6e2f" * 300)])

    def test_no_rows_are_refused(self, tmp_path):
        with pytest.raises(CorpusError, match="no slice to show"):
            write_sheet([], tmp_path / "sheet.png")
        assert list(tmp_path.iterdir()) == []


class TestSampling:
    @given(st.integers(0, 500), st.integers(1, 50))
    def test_an_even_sample_of_a_stream(self, length, limit):
        sample, made = EvenSample[int](limit), []
        for i in range(length):
            sample.offer(lambda i=i: made.append(i) or i)
        assert sample.seen == length
        assert len(sample.kept) <= limit
        assert len(sample.kept) >= min(length, (limit + 1) // 2)
        gaps = set(np.diff(sample.kept).tolist())
        assert len(gaps) <= 1, "spread evenly"
        assert sample.kept[:1] == [0][:length]
        assert len(made) <= limit * (1 + length.bit_length()), "what is not kept is not made"

    @given(st.lists(st.integers(0, 100), max_size=9), st.integers(0, 300))
    def test_fair_shares(self, sizes, total):
        shares = fair_shares(sizes, total)
        assert all(0 <= share <= size for share, size in zip(shares, sizes, strict=True))
        assert sum(shares) == min(total, sum(sizes))
        short = [share for share, size in zip(shares, sizes, strict=True) if share < size]
        assert not short or max(shares) <= max(short) + 1, "nobody gets more while another goes short"
        assert not short or max(short) - min(short) <= 1

    @settings(max_examples=50)
    @given(st.lists(st.integers(), max_size=60), st.integers(0, 80))
    def test_evenly(self, items, count):
        chosen = evenly(items, count)
        assert len(chosen) == min(count, len(items))
