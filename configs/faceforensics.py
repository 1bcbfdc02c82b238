"""FaceForensics++ (NeuralTextures, c23), for lipinc evaluate."""

from lipinc.config import CacheConfig, Config
from lipinc.datasets import FaceForensics

config = Config(name="faceforensics", data=FaceForensics(), cache=CacheConfig(path="cache/faceforensics"))
