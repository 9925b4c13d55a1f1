"""The diagnostics tell what is needed to help, and nothing that is nobody's business."""

import pytest

from fusar_qgis.core.diagnostics import HIDDEN, diagnostics

HOMES = ("/home/li.wei", "C:\\Users\\Li Wei")


def told(value: str, name: str = "Place", **more) -> str:
    return diagnostics({"Settings": {name: value}}, [value], homes=HOMES, **more)


def test_a_table_a_section_and_the_errors_last():
    text = diagnostics({"Versions": {"QGIS": "3.22|x"}}, ["first", "second"], homes=HOMES)
    assert "### Versions\n\n| | |\n|---|---|\n| QGIS | 3.22\\|x |" in text
    assert text.endswith("### Last errors\n\n```\nfirst\nsecond\n```\n")
    assert "```\nnone\n```" in diagnostics({}, [], homes=HOMES)


@pytest.mark.parametrize(
    ("path", "short"),
    [
        ("/home/li.wei/scenes/a.tif", "~/scenes/a.tif"),
        ("/home/li.wei", "~"),
        ("C:\\Users\\Li Wei\\a.tif", "~\\a.tif"),
        ("file:///C:/Users/Li Wei/a.tif", "file:///~/a.tif"),
        ("/home/li.weibo/a.tif", "/home/li.weibo/a.tif"),
    ],
)
def test_the_home_folder_is_shortened_in_settings_and_errors(path, short):
    assert told(path).count(short) == 2


@pytest.mark.parametrize(
    "words",
    [
        "Authorization: Bearer s3cr3t-abc",
        "http://host/x?token=s3cr3t-abc&y=1",
        "https://li:s3cr3t-abc@host/",
        '{"password": "s3cr3t-abc"}',
        "FUSAR_TOKEN=s3cr3t-abc",
    ],
)
def test_no_secret_is_told(words):
    assert "s3cr3t-abc" not in told(words)


def test_a_known_token_and_a_setting_named_as_a_secret_are_hidden():
    assert "abcdef" not in told("the server said abcdef", secrets=("abcdef", ""))
    assert f"| fusar/token_file | {HIDDEN} |" in told("/x", name="fusar/token_file")
