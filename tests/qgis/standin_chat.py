"""The stand-in's chat: made-up answers in OpenAI's stream, cut in the middle of characters.

A word of the last question says how it goes: ``refused``, ``failing``, ``dropped``, ``garbled``, ``endless``,
``where`` (a list of detections), ``hostile`` (a model that writes HTML); anything else is a short answer in words.
"""

from __future__ import annotations

import json
import time

PATH = "/v1/chat/completions"
HOSTILE = (
    "A harbour <script>alert(1)</script> with **seven** ships & 港口.\n\n"
    "- ![spy](http://127.0.0.1:9/x.png)\n- <img src='http://127.0.0.1:9/y.png'>\n- [click](http://127.0.0.1:9/)\n"
)
WORDS = "A quiet harbour, 港口很安静: seven ships lie along the quay."
PROVENANCE = "\n\nModel: tiny (demonstration only). Prior: none. The scene is simulated."


def answer(door, body: dict) -> None:
    """Answer a chat completion request; ``door`` is the request's handler."""
    from standin import REFUSAL, findings_of, run_of, source_of

    question = body["messages"][-1]["content"]
    door.server.questions.append(body)
    door.server.answer_submit.wait(10)
    if "moored" in question:
        door.reply(422, {"title": "Not taught", "status": 422, "detail": REFUSAL})
        return
    if "refused" in question:
        door.reply(400, {"title": "Bad Request", "status": 400, "detail": "the area lies outside the scene"})
        return
    door.send_response(200)
    door.send_header("Content-Type", "text/event-stream; charset=utf-8")
    door.end_headers()
    order = {"area": body["fusar"]["area"], "area_crs": body["fusar"]["area_crs"], "task": "detect"}
    order |= {"targets": ["ship"], "model": body["model"]}
    order |= {name: value for name, value in body["fusar"].items() if name.startswith("prior")}
    source = source_of(order, door.server.prior)
    features, text = [], ""
    tell(door, {}, fusar={"progress": {"task": "detect", "done": 0, "chips": 2}})
    pieces = HOSTILE if "hostile" in question else WORDS
    if "where" in question.lower():
        pieces = ["2 ships detected:"]
        for number in range(2):
            ((feature,), _) = findings_of(order, number, source)
            line = f"\n{number + 1}. ship 船 at place {number}, 90 %"
            start = sum(map(len, pieces)) + 1
            pieces.append(line)
            features.append(feature | {"spans": [[start, start + len(line) - 1]]})
    for place, piece in enumerate([*pieces, PROVENANCE] * (10_000 if "endless" in question else 1)):
        if place == 3 and "dropped" in question:
            return
        if place == 3 and "garbled" in question:
            door.wfile.write(b'data: {"choices": "no list"}\n\n')
            return
        if place == 3 and "failing" in question:
            send(door, {"error": {"message": "内存不足: use a smaller area", "type": "server_error"}})
            return
        text += piece
        tell(door, {"content": piece})
        time.sleep(door.server.pause_s / 10)
    collection = {"type": "FeatureCollection", "features": features}
    chips = [
        place["scene_geometry"] for number in range(2) for place in findings_of(order, number, source)[0]
    ]
    grounds = {"chips": [{"footprint": chip, "crs": "EPSG:32650"} for chip in chips]}
    grounds |= {"run": run_of(order, source).record(), "findings": collection, "self_check": None}
    if "where" in question.lower():
        grounds["understood"] = "detect ship"
    tell(door, {}, "stop", fusar=grounds)
    door.wfile.write(b"data: [DONE]\n\n")


def tell(door, delta: dict, reason: str | None = None, **more: object) -> None:
    send(door, {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more})


def send(door, data: dict) -> None:
    content = f": ping\n\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
    for part in (content[:-3], content[-3:]):
        door.wfile.write(part)
        door.wfile.flush()
