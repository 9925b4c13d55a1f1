"""The tables of the journal, and the checksum that every row has."""

from __future__ import annotations

import zlib

VERSION = 2

TABLES = (
    "CREATE TABLE state (id TEXT NOT NULL, entries INTEGER NOT NULL, firm INTEGER NOT NULL)",
    "CREATE TABLE jobs (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, client TEXT NOT NULL, "
    "inputs TEXT NOT NULL, run TEXT NOT NULL, started TEXT NOT NULL, created TEXT NOT NULL, status TEXT NOT NULL, "
    "message TEXT NOT NULL, progress INTEGER NOT NULL, finished TEXT, ended REAL, tries INTEGER NOT NULL, "
    "sum INTEGER NOT NULL)",
    "CREATE TABLE events (job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, number INTEGER NOT NULL, "
    "data BLOB NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (job, number)) WITHOUT ROWID",
    "CREATE TABLE replies (job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, key BLOB NOT NULL, "
    "text TEXT NOT NULL, token_ends TEXT NOT NULL, logprobs BLOB NOT NULL, finished INTEGER NOT NULL, "
    "sum INTEGER NOT NULL, PRIMARY KEY (job, key)) WITHOUT ROWID",
    "CREATE TABLE results (job TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE, data TEXT NOT NULL, "
    "sum INTEGER NOT NULL)",
)
SUMMED = {
    "jobs": "id, client, inputs, run, started, created",
    "events": "job, number, data",
    "replies": "job, key, text, token_ends, logprobs, finished",
    "results": "job, data",
}
"""The columns of each table that never change; ``sum`` is their checksum."""


def checksum(*values: object) -> int:
    """The checksum of a row's values; SQL knows it as ``crc``."""
    return zlib.crc32(repr(values).encode("utf-8", "surrogatepass"))


def crc_of(table: str) -> str:
    """The checksum of a table's row, in SQL."""
    return f"crc({SUMMED[table]})"
