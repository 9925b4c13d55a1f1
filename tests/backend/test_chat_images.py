"""Plain images in a conversation: which are taken, and findings in their pixels."""

from __future__ import annotations

import base64

import numpy as np
import openai
import pytest
from chat_client import (
    PNG,
    WORDS,
    ChatClient,
    features,
    picture,
    shown,
    text_of,
    uri,
    words_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_interpret import CHIP

from fusar_gpt.errors import SceneError
from fusar_gpt.server.chat.images import IMAGE_BYTES, read_image


def test_plain_images_are_looked_at_and_findings_are_in_their_pixels(chat: ChatClient) -> None:
    wide = picture((100, 40, 130, 56), size=(4 * CHIP, CHIP))
    completion = chat.talk([shown(uri(picture()), uri(wide))])
    (ship,) = features(completion, "detections")
    assert ship["geometry"] is None
    assert ship["properties"]["image"] == 2
    xs, ys = zip(*ship["scene_geometry"]["coordinates"][0], strict=True)
    np.testing.assert_allclose((min(xs), min(ys), max(xs), max(ys)), (100, 40, 130, 56), atol=4.01)
    assert "Image 2 of 2: 1 ship\n" in text_of(completion)
    assert text_of(completion).endswith("Prior: none.")
    assert completion.fusar["run"]["scene"] == "2 images"
    follow = chat.talk([shown(uri(picture()), uri(wide)), "...", "what is the first one?"])
    assert words_of(follow).endswith("is taken for: ship.")
    described = chat.talk([shown(uri(wide, "JPEG"), text="what is this?")])
    assert words_of(described) == WORDS.strip()


def test_sixteen_bits_are_taken_for_amplitude(chat: ChatClient) -> None:
    pixels = np.random.default_rng(0).rayleigh(40, (CHIP, CHIP)).astype(np.uint16)
    pixels[40:50, 40:60] = 40_000
    completion = chat.talk([shown(uri(Image.fromarray(pixels)), text="how many ships?")])
    assert words_of(completion).startswith("1 ship.")
    black = Image.fromarray(np.zeros((9, 9), np.uint16))
    with pytest.raises(openai.BadRequestError, match="black all over"):
        chat.talk([shown(uri(black))])


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://127.0.0.1:1/ship.png", "no URL is fetched"),
        ("https://example.org/ship.png", "no URL is fetched"),
        ("file:///etc/passwd", "no URL is fetched"),
        ("/etc/passwd", "no URL is fetched"),
        ("data:image/svg+xml;base64,PHN2Zy8+", "no URL is fetched"),
        (PNG.replace("image/png", "image/gif"), "no URL is fetched"),
        (PNG.replace(";base64", ""), "no URL is fetched"),
        (uri(picture(), "GIF").replace("image/gif", "image/png"), "not a readable PNG or JPEG"),
        (uri(picture(), "TIFF").replace("image/tiff", "image/png"), "not a readable PNG or JPEG"),
        (PNG[:-40], "not a readable PNG or JPEG"),
        (PNG[:60] + "!!!!" + PNG[60:], "not valid base64"),
        ("data:image/png;base64,", "not a readable PNG or JPEG"),
        (uri(Image.new("1", (20_000, 2_000))), "million pixels"),
    ],
)
def test_images_that_are_not_taken(chat: ChatClient, address: str, why: str) -> None:
    with pytest.raises(openai.BadRequestError, match=why):
        chat.talk([shown(address)])


def test_an_image_that_is_too_large_is_not_even_decoded() -> None:
    with pytest.raises(SceneError, match="over 8 MiB"):
        read_image("data:image/png;base64," + "A" * (IMAGE_BYTES * 4 // 3 + 8))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_image_is_refused_or_read_and_nothing_else(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG"]))
    content = bytearray(base64.b64decode(uri(picture((3, 3, 9, 9), size=(16, 16)), kind).partition(",")[2]))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(1, len(content)))]
    try:
        pixels = read_image(f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}")
    except SceneError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 2
