"""Asks pip what an installation would bring, before anything large is downloaded, and sees to the fitting torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..core import installing
from ..core.install_plan import (
    InstallPlan,
    is_usage_error,
    labelled_version,
    missing_package,
    read_plan,
    usual_plan,
)
from ..core.installing import PACKAGE, REPORT, Source
from ..translation import translate, translate_count
from .command import Command

_PIP = ["-m", "pip"]
_HASTE = ["--no-input", "--retries", "1", "--timeout", "15"]
# The newest pip reads what a package needs without downloading it; with this also where the index does not say it.
_DRY_RUN = ["install", "--disable-pip-version-check", *_HASTE, "--use-feature=fast-deps", "--dry-run"]


def plan_in_words(plan: InstallPlan) -> str:
    """Return in one line what an installation takes."""
    if not plan.count and not plan.disk:
        return translate("InstallPlanning", "Everything is there already.")
    low, high = plan.minutes
    size = translate("InstallPlanning", "About {disk} GB on the disk, {low} to {high} minutes.")
    if plan.download >= 1e7:  # else nothing worth a word
        size = translate(
            "InstallPlanning",
            "About {download} GB to download, {disk} GB on the disk, {low} to {high} minutes.",
        )
    words = size.format(
        download=f"{plan.download / 1e9:.1f}", disk=f"{plan.disk / 1e9:.1f}", low=low, high=high
    )
    if not plan.count:
        return str(words)
    count = translate_count("InstallPlanning", "%n package(s).", plan.count)
    return f"{count} {words}"


class InstallPlanning(QObject):
    """Plans one installation at a time. One of ``planned``, ``undecided`` and ``failed`` ends every ``start``.

    Where pip would bring the libraries for NVIDIA GPUs and there is no such GPU, or the other way round, it looks for
    the other build of torch among the versions that pip can have, and plans with that one.
    """

    line_added = pyqtSignal(str)  # a line for the log
    step = pyqtSignal(str)  # what is being done, for the analyst
    planned = pyqtSignal(object, object)  # InstallPlan, the words after "pip install"
    undecided = pyqtSignal(object, object)  # the same, for an NVIDIA GPU that is not here
    failed = pyqtSignal(str)  # what is missing and what to do: whole sentences

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._python, self._folder, self._source, self._torch_index = "", Path(), Source("index"), ""
        self._words: list[str] = []
        self._plan: InstallPlan | None = None  # with the build of torch that does not fit
        self._then: Callable[[bool], None] = self._on_pip_updated
        self._make_command()

    def start(self, python: str, folder: Path, source: Source, torch_index: str) -> None:
        """Plan with the environment's ``python`` what would be installed into ``folder``."""
        self._python, self._folder, self._source, self._torch_index = python, folder, source, torch_index
        self._plan = None
        if source.kind == "wheels":  # without the network pip stays as it is
            self._ask()
        else:
            self.step.emit(self.tr("Updating pip…"))
            words = ["install", "--disable-pip-version-check", *_HASTE, "--upgrade", "pip"]
            self._run(words, self._on_pip_updated)

    def stop(self) -> None:
        """Stop without an answer."""
        self._command.close()
        self._command.deleteLater()
        self._make_command()

    def close(self) -> None:
        """Stop for good."""
        self._command.close()

    def _make_command(self) -> None:
        self._command = Command(self)
        self._command.line_added.connect(self.line_added)
        self._command.ended.connect(self._on_ended)

    def _run(self, words: Sequence[str], then: Callable[[bool], None]) -> None:
        self._then = then
        self.line_added.emit(f"> {self._python} {' '.join([*_PIP, *words])}")
        self._command.run(self._python, [*_PIP, *words], python=True)

    def _on_ended(self, well: bool) -> None:
        self._then(well)

    def _on_pip_updated(self, _: bool) -> None:
        self._ask()  # an older pip does it too, only with more to download

    def _ask(self, torch: str = "") -> None:
        self.step.emit(self.tr("Checking that everything can be had…"))
        self._words = installing.pip_words(self._source, torch=torch, torch_index=self._torch_index)
        report = ["--report", str(self._folder / REPORT)]
        self._run([*_DRY_RUN, *report, *self._words], self._on_planned)

    def _on_planned(self, well: bool) -> None:
        gpu = installing.has_nvidia_gpu()
        if not well and self._plan is not None:  # the other build of torch does not go with the rest
            self._settle(self._plan, installing.pip_words(self._source, torch_index=self._torch_index))
        elif not well and is_usage_error(self._command.lines):  # a pip that is too old to plan
            usual = usual_plan(self._source, gpu=installing.expects_cuda(self._torch_index))
            self.planned.emit(usual, self._words)
        elif not well:
            self.failed.emit(self._problem())
        else:
            try:
                plan = self._read()
            except (OSError, ValueError) as error:
                self.failed.emit(self._failure(str(error)))
                return
            if self._plan is None and plan.torch and plan.cuda != gpu:
                self._plan = plan
                self._ask_for_versions()
            else:
                self._settle(plan, self._words)

    def _settle(self, plan: InstallPlan, words: list[str]) -> None:
        if plan.cuda and not installing.has_nvidia_gpu():
            self.undecided.emit(plan, words)
        else:
            self.planned.emit(plan, words)

    def _read(self) -> InstallPlan:
        report = self._folder / REPORT
        try:
            return read_plan(report.read_text("utf-8"))
        finally:
            report.unlink()

    def _ask_for_versions(self) -> None:
        self.step.emit(self.tr("Looking for the build of torch for this computer…"))
        place = installing.place_words(self._source, self._torch_index)
        self._run(["index", "versions", *_HASTE, *place, "torch"], self._on_versions)

    def _on_versions(self, _: bool) -> None:
        if self._plan is None:
            return
        label = "cu" if installing.has_nvidia_gpu() else "cpu"
        version = labelled_version(self._command.lines, label, self._plan.torch)
        if version:
            self._ask(version)
        else:
            plan, self._plan = self._plan, None
            self._settle(plan, self._words)

    def _problem(self) -> str:
        """Return what pip's refusal means."""
        package = missing_package(self._command.lines)
        if self._source.kind == "wheels" and package:
            text = self.tr(
                "The folder has no {package} for this computer and its Python, and the backend needs it. Make the "
                "folder on a computer of the same kind with the same Python, then try again."
            )
        elif installing.is_unreachable(self._command.lines):
            text = self.tr(
                "The package index that pip is set to does not answer. Check the network, or choose a wheel or a "
                "folder under “Install from”."
            )
        elif package == PACKAGE:
            text = self.tr(
                "The package index that pip is set to does not have fusar-gpt for this Python. Choose the backend's "
                "wheel, a folder of wheels or the source code under “Install from”."
            )
        elif package:
            text = self.tr(
                "The package index that pip is set to has no {package} for this computer and its Python, and the "
                "backend needs it. Choose another Python, or a folder of wheels that holds it under “Install from”."
            )
        else:
            return self._failure(installing.read_failure(self._command.lines))
        kept = self.tr("Nothing large was downloaded.")
        return f"{text.format(package=package)} {kept}"

    def _failure(self, reason: str) -> str:
        text = str(
            self.tr("pip cannot tell what would be installed: {reason}. Look at the log, then try again.")
        )
        return text.format(reason=reason.rstrip(".") or self.tr("no reason given"))
