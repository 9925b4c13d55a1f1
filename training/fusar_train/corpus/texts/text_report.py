"""The texts of a corpus as one page and as JSON: how long, how varied, how complete; two describers side by side.

After FUSAR-KLIP 4.2 and its figures 8, 10 and 11.
"""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fusar_gpt.findings.report import load_template
from fusar_gpt.output import whole_file
from fusar_train.corpus import sidecars
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.record import Record
from fusar_train.corpus.records import stored_records
from fusar_train.corpus.texts.lexicon import STOP_WORDS, mtld, overlap, sentences, words
from fusar_train.corpus.texts.sub_texts import KEY_SETS, SubTexts

EXAMPLES = 8
_BINS = 24
_TOP = 40
_MTLD_WORDS = 50_000
"""Of the texts of one key, read one after another: enough for the figure to settle."""
_PICTURE_PX = 320

Texts = Mapping[str, SubTexts]
"""What one describer says in one key set, by record id."""


@dataclass(frozen=True)
class KeyFigures:
    """What one describer says of one key.

    Attributes:
        filled: Share of the slices of which it says something.
        words, sentences: Mean of a text.
        vocabulary: Different words.
        mtld: Lexical diversity of all texts, one after another; None where no word comes twice.
        distinct: Share of the texts that no other equals.
    """

    filled: float
    words: float
    sentences: float
    vocabulary: int
    mtld: float | None
    distinct: float


@dataclass(frozen=True)
class SetFigures:
    """What one describer says in one key set.

    Attributes:
        slices: How many it has described.
        keys: By key.
        filled: Share of all keys that are filled.
        words, sentences: Mean of a slice's eight texts together.
        lengths: (first length, number of slices) of each bar of the histogram of words a slice.
        vocabulary: Different words.
        mtld: Lexical diversity of a slice's eight texts, mean over slices.
        distinct: Share of the slices whose texts no other's equal.
        top: The most frequent words without stop words, each with its number.
    """

    slices: int
    keys: Mapping[str, KeyFigures]
    filled: float
    words: float
    sentences: float
    lengths: Sequence[tuple[int, int]]
    vocabulary: int
    mtld: float | None
    distinct: float
    top: Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Agreement:
    """Two describers on the slices that both have described.

    Attributes:
        one, other: Their names.
        keys: By key the number of slices, the share of equal texts, and the mean share of words that both use.
    """

    one: str
    other: str
    keys: Mapping[str, tuple[int, float, float]]


def write_text_report(folder: Path, describers: Sequence[str], out: Path) -> list[Path]:
    """Writes ``texts.html``, which needs no network, and ``texts.json`` into a folder; returns both.

    Args:
        folder: Holds the records and what describers said of them.
        describers: Their names; empty for all that there are, the records' own texts where there is no other.
        out: The folder to write to, made if missing.

    Raises:
        CorpusError: Nobody of such a name has described the records, or a file makes no sense.
        OutputError: It cannot be written.
    """
    said = _read(folder, describers)
    figures = {
        name: {keys: figures_of(texts[keys], keys) for keys in KEY_SETS if texts[keys]}
        for name, texts in said.items()
    }
    agreements = {keys: _agreements(said, keys) for keys in KEY_SETS}
    out.mkdir(parents=True, exist_ok=True)
    page, data = out / "texts.html", out / "texts.json"
    stated = {
        "describers": {
            name: {keys: asdict(one) for keys, one in sets.items()} for name, sets in figures.items()
        },
        "agreement": {keys: [asdict(one) for one in found] for keys, found in agreements.items()},
    }
    html = load_template("fusar_train.corpus.texts", "text_report.html").render(
        title=f"Texts of {folder.absolute().name}",
        subtitle=f"Described by {', '.join(said)}",
        figures=stated["describers"],
        key_sets=KEY_SETS,
        agreements=stated["agreement"],
        examples=list(_examples(folder, said)),
        describers=list(said),
    )
    with whole_file(data) as temporary:
        temporary.write_text(json.dumps(stated, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    with whole_file(page) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return [page, data]


def _read(folder: Path, describers: Sequence[str]) -> dict[str, dict[str, dict[str, SubTexts]]]:
    """What each describer says, by key set and record id."""
    known = sidecars.describers(folder)
    found: dict[str, dict[str, dict[str, SubTexts]]] = {}
    for name in [name for name in known if name in describers or not describers]:
        file = sidecars.texts_file(folder, name)
        assert file is not None
        for (record_id, keys), texts in sidecars.read_texts(file).items():
            found.setdefault(name, _no_texts())[keys][record_id] = texts
    missing = [name for name in describers if name not in known]
    if missing or not known:
        for record in stored_records(folder):
            if isinstance(record, CorpusError):
                continue
            for texts in record.texts:
                name = str(texts.by.get("describer", "unnamed"))
                if name in missing or not describers:
                    found.setdefault(name, _no_texts())[texts.keys][record.id] = texts
    if absent := [name for name in describers if name not in found]:
        others = f"by {', '.join(known)}" if known else "by nobody: run fusar-train corpus describe"
        raise CorpusError(f"{folder} is not described by {absent[0]!r}, but {others}.")
    if not found:
        raise CorpusError(f"{folder} is described by nobody: run fusar-train corpus describe.")
    return found


def _no_texts() -> dict[str, dict[str, SubTexts]]:
    return {keys: {} for keys in KEY_SETS}


def figures_of(texts: Texts, keys: str) -> SetFigures:
    """The figures of what one describer says in one key set of at least one slice."""
    by_key: dict[str, list[str]] = {key: [] for key in KEY_SETS[keys]}
    lengths, counts, ends, diversity = [], Counter[str](), 0, []
    for one in texts.values():
        tokens: list[str] = []
        for key, text in one.said.items():
            by_key[key].append(text)
            tokens += words(text)
            ends += sentences(text)
        lengths.append(len(tokens))
        counts.update(tokens)
        if (value := mtld(tokens)) is not None:
            diversity.append(value)
    n = len(texts)
    return SetFigures(
        slices=n,
        keys={key: _key_figures(said, n) for key, said in by_key.items()},
        filled=sum(map(len, by_key.values())) / (n * len(by_key)),
        words=float(np.mean(lengths)),
        sentences=ends / n,
        lengths=_histogram(lengths),
        vocabulary=len(counts),
        mtld=float(np.mean(diversity)) if diversity else None,
        distinct=_distinct([one.whole() for one in texts.values()]),
        top=[each for each in counts.most_common(_TOP + len(STOP_WORDS)) if each[0] not in STOP_WORDS][:_TOP],
    )


def _key_figures(said: Sequence[str], slices: int) -> KeyFigures:
    if not said:
        return KeyFigures(0.0, 0.0, 0.0, 0, None, 0.0)
    tokens = [words(text) for text in said]
    running = [token for each in tokens for token in each]
    return KeyFigures(
        filled=len(said) / slices,
        words=len(running) / len(said),
        sentences=sum(map(sentences, said)) / len(said),
        vocabulary=len(set(running)),
        mtld=mtld(running[:_MTLD_WORDS]),
        distinct=_distinct(said),
    )


def _distinct(said: Sequence[str]) -> float:
    counts = Counter(said)
    return sum(n == 1 for n in counts.values()) / len(said)


def _histogram(lengths: Sequence[int]) -> list[tuple[int, int]]:
    low, high = min(lengths), max(lengths)
    step = max(-(-(high - low + 1) // _BINS), 1)
    counts = Counter((length - low) // step for length in lengths)
    return [(low + n * step, counts[n]) for n in range((high - low) // step + 1)]


def _agreements(said: Mapping[str, Mapping[str, Texts]], keys: str) -> list[Agreement]:
    """Each pair of describers on what both have described."""
    names = list(said)
    pairs = [(one, other) for n, one in enumerate(names) for other in names[n + 1 :]]
    found = []
    for one, other in pairs:
        both = [
            (said[one][keys][i].said, said[other][keys][i].said)
            for i in said[one][keys]
            if i in said[other][keys]
        ]
        rows = {}
        for key in KEY_SETS[keys]:
            texts = [(a[key], b[key]) for a, b in both if key in a and key in b]
            if texts:
                same = sum(a == b for a, b in texts) / len(texts)
                rows[key] = (len(texts), same, sum(overlap(a, b) for a, b in texts) / len(texts))
        if rows:
            found.append(Agreement(one, other, rows))
    return found


def _examples(folder: Path, said: Mapping[str, Mapping[str, Texts]]) -> Iterator[dict[str, Any]]:
    """Slices over the whole folder that as many describers as can be have described, with their pictures."""
    by_count: dict[int, list[str]] = {}
    times = Counter(i for sets in said.values() for i in {*sets["targets"], *sets["terrain"]})
    for record_id, n in times.items():
        by_count.setdefault(n, []).append(record_id)
    ids = by_count[max(by_count)]
    chosen = set(ids[:: max(len(ids) // EXAMPLES, 1)][:EXAMPLES])
    shown = (
        record for record in stored_records(folder) if isinstance(record, Record) and record.id in chosen
    )
    for record in islice(shown, EXAMPLES):
        picture = _picture(record)
        texts = {
            name: [(keys, sets[keys][record.id].said) for keys in KEY_SETS if record.id in sets[keys]]
            for name, sets in said.items()
        }
        yield {"id": record.id, "picture": picture, "texts": texts}


def _picture(record: Record) -> str | None:
    """The slice as a PNG in base 64; None where its image cannot be read."""
    try:
        pixels = record.pixels()
    except CorpusError:
        return None
    image = Image.fromarray(pixels)
    image.thumbnail((_PICTURE_PX, _PICTURE_PX))
    file = io.BytesIO()
    image.quantize(64).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")
