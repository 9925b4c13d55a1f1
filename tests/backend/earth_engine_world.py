"""A small world of AEF images, and what the client's expressions for it mean.

Its pixels are real AEF vectors in an order of their own.
"""

from __future__ import annotations

import io
import json
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

VECTORS = Path(__file__).parents[2] / "training/fusar_train/simulation/aef_vectors_2024.npz"
COLLECTION = "GOOGLE/SATELLITE_EMBEDDING/V1/ANNUAL"
BANDS = [f"A{band:02d}" for band in range(64)]
PIXELS = np.dtype([(band, "<f8") for band in BANDS])
SPAN = 163840  # metres a side of an image

WORLD = [
    # zone, left, bottom and years; the first two overlap around 120 degrees west, where the zones meet.
    ("10N", 655360, 4177920, (2018, 2019, 2024)),
    ("11N", 163840, 4177920, (2024,)),
    ("10N", 491520, 4177920, (2018, 2019, 2024)),
    ("33S", 327680, 6225920, (2024,)),
]


# The pixels.


def table():
    """The real codes, int8 [2560, 64], and what Earth Engine gives for them."""
    with np.load(VECTORS) as stored:
        codes = stored["codes"].reshape(-1, 64)
    return codes, (codes / 127.5) ** 2 * np.sign(codes)


CODES, VALUES = table()


def vector_at(zone, year, cols, rows):
    """Which vector an image holds at pixels, counted from its zone's origin; -1 on water."""
    seed = int(zone[:-1]) * 40503 + year * 2654435
    index = (cols * 7919 + rows * 104729 + cols * rows * 31 + seed) % len(CODES)
    return np.where((cols // 16 + rows // 16) % 7 == 0, -1, index)


def codes_at(zone, year, cols, rows):
    """int8 [..., 64] of the zone's own images, -128 on water and where no image lies."""
    index = np.full(np.broadcast_shapes(cols.shape, rows.shape), -1)
    for name, left, bottom, years in WORLD:
        if name == zone and year in years:
            inside = (cols * 10 >= left) & (cols * 10 < left + SPAN)
            inside = inside & (rows * 10 >= bottom) & (rows * 10 < bottom + SPAN)
            index = np.where(inside, vector_at(zone, year, cols, rows), index)
    return np.where((index < 0)[..., None], np.int8(-128), CODES[index])


# What the client's expressions mean.


def epsg(zone):
    return f"EPSG:{32600 + int(zone[:-1]) + (100 if zone.endswith('S') else 0)}"


def reproject(source, target, x, y):
    from pyproj import Transformer

    return (
        (x, y) if source == target else Transformer.from_crs(source, target, always_xy=True).transform(x, y)
    )


def images():
    def start(year):
        return datetime(year, 1, 1, tzinfo=timezone.utc).timestamp() * 1000

    return [
        {"UTM_ZONE": zone, "year": year, "system:time_start": start(year), "left": left, "bottom": bottom}
        for zone, left, bottom, years in WORLD
        for year in years
    ]


def touches(image, rectangle):
    """Whether a rectangle's own outline, or its middle, falls into the image."""
    (left, bottom, right, top), crs = rectangle
    x, y = np.meshgrid(np.linspace(left, right, 9), np.linspace(bottom, top, 9))
    x, y = reproject(crs, epsg(image["UTM_ZONE"]), x, y)
    dx, dy = x - image["left"], y - image["bottom"]
    return bool(((dx >= 0) & (dx <= SPAN) & (dy >= 0) & (dy <= SPAN)).any())


def between(image, dates):
    first, last = (datetime.fromisoformat(day).replace(tzinfo=timezone.utc) for day in dates)
    return first.timestamp() * 1000 <= image["system:time_start"] < last.timestamp() * 1000


def loaded(name):
    if name != COLLECTION:
        raise ValueError(f"{name} not found")
    return images()


FUNCTIONS = {
    "ImageCollection.load": lambda given: loaded(given["id"]),
    "ImageCollection.fromImages": lambda given: given["images"],
    "ImageCollection.merge": lambda given: given["collection1"] + given["collection2"],
    "ImageCollection.mosaic": lambda given: given["collection"],
    "Collection.filter": lambda given: [image for image in given["collection"] if given["filter"](image)],
    "DateRange": lambda given: (given["start"], given["end"]),
    "Filter.dateRangeContains": lambda given: lambda image: between(image, given["leftValue"]),
    "Filter.intersects": lambda given: lambda image: touches(image, given["rightValue"]),
    "Filter.equals": lambda given: lambda image: image[given["leftField"]] == given["rightValue"],
    "Filter.not": lambda given: lambda image: not given["filter"](image),
    "Feature": lambda given: given["geometry"],
    "Projection": lambda given: given["crs"],
    "GeometryConstructors.Rectangle": lambda given: (given["coordinates"], given["crs"]),
    "Image.constant": lambda given: {"constant": given["value"]},
    "Image.rename": lambda given: given["input"] | {"names": given["names"]},
    "Image.toDouble": lambda given: given["value"],
    "AggregateFeatureCollection.array": lambda given: [
        image[given["property"]] for image in given["collection"]
    ],
    "List.distinct": lambda given: sorted(set(given["list"])),
}


def evaluated(node, values):
    if "constantValue" in node:
        return node["constantValue"]
    if "arrayValue" in node:
        return [evaluated(item, values) for item in node["arrayValue"]["values"]]
    if "valueReference" in node:
        return evaluated(values[node["valueReference"]], values)
    call = node["functionInvocationValue"]
    arguments = {name: evaluated(given, values) for name, given in call["arguments"].items()}
    return FUNCTIONS[call["functionName"]](arguments)


def result(body):
    expression = json.loads(body)["expression"]
    return evaluated(expression["values"][expression["result"]], expression["values"])


def pixels(mosaic, grid):
    """The values [H, W, 64] of a mosaic, by nearest neighbour; 0 where all is masked, as Earth Engine does."""
    step = grid["affineTransform"]
    cols, rows = np.meshgrid(
        np.arange(grid["dimensions"]["width"]) + 0.5, np.arange(grid["dimensions"]["height"]) + 0.5
    )
    x, y = step["translateX"] + step["scaleX"] * cols, step["translateY"] + step["scaleY"] * rows
    values = np.zeros((*x.shape, 64))
    for image in mosaic:
        if "constant" in image:
            assert image["names"] == BANDS
            values[:] = image["constant"]
            continue
        east, north = reproject(grid["crsCode"], epsg(image["UTM_ZONE"]), x, y)
        col, row = np.floor(east / 10).astype(int), np.floor(north / 10).astype(int)
        index = vector_at(image["UTM_ZONE"], image["year"], col, row)
        dx, dy = east - image["left"], north - image["bottom"]
        seen = (index >= 0) & (dx >= 0) & (dx < SPAN) & (dy >= 0) & (dy < SPAN)
        values[seen] = VALUES[index[seen]]
    return values


def npy(values, dtype=PIXELS):
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(values.astype(dtype[0])).view(dtype)[..., 0])
    return stream.getvalue()
