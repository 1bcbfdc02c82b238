"""Keys of videos, and the seeds that follow from them."""

import pytest

from lipinc.datasets.records import as_key, seed_from_name
from lipinc.errors import UserError


@pytest.mark.parametrize(
    ("path", "key"),
    [
        *(("real/a.mp4", "real/a.mp4"), ("./real//a.mp4", "real/a.mp4"), ("real\\a b.mp4", "real/a b.mp4")),
        # Ordinary names on Linux, whatever other systems make of them.
        *((name, name) for name in ("con", "aux.mp4", "a.", "a ", "~/a.mp4", "C:a.mp4", "-rf", "$(a).mp4", "...")),
    ],
)
def test_key_is_a_clean_posix_path(path: str, key: str) -> None:
    assert as_key(path, "index.csv, row 2") == key


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            ".",
            "./",
            "/real/a.mp4",
            "//host/share/a.mp4",
            "../a.mp4",
            "real/../../a.mp4",
            "real/..",
            "..\\..\\a.mp4",
        ),
        *("C:\\a.mp4", "c:/a.mp4", "\\\\host\\share\\a.mp4", "\\\\?\\C:\\a.mp4"),
        *("a\0.mp4", "a\n", "a\rb.mp4", "a\x1b[31m.mp4", "caf\udce9.mp4"),
    ],
)
def test_unsafe_path_is_refused_with_its_row(path: str) -> None:
    with pytest.raises(UserError, match=r"^index\.csv, row 7: the path"):
        as_key(path, "index.csv, row 7")


def test_the_seed_of_a_video_follows_from_its_name() -> None:
    assert seed_from_name("0 a.mp4") == seed_from_name("0 a.mp4")
    assert len({seed_from_name(f"{number} {name}") for name in ("a.mp4", "b.mp4") for number in range(3)}) == 6
