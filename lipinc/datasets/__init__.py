"""Data sets: indexes of videos with labels. Each data set is one file; `--data.kind` selects one."""

from lipinc.datasets.csv_index import CsvIndex
from lipinc.datasets.dataset import Dataset, check_present, load_videos, register_dataset
from lipinc.datasets.fakeavceleb import FakeAVCeleb
from lipinc.datasets.folder import Folder
from lipinc.datasets.records import Label, VideoRecord

__all__ = [
    "CsvIndex",
    "Dataset",
    "FakeAVCeleb",
    "Folder",
    "Label",
    "VideoRecord",
    "check_present",
    "load_videos",
    "register_dataset",
]
