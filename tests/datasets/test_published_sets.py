"""Published data sets, on mock trees of their layouts: labels, people, pairs, generators and splits; wrong roots."""

import json
from collections import Counter
from pathlib import Path

import pytest

from lipinc.config.registry import DATASETS
from lipinc.config.schema import SplitConfig
from lipinc.datasets import (
    DFDC,
    LAVDF,
    AVLips,
    CelebDF,
    FaceForensics,
    KoDF,
    Label,
    LipSyncTIMIT,
    PolyGlotFake,
    VideoRecord,
    load_videos,
)
from lipinc.datasets.splits import assign_splits
from lipinc.errors import UserError
from tests.datasets.test_folder import touch

REAL, FAKE = Label.REAL, Label.FAKE


def by_path(data) -> dict[str, VideoRecord]:
    return {record.path: record for record in load_videos(data)}


def write_json(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("inner", ["", "AVLips v1.0/AVLips/"])
def test_avlips(tmp_path: Path, inner: str) -> None:
    touch(
        tmp_path, *(f"{inner}{name}" for name in ("0_real/0.mp4", "1_fake/0.mp4", "1_fake/7.mp4", "wav/0_real/0.wav"))
    )
    assert [(r.path, r.label, r.identity, r.generator) for r in load_videos(AVLips(root=str(tmp_path)))] == [
        (f"{inner}0_real/0.mp4", REAL, "avlips-0", ""),
        (f"{inner}1_fake/0.mp4", FAKE, "avlips-0", "unknown"),
        (f"{inner}1_fake/7.mp4", FAKE, "avlips-7", "unknown"),
    ]


CELEB = ("Celeb-real/id0_0000.mp4", "Celeb-real/id1_0007.mp4", "YouTube-real/00170.mp4")
SWAPS = ("Celeb-synthesis/id1_id0_0007.mp4", "Celeb-synthesis/id5_id0_0001.mp4")


def celebdf(root: Path, *lines: str) -> CelebDF:
    touch(root, *CELEB, *SWAPS)
    (root / "List_of_testing_videos.txt").write_text("\n".join(lines) + "\n")
    return CelebDF(root=str(root))


def test_celebdf(tmp_path: Path) -> None:
    data = celebdf(tmp_path, "1 YouTube-real/00170.mp4", f"0 {SWAPS[0]}", "1 Celeb-real/id9_0009.mp4")
    found = by_path(data)
    assert {path: (r.label, r.identity, r.split) for path, r in found.items()} == {
        CELEB[0]: (REAL, "celebdf-id0", "train"),
        CELEB[1]: (REAL, "celebdf-id1", "train"),
        CELEB[2]: (REAL, "celebdf-00170", "test"),
        SWAPS[0]: (FAKE, "celebdf-id0", "test"),  # the face of id0 in the video id1_0007
        SWAPS[1]: (FAKE, "celebdf-id0", "train"),
        "Celeb-real/id9_0009.mp4": (REAL, "celebdf-id9", "test"),  # listed, but not there: reported as missing
    }
    assert (found[SWAPS[0]].pair, found[SWAPS[0]].targets) == (CELEB[1], ("celebdf-id1",))
    assert found[SWAPS[1]].pair == ""  # its real video is not there
    tested = by_path(CelebDF(root=str(tmp_path), splits=("test",)))
    assert [r.split for r in tested.values()] == ["test"] * 3
    (tmp_path / "List_of_testing_videos.txt").unlink()
    assert {r.split for r in load_videos(data)} == {""}
    with pytest.raises(UserError, match=r"data.splits: .* names no splits"):
        load_videos(CelebDF(root=str(tmp_path), splits=("test",)))


def test_official_split_that_shares_people_can_be_left_aside(tmp_path: Path) -> None:
    records = load_videos(celebdf(tmp_path, f"0 {SWAPS[0]}"))
    with pytest.raises(UserError, match="celebdf-id0 in train and in test: .* --split.official False"):
        assign_splits(records, SplitConfig(), needed=())
    with pytest.raises(UserError, match="split.folds .* --split.official False"):
        assign_splits(records, SplitConfig(folds=3), needed=())
    assert len(assign_splits(records, SplitConfig(official=False), needed=())) == 5
    assert len(assign_splits(records, SplitConfig(official=False, folds=3), needed=())) == 5


@pytest.mark.parametrize(
    "line", [f"1 {SWAPS[0]}", "0 YouTube-real/00170.mp4", "1 elsewhere/a.mp4", "2 Celeb-real/a.mp4"]
)
def test_celebdf_list_that_contradicts_the_folders_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(UserError, match="List_of_testing_videos.txt, row 1: .* expected 1"):
        load_videos(celebdf(tmp_path, line))


def test_dfdc(tmp_path: Path) -> None:
    about = {"a.mp4": {"label": "REAL", "split": "train"}, "b.mp4": {"label": "FAKE", "original": "a.mp4"}}
    write_json(tmp_path / "dfdc_train_part_0/metadata.json", {**about, "c.mp4": {"label": "FAKE", "original": "z.mp4"}})
    assert [(r.path, r.label, r.identity, r.pair, r.split) for r in load_videos(DFDC(root=str(tmp_path)))] == [
        ("dfdc_train_part_0/a.mp4", REAL, "dfdc-a.mp4", "", ""),
        ("dfdc_train_part_0/b.mp4", FAKE, "dfdc-a.mp4", "dfdc_train_part_0/a.mp4", ""),
        ("dfdc_train_part_0/c.mp4", FAKE, "dfdc-z.mp4", "", ""),
    ]
    assert [r.path for r in load_videos(DFDC(root=str(tmp_path / "dfdc_train_part_0")))] == ["a.mp4", "b.mp4", "c.mp4"]
    write_json(tmp_path / "test/metadata.json", {"t.mp4": {"is_fake": 1, "augmentations": {}}, "u.mp4": {"is_fake": 0}})
    touch(tmp_path, "test/videos/t.mp4", "test/videos/u.mp4")
    tested = load_videos(DFDC(root=str(tmp_path), splits=("test",)))
    assert [(r.path, r.label) for r in tested] == [("test/videos/t.mp4", FAKE), ("test/videos/u.mp4", REAL)]


FFPP = (
    "original_sequences/youtube/c23/videos/000.mp4",
    "original_sequences/youtube/c23/videos/003.mp4",
    "original_sequences/youtube/c40/videos/000.mp4",
    "manipulated_sequences/NeuralTextures/c23/videos/000_003.mp4",
    "manipulated_sequences/NeuralTextures/c40/videos/000_003.mp4",
    "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4",
)


def test_faceforensics(tmp_path: Path) -> None:
    touch(tmp_path, *FFPP)
    reenacted, swapped = (FFPP[3], FFPP[5])
    found = by_path(FaceForensics(root=str(tmp_path), methods=("NeuralTextures", "Deepfakes")))
    assert set(found) == {*FFPP[:2], reenacted, swapped}
    people = {path: (found[path].identity, found[path].targets) for path in (reenacted, swapped)}
    assert people == {reenacted: ("ffpp-000", ("ffpp-003",)), swapped: ("ffpp-003", ("ffpp-000",))}
    assert found[reenacted].pair == found[swapped].pair == FFPP[0]
    assert {(r.compression, r.split) for r in found.values()} == {("c23", "")}
    write_json(tmp_path / "splits" / "val.json", [["003", "000"]])
    levels = by_path(FaceForensics(root=str(tmp_path), levels=("c23", "c40")))
    assert Counter((r.compression, r.split) for r in levels.values()) == {
        ("c23", "validation"): 3,
        ("c40", "validation"): 2,
    }
    assert levels[FFPP[4]].pair == FFPP[2]  # of the same level


KODF_REAL = "original_videos/100001/100001_001.mp4"


@pytest.mark.parametrize("folder", ["", "synthesized_videos/"])
def test_kodf(tmp_path: Path, folder: str) -> None:
    spoken = f"{folder}audio-driven/20200715/100001/100001_100002_5_0007.mp4"
    plain = f"{folder}audio-driven/100003/100003_12.mp4"
    swapped = f"{folder}dfl/100001_100002_1_0090.mp4"
    underscore = "original_videos/A_1/A_1_001.mp4"
    touch(tmp_path, KODF_REAL, underscore, spoken, plain, swapped)
    found = by_path(KoDF(root=str(tmp_path)))
    assert {path: (r.label, r.identity, r.targets, r.generator) for path, r in found.items()} == {
        KODF_REAL: (REAL, "kodf-100001", (), ""),
        underscore: (REAL, "kodf-A_1", (), ""),
        spoken: (FAKE, "kodf-100001", ("kodf-100002",), "audio-driven"),
        plain: (FAKE, "kodf-100003", (), "audio-driven"),
    }
    swap = by_path(KoDF(root=str(tmp_path), methods=("dfl",)))[swapped]
    assert (swap.identity, swap.targets) == ("kodf-100002", ("kodf-100001",))


def lavdf_entry(number: int, *, picture: bool, sound: bool, original: str | None = None, **changes) -> dict:
    periods = [[2.5, 3.224], [7, 8.1]] if picture or sound else []
    return {
        **{"file": f"test/{number:06d}.mp4", "split": "test", "original": original, "fake_periods": periods},
        **{"n_fakes": len(periods), "duration": 9.0, "modify_video": picture, "modify_audio": sound, **changes},
    }


def test_lavdf(tmp_path: Path) -> None:
    entries = [
        lavdf_entry(1, picture=False, sound=False),
        lavdf_entry(2, picture=True, sound=False, original="test/000001.mp4"),
        lavdf_entry(3, picture=False, sound=True, original="test/000001.mp4"),
        lavdf_entry(4, picture=False, sound=False, file="dev/000004.mp4", split="dev"),
    ]
    write_json(tmp_path / "LAV-DF" / "metadata.min.json", entries)
    data = LAVDF(root=str(tmp_path))
    assert data.index_file() == tmp_path / "LAV-DF" / "metadata.min.json"
    found = by_path(data)
    original, fake, dubbed = (f"LAV-DF/test/{number:06d}.mp4" for number in (1, 2, 3))
    assert set(found) == {original, fake, "LAV-DF/dev/000004.mp4"}  # only the sound of the third is forged
    assert (found[fake].label, found[fake].pair, found[fake].generator) == (FAKE, original, "wav2lip")
    assert found[fake].identity == found[original].identity != found["LAV-DF/dev/000004.mp4"].identity
    assert found[fake].periods == ((2.5, 3.224), (7.0, 8.1)) and found[original].periods == ()
    assert set(by_path(LAVDF(root=str(tmp_path), splits=("validation",)))) == {"LAV-DF/dev/000004.mp4"}
    heard = by_path(LAVDF(root=str(tmp_path), include_fake_sound=True))[dubbed]
    assert (heard.label, heard.periods, heard.audio, heard.pair) == (REAL, (), "fake", "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fake_periods": []}, "fake_periods must be a list"),
        ({"fake_periods": [[3, 2]]}, "fake_periods must be a list"),
        ({"fake_periods": [[float("nan"), 2]]}, "fake_periods must be a list"),
        ({"fake_periods": ["ab"]}, "fake_periods must be a list"),
        ({"modify_video": None}, "modify_video and modify_audio must be"),
        ({"file": None}, "file must be a path"),
        ({"file": "../a.mp4"}, "contains '..'"),
        ({"split": "tset"}, "unknown split 'tset'"),
    ],
)
def test_malformed_entry_of_lavdf_is_named(tmp_path: Path, changes: dict, message: str) -> None:
    write_json(tmp_path / "metadata.json", [lavdf_entry(1, picture=True, sound=True, **changes)])
    with pytest.raises(UserError, match=f"metadata.json, video 1: .*{message}"):
        load_videos(LAVDF(root=str(tmp_path)))


TIMIT_LEVELS = ("Original Size", "LipSyncTimit_compression23", "LipSyncTimit_compression40")


def test_lipsynctimit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    real, fake = "RealVideo/fadg0_sa1.mp4", "FakeVideo-RealAudio/Wav2lip_GAN/fadg0_sa1_lrs2-7.mp4"
    other, unnamed = "RealVideo/mwbt0_sa1.mp4", "FakeVideo-FakeAudio/IP_LAP/file1.mp4"
    touch(tmp_path, *(f"{level}/{name}" for level in TIMIT_LEVELS for name in (real, fake, other, unnamed)))
    found = by_path(LipSyncTIMIT(root=str(tmp_path)))
    assert Counter(r.compression for r in found.values()) == {"original": 4, "c23": 4, "c40": 4}
    for level in TIMIT_LEVELS:
        one = found[f"{level}/{fake}"]
        assert (one.label, one.identity, one.gender, one.audio) == (FAKE, "fadg0", "women", "RealAudio")
        assert (one.generator, one.pair) == ("Wav2lip_GAN", f"{level}/{real}")
        assert found[f"{level}/{other}"].identity == "mwbt0"
        assert found[f"{level}/{unnamed}"].identity == "lipsynctimit-file1"
    assert "3 videos name no speaker such as fadg0" in caplog.text
    assert {r.compression for r in load_videos(LipSyncTIMIT(root=str(tmp_path), levels=("c40",)))} == {"c40"}


def test_polyglotfake(tmp_path: Path) -> None:
    real, fake, other = "real/es/es_1.mp4", "fake/to_ru/es_1_to_ru_Xtts.mp4", "fake/to_ru/en_5_to_ru_Bark.mp4"
    touch(tmp_path, real, fake, other)
    data = PolyGlotFake(root=str(tmp_path))
    assert {path: (r.label, r.identity, r.generator, r.pair, r.audio) for path, r in by_path(data).items()} == {
        real: (REAL, "polyglotfake-es_1", "", "", ""),
        fake: (FAKE, "polyglotfake-es_1", "unknown", real, "Xtts"),
        other: (FAKE, "polyglotfake-en_5", "unknown", "", "Bark"),
    }
    character = {"age": 30, "sex": "female"}
    reals = {"videos": [{"filename": "es_1.mp4", "lang": "es", "source": "URL 1", "characters": [character]}]}
    write_json(tmp_path / "json_file/real_json_file/all_real_video.json", reals)
    fakes = {"video": [{"filename": "es_1_to_ru_Xtts.mp4", "sync_tech": "Wav2Lip", "tts_technique": "XTTS"}]}
    write_json(tmp_path / "json_file/fake_Json_file/all_fake_video.json", fakes)
    found = by_path(data)
    assert (found[fake].generator, found[fake].audio, found[fake].gender) == ("Wav2Lip", "XTTS", "women")
    assert found[fake].identity == found[real].identity == "polyglotfake-URL 1 30 female"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("avlips", "0_real or 1_fake"),
        ("celebdf", "Celeb-real, YouTube-real or Celeb-synthesis"),
        ("dfdc", "dfdc_train_part_<n>/metadata.json"),
        ("faceforensics", "original_sequences or manipulated_sequences"),
        ("kodf", "original_videos"),
        ("lavdf", "metadata.min.json"),
        ("lipsynctimit", "Original Size, LipSyncTimit_compression23 or"),
        ("polyglotfake", "real or fake"),
    ],
)
def test_wrong_root_says_what_is_expected(tmp_path: Path, kind: str, expected: str) -> None:
    touch(tmp_path, "other/video.mp4")
    with pytest.raises(UserError, match=f"{tmp_path} is not .*: set data.root to the folder that contains {expected}"):
        load_videos(DATASETS.get(kind)(root=str(tmp_path)))
    absent = DATASETS.get(kind)(root=str(tmp_path / "absent"))
    assert absent.index_file() is None  # a cache can be used without the data set
    with pytest.raises(UserError, match=f"absent .*not exist.*: set data.root to the folder that contains {expected}"):
        load_videos(absent)


@pytest.mark.parametrize(
    ("keys", "data", "message"),
    [
        (["original_videos/1/1_1.mp4"], KoDF(), "has no folder audio-driven, nor one in synthesized_videos"),
        ([f"{TIMIT_LEVELS[0]}/RealVideo/a.mp4"], LipSyncTIMIT(), "has no folder LipSyncTimit_compression23"),
        ([f"{TIMIT_LEVELS[0]}/a.mp4"], LipSyncTIMIT(levels=("original",)), "lies neither in RealVideo nor"),
        (FFPP[:3], FaceForensics(), "no folder .*NeuralTextures/c23/videos"),
        ([*FFPP[:5], FFPP[0].replace("000", "x")], FaceForensics(), "expected a name such as 000.mp4"),
        (["a/0_real/1.mp4", "b/0_real/1.mp4"], AVLips(), "AVLips more than once"),
    ],
)
def test_incomplete_tree_says_what_is_missing(tmp_path: Path, keys, data, message: str) -> None:
    touch(tmp_path, *keys)
    with pytest.raises(UserError, match=message):
        load_videos(type(data)(**{**vars(data), "root": str(tmp_path)}))


def test_unknown_choices_are_named() -> None:
    assert "c24" in FaceForensics(levels=("c24",)).validate()[0]
    assert "did you mean audio-driven" in KoDF(methods=("audio_driven",)).validate()[0]
    assert "did you mean test?" in AVLips(splits=("tset",)).validate()[0]
