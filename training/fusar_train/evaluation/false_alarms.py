"""False alarms: what a model finds in scenes that hold no target, per 100 square kilometres."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import chi2

from fusar_gpt.contract import NO_PRIOR, Finished, InterpretRequest
from fusar_gpt.engine import Engine
from fusar_gpt.errors import FusarError
from fusar_gpt.imagery import open_scene
from fusar_gpt.interpret import interpret
from fusar_gpt.tasks import Task
from fusar_train.evaluation.bootstrap import LEVEL
from fusar_train.evaluation.predictions import PredictionsError

_SUFFIXES = {".tif", ".tiff"}


@dataclass(frozen=True)
class SceneAlarms:
    """What was found in a scene without targets.

    Attributes:
        scene: Its file's name.
        pixel_m: Its pixel size in metres.
        km2: Its ground that has data.
        alarms: How many detections of each class that was asked for, all of them false.
    """

    scene: str
    pixel_m: float
    km2: float
    alarms: Mapping[str, int]


def scenes_in(path: Path) -> list[Path]:
    """The GeoTIFFs of a folder and those below it, or the one file; PredictionsError when there is none."""
    found = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES)
    if not found:
        raise PredictionsError(f"{path} holds no GeoTIFF: give scenes that show no target.")
    return found


def false_alarms(engine: Engine, scenes: Sequence[Path]) -> Iterator[SceneAlarms]:
    """Looks for every class of the model in whole scenes, without a prior.

    Raises:
        PredictionsError: A scene cannot be interpreted, or lies nowhere on Earth, so that it has no area.
    """
    for path in scenes:
        try:
            with open_scene(path) as scene:
                placed, pixel_m = scene.georeferenced, scene.pixel_size_m
                km2 = scene.width * scene.height * pixel_m**2 / 1e6
            if not placed:
                raise PredictionsError("it has no georeference, so its area is not known")
            request = InterpretRequest(str(path), Task.DETECT, prior=NO_PRIOR)
            *_, last = interpret(request, engine)
        except FusarError as error:
            raise PredictionsError(f"{path}: {error}") from error
        assert isinstance(last, Finished)
        seen = Counter(str(f.properties["label"]) for f in last.findings if f.layer == "detections")
        share = 1.0 if last.run.data_share is None else last.run.data_share
        yield SceneAlarms(path.name, pixel_m, km2 * share, {name: seen[name] for name in last.run.targets})


def rates(scenes: Sequence[SceneAlarms]) -> dict[str, dict[str, float]]:
    """By class: ``alarms``, ``km2`` searched, ``per_100_km2`` and its 95 % Poisson interval, ``low`` to ``high``."""
    found: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(name for scene in scenes for name in scene.alarms):
        n = sum(scene.alarms.get(name, 0) for scene in scenes)
        km2 = sum(scene.km2 for scene in scenes if name in scene.alarms)
        low = float(chi2.ppf((1 - LEVEL) / 2, 2 * n)) / 2 if n else 0.0
        high = float(chi2.ppf((1 + LEVEL) / 2, 2 * n + 2)) / 2
        values = {"per_100_km2": n, "low": low, "high": high}
        found[name] = {"alarms": n, "km2": round(km2, 3)}
        found[name] |= {key: round(100 * value / km2, 3) for key, value in values.items()}
    return found


def to_json(scenes: Sequence[SceneAlarms]) -> dict[str, Any]:
    """The scenes and rates as plain objects."""
    rows = [
        {"scene": s.scene, "pixel_m": round(s.pixel_m, 3), "km2": round(s.km2, 3), "alarms": dict(s.alarms)}
        for s in scenes
    ]
    return {"scenes": rows, "rates": rates(scenes)}


def told(scenes: Sequence[SceneAlarms]) -> Iterator[str]:
    """The rates, one sentence a class."""
    for name, rate in rates(scenes).items():
        yield (
            f"false alarms, {name}: {rate['per_100_km2']:.1f} per 100 km2 ({rate['low']:.1f} to {rate['high']:.1f}; "
            f"{rate['alarms']} on {rate['km2']:.1f} km2 without targets)"
        )
