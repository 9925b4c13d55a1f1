"""Who asks Earth Engine: the real client signs in to a server on 127.0.0.1, and the doctor says how that went."""

from __future__ import annotations

import importlib.util
import json

import pytest

ee = pytest.importorskip("ee", reason="earthengine-api is not installed")

from loopback_earth_engine import failure, login, loopback_earth_engine, only_the_loopback  # noqa: E402

from fusar_gpt.prior_options import PriorSettings  # noqa: E402
from fusar_gpt.priors.earth_engine import EarthEngineTiles  # noqa: E402
from fusar_gpt.priors.earth_engine.config import EarthEngineConfig  # noqa: E402
from fusar_gpt.priors.retry import RetryPolicy, Unavailable  # noqa: E402
from fusar_gpt.priors.source import describe_source  # noqa: E402
from fusar_gpt.priors.tiles import Tile  # noqa: E402

NORTH = Tile(zone=10, south=False, col=528, row=3282)
PIXELS = "image:computePixels"
PATIENT = RetryPolicy(60.0)


@pytest.fixture(scope="module")
def server():
    with loopback_earth_engine() as running:
        yield running


@pytest.fixture(scope="module")
def key(server, tmp_path_factory):
    return login(tmp_path_factory.mktemp("login"), server)


@pytest.fixture(autouse=True)
def names(server, tmp_path, monkeypatch):
    """The names looked up so far; only 127.0.0.1 ever is."""
    with only_the_loopback(server, tmp_path, monkeypatch) as looked_up:
        yield looked_up


@pytest.fixture
def source(server, key):
    return EarthEngineTiles("demo", key, server.url)


def service_account(server):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "client_email": "robot@keyed.iam.gserviceaccount.com",
        "private_key": pem.decode(),
        "private_key_id": "1",
        "token_uri": server.url + "/token",
        "project_id": "keyed",
    }


def own_login(server, **more):
    said = {"refresh_token": "r", "client_id": "c", "client_secret": "s", "token_uri": server.url + "/token"}
    return said | more


def test_a_service_account_key(server, tmp_path):
    ee.Reset()
    (tmp_path / "key.json").write_text(json.dumps(service_account(server)))
    source = EarthEngineTiles(None, tmp_path / "key.json", server.url)
    assert source.years(NORTH, PATIENT)
    assert server.asked("value:compute")[0]["path"] == "/v1/projects/keyed/value:compute"


def test_the_login_that_the_earthengine_command_saved(server, tmp_path):
    ee.Reset()
    saved = tmp_path / ".config/earthengine/credentials"
    saved.parent.mkdir(parents=True)
    saved.write_text(json.dumps(own_login(server, project="saved")))
    assert EarthEngineTiles(None, None, server.url).years(NORTH, PATIENT)
    assert server.asked("value:compute")[0]["path"] == "/v1/projects/saved/value:compute"
    EarthEngineTiles("other", None, server.url).years(NORTH, PATIENT)
    assert server.asked("value:compute")[1]["path"] == "/v1/projects/other/value:compute"


def test_the_project_that_the_earthengine_command_saved(server, tmp_path, monkeypatch):
    """With a login of another kind: such a file has no token."""
    ee.Reset()
    saved = tmp_path / ".config/earthengine/credentials"
    saved.parent.mkdir(parents=True)
    saved.write_text(json.dumps({"project": "saved"}))
    (tmp_path / "gcloud").mkdir()
    (tmp_path / "gcloud/application_default_credentials.json").write_text(json.dumps(service_account(server)))
    assert EarthEngineTiles(None, None, server.url).years(NORTH, PATIENT)
    assert server.asked("value:compute")[0]["path"] == "/v1/projects/saved/value:compute"


def test_application_default_credentials(server, tmp_path, monkeypatch):
    ee.Reset()
    (tmp_path / "adc.json").write_text(json.dumps(service_account(server)))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "adc.json"))
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "payer")
    assert EarthEngineTiles(None, None, server.url).years(NORTH, PATIENT)
    assert server.asked("value:compute")[0]["path"] == "/v1/projects/payer/value:compute"
    assert len(server.asked("sign-in")) == 1


def test_signing_in_once_serves_all(server, source, key):
    source.years(NORTH, PATIENT)
    server.faults()
    EarthEngineTiles("demo", key, server.url).years(NORTH, PATIENT)
    assert [entry["kind"] for entry in server.asked()] == ["value:compute"]
    ee.Reset()  # by somebody else in this process
    assert EarthEngineTiles("demo", key, server.url).years(NORTH, PATIENT)
    kinds = [entry["kind"] for entry in server.asked()]
    assert kinds == ["value:compute", "sign-in", "discovery", "discovery", "algorithms", "value:compute"]


def test_no_name_but_the_loopback_is_looked_up(server, key, names):
    ee.Reset()
    source = EarthEngineTiles("guarded", key, server.url)
    assert source.years(NORTH, PATIENT)
    assert source.fetch(NORTH, 2024, PATIENT)
    assert names == {"127.0.0.1"}


def test_the_settings(server, key, monkeypatch):
    assert EarthEngineConfig.of(None, None, None, True).url == ee.data.HIGH_VOLUME_API_BASE_URL
    assert EarthEngineConfig.of(None, None, None, False).url == ee.data.DEFAULT_CLOUD_API_BASE_URL
    assert EarthEngineTiles().key == EarthEngineTiles(high_volume=True).key == "aef-v1-ee"
    assert EarthEngineTiles(url="http://127.0.0.1:81/").key == "aef-v1-ee-127.0.0.1-81"
    for url in ("http://example.org", "ftp://127.0.0.1", "https://", "example.org"):
        with pytest.raises(Unavailable, match="must be https"):
            EarthEngineTiles("demo", key, url)
    with pytest.raises(Unavailable, match="is not the ID of a Google Cloud project"):
        EarthEngineTiles("a/../b", key, server.url)
    with pytest.raises(Unavailable, match="There is no credentials file"):
        EarthEngineTiles("demo", key / "no", server.url)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="pip install"):
        EarthEngineTiles("demo", key, server.url)


def test_without_credentials_nobody_is_asked(server):
    with pytest.raises(Unavailable, match="no credentials for Earth Engine: run earthengine authenticate"):
        EarthEngineTiles("demo", None, server.url).years(NORTH, PATIENT)
    assert server.asked() == []


def test_without_a_project_nobody_is_asked(server, key):
    with pytest.raises(Unavailable, match="needs a Google Cloud project"):
        EarthEngineTiles(None, key, server.url).years(NORTH, PATIENT)
    assert server.asked() == []


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"type": "service_account"}', '{"refresh_token": "r", "project": 1', "\x00"],
)
def test_a_file_that_holds_no_credentials(server, tmp_path, content):
    (tmp_path / "key.json").write_text(content)
    with pytest.raises(Unavailable, match="holds no credentials"):
        EarthEngineTiles("demo", tmp_path / "key.json", server.url).years(NORTH, PATIENT)
    assert server.asked() == []


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ({"sign_in": ["revoked"]}, "expired or were revoked"),
        ({"sign_in": ["502*"]}, "sign-in does not answer as it should"),
        ({"sign_in": ["html*"]}, "is not Earth Engine"),
        ({"discovery": ["html"]}, "is not Earth Engine"),
        ({"discovery": ["403 Project 7 is not registered to use Earth Engine."]}, "not registered"),
        ({"discovery": ["500*"]}, "HTTP 500"),
        ({"algorithms": ["html"]}, "is not Earth Engine"),
        ({"algorithms": ["403 API has not been used in project 7 before or it is disabled."]}, "not enabled"),
    ],
)
def test_what_the_user_reads_when_signing_in_fails(server, key, faults, told):
    ee.Reset()
    source = EarthEngineTiles("demo", key, server.url)
    server.faults(**faults)
    assert told in failure(source)
    assert server.asked(PIXELS) == []
    server.faults()
    assert source.years(NORTH, PATIENT)  # and all is well again


# The doctor.


def doctor(project, credentials, url):
    settings = PriorSettings(ee_project=project, ee_credentials=credentials, ee_url=url)
    works, lines = describe_source("earth-engine", settings)
    assert works == lines[-1].startswith("Quota: ")
    return lines


def test_the_doctor_finds_all_well(server, key):
    lines = doctor("demo", key, server.url)
    assert lines == [
        f"Credentials: your login in {key}.",
        "Project: demo.",
        f"Earth Engine answers at {server.url.removeprefix('http://')}.",
        "AEF at San Francisco: 2018 to 2024.",
        "Quota: no complaint.",
    ]


def test_the_doctor_tells_of_the_quota(server, key):
    server.faults(years=["restricted"])
    assert "used up its non-commercial quota" in doctor("demo", key, server.url)[-1]
    assert doctor("demo", key, server.url)[-1] == "Quota: no complaint."
    server.faults(years=["429 Quota exceeded*"])
    assert "quota is used up" in doctor("demo", key, server.url)[-1]


def test_the_doctor_stops_at_what_is_wrong(server, key):
    assert doctor("demo", None, server.url) == [
        "There are no credentials for Earth Engine: run earthengine authenticate, or give the key of an account."
    ]
    lines = doctor(None, key, server.url)
    assert lines[1] == "Project: none."
    assert "needs a Google Cloud project" in lines[2]
    assert len(lines) == 3
