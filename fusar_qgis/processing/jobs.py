"""Interpretations for callers that stop waiting after a minute: start one, ask how far it is, fetch its findings."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputBoolean,
    QgsProcessingOutputNumber,
    QgsProcessingOutputString,
    QgsProcessingParameterString,
)

from .. import compat
from ..connection.backend import BackendChoice, ChoiceError
from ..connection.blocking_client import BlockingClient, Stopped
from ..connection.child import ChildBackend
from ..connection.diagnosis import RequestError
from ..core.journal import Entry
from ..layers.clipping import ClipError
from ..layers.features import fields_of
from ..layers.scene import crs_of
from ..layers.storage import storable
from ..translation import QT_TRANSLATE_NOOP, translate
from . import parameters as declared
from .base import FusarAlgorithm
from .batch import send_item
from .parameters import JOBS, SINKS
from .results import COLUMNS, FindingsSink, LayerPostProcessor, RunsTable, style_findings
from .tasks import Interpret

_SUCCESSFUL = "successful"
_OVER = (_SUCCESSFUL, "failed", "dismissed")
_WORST_FIRST = ("failed", "dismissed", "running", "accepted", _SUCCESSFUL)


class StartInterpret(Interpret):
    """The parameters of ``interpret`` in, the ids of the started jobs out."""

    NAME = "startinterpret"
    TITLE = QT_TRANSLATE_NOOP("Processing", "Start interpreting areas")
    HELP = QT_TRANSLATE_NOOP(
        "Processing",
        "Starts what “Interpret areas” does, one job for each polygon on each raster, and comes back at once with the "
        "ids of the jobs. “State of jobs” then says how far they are, “Results of jobs” fetches what they found. The "
        "jobs run in the backend: one that QGIS has started lives as long as QGIS or the script does, a server as "
        "long as it likes.",
    )
    TAGS: tuple[str, ...] = ("job", "start", "asynchronous", "agent", *Interpret.TAGS)

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802 - QGIS's name
        """Declare the parameters and outputs."""
        self.add_inputs()
        declared.add_choices(self)
        self.addOutput(QgsProcessingOutputString(JOBS, translate("Processing", "Ids of the jobs")))
        self.addOutput(QgsProcessingOutputNumber("STARTED", translate("Processing", "Number of jobs")))
        self.addOutput(
            QgsProcessingOutputNumber("SKIPPED", translate("Processing", "Rasters that could not be used"))
        )

    def shortHelpString(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the help: a started job has neither journal nor layers."""
        return FusarAlgorithm.shortHelpString(self)

    def prepareAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> bool:
        """As for a batch; and refuse to start what would end with this process."""
        fine = super().prepareAlgorithm(parameters, context, feedback)
        if self._choice.endpoint is None and QgsApplication.platform() == "qgis_process":
            raise QgsProcessingException(
                translate(
                    "Processing",
                    "The backend that qgis_process starts ends with it, and the jobs with that. Start “fusar serve” "
                    "and set FUSAR_URL and FUSAR_TOKEN, or run fusar:interpret, which waits for its findings.",
                )
            )
        return fine

    def processAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Submit the jobs."""
        items, bad = self.open_items(parameters, context, feedback)
        jobs: list[str] = []
        try:
            with BlockingClient(self._choice, self._child, feedback.isCanceled) as client:
                for done, item in enumerate(items):
                    jobs.append(client.submit(send_item(client, item, feedback)))
                    feedback.pushInfo(f"{item.name}: {jobs[-1]}")
                    feedback.setProgress(100 * (done + 1) / len(items))
        except Stopped:
            self._dismiss(jobs)
            return {}
        except (RequestError, ClipError) as error:
            self._dismiss(jobs)
            raise QgsProcessingException(
                translate("Processing", "Nothing was started: {reason}").format(reason=error)
            ) from error
        return {JOBS: ",".join(jobs), "STARTED": len(jobs), "SKIPPED": len(bad)}

    def _dismiss(self, jobs: list[str]) -> None:
        """Cancel what was started before it went wrong: nobody would know its ids."""
        if not jobs:
            return
        try:
            with BlockingClient(self._choice, self._child, lambda: False) as client:
                for job in jobs:
                    client.dismiss(job)
        except (RequestError, Stopped):
            return  # whoever is gone has dropped its jobs, or shows them in GET /jobs


class _JobsAlgorithm(FusarAlgorithm):
    """An algorithm about jobs that were started; it never starts a backend."""

    def _declare_jobs(self) -> None:
        self.addParameter(
            declared.with_help(
                QgsProcessingParameterString(JOBS, translate("Processing", "Ids of the jobs")),
                translate("Processing", "As “Start interpreting areas” gave them, separated by commas."),
            )
        )

    def prepareAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> bool:
        """Find the backend that runs."""
        self._child: ChildBackend = self.provider().child
        try:
            self._choice = BackendChoice.of_settings()
        except ChoiceError as error:
            raise QgsProcessingException(str(error)) from error
        if self._choice.endpoint is None and not self._child.is_running:
            raise QgsProcessingException(
                translate(
                    "Processing",
                    "No backend of this QGIS is running, so there are no jobs: a backend that QGIS starts ends with "
                    "it. Start the interpretation again, or use a server.",
                )
            )
        named = self.parameterAsString(parameters, JOBS, context).split(",")
        self._jobs = list(dict.fromkeys(word.strip() for word in named if word.strip()))
        if not self._jobs:
            raise QgsProcessingException(translate("Processing", "Name at least one job."))
        return True

    def _states(self, client: BlockingClient) -> list[dict[str, Any]]:
        return [client.job_state(job) for job in self._jobs]


class JobStatus(_JobsAlgorithm):
    """Ids of jobs in; how far they are out."""

    NAME = "jobstatus"
    TITLE = QT_TRANSLATE_NOOP("Processing", "State of jobs")
    HELP = QT_TRANSLATE_NOOP(
        "Processing",
        "Says at once how far the jobs of “Start interpreting areas” are: accepted, running, successful, failed or "
        "dismissed, the progress in percent, and whether all have ended. It never starts a backend.",
    )
    TAGS = ("job", "status", "poll", "progress", "agent")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802 - QGIS's name
        """Declare the parameter and outputs."""
        self._declare_jobs()
        self.addOutput(QgsProcessingOutputString("STATUS", translate("Processing", "State of all")))
        self.addOutput(QgsProcessingOutputBoolean("ENDED", translate("Processing", "All have ended")))
        self.addOutput(QgsProcessingOutputNumber("PROGRESS", translate("Processing", "Progress in percent")))
        self.addOutput(QgsProcessingOutputString("MESSAGE", translate("Processing", "What each says")))

    def processAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Ask for each."""
        try:
            with BlockingClient(self._choice, self._child, feedback.isCanceled) as client:
                states = self._states(client)
        except Stopped:
            return {}
        except RequestError as error:
            raise QgsProcessingException(str(error)) from error
        said = [_in_words(state) for state in states]
        for line in said:
            feedback.pushInfo(line)
        progress = sum(100 if state["status"] in _OVER else state.get("progress", 0) for state in states)
        return {
            "STATUS": _together([state["status"] for state in states]),
            "ENDED": all(state["status"] in _OVER for state in states),
            "PROGRESS": progress / len(states),
            "MESSAGE": "\n".join(said),
        }


class CancelJob(_JobsAlgorithm):
    """Ids of jobs in; those that had not ended are cancelled."""

    NAME = "canceljob"
    TITLE = QT_TRANSLATE_NOOP("Processing", "Cancel jobs")
    HELP = QT_TRANSLATE_NOOP(
        "Processing",
        "Cancels jobs of “Start interpreting areas” that have not ended. One that has ended is left as it is, with its "
        "results. It comes back at once and never starts a backend.",
    )
    TAGS = ("job", "cancel", "stop", "abort", "dismiss", "agent")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802 - QGIS's name
        """Declare the parameter and outputs."""
        self._declare_jobs()
        self.addOutput(
            QgsProcessingOutputNumber("CANCELLED", translate("Processing", "Jobs that were cancelled"))
        )
        self.addOutput(QgsProcessingOutputString("MESSAGE", translate("Processing", "What each says")))

    def processAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Look how far each is, then cancel those that go on."""
        try:
            with BlockingClient(self._choice, self._child, feedback.isCanceled) as client:
                states = self._states(client)  # an unknown id is said before anything is cancelled
                going = [state for state in states if state["status"] not in _OVER]
                for state in going:
                    client.dismiss(str(state["jobID"]))
                    state["status"], state["message"] = "dismissed", ""
        except Stopped:
            return {}
        except RequestError as error:
            raise QgsProcessingException(str(error)) from error
        said = [_in_words(state) for state in states]
        for line in said:
            feedback.pushInfo(line)
        return {"CANCELLED": len(going), "MESSAGE": "\n".join(said)}


class JobResults(_JobsAlgorithm):
    """Ids of jobs in; detections, grid, answers and places out."""

    NAME = "jobresults"
    TITLE = QT_TRANSLATE_NOOP("Processing", "Results of jobs")
    HELP = QT_TRANSLATE_NOOP(
        "Processing",
        "Fetches what jobs of “Start interpreting areas” have found, once all of them have ended; the backend keeps "
        "it. The layers are those of “Interpret areas”; their column area is empty, and the column run tells the jobs "
        "apart. They are in the CRS of the first job's scene. A layer that no job gives is not made, unless you name "
        "its file. It never starts a backend.",
    )
    TAGS = ("job", "results", "findings", "poll", "agent")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802 - QGIS's name
        """Declare the parameters and outputs."""
        self._declare_jobs()
        for kind in SINKS:
            self.addParameter(declared.findings(kind, optional=True, by_default=True))
        self.addParameter(declared.runs())
        for name, words in (
            ("DONE", translate("Processing", "Jobs with results")),
            ("FAILED", translate("Processing", "Jobs that failed")),
            ("FINDINGS", translate("Processing", "Number of findings")),
        ):
            self.addOutput(QgsProcessingOutputNumber(name, words))

    def processAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Fetch the results of all, then write them."""
        try:
            with BlockingClient(self._choice, self._child, feedback.isCanceled) as client:
                entries, failed = self._fetch(client)
        except Stopped:
            return {}
        except RequestError as error:
            raise QgsProcessingException(str(error)) from error
        for reason in failed:
            feedback.reportError(reason)
        if not entries:
            raise QgsProcessingException("\n".join(failed))
        for entry in entries:
            for warning in str(entry.run.get("warnings") or "").splitlines():
                feedback.pushWarning(warning)
        layers = self._write_findings(parameters, context, entries)
        table = RunsTable(
            *self.parameterAsSink(
                parameters, declared.RUNS_TABLE, context, RunsTable.fields(), compat.NO_GEOMETRY,
                QgsCoordinateReferenceSystem(),
            )
        )  # fmt: skip
        for entry in entries:
            table.add({**entry.run, "status": "done", "area": None})
        for reason in failed:
            table.add({"status": "failed", "reason": reason})
        findings = sum(len(entry.findings) for entry in entries)
        numbers = {"DONE": len(entries), "FAILED": len(failed), "FINDINGS": findings}
        return {**layers, **table.result(), **numbers}

    def _fetch(self, client: BlockingClient) -> tuple[list[Entry], list[str]]:
        """Return what the jobs found, and a sentence for each that has nothing to give."""
        states = self._states(client)
        unfinished = [_in_words(state) for state in states if state["status"] not in _OVER]
        if unfinished:
            raise QgsProcessingException(
                translate(
                    "Processing", "Not all jobs have ended: {jobs}. Ask fusar:jobstatus again later."
                ).format(jobs="; ".join(unfinished))
            )
        entries = [
            Entry(*client.results(job))
            for job, state in zip(self._jobs, states)  # noqa: B905 - Python 3.9
            if state["status"] == _SUCCESSFUL
        ]
        return entries, [_in_words(state) for state in states if state["status"] != _SUCCESSFUL]

    def _write_findings(
        self, parameters: dict[str, Any], context: QgsProcessingContext, entries: list[Entry]
    ) -> dict[str, Any]:
        counts: Counter[str] = Counter(finding.layer for entry in entries for finding in entry.findings)
        crs = storable(crs_of(str(entries[0].run.get("scene_crs"))))
        runs, layers = [entry.run for entry in entries], {}
        for kind, name in SINKS.items():
            if not counts[kind] and declared.is_temporary(parameters.get(name)):
                continue
            fields = fields_of(COLUMNS[kind])
            sink, layer = self.parameterAsSink(parameters, name, context, fields, compat.MULTIPOLYGON, crs)
            if sink is None:
                continue
            findings = FindingsSink(kind, sink, layer, crs, context)
            for entry in entries:
                for finding in entry.findings:
                    if finding.layer == kind:
                        findings.add(finding, str(entry.run.get("scene") or ""), None)
            layers[name] = layer
            LayerPostProcessor.plan(layer, context, partial(style_findings, kind, findings.labels, runs))
        return layers


def _in_words(state: dict[str, Any]) -> str:
    """Return one line about a job."""
    said = f"{state.get('jobID')}: {state['status']}"
    message = state.get("message")
    return f"{said}, {message}" if message else said


def _together(states: list[str]) -> str:
    """Return the state of several jobs: what goes on outweighs what has ended, and a failure outweighs a success."""
    going = [state for state in states if state not in _OVER]
    return next((word for word in _WORST_FIRST if word in (going or states)), "running")
