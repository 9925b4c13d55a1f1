"""Two-stage decoupled fine-tuning (FUSAR-GPT eq. 12-15): stage 1 injects knowledge, stage 2 learns the tasks.

``run_stage`` is one stage from a base to a checkpoint folder that the backend loads. While it runs, everything it
needs to go on after a crash lies in a folder of its own, ``work``.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import TrainingArguments

from fusar_gpt.model import FusarGptForConditionalGeneration
from fusar_gpt.model.checkpoint import default_attention
from fusar_gpt.model.folder import BROKEN
from fusar_train.stages import lora
from fusar_train.stages.base_checkpoint import Start, check_stage, find_base, open_start
from fusar_train.stages.examples import Collator, Examples, Schedule, load_examples
from fusar_train.stages.result import Result, check_free, write_result
from fusar_train.stages.run_log import RunLog, read_log, tensorboard
from fusar_train.stages.settings import RECIPES, Settings, StageError
from fusar_train.stages.trainer import StageTrainer, latest, numbered
from fusar_train.stages.visual_token_cache import remember

RUN_FILE = "run.json"
HARMLESS = ("workers", "save_every", "keep", "log_every", "micro_batch", "weights", "adapter")
"""Settings that may differ when a run is resumed: they change no step of it."""


@dataclass(frozen=True)
class Order:
    """What to do.

    Attributes:
        stage: 1 or 2.
        base: A checkpoint's name or folder, a plain Qwen2.5-VL folder, or a hub id.
        data: Folders or files of records, or shards.
        out: The checkpoint that is made; must not exist yet.
        work: What the run keeps meanwhile.
        settings: How to train.
        resume: Go on with the run in ``work``.
        without_stage1: Let stage 2 start from a base that stage 1 has not seen.
        report: One of ``run_log.REPORTS``.
        device: "auto" or "cpu".
        visual_tokens: A folder to keep the frozen visual encoder's tokens in, for other epochs, stages and runs.
    """

    stage: int
    base: str
    data: tuple[Path, ...]
    out: Path
    work: Path
    settings: Settings
    resume: bool = False
    without_stage1: bool = False
    report: str = "tensorboard"
    device: str = "auto"
    visual_tokens: Path | None = None


def run_stage(order: Order) -> None:
    """Trains a stage and writes its checkpoint.

    Raises:
        FusarError: Something is wrong with base, data or settings, or went wrong on the way; the line says what
            was saved.
    """
    settings = order.settings
    check_free(order.out)
    options = training_arguments(order)
    folder = _base_folder(order)
    if order.resume and not numbered(order.work):
        raise StageError(
            f"{order.work} holds no run to resume: leave --resume out, or give its folder as --work."
        )
    dtype = torch.bfloat16 if options.bf16 and settings.parallel != "fsdp" else torch.float32
    attention = attention_of(settings, options.device, torch.bfloat16 if options.bf16 else torch.float32)
    start = open_start(folder, settings, device=str(options.device), dtype=dtype, attention=attention)
    examples = load_examples(order.data, start.card, settings)
    schedule = Schedule(examples, settings)
    resumed = open_run(order, start, examples, schedule.steps)
    lora.prepare(start.model, settings)
    if order.visual_tokens is not None:
        _remember(order.visual_tokens, start.model)
    _say(order, start.model, examples, schedule.steps)
    options.max_steps, options.warmup_steps = schedule.steps, math.ceil(settings.warmup * schedule.steps)
    trainer = _trainer(order, options, start, schedule, resumed)
    trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    trained = trainer.result()
    if trainer.is_world_process_zero():
        facts = Result(
            order.stage, order.base, folder, order.data, settings, schedule.steps, read_log(order.work)
        )
        write_result(order.out, trained, facts, examples)
        for _, path in numbered(order.work):
            shutil.rmtree(path)
    trainer.accelerator.wait_for_everyone()


def _remember(folder: Path, model: FusarGptForConditionalGeneration) -> None:
    if any(weight.requires_grad for weight in model.model.visual.parameters()):
        raise StageError(
            "Visual tokens can be kept only while the encoder is frozen: set lora_vision to false."
        )
    remember(model.model.visual, folder)


def training_arguments(order: Order) -> TrainingArguments:
    """The library's arguments; the number of steps is not known yet. StageError when the batch cannot be shared out."""
    settings = order.settings
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    together = settings.micro_batch * processes
    if settings.batch % together:
        raise StageError(
            f"A batch of {settings.batch} cannot be shared out to {processes} processes with {settings.micro_batch} "
            "examples at once: set batch to a multiple, or change micro_batch."
        )
    gpu = order.device == "auto" and torch.cuda.is_available()
    half = settings.precision == "bfloat16" or (
        settings.precision == "auto" and gpu and torch.cuda.is_bf16_supported()
    )
    if settings.parallel == "fsdp" and processes < 2:
        raise StageError(
            "parallel fsdp needs several processes: start it with torchrun, or set parallel to ddp."
        )
    if settings.parallel == "fsdp":
        # As accelerate launch would: whole weights are gathered on the CPU, for which NCCL alone will not do.
        os.environ |= {"ACCELERATE_USE_FSDP": "true", "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT"}
    sharding: dict[str, dict[str, Any]] = {
        "zero2": {"deepspeed": str(RECIPES / "zero2.json")},
        "fsdp": {"fsdp": True, "fsdp_config": str(RECIPES / "fsdp.json")},
        "ddp": {},
    }
    try:
        options = TrainingArguments(
            output_dir=str(order.work),
            per_device_train_batch_size=settings.micro_batch,
            gradient_accumulation_steps=settings.batch // together,
            max_steps=1,
            learning_rate=settings.learning_rate,
            lr_scheduler_type=settings.schedule,
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            optim="adamw_torch",
            bf16=half,
            use_cpu=not gpu,
            seed=settings.seed,
            logging_steps=settings.log_every,
            logging_first_step=True,
            save_steps=settings.save_every,
            remove_unused_columns=False,
            label_names=["labels"],
            dataloader_num_workers=settings.workers,
            dataloader_pin_memory=gpu,
            # Every weight that trains gets a gradient from every batch, also TLM's without any prior.
            ddp_find_unused_parameters=False,
            ddp_backend="gloo" if "LOCAL_RANK" in os.environ and not gpu else None,
            disable_tqdm=True,
            report_to=order.report if order.report in ("trackio", "wandb") else "none",
            **sharding[settings.parallel],
        )
    except (ImportError, ValueError) as error:
        raise StageError(f"Training cannot start here: {' '.join(str(error).split())[:300]}.") from error
    if options.n_gpu > 1:
        print("note: one process uses one GPU; start it with torchrun to use them all", file=sys.stderr)
        options._n_gpu = 1
    return options


def attention_of(settings: Settings, device: torch.device, dtype: torch.dtype) -> str:
    """The attention that the settings name, or the fastest that can run."""
    return default_attention(device, dtype) if settings.attention == "auto" else settings.attention


def open_run(order: Order, start: Start, examples: Examples, steps: int) -> Path | None:
    """Makes the run's folder, or finds the checkpoint to go on from in it.

    Raises:
        StageError: It holds a run and ``resume`` was not said, or a run of other settings, data or base.
    """
    settings = {name: value for name, value in order.settings.record().items() if name not in HARMLESS}
    run = {
        "stage": order.stage,
        "base": start.hash,
        "steps": steps,
        "examples": examples.fingerprint(),
        **settings,
    }
    path = order.work / RUN_FILE
    if order.resume:
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            changed = sorted(name for name in run.keys() | before.keys() if run.get(name) != before.get(name))
        except BROKEN as error:
            raise StageError(f"{path} cannot be read ({error}): begin anew in another folder.") from error
        if changed:
            raise StageError(
                f"The run in {order.work} was begun with other {', '.join(changed)}: give the same, or begin anew "
                "in another folder."
            )
        return _shared(latest(order.work) if PartialState().is_main_process else None, order.work)
    if numbered(order.work):
        raise StageError(
            f"{order.work} holds a run that was not finished: go on with --resume, or remove the folder."
        )
    if PartialState().is_main_process:
        try:
            order.work.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise StageError(
                f"{order.work} cannot be written ({error.strerror}): give another --work."
            ) from error
    return None


def _shared(found: Path | None, work: Path) -> Path | None:
    """What process 0 found, in all processes, once it has removed what was half-written."""
    PartialState().wait_for_everyone()
    steps = numbered(work)
    return found or (steps[-1][1] if steps else None)


def _base_folder(order: Order) -> Path:
    def say(line: str) -> None:
        print(line, file=sys.stderr)

    with PartialState().main_process_first():
        folder = find_base(order.base, say)
    check_stage(order.stage, folder, order.without_stage1)
    return folder


def _trainer(
    order: Order, options: TrainingArguments, start: Start, schedule: Schedule, resumed: Path | None
) -> StageTrainer:
    callbacks: list[Any] = [RunLog(order.work, f"stage {order.stage}")]
    if order.report == "tensorboard" and PartialState().is_main_process:
        callbacks += tensorboard(order.work, step_of(resumed))
    return StageTrainer(
        work=order.work,
        keep=order.settings.keep,
        model=start.model,
        args=options,
        train_dataset=schedule,
        data_collator=Collator(start.processor),
        callbacks=callbacks,
    )


def step_of(checkpoint: Path | None) -> int:
    """The step after which a checkpoint was saved, 0 for none."""
    return 0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])


def _say(order: Order, model: FusarGptForConditionalGeneration, examples: Examples, steps: int) -> None:
    if PartialState().is_main_process:
        sizes = [weight.numel() for weight in lora.trained(model).values()]
        print(
            f"stage {order.stage} on {order.base}: {len(examples)} examples of {len(examples.records)} records, "
            f"{steps} steps of {order.settings.batch}; {sum(sizes) / 1e6:.2f} M weights train "
            f"({order.settings.trainables})",
            file=sys.stderr,
        )
