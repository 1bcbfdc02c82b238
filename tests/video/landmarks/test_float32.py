"""The bits of glibc 2.36's float32 functions, on every system."""

import ctypes
import ctypes.util
import hashlib
import math
import platform

import numpy as np
import pytest

from lipinc.video.landmarks.float32 import atan2f, cos_sin, expf, sigmoid


def values(count: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Angles (C,), vectors (C, 2) and exponents (C,), float32, from integers."""
    random = np.random.default_rng(0)
    angles = random.integers(-(2**22), 2**22, count).astype(np.float32) / np.float32(2**20)
    vectors = random.integers(-(2**20), 2**20, (count, 2)).astype(np.float32) / np.float32(2**11)
    vectors[: count // 4] /= np.float32(2.0) ** random.integers(-60, 60, (count // 4, 2)).astype(np.float32)
    exponents = random.integers(-(2**23), 2**23, count).astype(np.float32) / np.float32(2**17)
    return angles, vectors, exponents


def test_bits_are_those_of_glibc_2_36() -> None:
    angles, vectors, exponents = values()
    bits = hashlib.sha256()
    for found in (
        [cos_sin(angle) for angle in angles],
        [atan2f(y, x) for y, x in vectors],
        [expf(exponent) for exponent in exponents],
    ):
        bits.update(np.array(found, dtype="<f4").tobytes())
    assert bits.hexdigest() == "e574e5f2865f68e15ef817c636358f09e1afbd03ff4a61347824d9c596b21c3c"


def test_the_c_library_agrees() -> None:
    library, version = platform.libc_ver()
    if library != "glibc" or not (2, 28) <= tuple(map(int, version.split(".")))[:2] <= (2, 40):
        pytest.skip("needs glibc 2.28 to 2.40")
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    for name in ("atan2f", "cosf", "sinf", "expf"):
        function = getattr(libm, name)
        function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float] * (2 if name == "atan2f" else 1)
    angles, vectors, exponents = values()
    assert all(cos_sin(angle) == (libm.cosf(angle), libm.sinf(angle)) for angle in angles)
    assert all(atan2f(y, x) == libm.atan2f(y, x) for y, x in vectors)
    assert all(expf(exponent) == np.float32(libm.expf(exponent)) for exponent in exponents)


def test_values_are_right() -> None:
    angles, vectors, exponents = values(500)
    for angle in angles:
        assert cos_sin(angle) == pytest.approx((math.cos(angle), math.sin(angle)), abs=1e-6)
    for y, x in vectors:
        assert atan2f(y, x) == pytest.approx(math.atan2(y, x), rel=1e-6)
    for exponent in exponents:
        assert expf(exponent) == pytest.approx(math.exp(exponent), rel=1e-6)


@pytest.mark.parametrize(
    ("y", "x"),
    [(0.0, 1.0), (-0.0, 1.0), (0.0, -1.0), (-0.0, -1.0), (2.0, 0.0), (-2.0, 0.0), (1e-30, -1e10), (1e30, 1e-10)],
)
def test_vectors_along_the_axes(y, x) -> None:
    found = atan2f(np.float32(y), np.float32(x))
    assert found == pytest.approx(math.atan2(y, x), abs=1e-6) and math.copysign(1, found) == math.copysign(1, y)


def test_scores_are_limited() -> None:
    assert [float(sigmoid(value)) for value in (-1e9, 0, 1e9)] == [0.0, 0.5, 1.0]
