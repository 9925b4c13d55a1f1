"""The hierarchical chain of thought (HCoT, FUSAR-KLIP 3.2): five layers as templates that anyone can read and edit."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.record import Record
from fusar_train.corpus.texts.sub_texts import KEY_SETS, SubTexts

SHIPPED = Path(__file__).with_name("hcot")

_BYTES = 256 * 2**10
_EMPTY_LINES = re.compile(r"\n[ \t]*\n\s*\n")
_METRES = 5  # digits of a degree: about a metre


@dataclass(frozen=True, kw_only=True)
class SliceFacts:
    """All that a prompt may say of a slice; nothing else of its record is ever sent.

    Attributes:
        width, height: Of the picture that is sent, in pixels.
        pixel_m: Metres to a pixel of that picture; None where unknown.
        scale: "large", "medium" or "small"; None where it has none.
        footprint: Its outline in WGS 84 degrees (lon, lat), longitudes running on across the antimeridian; empty
            where unknown.
    """

    width: int
    height: int
    pixel_m: float | None = None
    scale: str | None = None
    footprint: tuple[tuple[float, float], ...] = ()

    def variables(self) -> dict[str, Any]:
        """What the templates know."""
        pixel_m = self.pixel_m
        metres = pixel_m and {
            "width_m": _rounded(self.width * pixel_m),
            "height_m": _rounded(self.height * pixel_m),
        }
        return {
            "width": self.width,
            "height": self.height,
            "pixel_m": pixel_m,
            "ground": metres,
            "scale": self.scale,
            **self._place(),
        }

    def _place(self) -> dict[str, Any]:
        if not self.footprint:
            return {"centre": None, "bounds": None}
        lon, lat = zip(*self.footprint, strict=True)
        west, south, east, north = min(lon), min(lat), max(lon), max(lat)
        return {
            "centre": {"lon": _wrapped((west + east) / 2), "lat": (south + north) / 2},
            "bounds": {"west": _wrapped(west), "south": south, "east": _wrapped(east), "north": north},
        }


@dataclass(frozen=True)
class Larger:
    """The slice that holds another, and what was said of it (HCoT-MIS, FUSAR-KLIP eq. 2-3)."""

    id: str
    scale: str | None
    texts: SubTexts


def facts_of(record: Record, sent: tuple[int, int], stored: tuple[int, int]) -> SliceFacts:
    """The facts of a record; a bad footprint counts as unknown.

    Args:
        record: The slice.
        sent: (width, height) of the picture that is sent.
        stored: (width, height) of the record's window, whose pixel size it states.
    """
    stated = record.provenance
    pixel_m = stated.get("pixel_m")
    return SliceFacts(
        width=sent[0],
        height=sent[1],
        pixel_m=pixel_m * stored[0] / sent[0] if pixel_m else None,
        scale=str(stated["scale"]) if stated.get("scale") else None,
        footprint=_footprint(stated.get("footprint")),
    )


class Templates:
    """The prompts' words.

    Args:
        folder: Templates of one's own; those it lacks are the shipped ones.

    Raises:
        CorpusError: The folder does not exist, or holds none of the templates.
    """

    def __init__(self, folder: Path | None = None) -> None:
        names = sorted(path.name for path in SHIPPED.glob("*.jinja"))
        own = sorted(folder.glob("*.jinja")) if folder else []
        if folder and not {path.name for path in own} & set(names):
            raise CorpusError(
                f"{folder} holds none of {', '.join(names)}: "
                "write them with fusar-train corpus describe --write-templates DIR, and edit those."
            )
        if too_large := [path for path in own if path.stat().st_size > _BYTES]:
            raise CorpusError(f"{too_large[0]} is larger than a template can be ({_BYTES >> 10} kB).")
        places = ([FileSystemLoader(folder)] if folder else []) + [FileSystemLoader(SHIPPED)]
        self._environment = SandboxedEnvironment(
            loader=ChoiceLoader(places), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        used = {name: SHIPPED / name for name in names} | {path.name: path for path in own}
        digest = hashlib.sha256()
        for name, path in sorted(used.items()):
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
        self.digest = digest.hexdigest()[:12]

    def prompt(self, facts: SliceFacts, keys: str, larger: Larger | None = None) -> str:
        """The whole question about a slice.

        Raises:
            CorpusError: A template makes no sense; its file and line are named.
        """
        said = larger and {"scale": larger.scale, "text": larger.texts.whole()}
        return self._rendered(
            "prompt.jinja", facts.variables() | {"key_set": keys, "keys": KEY_SETS[keys], "larger": said}
        )

    def again(self, missing: Sequence[str]) -> str:
        """The question for the keys that an answer lacks; CorpusError as ``prompt``."""
        return self._rendered("ask_again.jinja", {"keys": list(missing)})

    def _rendered(self, name: str, variables: dict[str, Any]) -> str:
        try:
            text = self._environment.get_template(name).render(variables)
            return _EMPTY_LINES.sub("\n\n", text).strip() + "\n"
        except TemplateError as error:
            line = getattr(error, "lineno", None)
            where = f"{getattr(error, 'filename', None) or name}{f', line {line}' if line else ''}"
            raise CorpusError(
                f"The template {where} makes no sense: {error.message or error}. "
                f"It knows {', '.join(sorted(variables))}."
            ) from error
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise CorpusError(f"The template {name} cannot be filled: {error}.") from error


def write_templates(folder: Path) -> list[Path]:
    """Copies the shipped templates into a folder to edit them; CorpusError where one is there already."""
    folder.mkdir(parents=True, exist_ok=True)
    targets = [folder / path.name for path in sorted(SHIPPED.glob("*.jinja"))]
    if there := [path for path in targets if path.exists()]:
        raise CorpusError(f"{there[0]} is there already: give the name of a new folder.")
    for target in targets:
        shutil.copyfile(SHIPPED / target.name, target)
    return targets


def _footprint(stated: Any) -> tuple[tuple[float, float], ...]:
    try:
        points = tuple((float(lon), float(lat)) for lon, lat in stated or ())
    except (TypeError, ValueError):
        return ()
    return points if all(abs(lon) <= 540 and abs(lat) <= 90 for lon, lat in points) else ()


def _wrapped(lon: float) -> float:
    return round((lon + 180) % 360 - 180, _METRES)


def _rounded(metres: float) -> int:
    """To two or three digits: more would claim too much."""
    step = 10 if metres >= 1000 else 1
    return round(metres / step) * step
