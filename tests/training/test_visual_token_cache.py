"""The tokens of a frozen visual encoder are computed once for all runs, and change nothing that is learnt."""

import pytest
from stage_samples import losses, train, write_data
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel

from fusar_train.stages.settings import StageError

RUN = {"max_steps": 6, "batch": 2, "micro_batch": 2}  # every one of the six images


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("memory") / "data", count=6)


def files(folder):
    return sorted(folder.rglob("*.safetensors"))


def test_another_run_computes_no_tokens_again_and_learns_the_same(base, data, tmp_path, monkeypatch):
    plain = losses(train(1, base, data, tmp_path / "plain", **RUN))
    kept = tmp_path / "tokens"
    assert losses(train(1, base, data, tmp_path / "first", visual_tokens=kept, **RUN)) == pytest.approx(plain)
    assert len(files(kept)) == 6

    def computed(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr(Qwen2_5_VisionTransformerPretrainedModel, "forward", computed)
    again = train(1, base, data, tmp_path / "again", visual_tokens=kept, **RUN)
    assert losses(again) == pytest.approx(plain)
    train(2, again, data, tmp_path / "stage2", visual_tokens=kept, **RUN)


def test_a_broken_file_is_computed_again(base, data, tmp_path):
    kept = tmp_path / "tokens"
    first = losses(train(1, base, data, tmp_path / "first", visual_tokens=kept, **RUN))
    for file in files(kept)[:3]:
        file.write_bytes(file.read_bytes()[:50])
    assert losses(train(1, base, data, tmp_path / "again", visual_tokens=kept, **RUN)) == pytest.approx(first)
    assert min(file.stat().st_size for file in files(kept)) > 50


def test_another_encoder_has_tokens_of_its_own(base, data, tmp_path):
    kept = tmp_path / "tokens"
    train(1, base, data, tmp_path / "first", visual_tokens=kept, **RUN)
    other = train(1, base, data, tmp_path / "sees", trainables="lora", lora_vision=True, **RUN)
    train(1, other, data, tmp_path / "second", visual_tokens=kept, **RUN)
    assert len(files(kept)) == 12


def test_an_encoder_that_learns_is_refused(base, data, tmp_path):
    with pytest.raises(StageError, match="lora_vision"):
        train(1, base, data, tmp_path / "out", visual_tokens=tmp_path / "tokens", lora_vision=True)
