"""Data sets: indexes of videos with labels. Each data set is one file; `--data.kind` selects one."""

from lipinc.datasets.avlips import AVLips
from lipinc.datasets.celebdf import CelebDF
from lipinc.datasets.csv_index import CsvIndex
from lipinc.datasets.dataset import Dataset, check_present, load_videos, register_dataset
from lipinc.datasets.dfdc import DFDC
from lipinc.datasets.faceforensics import FaceForensics
from lipinc.datasets.fakeavceleb import FakeAVCeleb
from lipinc.datasets.folder import Folder
from lipinc.datasets.kodf import KoDF
from lipinc.datasets.lavdf import LAVDF
from lipinc.datasets.lipsynctimit import LipSyncTIMIT
from lipinc.datasets.polyglotfake import PolyGlotFake
from lipinc.datasets.records import Label, VideoRecord

__all__ = [
    "AVLips",
    "CelebDF",
    "CsvIndex",
    "DFDC",
    "Dataset",
    "FaceForensics",
    "FakeAVCeleb",
    "Folder",
    "KoDF",
    "LAVDF",
    "Label",
    "LipSyncTIMIT",
    "PolyGlotFake",
    "VideoRecord",
    "check_present",
    "load_videos",
    "register_dataset",
]
