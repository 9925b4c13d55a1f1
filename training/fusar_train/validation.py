"""Settings from YAML, checked by pydantic, and what pydantic found wrong in one line for a user."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BeforeValidator, Field, ValidationError

from fusar_gpt.errors import FusarError

T = TypeVar("T")

Count = Annotated[int, Field(strict=True, ge=1)]
"""A whole number from 1 on."""
Whole = Annotated[int, Field(strict=True, ge=0)]
"""A whole number from 0 on."""
Number = Annotated[
    float, Field(strict=True), BeforeValidator(lambda v: float(v) if isinstance(v, str) else v)
]
"""A number; YAML reads 1e-4 as text."""
Positive = Annotated[Number, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[Number, Field(ge=0, lt=1)]


class SettingsError(FusarError):
    """Settings cannot be read, or an entry is unknown, missing or makes no sense."""


def read_yaml(path: Path, kind: type[T], changes: Sequence[str] = ()) -> T:
    """The settings of a YAML file, with ``changes`` ("name=value", value in YAML) on top.

    ``kind`` is a pydantic dataclass with the file's entries.

    Raises:
        SettingsError: The file cannot be read, or an entry makes no sense.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        changed = dict(map(_change, changes))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(
            f"{path} cannot be read as YAML ({reason}): correct it or give another."
        ) from error
    if not isinstance(content, dict):
        raise SettingsError(f"The settings {path} make no sense: it holds none. Correct them.")
    try:
        return kind(**{str(name): value for name, value in (content | changed).items()})
    except ValidationError as error:
        raise SettingsError(
            f"The settings {path} make no sense: {first_fault(error)}. Correct them."
        ) from error


def _change(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"{text!r} changes no setting: write it as NAME=VALUE.")
    return name.strip(), yaml.safe_load(value)


def first_fault(error: ValidationError) -> str:
    """Where the first fault is and what it is, such as ``object 1, box: [9, 0, 3, 5] is inverted``.

    The items of a list are counted from 1, under the list's name in the singular.
    """
    fault = error.errors(include_url=False)[0]
    *path, name = fault["loc"] or ("",)
    if fault["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return _at(path, f"there is no field {name!r}")
    if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return _at(path, f"unknown field {name!r}")
    if fault["type"] == "value_error":
        return _at([*path, name], str(fault["ctx"]["error"]))
    return _at([*path, name], f"{fault['msg']}, not {fault['input']!r}"[:300])


def _at(path: list[str | int], what: str) -> str:
    place = ""
    for part in path:
        place = f"{place.removesuffix('s')} {part + 1}" if isinstance(part, int) else f"{place}, {part}"
    place = place.removeprefix(", ")
    return f"{place}: {what}" if place else what
