"""The settings of an experiment: their schema, the command line, and how they are saved."""

from lipinc.config.schema import *  # noqa: F403
from lipinc.config.schema import AUGMENTATIONS, DEFAULT_CHECKPOINT, REPOSITORY  # noqa: F401
