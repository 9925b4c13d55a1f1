"""A CLIP of open_clip's form searches a scene, computes what open_clip computes, or is refused in one line."""

import json
import shutil
import socket

import numpy as np
import pytest
import torch
from rasters import speckle, write
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE

from fusar_gpt.contract import Finished, SearchRequest
from fusar_gpt.errors import CheckpointError, TaskError, TooLarge
from fusar_gpt.retrieval.encoder import open_encoder
from fusar_gpt.search import search

CONFIG, WEIGHTS, TOKENIZER = "open_clip_config.json", "open_clip_model.safetensors", "tokenizer.json"
VISION = {"image_size": 32, "layers": 2, "width": 16, "patch_size": 16, "head_width": 8}
TEXT = {"context_length": 16, "vocab_size": 514, "width": 16, "heads": 2, "layers": 1}
COLOURS = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "interpolation": "bicubic"}
IMAGES = np.random.default_rng(1).integers(0, 256, (2, 32, 32), np.uint8)
TEXTS = ("Three ships", "sea")


def transformer(prefix, layers, width):
    shapes = {}
    for number in range(layers):
        at = f"{prefix}transformer.resblocks.{number}."
        for name, rows, cols in (
            ("attn.in_proj_", 3 * width, width),
            ("attn.out_proj.", width, width),
            ("mlp.c_fc.", 4 * width, width),
            ("mlp.c_proj.", width, 4 * width),
        ):
            shapes |= {f"{at}{name}weight": (rows, cols), f"{at}{name}bias": (rows,)}
        shapes |= {f"{at}ln_{n}.{kind}": (width,) for n in (1, 2) for kind in ("weight", "bias")}
    return shapes


def weights(text=""):
    """Weights as open_clip names them, the same on every machine."""
    shapes = {
        "visual.class_embedding": (16,),
        "visual.positional_embedding": (5, 16),
        "visual.conv1.weight": (16, 3, 16, 16),
        "visual.proj": (16, 8),
        **{f"visual.{name}.{kind}": (16,) for name in ("ln_pre", "ln_post") for kind in ("weight", "bias")},
        **transformer("visual.", 2, 16),
        f"{text}token_embedding.weight": (514, 16),
        f"{text}positional_embedding": (16, 16),
        f"{text}text_projection": (16, 8),
        f"{text}ln_final.weight": (16,),
        f"{text}ln_final.bias": (16,),
        **transformer(text, 1, 16),
        "logit_scale": (),
    }
    random = np.random.default_rng(0)
    return {
        name: torch.from_numpy(np.asarray(random.normal(0, 0.4, shape), np.float32))
        for name, shape in shapes.items()
    }


def tokenizer():
    """CLIP's without its merges, so that each letter is a token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *(f"{one}</w>" for one in letters), "<start>", "<end>"]
    made = Tokenizer(BPE({token: n for n, token in enumerate(tokens)}, [], end_of_word_suffix="</w>"))
    made.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    made.post_processor = processors.RobertaProcessing(
        ("<end>", 513), ("<start>", 512), trim_offsets=False, add_prefix_space=False
    )
    return made


def write_clip(folder, **model):
    """A small CLIP as open_clip writes it into a folder; returns the folder."""
    folder.mkdir()
    stated = {"embed_dim": 8, "vision_cfg": VISION, "text_cfg": TEXT, **model}
    (folder / CONFIG).write_text(json.dumps({"model_cfg": stated, "preprocess_cfg": COLOURS}))
    save_file(weights("text." if stated.get("custom_text") else ""), folder / WEIGHTS)
    tokenizer().save(str(folder / TOKENIZER))
    return folder


def encoder(folder):
    return open_encoder(f"open_clip:{folder}", device="cpu")


@pytest.fixture
def folder(tmp_path):
    return write_clip(tmp_path / "small")


BY_OPEN_CLIP = {
    False: (
        [
            [-0.2044, 0.1792, 0.3784, 0.2410, -0.6140, 0.1682, -0.5599, 0.0781],
            [-0.1881, 0.1586, 0.4313, 0.2036, -0.6136, 0.1793, -0.5366, 0.1237],
        ],
        [
            [0.5191, 0.1700, -0.3280, -0.0382, -0.0764, 0.7018, -0.1810, 0.2481],
            [0.5554, 0.1694, -0.4079, -0.0559, -0.0307, 0.5601, -0.1203, 0.4052],
        ],
    ),
    True: (
        [
            [-0.1997, 0.1777, 0.3851, 0.2410, -0.6092, 0.1701, -0.5626, 0.0749],
            [-0.1842, 0.1575, 0.4366, 0.2038, -0.6092, 0.1799, -0.5394, 0.1211],
        ],
        [
            [0.5172, 0.1697, -0.3263, -0.0395, -0.0748, 0.7041, -0.1827, 0.2468],
            [0.5555, 0.1682, -0.4058, -0.0545, -0.0286, 0.5628, -0.1199, 0.4043],
        ],
    ),
}
"""Vectors of IMAGES and TEXTS by open_clip 3.3.0 itself from this folder, without and with ``quick_gelu``."""


@pytest.mark.parametrize("custom_text", [False, True])
@pytest.mark.parametrize("quick_gelu", [False, True])
def test_it_computes_what_open_clip_computes(tmp_path, quick_gelu, custom_text):
    clip = encoder(write_clip(tmp_path / "small", quick_gelu=quick_gelu, custom_text=custom_text))
    images, texts = BY_OPEN_CLIP[quick_gelu]
    np.testing.assert_allclose(clip.embed_images(IMAGES), images, atol=1e-4)
    np.testing.assert_allclose(clip.embed_texts(TEXTS), texts, atol=1e-4)
    np.testing.assert_allclose(clip.embed_texts(TEXTS[1:]), texts[1:], atol=1e-4)


def test_it_searches_a_scene_without_asking_the_network(tmp_path, folder, monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    scene = write(tmp_path / "scene.tif", speckle(100, 120))
    *_, finished = search(
        SearchRequest(str(scene), ("three ships",), top=3), encoder(folder), folder=tmp_path / "indexes"
    )
    assert isinstance(finished, Finished)
    assert finished.run.model == "open_clip:small"
    assert not finished.run.demonstration
    assert [finding.properties["rank"] for finding in finished.findings] == [1, 2, 3]
    first, *_, last = (finding.properties["similarity"] for finding in finished.findings)
    assert first > last


def test_what_it_says_of_itself(folder):
    clip = encoder(folder)
    assert (clip.name, clip.image_px, clip.dimensions, clip.pixel_m) == ("open_clip:small", 32, 8, None)
    assert clip.words == frozenset()
    assert clip.words_of("Three SHIPS, 港口 2") == ["three", "ships", "港", "口"]
    assert clip.embed_images(IMAGES[:0]).shape == clip.embed_texts([]).shape == (0, 8)


def test_the_hash_is_that_of_configuration_weights_and_tokenizer(tmp_path, folder):
    moved = shutil.copytree(folder, tmp_path / "moved")
    (moved / "README.md").write_text("of no account")
    assert encoder(moved).hash == encoder(folder).hash
    (moved / CONFIG).write_text((folder / CONFIG).read_text() + "\n")
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    save_file({**weights(), "visual.proj": torch.zeros(16, 8)}, other / WEIGHTS)
    third = shutil.copytree(folder, tmp_path / "third")
    (third / TOKENIZER).write_text((folder / TOKENIZER).read_text() + "\n")
    assert len({encoder(one).hash for one in (folder, moved, other, third)}) == 4


def test_half_precision_is_computed_in_float32(tmp_path, folder):
    half = shutil.copytree(folder, tmp_path / "half")
    save_file({name: one.half() for name, one in weights().items()}, half / WEIGHTS)
    found = encoder(half).embed_images(IMAGES)
    np.testing.assert_allclose(found, encoder(folder).embed_images(IMAGES), atol=5e-3)


def test_a_long_text_is_refused_not_cut(folder):
    made = tokenizer()
    made.enable_truncation(8)
    made.save(str(folder / TOKENIZER))
    clip = encoder(folder)
    clip.embed_texts(["a" * 14])
    with pytest.raises(TooLarge, match="has 17 tokens and at most 16 are read"):
        clip.embed_texts(["a" * 15])


def test_images_of_another_size_are_refused(folder):
    with pytest.raises(TaskError, match=r"uint8 \[N, 32, 32\]"):
        encoder(folder).embed_images(IMAGES[:, :16])


def stating(**changes):
    def spoil(folder):
        content = json.loads((folder / CONFIG).read_text())
        for part, change in changes.items():
            content["model_cfg"][part] = {**content["model_cfg"][part], **change}
        (folder / CONFIG).write_text(json.dumps(content))

    return spoil


def colours(**changed):
    def spoil(folder):
        content = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps({**content, "preprocess_cfg": {**COLOURS, **changed}}))

    return spoil


def storing(**changed):
    """Other weights; None leaves one out."""

    def spoil(folder):
        state = {
            **load_file(folder / WEIGHTS),
            **{name.replace("__", "."): one for name, one in changed.items()},
        }
        save_file({name: one for name, one in state.items() if one is not None}, folder / WEIGHTS)

    return spoil


def pickled(folder):
    torch.save(load_file(folder / WEIGHTS), folder / "open_clip_pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def without_end(folder):
    made = tokenizer()
    made.post_processor = processors.RobertaProcessing(("a", 0), ("<start>", 512))
    made.save(str(folder / TOKENIZER))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (pickled, r"may run code .* safetensors\.torch\.save_file"),
        (lambda folder: (folder / CONFIG).unlink(), "is no open_clip model"),
        (lambda folder: (folder / CONFIG).write_text("{"), "cannot be read"),
        (lambda folder: (folder / CONFIG).write_text("[]"), "cannot be read"),
        (lambda folder: (folder / CONFIG).write_text('{"embed_dim": 8}'), "cannot be used .*vision_cfg"),
        (lambda folder: (folder / TOKENIZER).unlink(), r"has no tokenizer\.json, and nothing is downloaded"),
        (lambda folder: (folder / TOKENIZER).write_text("{}"), "no tokenizer"),
        (without_end, "does not end a text with its highest token"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"no weights"), "cannot be read"),
        (stating(vision_cfg={"image_size": [32, 48]}), "32 x 48 px, and slices are square"),
        (
            stating(vision_cfg={"image_size": 64}),
            r"do not fit the configuration: visual\.positional_embedding",
        ),
        (stating(vision_cfg={"width": 10**9}), "width makes no sense"),
        (stating(vision_cfg={"layers": 100_000}), "layers makes no sense"),
        (
            stating(vision_cfg={"width": 8192, "layers": 128}),
            "do not fit",
        ),  # 100 billion numbers are not asked for
        (stating(vision_cfg={"head_width": 5}), "heads or mlp_ratio"),
        (stating(vision_cfg={"patch_size": 64}), "larger than its images"),
        (stating(vision_cfg={"layers": [3, 4, 6, 3]}), "no plain ViT: layers"),
        (stating(vision_cfg={"timm_model_name": "vit_so400m"}), "no plain ViT: timm_model_name"),
        (stating(vision_cfg={"pool_type": "avg"}), "no plain ViT: pool_type"),
        (stating(text_cfg={"hf_model_name": "someone/bert"}), "text encoder is not CLIP's: hf_model_name"),
        (stating(text_cfg={"vocab_size": True}), "vocab_size makes no sense"),
        (stating(text_cfg={"vocab_size": 500}), "the tokenizer has 514 tokens and the model 500"),
        (stating(text_cfg={"mlp_ratio": "many"}), "cannot be used"),
        (colours(mean=[0.5]), "three colours"),
        (colours(std=[0.5, 0.0, 0.5]), "std must be above 0"),
        (colours(mean=[float("nan")] * 3), "three colours"),
        (storing(ln_final__bias=None), r"do not fit the configuration: ln_final\.bias"),
        (storing(visual__gate=torch.ones(1)), r"do not fit the configuration: visual\.gate"),
        (storing(visual__proj=torch.full((16, 8), torch.inf)), "not finite"),
        (shutil.rmtree, "is no open_clip model"),
    ],
)
def test_what_is_broken_or_another_model_is_refused_in_one_line(folder, spoil, said):
    spoil(folder)
    with pytest.raises(CheckpointError, match=said) as refusal:
        encoder(folder)
    assert "\n" not in str(refusal.value)


def test_a_setting_that_plain_clips_state_too_is_no_other_model(folder):
    stating(
        vision_cfg={
            "image_size": [32, 32],
            "pool_type": "tok",
            "attentional_pool": False,
            "ls_init_value": None,
        },
        text_cfg={"pool_type": "argmax", "hf_tokenizer_name": "someone/clip", "no_causal_mask": False},
    )(folder)
    np.testing.assert_allclose(encoder(folder).embed_texts(TEXTS), BY_OPEN_CLIP[False][1], atol=1e-4)
