"""The index of a scene: a vector for each slice, on disk, filled as searches need it.

It is made whole in a folder of its own, appears by one renaming, and is then filled in any order: vectors are on the
disk before ``data`` says that they are there, so that a process may be killed at any moment.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.errors import Cancelled, OutputError
from fusar_gpt.geoparquet import has_pyarrow
from fusar_gpt.imagery import Scene
from fusar_gpt.retrieval.encoder import Encoder
from fusar_gpt.retrieval.footprints import FOOTPRINTS, write_footprints
from fusar_gpt.retrieval.index_folder import (
    ABOUT,
    DATA,
    TEMPORARY,
    VECTORS,
    discard,
    keep_limit,
    remember_seconds,
)
from fusar_gpt.retrieval.index_folder import default_folder as default_folder
from fusar_gpt.retrieval.locking import exclusive, in_use
from fusar_gpt.retrieval.slicing import OVERLAP, Lattice, lattice
from fusar_gpt.retrieval.strips import NOT_READ as NOT_READ
from fusar_gpt.retrieval.strips import SliceImages, enough, slice_images

_FORMAT = 1
_TRIES = 3
_WAITING, _FILLING = "waiting.lock", "filling.lock"
_BATCH_S = 1.0
"""How long a batch shall take: it is what is lost by a kill, and what one waits for who stops a search."""
_FIRST, _MOST = 16, 256
_MEASURED = 64
"""So many slices tell how long one takes."""
_MOST_IN_MEMORY = 2**30


@dataclass(frozen=True)
class SceneIndex:
    """The slices of a scene at one ground size, and what is known of them.

    Attributes:
        lattice: The slices.
        vectors: float16 [slices, E], of length 1 where ``data`` says that there is one; a memory map.
        data: uint8 [slices], the share of the slice with data in percent, or ``NOT_READ``; a memory map.
        about: Of which scene, band and encoder, as JSON has it.
        folder: Where it lies; None: in memory alone.
        notes: Whole sentences that whoever reads a result must know.
    """

    lattice: Lattice
    vectors: NDArray[np.float16]
    data: NDArray[np.uint8]
    about: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def searchable(self) -> NDArray[np.bool_]:
        """Which slices have a vector, [slices]."""
        return np.asarray((self.data != NOT_READ) & enough(self.data))

    def missing(self, wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The numbers of the wanted slices that nobody has looked at yet."""
        return np.flatnonzero(wanted & (self.data == NOT_READ))


@contextmanager
def scene_index(
    scene: Scene,
    encoder: Encoder,
    ground_m: float | None = None,
    overlap: float = OVERLAP,
    folder: Path | None = None,
    make: bool = True,
) -> Iterator[SceneIndex]:
    """The index of a scene by an encoder, as far as it is there; any number of processes may hold it.

    It is another one for another scene's content, band, quantity, stretch, encoder or slicing. One that is damaged is
    made anew, and one that cannot be kept is held in memory; its ``notes`` say so. Where there is none, it is made on
    the disk only if ``make``.

    Raises:
        OutputError: It cannot be kept, and is too large for the memory.
        SceneError: The scene has no data.
    """
    slices = lattice(scene, encoder.image_px, ground_m, overlap)
    about = described(scene, encoder, slices)
    root = folder or default_folder()
    if not make and not (root / _key(about)).exists():
        vectors = np.zeros((len(slices), encoder.dimensions), np.float16)
        yield SceneIndex(slices, vectors, np.full(len(slices), NOT_READ, np.uint8), about)
        return
    with ExitStack() as held:
        try:
            index = _stored(slices, about, root, held)
        except OSError as error:
            index = _in_memory(slices, about, root, error)
        yield index


def described(scene: Scene, encoder: Encoder, slices: Lattice) -> dict[str, Any]:
    """All that decides the vectors of an index, and the names of what it was made of."""
    stretch = scene.stretch()
    lattice_hash = hashlib.sha256(slices.lefts.tobytes() + slices.tops.tobytes()).hexdigest()
    return {
        "format": _FORMAT,
        "scene": scene.name,
        "fingerprint": scene.fingerprint,
        "band": scene.band,
        "quantity": scene.quantity,
        "stretch": [stretch.low_db, stretch.high_db],
        "encoder": encoder.name,
        "encoder_hash": encoder.hash,
        "dimensions": encoder.dimensions,
        "image_px": slices.image_px,
        "side_px": slices.side,
        "side_m": slices.side * scene.pixel_size_m,
        "slices": len(slices),
        "lattice": lattice_hash,
    }


def _key(about: Mapping[str, Any]) -> str:
    """Of an index in its folder: names may change, as long as the content is the same."""
    content = {name: value for name, value in about.items() if name not in ("scene", "encoder")}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _stored(slices: Lattice, about: Mapping[str, Any], root: Path, held: ExitStack) -> SceneIndex:
    """The index on disk, made where it is not there, and in use until ``held`` ends. OSError: it cannot be kept."""
    place = root / _key(about)
    notes: tuple[str, ...] = ()
    for _ in range(_TRIES):
        made = not place.exists() and _made(place, about)
        try:
            with ExitStack() as opening:
                opening.enter_context(in_use(place / ABOUT))
                index = _opened(slices, about, place, notes)
                held.push(opening.pop_all())
        except (ValueError, FileNotFoundError):
            if not place.exists():  # it was removed meanwhile
                continue
            if discard(place) is None:
                raise OSError(errno.EBUSY, "it is damaged, and another process uses it") from None
            notes = (f"The index of '{about['scene']}' was damaged, so it was made anew.",)
            continue
        if made:
            keep_limit(root)
        return index
    raise OSError(errno.EIO, "what is written there does not come back")


def _made(place: Path, about: Mapping[str, Any]) -> bool:
    """Makes an empty index, whole or not at all; whether it was not another process that did."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=place.parent) as beside:
        half = Path(beside, place.name)
        half.mkdir()
        # Zeros that are written take their room on the disk now: a map of a file with holes is killed on a full one.
        np.save(half / VECTORS, np.zeros((about["slices"], about["dimensions"]), np.float16))
        np.save(half / DATA, np.full(about["slices"], NOT_READ, np.uint8))
        for lock in (_WAITING, _FILLING):
            (half / lock).touch()
        (half / ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        try:
            half.rename(place)
        except OSError:
            if not place.exists():
                raise
            return False
    return True


def _opened(slices: Lattice, about: Mapping[str, Any], place: Path, notes: tuple[str, ...]) -> SceneIndex:
    """The index at a place. ValueError or FileNotFoundError: it is damaged; OSError: it cannot be opened."""
    stored = json.loads((place / ABOUT).read_text(encoding="utf-8"))
    if not isinstance(stored, dict) or _key(stored) != place.name:
        raise ValueError("it is the index of something else")
    # Read-only first: opened to be written, what is cut off would be made longer instead of refused.
    vectors, data = _mapped(place, about, "r")
    try:
        vectors, data = _mapped(place, about, "r+")
    except OSError as error:
        if (data == NOT_READ).any():
            index = _in_memory(slices, about, place.parent, error)
            index.vectors[:], index.data[:] = vectors, data
            return index
    with suppress(OSError):
        os.utime(place / ABOUT)
    return SceneIndex(slices, vectors, data, about, place, notes)


def _mapped(
    place: Path, about: Mapping[str, Any], mode: Any
) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
    """The two arrays of an index as memory maps. ValueError: they are not what was written."""
    wanted = {
        VECTORS: ((about["slices"], about["dimensions"]), np.float16),
        DATA: ((about["slices"],), np.uint8),
    }
    maps = []
    for name, (shape, dtype) in wanted.items():
        file = place / name
        array = np.lib.format.open_memmap(file, mode)
        if array.shape != shape or array.dtype != dtype or file.stat().st_size != array.offset + array.nbytes:
            raise ValueError(f"{file} is not {shape} of {dtype}")
        maps.append(array)
    vectors, data = maps
    if ((data > 100) & (data != NOT_READ)).any():
        raise ValueError(f"{place / DATA} holds other things than shares")
    return vectors, data


def _in_memory(slices: Lattice, about: Mapping[str, Any], root: Path, error: OSError) -> SceneIndex:
    """An index that ends with the search. OutputError: it is too large for that."""
    why = f"cannot be kept in {root} ({error.strerror or error})"
    what = "make room there, or choose another folder with FUSAR_CACHE"
    if len(slices) * about["dimensions"] * 2 > _MOST_IN_MEMORY:
        raise OutputError(f"The index of '{about['scene']}' {why}: {what}.") from error
    note = f"The index of '{about['scene']}' {why}, so the next search makes it anew: {what}."
    vectors = np.zeros((len(slices), about["dimensions"]), np.float16)
    return SceneIndex(slices, vectors, np.full(len(slices), NOT_READ, np.uint8), about, None, (note,))


def fill(
    index: SceneIndex,
    numbers: NDArray[np.int64],
    scene: Scene,
    encoder: Encoder,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[int]:
    """Embeds slices that nobody has looked at, and yields how many of them are done after each batch.

    Several processes and threads that fill one index share its slices: each takes what no other has done.

    Raises:
        Cancelled: What is done by then stays.
        OutputError: The index was removed by force, or its folder cannot be written.
        SceneError: The file is damaged.
    """
    if not len(numbers):
        return

    def missing(some: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.compress(index.data[some] == NOT_READ, some)

    root = index.folder.parent if index.folder else None
    a_slice, embedded, begun = _BATCH_S, 0, time.monotonic()

    def batch() -> int:
        return _power_of_two(np.clip(_BATCH_S / a_slice, 1, _MOST)) if embedded else _FIRST

    try:
        with closing(slice_images(scene, index.lattice, numbers, missing, batch)) as batches:
            for read in batches:
                with _turn(index, cancelled):
                    embedded += _embed(index, read, encoder)
                if embedded:
                    a_slice = (time.monotonic() - begun) / embedded
                yield len(numbers) - len(missing(numbers))
    finally:
        if root and embedded >= _MEASURED:
            remember_seconds(a_slice, root, encoder.hash)
    if index.folder and embedded and not (index.data == NOT_READ).any():
        _describe(index, scene, index.folder / FOOTPRINTS)


def _embed(index: SceneIndex, read: SliceImages, encoder: Encoder) -> int:
    """Stores what nobody has stored yet; returns how many vectors."""
    new = index.data[read.numbers] == NOT_READ
    usable = enough(read.shares)
    images = read.images[new[usable]]
    if len(images):
        vectors = [encoder.embed_images(some) for some in _in_usual_numbers(images)]
        index.vectors[read.numbers[new & usable]] = np.concatenate(vectors).astype(np.float16)
        if isinstance(index.vectors, np.memmap):
            index.vectors.flush()
    index.data[read.numbers[new]] = read.shares[new]
    return len(images)


def _in_usual_numbers(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Images in powers of two: PyTorch keeps memory for each number of images that it has ever seen on a CPU."""
    at = 0
    while at < len(images):
        count = _power_of_two(len(images) - at)
        yield images[at : at + count]
        at += count


def _power_of_two(most: float) -> int:
    """The greatest one that is not more; ``most`` is at least 1."""
    return 1 << (int(most).bit_length() - 1)


@contextmanager
def _turn(index: SceneIndex, cancelled: Callable[[], bool]) -> Iterator[None]:
    """One at a time fills an index, a batch each by turns: who waits is let in before who has just been."""
    if cancelled():
        raise Cancelled("cancelled")
    with ExitStack() as held:
        if index.folder:
            try:
                with exclusive(index.folder / _WAITING, cancelled):
                    held.enter_context(exclusive(index.folder / _FILLING, cancelled))
            except OSError as error:
                raise OutputError(
                    f"The index in {index.folder} cannot be written ({error.strerror}): search again, or choose "
                    "another folder with FUSAR_CACHE."
                ) from error
        yield


def _describe(index: SceneIndex, scene: Scene, path: Path) -> None:
    """Writes the footprints beside a complete index, once, if that can be done here."""
    if scene.georeferenced and has_pyarrow() and not path.exists():
        with suppress(OutputError):
            write_footprints(index, scene, path)
