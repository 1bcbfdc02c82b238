"""LAV-DF, its official test split, for lipinc evaluate: forged in part, so windows are evaluated, too."""

from lipinc.config import CacheConfig, Config
from lipinc.datasets import LAVDF

config = Config(name="lavdf", data=LAVDF(splits=("test",)), cache=CacheConfig(path="cache/lavdf"))
