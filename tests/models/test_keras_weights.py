"""The authors' weight files: built here as Keras lists them, and judged by arithmetic on Keras' own arrays."""

import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from keras_in_numpy import EPSILON, map_attention, max_pool, relu, softmax

from lipinc.commands.convert import main
from lipinc.commands.runner import run_command
from lipinc.config import load_config
from lipinc.errors import UserError
from lipinc.models.calibration import Calibration
from lipinc.models.checkpoint import load_checkpoint
from lipinc.models.keras_weights import convert

ROOT = Path(__file__).resolve().parents[2]
Array = np.ndarray
Layer = dict[str, Array]
"""Weights by Keras' names and in its layouts."""
WIDTH, HEADS, PATCHES, MAP = 128, 4, 144, 8 * 8 * 3


class Draw:
    """Random layers of trained-like scale."""

    def __init__(self, seed: int):
        self.random = np.random.default_rng(seed)

    def normal(self, *shape: int, scale: float) -> Array:
        return scale * self.random.standard_normal(shape, dtype=np.float32)

    def dense(self, *kernel: int, gain: float = 2) -> Layer:
        """Of convolutions too: (..., inputs, outputs)."""
        deviation = np.sqrt(gain / np.prod(kernel[:-1]))
        return {"kernel": self.normal(*kernel, scale=deviation), "bias": self.normal(kernel[-1], scale=0.1)}

    def layer_norm(self) -> Layer:
        return {"gamma": 1 + self.normal(WIDTH, scale=0.2), "beta": self.normal(WIDTH, scale=0.2)}

    def batch_norm(self, channels: int, size: float = 1) -> Layer:
        """For activations of about this size."""
        return {
            "gamma": 1 + self.normal(channels, scale=0.2),
            "beta": self.normal(channels, scale=0.2),
            "moving_mean": size * (1 + self.normal(channels, scale=0.3)),
            "moving_variance": size**2 * self.random.uniform(0.5, 2, channels).astype(np.float32),
        }

    def attention(self) -> Layer:
        layer = {}
        for name in ("query", "key", "value"):
            layer[f"{name}/kernel"] = self.normal(WIDTH, HEADS, WIDTH, scale=0.1)
            layer[f"{name}/bias"] = self.normal(HEADS, WIDTH, scale=0.1)
        layer["attention_output/kernel"] = self.normal(HEADS, WIDTH, WIDTH, scale=0.05)
        layer["attention_output/bias"] = self.normal(WIDTH, scale=0.1)
        return layer

    def transformer(self) -> dict[str, Layer]:
        layers = {
            "position_embedding": {"": self.normal(1, PATCHES, WIDTH, scale=1)},
            "projection dense": self.dense(192, WIDTH, gain=1e-4),
        }
        for block in range(4):
            layers[f"{block} multi_head_attention"] = self.attention()
            layers[f"{block} first layer_normalization"] = self.layer_norm()
            layers[f"{block} first dense"] = self.dense(WIDTH, 4 * WIDTH)
            layers[f"{block} second dense"] = self.dense(4 * WIDTH, WIDTH)
            layers[f"{block} second layer_normalization"] = self.layer_norm()
        return layers

    def head(self, channels: int, hidden: int) -> dict[str, Layer]:
        layers = {}
        kernels = ((3, 3, channels, 64), (1, 1, 64, 64), (3, 3, 64, 128), (1, 1, 128, 128))
        for position, kernel in enumerate(kernels):
            layers[f"{position} conv2d"] = self.dense(*kernel)
            layers[f"{position} batch_normalization"] = self.batch_norm(kernel[-1])
        layers["0 dense"], layers["1 dense"] = self.dense(128, hidden), self.dense(hidden, hidden)
        layers["2 dense"] = self.dense(hidden, 2, gain=0.2)
        return layers


def network(version: int) -> dict[str, Layer | dict[str, Layer]]:
    """In file order, by what a layer is for and (the last word) what Keras names it."""
    draw = Draw(seed=version)
    if version == 1:
        return {
            "Res": draw.dense(3, 3, 3, 3, 8),
            "Frame": draw.dense(3, 3, 3, 3, 8),
            "residue batch_normalization": draw.batch_norm(8, size=100),
            "frame batch_normalization": draw.batch_norm(8, size=100),
            "residue dense": draw.dense(55_296, MAP),
            "frame dense": draw.dense(73_728, MAP),
            **draw.head(6, 4096),
        }
    return {
        "residue vision_temporal_transformer": draw.transformer(),
        "frame vision_temporal_transformer": draw.transformer(),
        "residue dense": draw.dense(WIDTH, MAP),
        "frame dense": draw.dense(WIDTH, MAP),
        **draw.head(12, 1024),
    }


def dense(x: Array, layer: Layer) -> Array:
    return x @ layer["kernel"] + layer["bias"]


def normalise(x: Array, layer: Layer, mean: Array, variance: Array) -> Array:
    return (x - mean) / np.sqrt(variance + EPSILON) * layer["gamma"] + layer["beta"]


def batch_norm(x: Array, layer: Layer) -> Array:
    return normalise(x, layer, layer["moving_mean"], layer["moving_variance"])


def layer_norm(x: Array, layer: Layer) -> Array:
    return normalise(x, layer, x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True))


def convolution(x: Array, layer: Layer) -> Array:
    """Padding "same", stride 1."""
    kernel = layer["kernel"]
    sizes, space = kernel.shape[:-2], x.shape[1:-1]
    padded = np.pad(x, [(0, 0), *((size // 2, size // 2) for size in sizes), (0, 0)])
    total = layer["bias"]
    for offset in np.ndindex(*sizes):
        part = tuple(slice(start, start + length) for start, length in zip(offset, space, strict=True))
        total = total + padded[(slice(None), *part)] @ kernel[offset]
    return total


def self_attention(x: Array, layer: Layer) -> Array:
    query, key, value = (
        np.einsum("btw,whk->bhtk", x, layer[f"{name}/kernel"], optimize=True) + layer[f"{name}/bias"][:, None]
        for name in ("query", "key", "value")
    )
    mixed = softmax(query @ key.swapaxes(-1, -2) / np.sqrt(WIDTH)) @ value
    kernel = layer["attention_output/kernel"]
    return np.einsum("bhtk,hkw->btw", mixed, kernel, optimize=True) + layer["attention_output/bias"]


def transformer(mouths: Array, layers: dict[str, Layer]) -> Array:
    clips, time = mouths.shape[:2]
    patches = [
        mouths[:, :, top : top + 8, left : left + 8].reshape(clips * time, -1)
        for top in range(0, 64, 8)
        for left in range(0, 144, 8)
    ]
    x = dense(np.stack(patches, axis=1), layers["projection dense"]) + layers["position_embedding"][""]
    for block in range(4):
        if block == 2:
            x = x.reshape(clips, time, PATCHES, WIDTH).mean(axis=2)
        attended = self_attention(x, layers[f"{block} multi_head_attention"])
        x = layer_norm(x + attended, layers[f"{block} first layer_normalization"])
        forward = dense(relu(dense(x, layers[f"{block} first dense"])), layers[f"{block} second dense"])
        x = layer_norm(x + forward, layers[f"{block} second layer_normalization"])
    return x.mean(axis=1)


def probabilities(version: int, layers: dict, mouths: Array, residues: Array) -> Array:
    """What the original answers, (clips, 2), class 1 = real; in the precision of the clips."""

    def to_map(x: Array, branch: str, convolution_name: str) -> Array:
        if version == 1:
            x = max_pool(relu(convolution(x, layers[convolution_name])), 2)
            x = batch_norm(x, layers[f"{branch} batch_normalization"]).reshape(len(x), -1)
        else:
            x = transformer(x, layers[f"{branch} vision_temporal_transformer"])
        return relu(dense(x, layers[f"{branch} dense"])).reshape(-1, 8, 8, 3)

    frame, residue = to_map(mouths, "frame", "Frame"), to_map(residues, "residue", "Res")
    colour, structure = map_attention(residue, frame, frame, MAP), map_attention(frame, residue, residue, MAP)
    if version == 1:
        x = np.concatenate([residue, map_attention(structure, colour, colour, MAP)], axis=-1)
    else:
        colour, structure = np.concatenate([frame, colour], axis=-1), np.concatenate([residue, structure], axis=-1)
        x = np.concatenate([structure, map_attention(structure, colour, colour, MAP)], axis=-1)
    for position in range(4):
        x = batch_norm(relu(convolution(x, layers[f"{position} conv2d"])), layers[f"{position} batch_normalization"])
        if position % 2:
            x = max_pool(x, 2 if position == 1 else 4)
    x = x.reshape(len(x), -1)
    return softmax(dense(relu(dense(relu(dense(x, layers["0 dense"])), layers["1 dense"])), layers["2 dense"]))


def running_numbers(seed: int) -> Iterator[str]:
    """Endings of layer names, in no order and with gaps; one has none."""
    numbers = np.random.default_rng(seed).permutation(np.arange(0, 400, 3))
    return (f"_{number}" if number else "" for number in numbers)


def flat(layer_name: str, layer: Layer) -> list[tuple[str, Array]]:
    return [(f"{layer_name}/{name}:0", values) for name, values in layer.items()]


def listed(layers: dict, *, seed: int = 0) -> list[tuple[str, list[tuple[str, Array]]]]:
    """Keras' list of layers, each with its list of weights."""
    numbers = running_numbers(seed)
    result = [("ResidueInput", []), ("FrameInput", [])]
    for use, layer in layers.items():
        kind = use.split()[-1]
        name = kind if kind in ("Res", "Frame") else kind + next(numbers)
        if kind == "vision_temporal_transformer":
            weights = [("position_embedding:0", layer["position_embedding"][""])]
            for inner, inner_layer in list(layer.items())[1:]:
                weights += flat(f"{name}/{inner.split()[-1]}{next(numbers)}", inner_layer)
        else:
            weights = flat(name, layer)
        result += [(name, weights), (f"dropout{next(numbers)}", [])]
    return result


def write(file: Path, layers: list[tuple[str, list[tuple[str, Array]]]], *, under: str = "") -> Path:
    """As Keras 2 does: attributes say the order, groups are made by name."""
    with h5py.File(file, "w") as stored:
        root = stored.create_group(under) if under else stored
        root.attrs["layer_names"] = [name.encode() for name, _ in layers]
        root.attrs["backend"], root.attrs["keras_version"] = b"tensorflow", b"2.15.0"
        for name, weights in sorted(layers, key=lambda layer: layer[0]):
            group = root.create_group(name)
            group.attrs["weight_names"] = [weight.encode() for weight, _ in weights]
            for weight, values in weights:
                group.create_dataset(weight, data=values)
        root.create_group("top_level_model_weights").attrs["weight_names"] = []
    return file


def clips() -> tuple[Array, Array]:
    """uint8 frames and residues of two clips, each mouth of its own brightness: noise alone would look all the same."""
    random = np.random.default_rng(0)

    def draw(time: int) -> Array:
        brightest = random.integers(8, 257, (2, time, 1, 1, 3))
        return random.integers(0, brightest, (2, time, 64, 144, 3)).astype(np.uint8)

    return draw(8), draw(7)


@pytest.fixture(scope="module")
def layers_v2() -> dict:
    return network(2)


@pytest.fixture(scope="module")
def file_v2(layers_v2, tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("keras") / "Best_Weights.hdf5", listed(layers_v2))


def check_checkpoint(file: Path, version: int, layers: dict, tolerance: float) -> None:
    """It loads, answers as the original does, and says how clips for it are made."""
    checkpoint = load_checkpoint(file, torch.device("cpu"))
    mouths, residues = clips()
    expected = probabilities(version, layers, mouths.astype(np.float64), residues.astype(np.float64))
    assert expected.min() > 0.01  # no answer is so sure that it would hide an error
    assert np.ptp(expected[:, 0]) > 0.01
    with torch.inference_mode():
        found = checkpoint.model(torch.from_numpy(mouths), torch.from_numpy(residues)).softmax(dim=1).numpy()
    np.testing.assert_allclose(found, expected[:, ::-1], rtol=0, atol=tolerance)
    assert checkpoint.config == load_config(ROOT / "configs" / f"official_v{version}.py")
    assert (checkpoint.calibration, checkpoint.epoch, checkpoint.trained_on) == (Calibration(), 0, ())


def test_v1_answers_as_the_original(tmp_path, capsys):
    layers = network(1)
    weights, out = write(tmp_path / "FakeAv.hdf5", listed(layers)), tmp_path / "v1.safetensors"
    assert status_of([str(weights), "--out", str(out)]) == 0
    assert "official_v1" in capsys.readouterr().out
    check_checkpoint(out, 1, layers, tolerance=1e-4)


@pytest.mark.slow
def test_v2_answers_as_the_original_from_the_command_line(file_v2, layers_v2, tmp_path):
    out = tmp_path / "new folder" / "v2.safetensors"
    command = [sys.executable, "-m", "lipinc", "convert", str(file_v2), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    without_dlib = load_config("official_v2").mouth.landmarks != "dlib"
    assert (done.returncode, "not by dlib" in done.stderr) == (0, without_dlib)
    assert "--config official_v2" in done.stdout
    check_checkpoint(out, 2, layers_v2, tolerance=1e-5)


def kind_by_kind(layers: list) -> list:
    """Each transformer's weights sorted by kind, its position embedding last and with its name in front."""
    order = ("multi_head_attention", "layer_normalization", "dense", "position_embedding")

    def kind(weight: tuple[str, Array]) -> int:
        return next(place for place, word in enumerate(order) if word in weight[0])

    result = []
    for name, weights in layers:
        if "transformer" in name:
            weights = sorted([(f"{name}/{weights[0][0]}", weights[0][1]), *weights[1:]], key=kind)
        result.append((name, weights))
    return result


@pytest.mark.parametrize("listing", ["other numbers", "kind by kind", "whole model", "float64"])
def test_other_listings_give_the_same_weights(listing, file_v2, layers_v2, tmp_path):
    layers = listed(layers_v2, seed=1)
    if listing == "kind by kind":
        layers = kind_by_kind(layers)
    if listing == "float64":
        layers = [(name, [(weight, values.astype(">f8")) for weight, values in weights]) for name, weights in layers]
    under = "model_weights" if listing == "whole model" else ""
    found = convert(write(tmp_path / "other.hdf5", layers, under=under))[0].state_dict()
    expected = convert(file_v2)[0].state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def replaced(layers: list, word: str, change) -> list:
    """The last layer whose name has the word, with its weights changed."""
    position = max(place for place, (name, _) in enumerate(layers) if word in name)
    name, weights = layers[position]
    return [*layers[:position], (name, change(weights)), *layers[position + 1 :]]


def with_shape(*shape: int):
    return lambda weights: [(weights[0][0], np.zeros(shape, np.float32)), *weights[1:]]


@pytest.mark.parametrize(
    ("word", "change", "message"),
    [
        ("dense", with_shape(1024, 3), r"expected kernel \(1024, 2\) as weight 167, found dense_\d+/ker.* \(1024, 3\)"),
        ("dense", lambda weights: weights[:1], r"expected bias \(2,\) as weight 168, found only 167 weights"),
        ("dense", lambda weights: [*weights, ("more:0", weights[1][1])], "expected 168 weights, found 169"),
        ("batch", lambda weights: weights[::-1], r"expected gamma \(128,\) as weight 159, found .*/moving_variance:0"),
        ("transformer", with_shape(1, 196, 128), r"expected position_embedding \(1, 144, 128\) as weight 68, found"),
        ("transformer", lambda weights: weights[:-1], r"expected beta \(128,\) as weight 134, found dense_\d+/ker"),
    ],
)
def test_names_the_first_weight_that_differs(word, change, message, layers_v2, tmp_path):
    file = write(tmp_path / "other.hdf5", replaced(listed(layers_v2), word, change))
    with pytest.raises(UserError, match=f"other.hdf5 does not match official_v2: {message}"):
        convert(file)


def test_convolutions_in_time_are_v1s(tmp_path):
    file = write(tmp_path / "other.hdf5", listed({"Res": Draw(0).dense(5, 3, 3, 3, 8)}))
    with pytest.raises(
        UserError, match=r"match official_v1: expected kernel \(3, 3, 3, 3, 8\) as weight 1, found Res/k"
    ):
        convert(file)


def break_file(file: Path, how: str) -> None:
    """Make `file`, a good one, one that is to be refused."""
    if how == "missing":
        file.unlink()
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "text":
        file.write_text("weights")
    elif how == "pickle":
        file.write_bytes(pickle.dumps({"weights": [1.0]}))
    elif how == "truncated":
        file.write_bytes(file.read_bytes()[:100_000])
    elif how == "folder":
        file.unlink()
        file.mkdir()
    else:
        with h5py.File(file, "r+") as stored:
            layer = next(name for name in stored if name.startswith("vision"))
            if how == "no layer_names":
                del stored.attrs["layer_names"]
            elif how == "no weight_names":
                del stored[layer].attrs["weight_names"]
            elif how == "no group":
                del stored[layer]
            elif how == "texts":
                stored[layer].attrs["weight_names"] = [b"text"]
                stored[layer]["text"] = [b"one", b"two"]
            elif how == "groups":
                stored[layer].attrs["weight_names"] = [b"text"]
                stored[layer].create_group("text")


def status_of(words: list[str]) -> int:
    """Of `lipinc convert`."""
    with pytest.raises(SystemExit) as exit_:
        run_command(lambda: main(words, "lipinc convert"))
    return exit_.value.code


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "no weight file"),
        *((how, "cannot be read as HDF5") for how in ("empty", "text", "pickle", "truncated", "folder")),
        *(
            (how, "not weights saved by Keras 2")
            for how in ("no layer_names", "no weight_names", "no group", "texts", "groups")
        ),
    ],
)
def test_what_is_no_weight_file_is_refused(how, message, file_v2, tmp_path, capsys):
    file, out = tmp_path / "weights.hdf5", tmp_path / "out.safetensors"
    shutil.copy(file_v2, file)
    break_file(file, how)
    assert status_of([str(file), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert str(file) in error
    assert not out.exists()


def test_a_checkpoint_that_cannot_be_written(file_v2, tmp_path, capsys):
    assert status_of([str(file_v2), "--out", str(tmp_path)]) == 2
    assert f"error: {tmp_path} cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("version", [1, 2])
def test_configs_are_the_published_clips(version):
    config = load_config(ROOT / "configs" / f"official_v{version}.py")
    config.check()
    assert (config.name, config.cache.path) == (f"official_v{version}", "cache/official_v1")
    assert (config.model.name, config.model.options.input_scale) == (("lipinc", "lipinc_v2")[version - 1], 1.0)
    assert config.mouth.residue == "wrapped"
    assert (config.sampling.published_quirks, config.sampling.windows, config.sampling.fallback) == (True, 1, "refuse")
