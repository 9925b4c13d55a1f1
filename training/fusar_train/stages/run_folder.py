"""The folder of a run that is under way: begun once, and gone on with only by what it was begun with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import PartialState

from fusar_gpt.errors import FusarError
from fusar_gpt.model.folder import BROKEN
from fusar_train.stages.trainer import latest, numbered

RUN_FILE = "run.json"


def open_run_folder(
    work: Path, run: Mapping[str, Any], *, resume: bool, failure: type[FusarError]
) -> Path | None:
    """Makes the folder, or finds the saved state to go on from in it; None for the beginning.

    Args:
        work: The folder.
        run: What must be the same when the run goes on, as JSON can hold it.
        resume: The user wants to go on.
        failure: The error to raise.

    Raises:
        FusarError: ``failure``: the folder holds a run and ``resume`` was not said, or a run that was begun with
            something else; or it cannot be read or written.
    """
    path = work / RUN_FILE
    if resume:
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            changed = sorted(name for name in run.keys() | before.keys() if run.get(name) != before.get(name))
        except BROKEN as error:
            raise failure(f"{path} cannot be read ({error}): begin anew in another folder.") from error
        if changed:
            raise failure(
                f"The run in {work} was begun with other {', '.join(changed)}: give the same, or begin anew in "
                "another folder."
            )
        found = latest(work) if PartialState().is_main_process else None
        PartialState().wait_for_everyone()  # process 0 has removed what was half-written
        saved = numbered(work)
        return found or (saved[-1][1] if saved else None)
    if numbered(work):
        raise failure(f"{work} holds a run that was not finished: go on with --resume, or remove the folder.")
    if PartialState().is_main_process:
        try:
            work.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise failure(f"{work} cannot be written ({error.strerror}): give another --work.") from error
    PartialState().wait_for_everyone()
    return None
