"""Small records and data sets that tests make themselves."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from fusar_gpt.frames import SceneBox
from fusar_gpt.model.folder import Card
from fusar_train.corpus.record import Record, RecordObject

RELEASE = Card("release", "", "release", 504, 504, 14, 2, None, [], False, None, "", "", aspect="stretched")
TINY = Card("tiny", "", "compact", 224, 224, 8, 2, 672.0, ["ship", "plane"], True, None, "", "")


def speckle(seed=0, shape=(120, 200)):
    return np.random.default_rng(seed).integers(0, 120, shape, dtype=np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def ship(left, top, right, bottom, **more):
    return RecordObject(SceneBox(left, top, right, bottom), "ship", **more)


def record(folder, name="a", objects=(), pixels=None, scene=None, split=None, prior=None, **provenance):
    """A record whose image is written to the folder."""
    image = save(Path(folder) / f"{name}.png", speckle(len(name)) if pixels is None else pixels)
    return Record(
        id=f"set/{name}",
        image=image,
        objects=tuple(objects),
        prior=prior,
        scene=scene or f"set/{name}",
        split=split,
        provenance={"dataset": "set", "complete": ["ship"], **provenance},
    )


def prior_file(path, rows=5, year=None, **arrays):
    rng = np.random.default_rng(rows)
    known = {"features": rng.normal(size=(rows, 64)).astype(np.float32)}
    known["positions"] = rng.uniform(size=(rows, 2)).astype(np.float32)
    if year is not None:
        known["year"] = np.int64(year)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **known | arrays)
    return path


def voc_xml(boxes, name="ship", size=(200, 120), extra=""):
    objects = "".join(
        f"<object><name>{name}</name>{extra}<bndbox><xmin>{a}</xmin><ymin>{b}</ymin>"
        f"<xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for a, b, c, d in boxes
    )
    width, height = size
    return f"<annotation><size><width>{width}</width><height>{height}</height></size>{objects}</annotation>"


def voc_set(root, count=3):
    """Images with one bright ship each, annotated the VOC way."""
    for number in range(count):
        pixels = speckle(number)
        pixels[30 + number : 50 + number, 60:100] = 255
        save(root / "JPEGImages" / f"{number:03d}.png", pixels)
        path = root / "Annotations" / f"{number:03d}.xml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(voc_xml([(61, 31 + number, 100, 50 + number)]))
    return root


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def write_lines(path, rows):
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return path
