"""What the plugin offers of the checkpoints that a backend lists."""

from fusar_qgis.core.checkpoints import read_checkpoints

SAR = {"name": "sar", "title": "SAR", "size": 5, "demonstration": False, "problem": None}


def test_only_what_can_interpret_is_offered():
    listed = [
        SAR | {"name": "older backend"},
        SAR | {"name": "gpt", "kind": "FUSAR-GPT"},
        SAR | {"name": "klip", "kind": "FUSAR-KLIP"},
        SAR | {"name": "broken", "kind": None, "title": None, "problem": "it has no card"},
    ]
    assert [one.name for one in read_checkpoints(listed)] == ["older backend", "gpt", "broken"]


def test_what_makes_no_sense_is_left_out():
    assert [read_checkpoints(one) for one in (None, "sar", [3, {"title": "x"}, {"name": 4}])] == [[], [], []]
