"""DFDC, for lipinc evaluate."""

from lipinc.config import CacheConfig, Config
from lipinc.datasets import DFDC

config = Config(
    name="dfdc", data=DFDC(note="fakes are face swaps, not lip-syncs"), cache=CacheConfig(path="cache/dfdc")
)
