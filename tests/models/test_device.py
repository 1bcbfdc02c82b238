"""The device of a run."""

import pytest
import torch

from lipinc.errors import UserError
from lipinc.models.device import choose_device


def test_asking_for_cuda_where_there_is_none():
    if torch.cuda.is_available():
        assert choose_device("cuda").type == "cuda"
    else:
        with pytest.raises(UserError, match="no CUDA device"):
            choose_device("cuda")
    assert choose_device("cpu").type == "cpu"
