"""Scenes in files, folders, lists and STAC: each once, by a name that stays, and all that is none is said."""

import json
import os
import pickle
import re
import shutil

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from scene_samples import NORTH_UP, found, numbers, safe, scene, speckle, write, write_json

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.slices.candidates import name_of
from fusar_train.corpus.slices.scenes import find_scenes
from fusar_train.corpus.slices.sensors import day_of, polarisation_of, sensor_of


def item(name="it", assets=None, **properties):
    href = {"href": f"./{name}.tif", "type": "image/tiff; application=geotiff", "roles": ["data"]}
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "geometry": None, "links": [],
        "properties": {"datetime": "2024-05-31T01:02:03Z", **properties}, "assets": assets or {"data": href},
    }  # fmt: skip


# Folders


def test_a_folder_is_searched_and_all_that_is_no_scene_is_said(tmp_path):
    scene(tmp_path / "one.tif")
    scene(tmp_path / "deep/er/S1A_IW_GRDH_1SDV_20180716T004042_VV.tif", 1)
    scene(tmp_path / "port_mask.tif", 2)
    scene(tmp_path / "LULC/one.tif", 3)
    scene(tmp_path / "one_prior.tif", 4)
    scene(tmp_path / "one_quick-look.tif", 5)
    scene(tmp_path / "._one.tif", 6)
    scene(tmp_path / ".trash/one.tif", 6)
    scene(tmp_path / "corpus/one.tif", 6)
    (tmp_path / "corpus/index.parquet").touch()
    (tmp_path / "one.png").touch()
    (tmp_path / "one.tif.aux.xml").write_text("<PAMDataset/>")
    (tmp_path / "mosaic.vrt").write_text("<VRTDataset/>")
    entries, errors, told = found(tmp_path)
    assert set(entries) == {"one", "deep.er.S1A_IW_GRDH_1SDV_20180716T004042_VV"}
    assert errors == []
    said = "\n".join(told)
    for part in ("mask or label: LULC, port_mask.tif", "prior: one_prior.tif", "picture: one_quick-look.tif",
                 "no part of the data: ._one.tif, .trash", "data made from scenes: corpus", "georeferencing: one.png",
                 "no rasters: 1 .xml",
        "a view of other rasters (name it by itself if it is meant): mosaic.vrt"):  # fmt: skip
        assert part in said
    s1 = entries["deep.er.S1A_IW_GRDH_1SDV_20180716T004042_VV"]
    assert (s1.sensor, s1.acquired, s1.polarisation) == ("Sentinel-1A", "2018-07-16", "VV")


def test_masks_and_priors_are_known_by_their_pixels_too(tmp_path):
    scene(tmp_path / "sea.tif")
    classes = np.kron(np.random.default_rng(0).integers(1, 9, (6, 8)), np.ones((16, 16))).astype(np.uint8)
    write(tmp_path / "towns.tif", classes)
    write(tmp_path / "vectors.tif", np.random.default_rng(1).integers(-99, 99, (64, 9, 9)).astype(np.int8))
    write(tmp_path / "optical.tif", np.random.default_rng(1).integers(1, 999, (12, 20, 20)).astype(np.uint16))
    entries, errors, told = found(tmp_path)
    assert (set(entries), errors) == ({"sea"}, [])
    assert [re.sub(r".*/", "", line) for line in told] == [
        "optical.tif is left out: it has 12 bands, and none is called by a polarisation: if one is a radar image, "
        "name it in a table with the columns path and band.",
        "towns.tif is left out: it has few different numbers in even patches, as a mask or class map has, and no "
        "speckle.",
        "vectors.tif is left out: it has 64 bands, as AEF vectors have: it is a prior.",
    ]
    entries, errors, _ = found(tmp_path / "towns.tif", tmp_path / "vectors.tif", tmp_path / "optical.tif")
    assert not entries
    assert len(errors) == 3  # what a user names is no litter
    assert all("is no scene: it has" in error for error in errors)


def test_a_calm_sea_in_eight_bits_is_no_mask(tmp_path):
    dark = np.clip(np.sqrt(speckle(200, 200)) * 60, 1, 20).astype(np.uint8)
    write(tmp_path / "calm.tif", dark)
    assert set(found(tmp_path)[0]) == {"calm"}


def test_of_the_polarisations_of_one_scene_one_is_taken(tmp_path):
    for pol in ("vh", "hh", "vv", "hv"):
        scene(tmp_path / f"sar_{pol}.tif", transform=NORTH_UP)
    scene(tmp_path / "other_hh.tif")
    scene(tmp_path / "other_hv.tif")
    scene(tmp_path / "s1a-iw-grd-vv-20200101t000000-001.tiff")
    scene(tmp_path / "s1a-iw-grd-vh-20200101t000000-002.tiff")
    entries, _, told = found(tmp_path)
    assert set(entries) == {"sar_vv", "other_hh", "s1a-iw-grd-vv-20200101t000000-001"}
    assert {one.polarisation for one in entries.values()} == {"VV", "HH"}
    said = "\n".join(told)
    assert "taken in HH: other_hv.tif." in said
    assert "taken in VV: s1a-iw-grd-vh-20200101t000000-002.tiff, sar_hh.tif, sar_hv.tif, sar_vh.tif." in said


def test_a_folder_may_tell_the_polarisation(tmp_path):
    for pol in ("VH", "VV"):
        scene(tmp_path / pol / "port.tif")
    entries, _, told = found(tmp_path)
    assert {name: one.polarisation for name, one in entries.items()} == {"VV.port": "VV"}
    assert "taken in VV: VH/port.tif" in told[0]


def test_a_folder_that_cannot_be_searched_is_said(tmp_path, monkeypatch):
    scene(tmp_path / "in/one.tif")
    scene(tmp_path / "locked/two.tif")
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    entries, errors, _ = found(tmp_path)
    assert set(entries) == {"in.one"}
    assert "locked cannot be searched (Permission denied)" in errors[0]


def test_of_bands_without_names_the_first_is_read_aloud(tmp_path):
    write(tmp_path / "two.tif", np.stack([numbers(1), numbers(2)]))
    entries, _, told = found(tmp_path)
    assert entries["two"].polarisation is None
    assert told == [f"{tmp_path}/two.tif has 2 bands without names, of which the first is read."]


def test_a_product_is_one_scene(tmp_path):
    product = safe(tmp_path / "scenes/S1A_IW_GRDH_1SDV_20180716T004042.SAFE", ("IW_VH", "IW_VV"), "GRD")
    for source in (tmp_path / "scenes", product, product / "manifest.safe"):
        entries, errors, _ = found(source)
        (only,) = entries.values()
        assert (only.polarisation, only.sensor, only.acquired) == ("VV", "Sentinel-1A", "2018-07-16")
        assert not errors
    entries, errors, told = found(tmp_path / "scenes", product / "manifest.safe")
    assert list(entries) == ["S1A_IW_GRDH_1SDV_20180716T004042"]
    assert not errors
    assert "named before, and is the scene S1A_IW_GRDH_1SDV_20180716T004042." in told[-1]


def test_names_stay_when_other_scenes_come(tmp_path):
    scene(tmp_path / "x/port.tif")
    before, _, _ = found(tmp_path)
    scene(tmp_path / "a/port.tif", 1)
    scene(tmp_path / "port.tif", 2)
    scene(tmp_path / "x/port.img", 3, driver="HFA")
    after, _, _ = found(tmp_path)
    assert set(before) == {"x.port"}
    assert after["x.port"] == before["x.port"]
    assert set(after) == {"x.port", "a.port", "port", "x.port.img"}
    both, _, _ = found(tmp_path / "x", tmp_path / "a")
    assert {name: one.path.parent.name for name, one in both.items()} == {
        "port": "x",
        "port.img": "x",
        "a.port": "a",
    }


def test_a_link_in_a_circle_ends(tmp_path):
    scene(tmp_path / "s/one.tif")
    (tmp_path / "s/again").symlink_to(tmp_path / "s")
    (tmp_path / "s/twice.tif").symlink_to(tmp_path / "s/one.tif")
    assert set(found(tmp_path)[0]) == {"s.one"}


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=40), min_size=1, max_size=4
    )
)
def test_a_name_can_be_that_of_a_file_and_depends_on_the_path_alone(parts):
    name = name_of("/".join(parts) + ".tif")
    assert re.fullmatch(r"(?!\.)[\w.-]+", name)
    assert len(name) <= 110
    assert name == name_of("/".join(parts) + ".tif")


def test_names_that_had_to_be_changed_stay_apart():
    assert name_of("a b.tif") != name_of("a_b.tif") != name_of("a+b.tif") != name_of("a b.tif")
    assert name_of("x" * 300) != name_of("x" * 301)
    assert name_of("a\ud800") != name_of("a\udcff")  # as JSON may hold, and a file name that is no UTF-8


def test_an_entry_is_small_and_opens_again(tmp_path):
    scene(tmp_path / "one.tif", tags={"FUSAR_ATTRIBUTION": "us", "ACQUISITION_DATE": "2020-02-03"})
    (entry,) = found(tmp_path)[0].values()
    sent = pickle.dumps(entry)
    assert len(sent) < 1000
    with pickle.loads(sent).open() as opened:
        assert (opened.width, opened.height) == (60, 40)
    assert (entry.attribution, entry.acquired) == ("us", "2020-02-03")
    assert shapely.get_num_coordinates(entry.footprint) >= 5


# What is wrong


def test_what_is_wrong_comes_as_an_error_and_the_rest_goes_on(tmp_path):
    whole = scene(tmp_path / "a.tif", size=(300, 300))
    write(tmp_path / "b_nowhere.tif", numbers(), transform=None, crs=None)
    write(tmp_path / "c_one_value.tif", np.full((40, 60), 7, np.uint16))
    write(tmp_path / "d_empty.tif", np.zeros((40, 60), np.uint16))
    (tmp_path / "e_cut.tif").write_bytes(whole.read_bytes()[:90_000])
    (tmp_path / "f_text.tif").write_text("no raster")
    (tmp_path / "g.zip").touch()
    write(tmp_path / "h_part.tif", np.random.default_rng(0).uniform(-3.1, 3.1, (40, 60)).astype(np.float32))
    bad = [GroundControlPoint(row=0, col=0, x=1, y=1), GroundControlPoint(row=0, col=9, x=1, y=1)]
    write(tmp_path / "i_points.tif", numbers(), gcps=bad)
    scene(tmp_path / "z.tif")
    entries, errors, _ = found(tmp_path)
    assert set(entries) == {"a", "z"}
    said = {re.search(r"/(\w+)\.\w+", error.replace(str(tmp_path), ""))[1]: error for error in errors}
    assert set(said) == {"b_nowhere", "c_one_value", "d_empty", "e_cut", "f_text", "g", "h_part", "i_points"}
    assert "no georeferencing" in said["b_nowhere"]
    assert "all its pixels have one value, 7" in said["c_one_value"]
    assert "holds no data" in said["d_empty"]
    assert "damaged or cut short" in said["e_cut"]
    assert "cannot be opened as a raster" in said["f_text"]
    assert "unpack it first" in said["g"]
    assert all(error.endswith(".") and "\n" not in error for error in errors)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "https://example.org/s1.tif",
            "https://example.org/s1.tif is not on this machine: download it first.",
        ),
        ("s3://bucket/s1.tif", "download it first"),
        ("/vsicurl/http://example.org/s1.tif", "download it first"),
        ("/nothing/here", "does not exist"),
        ("~nobody-of-that-name/s1.tif", "is no usable path"),
    ],
)
def test_a_source_that_is_not_there(source, said):
    entries, (error,), _ = found(source)
    assert not entries
    assert said in error


def test_a_folder_without_scenes_is_said(tmp_path):
    assert "holds no scene" in found(tmp_path)[1][0]


# Lists


def test_a_list_names_paths_relative_to_itself(tmp_path):
    scene(tmp_path / "data/in/one.tif")
    scene(tmp_path / "two.tif", 1)
    scene(tmp_path / "more/three.tif", 2)
    scene(tmp_path / "my scene.tif", 3)
    lines = [
        "# ours", "", "in\\one.tif", "in/lost.tif", "../two.tif", '"../my scene.tif"', "../more", "in/one.tif",
        "https://example.org/x.tif", f"{tmp_path}/two.tif", "list.txt",
    ]  # fmt: skip
    (tmp_path / "data/list.txt").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    entries, errors, told = found(tmp_path / "data/list.txt")
    assert list(entries) == ["in.one", "two", name_of("my scene.tif"), "three"]
    assert not any(one.trusted for one in entries.values())
    file = tmp_path / "data/list.txt"
    assert errors[0] == f"{file}, line 4: in/lost.tif does not exist: check the path."
    assert (
        errors[1] == f"{file}, line 9: https://example.org/x.tif is not on this machine: download it first."
    )
    assert f"{file}, line 11, list.txt: it is damaged, or no raster that a list may name" in errors[2]
    assert [line for line in told if "line 8" in line] == [
        f"{file}, line 8, in/one.tif was named before, and is the scene in.one."
    ]


def test_a_table_says_what_the_files_do_not(tmp_path):
    write(tmp_path / "dual.tif", np.stack([numbers(1), numbers(2)]), names=("VV", "VH"))
    scene(tmp_path / "b.tif")
    (tmp_path / "scenes.csv").write_text(
        "Path;Band;Sensor;Acquired;Licence;Notes;Polarization\n"
        'dual.tif;;;2024-05-31T10:00:00Z;"CC BY; 4.0";x;\n'
        "dual.tif;VH;\n"
        "dual.tif;vv\n"
        "b.tif;;Gaofen-3;;;;hh\n"
        "b.tif;7\n"
        "b.tif;;;yesterday\n"
        "b.tif;;;;;;XX\n"
        "b.tif;;;;;;;;\n"
        ";VV\n"
    )
    entries, errors, told = found(tmp_path / "scenes.csv")
    assert list(entries) == ["dual", "dual.VH", "b"]
    dual, vh, b = entries.values()
    assert (dual.acquired, dual.licence, dual.polarisation) == ("2024-05-31", "CC BY; 4.0", "VV")
    assert (vh.band, vh.polarisation) == ("VH", "VH")
    assert (b.sensor, b.polarisation) == ("Gaofen-3", "HH")
    assert [re.search(r"line (\d+)", error)[1] for error in errors] == ["6", "7", "8", "9", "10"]
    assert "has no band '7'" in errors[0]
    assert "columns that are not read: Notes." in told[0]


def test_a_table_of_one_column_needs_no_header_and_one_without_paths_is_refused(tmp_path):
    scene(tmp_path / "b.tif")
    (tmp_path / "a.csv").write_text("b.tif\n")
    (tmp_path / "b.csv").write_text("x,y\nb.tif,1\n")
    (tmp_path / "c.csv").write_text('path,band\nb.tif,"VV\n')
    (tmp_path / "d.txt").write_bytes("b.tif\n".encode("utf-16"))
    (tmp_path / "e.txt").write_bytes(b"b\xfc.tif\n")
    assert list(found(tmp_path / "a.csv")[0]) == list(found(tmp_path / "d.txt")[0]) == ["b"]
    assert "names no column 'path'" in found(tmp_path / "b.csv")[1][0]
    assert "no row of a table" in found(tmp_path / "c.csv")[1][0]
    assert "save it as UTF-8" in found(tmp_path / "e.txt")[1][0]


def test_a_list_opens_nothing_that_leads_elsewhere(tmp_path):
    scene(tmp_path / "one.tif")
    source = f"<SourceFilename>{tmp_path}/one.tif</SourceFilename><SourceBand>1</SourceBand>"
    (tmp_path / "view.vrt").write_text(
        '<VRTDataset rasterXSize="60" rasterYSize="40"><SRS>EPSG:32631</SRS>'
        "<GeoTransform>593000,10,0,5749000,0,-10</GeoTransform>"
        f'<VRTRasterBand dataType="UInt16" band="1"><SimpleSource>{source}</SimpleSource></VRTRasterBand></VRTDataset>'
    )
    product = safe(tmp_path / "S1A_X.SAFE", ("IW_VV",), "GRD")
    spoilt = shutil.copytree(product, tmp_path / "S1B_X.SAFE")
    shutil.copy(tmp_path / "view.vrt", spoilt / "measurement/IW_VV.tiff")
    (tmp_path / "list.txt").write_text("view.vrt\nS1A_X.SAFE\nS1B_X.SAFE\n")
    entries, errors, _ = found(tmp_path / "list.txt")
    assert set(entries) == {"S1A_X"}
    assert [re.search(r"line (\d)", error)[1] for error in errors] == ["1", "3"]
    assert set(found(tmp_path / "view.vrt")[0]) == {"view.vrt"}  # the user's own


# STAC


def test_an_item_tells_of_its_scene(tmp_path):
    scene(tmp_path / "it.tif")
    said = item(platform="sentinel-1a", license="CC-BY-4.0", **{"sar:polarizations": ["HH"]})
    entries, errors, _ = found(write_json(tmp_path / "it.json", said))
    assert not errors
    (entry,) = entries.values()
    assert (entry.name, entry.sensor, entry.acquired, entry.polarisation, entry.licence) == (
        "it", "Sentinel-1A", "2024-05-31", "HH", "CC-BY-4.0",
    )  # fmt: skip


def test_a_range_of_times_begins_on_the_day(tmp_path):
    scene(tmp_path / "it.tif")
    said = item(datetime=None, start_datetime="2023-12-31T23:59:59Z", end_datetime="2024-01-01T00:00:10Z")
    assert found(write_json(tmp_path / "it.json", said))[0]["it"].acquired == "2023-12-31"


def test_the_data_asset_is_chosen_and_several_polarisations_are_one_scene(tmp_path):
    scene(tmp_path / "a%20b-vv.tif")
    scene(tmp_path / "hh.tif")
    tiff = "image/tiff; application=geotiff"
    assets = {
        "thumbnail": {"href": "t.tif", "roles": ["thumbnail"], "type": tiff},
        "schema": {"href": "x.xml", "roles": ["metadata"], "type": "application/xml"},
        "mask": {"href": "m.tif", "roles": ["data"], "type": tiff},
        "incidence_angle": {"href": "i.tif", "roles": ["data"], "type": tiff},
        "VH": {"href": "vh.tif", "roles": ["data"], "type": tiff},
        "HH": {"href": "hh.tif", "roles": ["data"], "type": tiff},
        "VV": {"href": "./a%20b-vv.tif", "roles": ["data"], "type": tiff},
    }
    entries, errors, told = found(write_json(tmp_path / "it.json", item(assets=assets)))
    assert not errors
    assert entries["it"].path.name == "a%20b-vv.tif"
    assert entries["it"].polarisation == "VV"
    assert told[0].endswith("of its images VH, HH, VV one is taken, VV.")
    assets["VV"]["href"] = "s3://bucket/vv.tif"
    assert found(write_json(tmp_path / "it.json", item(assets=assets)))[0]["it"].polarisation == "HH"
    only = {key: assets[key] for key in ("VV", "thumbnail")}
    assert "download it first" in found(write_json(tmp_path / "it.json", item(assets=only)))[1][0]


def test_lists_of_items(tmp_path):
    scene(tmp_path / "a.tif")
    scene(tmp_path / "b c.tif", 1)
    spaced = item("b", {"d": {"href": "b%20c.tif", "type": "image/tiff", "roles": ["data"]}})
    items = [item("a"), item("lost"), {"type": "Feature", "id": "no"}, 7, spaced]
    collection = {
        "type": "FeatureCollection",
        "features": items,
        "links": [{"rel": "next", "href": "https://x"}],
    }
    entries, errors, told = found(write_json(tmp_path / "items.json", collection))
    assert set(entries) == {"a", "b"}
    assert [re.search(r"item (\d)", error)[1] for error in errors] == ["2", "3", "4"]
    assert "lost.tif does not exist" in errors[0]
    assert "has no assets" in errors[1]
    assert "one page of a search" in told[0]
    (tmp_path / "items.ndjson").write_text("\n".join(['{"half', *map(json.dumps, items)]))
    entries, errors, _ = found(tmp_path / "items.ndjson")
    assert set(entries) == {"a", "b"}
    assert len(errors) == 4
    assert "line 1, is no JSON" in errors[0]


def test_a_catalogue_is_followed_within_its_folder(tmp_path):
    root = tmp_path / "cat"
    scene(root / "sub/a/a.tif")
    scene(root / "sub/b/b.tif", 1)
    scene(tmp_path / "out.tif", 2)
    write_json(root / "sub/a/a.json", item("a"))
    write_json(root / "sub/b/b.json", item("b", license="CC0-1.0"))
    write_json(tmp_path / "out.json", item("out"))
    (root / "sub/broken.json").write_text("{")
    hrefs = [
        "./a/a.json",
        "b/b.json",
        "lost.json",
        "broken.json",
        "../../out.json",
        "https://example.org/i.json",
    ]
    links = [{"rel": "item", "href": href} for href in hrefs]
    collection = {
        "type": "Collection", "id": "col", "license": "CC-BY-4.0",
        "links": [{"rel": "root", "href": "../c.json"}, *links],
        "providers": [{"name": "ESA", "roles": ["producer"]}, {"name": "Host", "roles": ["host"]}],
    }  # fmt: skip
    write_json(root / "sub/collection.json", collection)
    children = [{"rel": "child", "href": "sub/collection.json"}, {"rel": "child", "href": "catalog.json"}]
    entries, errors, _ = found(
        write_json(root / "catalog.json", {"type": "Catalog", "id": "c", "links": children})
    )
    assert {name: one.licence for name, one in entries.items()} == {"a": "CC-BY-4.0", "b": "CC0-1.0"}
    assert {one.attribution for one in entries.values()} == {"ESA"}
    said = "\n".join(errors)
    assert len(errors) == 4
    for part in (
        "lost.json does not exist",
        "broken.json is no JSON",
        "leads out of",
        "i.json is not on this machine",
    ):
        assert part in said


@pytest.mark.parametrize(
    "content",
    [
        '{"type": "Polygon"}',
        "[1, 2]",
        '{"type": "FeatureCollection"}',
        "{",
        '{"type": "Catalog", "links": [1]}',
        "7",
    ],
)
def test_json_that_is_no_stac(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    entries, errors, _ = found(tmp_path / "x.json")
    assert not entries
    assert len(errors) == 1
    assert "x.json" in errors[0]


odd = st.sampled_from(
    [None, True, 7, "x", [], [1], ["x"], {}, {"x": 1}, {"href": 1}, [{"rel": "item"}], [{}]]
)
fields = ("id", "assets", "properties", "links", "features", "providers", "license")


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(["Feature", "FeatureCollection", "Catalog"]),
    st.dictionaries(st.sampled_from(fields), odd),
)
def test_whatever_a_file_says_comes_as_an_error(tmp_path_factory, kind, content):
    file = write_json(tmp_path_factory.getbasetemp() / "any.json", {"type": kind, **content})
    assert all(isinstance(one, CorpusError) for one in find_scenes([file]))


@settings(deadline=None, max_examples=50)
@given(odd, odd, odd, odd)
def test_whatever_an_item_says_comes_as_an_error(tmp_path_factory, asset, roles, pol, licence):
    assets = {"a": asset, "b": {"href": "b.tif", "roles": roles, "sar:polarizations": pol, "type": licence}}
    said = item(assets=assets, license=licence, providers=roles, **{"sar:polarizations": pol})
    file = write_json(tmp_path_factory.getbasetemp() / "any.json", said)
    assert [type(one) for one in find_scenes([file])] == [CorpusError]


# Names of products


@pytest.mark.parametrize(
    ("name", "sensor", "day", "polarisation"),
    [
        ("S1A_IW_GRDH_1SDV_20180716T004042_20180716T004107_022812", "Sentinel-1A", "2018-07-16", None),
        ("s1c-iw-grd-vv-20250716t004042-001", "Sentinel-1C", "2025-07-16", "VV"),
        ("GF3_SAY_UFS_000605_E122.5_N37.3_20160919_L1A_HH_L10001972526", "Gaofen-3", "2016-09-19", "HH"),
        ("GF3B_MYC_QPSI_1_E1_N2_20220101_L1A_HV_L1", "Gaofen-3B", "2022-01-01", "HV"),
        ("2023-02-12-10-11-12_UMBRA-04_GEC", "Umbra-04", "2023-02-12", None),
        ("CAPELLA_C02_SM_GEO_HH_20201209213329_20201209213332", "Capella-2", "2020-12-09", "HH"),
        ("ICEYE_X7_GRD_SLED_54549_20210427T215124", "ICEYE-X7", "2021-04-27", None),
        ("OPERA_L2_RTC-S1_T137-292318-IW1_20211119T015854Z_20250830T120333Z_S1A_30_v1.0_VH", "Sentinel-1A",
         "2021-11-19", "VH"),
        ("TSX1_SAR__MGD_SE___SM_S_SRA_20090209T", "TerraSAR-X", "2009-02-09", None),
        ("holiday_in_Umbria_1", None, None, None),
    ],
)  # fmt: skip
def test_what_a_name_tells(name, sensor, day, polarisation):
    told = day_of([name], {})
    assert (sensor_of([name]), told and told.isoformat(), polarisation_of([name])) == (
        sensor,
        day,
        polarisation,
    )


def test_tags_go_before_names_and_the_day_of_writing_is_none():
    tags = {"TIFFTAG_DATETIME": "2024:01:01 00:00:00", "TIFFTAG_IMAGEDESCRIPTION": "Sentinel-1A IW GRD HR L1"}
    assert sensor_of(["iw-vv"], tags) == "Sentinel-1A"
    assert day_of(["iw-vv"], tags) is None
    assert day_of(["x_20200101"], {"datetime": "2021-07-21T08:40:10.000000000"}).isoformat() == "2021-07-21"
