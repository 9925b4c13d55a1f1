"""The options and variables that every command with a prior shares."""

from __future__ import annotations

import argparse

import pytest

from fusar_gpt import prior_options
from fusar_gpt.errors import PriorError
from fusar_gpt.prior_options import OPTIONS, PriorSettings


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch):
    for option in OPTIONS:
        monkeypatch.delenv(f"FUSAR_{option.dest.upper()}", raising=False)


def parsed(*words, **options):
    parser = argparse.ArgumentParser()
    prior_options.add_arguments(parser, **options)
    return PriorSettings.of(parser.parse_args([*map(str, words)]))


def test_a_word_rules_over_a_variable_and_a_variable_over_the_default(monkeypatch, tmp_path):
    assert parsed() == PriorSettings()
    monkeypatch.setenv("FUSAR_PRIOR_DEADLINE", "7.5")
    monkeypatch.setenv("FUSAR_PRIOR_NODES", "8, 9")
    monkeypatch.setenv("FUSAR_PRIOR_CACHE_LIMIT", "2 GB")
    monkeypatch.setenv("FUSAR_PRIOR_EE_HIGH_VOLUME", "yes")
    monkeypatch.setenv("FUSAR_ALLOW_NO_PRIOR", "0")
    monkeypatch.setenv("FUSAR_PRIOR_CACHE", str(tmp_path))
    found = parsed("--prior-deadline", 3, "--prior-root", "https://a.example/b")
    assert found == PriorSettings(
        root="https://a.example/b",
        deadline_s=3.0,
        nodes=(8, 9),
        cache_bytes=2 * 10**9,
        high_volume=True,
        cache_folder=tmp_path,
    )
    assert PriorSettings.of().deadline_s == 7.5
    assert parsed("--deadline", 3, prefix="", only=("deadline_s",)).deadline_s == 3.0


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DEADLINE", "0"),
        ("NODES", "4"),
        ("CACHE_LIMIT", "lots"),
        ("RESAMPLING", "cubic"),
        ("EE_HIGH_VOLUME", "si"),
    ],
)
def test_a_senseless_variable_is_named(monkeypatch, variable, value):
    monkeypatch.setenv(f"FUSAR_PRIOR_{variable}", value)
    with pytest.raises(PriorError, match=f"FUSAR_PRIOR_{variable} is '{value}'"):
        PriorSettings.of()


def test_every_setting_is_an_option_with_a_variable():
    assert {option.setting for option in OPTIONS} == set(PriorSettings.__dataclass_fields__)
