"""The eight sub-texts of a slice in either of two key sets (FUSAR-KLIP 3.2), as a record holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

KEY_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "targets": (
            "Count", "Location", "Feature", "Size", "Category", "Distribution", "Region", "Environment",
        ),
        "terrain": (
            "Terrain", "Functionality", "Location", "Layout", "Boundary", "Building", "Road", "Water",
        ),
    }
)  # fmt: skip
"""The keys of each set, in the order in which they are told."""


@dataclass(frozen=True, kw_only=True)
class SubTexts:
    """What one describer says of one slice.

    Attributes:
        keys: Name of the key set.
        said: A sentence or phrase by key, in the set's order; keys that the describer did not fill are missing.
        by: Who said it: describer, and where a model did: endpoint, model, templates (their hash); ``facts`` by key
            where templates did, equal where two texts say the same; ``noise`` (share and seed) where wrong texts
            were planted in the file, be it in this slice or not.
    """

    keys: str
    said: Mapping[str, str]
    by: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """ValueError for an unknown key set, key or an empty text, and where something is of another kind."""
        if self.keys not in KEY_SETS:
            raise ValueError(f"the key set {self.keys!r} is none of {', '.join(KEY_SETS)}")
        for key, text in self.said.items():
            if key not in KEY_SETS[self.keys]:
                raise ValueError(f"{key!r} is no key of {self.keys}")
            if not isinstance(text, str):
                raise ValueError(f"the sub-text {key} is {text!r}, not a text in quotation marks")
            if not text.strip():
                raise ValueError(f"the sub-text {key} is empty: leave the key out")
        if not isinstance(self.by.get("facts") or {}, Mapping):
            raise ValueError(f"by.facts is {self.by['facts']!r}, not what each key tells")

    @property
    def missing(self) -> tuple[str, ...]:
        """The keys that were not filled."""
        return tuple(key for key in KEY_SETS[self.keys] if key not in self.said)

    def whole(self) -> str:
        """All sub-texts together, one "Key: text" a line, in the set's order."""
        return "\n".join(f"{key}: {self.said[key]}" for key in KEY_SETS[self.keys] if key in self.said)
