"""Float32 functions of the C library. MediaPipe's rules use them, and numpy's differ from them in the last bit."""

import ctypes
import ctypes.util
import math
from collections.abc import Callable

import numpy as np


def _function(name: str, arguments: int = 1) -> Callable[..., float]:
    function = getattr(_LIBRARY, name, None)
    if function is None:  # A system without such a library: equal but for the last bit.
        return lambda *values: float(np.float32(getattr(math, name.removesuffix("f"))(*values)))
    function.restype = ctypes.c_float
    function.argtypes = [ctypes.c_float] * arguments
    return function


_LIBRARY = (
    ctypes.CDLL(path) if (path := ctypes.util.find_library("m") or ctypes.util.find_library("ucrtbase")) else None
)

atan2f = _function("atan2f", arguments=2)
cosf = _function("cosf")
sinf = _function("sinf")
expf = _function("expf")


def sigmoid(value: float) -> np.float32:
    """1 / (1 + exp(-value)) in float32, for |value| up to 100."""
    one = np.float32(1)
    return one / (one + np.float32(expf(-max(-100.0, min(100.0, value)))))


def cos_sin(angle: float) -> tuple[np.float32, np.float32]:
    """Cosine and sine of an angle in rad."""
    return np.float32(cosf(angle)), np.float32(sinf(angle))
