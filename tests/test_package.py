"""The public API: `import lipinc`."""

import subprocess
import sys
from pathlib import Path

import pytest

import lipinc
from lipinc.config import Config
from lipinc.detection.detector import Detector
from lipinc.detection.service import detect
from lipinc.detection.verdict import Verdict
from lipinc.models import build_model
from lipinc.models.checkpoint import load_checkpoint

ROOT = Path(__file__).resolve().parents[1]


def test_everything_that_is_listed_is_there():
    assert {name: getattr(lipinc, name) for name in lipinc.__all__ if name != "__version__"} == {
        "Config": Config,
        "Detector": Detector,
        "Verdict": Verdict,
        "build_model": build_model,
        "detect": detect,
        "load_checkpoint": load_checkpoint,
    }
    assert set(lipinc.__all__) <= set(dir(lipinc))
    assert lipinc.__version__.count(".") == 2


def test_a_star_import_gives_what_is_listed():
    names: dict = {}
    exec("from lipinc import *", names)
    assert set(lipinc.__all__) <= names.keys()


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'lipinc' has no attribute 'detct'"):
        lipinc.detct  # noqa: B018


def test_importing_the_package_costs_nothing():
    program = "import lipinc, sys; print(*[n for n in sys.modules if n.startswith('lipinc')], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["lipinc.versions", "lipinc", "False"]
