"""The journal of a batch: what was finished is found again, whatever happened to the file's last line."""

import json

import pytest

from fusar_qgis.contract import Finding, Polygon, SceneBox
from fusar_qgis.core.journal import Entry, Journal, key_of

RING = ((0.1, 0.2), (5.0, 0.2), (5.0, 7.25), (0.1, 0.2))
SHAPE = Polygon("Polygon", (RING,))
BOX = SceneBox(1.5, 2, 3, 4)
FINDING = Finding(
    "d1", "detections", SHAPE, "EPSG:32631", SHAPE, BOX, {"label": "港", "score": 0.1, "hit": None}
)
ENTRY = Entry({"id": "run", "prior_year": None}, (FINDING,))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "journal.jsonl"


def test_what_was_added_is_found_again_exactly(path):
    Journal(path).add("a", ENTRY)
    Journal(path).add("b", Entry({}, ()))
    again = Journal(path)
    assert (again.find("a"), again.find("b"), again.find("c")) == (ENTRY, Entry({}, ()), None)


@pytest.mark.parametrize("kept", [1, 60, -1])
def test_a_torn_last_line_is_left_out_and_written_after(path, kept):
    journal = Journal(path)
    journal.add("a", ENTRY)
    journal.add("b", ENTRY)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    path.write_bytes(whole[: first + kept] if kept > 0 else whole[:kept])
    again = Journal(path)
    assert again.find("a") == ENTRY
    again.add("c", ENTRY)
    last = Journal(path)
    assert (last.find("a"), last.find("c")) == (ENTRY, ENTRY)


@pytest.mark.parametrize(
    "line", [b"\xff\xfe", b"[1]", b'{"key": "a"}', b'{"key": "a", "run": {}, "findings": [{}]}']
)
def test_lines_that_make_no_sense_are_left_out(path, line):
    path.parent.mkdir()
    path.write_bytes(line + b"\n")
    Journal(path).add("b", ENTRY)
    assert Journal(path).find("a") is None
    assert Journal(path).find("b") == ENTRY


def test_a_removed_journal_leaves_no_file(path):
    journal = Journal(path)
    journal.remove()
    journal.add("a", ENTRY)
    journal.remove()
    assert not path.exists()


def test_keys_tell_contents_apart_and_not_their_order():
    one = {"task": "detect", "area": [0.1, 2]}
    assert key_of(one) == key_of(json.loads(json.dumps(dict(reversed(one.items())))))
    assert key_of(one) != key_of({**one, "area": [0.1, 3]})
