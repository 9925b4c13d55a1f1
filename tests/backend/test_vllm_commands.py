"""``--engine vllm`` from the outside: the command and the server give what they give with the model here."""

from __future__ import annotations

import json
import time

import pytest
import requests
from scripted_server import AUTH, TOKEN
from serving import served
from test_cli_server import command
from vllm_standin import TOKEN as KEY
from vllm_standin import tiny_served

from fusar_gpt.engine_options import EngineOptions
from fusar_gpt.samples import HARBOUR
from fusar_gpt.server import serve
from fusar_gpt.server.security import Roots

# 280 x 160 px in the harbour
PLACE = ("--bbox", "501000,6098500,501420,6098740", "--bbox-crs", "EPSG:32631")


@pytest.fixture(scope="module")
def vllm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vllm")
    (folder / "key").write_text(KEY)
    with tiny_served(folder) as (standin, url):
        yield standin, ("--engine", "vllm", "--vllm-url", url, "--vllm-token-file", folder / "key")


def rounded(value):
    """Without the run's own name and time, numbers to four places."""
    if isinstance(value, dict):
        own = ("run", "run_id", "id", "started")
        return {key: rounded(one) for key, one in value.items() if key not in own}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 3) if isinstance(value, float) else value


def test_the_command_finds_the_same(vllm, tmp_path):
    order = ("interpret", HARBOUR.scene, *PLACE, "--task", "detect", "--prior", HARBOUR.prior, "--json")
    here = command(*order, "--out", tmp_path / "here.gpkg", "--device", "cpu", "--batch", 1)
    there = command(*order, "--out", tmp_path / "there.gpkg", "--device", "cpu", *vllm[1])
    assert here[0] == there[0] == 0, there[2]
    ours, theirs = (json.loads(said[1]) for said in (here, there))
    assert ours["findings"]["features"]
    assert rounded(theirs["findings"]) == rounded(ours["findings"])
    assert rounded(theirs["run"]) == rounded(ours["run"])


def test_the_command_writes_nothing_when_vllm_fails(vllm, tmp_path):
    standin, options = vllm
    standin.faults.extend(["", "another name"])  # after the question for the models
    order = (
        "interpret",
        HARBOUR.scene,
        *PLACE,
        "--task",
        "count",
        "--prior",
        "none",
        "--out",
        tmp_path / "a.gpkg",
    )
    status, _, said = command(*order, "--device", "cpu", *options)
    assert status == 1
    assert said.splitlines()[-1].startswith("fusar: vLLM at 127.0.0.1:")
    assert not list(tmp_path.iterdir())


def test_the_server_runs_on_it_and_passes_no_tensors_on(vllm, tmp_path):
    standin, (*_, url, _, key) = vllm
    options = EngineOptions(device="cpu", engine="vllm", vllm_url=url, vllm_token_file=key)
    state = {"roots": Roots.of([HARBOUR.scene.parent]), "state": tmp_path, "token": TOKEN}
    with served(serve.local_app(options, **state)) as ours:
        end = time.monotonic() + 60
        while "vLLM at" not in (
            device := requests.get(f"{ours}/info", headers=AUTH, timeout=9).json()["device"]
        ):
            assert time.monotonic() < end, device
            time.sleep(0.05)
        before = len(standin.questions)
        image = {"type": "image_embeds", "image_embeds": {"image_embeds": "AAAA", "image_grid_thw": "AAAA"}}
        parts = [image, {"type": "text", "text": "are there ships?"}]
        body = {"model": "tiny", "messages": [{"role": "user", "content": parts}]}
        refused = requests.post(f"{ours}/v1/chat/completions", json=body, headers=AUTH, timeout=9)
        assert refused.status_code in (400, 422)
        assert len(standin.questions) == before
