"""The preview over real HTTP: what the model would see and the prior there, without a model at work."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import requests
import scripted_server
from PIL import Image
from rasters import ROTATED, speckle, write
from scripted_server import AUTH, CARD, ApiServer, ScriptedEngine, serve_api

from fusar_gpt.contract import EXECUTION, PriorStatus
from fusar_gpt.frames import LonLatPoints, SceneWindow
from fusar_gpt.imagery import Area, open_scene, plan_chips, read_chip
from fusar_gpt.imagery.chips import ChipFormat
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.priors.field import PriorField
from fusar_gpt.priors.preview import draw_field
from fusar_gpt.samples import HARBOUR
from fusar_gpt.server import preview


class IdleEngine(ScriptedEngine):
    """Nobody may ask it."""

    def answer(self, *_, **__):
        raise AssertionError("a preview asked the model")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def api(root: Path) -> Iterator[ApiServer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scripted_server, "INFO", {"api": 1, "device": "cpu", "models": [asdict(CARD)]})
        for sample in (HARBOUR.scene, HARBOUR.prior):
            (root / sample.name).write_bytes(sample.read_bytes())
        with serve_api(root, load=IdleEngine, settings=PriorSettings()) as opened:
            yield opened


def ask(api: ApiServer, scene: Path, status: int = 200, **inputs: object) -> dict:
    body = {"inputs": {"scene": str(scene), "task": "detect", "targets": ["ship"]} | inputs}
    with requests.post(f"{api.url}/preview", json=body, headers=AUTH, timeout=30) as reply:
        assert reply.status_code == status, reply.text
        return reply.json()


def pixels(uri: str) -> np.ndarray:
    head, _, content = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_it_shows_a_chip_of_the_plan_as_the_model_sees_it(api: ApiServer, root: Path) -> None:
    path = write(root / "rotated_vv.tif", speckle(300, 400), transform=ROTATED, names=["VV"])
    answer = ask(api, path, task="locate", prior="none")
    with open_scene(path) as scene:
        chips = list(plan_chips(scene, Area.whole(scene).on_scene(scene), ChipFormat(64, 64, 16)))
        assert answer["chips"] == len(chips)
        shown = pixels(answer["chip"]["image"])
        (chip,) = [
            chip for chip in chips if np.array_equal(read_chip(scene, chip, scene.stretch()).grey, shown)
        ]
        assert chip.footprint.distance(Area.whole(scene).on_scene(scene).centroid) < 1
        assert answer["chip"]["ground_m"] == pytest.approx(chip.plan.window.width * scene.pixel_size_m)
        assert answer["chip"]["stretch"]["quantity"] == scene.quantity == "power"
    ring = np.array(answer["chip"]["footprint"]["coordinates"][0])
    inside = np.array([ROTATED @ corner for corner in chip.footprint.exterior.coords])
    assert np.allclose(ring, inside)
    assert answer["chip"]["crs"] == "EPSG:32631"
    assert answer["prior"] == {
        "image": None, "nodes": 0, "source": "none", "year": None, "simulated": False, "said": [],
    }  # fmt: skip


def test_what_the_numbers_were_taken_for_is_shown_and_can_be_said_otherwise(
    api: ApiServer, root: Path
) -> None:
    stored = (1000 * np.log10(speckle(300, 400))).astype(np.int16)
    path = write(root / "centibel.tif", stored)
    stretch = ask(api, path)["chip"]["stretch"]
    assert stretch["quantity"] == "dB"
    assert stretch["reason"].startswith("decibels times 100, from int16 values between -")
    said = ask(api, path, quantity="db", scale=0.02)["chip"]["stretch"]
    assert said["reason"] == "decibels, as asked"
    assert said["low_db"] == pytest.approx(2 * stretch["low_db"], abs=0.1)
    wrong = ask(api, path, quantity="power")["chip"]
    assert "look like decibels" in " ".join(wrong["warnings"])
    for inputs in ({"quantity": "volts"}, {"scale": 0}, {"scale": "inf"}):
        assert "inputs" in str(ask(api, path, 422, **inputs))


def test_what_speaks_against_a_run_is_said_before_it(api: ApiServer, root: Path) -> None:
    power = speckle(300, 400)
    power[:, 190:] = 0
    coarse = write(root / "coarse.tif", power, names=["VV_dB"])
    said = " ".join(ask(api, coarse)["chip"]["warnings"])
    assert "'VV_dB' names decibels" in said
    assert "of the area in this chip" in said


def test_the_prior_beside_it(api: ApiServer, root: Path) -> None:
    answer = ask(api, root / HARBOUR.scene.name, prior=str(root / HARBOUR.prior.name))
    prior = answer["prior"]
    assert prior["nodes"] > 20
    assert (prior["source"], prior["simulated"]) == (f"file:{HARBOUR.prior.name}", True)
    colours = pixels(prior["image"])
    assert colours.shape == (64, 64, 3)
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) > 5


def test_a_prior_that_cannot_be_had_is_said_and_hides_nothing_else(api: ApiServer, root: Path) -> None:
    (root / "no_prior.npz").write_bytes(b"no arrays")
    answer = ask(api, root / HARBOUR.scene.name, prior=str(root / "no_prior.npz"))
    assert answer["chip"]["image"]
    assert answer["prior"]["image"] is None
    assert "no_prior.npz" in answer["prior"]["said"][-1]


def test_what_cannot_be_asked_is_refused_as_a_job_would_be(api: ApiServer, root: Path) -> None:
    far = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    scene = root / HARBOUR.scene.name
    assert "outside the scene" in ask(api, scene, 400, area=far)["detail"]
    assert "does not run" in ask(api, scene, 400, model="other")["detail"]
    assert "does not know 'unicorn'" in ask(api, scene, 400, targets=["unicorn"])["detail"]
    assert ask(api, Path("/etc/passwd"), 403)["status"] == 403
    body = {"inputs": {"scene": str(scene), "task": "count"}}
    assert requests.post(f"{api.url}/preview", json=body, timeout=10).status_code == 401


def test_time_is_only_told_once_it_was_measured(api: ApiServer, root: Path) -> None:
    scene = root / HARBOUR.scene.name
    assert ask(api, scene)["seconds"] is None
    list(api.client.interpret(api.inputs | {"scene": str(scene)}))
    assert ask(api, scene)["seconds"] >= 0
    assert ask(api, scene, task="describe")["seconds"] is None


def test_too_many_at_a_time_are_refused(api: ApiServer, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, inside, gate = preview.open_scene_of, threading.Semaphore(0), threading.Event()

    def held(*options: object, **more: object) -> object:
        inside.release()
        assert gate.wait(30)
        return real(*options, **more)

    monkeypatch.setattr(preview, "open_scene_of", held)
    scene = root / HARBOUR.scene.name
    threads = [threading.Thread(target=ask, args=(api, scene)) for _ in range(preview.MOST_AT_A_TIME)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert inside.acquire(timeout=30)
    assert "try again" in ask(api, scene, 429)["detail"]
    gate.set()
    for thread in threads:
        thread.join(30)
    ask(api, scene)


def test_the_picture_of_a_prior_shows_where_it_is_and_where_not() -> None:
    rows, cols = np.mgrid[0:8, 0:4]  # the left half of the chip
    positions = np.stack([(rows.ravel() + 0.5) / 8, (cols.ravel() + 0.5) / 8], axis=1).astype(np.float32)
    values = np.zeros((32, 64), np.float32)
    values[:, 1] = 1.0
    field = PriorField(values, positions, LonLatPoints.of(np.zeros((32, 2))), "test")
    picture = np.asarray(draw_field(field, 80, 80))
    assert (picture[:, :40] == (255, 128, 128)).all()
    assert (picture[:, 46:] == (13, 18, 26)).all()


def test_a_preview_has_an_end_by_time_and_with_its_client(
    api: ApiServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = write(root / "endless.tif", speckle(64, 64))
    began, ended = threading.Semaphore(0), threading.Semaphore(0)

    def endless(scene: object, *_: object) -> object:
        began.release()
        try:
            while True:
                scene._stored(SceneWindow(0, 0, 4, 4), (4, 4))
        finally:
            ended.release()

    monkeypatch.setattr(preview, "read_chip", endless)
    with monkeypatch.context() as patched:
        patched.setattr(preview, "LIMIT_S", 0.5)
        assert "longer than 0.5 s" in ask(api, scene, 503)["detail"]
    assert ended.acquire(timeout=10)
    body = {"inputs": {"scene": str(scene), "task": "detect", "targets": ["ship"]}}
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(f"{api.url}/preview", json=body, headers=AUTH, timeout=3)
    assert began.acquire(timeout=10)
    assert ended.acquire(timeout=10)


# Where the prior would come from.


def status(api: ApiServer, scene: Path, code: int = 200, **inputs: object) -> PriorStatus:
    body = {"inputs": {"scene": str(scene), "task": "detect", "targets": ["ship"], "prior": "auto"} | inputs}
    with requests.post(f"{api.url}/prior", json=body, headers=AUTH, timeout=30) as reply:
        assert reply.status_code == code, reply.text
        return (
            PriorStatus.from_json(reply.json())
            if code == 200
            else PriorStatus(said=(reply.json()["detail"],))
        )


def test_the_file_beside_a_scene_is_at_hand_and_named(api: ApiServer, root: Path) -> None:
    found = status(api, root / HARBOUR.scene.name)
    assert found == PriorStatus("file", str(root.resolve() / HARBOUR.prior.name))
    named = status(api, root / HARBOUR.scene.name, prior=str(root / HARBOUR.prior.name))
    assert named == found
    assert status(api, root / HARBOUR.scene.name, prior="none") == PriorStatus()


def test_for_a_model_of_images_alone_no_prior_is_looked_for(
    api: ApiServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "_card", lambda *_: replace(CARD, uses_prior=False))
    said = f"The prior that was asked for is not used, nor fetched: {CARD.name} was trained on images alone."
    assert status(api, root / HARBOUR.scene.name) == PriorStatus(said=(said,))
    shown = ask(api, root / HARBOUR.scene.name, prior=str(root / HARBOUR.prior.name))
    assert (shown["prior"]["nodes"], said in shown["chip"]["warnings"]) == (0, True)


def test_who_would_be_asked_is_told_and_nobody_is(api: ApiServer, root: Path) -> None:
    path = write(root / "alone.tif", speckle(300, 400))
    found = status(api, path, prior_network=False)
    assert (found.at_hand, found.file, found.hosts[0]) == (None, None, "data.source.coop")
    assert any("arth" in line for line in found.said) or len(found.hosts) == 2
    (root / "alone_prior.npz").write_bytes(b"no arrays")
    (line,) = [line for line in status(api, path).said if "alone_prior.npz" in line]
    assert line.startswith("alone_prior.npz beside the scene is passed over: ")
    assert status(api, Path("/etc/passwd"), 403).said


def test_a_file_beside_a_scene_is_opened_as_one_that_is_named(
    api: ApiServer, root: Path, tmp_path: Path
) -> None:
    for name in ("outside", "virtual", "far"):
        (root / f"{name}.tif").write_bytes(HARBOUR.scene.read_bytes())
    outside = tmp_path / "secret.tif"
    outside.write_bytes(HARBOUR.prior.read_bytes())
    (root / "outside_prior.tif").symlink_to(outside)
    vrt = f"<VRTDataset><SourceFilename>{outside}</SourceFilename></VRTDataset>"
    (root / "virtual_prior.tif").write_text(vrt)
    write(root / "far_prior.tif", np.zeros((4, 4), np.float32))
    for name, reason in (
        ("outside", "outside the folders"),
        ("virtual", "is not a raster"),
        ("far", "1 bands"),
    ):
        found = status(api, root / f"{name}.tif")
        assert (found.at_hand, found.file) == (None, None)
        assert any(line.startswith(f"{name}_prior.tif") and reason in line for line in found.said), found.said
        shown = ask(api, root / f"{name}.tif", prior="auto", prior_network=False)["prior"]
        assert shown["source"] == "none"
        assert reason in " ".join(shown["said"])


def test_a_named_source_on_a_network_that_is_refused_is_refused_before_a_job(
    api: ApiServer, root: Path
) -> None:
    body = {"scene": str(root / HARBOUR.scene.name), "task": "count", "prior": "cog", "prior_network": False}
    with requests.post(f"{api.url}{EXECUTION}", json={"inputs": body}, headers=AUTH, timeout=30) as reply:
        assert reply.status_code == 400, reply.text
        assert "no network may be used for it" in reply.json()["detail"]
