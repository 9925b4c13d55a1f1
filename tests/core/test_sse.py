"""The SSE decoder: any cut of the bytes gives the same events, and the standard's corners hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusar_qgis.core.sse import ServerEvent, SseDecoder

_TEXT = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=12)
_EVENTS = st.lists(st.tuples(_TEXT, st.lists(_TEXT, min_size=1, max_size=3), _TEXT), max_size=5)


def decode(*chunks: bytes) -> list[ServerEvent]:
    decoder = SseDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


@given(_EVENTS, st.sampled_from(["\n", "\r", "\r\n"]), st.data())
def test_events_survive_any_cut_of_the_stream(events, end, data):
    lines = [": ping"]
    for kind, texts, number in events:
        lines += [f"event: {kind}", *(f"data: {text}" for text in texts), f"id: {number}", ""]
    # The first line of the next event: a lone CR at the very end would rightly be waited for.
    stream = (end.join(lines) + end + "data: unfinished").encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    expected = [ServerEvent(kind or "message", "\n".join(texts), number) for kind, texts, number in events]
    assert decode(*chunks) == expected


@given(st.lists(st.binary(max_size=30), max_size=6))
def test_no_bytes_break_it(chunks):
    decode(*chunks)


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b"data:no space\n\n", ["no space"]),
        (b"data:  two spaces\n\n", [" two spaces"]),
        (b"data\n\n", [""]),
        (b"\xef\xbb\xbfdata: after a byte order mark\n\n", ["after a byte order mark"]),
        (b"event: no data\n\n", []),
        (b": ping\n\n: ping\n\n", []),
        (b"retry: 5\nunknown: x\ndata: y\n\n", ["y"]),
        (b"data: the connection broke", []),
    ],
)
def test_corners_of_the_standard(stream, data):
    assert [event.data for event in decode(stream)] == data


def test_the_id_stays_until_the_next_and_the_kind_does_not():
    events = decode(b"id: 7\nevent: progress\ndata: 1\n\ndata: 2\n\n")
    assert events == [ServerEvent("progress", "1", "7"), ServerEvent("message", "2", "7")]


def test_chinese_cut_inside_a_character():
    stream = "data: 船舶\n\n".encode()
    assert decode(*(bytes([byte]) for byte in stream)) == [ServerEvent("message", "船舶", "")]
