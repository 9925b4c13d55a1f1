"""CRS texts from outside: codes and plain WKT pass, whatever names files, grids or operations does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS
from pyproj.exceptions import CRSError

from fusar_gpt.contract import InterpretRequest, Task
from fusar_gpt.contract.crs_text import MAX_DEPTH, check_crs_text

GEOGRAPHIC = (
    'GEOGCS["g",DATUM["d",SPHEROID["s",6378137,298.257]{}],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925]]'
)
PROJECTED = f'PROJCS["p",{GEOGRAPHIC.format("")},PROJECTION["Mercator_1SP"],PARAMETER["k",1],UNIT["m",1]{{}}]'


@pytest.mark.parametrize("code", [4326, 3857, 32631, 2154, 27700, 5041, 7415, 5703, 4978, 3785, 31370, 28992])
@pytest.mark.parametrize("version", ["WKT2_2019", "WKT2_2015", "WKT1_GDAL", "WKT1_ESRI"])
def test_wkt_as_proj_writes_it_passes(code: int, version: str) -> None:
    try:
        text = CRS.from_epsg(code).to_wkt(version)
    except CRSError:
        pytest.skip("no such form")
    assert check_crs_text(text) == text
    assert CRS.from_user_input(check_crs_text(f"EPSG:{code}")) == CRS.from_epsg(code)


@pytest.mark.parametrize(
    "text",
    [
        "epsg:32631", "ESRI:102030", "OGC:CRS84", "IAU_2015:30100", "EPSG:32631+5773", "IGNF:LAMB93",
        GEOGRAPHIC.format(",TOWGS84[565.2,50,465.6,-0.4,0.3,-1.9,4.1]"),
        CRS.from_user_input("+proj=utm +zone=31 +ellps=intl +towgs84=-87,-98,-121 +type=crs").to_wkt(),
        CRS.from_user_input("+proj=ob_tran +o_proj=longlat +o_lat_p=30 +lon_0=10 +type=crs").to_wkt(),
        CRS.from_user_input("+proj=utm +zone=31 +units=us-ft +type=crs").to_wkt(),
        'LOCAL_CS["site; k=0.9996, \u6e2f",UNIT["m",1]]',
    ],
)  # fmt: skip
def test_codes_datum_shifts_and_names_of_any_kind_pass(text: str) -> None:
    assert check_crs_text(text) == text


FILE = "/tmp/x"
HOSTILE = {
    "a PROJ string": "+proj=utm +zone=31",
    "init": "+init=epsg:4326",
    "a file": f"+proj=longlat +nadgrids={FILE}",
    "bare init": "init=epsg:4326",
    "a path": FILE,
    "an address": "http://127.0.0.1:1/crs.wkt",
    "PROJJSON": '{"type":"GeographicCRS"}',
    "nested JSON": '{"a":' * 3000,
    "an unknown authority": "FILE:x",
    "a path as a code": "EPSG:../../x",
    "nothing": " ",
    "WKT 1 grids": GEOGRAPHIC.format(f',EXTENSION["PROJ4_GRIDS","{FILE}"]'),
    "an extension": PROJECTED.format(f',EXTENSION["PROJ4","+proj=merc +nadgrids={FILE} +no_defs"]'),
    "an extension in lower case": PROJECTED.format(f',extension["proj4","+proj=merc +NADGRIDS={FILE}"]'),
    "spaced out": PROJECTED.format(f',EXTENSION["PROJ4","+proj=merc +nadgrids = {FILE}"]'),
    "vertical grids": PROJECTED.format(f',EXTENSION["PROJ4","+proj=merc +geoidgrids={FILE}"]'),
    "a pipeline": PROJECTED.format(',EXTENSION["PROJ4","+proj=pipeline +step +proj=merc"]'),
    "a model": PROJECTED.format(f',EXTENSION["PROJ4","+proj=defmodel +model={FILE}"]'),
    "a tinshift": PROJECTED.format(f',EXTENSION["PROJ4","+proj=tinshift +file={FILE}"]'),
    "a method of PROJ": PROJECTED.replace("Mercator_1SP", f"PROJ hgridshift grids={FILE}").format(""),
    "a pipeline as a method": PROJECTED.replace("Mercator_1SP", "PROJ-based operation method: x").format(""),
    "a remark of PROJ": PROJECTED.format(f',REMARK["PROJ CRS string: +proj=merc +nadgrids={FILE}"]'),
    "a parameter file": (
        f'BOUNDCRS[SOURCECRS[{GEOGRAPHIC.format("")}],TARGETCRS[{GEOGRAPHIC.format("")}],ABRIDGEDTRANSFORMATION["t",'
        f'METHOD["NTv2"],PARAMETERFILE["Latitude and longitude difference file","{FILE}"]]]'
    ),
    "a geoid": f'VERTCRS["v",VDATUM["d"],CS[vertical,1],AXIS["h",up],LENGTHUNIT["m",1],GEOIDMODEL["PROJ {FILE}"]]',
    "too deep": "GEOGCS[" * MAX_DEPTH + "]" * MAX_DEPTH,
    "deep": 'GEOGCS["' * 2000,
    "a part alone": 'DATUM["d",SPHEROID["s",1,2]]',
    "an unknown part": 'GEOGCS["g",FILE["x"]]',
    "text behind": f"{GEOGRAPHIC.format('')} {FILE}",
    "not closed": GEOGRAPHIC.format("")[:-1],
    "closed twice": GEOGRAPHIC.format("") + "]",
    "too long": GEOGRAPHIC.format("").replace("Greenwich", "x" * 20_000),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_may_name_a_file_or_an_operation_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="EPSG"):
        check_crs_text(HOSTILE[kind])
    area = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    for crs in ("area_crs", "boxes_crs"):
        inputs = {"scene": "s.tif", "task": "describe", "area": area, crs: HOSTILE[kind]}
        with pytest.raises(ValueError, match="EPSG"):
            InterpretRequest.from_json(inputs)
    assert InterpretRequest("s.tif", Task.DESCRIBE, area_crs="EPSG:32631").area_crs == "EPSG:32631"


@given(st.text(st.sampled_from('GEOGCS[]()",0.9 \u00e9=+proj/')))
def test_any_text_is_answered(text: str) -> None:
    try:
        check_crs_text(text)
    except ValueError:
        return


def test_no_pipe_is_opened(tmp_path: Path) -> None:
    """Each of these made PROJ wait for a pipe, with the GIL held."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for text in HOSTILE.values():
        with pytest.raises(ValueError, match="EPSG"):
            CRS.from_user_input(check_crs_text(text.replace(FILE, str(pipe))))
