"""ms-swift's lines: which name belongs to which box, in every form that its documentation shows; what is refused."""

import pytest
from corpus_samples import save, speckle, write_lines

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.formats import import_dataset
from fusar_train.corpus.records import read_records


def imported(source, out):
    import_dataset("ms-swift", source, out)
    return list(read_records(out))


def swift(question, answer, refs, boxes, **more):
    talk = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": talk, "images": ["a.png"], "objects": {"ref": refs, "bbox": boxes, **more}}


A, B, C = [1, 2, 30, 40], [5, 6, 70, 80], [9, 9, 20, 20]


@pytest.mark.parametrize(
    ("row", "labels"),
    [
        (
            swift("<image>find <ref-object> and <ref-object>",
                  '[{"bbox_2d": <bbox>, "label": "<ref-object>"}, {"label": "<ref-object>", "bbox_2d": <bbox>}]',
                  ["ship", "plane", "ship", "plane"], [A, B]),
            ["ship", "plane"],
        ),
        (swift("<image>?", "<ref-object><bbox><bbox> and <ref-object><bbox>", ["ship", "plane"], [A, B, C]),
         ["ship", "ship", "plane"]),
        (swift("<image>?", "<bbox> is a <ref-object>, <bbox> a <ref-object>", ["ship", "plane"], [A, B]),
         ["ship", "plane"]),
        (swift("<image>?", '{"bbox_2d": <bbox>, "label": "plane"}', [], [A]), ["plane"]),
        (swift("<image>?", "<bbox> <bbox>", ["ship", "plane"], [A, B]), ["ship", "plane"]),
        (swift("<image>find the <ref-object>", "<bbox><bbox>", ["car"], [A, B]), ["car", "car"]),
        (swift("<image>find <ref-object>, <ref-object>", "<bbox>, <bbox>", ["car", "bus"], [A, B]), ["car", "bus"]),
        (swift("<image>what is <bbox>?", "a <ref-object>", ["car"], [A]), ["car"]),
        (swift("<image>what is <bbox>?", "a thing", [], [A]), ["object"]),
    ],
)  # fmt: skip
def test_each_box_of_ms_swift_gets_its_own_name(tmp_path, row, labels):
    save(tmp_path / "a.png", speckle())
    (one,) = imported(write_lines(tmp_path / "x.jsonl", [row]), tmp_path / "out")
    assert [item.label for item in one.objects] == labels
    assert "<" not in one.messages[0].question + one.messages[0].answer


def test_ms_swift_says_its_boxes_and_texts_in_several_ways(tmp_path):
    save(tmp_path / "a.png", speckle())
    share = [0.1, 0.25, 0.5, 1]
    parts = [{"type": "image", "image": "a.png"}, {"type": "text", "text": "how many?"}]
    talk = [
        {"role": "user", "content": parts},
        {"role": "assistant", "content": [{"type": "text", "text": "2"}]},
    ]
    rows = [
        swift("<image>?", "<bbox>", ["ship"], [share], bbox_type=["norm1"]),
        swift("<image>?", "<bbox><bbox>", ["ship", "ship"], [A, share], bbox_type=["real", "norm1"]),
        {"messages": talk},
    ]
    (one,) = imported(write_lines(tmp_path / "x.jsonl", rows), tmp_path / "out")
    assert [item.box for item in one.objects] == [SceneBox(20, 30, 100, 120), SceneBox(*A)]
    assert (one.messages[2].question, one.messages[2].answer) == ("how many?", "2")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (swift("<image>?", "<ref-object><bbox>", ["ship", "plane"], [A]), "fewer <ref-object> than refs"),
        (swift("<image>a <ref-object>?", "<ref-object><bbox>", ["ship"], [A]), "more <ref-object> than refs"),
        (swift("<image>?", "<bbox>", ["ship"], [A, B]), "fewer <bbox> than boxes"),
        (
            swift("<image>a <ref-object>, a <ref-object>?", "<bbox>", ["ship", "car"], [A]),
            "names 2 things and has 1 boxes",
        ),
        (swift("<image>?", "two", ["ship", "ship", "plane"], [A, B]), "3 refs for 2 boxes"),
        (swift("<image>?", "<bbox>", ["ship"], [[1, 2]]), "four numbers, not 2"),
        (swift("<image>?", "<bbox>", ["ship"], [[0.1, 0.2, 0.3, 0.4]]), "smaller than a pixel"),
        (swift("<image>?", "<bbox>", ["ship"], [A], bbox_type="norm1"), "whose numbers end at 1"),
        (swift("<image>?", "<bbox>", ["ship"], [A], bbox_type="norm1000"), "bbox_type norm1000"),
        (swift("<image>?", "<bbox>", ["ship"], [[500, 600, 700, 800]]), "outside its image of 200 x 120"),
        (swift("<image><image>?", "x", [], []), "has 2 images"),
        (swift([{"type": "video"}], "x", [], []), "no messages and images"),
    ],
)
def test_ms_swift_lines_that_cannot_be_right_are_refused(tmp_path, row, said):
    save(tmp_path / "a.png", speckle())
    with pytest.raises(CorpusError, match=said):
        imported(write_lines(tmp_path / "x.jsonl", [row]), tmp_path / "out")
