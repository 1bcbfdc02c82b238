"""What several test modules share: data beside the repository, pictures of people, video files."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import hypothesis
import matplotlib.cbook
import numpy as np
import pytest
import skimage.data

from lipinc.cores import available_cores
from lipinc.evaluation import plots
from tests.serve.browser import Browser

SHARED = Path(__file__).resolve().parents[2] / "shared"

hypothesis.settings.register_profile("any machine", deadline=None)  # on a busy one, an example may take a second
hypothesis.settings.load_profile("any machine")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """The number of processes of `--numprocesses auto`: xdist counts the cores of the machine."""
    return available_cores()


def _shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        if os.environ.get("LIPINC_REQUIRE_SHARED"):
            pytest.fail(f"LIPINC_REQUIRE_SHARED is set and {path} is absent")
        pytest.skip(f"needs {path}")
    return path


@pytest.fixture(scope="session")
def clips_root() -> Path:
    """The folder of real and fake clips beside the repository. Skips without it (fails if LIPINC_REQUIRE_SHARED)."""
    return _shared("clips")


@pytest.fixture(scope="session")
def fakeavceleb_index() -> Path:
    """FakeAVCeleb's meta_data.csv beside the repository. Skips without it (fails if LIPINC_REQUIRE_SHARED)."""
    return _shared("fakeavceleb/meta_data.csv")


@pytest.fixture(scope="session")
def chromium_program() -> str:
    """The program. Skips without it (fails if LIPINC_REQUIRE_CHROMIUM)."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((found for name in names if (found := shutil.which(name))), None)
    if program is None:
        if os.environ.get("LIPINC_REQUIRE_CHROMIUM"):
            pytest.fail("LIPINC_REQUIRE_CHROMIUM is set and no Chromium is on the PATH")
        pytest.skip("no Chromium on the PATH")
    return program


@pytest.fixture
def without_plots(monkeypatch) -> None:
    """Plots, which take most of the time of a small run, are not written. tests/evaluation/test_plots.py draws all."""
    monkeypatch.setattr(plots, "write_png", lambda *_: None)


@pytest.fixture(scope="session")
def _chromium(chromium_program, tmp_path_factory) -> Iterator[Browser]:
    browser = Browser(chromium_program, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def browser(_chromium) -> Iterator[Browser]:
    """A browser with an empty page, 1280 px wide, whose console must stay empty."""
    _chromium.renew()
    _chromium.resize(1280)
    yield _chromium
    assert _chromium.console == []


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    """write_video(path, frames, fps=25, codec="libx264", pix_fmt="yuv420p", container={}, **options): frames [H, W, 3]
    uint8 BGR; options of the container, and of the codec."""

    def write(
        path: Path,
        frames: Iterable[np.ndarray],
        fps: int | Fraction = 25,
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        container: dict[str, str] | None = None,
        **options: str,
    ) -> Path:
        with av.open(str(path), "w", options=container) as output:
            stream = output.add_stream(codec, rate=fps, options=options)
            stream.pix_fmt = pix_fmt
            for index, image in enumerate(frames):
                if index == 0:
                    stream.height, stream.width = image.shape[:2]
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
                picture.pts, picture.time_base = index, 1 / Fraction(fps)
                output.mux(stream.encode(picture))
            output.mux(stream.encode())
        return path

    return write


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """A portrait with an open smile: [320, 320, 3] uint8 BGR."""
    return cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)[:320, 64:384].copy()


@pytest.fixture(scope="session")
def hopper() -> np.ndarray:
    """A portrait with closed lips: [400, 400, 3] uint8 BGR."""
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        return cv2.imdecode(np.frombuffer(file.read(), dtype=np.uint8), cv2.IMREAD_COLOR)[40:440, 60:460].copy()
