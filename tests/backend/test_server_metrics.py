"""What is counted, as Prometheus reads it."""

from __future__ import annotations

import re

import numpy as np
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from rasters import speckle, write
from scripted_server import AUTH, ApiServer, ScriptedEngine, serve_api

from fusar_gpt.engine import DecodeRequest
from fusar_gpt.errors import Cancelled
from fusar_gpt.server.metrics import MeasuredEngine, Metrics

SAMPLE = re.compile(r'[a-z_]+(\{[a-z]+="(?:[^"\\\n]|\\.)*"(,[a-z]+="(?:[^"\\\n]|\\.)*")*\})? [0-9.e+-]+')


def samples(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(SAMPLE.fullmatch(line) for line in lines)
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def scrape(api: ApiServer) -> dict[str, float]:
    with requests.get(f"{api.url}/metrics", headers=AUTH, timeout=10) as reply:
        assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return samples(reply.text)


def test_uploads_and_jobs_are_counted(api: ApiServer, tmp_path) -> None:
    before = scrape(api)
    body = write(tmp_path / "s.tif", speckle(8, 8)).read_bytes()
    for data, status in ((body, 201), (b"garbage", 400)):
        with requests.post(
            f"{api.url}/scenes", data=data, params={"name": "s.tif"}, headers=AUTH, timeout=10
        ) as reply:
            assert reply.status_code == status
    assert [name for name, _ in api.client.interpret(api.inputs)][-1] == "end"
    after = scrape(api)
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert grown["fusar_uploads_total"] == grown["fusar_refused_uploads_total"] == 1
    assert grown["fusar_uploaded_bytes_total"] == len(body)
    assert grown['fusar_jobs{status="successful"}'] == 1
    assert after["fusar_queue_length"] == after['fusar_jobs{status="accepted"}'] == 0
    assert after['fusar_memory_bytes{kind="used"}'] > 10**6
    assert any(name.startswith("fusar_build_info{") for name in after)


def fresh_metrics(device: str = "cpu") -> Metrics:
    return Metrics({"device": device}, lambda: {"running": 2})


def test_answers_tokens_and_seconds_are_counted_where_the_model_works() -> None:
    metrics = fresh_metrics()
    engine = MeasuredEngine(ScriptedEngine(), metrics)
    nothing = np.zeros((0, 64), np.float32), np.zeros((0, 2), np.float32)
    request = DecodeRequest(np.zeros((28, 28), np.uint8), *nothing, "how many?", None, 5)
    assert len(engine.answer([request] * 3)) == 3
    with pytest.raises(Cancelled):
        engine.answer([request], lambda: True)
    grown = samples(metrics.text().decode())
    assert (grown["fusar_answers_total"], grown["fusar_tokens_total"]) == (3, 3)
    assert grown["fusar_answer_seconds_total"] > 0
    assert (engine.card, engine.device) == (ScriptedEngine().card, ScriptedEngine().device)


def test_labels_cannot_break_the_format() -> None:
    text = fresh_metrics('a "b"\\\nc').text().decode()
    (build,) = next(f for f in text_string_to_metric_families(text) if f.name == "fusar_build_info").samples
    assert (build.labels["device"], build.value) == ('a "b"\\\nc', 1)
    assert samples(text)['fusar_jobs{status="running"}'] == 2
    described = [line.split(" ")[2] for line in text.splitlines() if line.startswith("# HELP")]
    kinds = [line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert described == kinds
    assert len(set(described)) == len(described)


def test_the_names_that_dashboards_use_stay() -> None:
    text = fresh_metrics().text().decode()
    kinds = dict(line.split(" ")[2:] for line in text.splitlines() if line.startswith("# TYPE"))
    gauges = {"fusar_build_info", "fusar_jobs", "fusar_queue_length", "fusar_memory_bytes"}
    counters = {
        "fusar_uploads_total", "fusar_uploaded_bytes_total", "fusar_refused_uploads_total",
        "fusar_answers_total", "fusar_answer_seconds_total", "fusar_tokens_total",
        "fusar_searches_total", "fusar_search_seconds_total",
    }  # fmt: skip
    assert kinds == dict.fromkeys(gauges, "gauge") | dict.fromkeys(counters, "counter")
    assert {name.partition("{")[0] for name in samples(text)} == gauges | counters


def test_two_servers_in_one_process_count_each_for_itself(api: ApiServer, tmp_path) -> None:
    before = scrape(api)
    with serve_api(tmp_path) as other:
        assert [name for name, _ in other.client.interpret(other.inputs)][-1] == "end"
        assert scrape(other)['fusar_jobs{status="successful"}'] == 1
        assert scrape(other)["fusar_uploads_total"] == 0
    after = scrape(api)
    jobs = 'fusar_jobs{status="successful"}'
    assert after.get(jobs) == before.get(jobs)
