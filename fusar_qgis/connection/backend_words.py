"""The backend's own sentences in the analyst's language.

The backend speaks English. Each sentence below is one of its own, with a name for each thing that it fills in; a test
compares them with its source. What is not among them is shown as it came, behind a sentence about its kind.
"""

from __future__ import annotations

import re
from functools import cache

from ..translation import QT_TRANSLATE_NOOP, translate, translate_marked

_CONTEXT = "BackendWords"

SENTENCES = (
    QT_TRANSLATE_NOOP(
        "BackendWords",
        "the area lies outside the scene, which covers longitude {west} to {east}, latitude {south} to {north}: "
        "draw it there, or check its CRS",
    ),
    QT_TRANSLATE_NOOP(
        "BackendWords", "the area leaves the extent of the scene's CRS: draw it closer to the scene"
    ),
    QT_TRANSLATE_NOOP("BackendWords", "the area is empty: draw a polygon"),
    QT_TRANSLATE_NOOP("BackendWords", "the area is not a valid polygon ({reason}): draw it again"),
    QT_TRANSLATE_NOOP("BackendWords", "the area's CRS '{crs}' is unknown: give one such as EPSG:4326"),
    QT_TRANSLATE_NOOP(
        "BackendWords",
        "the area takes {chips} chips, a conversation at most {most}: draw a smaller area, or start a job",
    ),
    QT_TRANSLATE_NOOP(
        "BackendWords",
        "there is no data on {share} of the area, band '{band}' of '{scene}', so the model was not asked: draw the "
        "area where the scene has data, or choose another band",
    ),
    QT_TRANSLATE_NOOP(
        "BackendWords",
        "the scene has no georeferencing, so no answer can be put on a map: georeference it in QGIS (Layer > "
        "Georeferencer), or open the product's own file instead of an exported picture",
    ),
    QT_TRANSLATE_NOOP("BackendWords", "the scene's CRS is not understood: assign one by its EPSG code"),
    QT_TRANSLATE_NOOP(
        "BackendWords",
        "a pixel of '{scene}' would be {size} m on the ground by its CRS '{crs}', as no radar image has it: its "
        "coordinates are in another CRS or unit, assign the right one",
    ),
    QT_TRANSLATE_NOOP("BackendWords", "'{scene}' lies outside its CRS '{crs}': assign the right CRS"),
    QT_TRANSLATE_NOOP("BackendWords", "'{scene}' is damaged or cut short: copy or download it again"),
    QT_TRANSLATE_NOOP(
        "BackendWords",
        "'{file}' is not a raster that this server opens ({formats}), or it is damaged: convert it to GeoTIFF",
    ),
    QT_TRANSLATE_NOOP("BackendWords", "'{file}' is not a file: name the raster itself, not its folder"),
    QT_TRANSLATE_NOOP(
        "BackendWords", "this checkpoint does not know '{target}'; it knows: {targets}"
    ),
    QT_TRANSLATE_NOOP(
        "BackendWords",
        "a {target} is at most {length} m long, not even two of the scene's pixels of {pixel} m: take a finer scene",
    ),
    QT_TRANSLATE_NOOP("BackendWords", "There is no prior file {file}: give the path of a file, or none."),
    QT_TRANSLATE_NOOP(
        "BackendWords", "{file} is not a prior: give a 64-band AEF raster, or AEF points as .npz or .npy."
    ),
    QT_TRANSLATE_NOOP(
        "BackendWords", "{file} has {bands} bands and AEF has {wanted}: export bands A00 to A63."
    ),
    QT_TRANSLATE_NOOP(
        "BackendWords", "{file} is not georeferenced: give a raster with a CRS and a geotransform."
    ),
    QT_TRANSLATE_NOOP("BackendWords", "{file} cannot be read, it is damaged or gone: fetch it again."),
    QT_TRANSLATE_NOOP("BackendWords", "no AlphaEarth tile covers this place"),
    QT_TRANSLATE_NOOP(
        "BackendWords",
        "The prior {prior} comes from {host}, and no network may be used for it: allow the network, or take auto, "
        "which goes on with what is at hand.",
    ),
    QT_TRANSLATE_NOOP(
        "BackendWords", "the bundled model {model} is not in this installation: install fusar-gpt again"
    ),
    QT_TRANSLATE_NOOP(
        "BackendWords", "{model} is not a checkpoint: give {bundled}, a stored name, a folder or a model hub id"
    ),
    QT_TRANSLATE_NOOP("BackendWords", "{model} lacks {parts}: get the checkpoint again"),
    QT_TRANSLATE_NOOP(
        "BackendWords", "{file} is corrupted (its SHA-256 differs from the card's): get the checkpoint again"
    ),
    QT_TRANSLATE_NOOP("BackendWords", "the server is shutting down; start it again"),
    QT_TRANSLATE_NOOP("BackendWords", "{count} jobs are waiting already; try again when some are done"),
    QT_TRANSLATE_NOOP(
        "BackendWords", "too many of your jobs are waiting already; try again when some are done"
    ),
    QT_TRANSLATE_NOOP(
        "BackendWords", "the server's disk is full; free some space on it, then start the job again"
    ),
    QT_TRANSLATE_NOOP("BackendWords", "too many scenes are being opened; try again in a moment"),
    QT_TRANSLATE_NOOP("BackendWords", "this took longer than {limit} s; draw a smaller area, or start the job"),
    QT_TRANSLATE_NOOP("BackendWords", "unexpected {kind}; the server's log says more"),
    QT_TRANSLATE_NOOP("BackendWords", "No data on {share} of the area: nothing is known of that ground."),
    QT_TRANSLATE_NOOP("BackendWords", "No data on {share} of the area in this chip."),
    QT_TRANSLATE_NOOP("BackendWords", "{encoder} does not know every word: it read {words}."),
    QT_TRANSLATE_NOOP("BackendWords", "{encoder} does not know {words}; it searched for the rest."),
    QT_TRANSLATE_NOOP(
        "BackendWords",
        "{encoder} knows none of the words of {text}: use words that it knows, {words}; `fusar checkpoint show "
        "{name}` lists all",
    ),
    QT_TRANSLATE_NOOP("BackendWords", "{text} holds no words: write what to find, {words}"),
    QT_TRANSLATE_NOOP("BackendWords", "Searched for '{wanted}', away from {unwanted}."),
    QT_TRANSLATE_NOOP(
        "BackendWords",
        "'{wanted}' says only what is not there, which {encoder} hardly knows: say what is there, too.",
    ),
    QT_TRANSLATE_NOOP(
        "BackendWords",
        "Slices of {slice} m have pixels of {pixel} m, a size that {encoder} was not taught ({taught} m): how it "
        "ranks them is a guess.",
    ),
    QT_TRANSLATE_NOOP(
        "BackendWords",
        "A slice of {slice} m reaches beyond the scene, which is smaller: there the encoder sees black.",
    ),
    QT_TRANSLATE_NOOP(
        "BackendWords",
        "An example is {large} m wide and slices are {slice} m: it is shown smaller to be compared, so what is in it "
        "looks smaller, too.",
    ),
    QT_TRANSLATE_NOOP(
        "BackendWords",
        "the scene has too little data {place}, so nothing can be like it: give an example where it has data",
    ),
    QT_TRANSLATE_NOOP(
        "BackendWords",
        "the example {place} lies outside the scene: give a place on it, x before y, and the CRS that it is in "
        "(taken for {crs})",
    ),
    QT_TRANSLATE_NOOP(
        "BackendWords",
        "there is no data on {share} of the area, band '{band}' of '{scene}', and nowhere on {half}, so there is "
        "nothing to search: draw the area where the scene has data, or choose another band",
    ),
    QT_TRANSLATE_NOOP(
        "BackendWords", "'{scene}' is smaller than {half}, too little to compare: take a larger scene"
    ),
    QT_TRANSLATE_NOOP(
        "BackendWords",
        "Slices show at least {least} m of this scene, not {wanted} m: its pixels are not magnified.",
    ),
)  # fmt: skip


def in_words(text: str, code: str = "") -> str:
    """Return a sentence of the backend in the analyst's language; in English it stays as it is.

    Args:
        text: As the backend wrote it.
        code: The kind of problem that it is about, as in :class:`~fusar_qgis.contract.Problem`; empty if none.
    """
    for template, pattern in _patterns():
        found = pattern.fullmatch(text)
        if found is not None:
            words = translate_marked(_CONTEXT, template)
            for name, value in found.groupdict().items():
                words = words.replace(f"{{{name}}}", value)
            return words
    lead = _leads().get(code, "") if text.isascii() else ""  # else it is in the analyst's language already
    return f"{lead} {sentence(text)}" if lead else text


def sentence(text: str) -> str:
    """Return a text with a capital and a full stop."""
    text = text[:1].upper() + text[1:]
    return text if not text or text[-1] in ".!?…。" else f"{text}."


def _leads() -> dict[str, str]:
    """For each kind of problem a translated sentence, where the analyst's language is not the backend's."""
    if translate("BackendWords", "the area is empty: draw a polygon") == "the area is empty: draw a polygon":
        return {}
    return {
        "area-error": translate("BackendWords", "The area cannot be used."),
        "scene-error": translate("BackendWords", "The scene cannot be used."),
        "prior-error": translate("BackendWords", "The prior cannot be used."),
        "task-error": translate("BackendWords", "The question cannot be asked like this."),
        "checkpoint-error": translate("BackendWords", "The model cannot be loaded."),
        "too-large": translate("BackendWords", "That is too much at once."),
        "busy": translate("BackendWords", "The backend has too much to do."),
        "path-refused": translate("BackendWords", "The backend may not read that file."),
        "journal-error": translate("BackendWords", "The backend cannot keep its jobs."),
        "invalid-request": translate("BackendWords", "The backend does not accept the request."),
    }


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((template, _pattern(template)) for template in SENTENCES)


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    fixed = (re.escape(part) if place % 2 == 0 else f"(?P<{part}>.+?)" for place, part in enumerate(parts))
    return re.compile("".join(fixed), re.DOTALL)
