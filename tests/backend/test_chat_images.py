"""Plain images in a conversation: which are taken, and findings in their pixels."""

from __future__ import annotations

import base64
import io
import struct
import time
import zlib

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
from PIL import Image, PngImagePlugin
from test_interpret import CHIP

from fusar_gpt.errors import SceneError, TooLarge
from fusar_gpt.server.chat.images import IMAGE_BYTES, read_image

resource = pytest.importorskip("resource")


def encoded(content: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def sequence(kind: str) -> str:
    content = io.BytesIO()
    first, *rest = (picture((place, 3, place + 5, 9)) for place in range(3))
    first.save(content, kind, save_all=True, append_images=rest)
    return encoded(content.getvalue(), kind.lower())


def with_text(megabytes: int) -> str:
    """A PNG whose compressed comments are that long."""
    content, notes = io.BytesIO(), PngImagePlugin.PngInfo()
    for number in range(megabytes):
        notes.add_text(f"note {number}", "A" * 1_000_000, zip=True)
    picture().save(content, "PNG", pnginfo=notes)
    return encoded(content.getvalue())


def header_only(width: int, height: int) -> str:
    """A PNG of a size that its few bytes do not hold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return encoded(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def many_scans() -> str:
    """A progressive JPEG one of whose scans comes a thousand times: libjpeg decodes each over the whole image."""
    content = io.BytesIO()
    picture((3, 3, 9, 9)).save(content, "JPEG", progressive=True)
    whole = content.getvalue()
    last = whole.rindex(b"\xff\xda")
    return encoded(whole[:-2] + whole[last:-2] * 1000 + whole[-2:], "jpeg")


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
    with pytest.raises(openai.UnprocessableEntityError, match="black all over"):
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
        (sequence("PNG"), "a sequence of 3 pictures: save one of them alone"),
        (sequence("GIF").replace("image/gif", "image/png"), "not a readable PNG or JPEG"),
        (with_text(70), "not a readable PNG or JPEG"),
    ],
)
def test_images_that_are_not_taken(chat: ChatClient, address: str, why: str) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match=why):
        chat.talk([shown(address)])


@pytest.mark.parametrize(
    ("addresses", "limit"),
    [
        (["data:image/png;base64," + "A" * (IMAGE_BYTES * 4 // 3 + 8)], "over 8 MiB"),
        ([uri(Image.new("1", (6_000, 5_000)))], "more than 25 million pixels"),
        ([header_only(60_000, 60_000)], "more than 25 million pixels"),
        (
            [uri(Image.new("L", (1, 30_000)))],
            "1 x 30000 px has a side over 10000 px, or over 20 times the other",
        ),
        ([uri(Image.new("L", (30_000, 1)))], "over 20 times the other"),
        ([uri(Image.new("RGBA", (10, 201)))], "over 20 times the other"),
        ([uri(Image.new("1", (4_900, 5_000)))] * 3, "more than 50 million pixels together"),
        ([PNG] * 9, "at most 8 images, this one has 9"),
        ([many_scans()], "over 100 scans"),
    ],
)
def test_an_image_that_is_too_large_is_refused_with_the_limit(
    chat: ChatClient, addresses: list[str], limit: str
) -> None:
    with pytest.raises(openai.APIStatusError, match=limit) as caught:
        chat.talk([shown(*addresses)])
    assert caught.value.status_code == 413
    assert "\n" not in caught.value.body["message"]


@pytest.mark.skipif(not hasattr(resource, "RUSAGE_SELF"), reason="no account of memory here")
def test_no_image_takes_much_memory_or_time() -> None:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    for size in ((1, 30_000), (30_000, 1), (1, 10_000_000), (2**31 - 1, 1)):
        with pytest.raises(TooLarge):
            read_image(header_only(*size))
    assert time.monotonic() - began < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


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
    except (SceneError, TooLarge):
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 2
