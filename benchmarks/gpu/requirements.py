"""Which packages of requirements.txt are missing. Imports only the standard library."""

import importlib
import importlib.util
import re
from dataclasses import dataclass

from benchmarks import REPOSITORY


@dataclass(frozen=True)
class Package:
    """Use of a distribution in the GPU check."""

    module: str
    """Name of its module."""
    needed_by: str
    essential: bool = False
    """Whether the GPU check cannot run without it."""


PACKAGES = {
    "torch": Package("torch", "everything", essential=True),
    "torchvision": Package("torchvision", "augmentation", essential=True),
    "numpy": Package("numpy", "everything", essential=True),
    "opencv-python": Package("cv2", "residues", essential=True),
    "safetensors": Package("safetensors", "caches and checkpoints", essential=True),
    "scipy": Package("scipy", "calibration", essential=True),
    "matplotlib": Package("matplotlib", "plots", essential=True),
    "tqdm": Package("tqdm", "progress bars", essential=True),
    "tyro": Package("tyro", "configs; it needs typeguard and docstring-parser", essential=True),
    "numba": Package("numba", "the inconsistency loss on the CPU"),
    "pytest": Package("pytest", "pytest -m cuda"),
    "pytest-xdist": Package("xdist", "make test"),
    "hypothesis": Package("hypothesis", "make test"),
    "ruff": Package("ruff", "make test"),
    "scikit-image": Package("skimage", "make demo and make test; not this check"),
    "ai-edge-litert": Package("ai_edge_litert", "extraction, and detection on video files; not this check"),
    "mediapipe": Package("mediapipe", "the reference of the landmarks in make test; not this check"),
    "av": Package("av", "the demo corpus and re-encoding; not this check"),
    "pillow": Package("PIL", "re-encoding; not this check"),
    "dask": Package("dask", "extraction; not this check"),
    "h5py": Package("h5py", "weight files of the authors; not this check"),
    "scikit-learn": Package("sklearn", "benchmarks/shortcuts.py; not this check"),
    "jinja2": Package("jinja2", "detect.py --report; not this check"),
    "starlette": Package("starlette", "lipinc serve; not this check"),
    "uvicorn": Package("uvicorn", "lipinc serve; not this check"),
    "jsonschema": Package("jsonschema", "make test"),
    "nbclient": Package("nbclient", "make test-slow"),
    "nbformat": Package("nbformat", "make test-slow"),
    "ipykernel": Package("ipykernel", "make test-slow"),
    "psutil": Package("psutil", "extraction and detect.py; not this check"),
}


def required() -> list[str]:
    """The distributions of requirements.txt, without repetitions."""
    lines = [line.partition("#")[0].strip() for line in (REPOSITORY / "requirements.txt").read_text().splitlines()]
    return list(dict.fromkeys(re.split(r"[\[=<>~; ]", line)[0] for line in lines if line))


def missing() -> list[str]:
    """Required distributions that cannot be imported. Only essential ones are really imported."""
    return [name for name in required() if not _is_installed(PACKAGES[name])]


def report(names: list[str]) -> list[str]:
    """A line for each missing distribution."""
    return [f"missing: {name} (needed by: {PACKAGES[name].needed_by})" for name in names]


def _is_installed(package: Package) -> bool:
    try:
        if package.essential:
            importlib.import_module(package.module)
            return True
        return importlib.util.find_spec(package.module) is not None
    except (ImportError, OSError):  # OSError: a system library is missing
        return False
