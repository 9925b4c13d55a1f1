"""A Sentinel-1 product in miniature, as far as GDAL's driver reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rasters import speckle, swath_gcps, write

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
