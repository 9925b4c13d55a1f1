"""The bearer tokens: one that all share, in a private file, and one for each analyst."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import requests
from scripted_server import TOKEN, serve_api
from serving import arguments

from fusar_gpt.server import serve
from fusar_gpt.server.security import remove_token_file, write_token_file
from fusar_gpt.server.tokens import ServeError, read_tokens


def test_the_token_file_is_private_and_replaces_without_following(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    path = tmp_path / "cache" / "server.json"
    path.parent.mkdir()
    path.symlink_to(victim)
    before = os.umask(0)
    try:
        write_token_file(path, "http://127.0.0.1:1", TOKEN)
    finally:
        os.umask(before)
    assert victim.read_text() == "untouched"
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text()) == {"url": "http://127.0.0.1:1", "token": TOKEN}
    assert list(path.parent.iterdir()) == [path]
    remove_token_file(path, "another server's")
    assert path.exists()
    remove_token_file(path, TOKEN)
    remove_token_file(path, TOKEN)
    assert not path.exists()
    with pytest.raises(ServeError, match="--token-file"):
        write_token_file(victim / "server.json", "", TOKEN)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gpu.lab"])
def test_a_server_open_to_others_needs_a_token_of_its_own(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FUSAR_TOKEN", raising=False)
    with pytest.raises(ServeError, match="--token"):
        serve.run(arguments("--host", host))


def test_each_analyst_may_have_a_token(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# the group\n\nanna {'a' * 32}\nchén.wei {'b' * 32}  # since May\n", encoding="utf-8")
    tokens = read_tokens(file)
    assert tokens == {"anna": "a" * 32, "chén.wei": "b" * 32}
    with serve_api(tmp_path, tokens=tokens) as api:
        for token, expected in (("a" * 32, 200), ("b" * 32, 200), (TOKEN, 200), ("a" * 31, 401), ("", 401)):
            headers = {"Authorization": f"Bearer {token}"}
            assert requests.get(f"{api.url}/info", headers=headers, timeout=10).status_code == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds no tokens"),
        ("anna", "line 1 .* is not a name and a token"),
        ("anna short", "line 1 .* is not a name and a token"),
        (f"anna {'a' * 32} x", "line 1 .* is not a name and a token"),
        (f"anna {'a' * 32}\nanna {'b' * 32}", "line 2 .* repeats a name or a token"),
        (f"anna {'a' * 32}\nbert {'a' * 32}", "line 2 .* repeats a name or a token"),
        (None, "cannot be read"),
    ],
)
def test_a_file_of_tokens_that_makes_no_sense_is_refused(tmp_path: Path, text: str | None, why: str) -> None:
    file = tmp_path / "tokens"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ServeError, match=why) as caught:
        serve.run(arguments("--tokens", str(file)))
    assert "aaaa" not in str(caught.value)


@pytest.mark.parametrize("token", ["short", "with blank in the middle", "caf\xe9" * 8, "line\nline" * 4])
def test_a_weak_or_unsendable_token_is_refused(token: str) -> None:
    with pytest.raises(ServeError, match="token"):
        serve.run(arguments("--token", token))
