"""``fusar interpret --server``: the command writes and prints what a local run does."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pyogrio
import pytest
from scripted_server import TOKEN
from serving import served

from fusar_gpt.cli import main
from fusar_gpt.engine_options import EngineOptions
from fusar_gpt.interpret import RunIdentity
from fusar_gpt.samples import HARBOUR
from fusar_gpt.server import serve
from fusar_gpt.server.security import Roots


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("tiny")
    state = {"roots": Roots.of([folder]), "state": folder / "state", "token": TOKEN}
    with served(serve.local_app(EngineOptions(batch=1), **state)) as url:
        yield url


def command(*arguments: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as leaving:
            status = int(leaving.code or 0)
    return status, out.getvalue(), err.getvalue()


def layers(path: Path) -> dict[str, object]:
    """Everything in a GeoPackage, feature by feature."""
    found = {}
    for name, _ in pyogrio.list_layers(path):
        meta, _, shapes, columns = pyogrio.raw.read(path, layer=name)
        rows = [dict(zip(meta["fields"], row, strict=True)) for row in zip(*columns, strict=True)]
        found[name] = (meta["crs"], meta["geometry_type"], list(shapes), [repr(row) for row in rows])
    return found


def test_the_command_writes_and_prints_the_same_as_here(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    one = RunIdentity("one-run", "2026-01-01T00:00:00+00:00")
    monkeypatch.setattr(RunIdentity, "new", classmethod(lambda cls: one))
    where = ("--bbox", "500900,6098300,501300,6098700", "--bbox-crs", "EPSG:32631")
    order = (HARBOUR.scene, *where, "--task", "detect", "--target", "ship", "--prior", HARBOUR.prior)
    there, here = tmp_path / "there.gpkg", tmp_path / "here.gpkg"
    server = ("--server", tiny, "--token-file", token)
    remote = command("interpret", *order, "--out", there, "--json", *server)
    # One chip at a time on both sides: float32 sums depend a little on what is computed together.
    local = command("interpret", *order, "--out", here, "--json", "--batch", 1)
    assert remote[0] == local[0] == 0, remote[2] + local[2]
    assert remote[1] == local[1]
    assert [line for line in remote[2].splitlines() if "sending" not in line] == local[2].splitlines()
    assert layers(there) == layers(here)
    assert json.loads(local[1])["findings"]["features"]


def test_the_command_fails_in_one_line_and_writes_nothing(tiny: str, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text(TOKEN)
    bad.write_text("another-token-0123456789")
    out = tmp_path / "out.gpkg"
    order = (HARBOUR.scene, "--bbox", "0,0,1,1", "--task", "count", "--out", out)
    cases = {
        ("--server", tiny, "--token-file", bad): "the bearer token is missing or wrong",
        ("--server", tiny, "--token-file", good): "the area lies outside the scene",
        ("--server", tiny, "--token-file", good, "--model", "other"): "it runs: ",
        ("--server", "http://127.0.0.1:9", "--token-file", good): "no server answers",
    }
    for server, reason in cases.items():
        status, printed, said = command("interpret", *order, *server)
        assert (status, printed) == (1, "")
        assert reason in said.splitlines()[-1]
        assert said.splitlines()[-1].startswith("fusar: ")
    assert not out.exists()
    for wrong in (
        ("--token-file", good),
        ("--ca-file", good),
        ("--server", tiny, "--batch", 2),
        ("--server", tiny, "--prior-cache", tmp_path),
    ):
        assert command("interpret", *order, *wrong)[0] == 2
