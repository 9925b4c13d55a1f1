"""TLM as its formulas are written: float64, node by node and place by place; shares no code with the product."""

from __future__ import annotations

import math

import numpy as np
import torch

EPSILON = 1e-6


def node_outputs(module, values, rounded_to=None):
    """What W2 makes of each vector, [S, outputs] (FUSAR-GPT eq. 4), rounded to a type if there is one."""
    w1, b1, w2, b2 = (
        p.detach().double().numpy()
        for p in (module.w1.weight, module.w1.bias, module.w2.weight, module.w2.bias)
    )
    inner = values.double().numpy() @ w1.T + b1
    outputs = (inner / (1 + np.exp(-inner))) @ w2.T + b2
    if rounded_to is not None:
        outputs = torch.from_numpy(outputs).to(rounded_to).double().numpy()
    return outputs


def field(outputs, grid, coords, sigma, merge=None):
    """The outputs interpolated to the tokens, [H*W, outputs]; ``merge`` None is the paper, else the release."""
    height, width = grid
    nodes = coords.double().numpy()
    if merge is None:
        return gaussian(outputs, height, width, nodes, sigma, times=1).reshape(height * width, -1)
    patches = gaussian(outputs, height * merge, width * merge, nodes, sigma, times=2)
    return bilinear(patches, height, width).reshape(height * width, -1)


def gaussian(outputs, height, width, nodes, sigma, times):
    """Eq. 6-8 and 10 on a grid: [height, width, outputs]; the weights are normalised once or twice."""
    result = np.zeros((height, width, outputs.shape[1]))
    for h in range(height):
        for w in range(width):
            weights = [
                math.exp(-((h - y * (height - 1)) ** 2 + (w - x * (width - 1)) ** 2) / (2 * sigma**2))
                for y, x in nodes
            ]
            for _ in range(times):
                total = sum(weights)
                weights = [weight / (total + EPSILON) for weight in weights]
            for weight, output in zip(weights, outputs, strict=True):
                result[h, w] += weight * output
    return result


def bilinear(image, height, width):
    """Bilinear resize with pixel centres at halves, as image libraries define it (``align_corners`` false)."""
    result = np.zeros((height, width, image.shape[2]))
    for h in range(height):
        for w in range(width):
            y = max((h + 0.5) * image.shape[0] / height - 0.5, 0.0)
            x = max((w + 0.5) * image.shape[1] / width - 0.5, 0.0)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, image.shape[0] - 1), min(left + 1, image.shape[1] - 1)
            upper = (1 - x + left) * image[top, left] + (x - left) * image[top, right]
            lower = (1 - x + left) * image[bottom, left] + (x - left) * image[bottom, right]
            result[h, w] = (1 - y + top) * upper + (y - top) * lower
    return result


def modulate(tokens, modulation):
    """Eq. 11 on tokens [T, C]."""
    gamma, beta = np.split(modulation, 2, axis=1)
    return tokens.double().numpy() * (1 + gamma) + beta
