"""The tiny model from scratch; the paper's two stages are in ``fusar_train.stages``."""

from pathlib import Path

TINY = Path(__file__).with_name("tiny.yaml")
"""The recipe of the bundled tiny model."""
MINI_BASE = TINY.with_name("mini_base.yaml")
"""The recipe of the base of ``fusar-train reproduce``."""
