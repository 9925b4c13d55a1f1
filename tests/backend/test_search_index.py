"""The index of a scene: made once, filled by whoever needs it, and never believed when it is damaged."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from index_scenes import CountingEncoder, every
from rasters import speckle, write

from fusar_gpt.contract import SearchRequest
from fusar_gpt.contract.stretch import Stretch
from fusar_gpt.errors import Cancelled, OutputError
from fusar_gpt.imagery import open_scene, read_chip
from fusar_gpt.imagery.scene import Scene
from fusar_gpt.retrieval import index as index_module
from fusar_gpt.retrieval.footprints import NOT_READ
from fusar_gpt.retrieval.index import described, fill, scene_index
from fusar_gpt.retrieval.index_folder import entries
from fusar_gpt.search import plan_search


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """200 x 160 px with a quarter without data."""
    data = speckle(160, 200)
    data[:60, :110] = 0
    return write(tmp_path_factory.mktemp("s") / "s.tif", data)


@pytest.fixture
def scene(path):
    with open_scene(path) as opened:
        yield opened


@pytest.fixture
def root(tmp_path):
    return tmp_path / "search"


def filled(scene, encoder, root, **slicing):
    """The vectors and data of a whole index."""
    with scene_index(scene, encoder, folder=root, **slicing) as index:
        list(fill(index, every(index), scene, encoder))
        assert len(every(index)) == 0
        return np.array(index.vectors), np.array(index.data)


def test_each_slice_has_the_vector_of_its_image_or_none_where_there_is_no_data(scene, root):
    encoder = CountingEncoder()
    with scene_index(scene, encoder, folder=root) as index:
        numbers = every(index)
        assert len(numbers) == len(index.lattice) > 50
        assert not index.searchable.any()
        counts = list(fill(index, numbers, scene, encoder))
        assert counts == sorted(counts)
        assert counts[-1] == len(numbers)
        assert len(every(index)) == 0
        for number in numbers.tolist():
            chip = read_chip(scene, index.lattice.chip(number), scene.stretch())
            assert index.data[number] == round(100 * chip.has_data.mean())
            assert index.searchable[number] == (index.data[number] >= 50)
            if index.searchable[number]:
                expected = CountingEncoder().embed_images(chip.grey[None])[0]
                np.testing.assert_allclose(index.vectors[number], expected, atol=1e-3)
        assert encoder.images == index.searchable.sum() < len(numbers)


def test_a_second_search_embeds_nothing(scene, root):
    filled(scene, CountingEncoder(), root)
    again = CountingEncoder()
    with scene_index(scene, again, folder=root) as index:
        assert len(every(index)) == 0
        assert index.notes == ()
        assert list(fill(index, every(index), scene, again)) == []
    assert again.images == 0
    assert len(entries(root)) == 1


def test_a_part_in_any_order_and_then_the_rest(scene, root):
    encoder = CountingEncoder()
    with scene_index(scene, encoder, folder=root) as index:
        some = np.array([40, 3, 77, 41])
        assert list(fill(index, some, scene, encoder))[-1] == 4
        np.testing.assert_array_equal(np.flatnonzero(index.data != NOT_READ), np.sort(some))
    vectors, data = filled(scene, encoder, root)
    whole, shares = filled(scene, CountingEncoder(), root / "other")
    np.testing.assert_array_equal(vectors, whole)
    np.testing.assert_array_equal(data, shares)


def test_another_scene_encoder_slicing_or_stretch_is_another_index(path, scene, root, tmp_path, monkeypatch):
    def key(scene, encoder, ground_m=None, overlap=0.5):
        with scene_index(scene, encoder, ground_m, overlap, root) as index:
            return index.folder.name

    first = key(scene, CountingEncoder())
    keys = {
        first,
        key(scene, CountingEncoder(hash="counting-2")),
        key(scene, CountingEncoder(), ground_m=600.0),
        key(scene, CountingEncoder(), overlap=0.25),
    }
    with open_scene(write(tmp_path / "changed.tif", 2 * speckle(160, 200, seed=5))) as changed:
        keys.add(key(changed, CountingEncoder()))
    with open_scene(path, quantity="amplitude") as amplitude:
        keys.add(key(amplitude, CountingEncoder()))
    with monkeypatch.context() as patch:
        patch.setattr(Scene, "stretch", lambda self: Stretch(-31, 3))
        keys.add(key(scene, CountingEncoder()))
    assert len(keys) == 7
    renamed = tmp_path / "renamed.tif"
    renamed.write_bytes(path.read_bytes())
    with open_scene(renamed) as copy:
        assert key(copy, CountingEncoder()) == first


def test_a_scene_without_any_data_where_it_is_looked_at_has_no_vector(scene, root):
    encoder = CountingEncoder()
    with scene_index(scene, encoder, folder=root) as index:
        empty = np.array([0, 1])
        assert list(fill(index, empty, scene, encoder))[-1] == 2
        np.testing.assert_array_equal(index.data[empty], 0)
        assert not index.searchable.any()
    assert encoder.images == 0


def test_a_scene_smaller_than_a_slice_has_an_index_of_one(tmp_path, root):
    with open_scene(write(tmp_path / "small.tif", speckle(28, 25))) as scene:
        _, data = filled(scene, CountingEncoder(), root)
    assert data.shape == (1,)
    assert data[0] == round(
        100 * 32 * 29 / 32**2
    )  # it lies in the middle, and two pixels beside it may be fades


def test_stopped_it_keeps_what_was_done(scene, root):
    encoder = CountingEncoder()
    with scene_index(scene, encoder, folder=root) as index:
        with pytest.raises(Cancelled):
            for _ in fill(index, every(index), scene, encoder, lambda: encoder.images > 0):
                pass
        done = int(index.searchable.sum())
        assert 0 < done == encoder.images < len(index.lattice)
    filled(scene, encoder, root)
    with scene_index(scene, encoder, folder=root) as index:
        assert encoder.images == index.searchable.sum()


# Other processes and threads

CHILD = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from index_scenes import CountingEncoder, every
from fusar_gpt.imagery import open_scene
from fusar_gpt.retrieval.index import fill, scene_index

encoder = CountingEncoder(pause_s={pause})
with open_scene({path!r}) as scene, scene_index(scene, encoder, folder=Path({root!r})) as index:
    print("ready", flush=True)
    sys.stdin.readline()
    for done in fill(index, every(index), scene, encoder):
        print(done, flush=True)
print("embedded", encoder.images)
"""


def child(path, root, pause=0.0):
    script = CHILD.format(tests=str(Path(__file__).parent), path=str(path), root=str(root), pause=pause)
    started = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stdout.readline() == "ready\n", started.stderr.read()
    return started


def test_killed_in_mid_fill_it_goes_on_with_what_is_left(path, scene, root):
    with child(path, root, pause=0.2) as killed:
        killed.stdin.write("\n")
        killed.stdin.flush()
        assert int(killed.stdout.readline()) > 0
        killed.send_signal(signal.SIGKILL)
        killed.communicate(timeout=30)
    encoder = CountingEncoder()
    with scene_index(scene, encoder, folder=root) as index:
        assert index.notes == ()
        left = every(index)
        assert 0 < len(left) < len(index.lattice)
        begun = int(index.searchable.sum())
    vectors, data = filled(scene, encoder, root)
    whole, shares = filled(scene, CountingEncoder(), root / "other")
    np.testing.assert_array_equal(vectors, whole)
    np.testing.assert_array_equal(data, shares)
    assert begun + encoder.images == (data >= 50).sum()


def test_two_processes_at_once_share_the_work(path, scene, root):
    both = [child(path, root, pause=0.05) for _ in range(2)]
    for one in both:
        one.stdin.write("\n")
        one.stdin.flush()
    told = [one.communicate(timeout=60)[0].splitlines()[-1] for one in both]
    _, data = filled(scene, CountingEncoder(), root)
    embedded = [int(line.split()[1]) for line in told]
    assert sum(embedded) == (data >= 50).sum()
    assert len(entries(root)) == 1


def test_two_threads_at_once_share_the_work_and_both_see_all_of_it(path, root):
    encoders = [CountingEncoder(pause_s=0.02), CountingEncoder(pause_s=0.02)]
    seen = []

    def work(encoder):
        with open_scene(path) as scene:
            seen.append(filled(scene, encoder, root))

    threads = [threading.Thread(target=work, args=(encoder,)) for encoder in encoders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    (one, shares), (other, _) = seen
    np.testing.assert_array_equal(one, other)
    assert sum(encoder.images for encoder in encoders) == (shares >= 50).sum()


def test_who_waits_is_not_in_the_way_of_others_and_can_be_stopped(path, root):
    """One that was left between two batches keeps nobody waiting; one that is in a batch does."""
    encoder = CountingEncoder()
    with open_scene(path) as scene, scene_index(scene, encoder, folder=root) as index:
        with closing(fill(index, every(index), scene, encoder)) as first:
            next(first)
            with open_scene(path) as again, scene_index(again, encoder, folder=root) as same:
                assert list(fill(same, every(same), again, encoder))[-1] > 0
        with index_module._turn(index, lambda: False):
            asked = []
            stop = lambda: len(asked) > 2 or bool(asked.append(1))  # noqa: E731
            with pytest.raises(Cancelled), index_module._turn(index, stop):
                raise AssertionError("two at once")


def test_who_reads_a_complete_index_waits_for_nobody(scene, root):
    filled(scene, CountingEncoder(), root)
    with (
        scene_index(scene, CountingEncoder(), folder=root) as index,
        index_module._turn(index, lambda: False),
    ):
        filled_again = CountingEncoder()
        with scene_index(scene, filled_again, folder=root) as other:
            assert other.searchable.any()
            assert list(fill(other, every(other), scene, filled_again)) == []


def test_who_waits_is_let_in_before_who_has_just_been(scene, root):
    order = []
    with scene_index(scene, CountingEncoder(), folder=root) as index:

        def other():
            with index_module._turn(index, lambda: False):
                order.append("other")

        with index_module._turn(index, lambda: False):
            waiting = threading.Thread(target=other)
            waiting.start()
            while not locked(index.folder / index_module._WAITING):
                time.sleep(0.005)
        with index_module._turn(index, lambda: False):
            order.append("first again")
        waiting.join(10)
    assert order == ["other", "first again"]


def locked(file):
    try:
        with index_module.exclusive(file, lambda: True):
            return False
    except Cancelled:
        return True


# Damage, and folders that cannot be written


def cut(path):
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size // 2)


def longer(path):
    with path.open("ab") as stream:
        stream.write(b"x")


def other_shape(path):
    np.save(path, np.load(path)[:-1])


def impossible(path):
    content = np.load(path)
    content[0] = 200
    np.save(path, content)


def other_scene(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprint": "0" * 64}))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("vectors.npy", cut),
        ("vectors.npy", longer),
        ("vectors.npy", Path.unlink),
        ("vectors.npy", other_shape),
        ("vectors.npy", lambda path: path.write_bytes(b"")),
        ("data.npy", cut),
        ("data.npy", other_shape),
        ("data.npy", impossible),
        ("data.npy", lambda path: path.write_bytes(b"\0" * 100)),
        ("index.json", Path.unlink),
        ("index.json", cut),
        ("index.json", other_scene),
        ("index.json", lambda path: path.write_text("[]")),
    ],
)
def test_a_damaged_index_is_made_anew_and_says_so(scene, root, name, damage):
    filled(scene, CountingEncoder(), root)
    (entry,) = entries(root)
    damage(entry.folder / name)
    encoder = CountingEncoder()
    with scene_index(scene, encoder, folder=root) as index:
        assert index.notes == ("The index of 's.tif' was damaged, so it was made anew.",)
        assert len(every(index)) == len(index.lattice)
        assert list(fill(index, every(index), scene, encoder))[-1] == len(index.lattice)
    assert encoder.images > 0
    with scene_index(scene, encoder, folder=root) as index:
        assert index.notes == ()
        assert len(every(index)) == 0
    assert [place.name for place in root.iterdir() if place.is_dir()] == [entry.key]


def test_what_a_dead_process_had_not_finished_making_is_no_index(scene, root):
    with scene_index(scene, CountingEncoder(), folder=root) as index:
        half = root / ".fusar-dead" / index.folder.name
    half.mkdir(parents=True)
    (half / "vectors.npy").write_bytes(b"half")
    assert len(entries(root)) == 1
    with scene_index(scene, CountingEncoder(), folder=root) as index:
        assert index.notes == ()


def test_where_nothing_can_be_written_it_is_held_in_memory_and_says_so(scene, tmp_path):
    (tmp_path / "file").write_text("a file stands here")
    encoder = CountingEncoder()
    with scene_index(scene, encoder, folder=tmp_path / "file") as index:
        (note,) = index.notes
        assert note.startswith("The index of 's.tif' cannot be kept in ")
        assert note.endswith("choose another folder with FUSAR_CACHE.")
        assert "\n" not in note
        assert list(fill(index, every(index), scene, encoder))[-1] == len(index.lattice)
        assert index.searchable.any()
    assert (tmp_path / "file").read_text() == "a file stands here"


def test_one_that_is_too_large_for_the_memory_is_refused_with_what_to_do(scene, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("a file stands here")
    monkeypatch.setattr(index_module, "_MOST_IN_MEMORY", 100)
    with (
        pytest.raises(OutputError, match=r"cannot be kept in .*: make room there, or choose another"),
        scene_index(scene, CountingEncoder(), folder=tmp_path / "file"),
    ):
        pass


def test_a_full_disk_is_no_end_and_leaves_nothing_half_made(scene, root, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(index_module.np, "save", full)
    with scene_index(scene, CountingEncoder(), folder=root) as index:
        assert "No space left on device" in index.notes[0]
    assert list(root.iterdir()) == []


@pytest.fixture
def read_only(monkeypatch):
    """As root, who may write everything, sees no read-only folder: here opening for writing fails."""
    open_memmap = np.lib.format.open_memmap

    def guarded(file, mode="r+", *args, **options):
        if mode != "r":
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return open_memmap(file, mode, *args, **options)

    return lambda: monkeypatch.setattr(np.lib.format, "open_memmap", guarded)


def test_a_complete_index_in_a_read_only_folder_is_read(scene, root, read_only):
    vectors, _ = filled(scene, CountingEncoder(), root)
    read_only()
    with scene_index(scene, CountingEncoder(), folder=root) as index:
        assert index.notes == ()
        assert len(every(index)) == 0
        np.testing.assert_array_equal(index.vectors, vectors)


def test_one_that_is_not_complete_there_goes_on_in_memory_and_says_so(scene, root, read_only):
    encoder = CountingEncoder()
    with scene_index(scene, encoder, folder=root) as index:
        list(fill(index, np.arange(60, 80), scene, encoder))
    before = encoder.images
    read_only()
    with scene_index(scene, encoder, folder=root) as index:
        assert "Permission denied" in index.notes[0]
        assert len(every(index)) == len(index.lattice) - 20
        list(fill(index, every(index), scene, encoder))
        assert encoder.images == index.searchable.sum() > before
    with scene_index(scene, encoder, folder=root) as index:
        assert index.folder is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission(scene, root):
    filled(scene, CountingEncoder(), root)
    for place in (*root.rglob("*"), root):
        place.chmod(0o555 if place.is_dir() else 0o444)
    with scene_index(scene, CountingEncoder(), folder=root) as index:
        assert index.searchable.any()
    with scene_index(scene, CountingEncoder(hash="other"), folder=root) as index:
        assert "Permission denied" in index.notes[0]
    for place in (root, *root.rglob("*")):
        place.chmod(0o755)


def test_a_plan_makes_an_index_that_a_search_then_finds(path, scene, root):
    encoder = CountingEncoder()
    request = SearchRequest(str(path), ("anything",))
    plan = plan_search(request, encoder, folder=root)
    assert plan.slices > plan.ready == 0
    filled(scene, encoder, root)
    assert plan_search(request, encoder, folder=root).ready == plan.slices


def test_what_decides_its_vectors_is_written_beside_them(scene, root):
    encoder = CountingEncoder()
    with scene_index(scene, encoder, folder=root) as index:
        assert json.loads((index.folder / "index.json").read_text()) == described(
            scene, encoder, index.lattice
        )
