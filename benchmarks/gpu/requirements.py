"""Which packages of requirements.txt this machine has. Imports nothing but the standard library."""

import importlib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements.txt"


@dataclass(frozen=True)
class Package:
    """A distribution, as the GPU check sees it."""

    module: str
    """What is imported."""
    needed_by: str
    essential: bool = False
    """Without it nothing of the GPU check runs."""


PACKAGES = {
    "torch": Package("torch", "everything", essential=True),
    "torchvision": Package("torchvision", "augmentation, which everything that trains imports", essential=True),
    "numpy": Package("numpy", "everything", essential=True),
    "opencv-python": Package("cv2", "residues, which everything that trains imports", essential=True),
    "safetensors": Package("safetensors", "caches and checkpoints", essential=True),
    "scipy": Package("scipy", "calibration, which everything that trains imports", essential=True),
    "matplotlib": Package("matplotlib", "plots, which train_pipeline.py imports", essential=True),
    "tqdm": Package("tqdm", "progress bars, which everything that trains imports", essential=True),
    "tyro": Package("tyro", "configs (with typeguard and docstring-parser)", essential=True),
    "numba": Package("numba", "the inconsistency loss on the CPU, which CUDA is compared with"),
    "pytest": Package("pytest", "pytest -m cuda"),
    "pytest-xdist": Package("xdist", "make test"),
    "hypothesis": Package("hypothesis", "make test"),
    "ruff": Package("ruff", "make test"),
    "scikit-image": Package("skimage", "make demo and make test; not this check"),
    "mediapipe": Package("mediapipe", "extraction, and detection on video files; not this check"),
    "av": Package("av", "the demo corpus and re-encoding; not this check"),
    "dask": Package("dask", "extraction; not this check"),
    "h5py": Package("h5py", "the authors' weight files; not this check"),
    "scikit-learn": Package("sklearn", "benchmarks/shortcuts.py; not this check"),
    "jinja2": Package("jinja2", "detect.py --report; not this check"),
    "psutil": Package("psutil", "extraction and detect.py; not this check"),
}


def required() -> list[str]:
    """The distributions of requirements.txt, each once."""
    lines = [line.partition("#")[0].strip() for line in REQUIREMENTS.read_text().splitlines()]
    return list(dict.fromkeys(re.split(r"[\[=<>~; ]", line)[0] for line in lines if line))


def missing() -> list[str]:
    """Those that cannot be imported. Essential ones are imported to find out, the others are only looked for."""
    return [name for name in required() if not _is_there(PACKAGES[name])]


def report(names: list[str]) -> list[str]:
    """A line for each missing distribution."""
    return [f"missing: {name} (needed by: {PACKAGES[name].needed_by})" for name in names]


def _is_there(package: Package) -> bool:
    try:
        if package.essential:
            importlib.import_module(package.module)
            return True
        return importlib.util.find_spec(package.module) is not None
    except (ImportError, OSError):  # OSError: a library of the system that it loads is absent
        return False
