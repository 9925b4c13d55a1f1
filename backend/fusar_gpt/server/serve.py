"""``fusar serve``: bind a socket, announce the address, serve until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import secrets
import signal
import socket
import ssl
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from fusar_gpt import __version__
from fusar_gpt.certainty import calibration_of
from fusar_gpt.contract import API, PRIOR_SOURCES, Task
from fusar_gpt.engine import Engine, open_engine
from fusar_gpt.engine_options import EngineOptions
from fusar_gpt.imagery import RasterPolicy
from fusar_gpt.interpret import interpret
from fusar_gpt.model import Card
from fusar_gpt.model.store import find_folder
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.server.app import create_app
from fusar_gpt.server.connections import (
    CONNECTIONS,
    HEAD_S,
    GuardedProtocol,
    IdleConnections,
    raise_file_limit,
)
from fusar_gpt.server.encoders import Encoders
from fusar_gpt.server.inputs import admit_under
from fusar_gpt.server.opening import OPENINGS
from fusar_gpt.server.options import Options, state_folder
from fusar_gpt.server.security import Roots, is_loopback, remove_token_file, write_token_file
from fusar_gpt.server.tokens import ServeError, check_token, read_tokens

STOP_TIMEOUT_S = 3.0
GRACE_S = 3


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes or, with ``--child``, until stdin closes.

    Raises ServeError if it cannot start as asked, CheckpointError if the model or the encoder is missing, JournalError
    if the state folder cannot be used.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(message)s")
    given = args.token or os.environ.get("FUSAR_TOKEN")
    token = check_token(given or secrets.token_urlsafe(32))
    tokens = read_tokens(args.tokens) if args.tokens else {}
    check_tls(args)
    if problem := EngineOptions.of(args).problem():
        raise ServeError(problem)
    if not is_loopback(args.host):
        if not (given or tokens):
            raise ServeError(f"listening on {args.host} lets others in: choose a --token first")
        if not args.tls_cert:
            report(f"warning: {args.host} is reachable by other machines, and the traffic is not encrypted")
    with ExitStack() as stack:
        app = local_app(
            EngineOptions.of(args),
            token=token,
            tokens=tokens,
            roots=Roots.of(args.root or [Path.home()]),
            host=args.host,
            state=state_of(args, stack),
            lasting=lasting(args),
            settings=PriorSettings.of(args),
            options=Options.of(args),
            encoders=Encoders(args.encoder, args.device),
        )
        listener = stack.enter_context(bind(args.host, args.port))
        serve(app, listener, args, url_of(args.host, listener, tls=bool(args.tls_cert)), token)
    # A thread of the engine or of a job may still be in native code: finalising Python meanwhile would abort or hang.
    OPENINGS.close()
    logging.shutdown()
    os._exit(0)


def lasting(args: argparse.Namespace) -> bool:
    """Whether the state outlives this server: that of a child does not, unless it was given a folder."""
    return args.state is not None or not args.child


def state_of(args: argparse.Namespace, stack: ExitStack) -> Path:
    """The state folder; a temporary one is removed with the stack."""
    if lasting(args):
        return state_folder(args.state)
    folder = tempfile.TemporaryDirectory(prefix="fusar-", ignore_cleanup_errors=True)
    return Path(stack.enter_context(folder))


def check_tls(args: argparse.Namespace) -> None:
    """Raise ServeError unless certificate and key make a TLS server, or neither is given."""
    if bool(args.tls_cert) != bool(args.tls_key):
        raise ServeError("TLS needs both --tls-cert and --tls-key")
    if args.tls_cert:
        try:
            # The empty password keeps OpenSSL from asking for one on a terminal where nobody may be.
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
                args.tls_cert, args.tls_key, password=lambda: b""
            )
        except OSError as error:
            raise ServeError(
                "--tls-cert and --tls-key are not a certificate and its key in PEM without a password "
                f"({error.strerror or error}); check the files"
            ) from error


def local_app(model: EngineOptions, **options: Any) -> FastAPI:
    """The application that runs a model here; it answers requests while the model loads.

    ``options`` are keywords of :func:`fusar_gpt.server.app.create_app`.
    """
    info = describe(model.model)
    admit = admit_under(options["roots"])

    def load() -> Engine:
        engine = open_engine(model)
        info["device"] = engine.device
        if calibration_of(engine.card, engine.hash)[0] is None:
            info["models"][0]["calibration"] = None  # the card's is of another checkpoint
        return engine

    return create_app(
        lambda request, engine, cancelled, settings, run: interpret(
            request, engine, cancelled, settings, identity=run, policy=RasterPolicy(), admit=admit
        ),
        load,
        info,
        **options,
    )


def describe(model: str) -> dict[str, Any]:
    """What GET /info answers, from the checkpoint's card alone. Raises CheckpointError if there is none."""
    card = Card.read(find_folder(model))
    return {
        "api": API,
        "version": __version__,
        "models": [{key: value for key, value in asdict(card).items() if key != "digests"}],
        "device": "loading",
        "targets": list(card.targets),
        "tasks": [task.value for task in Task],
        "prior_sources": [*PRIOR_SOURCES, "file"],
    }


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, so that the port is known (0 takes a free one) before it is announced.

    Raises ServeError.
    """
    if not 0 <= port <= 65535:
        raise ServeError(f"cannot listen on port {port}; choose one from 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise ServeError(f"cannot listen on {host} port {port} ({error}); choose another one") from error
    # asyncio does not set it on sockets that it is given, and small replies would be delayed by 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def url_of(host: str, listener: socket.socket, *, tls: bool = False) -> str:
    """The address to give to clients."""
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    scheme = "https" if tls else "http"
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"


class StoppableServer(uvicorn.Server):
    """uvicorn that reports when it answers, and stops the jobs before it waits for open event streams."""

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
                # Our own protocol with a limit for slow heads; h11 whatever else is installed.
                http=partial(GuardedProtocol, IdleConnections(min(CONNECTIONS, raise_file_limit() // 2))),  # type: ignore[arg-type]
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
        """Start, then call ``on_ready``."""
        if self.config.is_ssl:
            loop = asyncio.get_running_loop()
            loop.create_server = partial(loop.create_server, ssl_handshake_timeout=HEAD_S)  # type: ignore[method-assign]
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop the jobs first, which ends their event streams: uvicorn waits for open ones, and for slow bodies."""
        self._jobs.close()
        for connection in list(self.server_state.connections):
            if isinstance(connection, GuardedProtocol) and connection.receiving:
                connection.transport.abort()
        await super().shutdown(sockets)


def serve(app: FastAPI, listener: socket.socket, args: argparse.Namespace, url: str, token: str) -> None:
    """Serve on a bound socket and announce the address; at the end give the jobs ``STOP_TIMEOUT_S`` to stop."""
    token_file = args.token_file.expanduser()

    def announce() -> None:
        if args.child:
            print(json.dumps({"url": url, "token": token, "api": API, "version": __version__}), flush=True)
        else:
            report(f"serving at {url}; address and token are in {token_file}; stop with Ctrl+C")

    server = StoppableServer(app, announce, args.tls_cert, args.tls_key)
    if args.child:
        threading.Thread(target=when_stdin_closes, args=(server.stop,), daemon=True).start()
    else:
        write_token_file(token_file, url, token)
    # uvicorn raises the signal that stopped it again at the end, which must not spoil the clean exit.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    try:
        server.run(sockets=[listener])
    finally:
        if not args.child:
            remove_token_file(token_file, token)
    app.state.jobs.join(STOP_TIMEOUT_S)


def when_stdin_closes(stop: Callable[[], None]) -> None:
    """Block until the parent process closes stdin or dies, then call ``stop``."""
    # os.read and not sys.stdin: a daemon thread inside a buffered reader makes the interpreter abort at exit.
    while os.read(0, 4096):
        continue
    stop()


def report(line: str) -> None:
    """Print a line for the person at the terminal."""
    print(f"fusar: {line}", file=sys.stderr, flush=True)
