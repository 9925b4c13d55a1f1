"""The settings of a stage: the paper's are the paper's, and what makes no sense is one line."""

import json

import pytest
from stage_samples import (
    command,
    train,
)
from transformers import TrainingArguments

from fusar_gpt.errors import FusarError
from fusar_train.stages.settings import RECIPES, Settings, StageError
from fusar_train.validation import SettingsError, read_yaml


def test_the_papers_settings_are_the_papers():
    for stage, epochs, rate in ((1, 30, 1e-4), (2, 5, 1e-5)):
        settings = read_yaml(RECIPES / f"stage{stage}_7b.yaml", Settings)
        assert (settings.epochs, settings.learning_rate) == (epochs, rate)
        assert (settings.lora_rank, settings.lora_alpha, settings.warmup) == (8, 32, 0.05)
        assert settings.trainables == ("tlm+lora" if stage == 1 else "lora")
        read_yaml(RECIPES / f"stage{stage}_tiny.yaml", Settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("learning_rate=fast", "could not convert"),
        ("learning_rate=-1", "Input should be greater than 0"),
        ("batch=2.5", "batch: Input should be a valid integer"),
        ("lora_vision=1", "lora_vision: Input should be a valid boolean"),
        ("trainables=all", "trainables: Input should be 'tlm', 'lora' or 'tlm"),
        ("tasks=[sing]", "task 1: Input should be 'count', 'locate'"),
        ("priors=false", "TLM is the identity"),
        ("speed=1", "unknown field 'speed'"),
        ("batch", "NAME=VALUE"),
        ("drop_prior=1.0", "drop_prior: Input should be less than 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, message):
    with pytest.raises(SettingsError, match=message) as caught:
        read_yaml(RECIPES / "stage1_tiny.yaml", Settings, [change])
    assert "\n" not in str(caught.value)


def test_settings_that_do_not_fit_are_refused(base, data, tmp_path, monkeypatch):
    with pytest.raises(StageError, match="fusion: knot"):
        train(1, base, data, tmp_path / "out", tlm={"fusion": "knot"})
    with pytest.raises(StageError, match="batch of 6 cannot be shared out"):
        train(1, base, data, tmp_path / "out", batch=6)
    with pytest.raises(StageError, match="fsdp needs several processes"):
        train(1, base, data, tmp_path / "out", parallel="fsdp")
    with pytest.raises(StageError, match="exists already"):
        train(1, base, data, base)


def test_the_sharding_settings_are_understood_by_the_library(tmp_path):
    zero2 = json.loads((RECIPES / "zero2.json").read_text())
    assert zero2["zero_optimization"]["stage"] == 2
    options = TrainingArguments(
        str(tmp_path), use_cpu=True, fsdp=True, fsdp_config=str(RECIPES / "fsdp.json")
    )
    assert options.fsdp_plugin_args["fsdp_version"] == 2
    wrapped = options.fsdp_plugin_args["transformer_cls_names_to_wrap"].split(",")
    assert wrapped == ["Qwen2_5_VLDecoderLayer", "Qwen2_5_VLVisionBlock"]


def test_a_report_that_is_not_installed_is_one_line(base, data, tmp_path, monkeypatch):
    monkeypatch.setattr("fusar_train.cli.train.PACKAGES", ())
    monkeypatch.setattr("fusar_train.cli.train.importlib.util.find_spec", lambda name: None)
    with pytest.raises(FusarError, match="wandb is not installed: pip install wandb"):
        command(1, base, data, tmp_path / "out", "--report", "wandb")
