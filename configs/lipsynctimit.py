"""LipSyncTIMIT at its three levels of compression, for lipinc evaluate."""

from lipinc.config import CacheConfig, Config
from lipinc.datasets import LipSyncTIMIT

config = Config(name="lipsynctimit", data=LipSyncTIMIT(), cache=CacheConfig(path="cache/lipsynctimit"))
