"""Send mutated rasters to a real server, and say what it did with them.

    .venv/bin/python bench/fuzz_uploads.py [--count 10000] [--seed 0] [--at-a-time 4]

Nothing may hang over the limit of an opening, answer with 5xx, call an address (a listener waits on loopback, and the
sockets of the server and of its processes are looked at), or grow without bound; at the end ``/health`` must answer.
The mutations are reproducible by the seed. ``tests/backend/test_fuzzed_uploads.py`` runs a few hundred.
"""

from __future__ import annotations

import argparse
import os
import socket
import struct
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import rasterio
import requests
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning

from fusar_gpt.samples import HARBOUR

LIMIT_S = 60.0
"""The longest that an answer may take: waiting for a process, opening, and a busy machine."""

_PLACE = {"crs": "EPSG:32631", "transform": rasterio.Affine(10.0, 0.0, 593000.0, 0.0, -10.0, 5749000.0)}
_LAYOUTS: tuple[dict[str, object], ...] = (
    {},
    {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate", "predictor": 2},
    {"compress": "lzw", "BIGTIFF": "YES", "ENDIANNESS": "BIG"},
    {"compress": "zstd", "interleave": "pixel"},
    {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"},
    {"driver": "HFA"},
    {"driver": "NITF", "ICORDS": "N"},
    {"driver": "PNG"},
)
_DTYPES = ("float32", "uint16", "int16", "complex64", "uint8")


def seeds(folder: Path) -> list[bytes]:
    """Small rasters of all layouts and types, one with control points, one with metadata, and the bundled sample."""
    random = np.random.default_rng(0)
    found = [HARBOUR.scene.read_bytes()[: 2**18]]
    for number, layout in enumerate(_LAYOUTS):
        plain = "driver" in layout
        dtype = "uint8" if plain else _DTYPES[number % len(_DTYPES)]
        path = folder / f"{number}.raster"
        profile = {"driver": "GTiff", "width": 48, "height": 40, "count": 1 if plain else 2, "dtype": dtype}
        with rasterio.open(path, "w", **(profile | _PLACE | layout)) as raster:
            raster.write(random.integers(1, 200, (raster.count, 40, 48)).astype(dtype))
            if not plain:
                raster.update_tags(POLARISATION="VV VH", ns="x" if number % 2 else None)
        found.append(path.read_bytes())
    path = folder / "gcps.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        raster = rasterio.open(path, "w", driver="GTiff", width=48, height=40, count=1, dtype="uint8")
    with raster:
        raster.write(random.integers(1, 200, (1, 40, 48), np.uint8))
        corners = [(0, 0), (0, 48), (40, 0), (40, 48), (20, 24)]
        points = [GroundControlPoint(row, col, 4 + col / 1e3, 52 - row / 1e3, 0) for row, col in corners]
        raster.gcps = points, rasterio.crs.CRS.from_epsg(4326)
    return [*found, path.read_bytes()]


class Mutations:
    """Mutated rasters, by a seed; those that name something name an address or a pipe."""

    def __init__(self, rasters: list[bytes], targets: list[str], seed: int) -> None:
        self._rasters = rasters
        self._targets = targets
        self._seed = seed

    def __call__(self, number: int) -> tuple[str, bytes]:
        """The kind of mutation of that number, and the file."""
        random = np.random.default_rng([self._seed, number])
        kinds: tuple[Callable[[np.random.Generator, bytes], bytes], ...] = (
            self.bits, self.cut, self.entries, self.entries, self.metadata, self.crs, self.spliced, self.crs_text,
        )  # fmt: skip
        kind = kinds[number % len(kinds)]
        content = kind(random, self._rasters[int(random.integers(len(self._rasters)))])
        if random.random() < 0.15:
            content = self.bits(random, content)
        return kind.__name__, content

    def bits(self, random: np.random.Generator, content: bytes) -> bytes:
        """Some bits turned, most near the beginning."""
        changed = bytearray(content)
        for _ in range(int(random.integers(1, 12))):
            reach = len(changed) if random.random() < 0.4 else min(len(changed), 1200)
            changed[int(random.integers(reach))] ^= 1 << int(random.integers(8))
        return bytes(changed)

    def cut(self, random: np.random.Generator, content: bytes) -> bytes:
        """An end, a beginning or a middle missing."""
        low, high = sorted(int(place) for place in random.integers(0, len(content), 2))
        return [content[: high + 1], content[low:] or b"\0", content[:low] + content[high:]][
            int(random.integers(3))
        ]

    def entries(self, random: np.random.Generator, content: bytes) -> bytes:
        """Entries of a TIFF's directories with another tag, type, count, value or offset, huge ones included."""
        changed, places = bytearray(content), list(tiff_entries(content))
        if not places:
            return self.bits(random, content)
        extremes = (0, 1, 2, 3, 255, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, len(content) - 4)
        for _ in range(int(random.integers(1, 4))):
            place, order, big = places[int(random.integers(len(places)))]
            value = extremes[int(random.integers(len(extremes)))]
            if (part := int(random.integers(10))) == 0:
                struct.pack_into(f"{order}H", changed, place, int(random.integers(254, 340)))
            elif part == 1:
                struct.pack_into(f"{order}H", changed, place + 2, int(random.integers(0, 20)))
            elif part < 5:
                struct.pack_into(f"{order}{'Q' if big else 'I'}", changed, place + 4, value)
            else:
                struct.pack_into(f"{order}{'Q' if big else 'I'}", changed, place + (12 if big else 8), value)
        return bytes(changed)

    def metadata(self, random: np.random.Generator, _: bytes) -> bytes:
        """A TIFF whose metadata names an address, a pipe or a device, in any domain and case."""
        target = self._targets[int(random.integers(len(self._targets)))]
        domains = (
            "OVERVIEWS",
            "Overviews",
            "overviews",
            "RPC",
            "GEOLOCATION",
            "SUBDATASETS",
            "xml:VRT",
            None,
        )
        keys = (
            "OVERVIEW_FILE",
            "overview_file",
            "Overview_File",
            "X_DATASET",
            "MASK_FILE",
            "SUBDATASET_1_NAME",
        )
        domain, key = domains[int(random.integers(len(domains)))], keys[int(random.integers(len(keys)))]
        where = f' domain="{domain}"' if domain else ""
        text = f'<GDALMetadata><Item name="{key}"{where}>{target}</Item></GDALMetadata>'
        return small_geotiff(metadata=text.encode())

    def crs(self, random: np.random.Generator, content: bytes) -> bytes:
        """GeoKeys and their texts damaged."""
        changed = bytearray(content)
        for place, order, big in tiff_entries(content):
            tag, _, count = struct.unpack_from(f"{order}HH{'Q' if big else 'I'}", content, place)
            if tag in (33550, 33922, 34264, 34735, 34736, 34737):
                (start,) = struct.unpack_from(
                    f"{order}{'Q' if big else 'I'}", content, place + (12 if big else 8)
                )
                size = min(count * 2, max(len(content) - start, 0))
                for _ in range(int(random.integers(1, 5)) if size else 0):
                    changed[start + int(random.integers(size))] = int(random.integers(256))
        return bytes(changed)

    def crs_text(self, random: np.random.Generator, _: bytes) -> bytes:
        """A TIFF whose CRS is a text that names grids, files or pipelines."""
        target = self._targets[int(random.integers(len(self._targets)))]
        base = (
            'GEOGCS["x",DATUM["y",SPHEROID["z",6378137,298.25]{}],PRIMEM["g",0],UNIT["degree",0.0174532925]]'
        )
        texts = (
            base.format(f',EXTENSION["PROJ4_GRIDS","{target}"]'),
            f'PROJCS["m",{base.format("")},PROJECTION["Mercator_1SP"],UNIT["m",1],EXTENSION["PROJ4","+proj=merc '
            f'+nadgrids={target} +no_defs"]]',
            f'PROJCS["m",{base.format("")},PROJECTION["custom_proj4"],UNIT["m",1],EXTENSION["PROJ4","+proj=pipeline '
            f'+step +proj=hgridshift +grids={target}"]]',
            "[" * 20000,
            'GEOGCS["' * 2000,
            '{"type":' * 3000,
            base.format(f",TOWGS84[{','.join(['1e308'] * 7)}]"),
        )
        text = texts[int(random.integers(len(texts)))].encode()
        return small_geotiff(b"ESRI PE String = " + text if random.random() < 0.7 else text)

    def spliced(self, random: np.random.Generator, content: bytes) -> bytes:
        """A piece of another file in the middle."""
        other = self._rasters[int(random.integers(len(self._rasters)))]
        at, low, high = (
            int(random.integers(len(content))),
            *sorted(random.integers(0, len(other), 2).tolist()),
        )
        return content[:at] + other[low:high] + content[at:]


def tiff_entries(content: bytes) -> Iterator[tuple[int, str, bool]]:
    """Where each entry of a TIFF's directories begins, the byte order for struct, and whether it is a BigTIFF."""
    order = {b"II": "<", b"MM": ">"}.get(content[:2])
    if order is None or len(content) < 16:
        return
    big = struct.unpack_from(f"{order}H", content, 2)[0] == 43
    (place,) = struct.unpack_from(f"{order}Q" if big else f"{order}I", content, 8 if big else 4)
    seen = set()
    while place and place not in seen and place + 8 < len(content):
        seen.add(place)
        (count,) = struct.unpack_from(f"{order}Q" if big else f"{order}H", content, place)
        first, size = place + (8 if big else 2), 20 if big else 12
        end = first + count * size
        if count > 500 or end + 8 > len(content):
            return
        for number in range(count):
            yield first + number * size, order, big
        (place,) = struct.unpack_from(f"{order}Q" if big else f"{order}I", content, end)


def small_geotiff(citation: bytes = b"", metadata: bytes = b"") -> bytes:
    """An 8 x 8 GeoTIFF in UTM, or in the CRS that a citation defines, with GDAL's metadata."""
    citation += b"|\0"
    metadata += b"\0"
    scale, tie = struct.pack("<3d", 10, 10, 0), struct.pack("<6d", 0, 0, 0, 593000, 5749000, 0)
    code, place, size = (32767, 34737, len(citation) - 1) if len(citation) > 2 else (32631, 0, 1)
    last = (3073, place, size, 0) if place else (3076, 0, 1, 9001)
    keys = struct.pack("<20H", 1, 1, 0, 4, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, code, *last)
    at = 8 + 2 + 14 * 12 + 4
    parts = [scale, tie, keys, citation, metadata, bytes(range(1, 65))]
    starts = [at + sum(map(len, parts[:number])) for number in range(len(parts))]
    fields = [
        (256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, starts[5]),
        (277, 3, 1, 1), (278, 3, 1, 8), (279, 4, 1, 64), (33550, 12, 3, starts[0]), (33922, 12, 6, starts[1]),
        (34735, 3, 20, starts[2]), (34737, 2, len(citation), starts[3]), (42112, 2, len(metadata), starts[4]),
    ]  # fmt: skip
    directory = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", *each) for each in fields)
    return struct.pack("<2sHI", b"II", 42, 8) + directory + bytes(4) + b"".join(parts)


@dataclass
class Outcome:
    """What a server did with the files."""

    statuses: Counter[int] = field(default_factory=Counter)
    kinds: dict[str, Counter[int]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    times: list[float] = field(default_factory=list)
    peak: int = 0
    server_peak: int = 0
    calls: int = 0
    seconds: float = 0.0


@contextmanager
def waiting_listener() -> Iterator[tuple[int, list[bytes]]]:
    """The port of a listener on loopback, and what it was sent."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(1)
                    try:
                        heard.append(connection.recv(200) or b"nothing")
                    except OSError:
                        heard.append(b"nothing")

        threading.Thread(target=listen, daemon=True).start()
        yield listener.getsockname()[1], heard


def fuzz(url: str, token: str, pid: int, *, count: int, seed: int = 0, at_a_time: int = 4) -> Outcome:
    """Send the files to a server that runs as a process, and look at the process meanwhile."""
    outcome, lock, done = Outcome(), threading.Lock(), threading.Event()
    own_port = int(url.rsplit(":", 1)[1])
    with tempfile.TemporaryDirectory() as name, waiting_listener() as (port, heard):
        folder = Path(name)
        pipe = folder / "pipe"
        os.mkfifo(pipe)
        address = f"http://127.0.0.1:{port}/x.tif"
        targets = [address, f"/vsicurl/{address}", f"/vsicurl_streaming/{address}", str(pipe), "/dev/zero"]
        targets += [f"WMS:{address}", f"/vsicurl/http://127.0.0.1:{port}/none"]
        mutated = Mutations(seeds(folder), targets, seed)
        watcher = threading.Thread(target=_watch, args=(pid, own_port, done, outcome))
        watcher.start()
        sessions = threading.local()

        def send(number: int) -> None:
            kind, content = mutated(number)
            session = getattr(sessions, "session", None) or requests.Session()
            sessions.session = session
            began = time.perf_counter()
            try:
                reply = session.post(
                    f"{url}/scenes",
                    params={"name": f"f{number}.tif"},
                    data=content,
                    headers={"Authorization": f"Bearer {token}"},
                    timeout=LIMIT_S,
                )
                status = reply.status_code
                if status == 201:
                    session.delete(
                        f"{url}{reply.headers['Location']}", headers={"Authorization": f"Bearer {token}"}
                    )
                text = reply.text
            except requests.RequestException as error:
                status, text = 0, repr(error)
            took = time.perf_counter() - began
            with lock:
                outcome.statuses[status] += 1
                outcome.kinds.setdefault(kind, Counter())[status] += 1
                outcome.times.append(took)
                outcome.slowest_s = max(outcome.slowest_s, took)
                if sum(outcome.statuses.values()) % 500 == 0:
                    slowest = f"slowest {outcome.slowest_s:.1f} s, {len(outcome.faults)} faults"
                    print(dict(outcome.statuses), slowest, file=sys.stderr, flush=True)
                if status == 0 or status >= 500:
                    outcome.faults.append(f"{number} {kind}: {status} {text[:300]}")

        began = time.perf_counter()
        with ThreadPoolExecutor(at_a_time) as pool:
            list(pool.map(send, range(count)))
        outcome.seconds = time.perf_counter() - began
        if requests.get(f"{url}/health", timeout=10).status_code != 200:
            outcome.faults.append("/health does not answer")
        done.set()
        watcher.join()
        outcome.calls = len(heard)
        outcome.faults += [f"a call: {what[:80]!r}" for what in heard]
    return outcome


def _watch(pid: int, own_port: int, done: threading.Event, outcome: Outcome) -> None:
    """The peak of memory of a server and its processes, and sockets that are none of its clients'."""
    server = psutil.Process(pid)
    while not done.wait(0.05):
        processes = [server]
        try:
            processes += server.children(recursive=True)
            sizes = [process.memory_info().rss for process in processes]
            outcome.peak = max(outcome.peak, max(sizes[1:], default=0))
            outcome.server_peak = max(outcome.server_peak, sizes[0])
            for process in processes:
                for connection in process.net_connections("inet"):
                    if connection.raddr and connection.laddr.port != own_port:
                        outcome.faults.append(f"a socket to {connection.raddr}")
        except psutil.Error:  # a process that was just killed
            continue


def main() -> None:
    """Start a server, send the files, print a table; exit status 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at-a-time", type=int, default=4)
    options = parser.parse_args()
    from server import server
    from tables import row

    with tempfile.TemporaryDirectory() as state, server("--state", state) as served:
        outcome = fuzz(
            served.url,
            served.token,
            served.process.pid,
            count=options.count,
            seed=options.seed,
            at_a_time=options.at_a_time,
        )
    row(
        "files",
        "refused",
        "accepted",
        "other",
        "time",
        "median, slowest",
        "peak of an opening process, of the server",
    )
    row(*["---"] * 7)
    refused, accepted = outcome.statuses[400], outcome.statuses[201] + outcome.statuses[200]
    row(
        str(options.count),
        str(refused),
        str(accepted),
        str(options.count - refused - accepted),
        f"{outcome.seconds:.0f} s",
        f"{np.median(outcome.times):.3f} s, {outcome.slowest_s:.1f} s",
        f"{outcome.peak / 2**20:.0f} MiB, {outcome.server_peak / 2**20:.0f} MiB",
    )
    for kind, statuses in outcome.kinds.items():
        print(kind, dict(statuses))
    print(f"calls: {outcome.calls}")
    print(*dict.fromkeys(outcome.faults), sep="\n")
    sys.exit(bool(outcome.faults))


if __name__ == "__main__":
    main()
