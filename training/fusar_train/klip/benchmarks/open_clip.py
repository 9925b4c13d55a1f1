"""The vision transformer of a CLIP of open_clip's form, to compare with."""

from __future__ import annotations

from pathlib import Path

from transformers import CLIPVisionModel

from fusar_gpt.errors import CheckpointError
from fusar_gpt.retrieval.open_clip import read_image_tower
from fusar_train.klip.settings import KlipError


def read_open_clip(folder: Path) -> tuple[CLIPVisionModel, tuple[float, ...], tuple[float, ...]]:
    """The vision transformer in float32, without its projection, and the mean and deviation of its colours.

    Raises:
        KlipError: As :func:`~fusar_gpt.retrieval.open_clip.read_image_tower`.
    """
    try:
        model, mean, std = read_image_tower(folder)
    except CheckpointError as error:
        raise KlipError(f"{error}.") from error
    return model.vision_model, mean, std
