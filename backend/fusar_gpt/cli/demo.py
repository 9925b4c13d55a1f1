"""``fusar demo``: the sample scenes through the whole main path with the bundled tiny model."""

from __future__ import annotations

import time
from pathlib import Path

from fusar_gpt.cli.terminal import show_progress, show_summary
from fusar_gpt.contract import Finished
from fusar_gpt.engine import Engine, LocalEngine
from fusar_gpt.errors import OutputError
from fusar_gpt.findings import (
    ReportedRun,
    draw_overlay,
    is_findings_file,
    write_geopackage,
    write_overlay,
    write_report,
)
from fusar_gpt.imagery import area_from_file, open_scene
from fusar_gpt.interpret import interpret
from fusar_gpt.model import load_checkpoint
from fusar_gpt.planning import request_for
from fusar_gpt.samples import HARBOUR, SAMPLES, Sample
from fusar_gpt.tasks import Task

TASKS = {HARBOUR: (Task.DETECT, Task.LOCATE, Task.COUNT)}
"""What is asked of a sample; of the others only detection."""


def demonstrate(out: Path) -> int:
    """Interpret every sample scene; writes GeoPackages, overlays and one report into ``out``.

    Raises:
        OutputError: The folder cannot be made or written to.
    """
    start = time.perf_counter()
    _check_folder(out)
    engine = LocalEngine(load_checkpoint("tiny"))
    results: list[ReportedRun] = []
    for sample in SAMPLES:
        folder = out if sample is HARBOUR else out / sample.scene.stem
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"Cannot make {folder}: {error.strerror}. Choose another with --out DIR."
            ) from error
        results += run_sample(sample, engine, folder)
    write_report(out / "report.html", results)
    print(f"\n{time.perf_counter() - start:.0f} s. Look at {out / 'report.html'} and {out / 'overlay.png'},")
    print(f"and open {out / 'findings.gpkg'} in QGIS.")
    return 0


def _check_folder(out: Path) -> None:
    """An earlier demonstration may be replaced, nothing else. Raises OutputError."""
    try:
        others = out.is_dir() and any(out.iterdir()) and not is_findings_file(out / "findings.gpkg")
    except OSError as error:
        raise OutputError(f"Cannot read {out}: {error.strerror}. Choose another with --out DIR.") from error
    if others:
        raise OutputError(
            f"{out} holds other files than an earlier demonstration: choose another with --out DIR."
        )


def run_sample(sample: Sample, engine: Engine, folder: Path) -> list[ReportedRun]:
    """Run a sample's tasks one after the other; they share one GeoPackage, boxes and grid share one overlay."""
    print(f"\n{sample.title}")
    done: list[Finished] = []
    area = area_from_file(sample.area) if sample.area else None
    for task in TASKS.get(sample, (Task.DETECT,)):
        request = request_for(sample.scene, task, area=area, prior_network=False)
        for event in show_progress(interpret(request, engine)):
            if isinstance(event, Finished):
                show_summary(event)
                done.append(event)
    findings = [finding for event in done for finding in event.findings]
    write_geopackage(folder / "findings.gpkg", [event.run for event in done], findings)
    with open_scene(sample.scene) as scene:
        drawn = [finding for finding in findings if finding.layer != "answers"]
        write_overlay(folder / "overlay.png", scene, done[0].run, drawn)
        return [
            ReportedRun(event.run, event.findings, draw_overlay(scene, event.run, event.findings))
            for event in done
        ]
