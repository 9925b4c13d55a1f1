"""Products of several rasters: what is read is told, what else there is can be named; what is none leads to one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasters import speckle, write
from safe_product import HEIGHT, WIDTH, safe

from fusar_gpt.errors import SceneError
from fusar_gpt.frames import SceneWindow
from fusar_gpt.imagery import RasterPolicy, open_scene


def pages(path: Path) -> Path:
    """A TIFF of three pages, each 100 times brighter than the one before."""
    for number in range(3):
        write(path, speckle(40, 50, number) * 100**number, APPEND_SUBDATASET="YES" if number else "NO")
    return path


def test_of_several_subswaths_the_one_that_is_read_is_told_and_another_can_be_named(tmp_path):
    product = safe(tmp_path / "S1A_IW_SLC.SAFE", ("IW1_VH", "IW1_VV", "IW2_VH", "IW2_VV"), "SLC")
    with open_scene(product) as scene:
        assert scene.bands == ("VH", "VV")
        assert scene.band == "VV"
        assert scene.warnings == (
            "'S1A_IW_SLC.SAFE' has several subswaths, of which IW1 is read; name another with --band: "
            "IW1_VH, IW1_VV, IW2_VH, IW2_VV.",
        )
        first = scene.fingerprint
    for asked, number in (("IW2_VV", 3), ("iw1_vh", 0)):
        with open_scene(product, band=asked) as scene:
            assert (scene.band, scene.warnings) == (asked.upper(), ())
            assert scene.fingerprint != first
            expected = 80 + 10 * np.log10(speckle(HEIGHT, WIDTH, number))
            np.testing.assert_allclose(scene.read(SceneWindow(0, 0, WIDTH, HEIGHT)), expected, atol=0.5)


def test_a_product_that_is_one_raster_is_read_whole(tmp_path):
    with open_scene(safe(tmp_path / "S1A_IW_GRDH.SAFE", ("IW_VH", "IW_VV"), "GRD")) as scene:
        assert (scene.bands, scene.band, scene.warnings) == (("VH", "VV"), "VV", ())


def test_a_page_of_a_tiff_can_be_named(tmp_path):
    path = pages(tmp_path / "p.tif")
    with open_scene(path) as scene:
        assert "has several pages, of which the first is read" in scene.warnings[0]
        assert "page 1, page 2, page 3" in scene.warnings[0]
    for number in (1, 2, 3):
        with open_scene(path, band=f"page {number}") as scene:
            expected = np.percentile(10 * np.log10(speckle(40, 50, number - 1)), 1) + 20 * (number - 1)
            assert scene.stretch().low_db == pytest.approx(expected, abs=0.1)
            assert (scene.band, scene.warnings) == (f"page {number}", ())
    with open_scene(path, policy=RasterPolicy()) as scene:
        assert scene.warnings[0].endswith(
            "of which the first is read; export the others to files of their own."
        )


def test_a_container_lists_what_can_be_named(tmp_path):
    path = tmp_path / "c.gpkg"
    for number, name in enumerate(("Sigma0_VV", "Sigma0_VH")):
        grey = (speckle(40, 50, number) * 5000).clip(1, 255).astype(np.uint8)
        append = {"APPEND_SUBDATASET": "YES"} if number else {}
        write(path, grey, driver="GPKG", RASTER_TABLE=name, **append)
    with pytest.raises(
        SceneError, match="is a container of rasters: name one with --band: Sigma0_VV, Sigma0_VH"
    ):
        open_scene(path)
    with open_scene(path, band="sigma0_vh") as scene:
        assert scene.band.startswith("Sigma0_VH")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ('HDF5:"/x/CSK.h5"://S01/SBI', "S01/SBI"),
        ('NETCDF:"/x/s1.nc":Sigma0_VV', "Sigma0_VV"),
        ("GTIFF_DIR:2:/x/p.tif", "page 2"),
        ("SENTINEL1_CALIB:UNCALIB:/x/y.SAFE/manifest.safe:EW_HH:AMPLITUDE", "EW_HH"),
        ("SENTINEL1_CALIB:SIGMA0:/x/y.SAFE/manifest.safe:IW1_VV:INTENSITY", None),
        ("SENTINEL1_CALIB:UNCALIB:/x/y.SAFE/manifest.safe:IW1:COMPLEX", None),
    ],
)
def test_the_names_of_parts_are_those_that_an_analyst_knows(tmp_path, address, name):
    from fusar_gpt.imagery.product_parts import part_named, parts_of

    path = write(tmp_path / "s.tif", speckle(8, 8))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="SUBDATASETS", SUBDATASET_1_NAME=address, SUBDATASET_1_DESC="x")
    with rasterio.open(path) as dataset:
        parts = parts_of(dataset)
    assert [part.name for part in parts] == [name] * (name is not None)
    if name:
        assert part_named(parts, name.rsplit("/", 1)[-1].lower()) is parts[0]


def test_what_is_no_raster_leads_to_one(tmp_path):
    (tmp_path / "s.dim").write_text("<Dimap_Document/>")
    with pytest.raises(SceneError, match="is a BEAM-DIMAP of SNAP, and no raster lies there"):
        open_scene(tmp_path / "s.dim")
    (tmp_path / "s.data").mkdir()
    write(tmp_path / "s.data/Sigma0_VV.img", speckle(40, 50), driver="ENVI")
    for given in ("s.dim", "s.data"):
        with pytest.raises(SceneError, match=r"give one of its rasters, such as s\.data/Sigma0_VV\.img"):
            open_scene(tmp_path / given)
    with open_scene(tmp_path / "s.data/Sigma0_VV.img") as scene:
        assert scene.quantity == "power"
