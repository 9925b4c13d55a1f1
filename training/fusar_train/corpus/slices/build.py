"""``fusar-train corpus build``: from scenes to a corpus of slices, screened, with their priors (FUSAR-KLIP 3.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import shapely

from fusar_gpt.cli.terminal import progress_bar
from fusar_gpt.contract import AUTO_PRIOR
from fusar_gpt.errors import FusarError, OutputError, PriorError
from fusar_gpt.frames import SceneWindow
from fusar_gpt.imagery import split_layer
from fusar_gpt.prior_options import PriorSettings
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.slices import index
from fusar_train.corpus.slices.cut import Cut, CutTask
from fusar_train.corpus.slices.ground import assign_scene_splits, ground_groups, refused_scenes
from fusar_train.corpus.slices.scenes import SceneEntry, find_scenes
from fusar_train.corpus.slices.screening import Screen, ScreenOptions
from fusar_train.corpus.slices.slice import SCALES, Fate
from fusar_train.corpus.slices.src import LEAST_PX, SlicePlan, SrcOptions, plan_slices
from fusar_train.corpus.slices.store import CorpusFolder, SceneState, open_corpus
from fusar_train.corpus.slices.workers import Died, in_processes

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How a corpus is built.

    Attributes:
        src: How scenes are cut.
        screen: What is dropped.
        prior: "auto", "cog", "earth-engine", "none" or a file.
        priors: How priors are fetched.
        year: Of the prior; None means that of each scene.
        shares: Of train, val and test.
        seed: Draws the splits.
    """

    src: SrcOptions = field(default_factory=SrcOptions)
    screen: ScreenOptions = field(default_factory=ScreenOptions)
    prior: str = AUTO_PRIOR
    priors: PriorSettings = field(default_factory=PriorSettings)
    year: int | None = None
    shares: tuple[float, float, float] = (0.7, 0.15, 0.15)
    seed: int = 0

    def stated(self) -> dict[str, Any]:
        """What decides which slices there are, and what is in them, by name; secrets and folders do not."""
        files = {region: split_layer(region)[0] for region in self.screen.regions}
        return {
            "scales": list(self.src.sides_m),
            "max_px": self.src.max_px,
            **{
                name: value for name, value in asdict(self.screen).items() if name not in ("like", "examples")
            },
            "regions": {name: _sha256(file.read_bytes()) for name, file in files.items() if file.is_file()}
            | {name: None for name, file in files.items() if not file.is_file()},
            "like": {one.name: _sha256(repr(one.vectors).encode()) for one in self.screen.like},
            "examples": None if self.screen.examples is None else str(self.screen.examples),
            "prior": self.prior,
            "prior_nodes": self.priors.nodes,
            "prior_resampling": self.priors.resampling,
            "year": self.year,
            "shares": list(self.shares),
            "seed": self.seed,
        }


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


@dataclass(frozen=True)
class BuildResult:
    """What is in a corpus now: slices by scale and fate, its scenes, and what went wrong this time."""

    slices: Mapping[tuple[str, str], int]
    scenes: int
    faults: tuple[str, ...]

    @property
    def kept(self) -> int:
        """Slices in the corpus."""
        return sum(count for (_, fate), count in self.slices.items() if fate == Fate.KEPT.value)


def build(sources: Sequence[Path], out: Path, options: BuildOptions, jobs: int, tell: Tell) -> BuildResult:
    """Builds a corpus, goes on with one, or adds scenes to it.

    Args:
        sources: As for ``find_scenes``.
        out: Its folder.
        options: Of a corpus that is there already, the same.
        jobs: Processes that cut.
        tell: Takes sentences about what was chosen, left out or doubtful.

    Raises:
        CorpusError: The folder is none of this corpus; there is no scene; or no slice is kept.
        AreaError: A file of regions is missing or holds none.
        PriorError: The prior that was asked for cannot be had.
        OutputError: It cannot be written.
    """
    faults: dict[str, None] = {}  # each once, in order
    tell = cache(tell)  # each process says where its priors come from

    def fault(line: str) -> None:
        faults.setdefault(line)

    Screen.of(options.screen, tell)  # refuses polygons and examples that cannot be read
    with open_corpus(out, options.stated()) as corpus:
        entries = found_scenes(sources, tell, fault)
        surveyed = survey_all(entries, corpus, options, tell, fault)
        if not surveyed and not corpus.scenes:
            raise CorpusError(f"There is nothing to cut: {'; '.join(faults) or 'no scene was found'}")
        entries, corpus = grouped(entries, surveyed, corpus, options, fault)
        corpus.keep()
        try:
            cut_all(entries, corpus, options, jobs, tell, fault)
        except (OutputError, PriorError) as error:
            raise type(error)(f"{error} What is done stays: repeat the command to go on.") from error
        result = finish(corpus, options, fault)
        corpus.keep(faults=tuple(faults))
    if not result.kept:
        why = next(iter(faults), f"see why in {out / 'map.html'}")
        raise CorpusError(f"No slice is kept of {result.scenes} scenes: {why}")
    return replace(result, faults=tuple(faults))


def found_scenes(sources: Sequence[Path], tell: Tell, fault: Tell) -> list[SceneEntry]:
    """The scenes of all sources; what is none is a fault."""
    entries = []
    for found in find_scenes(sources, tell):
        if isinstance(found, SceneEntry):
            entries.append(found)
        else:
            fault(str(found))
    return entries


def survey_all(
    entries: Sequence[SceneEntry], corpus: CorpusFolder, options: BuildOptions, tell: Tell, fault: Tell
) -> dict[str, SceneState]:
    """What must be known of each scene before it is cut; those that cannot be cut are faults."""
    surveyed = {}
    with progress_bar(len(entries), "scenes", "looking at") as show:
        for number, entry in enumerate(entries, 1):
            try:
                surveyed[entry.name] = survey(entry, corpus.scenes.get(entry.name), options.src, tell)
            except FusarError as error:
                fault(f"{entry.path}: {error}")
            show(number)
    return surveyed


def survey(entry: SceneEntry, known: SceneState | None, options: SrcOptions, tell: Tell) -> SceneState:
    """One stretch for a whole scene, where it has data, and how many blocks that makes.

    Raises:
        SceneError: It is damaged, holds no data, or cannot be placed.
        CorpusError: Its pixels are too coarse for any slice; or the corpus has another scene of that name.
    """
    with entry.open() as scene:
        if known is not None and known.fingerprint != scene.fingerprint:
            raise CorpusError(
                f"the corpus has slices of another scene that is called {entry.name}, or of this one before it "
                "changed: rename the file, or build into a new folder."
            )
        pixels = {name: side / scene.pixel_size_m for name, side in zip(SCALES, options.sides_m, strict=True)}
        small = [f"{name} slices {count:.0f} px" for name, count in pixels.items() if count < LEAST_PX]
        if len(small) == len(SCALES):
            raise CorpusError(
                f"its pixels of {scene.pixel_size_m:.3g} m are too coarse: even a large slice has fewer than "
                f"{LEAST_PX} px a side. Give larger --scales, or finer scenes."
            )
        if small:
            tell(
                f"{entry.name}: pixels of {scene.pixel_size_m:.3g} m give its {' and '.join(small)} a side; with "
                f"fewer than {LEAST_PX} they are left out"
            )
        stretch = scene.stretch()
        for warning in scene.warnings:
            tell(f"{entry.name}: {warning}")
        plan = plan_slices(scene, entry, options)
        at = plan.bounds
        return SceneState(
            path=str(entry.path.absolute()),
            fingerprint=scene.fingerprint,
            stretch=(stretch.low_db, stretch.high_db),
            bounds=(at.col, at.row, at.width, at.height),
            blocks=len(plan),
            group=known.group if known else "",
            footprint=entry.footprint.wkt,
            facts={
                "band": scene.band,
                "quantity": scene.quantity,
                "pixel_m": scene.pixel_size_m,
                "simulated": scene.simulated,
                "sensor": entry.sensor,
                "polarisation": entry.polarisation,
                "acquired": entry.acquired,
                "licence": entry.licence,
                "attribution": entry.attribution,
            },
        )


def grouped(
    entries: Sequence[SceneEntry],
    surveyed: Mapping[str, SceneState],
    corpus: CorpusFolder,
    options: BuildOptions,
    fault: Tell,
) -> tuple[list[SceneEntry], CorpusFolder]:
    """The scenes that can be cut, and the corpus with them: scenes over the same ground in one group and split.

    Groups and splits that the corpus has stay. A new scene over ground of two splits is a fault.
    """
    before = {name: corpus.splits[state.group] for name, state in corpus.scenes.items()}
    scenes = {**corpus.scenes, **surveyed}
    placed = [
        SimpleNamespace(name=name, footprint=shapely.from_wkt(one.footprint)) for name, one in scenes.items()
    ]
    refused = refused_scenes(placed, before)
    for error in refused.values():
        fault(str(error))
    scenes = {name: state for name, state in scenes.items() if name not in refused}
    groups = ground_groups([one for one in placed if one.name not in refused])
    names = {groups[name]: state.group for name, state in reversed(list(corpus.scenes.items()))}
    scenes = {
        name: state if state.group else replace(state, group=names.get(groups[name], groups[name]))
        for name, state in scenes.items()
    }
    weights = {name: float(state.blocks) for name, state in scenes.items()}
    splits = assign_scene_splits(groups, weights, options.shares, options.seed, before)
    by_group = {state.group: splits[name] for name, state in scenes.items()}
    able = [entry for entry in entries if entry.name in surveyed and entry.name not in refused]
    return able, replace(corpus, scenes=scenes, splits=by_group)


def cut_all(
    entries: Sequence[SceneEntry],
    corpus: CorpusFolder,
    options: BuildOptions,
    jobs: int,
    tell: Tell,
    fault: Tell,
) -> None:
    """Cuts, screens and stores the blocks that are not there yet; one that fails is a fault, and the rest goes on.

    Raises:
        PriorError: The prior that was asked for cannot be had.
        OutputError: The disk is full, or the folder is gone.
    """
    done = corpus.done()
    total = sum(corpus.scenes[entry.name].blocks for entry in entries)
    tasks = partial(tasks_of, entries, corpus, options, done)
    before = total - sum(1 for _ in tasks()) if done else 0
    begin = partial(Cut, corpus.path, options.screen, options.prior, options.priors, options.year)
    with progress_bar(total, "blocks", "cutting") as show:
        show(before)
        for number, (task, came) in enumerate(in_processes(tasks(), jobs, begin, tell), before + 1):
            if isinstance(came, (OutputError, PriorError)):
                raise came
            if isinstance(came, (Died, FusarError)):
                fault(f"{task.block.name}: {came}. Repeat the command to try it again.")
            else:
                for line in came:
                    fault(line)
            show(number)


def tasks_of(
    entries: Sequence[SceneEntry], corpus: CorpusFolder, options: BuildOptions, done: set[str]
) -> Iterator[CutTask]:
    """The blocks that are yet to be cut, planned as they are needed."""
    for entry in entries:
        state = corpus.scenes[entry.name]
        with entry.open() as scene:
            for block in SlicePlan(scene, entry, options.src, SceneWindow(*state.bounds)):
                if block.name not in done:
                    yield CutTask(entry, state, block)


def finish(corpus: CorpusFolder, options: BuildOptions, fault: Tell) -> BuildResult:
    """Writes the index and the pictures of all that is there."""
    from fusar_train.corpus.slices import pages, screening

    path = corpus.path
    index.merge_parts(corpus.parts(), path / index.INDEX_FILE, corpus.splits)
    pictures: dict[str, Callable[..., Any]] = {
        "map.html": partial(pages.write_map, title=path.absolute().name),
        "sheet.png": pages.write_sheet,
        "screening.png": partial(screening.write_screening_picture, threshold=options.screen.richness),
    }
    for name, write in pictures.items():
        try:
            write(index.read_index(path), path / name)
        except OutputError:
            raise
        except FusarError as error:
            fault(f"{name}: {error}")
    return BuildResult(index.counts(path), len(corpus.scenes), ())
