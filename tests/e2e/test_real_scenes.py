"""Every real scene in ../shared/data/georef through the command line; geometry against GDAL's own transforms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import AffineTransformer, GCPTransformer
from rasterio.windows import Window
from shapely.geometry import shape

from fusar_gpt.cli import main
from fusar_gpt.frames import SceneBox, SceneWindow, scene_corners
from fusar_gpt.imagery import Area, ChipFormat, open_scene, plan_chips, read_chip

GEOREF = Path(__file__).parents[3] / "shared" / "data" / "georef"
SCENES = {
    "umbra_yasur/umbra_mount_yasur.tiff": "rotated, uint8",
    "s1_grd_gcp_kochi/iw-vv.tiff": "GCPs only, uint16",
    "s1_grd_gcp_kochi/iw-vh.tiff": "GCPs only, uint16",
    "s1_geocoded_camargue/S1A__IW___A_20150309T173017_VV_grd_mli_geo_norm_db.tif": "dB",
    "opera_rtc_s1_sb/OPERA_L2_RTC-S1_T137-292318-IW2_20211119T015855Z_20250830T120333Z_S1A_30_v1.0_VV.tif": "linear",
    "spacenet6_rotterdam/sar_hh.tif": "rotated, complex64",
}

pytestmark = [
    pytest.mark.skipif(
        not GEOREF.is_dir(), reason="the real scenes that may not ship are not beside this checkout"
    ),
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]


def gdal_to_pixels(path: Path, ground: np.ndarray) -> np.ndarray:
    """Ground (x, y) [N, 2] to scene pixels [N, 2] by GDAL itself."""
    with rasterio.open(path) as raster:
        made = GCPTransformer(raster.gcps[0]) if raster.gcps[0] else AffineTransformer(raster.transform)
        rows, cols = made.rowcol(ground[:, 0], ground[:, 1], op=np.positive)
    return np.stack([cols, rows], axis=1)


def middle(path: Path) -> tuple[str, SceneWindow]:
    """W,S,E,N in WGS84 of a small box in the middle of the scene, and the window of the one chip over it."""
    with open_scene(path) as scene:
        x, y = scene.width / 2, scene.height / 2
        lonlat = scene.to_lonlat(scene_corners(SceneBox(x - 8, y - 8, x + 8, y + 8)))
        bounds = lonlat.x.min(), lonlat.y.min(), lonlat.x.max(), lonlat.y.max()
        (chip,) = plan_chips(scene, Area.from_bbox(*bounds).on_scene(scene), ChipFormat(224, 224, 16, 672.0))
    return ",".join(map(str, bounds)), chip.plan.window


@pytest.mark.parametrize("name", SCENES)
def test_grid_cells_lie_where_gdal_puts_their_pixels(name, tmp_path, capsys):
    path, out = GEOREF / name, tmp_path / "out.gpkg"
    bounds, window = middle(path)
    arguments = ["--bbox", bounds, "--task", "locate", "--target", "ship", "--out", str(out), "--json"]
    assert main(["interpret", str(path), *arguments]) == 0
    features = json.loads(capsys.readouterr().out)["findings"]["features"]
    assert 1 <= len(features) <= 9
    side = np.array([window.width, window.height]) / 3
    for feature in features:
        pixels = gdal_to_pixels(path, np.array(shape(feature["scene_geometry"]).exterior.coords)[:-1])
        row, col = divmod(feature["properties"]["cell"] - 1, 3)
        first = np.array([window.col, window.row]) + side * (col, row)
        wanted = first + side * [(0, 0), (1, 0), (1, 1), (0, 1)]
        off = np.abs(pixels[:, None] - wanted).max(axis=-1).min(axis=0)
        assert off.max() < 0.1, f"cell {row, col} is {off.max():.3f} px off"


def test_an_area_over_the_ships_of_rotterdam_is_read_where_it_lies(tmp_path):
    """The chip's pixels are those of the file: no shift, flip or turn on the way from the ground to the model."""
    path = GEOREF / "spacenet6_rotterdam" / "sar_hh.tif"
    with open_scene(path) as scene, rasterio.open(path) as raster:
        (chip,) = plan_chips(scene, Area.whole(scene).on_scene(scene), ChipFormat(200, 200, 10))
        seen = read_chip(scene, chip, scene.stretch()).grey
        amplitude = np.abs(raster.read(1, window=Window(0, 0, 200, 200)))
    brightest = np.argsort(amplitude.ravel())[-200:]
    assert np.percentile(seen, 98) < np.median(seen.ravel()[brightest])
    assert np.corrcoef(seen.ravel(), np.log(amplitude + 1e-3).ravel())[0, 1] > 0.9
