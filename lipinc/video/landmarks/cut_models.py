"""Makes the models of this package from those in mediapipe's wheel.

    python -m lipinc.video.landmarks.cut_models --wheel FOLDER

FOLDER is the installed package `mediapipe` 0.10.21. The attention model is cut in two: between its trunk and its heads
lie two custom operations that LiteRT does not have (attention.py computes them). Nothing but the graph changes: weights
are copied byte by byte. The other models are copied as they are.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np

from lipinc.video.landmarks.litert import MODELS

ATTENTION = "modules/face_landmark/face_landmark_with_attention.tflite"
COPIED = (
    "modules/face_landmark/face_landmark.tflite",
    "modules/face_detection/face_detection_short_range.tflite",
    "modules/face_detection/face_detection_full_range_sparse.tflite",
)
# Numbers of tensors in the attention model.
TRUNK = ([0], [35, 186, 710])
"""From the image to features, mesh and the presence of a face."""
HEADS = ([199, 200, 201], [684, 687, 693, 690, 696])
"""From the squares around lips, left eye and right eye to the points of these three, the left and the right iris."""


def make_models(package: Path, folder: Path) -> list[Path]:
    """Write all models to a folder.

    Args:
        package: The installed package mediapipe 0.10.21.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [Path(shutil.copyfile(package / source, folder / Path(source).name)) for source in COPIED]
    source = (package / ATTENTION).read_bytes()
    for name, (inputs, outputs) in (("attention_trunk", TRUNK), ("attention_heads", HEADS)):
        written.append(folder / f"{name}.tflite")
        written[-1].write_bytes(cut(source, inputs, outputs))
    return written


def cut(source: bytes, inputs: list[int], outputs: list[int]) -> bytes:
    """The part of a TFLite model that computes some of its tensors from others.

    Args:
        source: The model.
        inputs: Numbers of the tensors that become the part's inputs.
        outputs: Numbers of the tensors that become its outputs.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(source, 0)
    graph = model.subgraphs[0]
    graph.operators = _needed_operators(graph.operators, set(inputs), set(outputs))
    used = {*inputs, *outputs}
    used.update(int(tensor) for one in graph.operators for tensor in (*one.inputs, *one.outputs))
    numbers = {tensor: number for number, tensor in enumerate(sorted(used))}

    def renumbered(tensors: list[int]) -> np.ndarray:
        return np.array([numbers[int(tensor)] for tensor in tensors], dtype=np.int32)

    graph.tensors = [graph.tensors[tensor] for tensor in sorted(used)]
    for one in graph.operators:
        one.inputs, one.outputs = renumbered(one.inputs), renumbered(one.outputs)
    graph.inputs, graph.outputs = renumbered(inputs), renumbered(outputs)
    _keep_used_buffers(model, graph.tensors)
    model.metadata = model.signatureDefs = model.metadataBuffer = None
    builder = flatbuffers.Builder(len(source))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _needed_operators(operators: list, inputs: set[int], outputs: set[int]) -> list:
    """Those between inputs and outputs, in their order."""
    wanted, needed = set(outputs), []
    for one in reversed(operators):
        if wanted.intersection(one.outputs) and not inputs.intersection(one.outputs):
            needed.append(one)
            wanted.update(int(tensor) for tensor in one.inputs)
    return needed[::-1]


def _keep_used_buffers(model, tensors: list) -> None:
    """Drop the data of tensors that are gone. Buffer 0 is empty by convention."""
    buffers = [model.buffers[0]]
    for tensor in tensors:
        buffer = model.buffers[tensor.buffer]
        tensor.buffer = 0 if buffer.data is None else len(buffers)
        if buffer.data is not None:
            buffers.append(buffer)
    model.buffers = buffers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, required=True, help="the installed package mediapipe 0.10.21")
    package = parser.parse_args().wheel
    if absent := [source for source in (ATTENTION, *COPIED) if not (package / source).is_file()]:
        parser.error(f"{package} has no {absent[0]}: give the folder of the installed package mediapipe 0.10.21")
    for file in make_models(package, MODELS):
        print(f"{file.stat().st_size:8d} bytes  {file.name}")


if __name__ == "__main__":
    main()
