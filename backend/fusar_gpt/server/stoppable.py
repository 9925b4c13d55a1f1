"""uvicorn with two moments of our own: when it answers, and when it must let go of the streams."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn
from fastapi import FastAPI

GRACE_S = 3


class StoppableServer(uvicorn.Server):
    """Serves one application on sockets bound by the caller."""

    def __init__(
        self,
        app: FastAPI,
        on_ready: Callable[[], None] = lambda: None,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                ws="none",
                lifespan="on",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_S,
                ssl_certfile=tls_cert,
                ssl_keyfile=tls_key,
            )
        )
        self._jobs = app.state.jobs
        self._on_ready = on_ready

    def stop(self) -> None:
        """Ask for a clean end, from any thread."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop the jobs first: uvicorn waits for open event streams, and those end then."""
        self._jobs.close()
        await super().shutdown(sockets)
