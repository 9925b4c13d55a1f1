"""Captions (FUSAR-KLIP 4.4): the decoder writes all sub-texts of an image, from the image alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch

from fusar_gpt.cli.terminal import progress_bar
from fusar_gpt.retrieval.decoding import Blank, write_blanks
from fusar_gpt.tasks.questions import is_chinese
from fusar_train.evaluation.bootstrap import Statistic
from fusar_train.evaluation.captions import JavaCaptions, caption_statistics
from fusar_train.klip.batches import blank_key
from fusar_train.klip.benchmarks.options import BenchmarkOptions, Described, grey_images, in_batches
from fusar_train.klip.benchmarks.section import Figure, Row, Section, measured
from fusar_train.klip.data import SLOTS, KlipData, SubText

COLUMNS = ("BLEU-4", "METEOR", "CIDEr", "SPICE")
_LONGEST = 48

Written = Mapping[tuple[int, int], str]
"""What was written, by number of the record and slot."""


def _paper(name: str, *percent: float) -> Row:
    return Row(name, {column: Figure(value / 100, 0) for column, value in zip(COLUMNS, percent, strict=True)})


PAPER = (
    _paper("CLIP, ViT-B", 75.05, 51.80, 67.79, 49.06),
    _paper("BLIP, ViT-B", 76.52, 56.28, 104.36, 49.55),
    _paper("FUSAR-KLIP, ViT-B", 80.01, 57.68, 113.46, 51.40),
    _paper("FUSAR-KLIP, ViT-L", 79.64, 58.66, 117.83, 52.11),
)
"""Table 6."""


def sections(options: BenchmarkOptions) -> list[Section]:
    """BLEU-4, METEOR, CIDEr and SPICE of what is written, and of what is written for other images."""
    described = options.described
    written = write_sub_texts(described)
    rows, notes = [], list[str]()
    with JavaCaptions() as programs:
        for name, slots in _key_sets(described.data):
            numbers = [n for n in range(len(described)) if any((n, slot) in written for slot in slots)]
            said = [_caption(written, number, slots) for number in numbers]
            truth = [_references(described, number, slots) for number in numbers]
            for title, mine in ((name, said), (f"{name}: written for other images", _shifted(said))):
                found, missing = _figures(mine, truth, programs)
                rows.append(Row(title, measured(found, len(mine), options.seed)))
                notes += missing
    return [
        Section(
            "captions",
            "Captions",
            COLUMNS,
            tuple(rows),
            PAPER,
            (
                "Each sub-text is written from the image alone, its key given; written are the keys that the image's "
                "own text has. The references are the image's own texts in the language that was written, if any are.",
                "Written for other images: the same captions, each moved to the next image; it shows how much of a "
                "figure is the wording that all texts share.",
                "Chinese characters count as words.",
                *dict.fromkeys(notes),
            ),
        )
    ]


@torch.inference_mode()
def write_sub_texts(described: Described) -> Written:
    """A sub-text for each key that an image's texts have, by the decoder."""
    klip, data = described.klip, described.data
    found: dict[tuple[int, int], str] = {}
    with progress_bar(len(data), "images", "captions") as show:
        for at, records in in_batches(data.records):
            images = torch.from_numpy(grey_images(records, klip.image_px)).to(klip.device)
            tokens, _ = klip.model.encode_images(images)
            asked = [
                (number, slot)
                for number in range(at, at + len(records))
                for slot in sorted({one.slot for one in data.sub_texts[number]})
            ]
            for slot in sorted({slot for _, slot in asked}):
                mine = [one for one in asked if one[1] == slot]
                own = tokens[[number - at for number, _ in mine]]
                blanks = [Blank(blank_key(slot))] * len(mine)
                said = write_blanks(klip.model, klip.tokenizer, own, blanks, _LONGEST)
                found.update(zip(mine, said, strict=True))
            show(at + len(records))
    return found


def _key_sets(data: KlipData) -> list[tuple[str, tuple[int, ...]]]:
    """The slots of each key set that the texts have, after those of all together."""
    there = sorted({one.slot for several in data.sub_texts for one in several})
    names = list(dict.fromkeys(SLOTS[slot][0] for slot in there))
    sets = [(name, tuple(slot for slot in there if SLOTS[slot][0] == name)) for name in names]
    return ([(" and ".join(names), tuple(there))] if len(names) > 1 else []) + sets


def _caption(written: Written, number: int, slots: Sequence[int]) -> str:
    return " ".join(written[number, slot] for slot in slots if (number, slot) in written)


def _references(described: Described, number: int, slots: Sequence[int]) -> list[str]:
    """The image's own texts of some keys, one a version."""
    versions: dict[int, list[SubText]] = {}
    for one in described.data.sub_texts[number]:
        if one.slot in slots:
            versions.setdefault(one.version, []).append(one)
    return [" ".join(one.text for one in told) for told in versions.values()]


def _shifted(said: Sequence[str]) -> list[str]:
    return [*said[1:], *said[:1]]


def _figures(
    said: Sequence[str], truth: Sequence[Sequence[str]], programs: JavaCaptions
) -> tuple[dict[str, Statistic], list[str]]:
    alike = [
        [text for text in texts if is_chinese(text) == is_chinese(mine)] or texts
        for mine, texts in zip(said, truth, strict=True)
    ]
    words = [spaced(text) for text in said]
    references = [[spaced(text) for text in texts] for texts in alike]
    found, missing = programs.statistics(words, references)
    return {
        name: one for name, one in (caption_statistics(words, references) | found).items() if name in COLUMNS
    }, missing


def spaced(text: str) -> str:
    """The text with blanks around each Chinese character, so that it counts as a word."""
    return re.sub(r"([\u3400-\u9fff])", r" \1 ", text)
