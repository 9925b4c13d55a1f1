"""What the codes of land-cover and water masks mean: of published products, or as a user's file says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import yaml

from fusar_gpt.imagery import Quantity
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import text_lines

Classes = Mapping[int, str | None]
"""The name of each code; None where it means no data, clouds or the like."""

WATER, TREES, CROPS = "water", "trees", "crops"
FLOODED, BUILT, BARE, SNOW = "flooded vegetation", "built-up land", "bare ground", "snow and ice"

PRODUCTS: Mapping[str, Classes] = MappingProxyType(
    {
        "water": {0: "land", 1: WATER},
        "sen1floods11": {-1: None, 0: "land", 1: WATER},
        # By eye against Sentinel-2, as its makers state no codes: 0 and 8 as in Esri's map, which it follows.
        "terramesh": {
            0: None, 1: WATER, 2: TREES, 3: FLOODED, 4: CROPS, 5: BUILT, 6: BARE, 7: SNOW, 8: None, 9: "rangeland",
        },
        "esri": {
            0: None, 1: WATER, 2: TREES, 4: FLOODED, 5: CROPS, 7: BUILT, 8: BARE, 9: SNOW, 10: None, 11: "rangeland",
        },
        "dynamic-world": {
            0: WATER, 1: TREES, 2: "grass", 3: FLOODED, 4: CROPS, 5: "shrubland", 6: BUILT, 7: BARE, 8: SNOW,
        },
        "worldcover": {
            0: None, 10: TREES, 20: "shrubland", 30: "grass", 40: CROPS, 50: BUILT, 60: BARE, 70: SNOW, 80: WATER,
            90: "wetland", 95: "mangroves", 100: "moss and lichen",
        },
    }
)  # fmt: skip
"""The codes of each product: Esri's 10 m land cover, Google's Dynamic World, ESA's WorldCover and others."""


@dataclass(frozen=True)
class MaskOptions:
    """How a set of scenes and masks is read.

    Attributes:
        classes: What the masks' codes mean; None refuses all.
        pair: What scenes and masks are called, as one of ``mask_pairs.PAIRS``.
        band, quantity: As for ``open_scene``.
        tile_px: Scenes are cut into tiles of this side; None takes each whole.
    """

    classes: Classes | None = None
    pair: tuple[str, str] | None = None
    band: str | None = None
    quantity: Quantity | None = None
    tile_px: int | None = None


def read_classes(said: str) -> Classes:
    """The codes of a product, or of a YAML or JSON file {code: name}, where null means no data.

    Raises:
        CorpusError: There is no such product or file, or it holds something else.
    """
    if said in PRODUCTS:
        return PRODUCTS[said]
    path = Path(said)
    if not path.is_file():
        raise CorpusError(f"{said!r} is neither a file of classes nor one of {', '.join(PRODUCTS)}.")
    try:
        stated = yaml.safe_load("\n".join(line for _, line in text_lines(path)))
    except yaml.YAMLError as error:
        raise CorpusError(
            f"{path} is no YAML or JSON ({' '.join(str(error).split())[:200]}): correct it."
        ) from error
    if not isinstance(stated, dict) or not stated:
        raise CorpusError(f"{path} is no map of classes: write it as {{code: name}}, with null for no data.")
    classes = dict(_class(code, name, path) for code, name in stated.items())
    if len(classes) < len(stated):
        raise CorpusError(f"{path} gives one code twice: correct it.")
    if not any(classes.values()):
        raise CorpusError(f"{path} names no class but no data: name one.")
    return classes


def _class(code: object, name: object, path: Path) -> tuple[int, str | None]:
    try:
        number = int(code) if isinstance(code, (int, str)) and not isinstance(code, bool) else None
    except ValueError:
        number = None
    named = name is None or (isinstance(name, str) and name.strip() != "")
    if number is None or not named:
        raise CorpusError(f"{path}: {code!r}: {name!r} is no whole number with a name or null: correct it.")
    return number, None if name is None else " ".join(str(name).split())
