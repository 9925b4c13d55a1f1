"""Careless data sets: what an import refuses, what it repairs aloud, and what a check still sees in records."""

import json
import re
import shutil

import numpy as np
import pytest
from corpus_samples import record, save, ship, speckle, voc_set, voc_xml, write_json, write_lines
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.box_format import BoxEvidence, edges_of, told_format
from fusar_train.corpus.check import check
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.formats import import_dataset
from fusar_train.corpus.labels import ClassNames, read_map
from fusar_train.corpus.record import RecordObject
from fusar_train.corpus.records import read_records, write_records

HUGE = "9" * 400


class Imported(list):
    """The records of a set, and what the import told."""


def imported(name, source, out, **facts):
    told = []
    import_dataset(name, source, out, facts, tell=told.append)
    records = Imported(read_records(out))
    records.told = "\n".join(told)
    return records


def listed(number, name, **more):
    return {"id": number, "file_name": name, "width": 200, "height": 120, **more}


def boxed(number, image, box, category=1, **more):
    return {"id": number, "image_id": image, "bbox": list(box), "category_id": category, **more}


BOX = (10, 20, 30, 5)


def coco(root, images, annotations, categories=("ship",), change=lambda text: text):
    for number, image in enumerate(images):
        save(root / "JPEGImages" / image["file_name"].replace("\\", "/"), speckle(number))
    names = [{"id": number, "name": name} for number, name in enumerate(categories, 1)]
    path = write_json(
        root / "annotations" / "train.json",
        {"images": images, "annotations": annotations, "categories": names},
    )
    path.write_text(change(path.read_text()))
    return root


def test_an_id_that_comes_twice_is_refused(tmp_path):
    twice = coco(tmp_path / "a", [listed(1, "a.jpg"), listed(1, "b.jpg")], [boxed(1, 1, BOX)])
    with pytest.raises(CorpusError, match=r"train\.json: the image '1' is there twice"):
        imported("coco", twice, tmp_path / "out")
    one = [listed(1, "a.jpg")]
    change = {"change": lambda text: text.replace('"id": 2, "name"', '"id": 1, "name"')}
    with pytest.raises(CorpusError, match="the category '1' is there twice"):
        imported(
            "coco",
            coco(tmp_path / "b", one, [boxed(1, 1, BOX)], ("ship", "plane"), **change),
            tmp_path / "out",
        )
    two = [listed(1, "a.jpg"), listed(2, "b.jpg")]
    with pytest.raises(CorpusError, match="annotation number 0 has the id '7' of another one"):
        imported("coco", coco(tmp_path / "c", two, [boxed(7, 1, BOX), boxed(7, 2, BOX)]), tmp_path / "out")
    with pytest.raises(CorpusError, match=r"the file name 'x/a\.jpg' is there twice"):
        imported(
            "coco", coco(tmp_path / "d", [listed(1, "x/a.jpg"), listed(2, "x\\a.jpg")], []), tmp_path / "out"
        )


def test_boxes_that_come_again_are_kept_once_and_told(tmp_path):
    root = coco(tmp_path / "in", [listed(1, "a.jpg")], [boxed(n, 1, BOX) for n in (1, 2, 2)])
    (one,) = records = imported("coco", root, tmp_path / "out")
    assert one.objects == (ship(10, 20, 40, 25),)
    assert records.told == "a box that stood twice was kept once (2 times)"
    assert one.provenance["repaired"] == ["2 boxes that stood twice dropped"]


def test_images_of_one_name_keep_their_folders(tmp_path):
    images = [listed(1, "x\\1.jpg"), listed(2, "y/1.jpg"), listed(3, ".ipynb_checkpoints/1-checkpoint.jpg")]
    root = coco(tmp_path / "in", images, [boxed(1, 1, BOX), boxed(2, 2, BOX)])
    records = imported("coco", root, tmp_path / "out")
    assert (
        [one.id for one in records] == [one.scene for one in records] == ["coco/train/x/1", "coco/train/y/1"]
    )
    assert [len(one.objects) for one in records] == [1, 1]
    assert "hidden folder" in records.told
    for folder in ("x", "y"):
        (root / "Annotations" / folder).mkdir(parents=True)
        (root / "Annotations" / folder / "1.xml").write_text(voc_xml([(2, 2, 9, 9)]))
    assert [one.id for one in imported("voc", root, tmp_path / "voc")] == ["voc/x/1", "voc/y/1"]
    rows = [
        {"messages": [], "images": [f"JPEGImages/{folder}/1.jpg"], "objects": {}} for folder in ("x", "y")
    ]
    lines = write_lines(root / "a.jsonl", [json.dumps(row) + "\n" for row in rows])
    swift = imported("ms-swift", lines, tmp_path / "swift")
    assert [(one.id, one.scene) for one in swift] == [(f"ms-swift/{f}/1", f"ms-swift/{f}/1") for f in "xy"]


@pytest.mark.parametrize("linked", ["JPEGImages/a.jpg", "JPEGImages"])
def test_a_link_out_of_the_set_is_refused(tmp_path, linked):
    root, outside = coco(tmp_path / "in", [listed(1, "a.jpg")], [boxed(1, 1, BOX)]), tmp_path / "outside"
    shutil.move(root / linked, outside)
    (root / linked).symlink_to(outside)
    with pytest.raises(CorpusError, match=r"is a link out of .*in: put the file itself there"):
        imported("coco", root, tmp_path / "out")
    write_records([record(tmp_path / "r")], tmp_path / "set")
    stored = tmp_path / "set" / "images" / "set" / "a.png"
    shutil.move(stored, tmp_path / "elsewhere.png")
    stored.symlink_to(tmp_path / "elsewhere.png")
    assert "is a link out of" in check([tmp_path / "set"]).faults[0]


def test_a_link_inside_the_set_is_followed(tmp_path):
    root = coco(tmp_path / "in", [listed(1, "a.jpg")], [boxed(1, 1, BOX)])
    shutil.move(root / "JPEGImages" / "a.jpg", root / "b.jpg")
    (root / "JPEGImages" / "a.jpg").symlink_to("../b.jpg")
    assert len(imported("coco", root, tmp_path / "out")) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"bbox": [10', f'"bbox": [{HUGE}'), ('"bbox": [10', f'"bbox": [-{HUGE}'), ('"bbox": [10', '"bbox": [1e999'),
        ('"bbox": [10', '"bbox": [NaN'), ('"bbox": [10', '"bbox": [Infinity'), ('"bbox": [10', '"bbox": ["10"'),
        ('"bbox": [10', '"bbox": [true'), ('"bbox": [10', f'"bbox": [{"9" * 5000}'),
        ('"image_id": 1', f'"image_id": {HUGE}'),
        ('"category_id": 1', f'"category_id": {HUGE}'), ('"category_id": 1', '"category_id": [1]'),
        ('"width": 200', f'"width": {HUGE}'), ('"bbox": [10, 20, 30, 5]', f'"segmentation": [[1, 2, {HUGE}, 4]]'),
    ],
)  # fmt: skip
def test_numbers_that_are_none_take_one_line(tmp_path, old, new):
    root = coco(
        tmp_path / "in", [listed(1, "a.jpg")], [boxed(1, 1, BOX)], change=lambda text: text.replace(old, new)
    )
    with pytest.raises(CorpusError, match=r"train\.json") as caught:
        imported("coco", root, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    write_records([record(tmp_path / "r", objects=[ship(10, 20, 40, 25)])], tmp_path / "set")
    lines = tmp_path / "set" / "records.jsonl"
    lines.write_text(lines.read_text().replace("[10, 20", f"[{HUGE}, 20"))
    assert "four finite numbers" in check([tmp_path / "set"]).faults[0]


SIZE = (200.0, 120.0)


@given(
    st.lists(
        st.tuples(st.integers(0, 180), st.integers(0, 100), st.integers(1, 20), st.integers(1, 20)),
        min_size=1,
    )
)
def test_boxes_inside_their_images_are_corner_and_size(boxes):
    assert told_format([BoxEvidence(tuple(map(float, box)), SIZE) for box in boxes], "x") == "xywh"


@given(
    st.lists(
        st.tuples(st.integers(0, 180), st.integers(0, 100), st.integers(4, 20), st.integers(4, 20)),
        min_size=1,
    )
)
def test_two_corners_are_never_read_as_corner_and_size_unsaid(boxes):
    far = (150, 90, 40, 20)  # of which the reading as corner and size cannot lie in the image
    corners = [(x, y, x + w, y + h) for x, y, w, h in (*boxes, far)]
    with pytest.raises(CorpusError, match="--box-format xyxy"):
        told_format([BoxEvidence(tuple(map(float, box)), SIZE) for box in corners], "x")
    areas = [BoxEvidence((x, y, x + w, y + h), SIZE, w * h) for x, y, w, h in [(5.0, 5.0, 9.0, 8.0)]]
    with pytest.raises(CorpusError, match="the areas of 1 of 1 boxes"):
        told_format(areas, "x")


def test_other_boxes_than_pixels_are_refused_until_told(tmp_path):
    images = [listed(1, "a.jpg")]
    shares = coco(tmp_path / "a", images, [boxed(1, 1, (0.1, 0.1, 0.2, 0.5))])
    with pytest.raises(CorpusError, match="give --box-format xywh-share, or xyxy-share"):
        imported("coco", shares, tmp_path / "out")
    (one,) = imported("coco", shares, tmp_path / "xywh", box_format="xywh-share")
    assert one.objects[0].box.right == pytest.approx(60)
    assert edges_of((0.1, 0.5, 0.2, 1.0), "xyxy-share", SIZE) == (20, 60, 40, 120)
    mixed = coco(tmp_path / "b", images, [boxed(1, 1, (0.1, 0.1, 0.2, 0.5)), boxed(2, 1, BOX)])
    with pytest.raises(CorpusError, match="annotation number 0 is smaller than a pixel"):
        imported("coco", mixed, tmp_path / "out")
    thousandths = coco(
        tmp_path / "c", images, [boxed(1, 1, (500, 600, 200, 300)), boxed(2, 1, (0, 0, 900, 50))]
    )
    with pytest.raises(CorpusError, match="2 of 2 boxes reach out of their images"):
        imported("coco", thousandths, tmp_path / "out")
    far = coco(
        tmp_path / "d",
        images,
        [boxed(n, 1, (*BOX[:2], 5 + n, 5)) for n in range(9)] + [boxed(9, 1, (300, 5, 9, 9))],
    )
    with pytest.raises(CorpusError, match="object 10, 300, 5, 309, 14, lies outside"):
        imported("coco", far, tmp_path / "out")


def voc(root, boxes, **more):
    save(root / "JPEGImages" / "a.png", speckle())
    (root / "Annotations").mkdir()
    (root / "Annotations" / "a.xml").write_text(voc_xml(boxes, **more))
    return root


@pytest.mark.parametrize(
    ("boxes", "facts", "edges", "told"),
    [
        ([(1, 5, 10, 20), (3, 3, 200, 9)], {}, (0, 4, 10, 20), ""),
        ([(0, 5, 9, 19), (3, 3, 199, 9)], {}, (0, 5, 10, 20), "counted from 0 .* last pixel as inside"),
        ([(0, 5, 10, 20), (3, 3, 200, 9)], {}, (0, 5, 10, 20), "counted from 0 .* as the outer edge"),
        ([(1, 5, 9, 19)], {"first_pixel": 0}, (1, 5, 10, 20), "counted from 0"),
        ([(0, 5, 10, 20)], {"first_pixel": 1}, (-1, 4, 10, 20), "counted from 1, as --first-pixel says"),
    ],
)
def test_where_voc_begins_to_count_is_told_by_the_set(tmp_path, boxes, facts, edges, told):
    records = imported("voc", voc(tmp_path / "in", boxes), tmp_path / "out", **facts)
    assert records[0].objects[0].box == SceneBox(*edges)
    assert bool(records.told) == bool(told)
    assert re.search(told, records.told)


def test_names_are_kept_as_written_and_never_fall_together(tmp_path):
    names = ("舰船", "飞机", "Ship", "SHIP ", "A320/321")
    boxes = [boxed(n, 1, (10 * n, 5, 9, 9), n) for n in range(1, 6)]
    root = coco(tmp_path / "a", [listed(1, "a.jpg")], boxes, names)
    (one,) = records = imported("coco", root, tmp_path / "out")
    assert [(item.label, item.fine) for item in one.objects] == [
        ("舰船", None), ("飞机", None), ("ship", None), ("ship", None), ("plane", "A320/321")
    ]  # fmt: skip
    assert "the class 'SHIP ' is read as 'ship'" in records.told
    carriers = ("Car carrier([]==[])", "Car carrier(======|")
    root = coco(tmp_path / "b", [listed(1, "a.jpg")], boxes[:2], carriers)
    with pytest.raises(CorpusError, match=r"'Car carrier\(\[\]==\[\]\)' and 'Car carrier\(======\|'.*--map"):
        imported("coco", root, tmp_path / "no")
    path = write_json(tmp_path / "map.json", {carriers[1]: ["ship", "car carrier B"]})
    (one,) = imported("coco", root, tmp_path / "mapped", map=read_map(path))
    assert [(item.label, item.fine) for item in one.objects] == [
        (carriers[0], None),
        ("ship", "car carrier B"),
    ]
    for wrong in ({}, {"a": 1}, {"a": ["b", "c", "d"]}, {"a": "***"}, {"a": "any"}):
        with pytest.raises(CorpusError, match=r"map\.json|no name of a class"):
            read_map(write_json(path, wrong))


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), max_size=6))
def test_names_become_one_class_only_where_case_and_blanks_differ(names):
    classes = ClassNames()
    seen = {}
    for name in names:
        try:
            label = classes.of(name)
        except CorpusError:
            continue
        for other, told in seen.items():
            if told == label and "ship" not in label and "plane" not in label:
                assert other.casefold().split() == name.casefold().split() or not (other + name).isascii()
        seen[name] = label


def exif(root, orientation, size, boxes=((11, 6, 50, 25),)):
    """An image that is 120 x 100 px as stored, its ship at 10, 5, 50, 25."""
    pixels = np.zeros((100, 120), np.uint8)
    pixels[5:25, 10:50] = 255
    (root / "JPEGImages").mkdir(parents=True)
    image = Image.fromarray(pixels)
    entries = image.getexif()
    entries[0x0112] = orientation
    image.save(root / "JPEGImages" / "a.jpg", exif=entries, quality=95)
    (root / "Annotations").mkdir()
    (root / "Annotations" / "a.xml").write_text(voc_xml(boxes, size=size))
    return root


def test_an_exif_orientation_is_followed_as_the_boxes_were_made(tmp_path):
    (raw,) = imported("voc", exif(tmp_path / "raw", 6, (120, 100)), tmp_path / "a")
    (turned,) = imported("voc", exif(tmp_path / "t", 6, (100, 120), [(76, 11, 95, 50)]), tmp_path / "b")
    for one in (raw, turned):
        box = one.objects[0].box
        rows, columns = np.nonzero(one.pixels() > 127)
        assert (columns.min(), rows.min()) == pytest.approx((box.left, box.top), abs=1)
        assert (columns.max() + 1, rows.max() + 1) == pytest.approx((box.right, box.bottom), abs=1)
    assert (raw.size(), turned.size()) == ((120, 100), (100, 120))
    assert turned.provenance["repaired"] == ["EXIF orientation: turned"]
    assert check([tmp_path / "a"]).faults == check([tmp_path / "b"]).faults == []
    for number, (orientation, size) in enumerate([(6, (0, 0)), (3, (120, 100))]):
        with pytest.raises(CorpusError, match=f"EXIF orientation {orientation}, and nothing tells"):
            imported("voc", exif(tmp_path / f"x{number}", orientation, size), tmp_path / "no")
    write_records([record(tmp_path / "r")], tmp_path / "set")
    shutil.copy(tmp_path / "raw" / "JPEGImages" / "a.jpg", tmp_path / "set" / "images" / "set" / "a.png")
    assert "has the EXIF orientation 6" in check([tmp_path / "set"]).faults[0]


def test_litter_is_left_out_aloud(tmp_path):
    root = voc_set(tmp_path / "voc", 2)
    (root / "Annotations" / "._000.xml").write_bytes(b"\0\5\x16\7")
    (root / "Annotations" / ".ipynb_checkpoints").mkdir()
    shutil.copy(
        root / "Annotations" / "000.xml", root / "Annotations" / ".ipynb_checkpoints" / "000-checkpoint.xml"
    )
    records = imported("voc", root, tmp_path / "out")
    assert [one.id for one in records] == ["voc/000", "voc/001"]
    assert "._*.xml is no part of the data" in records.told
    assert ".ipynb_checkpoints is no part of the data" in records.told
    for name in ("Cargo/1", "Cargo/.ipynb_checkpoints/1-checkpoint", "__MACOSX/Cargo/._1"):
        save(tmp_path / "chips" / f"{name}.png", speckle())
    assert len(imported("class-folders", tmp_path / "chips", tmp_path / "c")) == 1


def test_a_check_sees_what_records_still_show(tmp_path):
    objects = [
        ship(1, 1, 9, 9), ship(1, 1, 9, 9), ship(0.1, 0.1, 0.3, 0.4),
        RecordObject(SceneBox(20, 20, 30, 30), "Ship "), RecordObject(SceneBox(40, 20, 50, 30), "***"),
    ]  # fmt: skip
    write_records([record(tmp_path / "r", objects=objects)], tmp_path / "set")
    faults = "\n".join(check([tmp_path / "set"]).faults)
    for said in (
        "object 2 is object 1 again",
        "object 3, 0.1, 0.1, 0.3, 0.4, is smaller than a pixel",
        "the classes 'Ship ' and 'ship' are one in questions",
        "'***' is no name of a class",
    ):
        assert said in faults
    reaching = [ship(150, 10 * n, 260, 10 * n + 9) for n in range(7)]
    write_records([record(tmp_path / "r", objects=reaching)], tmp_path / "wide")
    assert check([tmp_path / "wide"]).notes[0].startswith("7 of 7 objects reach out of their images")
