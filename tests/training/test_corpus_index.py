"""The index of a corpus: a row a slice, that comes back as it was and opens as GeoParquet."""

import geopandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusar_gpt.frames import SceneWindow
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.slices import index
from fusar_train.corpus.slices.slice import SCALES, Fate, Slice, SliceRow, Verdict

names = st.text(st.characters(codec="utf-8"), max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
maybe = st.one_of(st.none(), names)


@st.composite
def some_rows(draw):
    west, south = draw(st.floats(170, 181)), draw(st.floats(-80, 80))
    ring = [(west, south), (west + 3, south), (west + 3, south - 1), (west, south - 1), (west, south)]
    one = Slice(
        id=draw(names), scene=draw(names), scale=draw(st.sampled_from(SCALES)), parent=draw(maybe),
        window=SceneWindow(draw(st.integers(-99, 99)), -3, draw(st.integers(1, 9)), 7),
        width=draw(st.integers(1, 9000)), height=5, footprint=tuple(ring), crs="EPSG:32631",
        affine=draw(st.one_of(st.none(), st.tuples(*[numbers] * 6))), pixel_m=draw(numbers),
        sensor=draw(maybe), polarisation=draw(maybe), acquired=draw(maybe),
    )  # fmt: skip
    verdict = Verdict(
        fate=draw(st.sampled_from(Fate)), region=draw(maybe), richness=draw(st.one_of(st.none(), numbers)),
        features=draw(st.dictionaries(names, numbers, max_size=3)),
    )  # fmt: skip
    return SliceRow(
        slice=one, verdict=verdict, data_share=draw(st.one_of(st.none(), numbers)),
        prior=draw(names), prior_nodes=draw(st.integers(0, 999)),
        thumbnail=draw(st.binary(max_size=9)), group=draw(names), split=draw(st.sampled_from(["train", None])),
    )  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(some_rows(), max_size=4))
def test_rows_come_back_from_the_index_as_they_were(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("index")
    assert index.write_rows(iter(rows), folder / index.INDEX_FILE) == len(rows)
    assert list(index.read_index(folder)) == rows


def a_row(**more):
    ring = ((179.5, 1.0), (180.5, 1.0), (180.5, 0.0), (179.5, 0.0), (179.5, 1.0))
    facts = {
        "id": "a/large-0-0",
        "scene": "a",
        "scale": "large",
        "parent": None,
        "window": SceneWindow(0, 0, 9, 9),
    }
    facts |= {"width": 9, "height": 9, "footprint": ring, "crs": "EPSG:4326", "affine": None, "pixel_m": 1.0}
    row = {"verdict": Verdict(fate=Fate.KEPT, features={"contrast": 2.5}), "data_share": 1.0, "prior": "none"}
    return SliceRow(slice=Slice(**facts), **row | {"prior_nodes": 0, "thumbnail": b""} | more)


def test_the_index_opens_as_geoparquet_cut_at_the_antimeridian(tmp_path):
    index.write_rows([a_row()], tmp_path / "index.parquet")
    frame = geopandas.read_parquet(tmp_path / "index.parquet")
    assert frame.crs == "EPSG:4326"
    (outline,) = frame.geometry
    assert outline.geom_type == "MultiPolygon"
    assert outline.bounds == (-180, 0, 180, 1)
    assert outline.area == pytest.approx(1)
    assert frame.fate[0] == "kept"
    assert dict(frame.features[0]) == {"contrast": 2.5}


def test_rows_are_written_in_groups_whatever_their_number(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "ROW_GROUP", 10)
    index.write_rows((a_row() for _ in range(35)), tmp_path / "one.parquet")
    index.write_rows([a_row(group="g")], tmp_path / "two.parquet")
    parts = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    assert index.merge_parts(parts, tmp_path / "index.parquet", {"g": "val"}) == 36
    from pyarrow.parquet import ParquetFile

    assert ParquetFile(tmp_path / "one.parquet").metadata.num_row_groups == 4
    splits = [row.split for row in index.read_index(tmp_path)]
    assert splits == [None] * 35 + ["val"]


def test_an_index_that_is_none_is_told(tmp_path):
    (tmp_path / "index.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(CorpusError, match=r"index.parquet cannot be read"):
        list(index.read_index(tmp_path))
    with pytest.raises(CorpusError, match="cannot be read"):
        list(index.read_index(tmp_path / "nowhere"))
