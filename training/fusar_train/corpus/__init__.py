"""Training examples: the record, the readers of public data sets, and the questions asked about a record."""

from fusar_train.corpus.record import LABELS, Labelled, Record

__all__ = ["LABELS", "Labelled", "Record"]
