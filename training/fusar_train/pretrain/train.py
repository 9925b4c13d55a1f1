"""Trains the bundled tiny FUSAR-GPT from scratch: the vision tower, the language model, then both together.

One process with one thread runs on each core, with its own chips; gradients are averaged after every step. On a
machine that is shared, this is far faster than one process whose threads wait for each other at every operation.

The recipe is ``tiny.yaml``. The paper's two stages (FUSAR-GPT eq. 12-15) adapt a 7B model that already reads images and
writes text; a model of four million parameters has to learn both first.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from fusar_gpt.model import (
    Card,
    FusarGptForConditionalGeneration,
    FusarGptProcessor,
    load_checkpoint,
    save_checkpoint,
    tiny_config,
    tiny_image_processor,
    tiny_tokenizer,
)
from fusar_gpt.model.folder import CARD_TASKS
from fusar_gpt.model.tiny import MERGE, PATCH
from fusar_train.corpus.chip import LABELS
from fusar_train.pretrain import TINY
from fusar_train.pretrain.batches import Batch, Batches, Mixture
from fusar_train.pretrain.dense import DenseHead, dense_loss, words_loss
from fusar_train.pretrain.language import (
    LanguageLoss,
    attention_loss,
    hidden_states,
    order_numbers,
    record_attention,
    visual_tokens,
)
from fusar_train.pretrain.muon import Muon
from fusar_train.pretrain.questions import TEXTS, vocabulary
from fusar_train.pretrain.states import (
    FOLDER,
    PretrainError,
    Progress,
    load_optimizers,
    load_weights,
    read_progress,
    save_progress,
)
from fusar_train.simulation.ground import PIXEL_M
from fusar_train.validation import Count, Number, Positive, Whole, read_yaml

HEAD = "dense_head.safetensors"
APART, RESUMED_APART = 10_000_000, 1_000_000
"""Between the numbers of the chips of two processes, and of a run before and after it was stopped."""
WARM_UP = 0.04
LOG_EVERY = 20


_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Phase:
    """A phase of the training: what trains (``train``), how long, and the weights and rates of its losses.

    ``remember`` is the number of chips whose visual tokens are kept and asked about again and again, in a phase that
    trains the language model alone; 0 for chips that never come twice.
    """

    name: str
    steps: Count
    minutes: Positive
    train: list[str]
    dense: Number
    language: Number
    matrix_rate: Positive
    other_rate: Positive
    remember: Whole = 0

    def rate_of(self, optimizer: torch.optim.Optimizer) -> float:
        """The rate of the matrices, or of all else."""
        return self.matrix_rate if isinstance(optimizer, Muon) else self.other_rate


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Tower:
    """The vision tower: its blocks, their width, and the channels of its stem; None for Qwen's patches."""

    depth: Count = 6
    hidden: Count = 128
    stem: list[Count] | None = None


QWEN_TOWER = Tower()


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class PretrainSettings:
    """A recipe: ``tiny.yaml`` and ``mini_base.yaml`` explain the entries."""

    seed: Whole
    batch: Count
    processes: Count
    save_every_s: Positive
    mixture: Mixture
    phases: list[Phase]
    tower: Tower = QWEN_TOWER
    fine: Count = 1


def tiny_card(real: bool, patch: int = PATCH, merge: int = MERGE) -> Card:
    """The card of a tiny model whose tokens are ``merge`` patches of ``patch`` px wide."""
    data = "simulated SAR chips with real AlphaEarth Foundations vectors of 2024"
    return Card(
        name="tiny",
        title="FUSAR-GPT tiny (demonstration only)",
        prompt_set="compact",
        width=224,
        height=224,
        patch=patch,
        merge=merge,
        ground_m=224 * PIXEL_M,
        targets=list(LABELS),
        demonstration=True,
        prior_years=[2024, 2024],
        licence="research and demonstration only" if real else "GPL-3.0-or-later; demonstration only",
        trained_on=f"{data}, and real SSDD ship chips (no data licence)" if real else data,
        position_ramps=True,
        pixel_m=[1.0, 15.0]
        if real
        else [PIXEL_M, PIXEL_M],  # SSDD's are 1 to 15 m, in images of about 500 px
        chip_m=[500.0, 7500.0] if real else [224 * PIXEL_M, 224 * PIXEL_M],
        tasks=list(CARD_TASKS),
        free_questions=False,
        taught_questions=list(TEXTS.values()),
        sensors=["simulated SAR", *(["RADARSAT-2", "Sentinel-1", "TerraSAR-X"] if real else [])],
    )


def new_model(
    real: bool, seed: int, tower: Tower = QWEN_TOWER
) -> tuple[FusarGptForConditionalGeneration, FusarGptProcessor]:
    """An untrained tiny model and its processor."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer(vocabulary())
    config = tiny_config(tokenizer, vision_depth=tower.depth, vision_hidden=tower.hidden, stem=tower.stem)
    model = FusarGptForConditionalGeneration(config)
    order_numbers(model, tokenizer)
    sizes = config.vision_config.patch_size, config.vision_config.spatial_merge_size
    return model, FusarGptProcessor(tokenizer, tiny_image_processor(*sizes), tiny_card(real, *sizes))


class TinyTrainer:
    """Model, auxiliary head and log of one process of a training run; process 0 saves and logs."""

    def __init__(
        self,
        settings: PretrainSettings,
        out: Path,
        real: Sequence[Path] = (),
        planes: Path | None = None,
        start: Path | None = None,
        rank: int = 0,
        resume: bool = False,
    ) -> None:
        self.settings, self.out, self.rank = settings, out, rank
        self.progress = read_progress(out) if resume else Progress()
        self.model, self.processor = new_model(bool(real or planes), settings.seed, settings.tower)
        if start:
            self.model.load_state_dict(load_checkpoint(start, device="cpu").model.state_dict())
        record_attention(self.model)
        self.head = DenseHead(self.model.config.vision_config.out_hidden_size, settings.fine)
        if start and (start / HEAD).exists():
            self.head.load_state_dict(load_file(start / HEAD))
        if resume:
            load_weights(out, self.model, self.head)
            self.progress = replace(self.progress, resumed=self.progress.resumed + 1)
        self.language = LanguageLoss(self.processor.tokenizer)
        seed = settings.seed + APART * rank + RESUMED_APART * self.progress.resumed
        chips = settings.mixture.chips(seed, *real, planes=planes)
        size = settings.batch // settings.processes
        self.batches = Batches(chips, self.processor, self.model, size, seed, settings.fine)
        out.mkdir(parents=True, exist_ok=True)

    def run(self) -> None:
        """All phases that are left, saving now and then, so that a usable checkpoint is there at any time."""
        for number in range(self.progress.phase, len(self.settings.phases)):
            self.run_phase(self.settings.phases[number])
            self.progress = Progress(number + 1, resumed=self.progress.resumed)
            self.save()

    def run_phase(self, phase: Phase) -> None:
        """One phase, from where it is, until its steps or its minutes are over."""
        trained = self.freeze_others(phase)
        kept = phase.remember // self.settings.processes
        encode = partial(visual_tokens, self.model)
        stream = self.batches.remembered(kept, encode) if kept else iter(self.batches)
        optimizers = make_optimizers(trained, phase)
        rates = [
            (group, phase.rate_of(optimizer)) for optimizer in optimizers for group in optimizer.param_groups
        ]
        before = self.progress
        if before.step:
            load_optimizers(self.out, optimizers)
        start = saved = time.monotonic()
        recent: list[dict[str, float]] = []
        for step, batch in enumerate(stream, start=before.step + 1):
            losses = self.losses(batch, phase)
            recent.append({name: value.item() for name, value in losses.items()})
            backward(losses, [p for _, p in trained])
            now = time.monotonic()
            seconds = from_process_0(before.seconds + now - start)
            done = max(step / phase.steps, seconds / 60 / phase.minutes)
            for group, rate in rates:
                group["lr"] = rate * (min(done / WARM_UP, 1.0) * max(0.01, 1 - done))
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            self.progress = replace(before, step=step, seconds=seconds)
            if step % LOG_EVERY == 0 or done >= 1.0:
                self.log(phase, step, seconds, recent)
                recent = []
            if now - saved > self.settings.save_every_s:
                saved = now
                self.save(optimizers)
            if done >= 1.0:
                return

    def freeze_others(self, phase: Phase) -> list[tuple[str, nn.Parameter]]:
        """Freezes all but the phase's parts; returns the parameters that train, with their names."""
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(any(name.startswith(f"model.{part}.") for part in phase.train))
        named = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        return named + [(f"head.{name}", p) for name, p in self.head.named_parameters() if phase.dense]

    def losses(self, batch: Batch, phase: Phase) -> dict[str, Tensor]:
        """The weighted losses of a batch in a phase."""
        tokens = visual_tokens(self.model, batch.inputs) if batch.tokens is None else batch.tokens
        losses: dict[str, Tensor] = {}
        if phase.dense:
            dense = dense_loss(self.head(tokens), batch.cells)
            table = self.model.get_input_embeddings().weight
            said = self.head.words(tokens, table[self.language.numbers], table[self.language.sides])
            words = words_loss(said, batch.dense, self.language.soft)
            dense |= {name: 0.5 * value for name, value in words.items()}
            losses |= {f"dense {name}": phase.dense * value for name, value in dense.items()}
        if phase.language:
            states = hidden_states(self.model, batch.packed, tokens)
            spoken = self.language(self.model, batch.packed, states)
            spoken["where"] = attention_loss(self.model, batch.packed)
            losses |= {name: phase.language * value for name, value in spoken.items()}
        return losses

    def save(self, optimizers: Sequence[torch.optim.Optimizer] = ()) -> None:
        """Writes the checkpoint, and beside it the head for the next run and what this one goes on from."""
        if self.rank:
            return
        save_progress(self.out, self.progress, self.model, self.head, optimizers)
        self.model.eval()
        save_checkpoint(self.out, self.model, self.processor, self.processor.card)
        self.model.train()
        save_file(self.head.state_dict(), self.out / HEAD)

    def log(self, phase: Phase, step: int, seconds: float, recent: list[dict[str, float]]) -> None:
        """A line in ``log.txt`` with the means of the recent losses of this process."""
        if self.rank:
            return
        names = sorted({name for losses in recent for name in losses})
        means = {name: sum(losses.get(name, 0.0) for losses in recent) / len(recent) for name in names}
        chips = step * self.settings.batch
        parts = " ".join(f"{name} {value:.4f}" for name, value in means.items())
        line = f"{phase.name} step {step} {seconds:.0f} s {chips} chips ({chips / seconds:.1f}/s): {parts}"
        with (self.out / "log.txt").open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def make_optimizers(
    trained: list[tuple[str, nn.Parameter]], phase: Phase
) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices inside the networks, AdamW for embeddings, heads, norms and biases."""
    outer = ("embed_tokens", "patch_embed", "lm_head", "head.", "tlm.")
    matrices = [p for name, p in trained if p.ndim == 2 and not any(part in name for part in outer)]
    inside = {id(p) for p in matrices}
    others = [p for _, p in trained if id(p) not in inside]
    muon = Muon(matrices, lr=phase.matrix_rate, weight_decay=0.05)
    return muon, torch.optim.AdamW(others, lr=phase.other_rate, betas=(0.9, 0.98), weight_decay=0.01)


def backward(losses: dict[str, Tensor], parameters: list[nn.Parameter]) -> None:
    """The gradients of the summed losses, averaged over all processes and clipped."""
    total = sum(losses.values(), torch.zeros(()))
    total.backward()  # type: ignore[no-untyped-call]
    for parameter in parameters:  # a batch without any object leaves gradients out that another process has
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    average([p.grad for p in parameters if p.grad is not None])
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)


def average(gradients: list[Tensor]) -> None:
    """Averages gradients over all processes, in place."""
    if distributed.is_initialized():
        flat = parameters_to_vector(gradients)
        distributed.all_reduce(flat)
        vector_to_parameters(flat / distributed.get_world_size(), gradients)


def from_process_0(value: float) -> float:
    """Process 0's value, in every process."""
    shared = torch.tensor(value, dtype=torch.float64)
    if distributed.is_initialized():
        distributed.broadcast(shared, 0)
    return float(shared)


def train_process(
    rank: int,
    settings: PretrainSettings,
    out: Path,
    real: Sequence[Path],
    planes: Path | None,
    start: Path | None,
    meeting: str,
    resume: bool = False,
) -> None:
    """One of the processes of a run; they find each other through a file."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=settings.processes
    )
    try:
        TinyTrainer(settings, out, real, planes, start, rank, resume).run()
    finally:
        distributed.destroy_process_group()


def train_tiny(
    out: Path,
    real: Sequence[Path] = (),
    recipe: Path = TINY,
    start: Path | None = None,
    *,
    planes: Path | None = None,
    resume: bool = False,
) -> None:
    """Trains the tiny model into the folder ``out``; ``real`` and ``planes`` are real images (``Mixture.chips``).

    ``start`` is a folder of an earlier run, or any checkpoint of this architecture, to begin from instead of random
    weights. ``resume`` goes on with the run in ``out`` from where it was saved last.

    Raises:
        SettingsError: The recipe cannot be read, or an entry makes no sense.
        PretrainError: There is no run to go on with, or there is one and nobody said ``resume``.
    """
    settings = read_yaml(recipe, PretrainSettings)
    if resume:
        read_progress(out)
    elif (out / FOLDER).exists():
        raise PretrainError(f"{out} holds a run: go on with --resume, or give another --out.")
    with tempfile.TemporaryDirectory() as folder:
        arguments = (settings, out, tuple(real), planes, start, str(Path(folder) / "meeting"), resume)
        spawn(train_process, arguments, nprocs=settings.processes)  # type: ignore[no-untyped-call]
