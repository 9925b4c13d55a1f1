"""The checkpoints that ``fusar checkpoint`` lists, and its arguments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Checkpoint:
    """One that can be loaded by its name; ``problem`` says why it cannot be. ``size`` is in bytes, without its base."""

    name: str
    title: str
    size: int
    demonstration: bool
    problem: str


def read_checkpoints(listed: Any) -> list[Checkpoint]:
    """Return the FUSAR-GPTs that ``fusar checkpoint list --json`` lists; what cannot be understood is left out.

    So is a FUSAR-KLIP, which cannot interpret. Without a ``kind`` it is a folder without a card, or the answer of a
    backend that knows no other kind.
    """
    found = []
    for entry in listed if isinstance(listed, list) else ():
        if not (isinstance(entry, dict) and isinstance(entry.get("name"), str)):
            continue
        if entry.get("kind") in (None, "FUSAR-GPT"):
            found.append(
                Checkpoint(
                    name=entry["name"],
                    title=str(entry.get("title") or entry["name"]),
                    size=int(entry.get("size") or 0),
                    demonstration=bool(entry.get("demonstration")),
                    problem=str(entry.get("problem") or ""),
                )
            )
    return found


def import_words(source: str, base: str, name: str, sigma: str) -> list[str]:
    """Return the words after ``fusar checkpoint`` that import a released folder; ``sigma`` may be empty."""
    words = ["import", source, "--base", base, "--name", name]
    return [*words, "--sigma", sigma] if sigma else words


def in_words(size: int) -> str:
    """Return a number of bytes as people say it."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit in ("B", "KiB") or value >= 10 else f"{value:.1f} {unit}"


def memory_in_words(memory: dict[str, int]) -> Iterable[tuple[str, str]]:
    """Yield each known figure of a backend's memory with its name: ``used``, ``free``, ``gpu_used``, ``gpu_free``."""
    for name in ("used", "free", "gpu_used", "gpu_free"):
        if name in memory:
            yield name, in_words(memory[name])
