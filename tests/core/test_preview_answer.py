"""The backend's preview is read whole or refused."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusar_qgis.contract import Preview, ProtocolError, read

PNG = "data:image/png;base64,aGk="
CHIP = {
    "image": PNG, "size": [448, 448], "ground_m": 640.0, "band": "VV", "crs": "EPSG:32650",
    "footprint": {"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]]]},
    "stretch": {"quantity": "power", "low_db": -20.0, "high_db": 5.0},
}  # fmt: skip
PRIOR = {"image": PNG, "nodes": 256, "source": "cog", "year": 2021, "simulated": False, "said": ["a", "b"]}
WHOLE = {"chips": 12, "seconds": 3.5, "chip": CHIP, "prior": PRIOR}


def test_a_preview():
    preview = read(Preview, json.dumps(WHOLE).encode())
    assert (preview.chips, preview.seconds, preview.chip.png, preview.chip.stretch.quantity) == (
        12,
        3.5,
        b"hi",
        "power",
    )
    assert (preview.prior.nodes, preview.prior.year, preview.prior.said) == (256, 2021, ("a", "b"))
    empty = PRIOR | {"image": None, "nodes": 0, "year": None}
    preview = read(Preview, json.dumps(WHOLE | {"seconds": None, "prior": empty}).encode())
    assert (preview.seconds, preview.prior.png, preview.prior.year) == (None, b"", None)


@pytest.mark.parametrize("image", ["http://example.org/a.png", "data:image/png;base64,!", 5])
def test_nothing_but_a_picture_within_is_shown(image):
    with pytest.raises(ProtocolError):
        read(Preview, json.dumps(WHOLE | {"chip": CHIP | {"image": image}}).encode())


@given(
    st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3))
)
def test_any_json_is_read_or_refused(data):
    for body in (data, WHOLE | {"chip": data}, WHOLE | {"prior": data}, WHOLE | {"chips": data}):
        with contextlib.suppress(ProtocolError):
            read(Preview, json.dumps(body).encode())
