"""Labelled examples of slices that are rich or poor in information: features, a label and a source each, no pixels."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from fusar_gpt.output import whole_file
from fusar_train.corpus.errors import CorpusError, naming
from fusar_train.corpus.files import is_litter
from fusar_train.corpus.images import SUFFIXES, read_image
from fusar_train.corpus.slices.features import FEATURES, as_rows, compared, measure

SHIPPED = Path(__file__).with_name("screening_examples.csv")
"""``screening_examples.txt`` beside it says how they were made."""
NEIGHBOURS = 9
LABELS = ("poor", "rich")
"""The folders of sorted pictures, and the labels in the file; the index is whether it is rich."""


@dataclass(frozen=True, eq=False)
class Examples:
    """N labelled slices.

    Attributes:
        rows: Features, float64 [N, F], as :func:`fusar_train.corpus.slices.features.as_rows` gives them.
        rich: bool [N].
        sources: Where each comes from: examples of one source are alike beyond their label.
        kinds: What each shows.
    """

    rows: NDArray[np.float64]
    rich: NDArray[np.bool_]
    sources: tuple[str, ...]
    kinds: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rich)

    @classmethod
    def of_pictures(
        cls,
        pictures: Iterable[tuple[NDArray[np.uint8], NDArray[np.bool_]]],
        rich: Sequence[bool],
        sources: Sequence[str],
        kinds: Sequence[str],
    ) -> Examples:
        """Of (pixels uint8 [h, w], has_data bool [h, w]) pairs."""
        rows = as_rows(measure(pixels, has_data) for pixels, has_data in pictures)
        return cls(rows, np.array(rich, np.bool_), tuple(sources), tuple(kinds))

    def joined(self, other: Examples) -> Examples:
        """These and others."""
        return Examples(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.rich, other.rich]),
            self.sources + other.sources,
            self.kinds + other.kinds,
        )

    def classifier(self, without: str | None = None) -> Pipeline:
        """The KNN classifier over standardised features; of all, or without the examples of one source."""
        kept = np.array([source != without for source in self.sources])
        rich = self.rich[kept]
        # An odd number, and no more than the rarer label has examples: each may win all votes.
        neighbours = min(NEIGHBOURS, (int(min(rich.sum(), (~rich).sum())) - 1) // 2 * 2 + 1)
        # A tree, as the other way starts a thread a core, in each of the processes of a build.
        nearest = KNeighborsClassifier(neighbours, algorithm="kd_tree")
        return make_pipeline(FunctionTransformer(compared), StandardScaler(), nearest).fit(
            self.rows[kept], rich
        )

    def leave_one_source_out(self) -> dict[str, tuple[int, int]]:
        """For each source, how many of its examples are told right by those of the others, and their number."""
        found = {}
        for source in sorted(set(self.sources)):
            own = np.array([each == source for each in self.sources])
            said = self.classifier(source).predict(self.rows[own])
            found[source] = int((said == self.rich[own]).sum()), int(own.sum())
        return found

    def write(self, path: Path) -> None:
        """Writes them as CSV: label, kind, source and the features, to five digits.

        Raises:
            OutputError: The file cannot be written.
        """
        with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
            rows = csv.writer(stream, lineterminator="\n")
            rows.writerow(("label", "kind", "source", *FEATURES))
            for row, rich, source, kind in zip(self.rows, self.rich, self.sources, self.kinds, strict=True):
                rows.writerow((LABELS[int(rich)], kind, source, *(f"{value:.5g}" for value in row)))

    @classmethod
    def read(cls, path: Path = SHIPPED) -> Examples:
        """The examples of a file that ``write`` made.

        Raises:
            CorpusError: It is missing, or not such a file.
        """
        with naming(str(path)):
            try:
                text = path.read_text(encoding="utf-8")
            except OSError as error:
                raise CorpusError(f"{path} cannot be read ({error.strerror}): check the path.") from error
            table = list(csv.DictReader(text.splitlines()))
            rows = np.array([[float(line[name]) for name in FEATURES] for line in table])
            rich = np.array([LABELS.index(line["label"]) for line in table], np.bool_)
            if rich.all() or not rich.any():
                raise ValueError("it does not hold both rich and poor examples")
            sources, kinds = (tuple(line[name] for line in table) for name in ("source", "kind"))
        return cls(rows, rich, sources, kinds)


def labelled_pictures(folder: Path) -> Examples:
    """Examples from pictures that somebody sorted into ``rich`` and ``poor``; all their pixels count as data.

    The source of a picture is its file's name up to the first ``--``.

    Raises:
        CorpusError: A folder or its pictures are missing, or a picture cannot be read.
    """
    pictures, rich, sources = [], [], []
    for index, label in enumerate(LABELS):
        files = sorted(
            path
            for path in (folder / label).glob("*")
            if path.suffix.lower() in SUFFIXES and not is_litter(path.relative_to(folder))
        )
        if not files:
            raise CorpusError(
                f"{folder / label} holds no pictures: put slices into {folder / LABELS[0]} and {folder / LABELS[1]}."
            )
        for path in files:
            image = read_image(path, str(path))
            grey = image if image.ndim == 2 else image.mean(axis=2).astype(np.uint8)
            pictures.append((grey, np.ones(grey.shape, np.bool_)))
            rich.append(bool(index))
            sources.append(path.stem.split("--", 1)[0])
    return Examples.of_pictures(pictures, rich, sources, ["real"] * len(rich))
