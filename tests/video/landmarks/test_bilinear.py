"""Interpolation of features: right values, and the same bits by both of its versions."""

import numpy as np
import pytest

from lipinc.video.landmarks import bilinear


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((48, 40, 32)).astype(np.float32)


def test_positions_on_between_and_beyond_cells() -> None:
    features = np.float32([[[0, 10], [4, 20]], [[8, 30], [16, 70]]])
    x, y = np.float32([0, 1, 0.25, 0.5, -0.01, 1.01, 0, 0]), np.float32([0, 1, 0, 0.5, 0, 0, -0.01, 1.01])
    expected = np.float32([[0, 10], [16, 70], [1, 12.5], [7, 32.5], *4 * [[0, 0]]])
    assert np.array_equal(bilinear.transform_tensor_bilinear(features, x, y), expected)


def test_compiled_code_gives_the_same_bits(features, monkeypatch) -> None:
    random = np.random.default_rng(1)
    x, y = (random.uniform(-2, side + 1, 768).astype(np.float32) for side in (40, 48))
    x[:4], y[2:6], x[6:8], y[7:9] = 39, 47, 0, 0  # the last and the first cells
    by_numpy = bilinear.transform_tensor_bilinear(features, x, y)
    monkeypatch.setattr(bilinear, "COMPILE_AFTER", 0)
    assert bilinear.transform_tensor_bilinear(features, x, y).tobytes() == by_numpy.tobytes()
    assert 0 < (by_numpy == 0).all(axis=1).sum() < 200
