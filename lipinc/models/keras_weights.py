"""Conversion of the authors' Keras 2 weight files.

    lipinc convert WEIGHTS.hdf5 --out NAME.safetensors

A weight file lists its layers (`layer_names`) and the weights of each layer (`weight_names`) in the order in which
Keras loads them. Weights are matched by this order and by shape. The numbers in their names are ignored: they count all
layers that the saving process ever created, and differ from file to file.

Keras orders layers by depth in the network. At equal depth, the layer reached first from the output comes first: in
both papers, residue layers before frame layers. Inside a transformer of V2, weights follow the order in which
attributes were assigned: position embedding, projection, then the blocks, spatial before temporal. Files that list a
transformer's weights by kind (attention, dense, normalisation, with the position embedding anywhere) are also read;
only the order within a kind matters.
"""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import h5py
import torch
from torch import nn

from lipinc.config import Config, load_config
from lipinc.errors import UserError
from lipinc.models.layers import FusionHead, MultiHeadAttention
from lipinc.models.lipinc import LIPINC
from lipinc.models.lipinc_v2 import LIPINCV2, VisionTemporalTransformer
from lipinc.models.registry import build_model

KINDS = ("position_embedding", "dense", "multi_head_attention", "layer_normalization")
"""Parts of the weight names of a transformer. No other layer of the file has weights of more than one kind."""


def convert(file: str | Path) -> tuple[LIPINC | LIPINCV2, Config]:
    """Convert a weight file written by Keras' `save_weights` or `save` in HDF5 format.

    The two output classes are swapped: class 1 is `real` in the file and `fake` here.

    Returns:
        The network with the weights, and the config for extracting its clips.

    Raises:
        UserError: the file is anything else; the message names the first weight that does not match.
    """
    try:
        with h5py.File(file, "r") as stored:
            weights = _weights(stored)
            has_convolutions_in_time = any(dataset.ndim == 5 for _, dataset in weights)
            name = "official_v1" if has_convolutions_in_time else "official_v2"
            config = load_config(name)
            model = build_model(config)
            expected = [tensor for layer in _layers(model) for tensor in _keras_tensors(layer)]
            _check(weights, expected, f"{file} does not match {name}")
            with torch.no_grad():
                for (_, dataset), (_, tensor) in zip(weights, expected, strict=True):
                    tensor.copy_(torch.from_numpy(dataset.astype("float32")[()]))
                for tensor in (model.head.dense[-1].weight, model.head.dense[-1].bias):
                    tensor.copy_(tensor.flip(0))
    except FileNotFoundError:
        raise UserError(f"no weight file {file}") from None
    except OSError as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{file} cannot be read as HDF5: {reason}") from error
    return model.eval(), config


def _weights(stored: h5py.Group) -> list[tuple[str, h5py.Dataset]]:
    """Return name and dataset of each weight, in file order; the weights of one layer are sorted by kind."""

    def names(group: h5py.Group, attribute: str) -> list[str]:
        return [name.decode() if isinstance(name, bytes) else name for name in group.attrs[attribute]]

    def kind(name: str) -> int:
        return next((position for position, word in enumerate(KINDS) if word in name), len(KINDS))

    try:
        root = stored.get("model_weights", stored)  # `save` uses this group
        weights = [
            (name, root[layer][name])
            for layer in names(root, "layer_names")
            for name in sorted(names(root[layer], "weight_names"), key=kind)
        ]
        for name, dataset in weights:
            if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind != "f":
                raise TypeError(f"{name} is not an array of floats")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{stored.filename} is HDF5, but not weights saved by Keras 2: {error}") from error
    return weights


def _layers(model: LIPINC | LIPINCV2) -> list[nn.Module | nn.Parameter]:
    """Return the layers with weights, in file order."""
    if isinstance(model, LIPINC):
        branches = (model.residue_branch, model.frame_branch)
        layers = [getattr(branch, name) for name in ("convolution", "norm", "dense") for branch in branches]
    else:
        layers = [
            *_transformer_layers(model.residue_transformer),
            *_transformer_layers(model.frame_transformer),
            model.residue_map[0],
            model.frame_map[0],
        ]
    return layers + _head_layers(model.head)


def _transformer_layers(transformer: VisionTemporalTransformer) -> list[nn.Module | nn.Parameter]:
    blocks = [*transformer.spatial, *transformer.temporal]
    return [
        transformer.position_embedding,
        transformer.projection,
        *(block.feed_forward[position] for block in blocks for position in (0, 2)),
        *(block.attention for block in blocks),
        *(norm for block in blocks for norm in (block.attention_norm, block.feed_forward_norm)),
    ]


def _head_layers(head: FusionHead) -> list[nn.Module]:
    return [layer for layer in (*head.convolutions, *head.dense) if list(layer.parameters())]


def _keras_tensors(layer: nn.Module | nn.Parameter) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the weights of a layer with Keras' names, in Keras' order and layout; they are views of the torch
    weights."""
    match layer:
        case nn.Parameter():
            yield "position_embedding", layer
        case MultiHeadAttention():
            heads = (layer.heads, -1)
            for name in ("query", "key", "value"):
                projection = getattr(layer, name)
                yield f"{name}/kernel", projection.weight.T.unflatten(1, heads)  # (width, heads, key size)
                yield f"{name}/bias", projection.bias.unflatten(0, heads)
            yield "attention_output/kernel", layer.output.weight.T.unflatten(0, heads)  # (heads, key size, width)
            yield "attention_output/bias", layer.output.bias
        case nn.Linear() | nn.Conv2d() | nn.Conv3d():
            yield "kernel", layer.weight.movedim((1, 0), (-2, -1))  # (..., inputs, outputs)
            yield "bias", layer.bias
        case nn.LayerNorm():
            yield "gamma", layer.weight
            yield "beta", layer.bias
        case nn.BatchNorm2d() | nn.BatchNorm3d():
            yield "gamma", layer.weight
            yield "beta", layer.bias
            yield "moving_mean", layer.running_mean
            yield "moving_variance", layer.running_var


def _check(weights: list[tuple[str, h5py.Dataset]], expected: list[tuple[str, torch.Tensor]], problem: str) -> None:
    """Raise UserError with the first weight whose name or shape differs. problem: start of the message."""
    for number, (found, wanted) in enumerate(zip_longest(weights, expected), start=1):
        if wanted is None:
            raise UserError(
                f"{problem}: expected {len(expected)} weights, found {len(weights)}, the first extra one is {found[0]}"
            )
        description = f"{wanted[0]} {tuple(wanted[1].shape)}"
        if found is None:
            raise UserError(f"{problem}: expected {description} as weight {number}, found only {len(weights)} weights")
        name, dataset = found
        if dataset.shape != wanted[1].shape or not name.partition(":")[0].endswith(wanted[0]):
            raise UserError(f"{problem}: expected {description} as weight {number}, found {name} {dataset.shape}")
