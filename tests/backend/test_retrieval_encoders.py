"""A FUSAR-KLIP checkpoint goes to disk and comes back, or is refused in one line."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_klip import CARD, TEXTS, config, small_model, small_tokenizer

from fusar_gpt.errors import CheckpointError, TaskError, TooLarge
from fusar_gpt.model.folder import KLIP_CARD_FILE as CARD_FILE
from fusar_gpt.model.klip_card import CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE
from fusar_gpt.retrieval import KlipModel, load_klip, save_klip
from fusar_gpt.retrieval.decoding import Blank
from fusar_gpt.retrieval.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return small_tokenizer()


@pytest.fixture(scope="module")
def model(tokenizer):
    return small_model(tokenizer)


@pytest.fixture
def folder(tmp_path, model, tokenizer):
    save_klip(tmp_path / "klip", model, tokenizer, CARD)
    return tmp_path / "klip"


def images(count=3):
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32), dtype=np.uint8)


def test_a_checkpoint_comes_back_as_it_was(folder, model):
    klip = load_klip(folder, device="cpu")
    assert klip.card.name == "small"
    assert klip.image_px == 32
    with torch.no_grad():
        _, expected = model.encode_images(torch.from_numpy(images()))
    assert np.array_equal(klip.embed_images(images()), expected.numpy())
    vectors = klip.embed_texts(TEXTS)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert klip.embed_images(images(0)).shape == (0, 8)
    chances = klip.match(images(), TEXTS[:3])
    assert ((chances > 0) & (chances < 1)).all()


def test_texts_of_other_lengths_beside_it_do_not_change_a_texts_vector(folder):
    klip = load_klip(folder, device="cpu")
    alone = klip.embed_texts(["Open sea."])
    assert np.allclose(klip.embed_texts(TEXTS)[1], alone[0], atol=1e-6)


def test_a_blank_is_filled_word_by_word_within_what_the_model_reads(folder):
    klip = load_klip(folder, device="cpu")
    blanks = [Blank("Count"), Blank("Count", ("Open sea.", None)), Blank("Location", (None, "Three ships."))]
    written = klip.write(images(), blanks, longest=200)
    assert len(written) == 3
    alone = [klip.write(images()[n : n + 1], blanks[n : n + 1], longest=200)[0] for n in range(3)]
    assert written == alone  # whatever is written beside it


def test_half_the_bytes_nearly_the_same_vectors(tmp_path, folder, model, tokenizer):
    save_klip(tmp_path / "half", model, tokenizer, CARD, dtype=torch.bfloat16)
    assert (tmp_path / "half" / WEIGHTS_FILE).stat().st_size < 0.6 * (folder / WEIGHTS_FILE).stat().st_size
    one, other = (
        load_klip(each, device="cpu").embed_images(images()) for each in (folder, tmp_path / "half")
    )
    assert ((one * other).sum(1) > 0.999).all()


def test_the_hash_tells_whose_vectors_can_be_compared(tmp_path, folder, model, tokenizer):
    again = save_klip(
        tmp_path / "again", model, tokenizer, replace(CARD, name="other", figures={"R@10": 0.4})
    )
    assert again.hash == load_klip(folder, device="cpu").card.hash
    torch.manual_seed(1)
    other = save_klip(tmp_path / "other", KlipModel(model.config), tokenizer, CARD)
    assert other.hash != again.hash


@pytest.mark.parametrize(
    "given",
    [
        images().astype(np.float32) / 255,
        images()[:, :16],
        images()[0],
        images()[..., None].repeat(3, -1),
    ],
    ids=["float", "other size", "one image", "colour"],
)
def test_images_that_are_not_its_grey_levels_are_refused(folder, given):
    klip = load_klip(folder, device="cpu")
    with pytest.raises(TaskError, match=r"grey levels, uint8 \[N, 32, 32\], not"):
        klip.embed_images(given)


def test_every_image_has_its_text(folder):
    klip = load_klip(folder, device="cpu")
    with pytest.raises(TaskError, match="3 images and 2 texts"):
        klip.match(images(), TEXTS[:2])
    with pytest.raises(TaskError, match="1 images and 2 texts"):
        klip.write(images(1), [Blank("Count")] * 2)


def another_tokenizer(folder):
    train_tokenizer(["Other words altogether."] * 3, 160).backend.save(str(folder / TOKENIZER_FILE))


def edit(name, **changes):
    def change(folder):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def renew_digests(folder):
    """As if the card had been made for the files that are there now."""
    from fusar_gpt.model.folder import sha256

    edit(
        CARD_FILE,
        digests={name: sha256(folder / name) for name in (CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE)},
    )(folder)


def wider(folder):
    content = json.loads((folder / CONFIG_FILE).read_text())
    content["image"]["hidden"] = 4096
    content["image"]["heads"] = 1
    (folder / CONFIG_FILE).write_text(json.dumps(content))
    renew_digests(folder)


def no_width(folder):
    content = json.loads((folder / CONFIG_FILE).read_text())
    content["text"]["hidden"] = 10**9
    (folder / CONFIG_FILE).write_text(json.dumps(content))
    renew_digests(folder)


def larger_tokenizer(folder):
    larger = train_tokenizer(["Many other words which nobody has written before in any text."] * 3, 300)
    larger.backend.save(str(folder / TOKENIZER_FILE))
    renew_digests(folder)


def missing_weight(folder):
    weights = load_file(folder / WEIGHTS_FILE)
    weights.pop("match_head.bias")
    save_file(weights, folder / WEIGHTS_FILE)
    renew_digests(folder)


def not_finite(value):
    def change(folder):
        weights = load_file(folder / WEIGHTS_FILE)
        weights["match_head.bias"][0] = value
        save_file(weights, folder / WEIGHTS_FILE)
        renew_digests(folder)

    return change


def cut_short(folder):
    content = (folder / WEIGHTS_FILE).read_bytes()
    (folder / WEIGHTS_FILE).write_bytes(content[: len(content) // 2])
    renew_digests(folder)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / CARD_FILE).unlink(), "no FUSAR-KLIP checkpoint"),
        (lambda folder: (folder / TOKENIZER_FILE).unlink(), "lacks tokenizer.json"),
        (another_tokenizer, "another tokenizer than its weights were trained with"),
        (larger_tokenizer, "the tokenizer has .* tokens and the model"),
        (lambda folder: (folder / TOKENIZER_FILE).write_text("{}") and renew_digests(folder), "no tokenizer"),
        (edit(CONFIG_FILE, embedding=9), "another config.json"),
        (wider, "weights do not fit the configuration"),
        (no_width, "less than or equal to 4096"),
        (missing_weight, "weights do not fit the configuration: match_head.bias"),
        (not_finite(float("nan")), "weights are no finite numbers: match_head.bias"),
        (not_finite(float("-inf")), "weights are no finite numbers: match_head.bias"),
        (cut_short, "cannot be loaded"),
        (edit(CARD_FILE, licence=3), "licence"),
        (lambda folder: (folder / "modeling.py").write_text("print('ran')"), "code of its own"),
        (edit(CONFIG_FILE, auto_map={"AutoModel": "x.Y"}), "code of its own"),
        (shutil.rmtree, "is not a checkpoint"),
    ],
)
def test_what_is_broken_or_foreign_is_refused_in_one_line(folder, spoil, said):
    spoil(folder)
    with pytest.raises(CheckpointError, match=said) as refusal:
        load_klip(folder, device="cpu")
    assert "\n" not in str(refusal.value)


def test_a_text_longer_than_the_model_reads_is_refused(folder):
    with pytest.raises(TooLarge, match=r"has \d+ tokens and at most 24 are read"):
        load_klip(folder, device="cpu").embed_texts(["ship " * 100])


def test_words_numbers_and_chinese_characters_are_tokens_and_come_back(tokenizer):
    assert tokenizer.decode(tokenizer.pieces("Three ships, open sea.")) == "three ships, open sea."
    assert tokenizer.decode(tokenizer.pieces("港口有三艘船。")) == "港口有三艘船。"
    assert len(tokenizer.pieces("三艘船")) <= 4


def test_the_same_texts_give_the_same_tokenizer():
    made = {train_tokenizer(TEXTS, 160).backend.to_str() for _ in range(4)}
    assert len(made) == 1


def test_texts_in_another_language_are_noticed(tokenizer):
    assert tokenizer.unknown_share(TEXTS) == 0
    assert tokenizer.unknown_share(["Три корабля в гавани."]) == 1
    assert tokenizer.unknown_share(["Drei Frachtschiffe liegen abseits"]) > 0.5
    assert tokenizer.unknown_share(["12 34 56"]) == 0


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"image_px": 30}, "no multiple of token_px"),
        ({"stem": (8, 8, 8, 8)}, "convolutions halve"),
        ({"heads": 3}, "no multiple of heads"),
        ({"layers": 0}, "greater than or equal to 1"),
    ],
)
def test_sizes_that_fit_no_tower_are_refused(sizes, said):
    with pytest.raises(ValueError, match=said):
        config(100, **sizes)


def test_vits_own_patches_see_three_channels(tokenizer):
    model = KlipModel(config(len(tokenizer), stem=(), grid=0, token_px=16)).eval()
    tokens, vectors = model.encode_images(torch.from_numpy(images()))
    assert tokens.shape == (3, 5, 16)
    assert vectors.shape == (3, 8)


@pytest.mark.parametrize("place", range(4))
def test_an_images_vector_tells_where_things_are(model, place):
    """Even untrained: the same thing in another quarter moves the vector more than another grey level of it does."""
    row, col = divmod(place, 2)

    def with_square(row, col, grey):
        image = np.full((1, 32, 32), 20, np.uint8)
        image[0, 16 * row + 4 : 16 * row + 12, 16 * col + 4 : 16 * col + 12] = grey
        return model.encode_images(torch.from_numpy(image))[1][0]

    with torch.no_grad():
        here, brighter = with_square(row, col, 200), with_square(row, col, 220)
        there = with_square(1 - row, col, 200)
    assert (here - there).norm() > 2 * (here - brighter).norm()
