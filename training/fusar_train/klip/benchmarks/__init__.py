"""What a FUSAR-KLIP is worth (Yang et al., 2025, section 4): ``fusar-train klip evaluate``."""

BENCHMARKS = (
    *("retrieval", "facts", "queries", "captions", "vqa"),
    *("classification", "detection", "segmentation"),
)
"""Modules here, in the order of the report; each has ``sections(options: BenchmarkOptions) -> list[Section]``."""
