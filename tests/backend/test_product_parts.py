"""Products of several rasters: what is read is told, what else there is can be named; what is none leads to one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasters import speckle, swath_gcps, write

from fusar_gpt.errors import SceneError
from fusar_gpt.frames import SceneWindow
from fusar_gpt.imagery import RasterPolicy, open_scene

WIDTH, HEIGHT = 64, 48
ANNOTATION = """<product><adsHeader><missionId>S1A</missionId><productType>{kind}</productType>
<polarisation>{pol}</polarisation><mode>IW</mode><swath>{swath}</swath><imageNumber>1</imageNumber></adsHeader>
<imageAnnotation><imageInformation><outputPixels>16 bit {sign} Integer</outputPixels>
<numberOfSamples>64</numberOfSamples><numberOfLines>48</numberOfLines></imageInformation>
<processingInformation><ellipsoidName>WGS84</ellipsoidName><ellipsoidSemiMajorAxis>6378.137</ellipsoidSemiMajorAxis>
<ellipsoidSemiMinorAxis>6356.752</ellipsoidSemiMinorAxis></processingInformation></imageAnnotation>
<geolocationGrid><geolocationGridPointList>{points}</geolocationGridPointList></geolocationGrid></product>"""
POINT = (
    "<geolocationGridPoint><line>{0.row}</line><pixel>{0.col}</pixel><latitude>{0.y}</latitude>"
    "<longitude>{0.x}</longitude><height>0</height></geolocationGridPoint>"
)
MANIFEST = """<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" version="sentinel-1"><informationPackageMap>
<xfdu:contentUnit unitType="SAFE Archive Information Package">{units}</xfdu:contentUnit></informationPackageMap>
<metadataSection>{metadata}</metadataSection><dataObjectSection>{data}</dataObjectSection></xfdu:XFDU>"""
UNIT = (
    '<xfdu:contentUnit unitType="Measurement Data Unit" dmdID="a{0} c{0}">'
    '<dataObjectPointer dataObjectID="m{0}"/></xfdu:contentUnit>'
)
METADATA = '<metadataObject ID="{0}"><dataObjectPointer dataObjectID="d{0}"/></metadataObject>'
DATA = '<dataObject ID="{}" repID="s1Level1{}Schema"><byteStream><fileLocation href="./{}"/></byteStream></dataObject>'


def safe(folder: Path, parts: tuple[str, ...], kind: str) -> Path:
    """A Sentinel-1 product as far as GDAL's driver reads it; each part is SWATH_POL."""
    for name in ("annotation", "measurement"):
        (folder / name).mkdir(parents=True)
    gcps = swath_gcps(WIDTH, HEIGHT)
    units = metadata = data = ""
    for number, part in enumerate(parts):
        swath, pol = part.split("_")
        amplitude = np.sqrt(speckle(HEIGHT, WIDTH, number)) * 1e4
        stored = amplitude.astype(np.complex64) if kind == "SLC" else amplitude.astype(np.uint16)
        dtype = "complex_int16" if kind == "SLC" else "uint16"
        write(folder / f"measurement/{part}.tiff", stored, gcps=gcps, dtype=dtype)
        said = ANNOTATION.format(
            kind=kind, pol=pol, swath=swath, sign="Signed" if kind == "SLC" else "Unsigned",
            points="".join(map(POINT.format, gcps)),
        )  # fmt: skip
        (folder / f"annotation/{part}.xml").write_text(said)
        (folder / f"annotation/{part}-cal.xml").write_text("<calibration/>")
        units += UNIT.format(number)
        metadata += METADATA.format(f"a{number}") + METADATA.format(f"c{number}")
        data += DATA.format(f"m{number}", "Measurement", f"measurement/{part}.tiff")
        data += DATA.format(f"da{number}", "Product", f"annotation/{part}.xml")
        data += DATA.format(f"dc{number}", "Calibration", f"annotation/{part}-cal.xml")
    (folder / "manifest.safe").write_text(MANIFEST.format(units=units, metadata=metadata, data=data))
    return folder


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
