"""The tiny model from scratch; the paper's two stages are in ``fusar_train.stages``."""

from pathlib import Path

PRETRAIN = Path(__file__).parent
"""The folder of the recipes ``tiny.yaml`` and ``mini_base.yaml``."""
