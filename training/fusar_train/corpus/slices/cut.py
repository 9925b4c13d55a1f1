"""One block of slices in a process of its own: read, quantised, screened, given a prior, stored."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fusar_gpt.contract import NO_PRIOR, InterpretRequest, Task
from fusar_gpt.errors import SceneError
from fusar_gpt.frames import SceneWindow
from fusar_gpt.imagery import Scene, Stretch
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.priors import PriorField, PriorSource
from fusar_gpt.scene_prior import footprint, open_scene_prior
from fusar_train.corpus.slices.scenes import SceneEntry
from fusar_train.corpus.slices.screening import Screen, ScreenOptions
from fusar_train.corpus.slices.slice import Fate, Slice, SliceRow, Verdict
from fusar_train.corpus.slices.src import Block, BlockPixels, chip_of, share_within, too_small
from fusar_train.corpus.slices.store import SceneState, SliceRecord, write_block

THUMBNAIL_PX = 96


@dataclass(frozen=True)
class CutTask:
    """A block that is yet to be cut, and the scene that it lies in."""

    entry: SceneEntry
    state: SceneState
    block: Block


@dataclass(frozen=True)
class _Opened:
    """A scene that is being cut, and where its priors come from."""

    scene: Scene
    source: PriorSource
    stretch: Stretch
    year: int | None

    def prior(self, one: Slice) -> PriorField:
        """F(B, y) of a slice (FUSAR-GPT eq. 1 to 3)."""
        return self.source.prior(footprint(self.scene, chip_of(one)), self.year)

    def prefetch(self, slices: Iterable[Slice]) -> None:
        """Starts to fetch the priors of some."""
        for one in slices:
            self.source.prefetch(footprint(self.scene, chip_of(one)), self.year)


class Cut:
    """Cuts blocks, one at a time; the scene of the last one stays open.

    Args:
        out: The corpus's folder.
        screen: What is dropped.
        prior: Where priors come from, as ``fusar interpret`` takes it.
        priors: How they are fetched.
        year: Of the prior; None means that of the scene.
    """

    def __init__(
        self, out: Path, screen: ScreenOptions, prior: str, priors: PriorSettings, year: int | None
    ) -> None:
        self._out = out
        self._options = screen
        self._screen = Screen.of(screen)
        self._request = prior, priors, year
        self._open: tuple[str, _Opened] | None = None
        self._close = ExitStack()

    def __call__(
        self, task: CutTask, following: CutTask | None, say: Callable[[str], None]
    ) -> tuple[str, ...]:
        """Stores the block; returns what is wrong with its scene.

        Raises:
            SceneError: The scene cannot be opened any more.
            PriorError: The prior that was asked for cannot be had.
            OutputError: It cannot be stored.
        """
        opened = self._opened(task, say)
        near = task.block.slices
        if following is not None and following.entry.name == task.entry.name:
            near += following.block.slices
        if self._needs_priors:
            opened.prefetch(one for one in near if self._hopeless(one, task.state) is None)
        pixels = BlockPixels(opened.scene, opened.stretch)
        judged = [self._judged(one, task.state, opened, pixels) for one in task.block.slices]
        kept = [one for one in judged if one.verdict.fate is Fate.KEPT]
        if not self._needs_priors:
            opened.prefetch(one.slice for one in kept)
        for one in kept:
            one.prior = one.prior or opened.prior(one.slice)
        rows = [one.row(task.state.group) for one in judged]
        write_block(self._out, task.block.name, rows, [self._record(one, task) for one in kept])
        return tuple({f"{task.entry.path}: {one.fault}": None for one in judged if one.fault})

    @property
    def _needs_priors(self) -> bool:
        """Whether what is dropped depends on priors, so that they are asked for before anything is."""
        return needs_prior(self._options)

    def _hopeless(self, one: Slice, state: SceneState) -> Fate | None:
        """Why a slice is not even read."""
        if too_small(one):
            return Fate.SMALL
        return (
            Fate.NO_DATA if share_within(one, SceneWindow(*state.bounds)) < self._options.min_data else None
        )

    def _judged(self, one: Slice, state: SceneState, opened: _Opened, pixels: BlockPixels) -> _Judged:
        if (fate := self._hopeless(one, state)) is not None:
            return _Judged(one, Verdict(fate=fate))
        try:
            seen = pixels.of(one)
        except SceneError as error:
            return _Judged(one, Verdict(fate=Fate.DAMAGED), fault=str(error))
        share = float(seen.has_data.mean())
        prior = opened.prior(one) if self._needs_priors and share >= self._options.min_data else None
        asked = prior or PriorField.empty(NO_PRIOR)
        verdict = self._screen.judge(seen.grey, seen.has_data, asked, one)
        return _Judged(one, verdict, share, _thumbnail(seen.grey), seen.grey, prior)

    def _record(self, one: _Judged, task: CutTask) -> SliceRecord:
        where, state, prior = one.slice, task.state, one.prior
        assert one.grey is not None
        assert prior is not None
        facts = state.facts
        attributions = (facts["attribution"], prior.attribution if len(prior) else None)
        known = {
            "dataset": self._out.absolute().name,
            "licence": facts["licence"],
            "attribution": " ".join(filter(None, attributions)) or None,
            "sensor": where.sensor,
            "polarisation": where.polarisation,
            "acquired": where.acquired,
            "year": int(where.acquired[:4]) if where.acquired else None,
            "simulated": facts["simulated"],
            "quantity": facts["quantity"],
            "stretch": list(state.stretch),
            "pixel_m": where.pixel_m,
            "scale": where.scale,
            "parent": where.parent,
            "region": one.verdict.region,
            "footprint": [list(point) for point in where.footprint],
            "crs": where.crs,
            "affine": None if where.affine is None else list(where.affine),
            "of": where.scene,
            "prior": prior.source,
            "complete": [],
        }
        return SliceRecord(
            id=where.id,
            image=Path(where.id),
            objects=(),
            prior=Path(where.id) if len(prior) else None,
            scene=state.group,
            provenance={name: value for name, value in known.items() if value is not None},
            grey=one.grey,
            field=prior,
        )

    def _opened(self, task: CutTask, say: Callable[[str], None]) -> _Opened:
        if self._open is None or self._open[0] != task.entry.name:
            self._close.close()
            spec, settings, year = self._request
            scene = self._close.enter_context(task.entry.open())
            year = year or (int(task.entry.acquired[:4]) if task.entry.acquired else None)
            request = InterpretRequest(str(scene.path), Task.DESCRIBE, prior=spec, year=year)
            source = open_scene_prior(request, scene, settings, say)
            self._close.enter_context(closing(source))
            self._open = task.entry.name, _Opened(scene, source, Stretch(*task.state.stretch), year)
        return self._open[1]


@dataclass
class _Judged:
    """What became of a slice, and what its record needs."""

    slice: Slice
    verdict: Verdict
    data_share: float | None = None
    thumbnail: bytes = b""
    grey: NDArray[np.uint8] | None = None
    prior: PriorField | None = None
    fault: str | None = None

    def row(self, group: str) -> SliceRow:
        """Its row of the index."""
        prior = self.prior or PriorField.empty(NO_PRIOR)
        return SliceRow(
            slice=self.slice,
            verdict=self.verdict,
            data_share=self.data_share,
            prior=prior.source,
            prior_nodes=len(prior),
            thumbnail=self.thumbnail,
            group=group,
        )


def needs_prior(options: ScreenOptions) -> bool:
    """Whether a screen looks at priors: at the land cover that they show, of water too."""
    return options.drop_water or options.needs_prior


def _thumbnail(grey: NDArray[np.uint8]) -> bytes:
    image, stored = Image.fromarray(grey), io.BytesIO()
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)
    image.save(stored, "PNG")
    return stored.getvalue()
