"""Rasters that reach for other files or addresses, or for all memory: refused before a pixel is read."""

from __future__ import annotations

import html
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
from rasterio.enums import Resampling
from rasters import NORTH_UP, UTM, write
from scripted_server import ApiServer, ask, serve_api
from uploading import header, raster, refused, upload

from fusar_gpt.errors import AreaError, PriorError, SceneError
from fusar_gpt.frames import SceneWindow
from fusar_gpt.imagery import open_scene, read_polygons
from fusar_gpt.imagery.raster_policy import RasterPolicy
from fusar_gpt.priors.files import FilePrior
from fusar_gpt.server.options import Options

sys.path.append(str(Path(__file__).parents[2] / "bench"))
from fuzz_uploads import small_geotiff

MAX_UPLOAD = 3 * 2**20


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def api(root: Path) -> Iterator[ApiServer]:
    with serve_api(root, options=Options(max_upload=MAX_UPLOAD)) as opened:
        yield opened


@pytest.fixture
def kept(root: Path) -> Iterator[Path]:
    """The folder of the scenes, empty at the start."""
    shutil.rmtree(root / "state" / "scenes", ignore_errors=True)
    return root / "state" / "scenes"


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An HTTP server that hopes to be called, in a process of its own: GDAL holds the GIL while it connects."""
    log = tmp_path_factory.mktemp("listener") / "calls"
    log.touch()
    script = (
        "import http.server, sys\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        open(sys.argv[1], 'a').write(self.path + chr(10))\n"
        "        self.send_error(404)\n"
        "    do_HEAD = do_GET\n"
        "    def log_message(self, *_): pass\n"
        "server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)\n"
        "print(server.server_port, flush=True)\n"
        "server.serve_forever()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, log], stdout=subprocess.PIPE, text=True) as child:
        yield f"http://127.0.0.1:{int(child.stdout.readline())}", log
        child.kill()


def vrt(source: str) -> bytes:
    return (
        '<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32631</SRS><GeoTransform>0,1,0,0,0,-1'
        '</GeoTransform><VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename '
        f'relativeToVRT="0">{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    ).encode()


def raw_vrt(file: str) -> bytes:
    """The bytes of any file as pixels."""
    return (
        '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1" '
        f'subClass="VRTRawRasterBand"><SourceFilename relativetoVRT="0">{file}</SourceFilename>'
        "<ImageOffset>0</ImageOffset></VRTRasterBand></VRTDataset>"
    ).encode()


def with_overview_file(path: Path, target: str) -> bytes:
    """A TIFF whose own metadata names an overview file: GDAL opens that with any driver at the first read."""
    raster(path.parent, path.name)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=target)
    return path.read_bytes()


def sparse(path: Path, side: int, block: int) -> bytes:
    """A few hundred bytes, or some thousand, that say they are side x side pixels."""
    place = {"crs": UTM, "transform": NORTH_UP, "driver": "GTiff", "count": 1, "dtype": "uint8"}
    tiles = {
        "tiled": True,
        "blockxsize": block,
        "blockysize": block,
        "sparse_ok": True,
        "compress": "deflate",
    }
    with rasterio.open(path, "w", width=side, height=side, **place, **tiles):
        pass
    return path.read_bytes()


def hostile(kind: str, folder: Path, url: str) -> bytes:
    return {
        "vrt to a file": lambda: vrt("/etc/passwd"),
        "vrt to a url": lambda: vrt(f"{url}/vrt"),
        "vrt by vsicurl": lambda: vrt(f"/vsicurl/{url}/vsicurl"),
        "vrt over raw bytes": lambda: raw_vrt("/etc/passwd"),
        "overview at a url": lambda: with_overview_file(folder / "x.tif", f"{url}/overview"),
        "overview in a file": lambda: with_overview_file(folder / "x.tif", "/etc/passwd"),
        "wms": lambda: (
            f'<GDAL_WMS><Service name="WMS"><ServerUrl>{url}/wms</ServerUrl></Service></GDAL_WMS>'.encode()
        ),
        "garbage": lambda: np.random.default_rng(1).bytes(5000),
        "text": lambda: b"root:x:0:0\n" * 50,
        "cut short": lambda: header(1024, 1024, 64) + b"\1" * 2**19,
        "header alone": lambda: raster(folder).read_bytes()[:100],
        "one block": lambda: sparse(folder / "x.tif", 2**14, 2**14),
        "huge": lambda: sparse(folder / "x.tif", 200_000, 4096),
        "no place": lambda: write(
            folder / "x.png", np.ones((8, 8), np.uint8), driver="PNG", crs=None
        ).read_bytes(),
        "hdf5": lambda: b"\x89HDF\r\n\x1a\n" + bytes(2000),
        "netcdf": lambda: b"CDF\x01" + bytes(2000),
    }[kind]()


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("vrt to a file", "not a raster"), ("vrt to a url", "not a raster"), ("vrt by vsicurl", "not a raster"),
        ("vrt over raw bytes", "not a raster"), ("overview at a url", "refers to"),
        ("overview in a file", "refers to"), ("wms", "not a raster"), ("garbage", "not a raster"),
        ("text", "not a raster"), ("cut short", "cut short"), ("header alone", "not a raster"),
        ("one block", "too large blocks"), ("no place", "georeferenc"), ("hdf5", "not a raster"),
        ("netcdf", "not a raster"), ("huge", "at most"),
    ],
)  # fmt: skip
def test_what_is_no_plain_raster_is_refused_and_nothing_is_called_or_kept(
    api: ApiServer, kept: Path, tmp_path: Path, listener: tuple[str, Path], kind: str, word: str
) -> None:
    url, log = listener
    refused(upload(api, hostile(kind, tmp_path, url)), 400, word)
    refused(upload(api, b""), 400, "empty")
    assert log.read_text() == ""
    assert list(kept.iterdir()) == []


VRT = '<OGRVRTDataSource><OGRVRTLayer name="x"><SrcDataSource>{}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>'
WFS = "<OGRWFSDataSource><URL>{url}/w</URL></OGRWFSDataSource>"


@pytest.mark.parametrize("text", [WFS, VRT.format("WFS:{url}/w"), VRT.format("/vsicurl/{url}/w")])
def test_an_area_file_that_names_an_address_calls_nobody(
    tmp_path: Path, listener: tuple[str, Path], text: str
) -> None:
    url, log = listener
    before = log.read_text()
    (tmp_path / "area.xml").write_text(text.format(url=url))
    with pytest.raises(AreaError):
        read_polygons(tmp_path / "area.xml")
    assert log.read_text() == before
    assert (
        pyogrio.get_gdal_config_option("CPL_VSIL_CURL_ALLOWED_FILENAME") is None
    )  # an AEF index may be read


def test_the_listener_hears_gdal_where_nothing_is_guarded(tmp_path: Path, listener: tuple[str, Path]) -> None:
    """The refusals above mean something: GDAL by itself does call, and even one's own scene does not."""
    url, log = listener
    with_overview_file(tmp_path / "x.tif", f"{url}/called")
    with open_scene(tmp_path / "x.tif") as scene:
        scene.read_resampled(SceneWindow(0, 0, 80, 64), (8, 8))
    assert log.read_text() == ""
    with rasterio.open(tmp_path / "x.tif") as dataset:
        dataset.read(1, out_shape=(8, 8))
    assert log.read_text() != ""
    log.write_text("")


DOMAINS = ("OVERVIEWS", "overviews", "Overviews")
KEYS = ("OVERVIEW_FILE", "overview_file", "Overview_File")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("domain", DOMAINS)
def test_metadata_is_compared_without_case(tmp_path: Path, domain: str, key: str) -> None:
    scene = raster(tmp_path)
    RasterPolicy(alone=True).check(scene)
    with rasterio.open(scene, "r+") as dataset:
        dataset.update_tags(ns=domain, **{key: "/etc/passwd"})
    for policy in (RasterPolicy(alone=True), RasterPolicy()):
        with pytest.raises(SceneError, match="refers to"):
            policy.check(scene)


WKT = (
    'PROJCS["p",GEOGCS["g",DATUM["d",SPHEROID["s",6378137,298.257]{}],PRIMEM["G",0],UNIT["degree",0.0174532925]],'
    'PROJECTION["Transverse_Mercator"],PARAMETER["central_meridian",3],PARAMETER["scale_factor",0.9996],'
    'PARAMETER["false_easting",500000],UNIT["metre",1]{}]'
)


def pam_crs(wkt: str) -> str:
    return f"<PAMDataset><SRS>{html.escape(wkt)}</SRS></PAMDataset>"


def pam(url: str, domain: str = "OVERVIEWS", key: str = "OVERVIEW_FILE") -> str:
    text = f'<MDI key="{key}">{url}/aux</MDI>'
    return f'<PAMDataset><Metadata domain="{domain}">{text}</Metadata></PAMDataset>'


def beside(kind: str, scene: Path, url: str) -> None:
    """Something hostile beside a good raster, or in its place."""
    whole, stem = str(scene), str(scene.with_suffix(""))
    texts = {
        "metadata": (f"{whole}.aux.xml", pam(url)),
        "metadata lower": (f"{whole}.aux.xml", pam(url, "overviews", "overview_file")),
        "metadata upper": (f"{whole}.AUX.XML", pam(url)),
        "metadata spelt": (f"{whole}.aux.xml", pam(url, "OVERVIEWS", "OVERVIEW&#x5f;FILE")),
        "grids": (f"{whole}.aux.xml", pam_crs(WKT.format(f',EXTENSION["PROJ4_GRIDS","{url}"]', ""))),
        "wms": (
            f"{whole}.ovr",
            '<GDAL_WMS><Service name="WMS"><ServerUrl>{url}</ServerUrl></Service></GDAL_WMS>',
        ),
        "aux": (f"{stem}.aux", vrt("/etc/passwd").decode()),
        "vrt": (whole, vrt("/etc/passwd").decode()),
    }
    made = raster(scene.parent, "made.tif")
    if kind in texts:
        name, text = texts[kind]
        Path(name).write_text(text)
    elif kind == "overview with metadata":
        Path(f"{whole}.ovr").write_bytes(with_overview_file(made, f"{url}/deep"))
    elif kind == "metadata of an overview":
        made.rename(f"{whole}.ovr")
        Path(f"{whole}.ovr.aux.xml").write_text(pam(url))
    elif kind.startswith("pipe "):
        os.mkfifo(f"{stem}.{kind.removeprefix('pipe ')}")
    elif kind == "device":
        Path(f"{whole}.msk").symlink_to("/dev/zero")
    else:
        Path(f"{whole}.{kind}").write_bytes(vrt(f"{url}/{kind}"))


SIDECARS = (
    "metadata", "metadata lower", "metadata upper", "metadata spelt", "ovr", "Ovr", "OVR", "msk", "MSK", "aux", "rrd",
    "vrt", "wms", "overview with metadata", "metadata of an overview", "pipe tif.aux.xml", "pipe tfw", "device",
    "grids",
)  # fmt: skip


@pytest.mark.parametrize("what", ["scene", "prior"])
@pytest.mark.parametrize("kind", SIDECARS)
def test_hostile_sidecars_under_a_root_are_refused(
    api: ApiServer, root: Path, listener: tuple[str, Path], kind: str, what: str
) -> None:
    url, log = listener
    folder = root / f"{what} {kind}"
    folder.mkdir()
    scene = raster(folder, "scene.tif")
    RasterPolicy().check(scene)
    beside(kind, scene, url)
    order = {"inputs": api.inputs | {what: str(scene)}}
    reply = ask(api, "POST", "/processes/interpret/execution", json=order)
    assert reply.status_code == 400
    assert log.read_text() == ""


def test_sidecars_of_an_upload_are_never_read(tmp_path: Path, listener: tuple[str, Path]) -> None:
    url, log = listener
    scene = raster(tmp_path)
    for kind in ("metadata", "ovr", "msk"):
        beside(kind, scene, url)
    with open_scene(scene, policy=RasterPolicy(alone=True)) as opened:
        assert np.isfinite(opened.read_resampled(SceneWindow(0, 0, 80, 64), (8, 8))).all()
    assert log.read_text() == ""
    with pytest.raises(SceneError, match="1,000 pixels"):
        RasterPolicy(alone=True, max_pixels=1000).check(scene)


def test_good_sidecars_are_read(tmp_path: Path) -> None:
    scene = raster(tmp_path, nodata=0)
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(scene, "r+") as dataset:
        dataset.build_overviews([2], Resampling.average)
    Path(f"{scene}.aux.xml").write_text('<PAMDataset><Metadata><MDI key="A">b</MDI></Metadata></PAMDataset>')
    (tmp_path / "s1_vv_20240102.tfw").write_text("10\n0\n0\n-10\n0\n0\n")
    (tmp_path / "s1_vv_20240102.files").mkdir()
    os.mkfifo(tmp_path / "s1_vv_2024010299")  # somebody else's
    assert Path(f"{scene}.ovr").exists()
    with RasterPolicy().open(scene) as dataset:
        assert dataset.tags()["A"] == "b"
        assert dataset.overviews(1) == [2]


def test_a_pipe_that_a_crs_names_freezes_nobody(api: ApiServer, root: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    hostile = WKT.format(f',EXTENSION["PROJ4_GRIDS","{pipe}"]', "")
    for body in (small_geotiff(f"ESRI PE String = {hostile}".encode()), small_geotiff(b"[" * 5000)):
        assert upload(api, body).status_code == 400
    scene = raster(root, "beside_a_pipe.tif")
    Path(f"{scene}.aux.xml").write_text(pam_crs(hostile))
    refused(
        ask(api, "POST", "/preview", json={"inputs": api.inputs | {"scene": str(scene)}}), 400, "names other"
    )
    shifted = WKT.format(",TOWGS84[565,50,465,0,0,0,0]", "")
    Path(f"{scene}.aux.xml").write_text(pam_crs(shifted))
    RasterPolicy().check(scene)
    polygon = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    for crs in (f"+proj=longlat +nadgrids={pipe}", hostile, '{"a":' * 3000, f"+proj=longlat +model={pipe}"):
        order = {"inputs": api.inputs | {"area": polygon, "area_crs": crs}}
        for path in ("/preview", "/processes/interpret/execution"):
            refused(ask(api, "POST", path, json=order), 422, "EPSG")
    assert ask(api, "GET", "/health").status_code == 200


def test_a_raw_raster_that_is_also_a_vrt_is_no_prior(tmp_path: Path) -> None:
    """ENVI's pixels have no first bytes of their own, so GDAL alone would take this file for a VRT."""
    path = tmp_path / "prior.img"
    path.write_bytes(vrt("/etc/passwd").ljust(64 * 64, b" "))
    path.with_suffix(".hdr").write_text(
        "ENVI\nsamples = 64\nlines = 64\nbands = 1\ndata type = 1\ninterleave = bsq\nbyte order = 0\n"
    )
    with pytest.raises(PriorError, match="1 bands"):
        FilePrior(path, drivers=RasterPolicy.drivers)
    with rasterio.open(path) as dataset:
        assert dataset.driver == "VRT"
