"""Measure the model and the engine and print the tables of bench/RESULTS.md.

    .venv/bin/python bench/model.py [throughput|latency|second|bounds ...] [--shape tiny|7b] [--layers N]

``--shape 7b`` makes random bfloat16 weights of the released checkpoint's shape on the device (``--layers`` fewer,
for a machine that cannot hold all 28). The peer is a plain transformers loop as a careful researcher writes it:
Qwen's own processor and ``generate()``, greedy, one chip at a time, on the same weights and inputs.
``bench/tlm.py`` measures TLM by itself.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from tables import row, timed
from transformers import GenerationConfig, Qwen2VLImageProcessorPil

from fusar_gpt.engine import DecodeRequest, LocalEngine
from fusar_gpt.frames import SceneWindow
from fusar_gpt.imagery import open_scene
from fusar_gpt.model import (
    Card,
    Checkpoint,
    FusarGptConfig,
    FusarGptForConditionalGeneration,
    FusarGptProcessor,
    load_checkpoint,
    tiny_tokenizer,
)
from fusar_gpt.model.processor import encode_priors
from fusar_gpt.samples import HARBOUR
from fusar_gpt.tasks import SEARCHES, Question, Task, prompt_set

TASKS = (*SEARCHES, Task.DESCRIBE)
ASKED: dict[str, list[tuple[Task, str | None]]] = {
    "count ships": [(Task.COUNT, "ship")],
    "locate ships": [(Task.LOCATE, "ship")],
    "detect ships": [(Task.DETECT, "ship")],
    "describe": [(Task.DESCRIBE, None)],
    "detect ships and planes": [(Task.DETECT, "ship"), (Task.DETECT, "plane")],
    "all of these, both classes": [
        *((task, target) for task in SEARCHES for target in ("ship", "plane")),
        (Task.DESCRIBE, None),
    ],
}
BATCHES = (1, 4, 8, 16)
NODES = 23  # a side of the prior's grid: 30 m steps over the tiny model's chip


def throughput(checkpoint: Checkpoint, chips: int) -> None:
    """Chips a second, none seen before, for one or more questions a chip; and the peer's."""
    row(
        "asked",
        "tokens",
        *(f"ours, batch {size}" for size in BATCHES),
        "peer",
        "batch 8 / peer",
        "same answers",
    )
    for name, asked in ASKED.items():
        requests = [
            request for task, target in asked for request in questions(checkpoint, task, chips, target)
        ]
        expected: list[str] = []
        peer = chips / timed(lambda: expected.extend(plain_loop(checkpoint, requests)))  # noqa: B023
        rates, same, tokens = [], 0, 0.0
        for size in BATCHES:
            replies: list[Any] = []
            engine = warm(checkpoint, requests, size)
            rates.append(chips / timed(lambda: replies.extend(engine.answer(requests))))  # noqa: B023
            if size == 8:
                same = sum(reply.text == text for reply, text in zip(replies, expected, strict=True))
                tokens = float(np.mean([len(reply.token_ends) for reply in replies]))
        row(
            name,
            f"{tokens:.1f}",
            *(f"{rate:.1f}" for rate in rates),
            f"{peer:.1f}",
            f"{rates[2] / peer:.2f}x",
            f"{same} of {len(requests)}",
        )


def second(checkpoint: Checkpoint, chips: int) -> None:
    """Answers a second to a first and to a second question about the same chips, batch 8."""
    row("second question", "first", "second", "gain")
    for task in TASKS:
        first = questions(checkpoint, Task.LOCATE if task is Task.COUNT else Task.COUNT, chips)
        then = questions(checkpoint, task, chips)
        fresh = chips / timed(lambda: warm(checkpoint, then, 8).answer(then))  # noqa: B023
        engine = warm(checkpoint, then, 8)
        engine.answer(first)
        again = chips / timed(lambda: engine.answer(then))  # noqa: B023
        row(task.value, f"{fresh:.1f}", f"{again:.1f}", f"{again / fresh:.2f}x")


def latency(checkpoint: Checkpoint, chips: int) -> None:
    """Milliseconds from asking about one chip to the first text, median."""
    row("first text after", "new chip", "chip seen before")
    engine = warm(checkpoint, questions(checkpoint, Task.DESCRIBE, chips), 1)
    new, seen = [], []
    for request in questions(checkpoint, Task.DESCRIBE, min(chips, 16)):
        for times in (new, seen):
            spoken: list[float] = []
            start = time.perf_counter()
            engine.answer([request], on_text=lambda _, text: spoken.append(time.perf_counter()))  # noqa: B023
            if spoken:
                times.append(spoken[0] - start)
    row("describe", *(f"{1000 * np.median(times):.0f} ms" for times in (new, seen)))


def bounds(checkpoint: Checkpoint, chips: int) -> None:
    """Decoding against the memory bandwidth, prefill against the arithmetic: what the device could do at best."""
    language = sum(p.numel() for p in checkpoint.model.model.language_model.layers.parameters())
    head = checkpoint.model.lm_head.weight.numel()
    bandwidth, arithmetic = device_limits(checkpoint)
    weight_bytes = (language + head) * checkpoint.model.dtype.itemsize
    row("batch", "decode tokens/s", "bandwidth bound", "prefill tokens/s", "arithmetic bound")
    for size in BATCHES:
        requests = [
            replace(request, grammar=None, max_tokens=64)
            for request in questions(checkpoint, Task.DESCRIBE, max(chips, size))[:size]
        ]
        engine = warm(checkpoint, requests, size)
        one = [replace(request, max_tokens=1) for request in requests]
        engine.answer(one)  # the prefix is kept from here on
        start = timed(lambda: engine.answer(one))  # noqa: B023
        replies: list[Any] = []
        total = timed(lambda: replies.extend(engine.answer(requests)))  # noqa: B023
        steps = sum(len(reply.token_ends) for reply in replies) - size
        cold = timed(lambda: warm(checkpoint, requests, size).answer(one))  # noqa: B023
        prefix = size * len(checkpoint.processor.prefix)
        row(
            str(size),
            f"{steps / (total - start):.0f}",
            f"{size * bandwidth / weight_bytes:.0f}",
            f"{prefix / (cold - start):.0f} (with the visual encoder)",
            f"{arithmetic / (2 * language):.0f} (language model alone)",
        )


def questions(
    checkpoint: Checkpoint, task: Task, number: int, target: str | None = "ship"
) -> list[DecodeRequest]:
    """One question a chip: windows cut at random from the simulated harbour, each with a made-up prior."""
    card = checkpoint.card
    wording = prompt_set(card.prompt_set)
    question = Question(task, target=None if task is Task.DESCRIBE else target)
    prompt = wording.prompt(question, (card.width, card.height))
    generator = np.random.default_rng(0)
    with open_scene(HARBOUR.scene) as scene:
        grey = scene.stretch().quantise(scene.read(SceneWindow(0, 0, scene.width, scene.height)))
    side = 224
    places = generator.integers((0, 0), (grey.shape[1] - side, grey.shape[0] - side), size=(number, 2))
    nodes = np.linspace(0, 1, NODES, dtype=np.float32)
    positions = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    requests = []
    for x, y in places:
        window = Image.fromarray(grey[y : y + side, x : x + side]).resize((card.width, card.height))
        vectors = generator.normal(size=(NODES**2, 64)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        requests.append(
            DecodeRequest(
                np.asarray(window),
                vectors,
                positions,
                prompt,
                wording.grammar(question),
                wording.max_tokens(question),
            )
        )
    return requests


def plain_loop(checkpoint: Checkpoint, requests: Sequence[DecodeRequest]) -> list[str]:
    """The peer's answers, chip by chip."""
    tokenizer, model = checkpoint.tokenizer, checkpoint.model
    ends = model.config.text_config.eos_token_id
    texts = []
    for request in requests:
        inputs = checkpoint.processor([request.image], [request.prompt])
        inputs |= encode_priors([(request.values, request.positions)])
        inputs = {name: tensor.to(checkpoint.device) for name, tensor in inputs.items()}
        settings = GenerationConfig(
            do_sample=False,
            max_new_tokens=request.max_tokens,
            eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id,
        )
        with torch.inference_mode():
            output = model.generate(**inputs, generation_config=settings)
        new = output[0, inputs["input_ids"].shape[1] :]
        texts.append(tokenizer.decode(new, skip_special_tokens=True))
    return texts


def warm(checkpoint: Checkpoint, requests: Sequence[DecodeRequest], batch: int) -> LocalEngine:
    """An engine that has compiled its grammars and met no chip of the requests."""
    engine = LocalEngine(checkpoint, batch_size=batch)
    blank = [replace(request, image=np.zeros_like(request.image)) for request in requests[:1]]
    engine.answer(blank * batch)
    return engine


def seven_billion(device: str, layers: int | None) -> Checkpoint:
    """Random weights of the released checkpoint's shape: Qwen2.5-VL-7B and a TLM of hidden width 14336."""
    tokenizer = tiny_tokenizer()
    token = tokenizer.convert_tokens_to_ids
    config = FusarGptConfig(
        text_config={
            "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": layers or 28,
            "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
            "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": min(layers or 32, 32), "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
            "patch_size": 14, "spatial_merge_size": 2, "window_size": 112, "out_hidden_size": 3584,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        image_token_id=token("<|image_pad|>"), vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"), video_token_id=token("<|video_pad|>"),
        tlm={"variant": "release", "sigma": 2.0, "hidden": 14336},
    )  # fmt: skip
    card = Card(
        "7b-shape", "Random weights", "release", 504, 504, 14, 2, None, [], True, None, "none", "nothing",
        aspect="stretched",
    )  # fmt: skip
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = FusarGptForConditionalGeneration(config).eval()
    torch.set_default_dtype(dtype)
    model.model.tlm.float()
    images = Qwen2VLImageProcessorPil(patch_size=14, merge_size=2, temporal_patch_size=2)
    return Checkpoint(model, FusarGptProcessor(tokenizer, images, card), card, "random", torch.device(device))


def device_limits(checkpoint: Checkpoint) -> tuple[float, float]:
    """Bytes a second of a large copy and operations a second of a large product, both measured here."""
    device, dtype = checkpoint.device, checkpoint.model.dtype
    data = torch.empty(2**28 if device.type == "cuda" else 2**26, dtype=torch.float32, device=device)
    side = 8192 if device.type == "cuda" else 2048
    matrix = torch.randn(side, side, device=device, dtype=dtype)

    def rate(action: Callable[[], object], work: float) -> float:
        action()
        return work / min(timed(action) for _ in range(3))

    copied = rate(data.clone, 2.0 * data.nbytes)  # read and written
    return copied, rate(lambda: matrix @ matrix, 2.0 * side**3)


PARTS = {"throughput": throughput, "second": second, "latency": latency, "bounds": bounds}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=list(PARTS))
    parser.add_argument("--shape", choices=["tiny", "7b"], default="tiny")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--chips", type=int, default=64)
    args = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, {args.device}")
    measured = (
        load_checkpoint("tiny", device=args.device)
        if args.shape == "tiny"
        else seven_billion(args.device, args.layers)
    )
    for part in args.parts:
        print(f"\n{PARTS[part].__doc__}\n")
        PARTS[part](measured, args.chips)
