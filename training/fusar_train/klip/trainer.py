"""The training loop: one step of all three losses after another, saved now and then so that a killed run goes on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from fusar_gpt.retrieval import KlipModel, KlipTokenizer
from fusar_train.klip import losses
from fusar_train.klip.batches import Collator, KlipBatch, Schedule
from fusar_train.klip.data import KlipData
from fusar_train.klip.momentum import Keys, MomentumEncoders, Queue
from fusar_train.klip.processes import average_gradients, gathered, summed
from fusar_train.klip.settings import KlipError, KlipSettings
from fusar_train.klip.states import load_state, save_state, saved_sentence
from fusar_train.stages.run_log import RunLog
from fusar_train.stages.trainer import NUMBERED, numbered

_GROUPS = 4
"""Groups of like length that a CPU takes texts in; a GPU takes all at once."""
FIGURES = ("itc", "itm", "mlm", "matched")


class KlipTrainer:
    """Trains a model; ``data`` may be changed between two calls of ``train``, as SCIO does.

    Attributes:
        data: What it learns from.
        step: Steps made so far.
    """

    def __init__(
        self, model: KlipModel, tokenizer: KlipTokenizer, data: KlipData, settings: KlipSettings, work: Path,
        device: torch.device, log: RunLog | None = None,
    ) -> None:  # fmt: skip
        self.model, self.tokenizer, self.data = model.to(device), tokenizer, data
        self._settings, self._work, self._device, self._log = settings, work, device, log
        self.step = 0
        self._resumed: int | None = None  # the step that it goes on from
        self.steps = self.schedule().steps
        self.momentum = (
            MomentumEncoders(model, settings.momentum).to(device) if settings.needs_momentum else None
        )
        self.queue = Queue(settings.queue, model.config.embedding).to(device)
        decayed = [weight for weight in model.parameters() if weight.ndim > 1]
        others = [weight for weight in model.parameters() if weight.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
        self._half = computes_in_half(settings.precision, device)
        share = settings.batch // PartialState().num_processes
        self._groups = min(_GROUPS, max(share // 16, 1)) if device.type == "cpu" else 1
        self._recent: list[list[float]] = []

    def schedule(self) -> Schedule:
        """The examples of the run."""
        return Schedule(self.data, self._settings, self.model.config.image.image_px)

    def resume(self, folder: Path) -> None:
        """Goes on from a saved state; KlipError when it cannot be read."""
        self.step = self._resumed = load_state(folder, self.optimizer, **self._modules())

    def save(self) -> None:
        """Saves the state that a killed run goes on from; KlipError when it cannot be written."""
        save_state(self._work, self.step, self._settings.keep, self.optimizer, **self._modules())

    def train(self, until: int | None = None) -> None:
        """Makes steps until that many are made, by default all; saves the last one.

        Raises:
            KlipError: A loss or gradient is not finite, an image cannot be read, or a state cannot be saved. The last
                saved state stays.
        """
        until = self.steps if until is None else min(until, self.steps)
        state = PartialState()
        loader = DataLoader(
            self.schedule(),
            batch_sampler=_Shares(
                self.step, until, self._settings.batch, state.process_index, state.num_processes
            ),
            collate_fn=Collator(self.data, self.tokenizer),
            num_workers=self._settings.workers,
        )
        self.model.train()
        self._begin()
        for batch in self._read(loader):
            self._one_step(batch)
            if self.step % self._settings.save_every == 0 or self.step == until:
                self.save()
        self._end()

    def _read(self, loader: DataLoader[Any]) -> Iterator[KlipBatch]:
        try:
            yield from loader
        except KlipError as error:  # an image that cannot be read
            raise KlipError(f"{str(error).strip()} {saved_sentence(self._work)}") from error

    def _one_step(self, batch: KlipBatch) -> None:
        settings = self._settings
        # Chance is a function of settings and step, so that a run that goes on draws what it would have drawn.
        seed = np.random.SeedSequence((settings.seed, 2, self.step, PartialState().process_index))
        torch.manual_seed(int(seed.generate_state(1)[0]))
        rate = learning_rate(settings, self.step, self.steps, self.schedule_epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._half):
            total, figures = self.losses(batch.to(self._device))
        self._check_finite(total, "loss", batch)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        gradients = average_gradients(self.model)
        norm = torch.nn.utils.get_total_norm(gradients)
        self._check_finite(norm, "gradient", batch)
        torch.nn.utils.clip_grads_with_norm_(self.model.parameters(), settings.max_grad_norm, norm)
        self.optimizer.step()
        self.step += 1
        self._tell([float(total.detach()), *figures, float(norm)], rate)

    @property
    def schedule_epochs(self) -> float:
        """Steps in an epoch."""
        return len(self.data) / self._settings.batch

    def losses(self, batch: KlipBatch) -> tuple[Tensor, list[float]]:
        """The weighted sum of the three losses (eq. 7), and ``FIGURES``."""
        settings, model = self._settings, self.model
        tokens, images = model.encode_images(batch.images)
        states, texts = losses.reading(model, batch.ids, batch.mask, self._groups)
        itc = self._contrast(batch, images, texts)
        itm, matched = self._match(batch, images, texts, states, tokens)
        mlm, count = images.new_zeros(()), 0.0
        if len(batch.asked):
            mlm, learnt = losses.writing(model, batch.decoder, tokens[batch.asked], self._groups)
            count = float(learnt)
        (all_learnt,) = summed([count], self._device)
        # A mean over the tokens of all processes, whose gradients are averaged.
        mlm = mlm * PartialState().num_processes / max(all_learnt, 1.0)
        total = sum(
            (w * loss for w, loss in zip(settings.weights, (itc, itm, mlm), strict=True)), mlm.new_zeros(())
        )
        return total, [float(one.detach()) for one in (itc, itm, mlm, matched)]

    def _contrast(self, batch: KlipBatch, images: Tensor, texts: Tensor) -> Tensor:
        """ITC (eq. 4), both directions, against all processes' batches and the queue."""
        seen = (images, texts)
        if self.momentum is not None:
            self.momentum.follow(self.model)
            seen = self.momentum.encode(batch.images, batch.ids, batch.mask)
        new = Keys(*(gathered(one) for one in (*seen, batch.image_facts, batch.text_facts)))
        keys = new.followed_by(self.queue.keys())
        first = PartialState().process_index * len(images)
        own = torch.arange(first, first + len(images), device=images.device)
        facts = (batch.text_facts, batch.image_facts, keys.text_facts, keys.image_facts)
        of_images, of_texts = losses.relations(*facts, own)
        tau, alpha = self.model.temperature, self._alpha()
        soft: tuple[Tensor | None, Tensor | None] = (None, None)
        if alpha:
            soft = (
                losses.blend(seen[0], keys.texts, of_images, tau, alpha),
                losses.blend(seen[1], keys.images, of_texts, tau, alpha),
            )
        there = losses.contrast(images, keys.texts, of_images, tau, soft[0])
        back = losses.contrast(texts, keys.images, of_texts, tau, soft[1])
        if self.momentum is not None:
            self.queue.add(new)
        return (there + back) / 2

    def _match(
        self, batch: KlipBatch, images: Tensor, texts: Tensor, states: Tensor, tokens: Tensor
    ) -> tuple[Tensor, Tensor]:
        """ITM (eq. 5) on a share of this process's batch; its negatives come from all of it."""
        settings = self._settings
        own = torch.arange(len(images), device=images.device)
        facts = batch.text_facts, batch.image_facts
        relations = losses.relations(*facts, *facts, own)
        hard = settings.hard * min(self.step / max(settings.easy_share * self.steps, 1), 1.0)
        alike = losses.likeness(images, texts, self.model.temperature).detach()
        pairs = losses.make_pairs(alike, *relations, hard)
        if settings.matched < 1:
            kept = torch.rand(len(pairs.right), device=own.device) < settings.matched
            kept[0] = True
            pairs = losses.Pairs(pairs.texts[kept], pairs.images[kept], pairs.right[kept])
        return losses.matching(self.model, losses.Encoded(states, batch.mask), tokens, pairs, self._groups)

    def _alpha(self) -> float:
        rise = self._settings.alpha_epochs * self.schedule_epochs
        return self._settings.alpha * min(self.step / max(rise, 1), 1.0)

    def _modules(self) -> dict[str, torch.nn.Module]:
        momentum = {} if self.momentum is None else {"momentum": self.momentum}
        return {"model": self.model, "queue": self.queue, **momentum}

    def _check_finite(self, value: Tensor, what: str, batch: KlipBatch) -> None:
        bad = not bool(torch.isfinite(value.detach()))
        if not any(summed([float(bad)], self._device)):  # all processes stop when one does
            return
        mine = [self.data.records[number].id for number in batch.records.tolist()] if bad else []
        names = gather_object(mine) if PartialState().num_processes > 1 else mine
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        raise KlipError(
            f"The {what} is not finite at step {self.step + 1}, at {', '.join(names[:4])}{more}. Lower "
            f"learning_rate, or look at these records. {self._way_on()}"
        )

    def _way_on(self) -> str:
        """What to go on from; a state that fails at once is spoiled itself."""
        kept = [f"{NUMBERED}{step}" for step, _ in numbered(self._work)]
        if self.step != self._resumed or not kept:
            return saved_sentence(self._work)
        then = f"to go on from {kept[-2]}" if len(kept) > 1 else "and begin anew with another --work"
        return f"{self._work / kept[-1]} was read just now and may be spoiled: remove it {then}."

    def _begin(self) -> None:
        if self._log is not None:
            self._log.on_train_begin(None, self._state(), None)

    def _tell(self, figures: list[float], rate: float) -> None:
        self._recent.append(figures)
        if self._log is None:
            return
        self._log.on_step_end(None, self._state(), None)
        if self.step % self._settings.log_every == 0 or self.step in (1, self.steps):
            means = np.mean(self._recent, axis=0)
            values = dict(zip(("loss", *FIGURES, "grad_norm"), map(float, means), strict=True))
            more = {
                "learning_rate": rate,
                "epoch": self.step / self.schedule_epochs,
                "tau": float(self.model.temperature.detach()),
            }
            self._log.on_log(None, self._state(), None, values | more)
            self._recent = []

    def _end(self) -> None:
        if self._log is not None:
            self._log.on_train_end(None, self._state(), None)

    def _state(self) -> RunState:
        return RunState(self.step, self.steps, PartialState().is_main_process)


class RunState:
    """What ``RunLog`` wants to know of a run."""

    def __init__(self, step: int, steps: int, main: bool) -> None:
        self.global_step, self.max_steps, self.is_world_process_zero = step, steps, main


class _Shares(Sampler[list[int]]):
    """The places in the schedule that one process sees of each batch."""

    def __init__(self, first: int, last: int, batch: int, rank: int, processes: int) -> None:
        self._steps, self._batch = range(first, last), batch
        self._rank, self._mine = rank, batch // processes

    def __iter__(self) -> Iterator[list[int]]:
        for step in self._steps:
            begin = step * self._batch + self._rank * self._mine
            yield list(range(begin, begin + self._mine))

    def __len__(self) -> int:
        return len(self._steps)


def learning_rate(settings: KlipSettings, step: int, steps: int, steps_an_epoch: float) -> float:
    """The rate of a step: up from ``first_rate``, then down by epochs or in a cosine, never below ``last_rate``."""
    if step < settings.warmup_steps:
        return (
            settings.first_rate
            + (settings.learning_rate - settings.first_rate) * step / settings.warmup_steps
        )
    if settings.schedule == "epochs":
        return max(settings.last_rate, settings.learning_rate * settings.decay ** int(step / steps_an_epoch))
    done = (step - settings.warmup_steps) / max(steps - settings.warmup_steps, 1)
    return (
        settings.last_rate
        + (settings.learning_rate - settings.last_rate) * (1 + math.cos(math.pi * done)) / 2
    )


def computes_in_half(precision: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16: as told, or where the device does so fast."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported()) or bool(torch.cpu._is_amx_tile_supported())
