"""Imagery: open a SAR scene, place it on the ground, quantise it, lay chips over an area, read them.

The one place that knows files, bands, decibels and pixels. Everything is read through windows, so a scene
may be far larger than memory.
"""

from fusar_gpt.contract.stretch import Quantity, Stretch
from fusar_gpt.imagery.area import Area, crs_text, outline_of
from fusar_gpt.imagery.area_files import area_from_file, read_named_polygons, read_polygons, split_layer
from fusar_gpt.imagery.chips import (
    Chip,
    ChipFormat,
    ChipPixels,
    ChipPlan,
    ResizePlan,
    area_mask,
    plan_chips,
    read_chip,
)
from fusar_gpt.imagery.raster_policy import RasterPolicy
from fusar_gpt.imagery.scene import Scene, open_scene, open_scene_of

__all__ = [
    "Area",
    "Chip",
    "ChipFormat",
    "ChipPixels",
    "ChipPlan",
    "Quantity",
    "RasterPolicy",
    "ResizePlan",
    "Scene",
    "Stretch",
    "area_from_file",
    "area_mask",
    "crs_text",
    "open_scene",
    "open_scene_of",
    "outline_of",
    "plan_chips",
    "read_chip",
    "read_named_polygons",
    "read_polygons",
    "split_layer",
]
