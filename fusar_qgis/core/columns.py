"""The columns of findings, as the backend sends them and ``fusar interpret`` writes them."""

from __future__ import annotations

_SHARED = {
    "chip": int,
    "prior_nodes": int,
    "lon": float,
    "lat": float,
    "run": str,
    "model": str,
    "demonstration": bool,
    "prior": str,
    "simulated": bool,
}
FINDING_COLUMNS: dict[str, dict[str, type]] = {
    "detections": {
        "id": str,
        "label": str,
        "score": float,
        "length_m": float,
        "width_m": float,
        "target": str,
        **_SHARED,
    },
    "grid": {"id": str, "cell": int, "hit": bool, "target": str, **_SHARED},
    "answers": {
        "id": str,
        "task": str,
        "target": str,
        "count": int,
        "label": str,
        "text": str,
        "question": str,
        "score": float,
        "complete": bool,
        **_SHARED,
    },
}
"""The type of each column by kind of findings; any of them may be null."""
