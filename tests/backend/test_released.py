"""The authors' released format: the same function as theirs, and nothing that does not fit gets in.

The reference here is a stock Qwen2.5-VL with an unmerged PEFT adapter and the release's arithmetic in plain
loops over float64 (spec: weights on the patch grid, normalised twice, bilinear resize to the token grid).
"""

from __future__ import annotations

import json
import math
import pickle
import re
import shutil

import numpy as np
import pytest
import torch
from peft import PeftModel
from PIL import Image
from release_format import (
    CHANNELS,
    HEIGHT,
    HIDDEN,
    SIGMA,
    STAGE1,
    WIDTH,
    base_model,
    change_tensors,
    edit,
    film,
    prior,
    write_base,
    write_film,
    write_processor,
    write_release,
)
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoTokenizer, Qwen2_5_VLForConditionalGeneration

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import load_checkpoint
from fusar_gpt.model.checkpoint import export_checkpoint
from fusar_gpt.model.released import QWEN_TEMPLATE, find_release, import_release

PROMPTS = ["count ship", "ask where is the long narrow bridge over the river", "detect plane"]
COUNTS = [5, 0, 9]
LENGTH = 12  # tokens of an answer
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A published base, a released stage 2 folder, its import, and the unmerged original."""
    root = tmp_path_factory.mktemp("released")
    model = base_model()
    write_base(root / "Qwen2.5-VL-7B-Instruct", model)
    original = write_release(root / "stage2", model, base_name="Qwen/Qwen2.5-VL-7B-Instruct")
    base = root / "Qwen2.5-VL-7B-Instruct"
    import_release(root / "stage2", str(base), root / "imported")
    return {"source": root / "stage2", "base": base, "out": root / "imported", "original": original}


@pytest.fixture
def source(released, tmp_path):
    return shutil.copytree(released["source"], tmp_path / "source")


@pytest.fixture
def base(released, tmp_path):
    return shutil.copytree(released["base"], tmp_path / "base")


def picture(seed, width=75, height=130):
    """A smooth random RGB picture of another shape than the frame."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def framed(image):
    return np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def reference_patches(pixels):
    """[patches, 3 * 2 * 14 * 14]: tokens row by row, the four patches of each, both time steps the same."""
    scaled = (pixels / 255 - np.array(MEAN)) / np.array(STD)
    rows = []
    for top in range(0, HEIGHT, 28):
        for left in range(0, WIDTH, 28):
            for dy in (0, 14):
                for dx in (0, 14):
                    patch = scaled[top + dy : top + dy + 14, left + dx : left + dx + 14].transpose(2, 0, 1)
                    rows.append(np.stack([patch, patch], axis=1).ravel())
    return torch.tensor(np.array(rows), dtype=torch.float32)


def reference_field(values, positions):
    """Gamma and beta, float64 [H, W, 2C], of the release in loops."""
    weights = {name: tensor.double().numpy() for name, tensor in film().items()}
    hidden = [weights["0.weight"] @ vector + weights["0.bias"] for vector in values.astype(np.float64)]
    nodes = [weights["2.weight"] @ (h / (1 + np.exp(-h))) + weights["2.bias"] for h in hidden]
    rows, cols = HEIGHT // 14, WIDTH // 14
    patches = np.zeros((rows, cols, 2 * CHANNELS))
    for row in range(rows):
        for col in range(cols):
            raw = [
                math.exp(-((row - y * (rows - 1)) ** 2 + (col - x * (cols - 1)) ** 2) / (2 * SIGMA**2))
                for y, x in positions.astype(np.float64)
            ]
            once = [one / (sum(raw) + 1e-6) for one in raw]
            twice = [one / (sum(once) + 1e-6) for one in once]
            for weight, node in zip(twice, nodes, strict=True):
                patches[row, col] += weight * node
    # Halving with align_corners=False samples the middle of each 2 x 2 block.
    return (patches[::2, ::2] + patches[1::2, ::2] + patches[::2, 1::2] + patches[1::2, 1::2]) / 4


def reference_tokens(original, pixels, values, positions):
    """Visual tokens [H*W, C] after TLM."""
    grid = torch.tensor([[1, HEIGHT // 14, WIDTH // 14]])
    with torch.no_grad():
        encoded = original.base_model.model.model.visual(reference_patches(pixels), grid_thw=grid)
    tokens = encoded.pooler_output.double().numpy()
    if len(values):
        field = reference_field(values, positions).reshape(len(tokens), -1)
        tokens = tokens * (1 + field[:, :CHANNELS]) + field[:, CHANNELS:]
    return torch.tensor(tokens, dtype=torch.float32)


def reference_answer(original, tokenizer, tokens, prompt, ends):
    """Greedy ids: the whole sequence again for every token, no cache, no padding, no generate()."""
    model = original.base_model.model
    image = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    head, tail = tokenizer.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}],
        tokenize=False,
        add_generation_prompt=True,
    ).split("<|image_pad|>")
    ids = [*tokenizer.encode(head), *[image] * len(tokens), *tokenizer.encode(tail)]
    start = len(ids)
    grid = torch.tensor([[1, HEIGHT // 14, WIDTH // 14]])
    for _ in range(LENGTH):
        row = torch.tensor([ids])
        kinds = (row == image).int()
        with torch.no_grad():
            embedded = model.get_input_embeddings()(row)
            embedded[0, kinds[0].bool()] = tokens
            places, _ = model.model.get_rope_index(row, mm_token_type_ids=kinds, image_grid_thw=grid)
            hidden = model.model.language_model(inputs_embeds=embedded, position_ids=places).last_hidden_state
            ids.append(int(model.lm_head(hidden[0, -1]).argmax()))
        if ids[-1] in ends:
            break
    return ids[start:]


def cases():
    return [
        (framed(picture(i)), prompt, prior(i, count))
        for i, (prompt, count) in enumerate(zip(PROMPTS, COUNTS, strict=True))
    ]


def our_tokens(checkpoint, batch):
    inputs = checkpoint.processor(*map(list, zip(*batch, strict=True)))
    names = ("pixel_values", "image_grid_thw", "aef_values", "aef_coords", "aef_mask")
    with torch.no_grad():
        return checkpoint.model.model.get_image_features(
            **{name: inputs[name] for name in names}
        ).pooler_output


def our_answers(checkpoint, batch):
    """Greedy ids up to and with the end token."""
    inputs = checkpoint.processor(*map(list, zip(*batch, strict=True)))
    with torch.no_grad():
        output = checkpoint.model.generate(**inputs, max_new_tokens=LENGTH, do_sample=False)
    ends = checkpoint.model.generation_config.eos_token_id
    rows = output[:, inputs["input_ids"].shape[1] :].tolist()
    return [row[: next((i + 1 for i, one in enumerate(row) if one in ends), len(row))] for row in rows]


def check_parity(checkpoint, original, tolerance=1e-5):
    """Same visual tokens and same greedy answers, alone and in a mixed left-padded batch."""
    batch = cases()
    tokens = [reference_tokens(original, pixels, *given) for pixels, _, given in batch]
    bare = [reference_tokens(original, pixels, *prior(0, 0)) for pixels, _, _ in batch]
    assert (tokens[0] - bare[0]).abs().max() > 0.1  # the prior matters
    for ours, theirs in zip(our_tokens(checkpoint, batch), tokens, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    tokenizer, ends = checkpoint.tokenizer, checkpoint.model.generation_config.eos_token_id
    expected = [
        reference_answer(original, tokenizer, one, prompt, ends)
        for one, (_, prompt, _) in zip(tokens, batch, strict=True)
    ]
    assert len({tuple(answer) for answer in expected}) == len(batch)
    assert our_answers(checkpoint, batch) == expected
    for one, answer in zip(batch, expected, strict=True):
        assert our_answers(checkpoint, [one]) == [answer]
    other = reference_answer(original, tokenizer, bare[0], PROMPTS[0], ends)
    assert other != expected[0]  # and reaches the answer


def refused(match, source, base, out, **options):
    """One line that says so, and nothing left behind."""
    with pytest.raises(CheckpointError, match=match) as caught:
        import_release(source, str(base), out, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert not out.exists()
    assert not list(out.parent.glob(f".{out.name}*"))


# The same function.


def test_a_stage_2_release_computes_what_the_authors_compute(released):
    check_parity(load_checkpoint(released["out"], device="cpu"), released["original"])


@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize(("layout", "shards"), [("current", False), ("published", True)])
def test_a_stage_1_release_with_vision_lora_on_any_base(tmp_path, layout, shards, tie):
    model = base_model(tie, seed=2)
    write_base(tmp_path / "base", model, layout=layout, shards=shards)
    original = write_release(tmp_path / "stage1", model, targets=STAGE1)
    import_release(tmp_path / "stage1", str(tmp_path / "base"), tmp_path / "out")
    adapter = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert any(".visual.blocks.1." in name for name in adapter)
    check_parity(load_checkpoint(tmp_path / "out", device="cpu"), original)


def test_adapter_keys_of_older_libraries(released, source, tmp_path):
    older = re.compile(r"^(base_model\.model)\.model\.(visual|language_model)")

    def rename(tensors):
        for name in list(tensors):
            new = older.sub(lambda found: f"{found[1]}.{'visual' if found[2] == 'visual' else 'model'}", name)
            assert new != name
            tensors[new] = tensors.pop(name)

    change_tensors(source / "adapter_model.safetensors", rename)
    import_release(source, str(released["base"]), tmp_path / "out")
    written = load_file(tmp_path / "out" / "adapter_model.safetensors")
    expected = load_file(released["out"] / "adapter_model.safetensors")
    assert written.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in written.items())


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # PEFT's
def test_stock_peft_reads_the_imported_adapter(released):
    """Its list of modules names what it holds, so PEFT neither adds nor misses a layer."""
    stock = Qwen2_5_VLForConditionalGeneration.from_pretrained(released["base"], dtype=torch.float32)
    adapted = PeftModel.from_pretrained(stock, released["out"])
    ours = {name for name, _ in adapted.named_parameters() if "lora_" in name}
    original = {name for name, _ in released["original"].named_parameters() if "lora_" in name}
    assert ours == original


def test_rank_stabilised_scaling(tmp_path):
    model = base_model()
    write_base(tmp_path / "base", model)
    original = write_release(tmp_path / "source", model, use_rslora=True)
    import_release(tmp_path / "source", str(tmp_path / "base"), tmp_path / "out")
    check_parity(load_checkpoint(tmp_path / "out", device="cpu"), original)


def test_an_export_is_whole_and_computes_the_same(released, tmp_path):
    card = export_checkpoint(released["out"], tmp_path / "whole")
    assert card.base is None
    assert card.digests
    shutil.rmtree(shutil.copytree(released["base"], tmp_path / "gone"))
    whole = load_checkpoint(tmp_path / "whole", device="cpu")
    check_parity(whole, released["original"])
    library = AutoModelForImageTextToText.from_pretrained(tmp_path / "whole")
    assert library.state_dict().keys() == whole.model.state_dict().keys()
    for name, tensor in library.state_dict().items():
        assert torch.equal(tensor, whole.model.state_dict()[name]), name
    assert library.generation_config.eos_token_id == [2, 0]
    assert AutoTokenizer.from_pretrained(tmp_path / "whole").chat_template


def test_a_bfloat16_base_is_exported_as_bfloat16_with_tlm_in_float32(tmp_path):
    model = base_model()
    write_base(tmp_path / "base", model, dtype=torch.bfloat16)
    write_release(tmp_path / "source", model)
    import_release(tmp_path / "source", str(tmp_path / "base"), tmp_path / "out")
    export_checkpoint(tmp_path / "out", tmp_path / "whole")
    stored = load_file(tmp_path / "whole" / "model.safetensors")
    kinds = {name.startswith("model.tlm"): tensor.dtype for name, tensor in stored.items()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    assert torch.equal(stored["model.tlm.w1.weight"], film()["0.weight"])
    exact = load_checkpoint(tmp_path / "out", device="cpu")
    assert exact.model.dtype is torch.float32
    half = load_checkpoint(tmp_path / "out", device="cpu", dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.model.model.tlm.parameters()} == {torch.float32}
    for name, tensor in half.model.state_dict().items():
        assert torch.equal(tensor, exact.model.state_dict()[name].to(tensor.dtype)), name


# What is written.


def test_the_imported_folder(released):
    checkpoint = load_checkpoint(released["out"], device="cpu")
    card = checkpoint.card
    assert (card.width, card.height, card.patch, card.merge) == (WIDTH, HEIGHT, 14, 2)
    assert (card.prompt_set, card.aspect, card.targets, card.ground_m) == ("release", "stretched", [], None)
    assert (card.name, card.base, card.demonstration) == ("imported", str(released["base"]), False)
    assert card.base_digests.keys() == card.base_sizes.keys() == {"model.safetensors"}
    tlm = checkpoint.model.config.tlm
    assert (tlm["variant"], tlm["sigma"], tlm["hidden"], tlm["vec_dim"]) == ("release", SIGMA, HIDDEN, 64)
    assert checkpoint.model.config.text_config.eos_token_id == [2, 0]
    assert {"fusar.json", "config.json", "adapter_config.json", "tlm.safetensors", "tokenizer.json"} <= {
        path.name for path in released["out"].iterdir()
    }
    assert not list(released["out"].glob("*.pt"))
    assert sum(path.stat().st_size for path in released["out"].glob("*.safetensors")) < 400_000  # no base


def test_a_legacy_folder_needs_its_sigma_and_is_504_px(released, source, tmp_path):
    (source / "tlm_config.json").unlink()
    refused("give --sigma.*trained their released folders with 2", source, released["base"], tmp_path / "out")
    card = import_release(source, str(released["base"]), tmp_path / "out", sigma=2.0)
    assert (card.width, card.height) == (504, 504)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["tlm"]["sigma"] == 2.0


def test_the_folder_above_is_taken_when_it_holds_one_release(released, source, tmp_path):
    inner = tmp_path / "download" / "stage2" / "detection"
    shutil.copytree(source, inner)
    assert find_release(tmp_path / "download") == inner
    shutil.copytree(source, tmp_path / "download" / "stage1")
    choices = r"give one of its folders stage1, stage2.detection"
    refused(choices, tmp_path / "download", released["base"], tmp_path / "out")


@pytest.mark.parametrize("place", ["source", "source json", "base json", "nowhere"])
def test_the_chat_template_is_found_wherever_it_is(released, source, base, tmp_path, place):
    (base / "chat_template.jinja").unlink()
    write_processor(base, template="json" if place == "base json" else "none")
    if place.startswith("source"):
        write_processor(source, template="json" if place.endswith("json") else "tokenizer")
    import_release(source, str(base), tmp_path / "out")
    template = AutoTokenizer.from_pretrained(tmp_path / "out").chat_template
    expected = AutoTokenizer.from_pretrained(released["base"]).chat_template
    assert template == (QWEN_TEMPLATE if place == "nowhere" else expected)


def test_the_last_resort_is_qwens_own_turn_format(released):
    text = AutoTokenizer.from_pretrained(released["base"]).apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "go"}]}],
        chat_template=QWEN_TEMPLATE,
        tokenize=False,
        add_generation_prompt=True,
    )
    assert text == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        "<|vision_start|><|image_pad|><|vision_end|>go<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_hash_follows_adapter_base_and_settings_but_not_the_place(released, source, base, tmp_path):
    def hash_of(name, **changes):
        import_release(source, str(base), tmp_path / name, name="same", **changes)
        return load_checkpoint(tmp_path / name, device="cpu").hash

    first = hash_of("first")
    base.rename(tmp_path / "moved")
    base = tmp_path / "moved"
    assert hash_of("second") == first
    (tmp_path / "first" / "figures.json").write_text("{}")
    (tmp_path / "first" / "generation_config.json").write_text("{}")
    edit(tmp_path / "first" / "fusar.json", base=str(base))
    assert load_checkpoint(tmp_path / "first", device="cpu").hash == first
    write_film(source, film_mlp=film(seed=9))
    third = hash_of("third")
    change_tensors(base / "model.safetensors", lambda tensors: tensors["lm_head.weight"].mul_(2))
    assert len({first, third, hash_of("fourth")}) == 3


# What does not fit.


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
    refused(match, source, released["base"], tmp_path / "out")


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
    refused(match, source, released["base"], tmp_path / "out")


def test_a_tied_head_cannot_be_adapted(tmp_path):
    model = base_model(tie=True)
    write_base(tmp_path / "base", model)
    write_release(tmp_path / "source", model)

    def adapt_head(tensors):
        tensors["base_model.model.lm_head.lora_A.weight"] = torch.zeros(4, CHANNELS)
        tensors["base_model.model.lm_head.lora_B.weight"] = torch.zeros(2368, 4)

    change_tensors(tmp_path / "source" / "adapter_model.safetensors", adapt_head)
    refused("changes lm_head", tmp_path / "source", tmp_path / "base", tmp_path / "out")


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
    refused(match, source, released["base"], tmp_path / "out")


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
    refused(match, source, released["base"], tmp_path / "out", **options)


@pytest.mark.parametrize("name", ["adapter_config.json", "tlm_config.json", "adapter_model.safetensors"])
def test_broken_files_of_the_release(released, source, tmp_path, name):
    (source / name).write_text("{")
    refused("cannot be imported", source, released["base"], tmp_path / "out")


def test_missing_files_of_the_release(released, source, tmp_path):
    (source / "adapter_model.safetensors").rename(source / "adapter_model.bin")
    refused("no adapter_model.safetensors, the only format", source, released["base"], tmp_path / "out")
    (source / "adapter_config.json").unlink()
    refused("holds no adapter_config.json", source, released["base"], tmp_path / "out")
    refused("there is no folder", source / "nowhere", released["base"], tmp_path / "out")


def test_a_truncated_file_of_weights(released, source, base, tmp_path):
    for path, match in (
        (base / "model.safetensors", "model.safetensors is broken.*get the base again"),
        (source / "adapter_model.safetensors", "cannot be imported"),
    ):
        content = path.read_bytes()
        path.write_bytes(content[:-10])
        refused(match, source, base, tmp_path / "out")
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
    refused(match, source, base, tmp_path / "out")


def test_a_base_with_missing_files(source, base, tmp_path):
    for name in ("tokenizer.json", "config.json", "model.safetensors"):
        (base / name).unlink()
        refused("tokenizer|not a Qwen2.5-VL|no weights", source, base, tmp_path / "out")
    refused("is not a base model", source, tmp_path / "nowhere", tmp_path / "out")


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
    refused("lacks model-00002-of-00002", source, tmp_path / "base", tmp_path / "out")


def test_an_adapter_of_another_width(source, tmp_path):
    wider = base_model(intermediate_size=128)
    write_base(tmp_path / "base", wider)
    refused("the adapter's .*mlp.* the base's", source, tmp_path / "base", tmp_path / "out")


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
        refused(f"trained on .*and this base is {ours}", source, base, tmp_path / "out")


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
    refused("No space left on device", source, released["base"], tmp_path / "out")


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
    loading_refused(released["out"], "write it whole first with fusar checkpoint export", quantize="4bit")
