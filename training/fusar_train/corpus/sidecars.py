"""What lies beside stored records and is learned later than they: sub-texts by describer, and the splits of a corpus.

Records are not rewritten for it: shards of many gigabytes stay as they are, and two describers can be compared.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fusar_gpt.output import whole_file
from fusar_train.corpus.errors import CorpusError, naming
from fusar_train.corpus.files import json_file, json_lines
from fusar_train.corpus.record import SPLITS, Record
from fusar_train.corpus.texts.sub_texts import SubTexts

TEXTS_FOLDER = "texts"
"""Holds DESCRIBER.jsonl: a line of {"id", "keys", "said", "by"} for each record and key set; a later line replaces."""

WITHOUT_TEXTS = ""
"""In place of a describer's name: none is read."""

SPLITS_FILE = "splits.json"
"""The split of each scene of a corpus: {"scene": "train"}."""


@dataclass(frozen=True)
class Sidecars:
    """The sub-texts by record id, and the splits by scene, of one folder of records."""

    texts: Mapping[str, tuple[SubTexts, ...]]
    splits: Mapping[str, str]

    @classmethod
    def of(cls, path: Path, describer: str | None = None) -> Sidecars:
        """What lies beside the records at ``path``, a folder, JSONL file or shard.

        Args:
            path: Of the records.
            describer: Its name, or several with commas between them, whose sub-texts follow one another.

        Raises:
            CorpusError: A file makes no sense; the describer named has described nothing here; or none is named and
                there are several.
        """
        if not path.exists():
            return cls({}, {})  # whoever reads the records says so
        folder = path if path.is_dir() else path.parent
        names = (
            [describer]
            if describer is None
            else [bare for name in describer.split(",") if (bare := name.strip())]
        )
        files = [file for name in names if (file := texts_file(folder, name))]
        return cls(_by_record(map(read_texts, files)), _splits(folder / SPLITS_FILE))

    def completed(self, record: Record) -> Record:
        """The record with its sub-texts, and with its split unless it states one."""
        texts = self.texts.get(record.id)
        split = record.split or self.splits.get(record.scene)
        if texts is None and split == record.split:
            return record
        return replace(record, texts=record.texts if texts is None else texts, split=split)


def describers(folder: Path) -> list[str]:
    """The names of those who described the records of a folder."""
    return sorted(path.stem for path in (folder / TEXTS_FOLDER).glob("*.jsonl"))


def described_by(describer: str | None, path: Path) -> str | None:
    """The describer of the records at ``path`` if anybody has described them: data sets without texts need none."""
    return describer if describers(path if path.is_dir() else path.parent) else None


def texts_file(folder: Path, describer: str | None) -> Path | None:
    """The file of a describer, or of the only one; None where nobody has described anything.

    Raises:
        CorpusError: The describer named has not, or none is named and there are several.
    """
    known = describers(folder)
    if describer is None and not known:
        return None
    if describer is None and len(known) > 1:
        raise CorpusError(
            f"{folder} is described by {', '.join(known)}: name one of them with --texts, or several with commas."
        )
    if describer is not None and describer not in known:
        others = f"by {', '.join(known)}" if known else "by nobody: run fusar-train corpus describe"
        raise CorpusError(f"{folder} is not described by {describer!r}, but {others}.")
    return folder / TEXTS_FOLDER / f"{describer or known[0]}.jsonl"


def read_texts(file: Path) -> dict[tuple[str, str], SubTexts]:
    """The sub-texts of a file by record id and key set. CorpusError names the line that makes no sense."""
    found: dict[tuple[str, str], SubTexts] = {}
    for where, raw in json_lines(file):
        if isinstance(raw, CorpusError):
            raise raw
        with naming(where.rstrip(",")):
            if not isinstance(raw, dict) or not isinstance(raw["said"], dict):
                raise ValueError('a line is {"id": ..., "keys": ..., "said": {"Count": "Three ships."}}')
            texts = SubTexts(keys=raw["keys"], said=raw["said"], by=dict(raw.get("by") or {}))
            found[str(raw["id"]), texts.keys] = texts
    return found


def write_splits(records: Iterable[Record], folder: Path) -> None:
    """Writes the splits of the records' scenes beside them; scenes that have none of the records keep theirs.

    Raises:
        OutputError: It cannot be written.
    """
    splits = _splits(folder / SPLITS_FILE) | {one.scene: one.split for one in records if one.split}
    with whole_file(folder / SPLITS_FILE) as temporary:
        temporary.write_text(json.dumps(splits, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def text_line(record_id: str, texts: SubTexts) -> str:
    """The line of a record's sub-texts, without its end."""
    said = {"id": record_id, "keys": texts.keys, "said": dict(texts.said), "by": dict(texts.by)}
    return json.dumps(said, ensure_ascii=False, allow_nan=False)


def _by_record(several: Iterable[Mapping[tuple[str, str], SubTexts]]) -> dict[str, tuple[SubTexts, ...]]:
    found: dict[str, tuple[SubTexts, ...]] = defaultdict(tuple)
    for texts in several:
        for (record_id, _), one in texts.items():
            found[record_id] += (one,)
    return dict(found)


def _splits(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    stated = json_file(file)
    if not isinstance(stated, dict) or not set(stated.values()) <= set(SPLITS):
        raise CorpusError(f"{file} is no map of scenes to {', '.join(SPLITS)}: build the corpus again.")
    return stated
