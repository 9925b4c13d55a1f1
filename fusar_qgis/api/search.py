"""One search for a script, from the wait for the backend to its places and its heat map."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

from qgis.core import QgsGeometry, QgsRasterLayer
from qgis.PyQt.QtNetwork import QNetworkReply

from ..connection.backend import Backend
from ..connection.client import Client
from ..connection.diagnosis import RequestError
from ..connection.job import Job
from ..contract import SEARCH_EXECUTION, Ended, Finished, HeatMap, ProtocolError, SearchRequest, read
from ..layers.places import add_places
from ..translation import translate
from .backend_run import FINISHED, BackendRun


class Search(BackendRun):
    """One search, as :func:`search` makes it; ``progressed`` brings the slices that are indexed, and all.

    Attributes:
        heat: How like the query each part of the scene is; None before the end, and where none was asked for.
    """

    def __init__(
        self, backend: Backend, layer: QgsRasterLayer, request: SearchRequest, area: QgsGeometry | None
    ) -> None:
        """To be made by :func:`search`; ``area`` is what must be sent of the scene, in the CRS of the area."""
        super().__init__(backend, layer, area, request.area_crs)
        self.heat: HeatMap | None = None
        self._request = request
        self._finished: Finished | None = None
        self._submission: QNetworkReply | None = None

    def add_to_project(self) -> None:
        """Put the places and the heat map into the project, as the search panel does: styled, grouped and stored.

        Raises:
            RuntimeError: It has not finished, or found nothing.
        """
        if self._finished is None or self.state != FINISHED:
            raise RuntimeError(
                translate("Api", "There is nothing to add yet: wait for the signal “finished”.")
            )
        began = time.monotonic() - self._lasted
        made = add_places(self._finished, "", self._source, self._inputs, began=began)
        made.warned.connect(self._warn)

    @property
    def _inputs(self) -> dict[str, Any]:
        return {**self._request.to_json(), "layer_id": self._layer_id}

    def _on_arrived(self, scene: str) -> None:
        if self._upload is not None:
            self._request = replace(self._request, scene=scene)
            client = self._upload.client
            self._submission = client.post(SEARCH_EXECUTION, {"inputs": self._request.to_json()})
            self._submission.finished.connect(partial(self._on_submitted, client))

    def _on_submitted(self, client: Client) -> None:
        reply, self._submission = self._submission, None
        if reply is None:
            return
        reply.deleteLater()
        try:
            known = client.read_field(reply, "jobID")
        except RequestError as error:
            self._fail(str(error))
            return
        if self.is_over:  # cancelled meanwhile
            client.dismiss(known)
        else:
            self._follow(Job(client, self._request.to_json(), known=known))

    def _on_ended(self, end: Ended) -> None:
        """Fetch the heat map, which no event brings, before it is over."""
        job, self._job = self._job, None
        if end.status != "successful" or job is None or self._upload is None:
            super()._on_ended(end)
            return
        self._warn_once(end.warnings)
        self._sending = self._upload.client.get(f"/jobs/{job.id}/results")
        self._sending.finished.connect(self._on_results)

    def _on_results(self) -> None:
        if self._sending is None or self._upload is None:
            return
        client = self._upload.client
        try:
            self._finished = read(Finished, client.read(self._sending))
        except (RequestError, ProtocolError) as error:
            self._fail(str(error) if isinstance(error, RequestError) else str(client.unreadable()))
            return
        self.heat = self._finished.heat
        self._end(FINISHED)
