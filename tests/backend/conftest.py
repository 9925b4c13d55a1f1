"""Fixtures that several files share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from chat_client import ChatClient
    from scripted_server import ApiServer

    from fusar_gpt.imagery import Scene


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server over the scripted interpreter; the tests of a module share it."""
    from scripted_server import serve_api

    with serve_api(tmp_path_factory.mktemp("root"), heartbeat_s=0.1) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatClient]:
    from chat_client import chat_at

    with chat_at(tmp_path_factory.mktemp("chat"), heartbeat_s=0.1) as opened:
        yield opened


@pytest.fixture
def chat(shared_chat: ChatClient) -> ChatClient:
    """A conversation partner that sees bright blobs; the tests of a module share the server."""
    shared_chat.engine.miscounts = 0
    shared_chat.engine.gate.set()
    shared_chat.engine.stopped.clear()
    return shared_chat


@pytest.fixture
def utm_scene(tmp_path: Path) -> Iterator[Scene]:
    """200 x 160 px of speckle, north up in UTM."""
    from rasters import speckle, write

    from fusar_gpt.imagery import open_scene

    with open_scene(write(tmp_path / "s.tif", speckle(160, 200))) as opened:
        yield opened
