"""Scenes with masks: pairs found, quantised as the backend does, laid on one grid, shares right, bad ones listed."""

import json
import re

import numpy as np
import pytest
import rasterio
from corpus_samples import save
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine
from rasterio.warp import transform, transform_bounds

from fusar_gpt.frames import LonLatPoints, SceneWindow
from fusar_gpt.imagery import open_scene
from fusar_train.cli.data_import import PRODUCTS as NAMED
from fusar_train.corpus.cover_classes import PRODUCTS, read_classes
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.formats import import_dataset
from fusar_train.corpus.mask_pairs import PAIRS, read_pair
from fusar_train.corpus.records import read_records
from fusar_train.corpus.texts.cover import TRUTH, Cover, count_cells


def from_origin(west, north, width, height):
    """Of north-up pixels; rasterio's own uses what affine warns of."""
    return Affine(width, 0, west, 0, -height, north)


UTM = from_origin(500_000, 4_000_000, 10, 10)
WATER = {"classes": PRODUCTS["water"]}


def decibels(seed=0, shape=(60, 90)):
    """Speckle of two looks around -12 dB."""
    power = np.random.default_rng(seed).gamma(2, 0.03, shape)
    return (10 * np.log10(power)).astype(np.float32)


def raster(path, *bands, at=UTM, crs="EPSG:32630", tags=(), names=(), **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = bands[0].shape
    kind = {"driver": "GTiff", "dtype": bands[0].dtype, "count": len(bands), "width": width, "height": height}
    with rasterio.open(path, "w", transform=at, crs=crs, **kind, **more) as out:
        out.write(np.stack(bands))
        out.update_tags(**dict(tags))
        for number, name in enumerate(names, 1):
            out.set_band_description(number, name)
    return path


def west_is_water(shape=(60, 90), columns=30):
    mask = np.zeros(shape, np.uint8)
    mask[:, :columns] = 1
    return mask


def pair(root, name="1", mask=None, image=None, **more):
    raster(root / "images" / f"{name}.tif", decibels() if image is None else image)
    raster(root / "masks" / f"{name}.tif", west_is_water() if mask is None else mask, **more)
    return root


def imported(name, root, out, *, skip=False, **facts):
    told, left_out = [], []
    import_dataset(
        name, root, out, facts, tell=told.append, skip=(lambda e: left_out.append(str(e))) if skip else None
    )
    return list(read_records(out)), told, left_out


def test_the_help_names_every_product():
    assert set(NAMED) == set(PRODUCTS)


def test_flood_chips_with_water_drawn_by_hand(tmp_path):
    root = tmp_path / "HandLabeled"
    mask = west_is_water().astype(np.int16)
    mask[:20] = -1
    for name in ("Spain_7370579", "Spain_99", "Ghana_5"):
        raster(root / "S1Hand" / f"{name}_S1Hand.tif", decibels(len(name)), decibels(1), names=("VV", "VH"))
        raster(root / "LabelHand" / f"{name}_LabelHand.tif", mask)
    raster(root / "S2Hand" / "Ghana_5_S2Hand.tif", decibels())
    records, told, _ = imported("sen1floods11", root, tmp_path / "out")
    assert [(one.id, one.scene) for one in records] == [
        ("sen1floods11/Ghana_5", "sen1floods11/Ghana"),
        ("sen1floods11/Spain_7370579", "sen1floods11/Spain"),
        ("sen1floods11/Spain_99", "sen1floods11/Spain"),
    ]
    known = records[0].provenance
    assert known["cover"]["classes"] == {
        "land": pytest.approx(2 / 3, abs=1e-4),
        "water": pytest.approx(1 / 3, abs=1e-4),
    }
    assert known["cover"]["where"]["water"] == [0, 0, 0, 1, 0, 0, 1, 0, 0]  # without data in the upper third
    assert known["cover"]["where"]["land"] == [0, 0, 0, 0, 1, 1, 0, 1, 1]
    assert (known["crs"], known["polarisation"], known["sensor"]) == ("EPSG:32630", "VV", "Sentinel-1")
    assert known["pixel_m"] == pytest.approx(10, abs=0.1)
    assert any("S2Hand" in line and "neither" in line for line in told)
    with open_scene(root / "S1Hand" / "Ghana_5_S1Hand.tif") as scene:
        whole = scene.read(SceneWindow(0, 0, scene.width, scene.height))
        assert (records[0].pixels() == scene.stretch().quantise(whole)).all()


def test_land_cover_chips_say_what_is_not_there_too(tmp_path):
    mask = np.full((60, 90), 4, np.uint8)
    mask[0, 0] = 1  # one pixel of 5,400
    mask[30:, :] = 9
    mask[:, 80:] = 0
    name = "282D_485L_3_3.tif"
    raster(tmp_path / "S1RTC" / name, decibels(), decibels(1), tags={"datetime": "2021-07-21T08:40:10.0"})
    raster(tmp_path / "LULC" / name, mask)
    ((record,), _, _) = imported("s1rtc-landcover", tmp_path, tmp_path / "out")
    cover = record.provenance["cover"]
    assert cover["classes"]["water"] == pytest.approx(1 / 4800, abs=1e-4)
    assert cover["classes"]["water"] > 0
    assert (cover["classes"]["crops"], cover["classes"]["rangeland"]) == (
        pytest.approx(0.4998, abs=1e-4),
        0.5,
    )
    assert cover["classes"]["built-up land"] == 0
    assert set(cover["where"]) == {"water", "crops", "rangeland"}
    assert record.scene == "s1rtc-landcover/282D_485L"
    assert (record.provenance["acquired"], record.provenance["year"]) == ("2021-07-21", 2021)
    assert record.provenance["polarisation"] == "VV"  # of the preset, as the bands have no names


@given(arrays(np.int64, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(-1, 2)))
def test_shares_are_those_of_the_pixels_of_each_cell(classes):
    if (classes < 0).all():
        return
    cover = Cover.of_cells(count_cells(classes, 3), ("a", "b", "c"), TRUTH).to_json()
    known = classes[classes >= 0]
    for number, name in enumerate("abc"):
        share = (known == number).mean()
        assert cover["classes"][name] == pytest.approx(share, abs=2e-4)
        assert (cover["classes"][name] > 0) == (share > 0)
    for cell in range(9):
        inside = [
            classes[row, col]
            for row in range(classes.shape[0])
            for col in range(classes.shape[1])
            if (int((row + 0.5) * 3 / classes.shape[0]), int((col + 0.5) * 3 / classes.shape[1]))
            == divmod(cell, 3)
        ]
        there = [one for one in inside if one >= 0]
        for name, cells in cover["where"].items():
            expected = there.count("abc".index(name)) / len(there) if there else 0
            assert cells[cell] == pytest.approx(expected, abs=1e-4)


def test_a_mask_of_another_grid_is_resampled_and_told(tmp_path):
    coarse = np.zeros((30, 40), np.uint8)
    coarse[:, :15] = 1  # 20 m pixels, 100 m farther west: the western 20 of 90 columns of the image are water
    pair(tmp_path / "set", mask=coarse, at=from_origin(499_900, 4_000_100, 20, 20))
    ((record,), told, _) = imported("masks", tmp_path / "set", tmp_path / "out", masks=WATER)
    # The mask ends 100 m short in the east and 100 m in the south: 70 of 90 columns, 50 of 60 rows.
    assert record.provenance["cover"]["classes"]["water"] == pytest.approx(20 / 70, abs=1e-4)
    assert any("another grid was resampled" in line for line in told)


def test_a_mask_in_another_crs_lies_where_it_says(tmp_path):
    pair(tmp_path / "set")
    with rasterio.open(tmp_path / "set" / "masks" / "1.tif") as mask:
        bounds = transform_bounds(mask.crs, "EPSG:4326", *mask.bounds)
    step = 4e-5
    shape = (round((bounds[3] - bounds[1]) / step) + 8, round((bounds[2] - bounds[0]) / step) + 8)
    lon = bounds[0] - 4 * step + (np.arange(shape[1]) + 0.5) * step
    x, _ = transform("EPSG:4326", "EPSG:32630", lon, np.full(len(lon), (bounds[1] + bounds[3]) / 2))
    mask = np.repeat((np.array(x) < 500_300)[None], shape[0], axis=0).astype(np.uint8)
    raster(
        tmp_path / "set" / "masks" / "1.tif",
        mask,
        crs="EPSG:4326",
        at=from_origin(bounds[0] - 4 * step, bounds[3] + 4 * step, step, step),
    )
    ((record,), _, _) = imported("masks", tmp_path / "set", tmp_path / "out", masks=WATER)
    assert record.provenance["cover"]["classes"]["water"] == pytest.approx(1 / 3, abs=0.01)


def test_a_mask_without_georeferencing_must_have_the_size_of_its_image(tmp_path):
    root = pair(tmp_path / "set")
    (root / "masks" / "1.tif").unlink()
    save(root / "masks" / "1.png", west_is_water())
    ((record,), told, _) = imported("masks", root, tmp_path / "out", masks=WATER)
    assert record.provenance["cover"]["where"]["water"][:3] == [1, 0, 0]
    assert any("without georeferencing" in line for line in told)
    save(root / "masks" / "1.png", west_is_water((30, 45)))
    with pytest.raises(CorpusError, match=r"45 x 30 px and no georeferencing, and its image 90 x 60"):
        imported("masks", root, tmp_path / "again", masks=WATER)


def damaged(path):
    path.write_bytes(path.read_bytes()[:700])


FAR = from_origin(0, 9, 10, 10)
NOWHERE = {"at": Affine.identity(), "crs": None}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: raster(root / "masks/2.tif", west_is_water() + 7), r"holds the code 7, 8, which the classes"),
        (lambda root: raster(root / "masks/2.tif", decibels()), r"holds -\d.*which is no class code"),
        (lambda root: raster(root / "masks/2.tif", *[west_is_water()] * 3), r"has 3 bands"),
        (lambda root: raster(root / "masks/2.tif", west_is_water(), nodata=0), r"only 1,800 of 5,400 pixels"),
        (lambda root: raster(root / "masks/2.tif", west_is_water(), at=FAR), "not lie over"),
        (lambda root: damaged(root / "masks/2.tif"), r"masks/2.tif is damaged"),
        (lambda root: damaged(root / "images/2.tif"), r"images/2.tif: .*cannot be opened"),
        (lambda root: raster(root / "images/2.tif", decibels(), **NOWHERE), r"images/2.tif: .*no georeferencing"),
        (lambda root: raster(root / "images/2.tif", decibels() * np.nan), r"images/2.tif: .*no data"),
        (lambda root: (root / "masks/2.tif").unlink(), r"images/2.tif has no mask masks/\*: add it"),
        (lambda root: (root / "images/2.tif").unlink(), r"masks/2.tif has no scene images/\*: add it"),
    ],
)  # fmt: skip
def test_bad_pairs_are_listed_and_the_rest_goes_on(tmp_path, spoil, said):
    root = tmp_path / "set"
    for name in "123":
        pair(root, name)
    spoil(root)
    with pytest.raises(CorpusError, match=said) as caught:
        imported("masks", root, tmp_path / "out", masks=WATER)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    records, _, left_out = imported("masks", root, tmp_path / "out", skip=True, masks=WATER)
    assert [one.id for one in records] == ["masks/1", "masks/3"]
    assert len(left_out) == 1
    assert re.search(said, left_out[0])


def test_tiles_make_up_the_scene(tmp_path):
    root = pair(tmp_path / "set")
    ((whole,), _, _) = imported("masks", root, tmp_path / "whole", masks=WATER)
    tiles, _, _ = imported("masks", root, tmp_path / "tiles", masks={**WATER, "tile_px": 40})
    assert [one.id for one in tiles] == [f"masks/1/{at}" for at in ("0-0", "0-40", "40-0", "40-40")]
    assert {one.scene for one in tiles} == {whole.scene}
    grey = np.zeros((60, 90), np.uint8)
    water = 0.0
    with open_scene(root / "images" / "1.tif") as scene:
        for one in tiles:
            col, row, width, height = one.provenance["cut"]
            grey[row : row + height, col : col + width] = one.pixels()
            water += one.provenance["cover"]["classes"]["water"] * width * height
            a, b, c, d, e, f = one.provenance["affine"]
            assert (a * 3 + b * 2 + c, d * 3 + e * 2 + f) == pytest.approx(
                (500_000 + 10 * (col + 3), 4e6 - 10 * (row + 2))
            )
            lon, lat = one.provenance["footprint"][0]
            corner = scene.from_lonlat(LonLatPoints(lon, lat))
            assert (corner.x[0], corner.y[0]) == pytest.approx((col, row), abs=0.01)
    covered = np.zeros((60, 90), bool)
    covered[:, :80] = True  # 10 columns in the east are less than half a tile
    assert (grey[covered] == whole.pixels()[covered]).all()
    assert water / covered.sum() == pytest.approx(30 / 80, abs=1e-3)


def test_a_large_scene_must_be_cut(tmp_path):
    flat = np.full((8, 5000), -12, np.float32) + decibels(shape=(8, 5000)) / 9
    pair(tmp_path / "set", image=flat, mask=np.zeros((8, 5000), np.uint8))
    with pytest.raises(CorpusError, match=r"5000 x 8 px, too many for one record: .*--tile-px"):
        imported("masks", tmp_path / "set", tmp_path / "out", masks=WATER)


def test_a_scene_across_the_antimeridian_and_one_with_control_points_alone(tmp_path):
    root = tmp_path / "set"
    across = from_origin(179.99, 10, 0.0002, 0.0002)
    raster(root / "images" / "across.tif", decibels(), crs="EPSG:4326", at=across)
    raster(root / "masks" / "across.tif", west_is_water(), crs="EPSG:4326", at=across)
    corners = [(0, 0), (90, 0), (0, 60), (90, 60), (45, 31), (20, 10)]
    points = [GroundControlPoint(row, col, 5 + col / 1e4 + row / 1e5, 50 - row / 1e4) for col, row in corners]
    raster(root / "images" / "points.tif", decibels(1), crs="EPSG:4326", at=Affine.identity(), gcps=points)
    save(root / "masks" / "points.png", west_is_water())
    (first, second), _, _ = imported("masks", root, tmp_path / "out", masks=WATER)
    lons = [lon for lon, _ in first.provenance["footprint"]]
    assert max(lons) - min(lons) < 1
    assert max(lons) > 180
    assert len(first.provenance["footprint"]) == 5
    assert second.provenance["cover"]["classes"]["water"] == pytest.approx(1 / 3, abs=1e-4)
    assert second.provenance["crs"] == "EPSG:4326"


@pytest.mark.parametrize("names", PAIRS)
def test_each_usual_layout_is_found(tmp_path, names):
    images, masks = (f"{name}.tif".replace("*", "Río_7.b") for name in names)
    raster(tmp_path / "set" / "train" / images, decibels())
    raster(tmp_path / "set" / "train" / masks, west_is_water())
    ((record,), _, _) = imported("masks", tmp_path / "set", tmp_path / "out", masks=WATER)
    assert record.id.endswith("Río_7.b")
    assert record.split == ("train" if "/" in names[0] else None)


def test_pairs_can_be_named(tmp_path):
    raster(tmp_path / "set" / "vh" / "sea_3_db.tif", decibels())
    raster(tmp_path / "set" / "truth" / "sea_3.tif", west_is_water())
    with pytest.raises(CorpusError, match=r"holds no scene with a mask .*--pair"):
        imported("masks", tmp_path / "set", tmp_path / "out", masks=WATER)
    named = {**WATER, "pair": read_pair("VH/*_db.tif=truth/*.tif")}
    ((record,), _, _) = imported("masks", tmp_path / "set", tmp_path / "out", masks=named)
    assert record.id == "masks/sea_3"
    for bad in ("a", "a*=b", "*.tif=*.TIF", "a*b*=c*"):
        with pytest.raises(ValueError, match="must"):
            read_pair(bad)


def test_quicklooks_beside_scenes_and_masks_are_left_out(tmp_path):
    root = pair(tmp_path / "set")
    for folder in ("images", "masks"):
        save(root / folder / "1.png", np.zeros((30, 45), np.uint8))
    ((record,), told, _) = imported("masks", root, tmp_path / "out", masks=WATER)
    assert record.provenance["from"] == "1.tif"
    assert record.provenance["cover"]["classes"]["water"] == pytest.approx(1 / 3, abs=1e-4)
    assert sum("1.png" in line and "left out" in line for line in told) == 1
    save(root / "masks" / "1.png", 1 - west_is_water())
    drawn = {**WATER, "pair": read_pair("images/*.tif=masks/*.png")}
    ((record,), _, _) = imported("masks", root, tmp_path / "drawn", masks=drawn)
    assert record.provenance["cover"]["classes"]["water"] == pytest.approx(2 / 3, abs=1e-4)


def test_two_masks_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        raster(tmp_path / "set" / folder / "S1_1.tif", decibels())
        raster(tmp_path / "set" / folder / "water_1.tif", west_is_water())
    with pytest.raises(CorpusError, match=r"water_1\.tif and .*water_1\.tif are both 1: .*--pair"):
        imported("masks", tmp_path / "set", tmp_path / "out", masks=WATER)


def test_classes_come_from_a_file(tmp_path):
    path = tmp_path / "classes.yaml"
    path.write_text("# mine\n0: Ackerland\n1: offenes  Wasser\n255: null\n")
    assert read_classes(str(path)) == {0: "Ackerland", 1: "offenes Wasser", 255: None}
    path.write_text(json.dumps({"0": "sand", "1": "sea", "-1": None}))
    assert read_classes(str(path)) == {0: "sand", 1: "sea", -1: None}
    ((record,), _, _) = imported(
        "masks", pair(tmp_path / "set"), tmp_path / "out", masks={"classes": read_classes(str(path))}
    )
    assert set(record.provenance["cover"]["classes"]) == {"sand", "sea"}
    with pytest.raises(CorpusError, match=r"masks/1.tif holds the codes 0, 1: say with --classes"):
        imported("masks", tmp_path / "set", tmp_path / "again")
    with pytest.raises(CorpusError, match="voc has no masks"):
        imported("voc", tmp_path / "set", tmp_path / "again", masks=WATER)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "no map of classes"),
        ("{", "no YAML or JSON"),
        ("x: water", "'x': 'water' is no whole number"),
        ("1: [water]", "is no whole number with a name"),
        ("1: water\n'1': land", "one code twice"),
        ("1: null", "names no class"),
        ("true: water", "True: 'water' is no"),
        ("!!python/object/apply:os.system [ls]", "no YAML or JSON"),
    ],
)
def test_a_file_of_classes_that_makes_no_sense_is_named(tmp_path, text, said):
    path = tmp_path / "classes.yaml"
    path.write_text(text)
    with pytest.raises(CorpusError, match=said) as caught:
        read_classes(str(path))
    assert "\n" not in str(caught.value)
    with pytest.raises(CorpusError, match="neither a file of classes nor one of water"):
        read_classes("watr")
