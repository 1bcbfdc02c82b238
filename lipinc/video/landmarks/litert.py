"""TFLite models on LiteRT's interpreter (XNNPACK, one thread).

An interpreter takes 7 to 10 ms to create and holds nothing between two calls, so a thread creates one per model and
uses it for all videos. Each thread has its own, because an interpreter serves one caller at a time.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from lipinc.video.native_logs import quiet_native_logs

MODELS = Path(__file__).with_name("models")
"""MediaPipe's models (models/README.md)."""

_of_thread = threading.local()


class Model:
    """A model and its tensors.

    Views of tensors must not live while the interpreter runs, so inputs are written and outputs are read by methods.
    """

    def __init__(self, name: str):
        """
        Args:
            name: File name in `MODELS`, without its ending.
        """
        from ai_edge_litert.interpreter import Interpreter  # imported only here: only tracking faces needs it

        with quiet_native_logs():
            self._interpreter = Interpreter(str(MODELS / f"{name}.tflite"), num_threads=1)
            self._interpreter.allocate_tensors()
        tensors = self._interpreter.tensor
        self._inputs: list[Callable[[], np.ndarray]] = [
            tensors(one["index"]) for one in self._interpreter.get_input_details()
        ]
        self._outputs: list[Callable[[], np.ndarray]] = [
            tensors(one["index"]) for one in self._interpreter.get_output_details()
        ]

    def run_on_image(self, image: np.ndarray, values: np.ndarray) -> None:
        """Run the model on an image.

        Args:
            image: (H, W, 3) uint8 RGB, of the size of the model's input.
            values: (256,) float32: the input's value for each pixel value.
        """
        cv2.LUT(image, values, dst=self._inputs[0]()[0])
        self._interpreter.invoke()

    def run(self, *inputs: np.ndarray) -> None:
        """Run the model on float32 arrays of as many elements as its inputs have."""
        for tensor, array in zip(self._inputs, inputs, strict=True):
            view = tensor()
            view[...] = array.reshape(view.shape)
            del view
        self._interpreter.invoke()

    def output(self, number: int) -> np.ndarray:
        """A view of an output without its leading axis of length 1. Drop it before the next run."""
        return self._outputs[number]()[0]


def shared_model(name: str) -> Model:
    """The model of this name that belongs to the calling thread."""
    models = _of_thread.__dict__
    if name not in models:
        models[name] = Model(name)
    return models[name]
