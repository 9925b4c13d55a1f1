"""Importing and loading a release: nothing that does not fit gets in, and nothing is left behind."""

from __future__ import annotations

import json
import math
import pickle
import shutil

import pytest
import torch
from release_format import (
    CHANNELS,
    HIDDEN,
    base_model,
    change_tensors,
    edit,
    film,
    import_refused,
    make_images_only,
    make_release,
    write_base,
    write_release,
)

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import load_checkpoint
from fusar_gpt.model.checkpoint import export_checkpoint
from fusar_gpt.model.released import import_release


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    return make_release(tmp_path_factory.mktemp("released"))


@pytest.fixture
def source(released, tmp_path):
    return shutil.copytree(released["source"], tmp_path / "source")


@pytest.fixture
def base(released, tmp_path):
    return shutil.copytree(released["base"], tmp_path / "base")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"peft_type": "IA3"}, "type IA3, and only LORA"),
        ({"use_dora": True}, "uses use_dora"),
        ({"bias": "all"}, "trains biases"),
        ({"modules_to_save": ["lm_head"]}, "uses modules_to_save"),
        ({"rank_pattern": {"q_proj": 8}}, "uses rank_pattern"),
        ({"something_new": 3}, "uses something_new"),
        ({"init_lora_weights": "pissa"}, "starts as pissa"),
        ({"r": 8}, "not of rank 8"),
        ({"r": 0}, "rank is 0"),
        ({"lora_alpha": None}, "lora_alpha is None"),
    ],
)
def test_an_adapter_that_is_no_plain_lora(released, source, tmp_path, changes, match):
    edit(source / "adapter_config.json", **changes)
    import_refused(match, source, released["base"], tmp_path / "out")


FIRST = "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_"


def _drop(tensors):
    del tensors[f"{FIRST}B.weight"]


def _poison(tensors):
    tensors[f"{FIRST}A.weight"][0, 0] = math.nan


def _widen(tensors):
    tensors[f"{FIRST}A.weight"] = torch.zeros(4, CHANNELS + 1)


def _deepen(tensors):
    for half in "AB":
        tensors[f"{FIRST}{half}.weight".replace(".0.", ".7.")] = tensors[f"{FIRST}{half}.weight"].clone()


def _add_magnitude(tensors):
    tensors["base_model.model.lm_head.lora_magnitude_vector"] = torch.zeros(4)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (_drop, "has lora_A but not its other half"),
        (_poison, "not finite"),
        (_widen, "maps 65 to 64 channels, the base's 64 to 64"),
        (_deepen, r"changes model.language_model.layers.7.self_attn.q_proj, which is not a linear layer"),
        (_add_magnitude, "lora_magnitude_vector, which is not a LoRA weight"),
        (dict.clear, "holds no weights"),
    ],
)
def test_adapter_weights_that_do_not_fit(released, source, tmp_path, change, match):
    change_tensors(source / "adapter_model.safetensors", change)
    import_refused(match, source, released["base"], tmp_path / "out")


def test_a_tied_head_cannot_be_adapted(tmp_path):
    model = base_model(tie=True)
    write_base(tmp_path / "base", model)
    write_release(tmp_path / "source", model)

    def adapt_head(tensors):
        tensors["base_model.model.lm_head.lora_A.weight"] = torch.zeros(4, CHANNELS)
        tensors["base_model.model.lm_head.lora_B.weight"] = torch.zeros(2368, 4)

    change_tensors(tmp_path / "source" / "adapter_model.safetensors", adapt_head)
    import_refused("changes lm_head", tmp_path / "source", tmp_path / "base", tmp_path / "out")


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def _short(name):
    return {**film(), name: film()[name][:-1]}


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"film_mlp": Bomb()}, "something else than tensors, which is not run"),
        ({"film_mlp": {**film(), "1.weight": torch.zeros(1)}}, "not of the released structure"),
        ({"film_mlp": {"0.weight": torch.zeros(1)}}, "not of the released structure"),
        ({"other": film(), "film_mlp": film()}, "not of the released structure"),
        ([film()], "not of the released structure"),
        ({"film_mlp": {**film(), "0.bias": torch.full((HIDDEN,), math.inf)}}, "not finite"),
        ({"film_mlp": {**film(), "0.bias": "text"}}, "not finite"),
        (
            {"film_mlp": _short("2.weight")},
            r"w2.weight is \[127, 128\], and a base of 64 channels needs \[128, 128\]",
        ),
        ({"film_mlp": _short("0.bias")}, "w1.bias"),
        ({"film_mlp": film(hidden=160)}, "hidden width is 160, and tlm_config.json says 2 times 64"),
        ({"film_mlp": film(channels=96)}, "a base of 64 channels"),
        ({"film_mlp": {**film(), "0.weight": torch.zeros(HIDDEN, 63)}}, "w1.weight"),
        (b"PK\x03\x04", "vec64_film.pt is broken"),
        (pickle.dumps(Bomb()), "vec64_film.pt"),
        (b"", "vec64_film.pt is broken"),
        (None, "it has no vec64_film.pt"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tlm_weights_that_are_none(released, source, tmp_path, content, match):
    path = source / "vec64_film.pt"
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    import_refused(match, source, released["base"], tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "options", "match"),
    [
        ({"format": "v2"}, {}, "not of the format tlm_original_train_patch_resize_v1"),
        ({}, {"sigma": 1.0}, "says sigma 2, and --sigma says 1"),
        ({"sigma": 0}, {}, "sigma must be a positive number"),
        ({"sigma": "2"}, {}, "sigma must be a positive number"),
        ({"sigma": math.inf}, {}, "sigma must be a positive number"),
        ({"vec_dim": 32}, {}, "vec_dim 32"),
        ({"image_size": 500}, {}, "500 x 500 px is not a whole number of 28 px tokens"),
        ({"image_size": [28]}, {}, r"image_size must be a number of px or \[width, height\]"),
        ({"image_size": 0}, {}, "image_size must be"),
    ],
)
def test_settings_that_make_no_sense(released, source, tmp_path, changes, options, match):
    edit(source / "tlm_config.json", **changes)
    import_refused(match, source, released["base"], tmp_path / "out", **options)


@pytest.mark.parametrize(
    ("changes", "options", "match"),
    [
        ({"image_size": 500}, {}, "500 x 500 px is not a whole number of 28 px tokens"),
        ({"image_size": 504.0}, {}, "image_size must be a number of px"),
        ({"image_size": None}, {}, "image_size must be a number of px"),
        ({"use_tlm": True}, {}, "says use_tlm true, and there is no vec64_film.pt: get the whole folder"),
        ({"use_tlm": "no"}, {}, "use_tlm in image_text_config.json must be true or false, not no"),
        ({}, {"sigma": 2.0}, "says that it has no TLM: leave --sigma out"),
    ],
)
def test_settings_of_images_alone_that_make_no_sense(released, source, tmp_path, changes, options, match):
    make_images_only(source, **{"size": 56, **changes})
    import_refused(match, source, released["base"], tmp_path / "out", **options)


@pytest.mark.parametrize("beside", ["vec64_film.pt", "tlm_config.json"])
def test_images_alone_with_a_tlm_beside_them_is_a_contradiction(released, source, tmp_path, beside):
    kept = (source / beside).read_bytes()
    make_images_only(source)
    (source / beside).write_bytes(kept)
    import_refused("says use_tlm false, and a TLM lies beside it", source, released["base"], tmp_path / "out")


def test_a_tlm_beside_settings_that_name_it(released, source, tmp_path):
    settings = {"image_size": 56, "use_tlm": True}
    (source / "image_text_config.json").write_text(json.dumps(settings))
    import_refused(
        "says image_size 56, and tlm_config.json 112 x 84", source, released["base"], tmp_path / "out"
    )
    (source / "tlm_config.json").unlink()
    card = import_release(source, str(released["base"]), tmp_path / "out", sigma=2.0)
    assert (card.width, card.height, card.uses_prior) == (56, 56, True)


@pytest.mark.parametrize("content", ["[]", "3", "{", ""])
def test_settings_of_images_alone_that_are_no_object(released, source, tmp_path, content):
    make_images_only(source)
    (source / "image_text_config.json").write_text(content)
    import_refused("cannot be (imported|read)", source, released["base"], tmp_path / "out")


def test_neither_a_tlm_nor_settings_of_images_alone(released, source, tmp_path):
    make_images_only(source)
    (source / "image_text_config.json").unlink()
    import_refused(
        "it has no vec64_film.pt, nor an image_text_config.json", source, released["base"], tmp_path / "out"
    )


@pytest.mark.parametrize("name", ["adapter_config.json", "tlm_config.json", "adapter_model.safetensors"])
def test_broken_files_of_the_release(released, source, tmp_path, name):
    (source / name).write_text("{")
    import_refused("cannot be (imported|read)", source, released["base"], tmp_path / "out")


def test_missing_files_of_the_release(released, source, tmp_path):
    (source / "adapter_model.safetensors").rename(source / "adapter_model.bin")
    import_refused(
        "no adapter_model.safetensors, the only format", source, released["base"], tmp_path / "out"
    )
    (source / "adapter_config.json").unlink()
    import_refused("holds no adapter_config.json", source, released["base"], tmp_path / "out")
    import_refused("there is no folder", source / "nowhere", released["base"], tmp_path / "out")


def test_a_truncated_file_of_weights(released, source, base, tmp_path):
    for path, match in (
        (base / "model.safetensors", "model.safetensors is broken.*get the base again"),
        (source / "adapter_model.safetensors", "cannot be imported"),
    ):
        content = path.read_bytes()
        path.write_bytes(content[:-10])
        import_refused(match, source, base, tmp_path / "out")
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "changes", "match"),
    [
        ("config.json", {"model_type": "qwen2_vl"}, "its model type is qwen2_vl"),
        ("config.json", {"quantization_config": {"quant_method": "awq"}}, "weights are quantised"),
        ("config.json", {"intermediate_size": 80}, "do not fit its configuration"),
        ("config.json", {"num_hidden_layers": 3}, "not a Qwen2.5-VL that can be a base"),
        ("preprocessor_config.json", {"patch_size": 16}, "disagree about patch"),
    ],
)
def test_a_base_that_is_none(source, base, tmp_path, file, changes, match):
    edit(base / file, **changes)
    import_refused(match, source, base, tmp_path / "out")


def test_a_base_with_missing_files(source, base, tmp_path):
    for name in ("tokenizer.json", "config.json", "model.safetensors"):
        (base / name).unlink()
        import_refused("tokenizer|not a Qwen2.5-VL|no weights", source, base, tmp_path / "out")
    import_refused("is not a base model", source, tmp_path / "nowhere", tmp_path / "out")


def test_an_image_processor_within_a_whole_processors_file_is_read(source, base, tmp_path):
    images = json.loads((base / "preprocessor_config.json").read_text())
    (base / "preprocessor_config.json").unlink()
    (base / "processor_config.json").write_text(
        json.dumps({"image_processor": {**images, "image_mean": [0.1, 0.2, 0.3]}})
    )
    import_release(source, str(base), tmp_path / "out")
    images = load_checkpoint(tmp_path / "out", device="cpu").processor.image_processor
    assert list(images.image_mean) == [0.1, 0.2, 0.3]


def test_without_an_image_processor_qwens_own_is_taken_and_said(source, base, tmp_path):
    original = json.loads((base / "preprocessor_config.json").read_text())
    (base / "preprocessor_config.json").unlink()
    said = []
    import_release(source, str(base), tmp_path / "out", report=said.append)
    assert any("image processor" in line for line in said)
    images = load_checkpoint(tmp_path / "out", device="cpu").processor.image_processor
    assert (list(images.image_mean), images.patch_size) == (original["image_mean"], original["patch_size"])


def test_a_base_with_a_missing_shard(source, tmp_path):
    write_base(tmp_path / "base", base_model(), shards=True)
    (tmp_path / "base" / "model-00002-of-00002.safetensors").unlink()
    import_refused("lacks model-00002-of-00002", source, tmp_path / "base", tmp_path / "out")


def test_an_adapter_of_another_width(source, tmp_path):
    wider = base_model(intermediate_size=128)
    write_base(tmp_path / "base", wider)
    import_refused("the adapter's .*mlp.* the base's", source, tmp_path / "base", tmp_path / "out")


@pytest.mark.parametrize(
    ("theirs", "ours", "fits"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL-3B-Instruct", False),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen3-VL-7B-Instruct", False),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen2.5-7B-Instruct", False),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2_5_vl_7b", True),
        ("/data/zhang/models/Qwen2.5-VL-7B-Instruct/", "my-weights", True),
        ("/data/zhang/base", "Qwen2.5-VL-7B-Instruct", True),
        (None, "Qwen2.5-VL-3B-Instruct", True),
    ],
)
def test_the_base_must_not_clearly_be_another_model(source, base, tmp_path, theirs, ours, fits):
    edit(source / "adapter_config.json", base_model_name_or_path=theirs)
    base = base.rename(tmp_path / ours)
    if fits:
        said = []
        import_release(source, str(base), tmp_path / "out", report=said.append)
        assert any("note: the adapter calls its base" in line for line in said) is (theirs is not None)
    else:
        import_refused(f"trained on .*and this base is {ours}", source, base, tmp_path / "out")


def test_nothing_that_exists_is_touched(released, source, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="exists already"):
        import_release(source, str(released["base"]), out)
    assert [path.name for path in tmp_path.glob("**/*") if path.is_file() and out in path.parents] == [
        "notes.txt"
    ]
    (out / "notes.txt").unlink()
    import_release(source, str(released["base"]), out)  # an empty folder is fine
    with pytest.raises(CheckpointError, match="exists already"):
        export_checkpoint(out, released["out"])


def test_a_failure_while_writing_leaves_nothing(released, source, tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fusar_gpt.model.released.write_card", full)
    import_refused("No space left on device", source, released["base"], tmp_path / "out")


# Loading.


def loading_refused(folder, match, **options):
    with pytest.raises(CheckpointError, match=match) as caught:
        load_checkpoint(folder, device="cpu", **options)
    assert "\n" not in str(caught.value)


def test_a_base_that_is_gone_or_changed(source, base, tmp_path):
    out = tmp_path / "out"
    import_release(source, str(base), out)
    base.rename(tmp_path / "elsewhere")
    loading_refused(out, f"the base of out is missing from {base}: put it back or import again")
    (tmp_path / "elsewhere").rename(base)
    load_checkpoint(out, device="cpu")
    change_tensors(base / "model.safetensors", lambda tensors: tensors.pop("lm_head.weight"))
    loading_refused(out, "has changed since the import")


@pytest.mark.parametrize(
    "name", ["adapter_model.safetensors", "tlm.safetensors", "config.json", "adapter_config.json"]
)
def test_an_altered_or_missing_file_of_the_import(released, tmp_path, name):
    folder = shutil.copytree(released["out"], tmp_path / "copy")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(
        content.replace(b"0", b"1", 1) if name.endswith("json") else content[:-1] + b"?"
    )
    loading_refused(folder, f"{name} is corrupted")
    (folder / name).unlink()
    loading_refused(folder, name)


def test_weights_that_do_not_fit_are_refused_without_digests_too(released, tmp_path):
    folder = shutil.copytree(released["out"], tmp_path / "copy")
    edit(folder / "fusar.json", digests={})
    original = (folder / "tlm.safetensors").read_bytes()
    change_tensors(folder / "tlm.safetensors", lambda tensors: tensors.pop("w1.bias"))
    loading_refused(folder, "w1.bias")
    (folder / "tlm.safetensors").write_bytes(original)
    change_tensors(folder / "adapter_model.safetensors", _deepen)
    loading_refused(folder, "layers.7")


def test_an_adapter_apart_is_not_quantised(released):
    loading_refused(released["out"], "merge it first with fusar checkpoint export", quantize="4bit")
