"""AVLips, for lipinc evaluate."""

from lipinc.config import CacheConfig, Config
from lipinc.datasets import AVLips

config = Config(name="avlips", data=AVLips(), cache=CacheConfig(path="cache/avlips"))
