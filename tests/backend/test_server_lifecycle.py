"""A server from its start to its end: loading, shutdown, child, signal, and once with the real model."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fresh_model import CARD, fresh_model, fresh_processor
from scripted_server import (
    INFO,
    TOKEN,
    ScriptedEngine,
    ask,
    events,
    serve_api,
    submit,
    until,
)

from fusar_gpt.client import Client, ServerError
from fusar_gpt.model import save_checkpoint
from fusar_gpt.model.folder import CARD_FILE
from fusar_gpt.model.store import BUNDLED
from fusar_gpt.server.journal import Journal
from fusar_gpt.server.options import Options


def test_health_and_info_answer_while_the_model_loads_and_a_failed_load_stops_nothing(tmp_path: Path) -> None:
    loaded = threading.Event()
    failures = [RuntimeError("no weights")]

    def load() -> ScriptedEngine:
        loaded.wait(10)
        if failures:
            raise failures.pop()
        return ScriptedEngine()

    with serve_api(tmp_path, load=load) as api:
        try:
            assert ask(api, "GET", "/health", headers={}).json() == {"status": "ok"}
            assert INFO.items() <= api.client.info().items()
            job = submit(api)
            assert ask(api, "GET", f"/jobs/{job}").json()["status"] == "accepted"
        finally:
            loaded.set()
        assert events(api, job)[-1][2]["status"] == "successful"


@pytest.mark.parametrize("lasting", [True, False])
def test_shutdown_ends_the_streams_and_a_lasting_server_leaves_its_jobs(
    tmp_path: Path, lasting: bool
) -> None:
    with serve_api(tmp_path, lasting=lasting, options=Options(jobs=1)) as api:
        jobs = [submit(api, question="held") for _ in range(2)]
        until(lambda: ask(api, "GET", f"/jobs/{jobs[0]}").json()["progress"] > 0)
        heard: dict[str, list[tuple[int, str, dict]]] = {}
        threads = [
            threading.Thread(target=lambda job=job: heard.update({job: events(api, job)})) for job in jobs
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        api.stop()
        for thread in threads:
            thread.join(5)
        ends = [[data["status"] for _, name, data in heard[job] if name == "end"] for job in jobs]
        assert ends == ([[], []] if lasting else [["dismissed"]] * 2)
        assert len(heard[jobs[0]]) > 1
        with pytest.raises(ServerError, match="no server answers"):
            api.client.info()
    journal = Journal(tmp_path / "state")
    assert len(journal.unfinished()) == (2 if lasting else 0)
    journal.close()


@contextmanager
def process(*command: object) -> Iterator[subprocess.Popen[str]]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([str(part) for part in command], **pipes) as child:
        try:
            yield child
        finally:
            child.kill()


SCRIPTED = (sys.executable, Path(__file__).with_name("scripted_server.py"))


def test_a_child_ends_with_its_parent_even_where_its_job_hears_no_cancel(tmp_path: Path) -> None:
    (tmp_path / "scene.tif").touch()
    with process(*SCRIPTED, tmp_path, "--child") as child:
        ready = json.loads(child.stdout.readline())
        assert set(ready) == {"url", "token", "api", "version"}
        with Client(ready["url"], ready["token"]) as client:
            inputs = {"scene": str(tmp_path / "scene.tif"), "task": "detect", "question": "deaf"}
            stream = client.interpret(inputs)
            assert next(stream)[0] == "started"
            child.stdin.close()
            assert child.wait(30) == 0
            stream.close()
        assert child.stdout.read() == ""


def test_a_signal_ends_a_server_cleanly_and_its_token_file_goes_with_it(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "server.json"
    with process(*SCRIPTED, tmp_path, "--token-file", file) as server:
        line = server.stderr.readline()
        assert "serving at http://127.0.0.1:" in line
        assert TOKEN not in line
        assert file.stat().st_mode & 0o777 == 0o600
        place = json.loads(file.read_text())
        with Client(**place) as client:
            assert INFO.items() <= client.info().items()
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
        assert not file.exists()
        assert server.stdout.read() == ""


SAMPLES = Path(__file__).parents[2] / "backend" / "fusar_gpt" / "samples"


def checkpoint(folder: Path) -> str:
    """The bundled model, or a random one of its kind in a source tree that has none yet."""
    if (BUNDLED["tiny"] / CARD_FILE).exists():
        return "tiny"
    processor = fresh_processor()
    save_checkpoint(folder, fresh_model(processor.tokenizer), processor, CARD)
    return str(folder)


def test_end_to_end_with_the_real_command_scene_and_model(tmp_path: Path) -> None:
    west, south, east, north = 169.4500, -19.5285, 169.4502, -19.5283
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    area = {"type": "Polygon", "coordinates": [ring]}
    command = [sys.executable, "-c", "import sys; from fusar_gpt.cli import main; sys.exit(main())", "serve"]
    with process(*command, "--child", "--root", SAMPLES, "--model", checkpoint(tmp_path / "model")) as child:
        ready = json.loads(child.stdout.readline())
        with Client(ready["url"], ready["token"]) as client:
            info = client.info()
            inputs = {"scene": str(SAMPLES / "yasur_umbra.tif"), "area": area, "task": "count"}
            inputs |= {"model": info["models"][0]["name"], "targets": info["targets"][:1]}
            heard = list(client.interpret(inputs))
            assert client.info()["device"] in ("cpu", "cuda")
        child.stdin.close()
        assert child.wait(30) == 0
    (no_prior,) = heard[-1][1].pop("warnings")
    assert no_prior.startswith("No prior: cog: no network may be used")
    assert heard[-1] == ("end", {"status": "successful", "message": "Done."})
    assert heard[0][0] == "started"
    assert heard[0][1]["run"]["demonstration"] is True
    found = [feature for name, data in heard if name == "findings" for feature in data["added"]["features"]]
    assert {feature["properties"]["layer"] for feature in found} == {"answers"}
    for feature in found:
        longitudes = [x for x, _ in feature["geometry"]["coordinates"][0]]
        assert min(longitudes) < east
        assert max(longitudes) > west
