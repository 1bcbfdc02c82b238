"""Celeb-DF v2, its official test list, for lipinc evaluate."""

from lipinc.config import CacheConfig, Config
from lipinc.datasets import CelebDF

config = Config(
    name="celebdf",
    data=CelebDF(splits=("test",), note="fakes are face swaps, not lip-syncs"),
    cache=CacheConfig(path="cache/celebdf"),
)
