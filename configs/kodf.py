"""KoDF, its lip-sync part, for lipinc evaluate."""

from lipinc.config import CacheConfig, Config
from lipinc.datasets import KoDF

config = Config(name="kodf", data=KoDF(), cache=CacheConfig(path="cache/kodf"))
