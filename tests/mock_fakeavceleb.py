"""FakeAVCeleb in small: its layout on disk and its index, with clips of other people in place of its videos."""

from itertools import islice
from pathlib import Path

import av

from lipinc.datasets.fakeavceleb import FAKEAVCELEB_COLUMNS, FAKEAVCELEB_TYPES
from lipinc.datasets.splits import SHIPPED
from lipinc.files.csv_table import read_table

CLIPS = (
    *("vox02", "vox03", "vox04", "vox05", "vox06", "vox07"),
    *("vox08", "voxq01", "voxq05", "voxq06", "voxq07", "voxq09"),
)
"""Real clips of different people, each with fakes by wav2lip, diff2lip and pc-avs."""
FAKES = (
    ("wav2lip", "C", "wav2lip"),
    ("wav2lip", "D", "diff2lip"),
    ("fsgan-wav2lip", "D", "pc-avs"),
    ("faceswap-wav2lip", "D", "wav2lip"),
)
"""Method and category in the index, and the generator of the clip that stands in for it."""
FRAMES = 50
"""Number of frames that are kept of a clip."""
INDEXES = {"meta_data.csv": "path,", "other_form.csv": "filename,path"}
"""Index -> its last two columns: the file name and its folder, in the two forms of the header."""


def people() -> list[dict[str, str]]:
    """A person of each split of seed 0, of two races and both genders, as the shipped split list has them."""
    rows = [row for _, row in read_table(SHIPPED / "fakeavceleb.csv").rows]
    chosen: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        if row["race"] in ("African", "Asian (East)"):
            chosen.setdefault((row["race"], row["gender"], row["split_0"]), row)
    return list(chosen.values())


def write_mock(root: Path, clips: Path) -> None:
    """Write the data set. Its flaws: an unreadable and a missing fake of a tested person, and a file listed twice."""
    rows, everybody = [], people()
    for number, (person, clip) in enumerate(zip(everybody, CLIPS, strict=True)):
        other = everybody[(number + 1) % len(everybody)]["identity"]
        rows.append(_row(person, "-", "real", "A", f"{number:05d}.mp4"))
        _shorten(clips / "real" / f"{clip}.mp4", _file(root, rows[-1]))
        rows.append(_row(person, "fake.mp4", "rtvc", "B", f"{number:05d}_fake.mp4"))
        _shorten(clips / "real" / f"{clip}.mp4", _file(root, rows[-1]))
        for method, category, generator in FAKES:
            swapped = "" if method == "wav2lip" else f"_{method}"
            rows.append(_row(person, other, method, category, f"{number:05d}{swapped}_{other}_wavtolip.mp4"))
            _shorten(clips / "fake" / f"{clip}_{generator}.mp4", _file(root, rows[-1]))
    tested = next(person for person in everybody if person["split_0"] == "test")
    rows.append(_row(tested, "id00001", "wav2lip", "D", "broken_wavtolip.mp4"))
    _file(root, rows[-1]).write_bytes(b"no video" * 100)
    rows.append(_row(tested, "id00001", "wav2lip", "D", "absent_wavtolip.mp4"))
    rows.append({**rows[3], "method": "faceswap-wav2lip"})
    for name, last_columns in INDEXES.items():
        header = ",".join((*FAKEAVCELEB_COLUMNS[:-2], last_columns))
        lines = [header, *(",".join(row.values()) for row in rows)]
        (root / name).write_bytes("".join(line + "\r\n" for line in lines).encode())


def _shorten(source: Path, target: Path) -> None:
    """Copy the first frames without encoding them again."""
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        for packet in islice(read.demux(video=0), FRAMES):
            packet.stream = stream
            write.mux(packet)


def _row(person: dict[str, str], target: str, method: str, category: str, filename: str) -> dict[str, str]:
    kind, name = FAKEAVCELEB_TYPES[category], person["identity"]
    folder = f"FakeAVCeleb_v1.2/{kind}/{person['race']}/{person['gender']}/{name}"
    values = (name, target, "-", method, category, kind, person["race"], person["gender"], filename, folder)
    return dict(zip(FAKEAVCELEB_COLUMNS, values, strict=True))


def _file(root: Path, row: dict[str, str]) -> Path:
    file = root.parent / row["path"] / row["filename"]
    file.parent.mkdir(parents=True, exist_ok=True)
    return file
