"""Measure FUSAR-KLIP's embedding and print the table of bench/RESULTS.md.

    .venv/bin/python bench/klip.py [--count 512]

On one thread, in batches of 64. The peer is transformers' ViT-B/16 with random weights, the image tower of the paper,
on the same chips; it is timed on a 16th of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from tables import row
from transformers import ViTConfig, ViTModel

from fusar_gpt.retrieval import load_klip
from fusar_train.simulation import simulate_chip

BATCH = 64


def milliseconds(work: Callable[[], object], count: int) -> float:
    """The best of three runs, for one of ``count``, after one that is not timed."""
    work()
    found = []
    for _ in range(3):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return 1000 * min(found) / count


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=512)
    count = parser.parse_args().count
    torch.set_num_threads(1)
    klip = load_klip("klip-tiny", device="cpu")
    images = np.stack([simulate_chip(number).image for number in range(BATCH)])
    images = np.concatenate([images] * -(-count // BATCH))[:count]
    few = torch.from_numpy(images[: max(count // 16, 1)]).float()[:, None].expand(-1, 3, -1, -1) / 255
    vit = ViTModel(ViTConfig(attn_implementation="sdpa"), add_pooling_layer=False).eval()
    texts = ["three ships in a harbour"] * count
    row("one thread", "ms each")
    row("---", "---")
    row("klip-tiny, a chip", f"{milliseconds(lambda: klip.embed_images(images), count):.1f}")
    row("klip-tiny, a query", f"{milliseconds(lambda: klip.embed_texts(texts), count):.2f}")
    with torch.inference_mode():
        row("ViT-B/16, a chip", f"{milliseconds(lambda: vit(few), len(few)):.0f}")


if __name__ == "__main__":
    main()
