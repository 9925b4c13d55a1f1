"""A scene is made known to a backend: by its path on this computer, else it is cut out and sent, once and cleanly."""

import dataclasses
import tempfile

import pytest
from osgeo import gdal
from qgis.core import QgsGeometry, QgsRectangle
from qgis.PyQt.QtCore import QObject

from fusar_qgis.connection.client import Client
from fusar_qgis.core.endpoint import Endpoint
from fusar_qgis.gui.areas import Area
from fusar_qgis.gui.scene_upload import SceneUpload
from fusar_qgis.layers import clipping
from fusar_qgis.layers.scene import scene_of


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Where clips are kept meanwhile."""
    place = tmp_path / "clips"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def send(standin, scene_layer, qtbot, folders):
    """Start to send a part of the scene; the signals land in ``heard``."""
    parent = QObject()
    client = Client(Endpoint(standin.url, standin.token), parent)
    area = QgsGeometry.fromRect(QgsRectangle(500100, 3999600, 500300, 3999800))

    def send(by_path=False, token=None):
        scene = scene_of(scene_layer)
        if token:
            client.endpoint = Endpoint(standin.url, token)
        scene = scene if by_path else dataclasses.replace(scene, path=None)
        upload = SceneUpload(client, scene, Area(area, scene.crs), parent)
        heard = {"sent": [], "failed": [], "progress": []}
        upload.arrived.connect(heard["sent"].append)
        upload.failed.connect(heard["failed"].append)
        upload.progressed.connect(heard["progress"].append)
        upload.start()
        return upload, heard

    yield send
    parent.deleteLater()


def test_a_file_of_this_computer_is_not_sent(send, standin, scene_path):
    _, heard = send(by_path=True)
    assert heard["sent"] == [str(scene_path)]
    assert standin.seen == []


def test_the_part_is_sent_whole_and_the_clip_is_gone(send, standin, qtbot, folders, tmp_path):
    _, heard = send()
    qtbot.waitUntil(lambda: bool(heard["sent"]))
    ((name, content),) = standin.scenes.items()
    assert heard["sent"] == [name]
    assert standin.scene_names == ["harbour.tif"]
    (tmp_path / "got.tif").write_bytes(content)
    assert gdal.Open(str(tmp_path / "got.tif")).RasterCount == 1
    assert heard["progress"] == sorted(heard["progress"])
    assert heard["progress"][-1] == 100
    assert heard["failed"] == []
    qtbot.waitUntil(lambda: not any(folders.iterdir()))


def test_a_far_server_gets_even_a_plain_file(send, standin, qtbot, monkeypatch):
    monkeypatch.setattr(Endpoint, "is_loopback", property(lambda _: False))
    _, heard = send(by_path=True)
    qtbot.waitUntil(lambda: bool(heard["sent"]))
    assert heard["sent"][0].startswith("scene:")


def test_a_refusal_is_told_once(send, qtbot, folders):
    _, heard = send(token="wrong")
    qtbot.waitUntil(lambda: bool(heard["failed"]))
    assert "token" in heard["failed"][0]
    assert heard["sent"] == []
    qtbot.waitUntil(lambda: not any(folders.iterdir()))


def test_what_cannot_be_cut_is_not_sent(send, standin, qtbot, folders, monkeypatch):
    monkeypatch.setattr(clipping, "LIMIT_BYTES", 10)
    _, heard = send()
    qtbot.waitUntil(lambda: bool(heard["failed"]))
    assert "Draw a smaller one" in heard["failed"][0]
    assert standin.seen == []
    qtbot.waitUntil(lambda: not any(folders.iterdir()))


def test_cancel_at_once_leaves_nothing(send, standin, qtbot, folders):
    upload, heard = send()
    upload.cancel()
    upload.cancel()
    qtbot.waitUntil(lambda: not any(folders.iterdir()))
    assert heard["sent"] == heard["failed"] == []


def test_cancel_on_the_way_leaves_nothing(send, standin, qtbot, folders):
    """Cancelled in the signal itself: a loopback server may have it all before anyone could look at the progress."""
    upload, heard = send()
    cancelled = []

    def cancel(percent):
        if percent > 50:
            upload.cancel()
            cancelled.append(percent)

    upload.progressed.connect(cancel)
    qtbot.waitUntil(lambda: bool(cancelled))
    qtbot.waitUntil(lambda: not any(folders.iterdir()))
    qtbot.wait(100)
    assert heard["sent"] == heard["failed"] == []
