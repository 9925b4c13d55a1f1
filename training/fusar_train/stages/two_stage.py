"""Two-stage decoupled fine-tuning (FUSAR-GPT eq. 12-15): stage 1 injects knowledge, stage 2 learns the tasks.

``run_stage`` is one stage from a base to a checkpoint folder that the backend loads. While it runs, everything it
needs to go on after a crash lies in a folder of its own, ``work``.
"""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import TrainerCallback, TrainingArguments

from fusar_gpt.model.checkpoint import Checkpoint, default_attention
from fusar_train.stages import lora
from fusar_train.stages.base_checkpoint import check_stage, find_base, open_base_checkpoint
from fusar_train.stages.examples import Collator, ExampleSet, Schedule, load_examples
from fusar_train.stages.result import check_free, write_result
from fusar_train.stages.run_folder import open_run_folder
from fusar_train.stages.run_log import RunLog, report, tensorboard
from fusar_train.stages.settings import RECIPES, StageConfig, StageError
from fusar_train.stages.trainer import StageTrainer, numbered
from fusar_train.stages.visual_token_cache import cache_visual_tokens

HARMLESS = (
    "workers", "save_every", "keep", "log_every", "micro_batch", "weights", "adapter", "sub_texts", "longest_text",
)  # fmt: skip
"""Settings that may differ when a run is resumed: they change no step of it, or only the examples, compared anyway."""


def run_stage(config: StageConfig) -> None:
    """Trains a stage and writes its checkpoint.

    Raises:
        FusarError: Something is wrong with base, data or settings, or went wrong on the way; the line says what
            was saved.
    """
    settings = config.settings
    check_free(config.out)
    options = training_arguments(config)
    with PartialState().main_process_first():
        folder = find_base(config.base, report)
    check_stage(config.stage, folder, config.without_stage1)
    if config.resume and not numbered(config.work):
        raise StageError(
            f"{config.work} holds no run to resume: leave --resume out, or give its folder as --work."
        )
    half = torch.bfloat16 if options.bf16 else torch.float32
    dtype = torch.float32 if settings.parallel == "fsdp" else half
    auto = settings.attention == "auto"
    attention = default_attention(options.device, half) if auto else settings.attention
    base = open_base_checkpoint(
        folder, settings, device=str(options.device), dtype=dtype, attention=attention
    )
    examples = load_examples(config.data, base.card, settings, config.texts)
    schedule = Schedule(examples, settings)
    resumed = open_run(config, base, examples, schedule.steps)
    lora.prepare(base.model, settings)
    if config.visual_tokens is not None:
        cache_visual_tokens(base.model.model.visual, config.visual_tokens)
    options.max_steps, options.warmup_steps = schedule.steps, math.ceil(settings.warmup * schedule.steps)
    callbacks: list[TrainerCallback] = [RunLog(config.work, f"stage {config.stage}")]
    if PartialState().is_main_process:
        weights = sum(weight.numel() for weight in lora.trained(base.model).values()) / 1e6
        report(
            f"stage {config.stage} on {config.base}: {len(examples)} examples of {len(examples.records)} records, "
            f"{schedule.steps} steps of {settings.batch}; {weights:.2f} M weights train ({settings.trainables})"
        )
        for note in examples.notes:
            report(f"note: {note}")
        if config.report == "tensorboard":
            callbacks += tensorboard(config.work, resumed)
    trainer = StageTrainer(
        work=config.work,
        keep=settings.keep,
        model=base.model,
        args=options,
        train_dataset=schedule,
        data_collator=Collator(base.processor),
        callbacks=callbacks,
    )
    trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    trained = trainer.result()
    if trainer.is_world_process_zero():
        write_result(config, folder, trained, examples, schedule.steps)
        for _, path in numbered(config.work):
            shutil.rmtree(path)
    trainer.accelerator.wait_for_everyone()


def training_arguments(config: StageConfig) -> TrainingArguments:
    """The library's arguments; the number of steps is not known yet. StageError when the batch cannot be shared out."""
    settings = config.settings
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    together = settings.micro_batch * processes
    if settings.batch % together:
        raise StageError(
            f"A batch of {settings.batch} cannot be shared out to {processes} processes with {settings.micro_batch} "
            "examples at once: set batch to a multiple, or change micro_batch."
        )
    gpu = config.device == "auto" and torch.cuda.is_available()
    half = settings.precision == "bfloat16" or (
        settings.precision == "auto" and gpu and torch.cuda.is_bf16_supported()
    )
    sharding: dict[str, Any] = {}
    if settings.parallel == "zero2":
        sharding = {"deepspeed": str(RECIPES / "zero2.json")}
    elif settings.parallel == "fsdp":
        if processes < 2:
            raise StageError(
                "parallel fsdp needs several processes: start it with torchrun, or set parallel to ddp."
            )
        # As accelerate launch would: whole weights are gathered on the CPU, for which NCCL alone will not do.
        os.environ |= {"ACCELERATE_USE_FSDP": "true", "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT"}
        sharding = {"fsdp": True, "fsdp_config": str(RECIPES / "fsdp.json")}
    try:
        options = TrainingArguments(
            output_dir=str(config.work),
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
            report_to=config.report if config.report in ("trackio", "wandb") else "none",
            **sharding,
        )
    except (ImportError, ValueError) as error:
        raise StageError(f"Training cannot start here: {' '.join(str(error).split())[:300]}.") from error
    if options.n_gpu > 1:
        report("note: one process uses one GPU; start it with torchrun to use them all")
        options._n_gpu = 1
    return options


def open_run(config: StageConfig, base: Checkpoint, examples: ExampleSet, steps: int) -> Path | None:
    """Makes the run's folder, or finds the checkpoint to go on from in it.

    Raises:
        StageError: It holds a run and ``resume`` was not said, or a run of other settings, data or base.
    """
    run = {
        "stage": config.stage,
        "base": base.hash,
        "steps": steps,
        "examples": examples.fingerprint(),
        **{name: value for name, value in config.settings.record().items() if name not in HARMLESS},
    }
    return open_run_folder(config.work, run, resume=config.resume, failure=StageError)
