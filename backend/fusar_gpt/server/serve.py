"""``fusar serve``: bind a socket, say where, serve until told to stop. Light to import: no model code."""

from __future__ import annotations

import argparse
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusar_gpt import __version__, engine_options, prior_options
from fusar_gpt.contract import API, PRIOR_SOURCES, Task
from fusar_gpt.server.options import Options, state_folder
from fusar_gpt.server.options import add_arguments as add_own_arguments

if TYPE_CHECKING:
    from fastapi import FastAPI

    from fusar_gpt.engine_options import EngineOptions

TOKEN_FILE = Path("~/.cache/fusar/server.json")
STOP_TIMEOUT_S = 3.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``fusar serve``."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default: %(default)s")
    parser.add_argument("--port", type=int, default=0, help="default: any free port")
    parser.add_argument(
        "--root",
        action="append",
        type=Path,
        metavar="DIR",
        help="a folder that clients may name scenes in, repeatable; default: the home folder",
    )
    engine_options.add_arguments(parser)
    prior_options.add_arguments(parser)
    add_own_arguments(parser)
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate (PEM): serve https")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key (PEM)")
    parser.add_argument("--token", help="default: the variable FUSAR_TOKEN, else a random one")
    parser.add_argument("--token-file", type=Path, default=TOKEN_FILE, help="default: %(default)s")
    parser.add_argument("--child", action="store_true", help="print one JSON line, stop when stdin closes")


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes or, as a child, until stdin closes.

    Raises ServeError where it cannot start as asked, CheckpointError where the model is missing, JournalError where
    the state folder cannot be used.
    """
    from fusar_gpt.server.security import Roots, ServeError, check_token, is_loopback

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(message)s")
    given = args.token or os.environ.get("FUSAR_TOKEN")
    token = check_token(given or secrets.token_urlsafe(32))
    check_tls(args)
    if not is_loopback(args.host):
        if not given:
            raise ServeError(f"listening on {args.host} lets others in: choose a --token first")
        if not args.tls_cert:
            say(f"warning: {args.host} is reachable by other machines, and the traffic is not encrypted")
    roots = Roots.of(args.root or [Path.home()])
    with ExitStack() as stack:
        app = local_app(
            engine_options.EngineOptions.of(args),
            token=token,
            roots=roots,
            host=args.host,
            state=state_of(args, stack),
            lasting=lasting(args),
            settings=prior_options.PriorSettings.of(args),
            options=Options.of(args),
        )
        listener = stack.enter_context(bind(args.host, args.port))
        ended = serve(app, listener, args, url_of(args.host, listener, tls=bool(args.tls_cert)), token)
    if not ended:
        # Stuck inside native code that no flag can reach: finalising Python under it would crash or hang.
        logging.shutdown()
        os._exit(0)
    return 0


def lasting(args: argparse.Namespace) -> bool:
    """Whether the state outlives this server: a child's goes with it, unless it was given a folder."""
    return args.state is not None or not args.child


def state_of(args: argparse.Namespace, stack: ExitStack) -> Path:
    """The state folder; a temporary one is removed with the stack."""
    if lasting(args):
        return state_folder(args.state)
    folder = tempfile.TemporaryDirectory(prefix="fusar-", ignore_cleanup_errors=True)
    return Path(stack.enter_context(folder))


def check_tls(args: argparse.Namespace) -> None:
    """Raises ServeError where certificate and key do not make a TLS server."""
    from fusar_gpt.server.security import ServeError

    if bool(args.tls_cert) != bool(args.tls_key):
        raise ServeError("TLS needs both --tls-cert and --tls-key")
    if args.tls_cert:
        try:
            # A password would be asked for on the terminal, where nobody may be.
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
                args.tls_cert, args.tls_key, password=lambda: b""
            )
        except OSError as error:
            raise ServeError(
                "--tls-cert and --tls-key are not a certificate and its key in PEM without a password "
                f"({error.strerror or error}); check the files"
            ) from error


def local_app(model: EngineOptions, **door: Any) -> FastAPI:
    """The application over the real interpreter; the server answers while the model loads.

    ``door`` are the keywords of :func:`fusar_gpt.server.app.create_app`.
    """
    from fusar_gpt.engine import LocalEngine, open_engine
    from fusar_gpt.imagery import Guard
    from fusar_gpt.interpret import interpret
    from fusar_gpt.server.app import create_app

    info = describe(model.model)

    def load() -> LocalEngine:
        engine = open_engine(model)
        info["device"] = engine.device
        return engine

    return create_app(
        lambda request, engine, cancelled, settings, run: interpret(
            request, engine, cancelled, settings, identity=run, policy=Guard()
        ),
        load,
        info,
        **door,
    )


def describe(model: str) -> dict[str, Any]:
    """What GET /info answers, from the card alone. Raises CheckpointError where there is none."""
    from fusar_gpt.model import Card
    from fusar_gpt.model.checkpoint import find_folder

    card = Card.read(find_folder(model))
    shown = {key: value for key, value in asdict(card).items() if key != "digests"}
    return {
        "api": API,
        "version": __version__,
        "models": [shown],
        "device": "loading",
        "targets": list(card.targets),
        "tasks": [task.value for task in Task],
        "prior_sources": [*PRIOR_SOURCES, "file"],
    }


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, so that port 0 is known before anything is announced. Raises ServeError."""
    from fusar_gpt.server.security import ServeError

    if not 0 <= port <= 65535:
        raise ServeError(f"cannot listen on port {port}; choose one from 0 to 65535")
    try:
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise ServeError(f"cannot listen on {host} port {port} ({error}); choose another one") from error
    listener.setsockopt(
        socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
    )  # asyncio leaves it; small replies wait 40 ms
    return listener


def url_of(host: str, listener: socket.socket, *, tls: bool = False) -> str:
    """The address to give to clients."""
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    scheme = "https" if tls else "http"
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"


def serve(app: FastAPI, listener: socket.socket, args: argparse.Namespace, url: str, token: str) -> bool:
    """Serve on a bound socket and announce it once it answers; false where a job is stuck at the end."""
    from fusar_gpt.server.security import remove_token_file, write_token_file
    from fusar_gpt.server.stoppable import StoppableServer

    token_file = args.token_file.expanduser()

    def announce() -> None:
        if args.child:
            print(json.dumps({"url": url, "token": token, "api": API, "version": __version__}), flush=True)
        else:
            say(f"serving at {url}; address and token are in {token_file}; stop with Ctrl+C")

    server = StoppableServer(app, announce, args.tls_cert, args.tls_key)
    if args.child:
        threading.Thread(target=when_stdin_closes, args=(server.stop,), daemon=True).start()
    else:
        write_token_file(token_file, url, token)
    # uvicorn raises the signal that stopped it once more at the end; that one must not spoil the clean exit.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    try:
        server.run(sockets=[listener])
    finally:
        if not args.child:
            remove_token_file(token_file, token)
    ended: bool = app.state.jobs.join(STOP_TIMEOUT_S)
    return ended


def when_stdin_closes(stop: Callable[[], None]) -> None:
    """Block until the parent's end of stdin is closed, by will or by death, then stop."""
    # os.read and not sys.stdin: a daemon thread inside a buffered reader makes the interpreter abort at exit.
    while os.read(0, 4096):
        continue
    stop()


def say(line: str) -> None:
    """A line for the person at the terminal."""
    print(f"fusar: {line}", file=sys.stderr, flush=True)
