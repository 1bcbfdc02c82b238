"""Keras' layers as numpy arithmetic, channels last: what the networks are compared with.

Weights come in torch's layouts and are brought into Keras' own here, so that axis order is under test too.
"""

import numpy as np
import torch
from torch import nn

EPSILON = 1e-3  # of batch and layer normalisation alike

Array = np.ndarray


def array(tensor: torch.Tensor) -> Array:
    return tensor.detach().numpy().astype(np.float64)


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def softmax(x: Array) -> Array:
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def dense(x: Array, layer: nn.Linear) -> Array:
    return x @ array(layer.weight).T + array(layer.bias)


def convolution(x: Array, layer: nn.Conv2d | nn.Conv3d) -> Array:
    """Padding "same", stride 1, of (B, ..., C) by an odd kernel."""
    kernel = np.moveaxis(array(layer.weight), (0, 1), (-1, -2))  # (..., inputs, outputs)
    sizes = kernel.shape[:-2]
    padded = np.pad(x, [(0, 0), *((size // 2, size // 2) for size in sizes), (0, 0)])
    axes = tuple(range(1, 1 + len(sizes)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, sizes, axes)  # (B, ..., C, *sizes)
    windows = np.moveaxis(windows, x.ndim - 1, -1)  # (B, ..., *sizes, C)
    return np.tensordot(windows, kernel, axes=len(sizes) + 1) + array(layer.bias)


def max_pool(x: Array, size: int) -> Array:
    """Of all axes between the first and the last; what does not fill a window is dropped."""
    for axis in range(1, x.ndim - 1):
        count = x.shape[axis] // size
        x = np.take(x, range(count * size), axis=axis)
        x = x.reshape(*x.shape[:axis], count, size, *x.shape[axis + 1 :]).max(axis=axis + 1)
    return x


def batch_norm(x: Array, layer: nn.BatchNorm2d | nn.BatchNorm3d) -> Array:
    normalised = (x - array(layer.running_mean)) / np.sqrt(array(layer.running_var) + EPSILON)
    return normalised * array(layer.weight) + array(layer.bias)


def layer_norm(x: Array, layer: nn.LayerNorm) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    normalised = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
    return normalised * array(layer.weight) + array(layer.bias)


def map_attention(query: Array, key: Array, value: Array, size: int) -> Array:
    """The papers' attention on (B, S, S, C) maps: each row of a map on its own."""
    scores = np.einsum("brqc,brkc->brqk", query, key) / np.sqrt(size)
    return np.einsum("brqk,brkc->brqc", softmax(scores), value)


def multi_head_attention(x: Array, layer: nn.Module, heads: int) -> Array:
    """Keras' MultiHeadAttention(x, x): kernels (width, heads, key) in and (heads, key, width) out."""
    width = x.shape[-1]

    def project(linear: nn.Linear) -> Array:
        kernel = array(linear.weight).T.reshape(width, heads, -1)
        return np.einsum("btw,whk->bthk", x, kernel) + array(linear.bias).reshape(heads, -1)

    query, key, value = project(layer.query), project(layer.key), project(layer.value)
    weights = softmax(np.einsum("bqhk,bthk->bhqt", query, key) / np.sqrt(query.shape[-1]))
    mixed = np.einsum("bhqt,bthk->bqhk", weights, value)
    kernel = array(layer.output.weight).T.reshape(heads, -1, width)
    return np.einsum("bqhk,hkw->bqw", mixed, kernel) + array(layer.output.bias)


def head(x: Array, layer: nn.Module) -> Array:
    """(B, S, S, C) -> logits."""
    convolutions = [inner for inner in layer.convolutions if isinstance(inner, nn.Conv2d)]
    norms = [inner for inner in layer.convolutions if isinstance(inner, nn.BatchNorm2d)]
    for position, (conv, norm) in enumerate(zip(convolutions, norms, strict=True)):
        x = batch_norm(relu(convolution(x, conv)), norm)
        if position % 2:
            x = max_pool(x, 2 if position == 1 else 4)
    first, second, last = (inner for inner in layer.dense if isinstance(inner, nn.Linear))
    x = relu(dense(x.reshape(len(x), -1), first))
    return dense(relu(dense(x, second)), last)


def disturb(model: nn.Module, seed: int) -> nn.Module:
    """Random values for all that starts as 0 or 1 (biases, normalisations), so that none can be left out unseen.

    Kernels are doubled, so that differences between clips reach the logits at full size.
    """
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, values in model.state_dict().items():
            if name.endswith("running_var"):
                values.copy_(0.5 + torch.rand(values.shape, generator=random))
            elif values.ndim == 1:
                values.add_(0.3 * torch.randn(values.shape, generator=random))
            else:
                values.mul_(2)
    return model.eval()
