"""Tables and lists beside a data set: near-copies stay together, splits are kept, what is listed is left out."""

import argparse

import numpy as np
import pytest
from corpus_samples import save, speckle, voc_set

from fusar_train.cli.data import add_arguments
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.formats import ALL_ALONE, import_dataset
from fusar_train.corpus.image_tables import TableOptions
from fusar_train.corpus.records import read_records

TABLE = "id,class,width,height,dup_group_95,similar_group_80,split\n"


def data(*words):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args([str(word) for word in words])
    return arguments.run(arguments)


def aircraft(
    root, count=12, folder="images", row=lambda cls, n, group: f"{cls}/{n:03d}.jpg,{cls},9,9,{n},{group},\n"
):
    """Chips of two types as SAR-ACD has them, three near-copies to a group; returns the set's folder."""
    lines = []
    for number in range(count):
        cls, group = ("A220", "A320321")[number % 2], number // 6 * 2 + number % 2
        save(root / folder / cls / f"{number:03d}.jpg", speckle(number, (40 + number, 50)))
        lines.append(row(cls, number, group))
    if row is not None:
        (root / "chips.csv").write_text(TABLE + "".join(lines))
    return root


def imported(name, source, out, tables=None, **facts):
    told = []
    import_dataset(name, source, out, facts, tables=tables, tell=told.append)
    return {one.id.partition("/")[2]: one for one in read_records(out)}, told


def test_near_copies_of_aircraft_stay_in_one_split(tmp_path, capsys):
    data("import", "sar-acd", aircraft(tmp_path / "set", 24), "--out", tmp_path / "out")
    data("split", tmp_path / "out", "--shares", ".5,.25,.25", "--without-overlaps")
    records = list(read_records(tmp_path / "out"))
    groups = {
        scene: {one.split for one in records if one.scene == scene}
        for scene in {one.scene for one in records}
    }
    assert len(groups) == 8
    assert all(len(splits) == 1 for splits in groups.values())
    assert {split for splits in groups.values() for split in splits} == {"train", "val", "test"}
    first = records[0]
    assert (first.id, first.scene) == ("sar-acd/A220/000", "sar-acd/similar_group_80-0")
    assert {(one.objects[0].label, one.objects[0].fine) for one in records} == {
        ("plane", "A220"),
        ("plane", "A320/321"),
    }
    assert "never redistribute" in first.provenance["licence"]
    assert first.provenance["polarisation"] == "HH"
    told = capsys.readouterr().err
    assert "chips.csv: images of one similar_group_80 are one scene, 8 in all" in told
    data("check", tmp_path / "out", "--without-overlaps")
    data("split", tmp_path / "out", "--without-overlaps")
    assert "every record has a split and keeps it" in capsys.readouterr().err


def test_the_split_of_a_table_is_kept_and_lists_leave_out_and_hold_out(tmp_path):
    def row(cls, n, group):
        return f"{cls}/{n:03d},{cls},9,9,{n},{group},{'validation' if group == 1 else 'Train'}\n"

    root = aircraft(tmp_path / "set", row=row)
    (root / "exclude_ids.txt").write_text("# label conflicts\nA220/000.jpg\n\nimages/A220/002\nA220/999\n")
    (root / "heldout_ids.txt").write_text("A320321\\007.jpg\nA320321/009\nA320321/011\n")
    records, told = imported("sar-acd", root, tmp_path / "out")
    assert "A220/000" not in records
    assert "A220/002" not in records
    assert len(records) == 10
    assert {name: one.split for name, one in records.items() if name.startswith("A320321")} == {
        f"A320321/{n:03d}": "val" if n < 6 else "test" for n in (1, 3, 5, 7, 9, 11)
    }
    assert "an image was left out, as exclude_ids.txt says (2 times)" in told
    assert "exclude_ids.txt: 1 names are of no image here, such as A220/999" in told


def test_a_table_of_any_name_and_column_groups(tmp_path):
    root = aircraft(tmp_path / "set", row=lambda *_: "")
    (root / "chips.csv").unlink()
    table = tmp_path / "mine.csv"
    table.write_text("File;Airport\n" + "".join(f"{n:03d}.jpg;{'HQ' if n < 5 else ' '}\n" for n in range(11)))
    options = TableOptions(table, "Airport")
    records, told = imported("class-folders", root, tmp_path / "out", options)
    assert {name for name, one in records.items() if one.scene == "chips/Airport-HQ"} == {
        "A220/000", "A220/002", "A220/004", "A320321/001", "A320321/003"
    }  # fmt: skip
    assert any("7 images have no Airport there" in line and "may leak" in line for line in told)
    with pytest.raises(CorpusError, match=r"no column of groups .*, but File, Airport: .*--group-column"):
        imported("class-folders", root, tmp_path / "again", TableOptions(table))
    assert not (tmp_path / "again").exists()


def test_without_a_table_class_folders_say_that_a_split_may_leak(tmp_path):
    root = aircraft(tmp_path / "set", row=lambda *_: "")
    (root / "chips.csv").unlink()
    assert ALL_ALONE in imported("class-folders", root, tmp_path / "out")[1]
    assert ALL_ALONE in imported("sar-acd", root, tmp_path / "other")[1]
    data("import", "class-folders", root, "--out", tmp_path / "third", "--scene", "([0-9])")
    assert {one.scene for one in read_records(tmp_path / "third")} == {"chips/0"}


def test_groups_across_classes_and_splits_are_told(tmp_path):
    def row(cls, n, group):
        return f"{cls}/{n:03d},{cls},9,9,{n},{n // 3},{'test' if n == 4 else 'train'}\n"

    _, told = imported("sar-acd", aircraft(tmp_path / "set", row=row), tmp_path / "out")
    assert any(
        line.startswith("4 groups hold several classes, such as sar-acd/A220/000 (A220) and") for line in told
    )
    assert any(line.startswith("1 scenes lie in several splits") and "--again" in line for line in told)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "no column that names images"),
        ("thing,group\nA220/000,1\n", "has no column that names images .*but thing, group"),
        ("id,group\nA220/000,1\nA220/000.jpg,2\n", r"row 2, says of 'A220/000.jpg' something else"),
        ("id,group\n,1\n", "row 1, names no image"),
        ("id,group,split\nA220/000,1,later\n", "names the split 'later'"),
        ("id,group\nA220/000,1,2,3\n", "more cells than there are titles"),
        ("id,group\nB52/001,1\n", "names none of the images, but such as 'B52/001'"),
        ("id,group\n000,1\n", "000 is the name of both"),
    ],
)
def test_bad_tables_are_named(tmp_path, table, said):
    root = aircraft(tmp_path / "set", row=lambda *_: "")
    save(root / "images" / "A320321" / "000.jpg", speckle(99))
    (root / "groups.csv").write_text(table)
    with pytest.raises(CorpusError, match=said) as caught:
        imported("sar-acd", root, tmp_path / "out", TableOptions(root / "groups.csv"))
    assert "groups.csv" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_list_that_was_asked_for_must_exist_and_fit(tmp_path):
    root = aircraft(tmp_path / "set")
    with pytest.raises(CorpusError, match=r"none\.txt cannot be read"):
        imported("sar-acd", root, tmp_path / "out", TableOptions(exclude=[tmp_path / "none.txt"]))
    (tmp_path / "other.txt").write_text("B52/1\n")
    with pytest.raises(CorpusError, match=r"other\.txt names none of the images"):
        imported("sar-acd", root, tmp_path / "out", TableOptions(heldout=[tmp_path / "other.txt"]))


def test_a_table_of_another_kind_is_not_used_and_told(tmp_path):
    root = aircraft(tmp_path / "set")
    (root / "chips.csv").write_text("thing\n1\n")
    records, told = imported("sar-acd", root, tmp_path / "out")
    assert len({one.scene for one in records.values()}) == 12
    assert any(
        line.startswith("chips.csv has no column that names images") and "not used" in line for line in told
    )


def test_class_folders_below_those_of_splits(tmp_path):
    for split in ("train", "valid", "test"):
        for cls in ("A220", "Tug"):
            save(tmp_path / "set" / "data" / split / cls / "1.png", speckle(len(split + cls)))
    records, told = imported("class-folders", tmp_path / "set", tmp_path / "out")
    assert {name: one.split for name, one in records.items()} == {
        f"{split}/{cls}/1": split for split in ("train", "val", "test") for cls in ("A220", "Tug")
    }
    assert {one.objects[0].fine or one.objects[0].label for one in records.values()} == {"A220", "Tug"}
    assert "the folders test, train, valid are taken for splits, not for classes" in told


def test_crops_of_one_anchorage_are_one_scene_and_their_boxes_say_how_they_were_made(tmp_path, capsys):
    root = voc_set(tmp_path / "set", 5)
    for number, name in enumerate(("sg_east", "sg_west", "s33", "s44", "b_all")):
        for folder, suffix in (("JPEGImages", "png"), ("Annotations", "xml")):
            (root / folder / f"{number:03d}.{suffix}").rename(root / folder / f"{name}.{suffix}")
    doubtful = root / "Annotations" / "sg_east.xml"
    doubtful.write_text(doubtful.read_text().replace("<bndbox>", "<difficult>1</difficult><bndbox>"))
    (root / "heldout_ids.txt").write_text("b_all\n")
    records, _ = imported("s1-anchorages", root, tmp_path / "out")
    assert {name: one.scene for name, one in records.items()} == {
        name: f"s1-anchorages/{name.partition('_')[0]}"
        for name in ("sg_east", "sg_west", "s33", "s44", "b_all")
    }
    assert [name for name, one in records.items() if one.split] == ["b_all"]
    assert records["sg_east"].objects[0].difficult
    assert not records["sg_west"].objects[0].difficult
    assert "never a yardstick against CFAR" in records["s33"].provenance["truth"]
    data("split", tmp_path / "out", "--again", "--shares", "1,0,0", "--without-overlaps")
    assert "nothing came to" not in capsys.readouterr().err
    data("split", tmp_path / "out", "--again", "--shares", ".8,.1,.1", "--without-overlaps")
    assert "note: nothing came to val and test: 4 scenes" in capsys.readouterr().err
    assert np.unique(records["s33"].pixels()).size > 9


def test_a_table_of_scenes_groups_a_detection_set(tmp_path):
    root = voc_set(tmp_path / "set", 4)
    (root / "scenes.csv").write_text(
        "image,scene\nJPEGImages/000.png,harbour\n001,harbour\n002,sea\n003,sea\n"
    )
    records, told = imported("voc", root, tmp_path / "out")
    assert [one.scene for one in records.values()] == ["voc/scene-harbour"] * 2 + ["voc/scene-sea"] * 2
    assert ALL_ALONE not in told
    records, told = imported("voc", root, tmp_path / "byname", TableOptions(by_name=True))
    assert len({one.scene for one in records.values()}) == 4
    assert any("scenes.csv does not group the images, since --scene does" in line for line in told)
