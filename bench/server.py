"""Measure the server and print the tables of bench/RESULTS.md.

    .venv/bin/python bench/server.py [opening|overhead|fairness|watchers|upload ...] [--runs N]

A real ``fusar serve`` in a process of its own, over real HTTP, with the bundled tiny model.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
import requests
from rasterio.windows import Window
from tables import row

from fusar_gpt.client import Client
from fusar_gpt.contract import Event, Found, InterpretRequest
from fusar_gpt.engine import LocalEngine
from fusar_gpt.imagery import Area
from fusar_gpt.interpret import interpret
from fusar_gpt.model import load_checkpoint
from fusar_gpt.planning import request_for
from fusar_gpt.samples import HARBOUR
from fusar_gpt.tasks import Task

BATCH = 8
CLIENTS, GREEDY, EACH = 10, 23, 3
WATCHERS = 200
UPLOAD_SIDE = 2**15
REQUEST = request_for(HARBOUR.scene, Task.DETECT, targets=("ship",), prior=str(HARBOUR.prior), overlap=0.5)
GLANCE = replace(
    REQUEST,
    task=Task.COUNT,
    prior="none",
    overlap=None,
    area=Area.from_bbox(501000, 6098500, 501100, 6098600, "EPSG:32631").outline(),
    area_crs="EPSG:32631",
)


@dataclass
class Server:
    """A running server and its process."""

    url: str
    token: str
    process: subprocess.Popen[str]

    def client(self, name: str = "bench") -> Client:
        """A client with a name of its own in the fair queue."""
        client = Client(self.url, self.token)
        client._server._session.headers["X-Client"] = name
        return client

    def cpu_s(self) -> float:
        """Seconds of processor time it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float:
        """The most memory it has used since :meth:`reset_peak`."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

    def reset_peak(self) -> None:
        """Forget the peak so far."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


@contextmanager
def server(*options: object) -> Iterator[Server]:
    """``fusar serve`` over the sample scenes."""
    command = [sys.executable, "-m", "fusar_gpt", "serve", "--child", "--root", HARBOUR.scene.parent]
    command += ["--batch", BATCH, *options]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([str(word) for word in command], **pipes) as process:
        ready = json.loads(process.stdout.readline())
        yield Server(ready["url"], ready["token"], process)
        process.stdin.close()


def on_server(request: InterpretRequest) -> InterpretRequest:
    """The request with its files named as the server's, so that none is uploaded."""
    prior = request.prior if request.prior == "none" else f"server:{request.prior}"
    return replace(request, scene=f"server:{request.scene}", prior=prior)


def clocked(run: Callable[[], Iterator[Event]]) -> tuple[float, float]:
    """Seconds to the first findings, and to the end."""
    start, first = time.perf_counter(), 0.0
    for event in run():
        if not first and isinstance(event, Found):
            first = time.perf_counter() - start
    return first, time.perf_counter() - start


def overhead(runs: int) -> None:
    """Detect on the sample harbour with its prior, in process and through the server; aims: under 3 %, within 1.2x."""
    engine = LocalEngine(load_checkpoint("tiny"), batch_size=BATCH)
    here, away = [], []
    with server() as served, served.client() as client:
        for number in range(runs + 1):
            cpu = time.process_time()
            local = clocked(lambda: interpret(REQUEST, engine))
            local_cpu, cpu = time.process_time() - cpu, time.process_time()
            served_cpu = served.cpu_s()
            remote = clocked(lambda: client.run(on_server(REQUEST)))
            remote_cpu = served.cpu_s() - served_cpu + time.process_time() - cpu
            if number:  # the first one warms both up
                here.append((*local, local_cpu))
                away.append((*remote, remote_cpu))
    row("", "in process", "through the server", "ratio of medians", "median of ratios (pairs)")
    row(*["---"] * 5)
    ours, theirs = np.array(here), np.array(away)
    for place, name in enumerate(("first findings", "the whole run", "processor time, client included")):
        one, other = ours[:, place], theirs[:, place]
        middle = [f"{np.median(values):.3f} s ({values.min():.3f})" for values in (one, other)]
        row(name, *middle, f"{np.median(other) / np.median(one):.3f}", f"{np.median(other / one):.3f}")


def fairness(runs: int) -> None:
    """50 queued jobs: one client has 23 and comes first, nine have 3 each; one job at a time."""
    names = ["greedy"] * GREEDY + [f"client {n}" for _ in range(EACH) for n in range(1, CLIENTS)]
    begun: list[str] = []
    ended: dict[str, float] = {}

    def follow(client: Client, name: str, job: str) -> None:
        for event, _ in client.watch(job):
            if event == "started":
                begun.append(name)
        ended[name] = time.perf_counter() - start

    with server("--jobs", 1) as served:
        with served.client("greedy") as client:
            list(client.run(on_server(GLANCE)))
            held = client.run(on_server(REQUEST))
            next(held)  # one job runs, so that all others wait
        clients = {name: served.client(name) for name in dict.fromkeys(names)}
        threads = []
        start = time.perf_counter()
        for name in names:
            inputs = {"scene": str(GLANCE.scene), "task": "count", "targets": ["ship"], "prior": "none"}
            box = GLANCE.area.__geo_interface__
            job = clients[name].submit(inputs | {"area": box, "area_crs": "EPSG:32631"})
            threads.append(threading.Thread(target=follow, args=(served.client(name), name, job)))
            threads[-1].start()
        held.close()
        for thread in threads:
            thread.join()
    row("", "turns", "in order of arrival")
    row(*["---"] * 3)
    turns = CLIENTS * EACH
    row(f"Jain's index of the first {turns} jobs", jain(begun[:turns], names), jain(names[:turns], names))
    small = set(names) - {"greedy"}
    last = [{name: place for place, name in enumerate(order, 1)} for order in (begun, names)]
    row("last job of a client with 3", *(f"number {max(at[name] for name in small)}" for at in last))
    middle = f"{np.mean([ended[name] for name in small]):.2f} s, {ended['greedy']:.2f} s"
    row("mean time to their last end, and the greedy one's", middle, "")


def jain(done: list[str], names: list[str]) -> str:
    """Jain's fairness index: 1 if all clients ran equally many jobs, 1/n if one of n ran all."""
    counts = Counter(done)
    turns = np.array([counts[name] for name in dict.fromkeys(names)], float)
    return f"{turns.sum() ** 2 / (len(turns) * (turns**2).sum()):.3f}"


def watchers(runs: int) -> None:
    """One run with 1 and with 200 watchers: its time, and how far apart they receive its end."""
    row("watchers", "the run", "first to last to receive the end", "all received the same")
    row(*["---"] * 4)
    with server() as served, served.client() as client:
        list(client.run(on_server(REQUEST)))
        for number in (1, WATCHERS):
            took, spread, same = asyncio.run(crowd(served, client, number))
            row(str(number), f"{took:.2f} s", f"{1000 * spread:.0f} ms", "yes" if same else "NO")


async def crowd(served: Server, client: Client, number: int) -> tuple[float, float, bool]:
    """Watch one job by so many connections: seconds to its end, between first and last, whether all agree."""
    host, port = served.url.removeprefix("http://").split(":")
    start = time.perf_counter()
    job = client.submit(
        {
            "scene": str(REQUEST.scene),
            "task": "detect",
            "targets": ["ship"],
            "prior": REQUEST.prior,
            "overlap": 0.5,
        }
    )

    async def listen() -> tuple[bytes, float]:
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"GET /jobs/{job}/events HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {served.token}\r\n\r\n"
        writer.write(head.encode())
        raw = await reader.read(-1)
        writer.close()
        return raw.partition(b"\r\n\r\n")[2].replace(b": ping\n\n", b""), time.perf_counter()

    heard = await asyncio.gather(*(listen() for _ in range(number)))
    times = [at for _, at in heard]
    return max(times) - start, max(times) - min(times), len({raw for raw, _ in heard}) == 1


def upload(runs: int) -> None:
    """Upload a scene of 1 GiB: time, and the growth of the server's memory; aim: bounded."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("FUSAR_BENCH_DIR")) as folder:
        path = Path(folder, "large.tif")
        profile = {"width": UPLOAD_SIDE, "height": UPLOAD_SIDE, "count": 1, "dtype": "uint8", "tiled": True}
        profile |= {"crs": "EPSG:32631", "transform": rasterio.transform.from_origin(4e5, 6e6, 1, 1)}
        with rasterio.open(path, "w", driver="GTiff", **profile) as scene:
            noise = np.random.default_rng(0).integers(1, 255, (4096, 4096), np.uint8)
            scene.write(noise, 1, window=Window(8192, 8192, 4096, 4096))
        with server("--state", Path(folder, "state")) as served, served.client() as client:
            list(client.run(on_server(GLANCE)))
            served.reset_peak()
            before = served.peak_mb()
            start = time.perf_counter()
            with path.open("rb") as file:
                reply = requests.post(
                    f"{served.url}/scenes?name=large.tif",
                    data=file,
                    headers={"Authorization": f"Bearer {served.token}"},
                    timeout=600,
                )
            seconds = time.perf_counter() - start
            reply.raise_for_status()
            again = time.perf_counter()
            client.upload(path)
            again = time.perf_counter() - again
            size = path.stat().st_size / 2**20
            row("sent", "time", "rate", "server's memory above before", "known already, not sent")
            row(*["---"] * 5)
            row(
                f"{size:.0f} MiB",
                f"{seconds:.1f} s",
                f"{size / seconds:.0f} MiB/s",
                f"{served.peak_mb() - before:.0f} MiB",
                f"{again:.1f} s",
            )


def opening(runs: int) -> None:
    """How long an upload and a preview of the sample harbour take, from their first byte to the answer."""
    body = {"scene": str(HARBOUR.scene), "task": "detect", "targets": ["ship"], "prior": str(HARBOUR.prior)}
    times: dict[str, list[float]] = {"upload": [], "preview": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        server("--state", Path(folder, "state")) as served,
        requests.Session() as session,
    ):
        session.headers["Authorization"] = f"Bearer {served.token}"
        for number in range(runs + 3):
            content = HARBOUR.scene.read_bytes() + bytes(8 * number + 8)  # new to the server
            start = time.perf_counter()
            session.post(f"{served.url}/scenes", params={"name": "s.tif"}, data=content).raise_for_status()
            middle = time.perf_counter()
            session.post(f"{served.url}/preview", json={"inputs": body}).raise_for_status()
            if number >= 3:  # the first ones warm it up
                times["upload"].append(middle - start)
                times["preview"].append(time.perf_counter() - middle)
    row("", "median", "least")
    row(*["---"] * 3)
    for name, taken in times.items():
        row(name, f"{1000 * np.median(taken):.0f} ms", f"{1000 * min(taken):.0f} ms")


PARTS = {
    "opening": opening,
    "overhead": overhead,
    "fairness": fairness,
    "watchers": watchers,
    "upload": upload,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=[*PARTS], help=", ".join(PARTS))
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    for part in options.parts:
        print(f"\n{PARTS[part].__doc__.splitlines()[0]}\n")
        PARTS[part](options.runs)
