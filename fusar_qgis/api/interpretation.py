"""One interpretation for a script, from the wait for the backend to its layers."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from qgis.core import QgsGeometry, QgsProject, QgsRasterLayer

from ..connection.backend import Backend
from ..connection.diagnosis import RequestError
from ..connection.job import Job
from ..contract import PRIOR_SOURCES, Found
from ..core.request import LayerRequest
from ..layers.run_layers import RunLayers
from ..translation import translate
from .backend_run import BackendRun


class Interpretation(BackendRun):
    """One interpretation, as :func:`interpret` makes it."""

    def __init__(
        self, backend: Backend, layer: QgsRasterLayer, request: LayerRequest, area: QgsGeometry | None
    ) -> None:
        """To be made by :func:`interpret`; ``area`` is what must be sent of the scene, in the CRS of the request."""
        super().__init__(backend, layer, area, request.area_crs)
        self._request = request

    def add_to_project(self) -> None:
        """Put what was found into the project, as the toolbar does: styled, grouped, reviewed and stored as its own.

        Raises:
            RuntimeError: It is not over, or had not begun.
        """
        if not self.is_over or not self.run:
            raise RuntimeError(
                translate("Api", "There is nothing to add yet: wait for the signal “finished”.")
            )
        # Not a child: it writes on when nobody keeps this any more.
        layers = RunLayers(
            self.run,
            QgsProject.instance(),
            self._source,
            self._inputs,
            began=time.monotonic() - self._lasted,
        )
        layers.warned.connect(self._warn)
        layers.add(Found(self.findings))
        layers.finish(self.warnings)

    @property
    def _inputs(self) -> dict[str, Any]:
        return {**self._request.to_json(), "layer_id": self._layer_id}

    def _on_arrived(self, scene: str) -> None:
        self._request = replace(self._request, scene=scene)
        prior = self._request.prior
        here = prior not in PRIOR_SOURCES and Path(prior).is_file()  # else it may be the server's
        if self._upload is None or self._upload.client.endpoint.is_loopback or not here:
            self._submit()
            return
        try:
            self._sending = self._upload.client.send_scene(Path(prior).name, Path(prior))
        except OSError as error:
            self._fail(f"{prior}: {error}")
            return
        self._sending.finished.connect(self._on_prior_sent)

    def _on_prior_sent(self) -> None:
        if self._sending is None or self._upload is None:
            return
        try:
            prior = self._upload.client.read_field(self._sending, "scene")
        except RequestError as error:
            self._fail(str(error))
            return
        self._request = replace(self._request, prior=prior)
        self._submit()

    def _submit(self) -> None:
        if self._upload is not None:
            self._follow(Job(self._upload.client, self._request.to_json()))
