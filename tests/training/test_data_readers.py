"""Public data sets: layouts made here, boxes exact, classes mapped, bad files named, round trips through ms-swift."""

import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from corpus_samples import (
    RELEASE,
    TINY,
    prior_file,
    record,
    save,
    ship,
    speckle,
    voc_set,
    voc_xml,
    write_json,
    write_lines,
)
from hypothesis import given
from hypothesis import strategies as st

from fusar_gpt.frames import SceneBox
from fusar_gpt.tasks import Question, Task, prompt_set
from fusar_train.cli.data_import import FORMATS as NAMED
from fusar_train.corpus.coco import coco_box
from fusar_train.corpus.derive import DeriveOptions, derive
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import xml_file
from fusar_train.corpus.formats import FORMATS, import_dataset
from fusar_train.corpus.labels import labels_of, plain_name
from fusar_train.corpus.messages import recognise
from fusar_train.corpus.records import read_records, write_records
from fusar_train.corpus.swift import write_swift
from fusar_train.corpus.voc import voc_box

pixel = st.integers(1, 3000)


def imported(name, source, out, **facts):
    count = import_dataset(name, source, out, facts)
    records = list(read_records(out))
    assert len(records) == count
    return records


def test_the_help_names_every_format():
    assert set(NAMED) == set(FORMATS)


@given(pixel, pixel, pixel, pixel)
def test_voc_edges_enclose_the_pixels_that_voc_counts(a, b, width, height):
    corners = ET.fromstring(
        f"<b><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{a + width - 1}</xmax><ymax>{b + height - 1}</ymax></b>"
    )
    box = voc_box(corners, "x")
    assert (box.left, box.top) == (a - 1, b - 1)
    assert (box.right - box.left, box.bottom - box.top) == (width, height)


@given(st.floats(-50, 4000), st.floats(-50, 4000), st.floats(0.5, 900), st.floats(0.5, 900))
def test_coco_boxes_are_corner_and_size(x, y, width, height):
    box = coco_box({"bbox": [x, y, width, height]}, "x")
    assert (box.left, box.top) == (x, y)
    assert (box.right - x, box.bottom - y) == pytest.approx((width, height))
    polygon = [x, y, x + width, y, x + width, y + height, x, y + height]
    assert coco_box({"segmentation": [polygon[:4], polygon[4:]]}, "x") == box


def test_ssdd_with_its_stated_splits(tmp_path):
    root = voc_set(tmp_path / "ssdd")
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "train.txt").write_text("000\n001\n")
    (root / "ImageSets" / "Main" / "test.txt").write_text("002\n")
    records = imported("ssdd", root, tmp_path / "out")
    assert [one.id for one in records] == ["ssdd/000", "ssdd/001", "ssdd/002"]
    assert [one.split for one in records] == ["train", "train", "test"]
    assert records[2].objects == (ship(60, 32, 100, 52),)
    rows, columns = np.nonzero(records[2].pixels() == 255)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (60, 32, 100, 52)
    assert records[0].complete() == ["ship"]
    assert "local use only" in records[0].provenance["licence"]


def test_the_official_ssdd_keeps_a_folder_for_each_split(tmp_path):
    for split in ("train", "test"):
        save(tmp_path / f"JPEGImages_{split}" / f"{split}1.jpg", speckle())
        (tmp_path / f"Annotations_{split}").mkdir()
        (tmp_path / f"Annotations_{split}" / f"{split}1.xml").write_text(voc_xml([(1, 1, 9, 9)]))
    records = imported("ssdd", tmp_path, tmp_path / "out")
    assert [(one.split, one.id) for one in records] == [("train", "ssdd/train1"), ("test", "ssdd/test1")]


def test_aircraft_types_are_fine_labels_of_planes(tmp_path):
    save(tmp_path / "JPEGImages" / "a.jpg", speckle())
    (tmp_path / "Annotations").mkdir()
    xml = "".join(
        voc_xml([(1, 1, 9, 9)], name, extra=f"<difficult>{int(name == 'other')}</difficult>")
        for name in ("A320/321", "other")
    )
    (tmp_path / "Annotations" / "a.xml").write_text(f"<all>{xml}</all>")
    (one,) = imported("sar-aircraft", tmp_path, tmp_path / "out", pixel_m=1.0)
    assert [(i.label, i.fine, i.difficult) for i in one.objects] == [
        ("plane", "A320/321", False), ("plane", "other", True)
    ]  # fmt: skip
    assert one.provenance["pixel_m"] == 1.0


@pytest.mark.parametrize(
    ("name", "coarse", "fine"),
    [
        ("Aircraft", "plane", None), ("SHIP", "ship", None), ("S-2", "ship", "S-2"), ("P-13", "plane", "P-13"),
        ("Boeing787", "plane", "Boeing787"), ("harbour", "harbor", None), ("storage tank", "storage tank", None),
        ("2S1", "2S1", None), ("Car", "Car", None), ("舰船", "舰船", None), (" storage\ttank ", "storage tank", None),
    ],
)  # fmt: skip
def test_class_names_are_kept_as_written_or_mapped(name, coarse, fine):
    assert labels_of(name) == (coarse, fine)
    Question(Task.COUNT, target=plain_name(coarse))  # a name that no question may hold would raise


def coco(root, split, images, annotations, categories=("ship",), folder="annotations"):
    listed = [{"id": i, "file_name": name, "width": 200, "height": 120} for i, name in enumerate(images)]
    made = [
        {"id": n, "image_id": i, "category_id": c, "bbox": box} for n, (i, c, box) in enumerate(annotations)
    ]
    names = [{"id": n, "name": name} for n, name in enumerate(categories)]
    content = {"images": listed, "annotations": made, "categories": names}
    return write_json(root / folder / f"{split}.json", content)


def test_hrsid_chips_of_a_panorama_are_one_scene(tmp_path):
    root = tmp_path / "HRSID_JPG"
    for name in ("P0001_0_800_1.jpg", "P0001_600_1400_1.jpg", "P0002_0_800_1.jpg"):
        save(root / "JPEGImages" / name, speckle())
    coco(root, "train2017", ["P0001_0_800_1.jpg"], [(0, 0, [10, 20, 30, 5])])
    coco(root, "test2017", ["P0001_600_1400_1.jpg", "P0002_0_800_1.jpg"], [])
    coco(root, "train_test2017", ["P0001_0_800_1.jpg"], [])
    records = imported("hrsid", root, tmp_path / "out")
    assert [one.scene for one in records] == ["hrsid/P0001", "hrsid/P0002", "hrsid/P0001"]
    assert [one.split for one in records] == ["test", "test", "train"]
    assert records[2].objects == (ship(10, 20, 40, 25),)
    assert records[0].complete() == ["ship"]


def test_sardet_images_are_complete_for_the_classes_they_show(tmp_path):
    for split in ("train", "val", "test"):
        save(tmp_path / "JPEGImages" / split / "0001.png", speckle(len(split)))
        found = [(0, 1, [1, 2, 3, 4]), (0, 5, [9, 9, 5, 5])] if split == "val" else []
        names = ("ship", "aircraft", "car", "tank", "bridge", "harbor")
        coco(tmp_path, split, ["0001.png"], found, names, "Annotations")
    records = imported("sardet-100k", tmp_path, tmp_path / "out")
    assert [one.id for one in records] == [f"sardet-100k/{s}/0001" for s in ("test", "train", "val")]
    assert [item.label for item in records[2].objects] == ["plane", "harbor"]
    assert records[2].complete() == ["harbor", "plane"]
    assert records[0].complete() == []


def test_fusar_ship_chips_are_grouped_by_the_ship(tmp_path):
    for name in ("Cargo/BulkCarrier/Ship_C01S02N0001", "Cargo/Ship_C01S01N0002", "SeaClutter/Sea_1"):
        save(tmp_path / f"{name}.tiff", speckle(len(name)))
    table = "id,mmsi,length,path\nShip_C01S02N0001,477,229,x\nShip_C01S01N0002,477,229,x\n"
    (tmp_path / "meta.csv").write_text(table)
    records = imported("fusar-ship", tmp_path, tmp_path / "out")
    assert [(one.objects[0].label, one.objects[0].fine) for one in records] == [
        ("ship", "Cargo"), ("ship", "Cargo"), ("SeaClutter", None)
    ]  # fmt: skip
    assert records[0].scene == records[1].scene == "fusar-ship/mmsi-477"
    assert records[0].objects[0].box == SceneBox(0, 0, 200, 120)
    assert records[0].provenance["subclass"] == "BulkCarrier"
    assert all(one.complete() == [] for one in records)


ASKED = prompt_set("release").prompt(Question(Task.DETECT, target="plane"), (504, 504))


def line(**changed):
    answer = '[{"bbox_2d": [-35, 134, 95, 246], "label": "plane"}]'
    row = {"id": "demo-02", "image": "assets/a.png", "coordinate_size": 504, "question": ASKED}
    return row | {"answer": answer, "aef": "assets/a.npz"} | changed


def test_the_authors_lines(tmp_path):
    save(tmp_path / "assets" / "a.png", speckle(shape=(1008, 252)))
    save(tmp_path / "assets" / "b.png", speckle(1))
    prior_file(tmp_path / "assets" / "a.npz", rows=9)
    table = np.random.default_rng(0).normal(size=(6, 70)).astype(np.float32)
    np.save(tmp_path / "assets" / "b.npy", table)
    ships = prompt_set("release").prompt(Question(Task.DETECT, target="ship"), (504, 504))
    rows = [
        line(),
        line(question=ships, answer="None"),
        line(id="b", image="assets/b.png", aef="assets/b.npy"),
    ]
    write_lines(tmp_path / "detection.jsonl", rows)
    first, second = imported("fusar-gpt", tmp_path, tmp_path / "out", year=2022)
    assert first.boxes("plane") == [SceneBox(-17.5, 268, 47.5, 492)]
    assert [m.question for m in first.messages] == [ASKED, ships]
    assert [(m.task, m.target, m.answer[:4]) for m in first.messages] == [
        (Task.DETECT, "plane", "[{\"b"), (Task.DETECT, "ship", "None")
    ]  # fmt: skip
    assert first.complete() == ["plane", "ship"]
    assert first.text_frame() == (504, 504)
    assert len(first.vectors()[0]) == 9
    features, positions = second.vectors()
    assert (features == table[:, 6:]).all()
    assert positions.min(axis=0).tolist() == [0, 0]
    assert positions.max(axis=0).tolist() == [1, 1]
    assert positions[:, 1].argmin() == table[:, 4].argmin()
    assert second.prior_year() == 2022


@pytest.mark.parametrize("file", ["detection_no_aef.jsonl", "rows.json"])
def test_the_authors_lines_without_vectors(tmp_path, file):
    save(tmp_path / "assets" / "a.png", speckle(shape=(1008, 252)))
    save(tmp_path / "assets" / "b.png", speckle(1))
    boxes = [{"bbox_2d": [-35, 134, 95, 246], "label": "plane"}]
    rows = [line(question=f"<image>\n{ASKED}", answer=boxes), line(id=7, image="assets/b.png", answer="None")]
    rows.append(line(image="assets/b.png", question="<image>What is in the scene?", answer="An apron."))
    for row in rows:
        del row["aef"]
    del rows[0]["coordinate_size"]
    if file.endswith(".json"):
        (tmp_path / file).write_text(json.dumps(rows))
    else:
        write_lines(tmp_path / file, rows)
    source = tmp_path / file if file.endswith(".json") else tmp_path
    first, second = imported("fusar-gpt", source, tmp_path / "out")
    assert first.boxes("plane") == [SceneBox(-17.5, 268, 47.5, 492)]
    assert (first.prior, second.prior, second.boxes("plane")) == (None, None, [])
    assert [m.question for m in first.messages] == [ASKED]
    assert [(m.task, m.answer) for m in second.messages] == [
        (Task.DETECT, "None"), (Task.ASK, "An apron."),
    ]  # fmt: skip
    assert second.complete() == ["plane"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"answer": '[{"bbox_2d": [1, 2, 3'}, "answer is neither"),
        ({"answer": None}, "answer: Input should be a valid string, not None"),
        ({"answer": [{"bbox_2d": [1, 2, 3], "label": "plane"}]}, "answer is neither"),
        ({"coordinate_size": 0}, "coordinate_size"),
        ({"image": "../a.png"}, "no path inside"),
        ({"image": "assets/none.png"}, "does not exist"),
        ({"question": None}, "question: Input should be a valid string, not None"),
    ],
)
def test_bad_lines_of_the_authors_file_are_named(tmp_path, changed, said):
    save(tmp_path / "assets" / "a.png", speckle())
    prior_file(tmp_path / "assets" / "a.npz")
    write_lines(tmp_path / "detection.jsonl", [line(), line(**changed)])
    with pytest.raises(CorpusError, match=said) as caught:
        import_dataset("fusar-gpt", tmp_path, tmp_path / "out")
    assert "detection.jsonl, line 2," in str(caught.value)
    told = []
    assert import_dataset("fusar-gpt", tmp_path, tmp_path / "out", skip=told.append) == 1
    assert len(told) == 1


@pytest.mark.parametrize("target", ["ship", "plane", "any", "storage tank"])
@pytest.mark.parametrize("task", [Task.COUNT, Task.LOCATE, Task.DETECT])
def test_the_release_wording_is_recognised(task, target):
    text = prompt_set("release").prompt(Question(task, target=target), (504, 504))
    assert recognise(text) == (task, target)
    assert recognise(text + " Why?") == (Task.ASK, None)


BOMB = '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><annotation>&b;</annotation>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
@pytest.mark.parametrize(
    "text", [BOMB, '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "<!doctype html><a/>"]
)
def test_a_doctype_is_refused_in_any_encoding(tmp_path, text, encoding):
    head = f'<?xml version="1.0" encoding="{encoding[:6]}"?>' if encoding != "utf-16-le" else ""
    (tmp_path / "x.xml").write_bytes((head + text).encode(encoding))
    with pytest.raises(CorpusError, match=r"has a DOCTYPE|is no XML") as caught:
        xml_file(tmp_path / "x.xml")
    if "DOCTYPE" in text and encoding != "utf-16-le":
        assert "DOCTYPE" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<annotation>", "is no XML"),
        (BOMB, "DOCTYPE"),
        (voc_xml([(9, 9, 5, 20)]), r"object 1: box .* inverted"),
        (voc_xml([(1, 1, 5, 5), ("x", 1, 2, 2)]), "object 2: bndbox lacks"),
        (voc_xml([(1, 1, 5, 5)], size=(640, 480)), "made for 640 x 480 px"),
        ("<annotation><object><name>ship</name></object></annotation>", "object 1 has no name or no bndbox"),
        (voc_xml([("nan", 1, 5, 5)]), "four finite numbers"),
    ],
)
def test_bad_voc_files_are_named_or_left_out(tmp_path, text, said):
    root = voc_set(tmp_path / "in")
    (root / "Annotations" / "001.xml").write_text(text)
    with pytest.raises(CorpusError, match=said) as caught:
        import_dataset("voc", root, tmp_path / "out")
    assert "001.xml" in str(caught.value)
    assert not (tmp_path / "out").exists()
    told = []
    assert import_dataset("voc", root, tmp_path / "out", skip=told.append) == 2
    assert re.search(said, str(told[0]))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda c: c["images"].__setitem__(0, {"id": 0, "file_name": "../x.png"}), "no path inside"),
        (lambda c: c["images"].__setitem__(0, {"id": 0, "file_name": "no.png"}), "there is no no.png"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, -3, 4]), "annotation number 0: box .* inverted"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, 0, 4]), "is empty"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), "its box: not enough values"),
        (lambda c: c["annotations"][0].update(bbox=None), "neither bbox nor polygons"),
        (lambda c: c["annotations"][0].update(category_id=9), "category 9"),
        (lambda c: c["annotations"][0].update(image_id=9), "not listed"),
        (lambda c: c["images"][0].update(width=99), "made for 99 x 120 px"),
        (lambda c: c.pop("images"), "no COCO detection file"),
    ],
)
def test_bad_coco_files_are_named(tmp_path, spoil, said):
    save(tmp_path / "images" / "a.png", speckle())
    path = coco(tmp_path, "train", ["a.png"], [(0, 0, [1, 2, 3, 4])])
    content = json.loads(path.read_text())
    spoil(content)
    write_json(path, content)
    with pytest.raises(CorpusError, match=said) as caught:
        import_dataset("coco", tmp_path, tmp_path / "out")
    assert "train.json" in str(caught.value)


def test_json_that_stops_early_is_named_with_its_line(tmp_path):
    (tmp_path / "train.json").write_text('{"images": [\n{"id": 1,\n')
    with pytest.raises(CorpusError, match=r"train\.json is no JSON .*line 3"):
        import_dataset("coco", tmp_path, tmp_path / "out")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_an_empty_folder_is_no_data_set(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="empty"):
        import_dataset(name, tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_ms_swift_round_trip(tmp_path):
    objects = [ship(20, 10, 61, 33.5), ship(100, 60, 150, 90)]
    source = [record(tmp_path, "a", objects, speckle(1)), record(tmp_path, "b", [], speckle(2))]
    derive(source, tmp_path / "chips", DeriveOptions(RELEASE, "release", empty_share=None))
    chips = list(read_records(tmp_path / "chips"))
    lines = write_swift(chips, tmp_path / "swift.jsonl")
    assert lines == sum(len(chip.messages) for chip in chips)
    back = imported("ms-swift", tmp_path / "swift.jsonl", tmp_path / "back")
    assert [(one.pixels() == chip.pixels()).all() for one, chip in zip(back, chips, strict=True)] == [
        True,
        True,
    ]
    assert [one.complete() for one in back] == [["ship"], ["ship"]]
    for one, chip in zip(back, chips, strict=True):
        assert [(m.task, m.target) for m in one.messages] == [(m.task, m.target) for m in chip.messages]
        assert [m.answer for m in one.messages if m.task in (Task.COUNT, Task.LOCATE)] == [
            m.answer for m in chip.messages if m.task in (Task.COUNT, Task.LOCATE)
        ]
        for found, truth in zip(one.boxes("ship"), chip.boxes("ship"), strict=True):
            assert (found.left, found.top) == pytest.approx((truth.left, truth.top), abs=0.3)
            assert (found.right, found.bottom) == pytest.approx((truth.right, truth.bottom), abs=0.3)
    detect = next(m for m in back[0].messages if m.task is Task.DETECT)
    said = prompt_set("release").parse(Question(Task.DETECT, target="ship"), detect.answer, (200, 120))
    assert [b.box.left for b in said.boxes] == [20, 100]
    write_records(back, tmp_path / "again")


def test_ms_swift_boxes_are_pixels_of_the_image(tmp_path):
    image = str(save(tmp_path / "a.png", speckle()))
    told = {"role": "assistant", "content": '{"bbox_2d": <bbox>, "label": "<ref-object>"}'}
    talk = [{"role": "system", "content": "x"}, {"role": "user", "content": "<image>Find it"}, told]
    row = {"messages": talk, "images": [image], "objects": {"ref": ["Aircraft"], "bbox": [[1.5, 2, 30, 40]]}}
    normal = {"objects": {"ref": ["boat"], "bbox": [[0.1, 0.5, 0.2, 1]], "bbox_type": "norm1"}}
    write_lines(tmp_path / "x.jsonl", [row, row | normal])
    (one,) = imported("ms-swift", tmp_path / "x.jsonl", tmp_path / "out")
    assert one.boxes("plane") == [SceneBox(1.5, 2, 30, 40)]
    assert one.boxes("ship")[0].right == pytest.approx(40)
    assert one.messages[0].answer == '{"bbox_2d": [2, 2, 30, 40], "label": "Aircraft"}'
    assert one.messages[0].task is Task.ASK


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"messages": []}, "no messages and images"),
        ({"messages": [], "images": ["a.png", "a.png"]}, "has 2 images"),
        ({"messages": [{"role": "user", "content": "x"}], "images": ["a.png"]}, "must alternate"),
        ({"messages": [], "images": ["../a.png"]}, "no path inside"),
        ({"messages": [], "images": ["a.png"], "objects": {"bbox": [[5, 5, 1, 9]]}}, "inverted"),
        (
            {
                "messages": [{"role": r, "content": "<bbox>"} for r in ("user", "assistant")],
                "images": ["a.png"],
            },
            "more <bbox> than boxes",
        ),
    ],
)
def test_bad_ms_swift_lines_are_named(tmp_path, row, said):
    save(tmp_path / "a.png", speckle())
    write_lines(tmp_path / "x.jsonl", ["\n", row])
    with pytest.raises(CorpusError, match=said) as caught:
        import_dataset("ms-swift", tmp_path / "x.jsonl", tmp_path / "out")
    assert "x.jsonl, line 2" in str(caught.value)


def test_only_the_release_wording_goes_to_ms_swift(tmp_path):
    one = record(tmp_path, objects=[ship(20, 10, 60, 30)], prompt_set="compact")
    with pytest.raises(CorpusError, match="no messages"):
        write_swift([one], tmp_path / "x.jsonl")
    derive([one], tmp_path / "chips", DeriveOptions(TINY, "compact", empty_share=None))
    with pytest.raises(CorpusError, match="only the prompt set release"):
        write_swift(read_records(tmp_path / "chips"), tmp_path / "x.jsonl")
    assert not (tmp_path / "x.jsonl").exists()
