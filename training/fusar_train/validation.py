"""What pydantic found wrong, in one line for a user."""

from __future__ import annotations

from pydantic import ValidationError


def first_fault(error: ValidationError) -> str:
    """Where the first fault is and what it is, such as ``object 1, box: [9, 0, 3, 5] is inverted``.

    The items of a list are counted from 1, under the list's name in the singular.
    """
    fault = error.errors(include_url=False)[0]
    *path, name = fault["loc"] or ("",)
    if fault["type"] in ("missing", "missing_argument"):
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
