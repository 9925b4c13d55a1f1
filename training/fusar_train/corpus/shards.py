"""Records for scale: WebDataset shards, plain tar files of ``{key}.json``, ``.png`` or ``.jpg``, ``.npz`` side by side.

A shard is read from front to back, images and priors when they are needed. Each record's window is cut out, so that
no image is stored twice, and moved to the origin; the key is the id with ``.`` as ``~``.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice
from pathlib import Path

from PIL import Image

from fusar_gpt.frames import SceneBox
from fusar_gpt.output import whole_file
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import json_of
from fusar_train.corpus.images import PNG_LEVEL, Source, image_facts
from fusar_train.corpus.prior_file import write_prior
from fusar_train.corpus.record import RECORDS_FILE, Record

PER_SHARD = 1000
LIMITS = {"json": 16 * 2**20, "png": 512 * 2**20, "jpg": 512 * 2**20, "npz": 64 * 2**20}
"""The members that are read, with the most bytes of each."""

_NAME = re.compile(r"(?P<key>[\w~-]+(?:/[\w~-]+)*)\.(?P<kind>\w+)")


@dataclass(frozen=True, kw_only=True)
class ShardRecord(Record):
    """A record in a shard, whose image and prior are read from it when they are needed.

    ``members`` holds where the files "image" and "prior" begin in the shard, and their sizes, in bytes.
    """

    shard: Path
    members: Mapping[str, tuple[int, int]]

    def image_source(self) -> Source:
        """The image's bytes."""
        return self._member("image")

    def prior_source(self) -> Source:
        """The prior's bytes."""
        return self._member("prior")

    def _member(self, kind: str) -> io.BytesIO:
        begin, size = self.members[kind]
        with self.shard.open("rb") as stream:
            stream.seek(begin)
            return io.BytesIO(stream.read(size))


def shards_of(path: Path) -> list[Path]:
    """The shards at a path: the file itself, or those of a folder without ``records.jsonl``; else none."""
    if path.is_file():
        return [path] if path.suffix == ".tar" else []
    return sorted(path.glob("*.tar")) if not (path / RECORDS_FILE).is_file() else []


def write_shards(records: Iterable[Record], folder: Path, per_shard: int = PER_SHARD) -> list[Path]:
    """Writes ``shard-000000.tar`` and so on; the same records give the same bytes.

    Raises:
        CorpusError: The folder holds shards already, or a record's files cannot be read.
        OutputError: It cannot be written; complete shards stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if shards_of(folder):
        raise CorpusError(f"{folder} holds shards already: give the name of a new folder.")
    paths: list[Path] = []
    source = iter(records)
    for first in source:
        path = folder / f"shard-{len(paths):06d}.tar"
        write_shard(chain([first], islice(source, per_shard - 1)), path)
        paths.append(path)
    return paths


def write_shard(records: Iterable[Record], path: Path) -> None:
    """Writes one shard, whole or not at all; raises as ``write_shards``."""
    with whole_file(path) as temporary, tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
        for record in records:
            _add(tar, record)


def read_shards(paths: Iterable[Path]) -> Iterator[Record | CorpusError]:
    """The records of shards in order; a bad record comes as its error.

    Raises:
        CorpusError: A shard is damaged, or has members that no shard of ours has: links, devices, odd names, or
            sizes beyond ``LIMITS``.
    """
    for path in paths:
        try:
            with tarfile.open(path, "r:") as tar:
                yield from _records(tar, path)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise CorpusError(f"{path} is no readable tar file ({error}): get it again.") from error


def cut_out(record: Record) -> Record:
    """The record with its window moved to the origin, as when the window is stored as an image of its own."""
    window = record.window
    if window is None:
        return record

    def moved(box: SceneBox) -> SceneBox:
        left, top = box.left - window.col, box.top - window.row
        return SceneBox(left, top, box.right - window.col, box.bottom - window.row)

    place = [window.col, window.row, window.width, window.height]
    return replace(
        record,
        window=None,
        objects=tuple(replace(item, box=moved(item.box)) for item in record.objects),
        messages=tuple(replace(m, box=None if m.box is None else moved(m.box)) for m in record.messages),
        provenance={**record.provenance, "cut": place},
    )


def _add(tar: tarfile.TarFile, record: Record) -> None:
    key = record.id.replace(".", "~")
    kind, image = _encoded(record)
    prior = io.BytesIO()
    if record.prior is not None:
        write_prior(prior, record.vectors(), record.prior_year())
    name = f"{key}.npz" if record.prior is not None else None
    line = cut_out(record).to_json(f"{key}.{kind}", name)
    for suffix, content in (("json", line.encode()), (kind, image), ("npz", prior.getvalue())):
        if content:
            member = tarfile.TarInfo(f"{key}.{suffix}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def _encoded(record: Record) -> tuple[str, bytes]:
    """The window as "jpg" or "png" and its bytes; a whole image keeps those it has, so that nothing is lost."""
    kind = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png"}.get(record.image.suffix.lower())
    if record.window is None and kind is not None:
        image_facts(record.image_source(), str(record.image))  # refuses what is no image
        source = record.image_source()
        return kind, source.read_bytes() if isinstance(source, Path) else source.read()
    image = io.BytesIO()
    Image.fromarray(record.pixels()).save(image, "PNG", compress_level=PNG_LEVEL)
    return "png", image.getvalue()


def _records(tar: tarfile.TarFile, path: Path) -> Iterator[Record | CorpusError]:
    """Groups neighbouring members by key, as WebDataset does."""
    members = ((name, member) for member in tar if (name := _checked(member, path)))
    for key, group in groupby(members, lambda one: one[0]["key"]):
        yield _grouped(tar, {name["kind"]: member for name, member in group}, key, path)


def _checked(member: tarfile.TarInfo, path: Path) -> re.Match[str] | None:
    """The parts of a member's name, None for a folder and for kinds that are not read."""
    if member.isdir():
        return None
    name = _NAME.fullmatch(member.name.removeprefix("./"))
    if not member.isreg() or name is None:
        raise CorpusError(f"{path} holds {member.name[:80]!r}, which no shard has: do not use it.")
    if name["kind"] not in LIMITS:
        return None
    if member.size > LIMITS[name["kind"]]:
        raise CorpusError(f"{path}: {member.name} is larger than a record's file can be: do not use it.")
    return name


def _grouped(
    tar: tarfile.TarFile, files: Mapping[str, tarfile.TarInfo], key: str, path: Path
) -> Record | CorpusError:
    where = f"{path}, member {key}.json"
    stream = tar.extractfile(files["json"]) if "json" in files else None
    try:
        if stream is None:
            raise CorpusError(f"{where} is missing: write the shard again.")
        record = Record.from_json(json_of(stream.read(), where), path, where)
        named = {"image": record.image.suffix[1:]} | ({"prior": "npz"} if record.prior else {})
        found = {name: files[kind] for name, kind in named.items() if kind in files and files[kind].size}
        if len(found) < len(named):
            raise CorpusError(f"{where} names an image or prior that is not in the shard: write it again.")
    except CorpusError as error:
        return error
    members = {name: (one.offset_data, one.size) for name, one in found.items()}
    return ShardRecord(**vars(record), shard=path, members=members)
