"""What the stand-in says to a search: places in rows over the scene, and an index that is kept.

The text says how it goes: ``refused``, ``failing``, ``endless`` (indexes until it is dismissed), ``large`` (is said to
take two minutes), ``nowhere`` (finds nothing), ``refinery`` (is not known). The first search of a scene is a job that
indexes it, a later one is answered at once.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fusar_qgis.contract import (
    SEARCH,
    SEARCH_NOW,
    SEARCH_PLAN,
    Finished,
    HeatMap,
    Progress,
    Run,
    Started,
    read_geojson,
)

if TYPE_CHECKING:
    from standin import Door

PATHS = (SEARCH_NOW, SEARCH_PLAN)
SLICES = 12_300
UNKNOWN = "The encoder does not know the word “refinery”; it searched for the rest."
ENCODERS = [
    {
        "name": "klip-tiny",
        "title": "KLIP tiny",
        "demonstration": True,
        "words": ["ships", "dock", "river", "港", "口"],
    }
]


def answer(door: Door, order: dict[str, Any]) -> None:
    """Answer a search, or the question what it takes."""
    server, text = door.server, " ".join(order.get("texts", ()))
    server.searches.append((door.path, order))
    if "refused" in text:
        door.reply(
            422, {"title": "Not known", "status": 422, "detail": "the encoder knows none of these words"}
        )
    elif door.path == SEARCH_PLAN:
        ready = SLICES if order["scene"] in server.indexed else 0
        seconds = 120.0 if "large" in text else 3.0
        door.reply(200, {"slices": SLICES, "ready": ready, "seconds": 0.0 if ready else seconds})
    elif order["scene"] in server.indexed:
        door.reply(200, results(order))
    else:
        door.reply(
            201, {"jobID": server.take(order), "status": "accepted", "type": "process", "processID": SEARCH}
        )


def tell_job(door: Door, number: int) -> None:
    """Index in 20 steps; the results hold the places."""
    server, order = door.server, door.server.orders[number]
    if door.path.endswith("/results"):
        door.reply(200, results(order))
        return
    door.seen, door.received = int(door.headers.get("Last-Event-ID") or 0), 0
    door.send_response(200)
    door.send_header("Content-Type", "text/event-stream")
    door.end_headers()
    text = " ".join(order.get("texts", ()))
    door.event("started", Started(run_of(order), SLICES).to_json())
    steps = 100_000 if text == "endless" else 20
    for step in range(1, steps + 1):
        time.sleep(server.pause_s)
        if server.dismissed.is_set():
            return
        door.event("progress", Progress(step * SLICES // steps, SLICES).to_json())
        if step == 10 and text == "failing":
            server.end(str(number))
            door.event("end", {"status": "failed", "message": "the disk is full: free some space on it"})
            return
    server.indexed.add(order["scene"])
    server.end(str(number))
    door.event("end", {"status": "successful", "message": "Done."})


def results(order: dict[str, Any]) -> dict[str, Any]:
    """The places, and a heat map; each search is a run of its own."""
    places = read_geojson({"type": "FeatureCollection", "features": places_of(order)})
    heat = HeatMap(
        20, 16, (10, 10), "EPSG:32650", (500000, 50, 0, 4000000, 0, -50), (), bytes(range(160)) * 2
    )
    return Finished(replace(run_of(order), id=uuid.uuid4().hex), places, heat).to_json()


def run_of(order: dict[str, Any]) -> Run:
    texts = tuple(order.get("texts", ()))
    return Run(
        id="search", version="0.1.0", model="klip-tiny", model_hash="0", demonstration=True, task=SEARCH,
        targets=(), prompts=texts, scene="harbour.tif", scene_crs="EPSG:32650", scene_fingerprint="f",
        scene_simulated=True, band="1", quantity="grey", stretch_low_db=0, stretch_high_db=255,
        chip_ground_m=100.0, aspect="undistorted", overlap=0.5, area="", started="2026-01-01T00:00:00Z",
        warnings=(UNKNOWN,) if any("refinery" in text for text in texts) else (),
    )  # fmt: skip


def places_of(order: dict[str, Any]) -> list[dict[str, Any]]:
    """As many squares of 20 pixels as are wanted, in rows over the scene."""
    if "nowhere" in order.get("texts", ()):
        return []
    found = []
    for number in range(order.get("top", 20)):
        left, top = 4 * (number % 40), 4 * (number // 40 % 30)
        x, y = 500000 + 5 * left, 4000000 - 5 * top
        ring = [[x, y - 100], [x + 100, y - 100], [x + 100, y], [x, y], [x, y - 100]]
        row = {"rank": number + 1, "percentile": 99.96 - 0.05 * number, "similarity": 0.4 - 0.0001 * number}
        row |= {
            "query": "; ".join(order.get("texts", ())),
            "matched": None,
            "side_m": 100.0,
            "data_share": 1.0,
        }
        row |= {"chip": number, "model": "klip-tiny", "demonstration": True, "prior": "none"}
        found.append(
            {
                "type": "Feature",
                "id": f"place {number}",
                "geometry": None,
                "properties": {"layer": "places", **row},
                "scene_geometry": {"type": "Polygon", "coordinates": [ring]},
                "scene_box": [left, top, left + 20, top + 20],
                "scene_crs": "EPSG:32650",
            }
        )
    return found
