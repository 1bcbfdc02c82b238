"""A small cache for the tests of batches."""

import pytest

from lipinc.demo.synthetic_cache import make_cache
from tests.tiny import tiny_config


@pytest.fixture
def config(tmp_path):
    return tiny_config(tmp_path)


@pytest.fixture
def rows(config):
    return make_cache(config, people=4)
