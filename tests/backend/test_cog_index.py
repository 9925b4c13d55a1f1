"""How the COGs of a place are found: the published index, what is kept of it, and who asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aef_files import LONLAT, SOUTH, UTM, WEST, real_codes, rows, write_cog, write_csv, write_gpkg
from loopback_ranges import ranges

from fusar_gpt.errors import PriorError
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.priors.cog import CogTiles, remote
from fusar_gpt.priors.cog.catalog import IndexCache
from fusar_gpt.priors.cog.files import CogFile, parse_row
from fusar_gpt.priors.retry import RetryPolicy, Unavailable
from fusar_gpt.priors.source import describe_source
from fusar_gpt.priors.tiles import TILE_M, Tile, overlap_on_earth

TILE = Tile(31, False, int(WEST // TILE_M), int(SOUTH // TILE_M))
SHORT = RetryPolicy(deadline_s=5, attempts=2)
BUCKET = "gs://alphaearth_foundations/satellite_embedding/v1/annual"


@pytest.fixture(scope="module")
def cogs(tmp_path_factory):
    """Two years of one place without an index."""
    folder = tmp_path_factory.mktemp("cogs")
    for year in (2019, 2024):
        write_cog(folder / f"{year}/31N/x{year}-0000000000-0000000000.tiff", real_codes(128, 128, year))
    return folder


@pytest.fixture(scope="module")
def table(cogs):
    return list(rows(cogs))


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    with ranges(folder) as server:
        server.folder = folder
        yield server


@pytest.fixture
def served(web, cogs):
    """A folder on the server with the COGs and whatever index a test puts there."""
    folder = web.folder / f"test{len(list(web.folder.iterdir()))}"
    folder.mkdir()
    for year in cogs.iterdir():
        (folder / year.name).symlink_to(year)
    web.play()
    yield Served(folder, f"{web.url}/{folder.name}", web.play, web.asked)
    web.play()


@dataclass
class Served:
    folder: Path
    url: str
    play: Callable[..., None]
    asked: Callable[..., list[dict]]


@pytest.fixture
def years(tmp_path):
    """Asks a new source each time, as a new process would."""

    def ask(root, retry=SHORT, folder="kept", **options):
        source = CogTiles(root, folder=tmp_path / folder, **options)
        try:
            return list(source.years(TILE, retry))
        finally:
            source.close()

    return ask


def elsewhere(table, count, step=0.7):
    """Rows far from the place."""
    for number in range(count):
        moved = {name: table[0][name] + 2 + number % 100 * step for name in LONLAT[::2]}
        yield {**table[0], "path": f"{BUCKET}/2024/31N/y{number}.tiff", **moved}


def test_of_a_large_index_little_is_fetched_and_nothing_twice(served, years, table):
    index = served.folder / "aef_index.gpkg"
    write_gpkg(index, [*table, *elsewhere(table, 2000)])
    assert years(served.url) == [2019, 2024]
    assert 0 < sum(row["sent"] for row in served.asked()) < index.stat().st_size / 5
    served.play({"kind": 503})
    assert years(served.url) == [2019, 2024]
    assert not served.asked()
    with pytest.raises(Unavailable, match="in trouble"):
        years(served.url, replace(SHORT, attempts=1), folder="fresh")


def test_the_years_of_a_place_are_known_without_asking_once_they_were_asked_for(
    tmp_path, served, years, table
):
    write_gpkg(served.folder / "aef_index.gpkg", table)
    with closing(CogTiles(served.url, folder=tmp_path / "kept")) as source:
        assert not source.known_years(TILE)
    years(served.url)
    served.play({"kind": 503})
    with closing(CogTiles(served.url, folder=tmp_path / "kept")) as source:
        assert list(source.known_years(TILE)) == [2019, 2024]
    assert not served.asked()


@pytest.mark.parametrize("beside", ["nothing", "a GeoPackage that cannot be searched"])
def test_a_csv_is_fetched_once_and_not_kept(tmp_path, served, years, table, beside):
    write_csv(served.folder / "aef_index.csv", [*table, *elsewhere(table, 300)])
    if beside != "nothing":
        write_gpkg(served.folder / "aef_index.gpkg", table, SPATIAL_INDEX="NO")
    told = []
    assert years(served.url, report=told.append) == [2019, 2024]
    assert len(told) == 1
    assert "fetched once" in told[0]
    kept = list((tmp_path / "kept").iterdir())
    assert [path.suffix for path in kept] == [".sqlite"]
    assert kept[0].stat().st_size < (served.folder / "aef_index.csv").stat().st_size
    served.play({"kind": 503})
    assert years(served.url) == [2019, 2024]
    assert not served.asked()


def test_a_download_goes_on_where_it_broke_off(tmp_path, served, years, table):
    index = served.folder / "aef_index.csv"
    write_csv(index, [*table, *elsewhere(table, 300)])
    served.play(
        {"kind": "half", "match": "csv", "after": 1, "times": 1}
    )  # after the look for the first bytes
    with pytest.raises(Unavailable, match="breaks off"):
        years(served.url, replace(SHORT, attempts=1))
    served.play()
    assert years(served.url) == [2019, 2024]
    last = served.asked("csv")[-1]
    assert last["range"].startswith("bytes=")
    assert last["sent"] <= index.stat().st_size / 2 + 1
    assert not list((tmp_path / "kept").glob("*.part"))


def test_a_new_version_is_not_glued_to_the_old(served, years, table):
    write_csv(served.folder / "aef_index.csv", [*table, *elsewhere(table, 300)])
    served.play({"kind": "half", "match": "csv", "after": 1, "times": 1})
    with pytest.raises(Unavailable):
        years(served.url, replace(SHORT, attempts=1))
    write_csv(served.folder / "aef_index.csv", [*elsewhere(table, 300), table[0]])
    assert years(served.url) == [2019]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("drip", "comes too slowly"),
        (503, "in trouble"),
        (403, "refuses"),
    ],
)
def test_an_index_that_does_not_come(served, years, table, kind, words):
    write_csv(served.folder / "aef_index.csv", table)
    served.play({"kind": kind, "match": "csv", "after": 1})  # after the look for the first bytes
    with pytest.raises(Unavailable, match=words):
        years(served.url, RetryPolicy(deadline_s=1, attempts=1))


def test_a_csv_of_something_else_is_not_kept(tmp_path, served, years, table):
    (served.folder / "aef_index.csv").write_text("a,b\n1,2\n")
    with pytest.raises(PriorError, match=r"aef_index\.csv has no column crs"):
        years(served.url)
    write_csv(served.folder / "aef_index.csv", table)
    assert years(served.url) == [2019, 2024]
    assert not list((tmp_path / "kept").glob("*.part"))


def test_a_server_without_an_index(served, years):
    with pytest.raises(
        Unavailable, match=r"127.0.0.1 has no /test[0-9]+/aef_index.csv \(404\): check the address"
    ):
        years(served.url)


def test_an_index_of_something_else(served, years, table):
    (served.folder / "aef_index.gpkg").write_bytes(b"<html>log in</html>" * 1000)
    with pytest.raises(Unavailable, match="sends a web page in place of a file"):
        years(served.url)
    write_gpkg(
        served.folder / "aef_index.gpkg", [{name: row[name] for name in (*LONLAT, "path")} for row in table]
    )
    with pytest.raises(PriorError, match="has no column"):
        years(served.url)


def test_the_root_may_be_that_of_the_mirror_or_the_bucket(served, table, years):
    place = served.folder / "alphaearth_foundations/satellite_embedding/v1/annual"
    place.mkdir(parents=True)
    write_gpkg(place / "aef_index.gpkg", table)
    assert years(f"{served.url}/alphaearth_foundations/") == [2019, 2024]


# --- rows ---


def row(path, **other):
    numbers = dict.fromkeys((*UTM, *LONLAT), "1.5")
    return {"path": path, "year": "2024", "crs": "EPSG:32610", "utm_zone": "10N", **numbers, **other}


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        (f"{BUCKET}/2024/10N/a-0000000000-0000008192.tiff", "2024/10N/a-0000000000-0000008192.tiff"),
        ("s3://us-west-2.opendata.source.coop/tge-labs/aef/v1/annual/2024/1S/b.tiff", "2024/1S/b.tiff"),
        ("2024/10N/a.tiff", "2024/10N/a.tiff"),
        ("mine/a.tif", "mine/a.tif"),
        ("https://elsewhere.example/a.tiff", None),
        ("/etc/passwd", None),
        ("../../a.tif", None),
        ("..\\a.tif", None),
    ],
)
def test_a_row_leads_nowhere_but_below_the_root(path, kept):
    file = parse_row(row(path))
    assert (file and file.path) == kept


@pytest.mark.parametrize(
    "broken", [{"year": "soon"}, {"utm_west": "nan"}, {"wgs84_east": ""}, {"crs": None, "year": None}]
)
def test_a_row_that_makes_no_sense(broken):
    assert parse_row(row("2024/10N/a.tiff", **broken)) is None


@pytest.mark.parametrize(
    ("one", "other", "answer"),
    [
        ((1, 1, 3, 3), (2, 2, 4, 4), True),
        ((1, 1, 2, 2), (2, 1, 3, 2), False),
        ((179, 0, -179, 1), (-179.5, 0, -178, 1), True),
        ((179, 0, -179, 1), (178, 0, 179.5, 1), True),
        ((179, 0, 181, 1), (-180, 0, -179.5, 1), True),
        ((179, 0, -179, 1), (-178, 0, 178, 1), False),
    ],
)
def test_rectangles_across_the_antimeridian(one, other, answer):
    assert overlap_on_earth(one, other) is answer
    assert overlap_on_earth(other, one) is answer


def test_a_shelf_forgets_nothing_but_what_is_damaged(tmp_path):
    file = CogFile("2024/31N/a.tiff", 2024, "EPSG:32631", (0, 0, 1, 1), (2, 44, 3, 45))
    path = tmp_path / "shelf.sqlite"
    IndexCache(path).put("2,44", [file])
    assert IndexCache(path).within((2.5, 44.5, 2.6, 44.6)) == [file]
    assert IndexCache(path).within((3.5, 44.5, 3.6, 44.6)) == []
    assert IndexCache(path).age("2,44") is not None
    path.write_bytes(b"not a database" * 1000)
    assert IndexCache(path).age("2,44") is None


def test_a_shelf_keeps_all_of_an_area_or_nothing(tmp_path):
    def broken():
        yield CogFile("2024/31N/a.tiff", 2024, "EPSG:32631", (0, 0, 1, 1), (2, 44, 3, 45))
        raise PriorError("no more")

    shelf = IndexCache(tmp_path / "shelf.sqlite")
    with pytest.raises(PriorError):
        shelf.put("2,44", broken())
    assert shelf.age("2,44") is None
    assert shelf.within((-180, -90, 180, 90)) == []


# --- who asks ---


@pytest.mark.parametrize(
    ("root", "address"),
    [
        ("gs://alphaearth_foundations/", "https://storage.googleapis.com/alphaearth_foundations"),
        (
            "s3://us-west-2.opendata.source.coop/tge-labs/aef",
            "https://s3.us-west-2.amazonaws.com/us-west-2.opendata.source.coop/tge-labs/aef",
        ),
        ("s3://bucket/x", "https://s3.eu-west-3.amazonaws.com/bucket/x"),
        (
            "https://data.source.coop/tge-labs/aef/v1/annual/",
            "https://data.source.coop/tge-labs/aef/v1/annual",
        ),
        ("/data/aef", None),
        ("C:\\aef", None),
    ],
)
def test_addresses(monkeypatch, root, address):
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert remote.web_address(root) == address


@pytest.mark.parametrize("root", ["ftp://host/aef", "file:///data", "https://host/aef?token=1"])
def test_other_addresses_are_refused(root):
    with pytest.raises(PriorError, match="give an https, s3 or gs address"):
        remote.web_address(root)


def test_a_project_that_pays(tmp_path, monkeypatch, served, years, table):
    """Real google-auth with the key of a service account, whose tokens come from the loopback server."""
    pytest.importorskip("google.auth")
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    key = {"type": "service_account", "client_email": "a@example.com", "private_key": pem, "project_id": "p"}
    (tmp_path / "key.json").write_text(
        json.dumps(key | {"token_uri": served.url.removesuffix(served.folder.name) + "token"})
    )
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    monkeypatch.setattr(remote, "GOOGLE", served.url.removesuffix(served.folder.name))
    write_gpkg(served.folder / "aef_index.gpkg", table)
    source = CogTiles(f"gs://{served.folder.name}", requester_pays="mine", folder=tmp_path / "kept")
    assert len(source.fetch(TILE, 2024, SHORT)) == 1
    source.close()
    asked = served.asked()
    assert {row["path"].rpartition(".")[2] for row in asked} >= {"gpkg", "tiff"}
    assert {(row["Authorization"], row["project"]) for row in asked} == {("Bearer paid", "mine")}


def test_no_credentials_for_a_project_that_pays(tmp_path, monkeypatch, years):
    pytest.importorskip("google.auth")
    (tmp_path / "key.json").write_text("{}")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(Unavailable, match="Google takes no credentials"):
        years("gs://alphaearth_foundations", requester_pays="mine")


def test_a_token_goes_to_google_alone():
    with pytest.raises(PriorError, match="Only Google's bucket"):
        CogTiles("https://data.source.coop/tge-labs/aef", requester_pays="mine")


def doctor(root):
    works, lines = describe_source("cog", PriorSettings(root=root, deadline_s=5))
    assert works == lines[-1].startswith("Years around it")
    return lines


def test_the_doctor(tmp_path, monkeypatch, cogs, served, table):
    monkeypatch.setenv("FUSAR_CACHE", str(tmp_path / "cache"))
    write_gpkg(served.folder / "aef_index.gpkg", table)
    lines = doctor(served.url)
    assert lines[:2] == [
        "COGs: 127.0.0.1, asked without an account.",
        "Index: aef_index.gpkg, searched where it lies.",
    ]
    assert lines[2].endswith("can be read, in blocks of 128 x 128 pixels.")
    assert lines[3:] == ["Years around it: 2019, 2024."]
    assert doctor(str(cogs))[1] == "Index: none, 2 COGs found by their headers."
    served.play({"kind": 403})
    assert doctor(served.url)[0].startswith("127.0.0.1 refuses to give files (403)")
    assert doctor("ftp://x") == [
        "COGs cannot be read from ftp://: give an https, s3 or gs address, or a folder."
    ]
