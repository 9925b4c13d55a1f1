"""CRS definitions from outside: an authority's code, or WKT that names no file, grid or pipeline.

PROJ opens what a definition names, be it a pipe or a device, and runs the operations that a method's name may hold.
So a definition is read here first, and only known forms are passed on to PROJ.
"""

from __future__ import annotations

import re

MAX_LENGTH = 16384
MAX_DEPTH = 32

_CODE = re.compile(r"(EPSG|ESRI|OGC|IAU(_\d{4})?|IGNF|NKG|NRCAN):[A-Z0-9_.]{1,32}(\+\d{1,8})?", re.IGNORECASE)
_TOKEN = re.compile(
    r'\s*(?:(?P<open>[A-Za-z]\w*)\s*[\[(]|"(?P<quoted>(?:[^"]|"")*)"|(?P<close>[\])])|,|[A-Za-z]\w*|[-+0-9.][-+0-9.eE:TZ]*)',
    re.ASCII,
)
_ROOTS = frozenset(
    """
    PROJCS GEOGCS GEOCCS COMPD_CS VERT_CS VERTCS LOCAL_CS GEODCRS GEODETICCRS GEOGCRS GEOGRAPHICCRS
    PROJCRS PROJECTEDCRS DERIVEDPROJCRS VERTCRS VERTICALCRS ENGCRS ENGINEERINGCRS COMPOUNDCRS BOUNDCRS
    """.split()  # noqa: SIM905 - read as a text
)
_PARTS = _ROOTS.union(
    """
    DATUM VERT_DATUM LOCAL_DATUM SPHEROID PRIMEM UNIT AXIS AUTHORITY PROJECTION PARAMETER TOWGS84
    EXTENSION METADATA BASEGEODCRS BASEGEOGCRS BASEPROJCRS BASEVERTCRS BASEENGCRS DERIVINGCONVERSION
    SOURCECRS TARGETCRS ABRIDGEDTRANSFORMATION METHOD CONVERSION CS ORDER MERIDIAN BEARING ANGLEUNIT
    LENGTHUNIT LINUNIT SCALEUNIT PARAMETRICUNIT TIMEUNIT ELLIPSOID PRIMEMERIDIAN GEODETICDATUM TRF
    VDATUM VRF VERTICALDATUM EDATUM ENGINEERINGDATUM ENSEMBLE MEMBER ENSEMBLEACCURACY OPERATIONACCURACY
    DYNAMIC FRAMEEPOCH MODEL ID CITATION URI USAGE SCOPE AREA BBOX VERTICALEXTENT TIMEEXTENT REMARK
    ANCHOR ANCHOREPOCH VERSION GEOIDMODEL
    """.split()  # noqa: SIM905 - read as a text
)
"""What WKT 1 (GDAL, Esri) and WKT 2 (ISO 19162) are made of, less what names files: PARAMETERFILE, VELOCITYGRID."""

_PROJ_KEYS = frozenset(
    """
    proj ellps datum pm units vunits axis type zone a b f rf es e R R_A k k_0 x_0 y_0 z_0 lon_0 lon_1
    lon_2 lat_0 lat_1 lat_2 lat_3 lat_ts lat_b lonc alpha gamma azi tilt h W M n m q o_proj o_lat_p
    o_lon_p o_alpha o_lon_c o_lat_c o_lon_1 o_lat_1 o_lon_2 o_lat_2 to_meter vto_meter towgs84 sweep
    lsat path orient rot mode
    """.split()  # noqa: SIM905 - read as a text
)
_PLAIN = re.compile(r"[-+0-9.eE,]+|[A-Za-z][A-Za-z0-9_]{0,31}", re.ASCII)
_OPERATION = re.compile(
    r"proj[\s=]+(pipeline|\w*gridshift|deformation|defmodel|tinshift)|proj-based", re.IGNORECASE
)
_PROJ_STRING = re.compile(r"\+\w+\s*=|(proj|grids|init|file|model)\s*=", re.IGNORECASE)


def check_crs_text(text: str) -> str:
    """The definition itself, if PROJ may see it: ``AUTHORITY:CODE`` or WKT.

    Raises:
        ValueError: It has another form (PROJ string, PROJJSON, file, address), or it names a file or an operation.
    """
    if _CODE.fullmatch(text.strip()) or (len(text) <= MAX_LENGTH and _is_plain_wkt(text.strip())):
        return text
    raise ValueError(
        "a CRS may not name files, grids or pipelines; give its code, such as EPSG:32631, or plain WKT"
    )


def _is_plain_wkt(text: str) -> bool:
    place, parents = 0, [""]
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            return False
        place = token.end()
        if (keyword := token["open"]) is not None:
            parents.append(keyword.upper())
            if len(parents) > MAX_DEPTH or parents[-1] not in (_PARTS if parents[1:-1] else _ROOTS):
                return False
        elif token["close"]:
            if len(parents) == 1:
                return False
            parents.pop()
        # Esri joins a projected and a vertical CRS by a comma.
        elif (len(parents) == 1 and token[0] != ",") or (
            token["quoted"] is not None and not _names_nothing(token["quoted"], parents[-1])
        ):
            return False
    return place > 0 and len(parents) == 1


def _names_nothing(quoted: str, parent: str) -> bool:
    """Whether a string of a part of WKT is a mere name, or a PROJ string of plain values where one may stand."""
    if parent == "GEOIDMODEL":  # PROJ takes the name of a grid from it
        return re.fullmatch(r"(?!PROJ )[\w ()-]*", quoted, re.ASCII) is not None
    if parent not in ("METHOD", "PROJECTION", "EXTENSION"):
        return _PROJ_STRING.search(quoted) is None
    if parent == "EXTENSION" and not (quoted == "PROJ4" or quoted.startswith("+proj=")):
        return False
    pairs = (word.lstrip("+").split("=", 1) for word in quoted.split() if "=" in word)
    return _OPERATION.search(quoted) is None and all(map(_is_plain, pairs))


def _is_plain(pair: list[str]) -> bool:
    key, value = pair
    if key in ("nadgrids", "geoidgrids"):
        return value == "@null"
    return key in _PROJ_KEYS and _PLAIN.fullmatch(value) is not None
