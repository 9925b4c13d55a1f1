"""The data sets that ``fusar-train data import`` knows, and importing one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fusar_train.corpus.class_folders import read_class_folders
from fusar_train.corpus.coco import read_coco
from fusar_train.corpus.cover_classes import PRODUCTS, MaskOptions
from fusar_train.corpus.dataset import Dataset, Read, was_turned
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.image_tables import ImageTables, TableOptions
from fusar_train.corpus.images import read_image, turn_of
from fusar_train.corpus.labels import PLANE, ClassNames
from fusar_train.corpus.masks import SceneRecord, read_masks
from fusar_train.corpus.prior_file import read_authors_npy
from fusar_train.corpus.record import Record
from fusar_train.corpus.records import RecordFolder
from fusar_train.corpus.release_set import read_release_set
from fusar_train.corpus.swift import read_swift
from fusar_train.corpus.voc import read_voc

Reader = Callable[[Path, Dataset], Iterator[Read]]

ALL_ALONE = (
    "nothing tells which chips are near-copies of one another, so each is a scene of its own and a split may leak: "
    "give a table with --groups; fusar-train data split and check find shifted copies, not turned or mirrored ones"
)
"""Told of class folders where no two chips belong together."""

NONE_FOUND = "no data licence found: local use only, never redistribute"


FORMATS: dict[str, tuple[Reader, Dataset]] = {
    "voc": (read_voc, Dataset("voc")),
    "coco": (read_coco, Dataset("coco")),
    "class-folders": (read_class_folders, Dataset("chips")),
    "fusar-gpt": (read_release_set, Dataset("fusar-gpt")),
    "ms-swift": (read_swift, Dataset("ms-swift")),
    "ssdd": (read_voc, Dataset("ssdd", NONE_FOUND, "RADARSAT-2, TerraSAR-X, Sentinel-1")),
    "hrsid": (
        read_coco,
        # The chips of one panorama overlap by a quarter: P0001_0_800_7200_8000.jpg is one of panorama P0001.
        Dataset("hrsid", sensor="Sentinel-1, TerraSAR-X, TanDEM-X", scene=re.compile(r"^(P[0-9]+)_")),
    ),
    # Ten sets in one, each labelled for its own classes only.
    "sardet-100k": (read_coco, Dataset("sardet-100k", complete="image")),
    "sar-aircraft": (read_voc, Dataset("sar-aircraft", sensor="Gaofen-3", coarse=PLANE)),
    "fusar-ship": (read_class_folders, Dataset("fusar-ship", sensor="Gaofen-3")),
    # Its README names neither sensor nor pixel size; its paper says Gaofen-3 at about 1 m.
    "sar-acd": (
        read_class_folders,
        Dataset(
            "sar-acd",
            'no licence stated; "open to the community to provide support for research in the field of SAR target '
            'classification": research only, never redistribute',
            polarisation="HH",
            coarse=PLANE,
        ),
    ),
    # Crops of one picture begin with its name: sg_east and sg_west are both of Singapore.
    "s1-anchorages": (
        read_voc,
        Dataset(
            "s1-anchorages",
            "contains modified Copernicus Sentinel data; of some pictures no licence is stated: never redistribute",
            "Sentinel-1",
            polarisation="VV",
            scene=re.compile(r"^([A-Za-z]+[0-9]*)(?:_|$)"),
            truth="boxes made by threshold on brightness, then looked over: never a yardstick against CFAR",
        ),
    ),
    "masks": (read_masks, Dataset("masks")),
    # Chips of one cell of Major TOM's grid are neighbours: 282D_485L_3_3.
    "s1rtc-landcover": (
        read_masks,
        Dataset(
            "s1rtc-landcover",
            "of the data none stated beside them (TerraMesh); contains modified Copernicus Sentinel data",
            "Sentinel-1",
            polarisation="VV",
            scene=re.compile(r"^([0-9]+[UD]_[0-9]+[LR])_"),
            masks=MaskOptions(PRODUCTS["terramesh"]),
        ),
    ),
    # Chips of one flood come from one acquisition: Spain_7370579.
    "sen1floods11": (
        read_masks,
        Dataset(
            "sen1floods11",
            "none stated; cite Bonafilia et al. 2020; contains modified Copernicus Sentinel data",
            "Sentinel-1",
            scene=re.compile(r"^(.+)_[0-9]+$"),
            truth="water drawn by hand from optical images of another day",
            masks=MaskOptions(PRODUCTS["sen1floods11"]),
        ),
    ),
}
"""Each format: its reader, and what is known of the data set that it was made for."""


def import_dataset(
    name: str,
    source: Path,
    out: Path,
    facts: dict[str, Any] | None = None,
    *,
    tables: TableOptions | None = None,
    skip: Callable[[CorpusError], None] | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> int:
    """Reads a data set of a known format and stores its records in a new folder; returns how many.

    Args:
        name: A key of ``FORMATS``.
        source: Its folder, or its file.
        out: The folder to make.
        facts: Fields of ``Dataset`` to replace; those that are None are left as they are. ``map`` are labels by
            class name (``labels.read_map``), ``masks`` fields of ``MaskOptions``.
        tables: Which tables and lists say more of the images; by default those in the folder with known names.
        skip: Takes the errors of bad records, which are then left out. By default the first one is raised.
        tell: Takes a line for each kind of thing that was taken to be so, repaired or left out.

    Raises:
        CorpusError: The source is not of that format, a record or table is bad, or there are none.
        OutputError: The folder cannot be written.
    """
    notes: Counter[str] = Counter()
    read, dataset = FORMATS[name][0], _dataset(name, source, facts or {}, notes)
    said = ImageTables(
        source, dataset.name, tables or TableOptions(by_name=bool((facts or {}).get("scene"))), notes
    )
    with RecordFolder(out) as writer:
        for record in read(source, dataset):
            try:
                if isinstance(record, CorpusError):
                    raise record
                if (placed := said.placed(record)) is not None:
                    _store(placed, writer)
            except CorpusError as error:
                if skip is None:
                    raise
                skip(error)
        said.finish()
        if not writer.count:
            raise CorpusError(f"{source} holds no record that can be read: check that its format is {name}.")
    if read is read_class_folders and len(said.scenes) == writer.count > 1:
        notes[ALL_ALONE] = 1
    for note, times in notes.items():
        tell(f"{note} ({times} times)" if times > 1 else note)
    return writer.count


def _dataset(name: str, source: Path, facts: Mapping[str, Any], notes: Counter[str]) -> Dataset:
    """What is known of a data set of a format, with what the user says of it."""
    read, dataset = FORMATS[name]
    given = {key: value for key, value in facts.items() if value is not None}
    masks = {key: value for key, value in given.pop("masks", {}).items() if value is not None}
    if masks and read is not read_masks:
        raise CorpusError(f"The format {name} has no masks: leave out what is said of them, or choose masks.")
    if not source.exists():
        raise CorpusError(f"{source} does not exist: check the path.")
    given["masks"] = replace(dataset.masks, **masks)
    given["names"] = ClassNames(given.pop("map", None), notes)
    return replace(dataset, **given, root=source if source.is_dir() else None, notes=notes)


def _store(record: Record, writer: RecordFolder) -> None:
    if isinstance(record, SceneRecord):
        writer.add(record, pixels=record.held)
        return
    npy = record.prior if record.prior and record.prior.suffix == ".npy" else None
    turn = turn_of(record.image)
    pixels = read_image(record.image, str(record.image), turned=was_turned(record)) if turn else None
    writer.add(record, pixels=pixels, vectors=read_authors_npy(npy) if npy else None)
