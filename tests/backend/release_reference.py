"""What the authors' release computes: a stock Qwen2.5-VL with an unmerged PEFT adapter, and plain loops over float64.

Weights are taken on the patch grid, normalised twice, and resized bilinearly to the token grid.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image
from release_format import (
    CHANNELS,
    HEIGHT,
    SIGMA,
    WIDTH,
    film,
    prior,
)

PROMPTS = ["count ship", "ask where is the long narrow bridge over the river", "detect plane"]
COUNTS = [5, 0, 9]
LENGTH = 12  # tokens of an answer
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def picture(seed, width=75, height=130):
    """A smooth random RGB picture of another shape than the frame."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def framed(image):
    return np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def reference_patches(pixels):
    """[patches, 3 * 2 * 14 * 14]: tokens row by row, the four patches of each, both time steps the same."""
    scaled = (pixels / 255 - np.array(MEAN)) / np.array(STD)
    rows = []
    for top in range(0, HEIGHT, 28):
        for left in range(0, WIDTH, 28):
            for dy in (0, 14):
                for dx in (0, 14):
                    patch = scaled[top + dy : top + dy + 14, left + dx : left + dx + 14].transpose(2, 0, 1)
                    rows.append(np.stack([patch, patch], axis=1).ravel())
    return torch.tensor(np.array(rows), dtype=torch.float32)


def reference_field(values, positions):
    """Gamma and beta, float64 [H, W, 2C], of the release in loops."""
    weights = {name: tensor.double().numpy() for name, tensor in film().items()}
    hidden = [weights["0.weight"] @ vector + weights["0.bias"] for vector in values.astype(np.float64)]
    nodes = [weights["2.weight"] @ (h / (1 + np.exp(-h))) + weights["2.bias"] for h in hidden]
    rows, cols = HEIGHT // 14, WIDTH // 14
    patches = np.zeros((rows, cols, 2 * CHANNELS))
    for row in range(rows):
        for col in range(cols):
            raw = [
                math.exp(-((row - y * (rows - 1)) ** 2 + (col - x * (cols - 1)) ** 2) / (2 * SIGMA**2))
                for y, x in positions.astype(np.float64)
            ]
            once = [one / (sum(raw) + 1e-6) for one in raw]
            twice = [one / (sum(once) + 1e-6) for one in once]
            for weight, node in zip(twice, nodes, strict=True):
                patches[row, col] += weight * node
    # Halving with align_corners=False samples the middle of each 2 x 2 block.
    return (patches[::2, ::2] + patches[1::2, ::2] + patches[::2, 1::2] + patches[1::2, 1::2]) / 4


def reference_tokens(original, pixels, values, positions):
    """Visual tokens [H*W, C] after TLM."""
    grid = torch.tensor([[1, HEIGHT // 14, WIDTH // 14]])
    with torch.no_grad():
        encoded = original.base_model.model.model.visual(reference_patches(pixels), grid_thw=grid)
    tokens = encoded.pooler_output.double().numpy()
    if len(values):
        field = reference_field(values, positions).reshape(len(tokens), -1)
        tokens = tokens * (1 + field[:, :CHANNELS]) + field[:, CHANNELS:]
    return torch.tensor(tokens, dtype=torch.float32)


def reference_answer(original, tokenizer, tokens, prompt, ends):
    """Greedy ids: the whole sequence again for every token, no cache, no padding, no generate()."""
    model = original.base_model.model
    image = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    head, tail = tokenizer.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}],
        tokenize=False,
        add_generation_prompt=True,
    ).split("<|image_pad|>")
    ids = [*tokenizer.encode(head), *[image] * len(tokens), *tokenizer.encode(tail)]
    start = len(ids)
    grid = torch.tensor([[1, HEIGHT // 14, WIDTH // 14]])
    for _ in range(LENGTH):
        row = torch.tensor([ids])
        kinds = (row == image).int()
        with torch.no_grad():
            embedded = model.get_input_embeddings()(row)
            embedded[0, kinds[0].bool()] = tokens
            places, _ = model.model.get_rope_index(row, mm_token_type_ids=kinds, image_grid_thw=grid)
            hidden = model.model.language_model(inputs_embeds=embedded, position_ids=places).last_hidden_state
            ids.append(int(model.lm_head(hidden[0, -1]).argmax()))
        if ids[-1] in ends:
            break
    return ids[start:]


def cases():
    return [
        (framed(picture(i)), prompt, prior(i, count))
        for i, (prompt, count) in enumerate(zip(PROMPTS, COUNTS, strict=True))
    ]


def our_tokens(checkpoint, batch):
    inputs = checkpoint.processor(*map(list, zip(*batch, strict=True)))
    names = ("pixel_values", "image_grid_thw", "aef_values", "aef_coords", "aef_mask")
    with torch.no_grad():
        return checkpoint.model.model.get_image_features(
            **{name: inputs[name] for name in names}
        ).pooler_output


def our_answers(checkpoint, batch):
    """Greedy ids up to and with the end token."""
    inputs = checkpoint.processor(*map(list, zip(*batch, strict=True)))
    with torch.no_grad():
        output = checkpoint.model.generate(**inputs, max_new_tokens=LENGTH, do_sample=False)
    ends = checkpoint.model.generation_config.eos_token_id
    rows = output[:, inputs["input_ids"].shape[1] :].tolist()
    return [row[: next((i + 1 for i, one in enumerate(row) if one in ends), len(row))] for row in rows]


def check_parity(checkpoint, original, tolerance=1e-5):
    """Same visual tokens and same greedy answers, alone and in a mixed left-padded batch."""
    batch = cases()
    tokens = [reference_tokens(original, pixels, *given) for pixels, _, given in batch]
    bare = [reference_tokens(original, pixels, *prior(0, 0)) for pixels, _, _ in batch]
    assert (tokens[0] - bare[0]).abs().max() > 0.1  # the prior matters
    for ours, theirs in zip(our_tokens(checkpoint, batch), tokens, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    tokenizer, ends = checkpoint.tokenizer, checkpoint.model.generation_config.eos_token_id
    expected = [
        reference_answer(original, tokenizer, one, prompt, ends)
        for one, (_, prompt, _) in zip(tokens, batch, strict=True)
    ]
    assert len({tuple(answer) for answer in expected}) == len(batch)
    assert our_answers(checkpoint, batch) == expected
    for one, answer in zip(batch, expected, strict=True):
        assert our_answers(checkpoint, [one]) == [answer]
    other = reference_answer(original, tokenizer, bare[0], PROMPTS[0], ends)
    assert other != expected[0]  # and reaches the answer
