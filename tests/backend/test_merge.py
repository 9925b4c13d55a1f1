"""One object seen in several chips becomes one finding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import shapely
from findings_samples import chips_of, detection, open_sample
from hypothesis import given, settings
from hypothesis import strategies as st

from fusar_gpt.contract import Finding, Found
from fusar_gpt.findings import Merge
from fusar_gpt.imagery import Chip, Scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """240 x 168 pixels: chips of 96 start at 0, 72, 144 along x and at 0, 72 along y."""
    return open_sample(tmp_path_factory.mktemp("scene"), size=(240, 168))


def merged(scene: Scene, seen: Iterable[tuple[Chip, Sequence[Finding]]]) -> dict[str, Finding]:
    """What is left in the end; every change must make sense when it comes."""
    merge = Merge(scene)
    left: dict[str, Finding] = {}
    for chip, findings in seen:
        found = merge.add(chip, findings)
        for old in found.replaced:
            del left[old]
        for finding in found.added:
            assert finding.id not in left
            left[finding.id] = finding
    return left


def seen_by(chip: Chip, name: str, box: shapely.Polygon, label: str, objectness: float) -> list[Finding]:
    """The part of an object that a chip sees, if it is not just a sliver."""
    part = box.intersection(chip.footprint)
    bounds = part.bounds
    if part.is_empty or part.area < 0.25 * box.area or min(bounds[2] - bounds[0], bounds[3] - bounds[1]) < 3:
        return []
    return [detection(f"{name} in {chip.index}", bounds, label, objectness)]


def test_the_sample_scene_is_as_described(scene: Scene) -> None:
    windows = [chip.footprint.bounds[:2] for chip in chips_of(scene, 0.25)]
    assert windows == [(0, 0), (72, 0), (144, 0), (0, 72), (72, 72), (144, 72)]


objects = st.lists(
    st.tuples(
        st.sampled_from([(x, y) for x in range(4, 216, 30) for y in range(4, 144, 30)]),
        st.integers(8, 22), st.integers(8, 22), st.sampled_from(["ship", "plane"]),
        st.lists(st.floats(0.01, 0.99), min_size=6, max_size=6),
    ),
    max_size=20, unique_by=lambda one: one[0],
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(objects=objects, order=st.permutations(range(6)), backwards=st.booleans())
def test_each_object_is_left_once_whatever_the_order(
    scene: Scene,
    objects: list[tuple[tuple[int, int], int, int, str, list[float]]],
    order: list[int],
    backwards: bool,
) -> None:
    chips = chips_of(scene, 0.25)
    views: dict[int, list[Finding]] = {chip.index: [] for chip in chips}
    for number, ((x, y), width, height, label, scores) in enumerate(objects):
        for chip in chips:
            box = shapely.box(x, y, x + width, y + height)
            views[chip.index] += seen_by(chip, str(number), box, label, scores[chip.index])
    left = merged(scene, [(chips[i], views[i][:: -1 if backwards else 1]) for i in order])
    # The overlap of 24 pixels holds every object whole in at least one chip, and that view is the one left.
    assert sorted(name.split(" in ")[0] for name in left) == sorted(
        str(number) for number in range(len(objects))
    )
    for name, finding in left.items():
        (_, _), width, height, label, _ = objects[int(name.split(" in ")[0])]
        assert (finding.box.right - finding.box.left, finding.box.bottom - finding.box.top) == (width, height)
        assert finding.properties["label"] == label
    in_order = merged(scene, [(chip, views[chip.index]) for chip in chips])
    assert in_order == left


somewhere = st.builds(
    lambda x, y, w, h, label, objectness: ((x, y, x + w, y + h), label, objectness),
    st.integers(72, 90), st.integers(4, 60), st.integers(4, 30), st.integers(4, 30),
    st.sampled_from(["ship", "plane"]), st.floats(0.1, 0.9),
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(first=st.lists(somewhere, max_size=8), second=st.lists(somewhere, max_size=8))
def test_it_is_one_to_one_even_in_a_crowd(
    scene: Scene, first: list[tuple[tuple[int, int, int, int], str, float]],
    second: list[tuple[tuple[int, int, int, int], str, float]],
) -> None:  # fmt: skip
    chips = chips_of(scene, 0.25)
    a = [detection(f"a{i}", *one) for i, one in enumerate(first)]
    b = [detection(f"b{i}", *one) for i, one in enumerate(second)]
    merge = Merge(scene)
    # Nothing merges within one chip, not even equal boxes.
    assert merge.add(chips[0], a) == Found(tuple(a))
    found = merge.add(chips[1], b)
    for label in ("ship", "plane"):
        was, new = (sum(f.properties["label"] == label for f in fs) for fs in (a, b))
        added = sum(f.properties["label"] == label and f.id not in found.replaces for f in found.added)
        assert max(new - was, 0) <= added <= new
    assert len(found.replaced) == len(set(found.replaced))
    by_name = {finding.id: finding for finding in (*a, *found.added)}
    for new, old in found.replaces.items():
        assert by_name[old].properties["label"] == by_name[new].properties["label"]


def test_a_whole_object_beats_a_cut_one_with_a_higher_objectness(scene: Scene) -> None:
    left, right = chips_of(scene, 0.25)[:2]
    whole, cut = (
        detection("whole", (50, 20, 90, 30), objectness=0.3),
        detection("cut", (72, 20, 90, 30), objectness=0.9),
    )
    assert merged(scene, [(left, [whole]), (right, [cut])]) == {"whole": whole}
    assert merged(scene, [(right, [cut]), (left, [whole])]) == {"whole": whole}
    merge = Merge(scene)
    merge.add(right, [cut])
    assert merge.add(left, [whole]) == Found((whole,), {"whole": "cut"})


def test_the_edge_of_the_scene_cuts_nothing(scene: Scene) -> None:
    left, right = chips_of(scene, 0.25)[:2]
    sure, unsure = (
        detection("sure", (76, 0, 90, 9), objectness=0.9),
        detection("unsure", (75, 0, 90, 9), objectness=0.2),
    )
    assert merged(scene, [(left, [sure]), (right, [unsure])]) == {"sure": sure}
    assert merged(scene, [(left, [unsure]), (right, [sure])]) == {"sure": sure}


def test_different_labels_and_neighbours_stay_apart(scene: Scene) -> None:
    left, right = chips_of(scene, 0.25)[:2]
    ship, plane = detection("1", (76, 20, 88, 30), "ship"), detection("2", (76, 20, 88, 30), "plane")
    beside = detection("3", (76, 31, 88, 41), "ship")
    assert set(merged(scene, [(left, [ship]), (right, [plane, beside])])) == {"1", "2", "3"}


def test_an_object_takes_one_box_of_a_chip_however_often_the_chip_is_asked(scene: Scene) -> None:
    left, right = chips_of(scene, 0.25)[:2]
    box = (76, 20, 88, 30)
    merge = Merge(scene)
    assert merge.add(left, [detection("a", box)]) == Found((detection("a", box),))
    assert merge.add(left, [detection("b", box)]) == Found((detection("b", box),))
    better = [detection("c", box, objectness=0.8), detection("d", box, objectness=0.8)]
    assert sorted(merge.add(right, better).replaced) == ["a", "b"]
    assert merge.add(right, [detection("e", box)]) == Found((detection("e", box),))


def test_other_layers_pass_through_and_old_rows_are_forgotten(tmp_path: Path) -> None:
    with open_sample(tmp_path, size=(96, 4000)) as tall:
        merge = Merge(tall)
        for chip in chips_of(tall, 0.25):
            _, top, _, _ = chip.footprint.bounds
            cell = replace(detection("c", (0, 0, 1, 1)), layer="grid")
            seen = [detection(str(top), (30, top + 30, 40, top + 40)), cell]
            assert cell in merge.add(chip, seen).added
        assert len(merge._objects) <= 2
