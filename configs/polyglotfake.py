"""PolyGlotFake, for lipinc evaluate."""

from lipinc.config import CacheConfig, Config
from lipinc.datasets import PolyGlotFake

config = Config(name="polyglotfake", data=PolyGlotFake(), cache=CacheConfig(path="cache/polyglotfake"))
