"""One video to its verdict: every window counts, every refusal has its reason."""

import contextlib
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

import lipinc
from lipinc.config import MouthConfig, SamplingConfig
from lipinc.demo.videos import talking_frames
from lipinc.detection import detector as detection
from lipinc.detection.batch import Settings, find_videos
from lipinc.detection.batch import load as load_batch
from lipinc.detection.detector import Detector
from lipinc.detection.evidence import choose_windows
from lipinc.detection.segments import Segment
from lipinc.detection.verdict import Decision
from lipinc.errors import UserError
from lipinc.models.calibration import Calibration
from lipinc.models.checkpoint import load_checkpoint
from lipinc.models.condition_bands import fit_bands
from lipinc.video.clips import extract
from lipinc.video.faces import track_faces
from lipinc.video.mouth import fit_mouths, residues
from lipinc.video.rejection import Reason
from lipinc.video.video_files import video_sha256

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def judge(checkpoint) -> Detector:
    return Detector(checkpoint)


@pytest.fixture(scope="module")
def open_talk(talk) -> Iterator:
    with track_faces(talk, MouthConfig()) as video:
        yield video


@pytest.fixture
def followed(open_talk, monkeypatch) -> None:
    """Faces are not followed anew for every verdict on `talk`."""
    monkeypatch.setattr(detection, "track_faces", lambda path, config, **_: contextlib.nullcontext(open_talk))


def beside(*people: list[np.ndarray]) -> list[np.ndarray]:
    return [np.hstack(frames) for frames in zip(*people, strict=True)]


# What is said of a video


def test_probability_is_that_of_the_mean_score_of_all_windows(talk, checkpoint) -> None:
    verdict = Detector(checkpoint)(talk)
    loaded = load_checkpoint(checkpoint, torch.device("cpu"))
    config, calibration = loaded.config, loaded.calibration
    clips = extract(talk, config.mouth, replace(config.sampling, windows=sys.maxsize))
    with torch.inference_mode():
        logits = loaded.model(torch.from_numpy(clips.frames), torch.from_numpy(clips.residues)).numpy()
    scores = logits[:, 1] - logits[:, 0]
    assert np.ptp(scores) > 0.01  # else a mean of some would be a mean of all

    (face,) = verdict.faces
    assert verdict.probability == pytest.approx(calibration.probability(scores.mean()), abs=1e-5)
    assert [window.probability for window in face.windows] == pytest.approx(
        calibration.probability(scores).tolist(), abs=1e-5
    )
    assert [list(window.frame_ids) for window in face.windows] == clips.frame_ids.tolist()
    assert [(window.start, window.end) for window in face.windows] == [
        (times[0], times[config.sampling.local_frames - 1]) for times in clips.times
    ]
    assert (verdict.windows, verdict.coverage, verdict.reason) == (len(scores), 1.0, None)
    assert (verdict.frames, verdict.duration) == (40, pytest.approx(39 / 25, abs=1e-3))
    assert verdict.threshold == pytest.approx(0.5)


def test_verdicts_by_the_published_weights_say_by_whom_mouths_were_found(make_checkpoint, talk, followed) -> None:
    published = make_checkpoint(score=1.0, sampling=SamplingConfig(published_quirks=True))
    notes = Detector(published)(talk).to_json()["stream"]["notes"]
    assert [note for note in notes if note.startswith("mouths are found by MediaPipe's models, not by dlib")]
    assert not Detector(make_checkpoint(score=1.0))(talk).stream.notes


def test_a_checkpoint_that_needs_dlib_says_what_to_install(make_checkpoint, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(UserError, match="python -m pip install dlib-bin"):
        Detector(make_checkpoint(score=1.0, mouth=MouthConfig(landmarks="dlib", repeats="keep")))


def test_windows_are_spread_over_the_whole_video(talk, judge, followed) -> None:
    windows = judge(talk).faces[0].windows
    local = [frame for window in windows for frame in window.frame_ids[:5]]
    assert local == sorted(set(local))
    assert local[0] < 10 and local[-1] >= 30 and len(windows) >= 5


def test_the_same_file_gives_the_same_verdict(talk, judge, checkpoint) -> None:
    first, second = (replace(judge(talk), judged_at="").to_json() for judge in (judge, Detector(checkpoint)))
    assert first == second


def test_how_many_clips_are_scored_at_once_changes_nothing(talk, judge, followed, monkeypatch) -> None:
    at_once = judge(talk)
    monkeypatch.setattr(detection, "CLIPS_AT_ONCE", 3)
    some = judge(talk)
    assert some.windows == at_once.windows > 3
    assert some.probability == pytest.approx(at_once.probability, abs=1e-5)


def test_half_precision_says_the_same(talk, judge, make_checkpoint, followed) -> None:
    half = make_checkpoint(judge.checkpoint.calibration, half=True)
    assert half.stat().st_size < 0.6 * judge.checkpoint.file.stat().st_size
    assert Detector(half)(talk).probability == pytest.approx(judge(talk).probability, abs=1e-2)


def test_verdict_names_what_it_rests_on(talk, judge, followed) -> None:
    values = judge(talk).to_json()
    assert values["model"] == "lipinc_v2" and values["checkpoint"] == "tiny.safetensors"
    assert values["checkpoint_sha256"] == judge.checkpoint.sha256 and len(values["sha256"]) == 64
    assert values["settings"]["mouth"]["face"] == "all" and values["settings"]["sampling"]["windows"] == "all"
    assert {"python", "torch", "ai-edge-litert"} <= values["versions"].keys()
    assert values["versions"]["lipinc"] == lipinc.__version__
    assert abs(datetime.fromisoformat(values["judged_at"].replace("Z", "+00:00")) - datetime.now(timezone.utc)) < HOUR


def test_checkpoint_is_loaded_once_for_many_calls(tmp_path, checkpoint, make_checkpoint, monkeypatch) -> None:
    loaded = []

    def load(file, device):
        loaded.append(file)
        return load_checkpoint(file, device)

    monkeypatch.setattr(detection, "load_checkpoint", load)
    detection.load_detector.cache_clear()
    for face in ("largest", "all", "largest"):
        load_batch(Settings(str(checkpoint), face=face))(tmp_path / "nowhere.mp4")
    assert len(loaded) == 2


@pytest.mark.parametrize(
    ("score", "uncertain", "decision"),
    [
        (0.5, (0.5, 0.5), Decision.FAKE),
        (0.49, (0.5, 0.5), Decision.REAL),
        (0.5, (-1.0, 2.0), Decision.UNCERTAIN),
        (-0.9, (-1.0, 2.0), Decision.UNCERTAIN),
        (1.9, (-1.0, 2.0), Decision.UNCERTAIN),
        (-1.0, (-1.0, 2.0), Decision.REAL),
        (2.0, (-1.0, 2.0), Decision.FAKE),
    ],
)
def test_decisions_at_the_thresholds(talk, make_checkpoint, followed, score, uncertain, decision) -> None:
    verdict = Detector(make_checkpoint(Calibration(0.5, 2.0, uncertain), score=score))(talk)
    assert verdict.decision is decision
    assert verdict.probability == pytest.approx(1 / (1 + np.exp(-(score - 0.5) / 2)), abs=1e-6)
    assert (verdict.probability >= verdict.threshold) == (score >= 0.5)


def test_a_score_that_is_no_number_is_no_verdict(talk, make_checkpoint, followed) -> None:
    with pytest.raises(UserError, match="tiny.safetensors"):
        Detector(make_checkpoint(score=float("nan")))(talk)


def test_checkpoints_of_the_first_network_judge_too(talk, make_checkpoint, followed) -> None:
    verdict = Detector(make_checkpoint(name="lipinc"))(talk)
    assert verdict.source.model == "lipinc" and 0 <= verdict.probability <= 1


# Whose mouth


@pytest.fixture(scope="module")
def pair(tmp_path_factory, write_video, talking) -> Path:
    """Two who talk; the one on the left is larger."""
    other = list(talking_frames(number=2, frames=40))
    large = [cv2.resize(frame, (336, 336)) for frame in talking]
    small = [cv2.copyMakeBorder(frame, 0, 112, 0, 0, cv2.BORDER_REPLICATE) for frame in other]
    return write_video(tmp_path_factory.mktemp("pair") / "pair.mp4", beside(large, small))


def test_two_people_get_a_verdict_each(pair, checkpoint) -> None:
    verdict = Detector(checkpoint, face="all")(pair)
    assert [face.rank for face in verdict.faces] == [0, 1]
    first, second = (face.assessment for face in verdict.faces)
    assert first.probability is not None and second.probability is not None
    assert first.probability != second.probability
    assert verdict.assessment is max(first, second, key=lambda assessment: assessment.probability)
    picture = next(iter_frames(pair))
    for face, half in zip(verdict.faces, (picture[:, :336], picture[:, 336:]), strict=True):
        thumbnail = face.thumbnail
        assert thumbnail.dtype == np.uint8 and thumbnail.ndim == 3 and max(thumbnail.shape) == 96
        assert best_match(thumbnail, half) > 0.9
    assert [face["rank"] for face in verdict.to_json()["faces"]] == [0, 1]
    for rank in ("1", 1, np.int64(1)):
        by_rank = Detector(checkpoint, face=rank)(pair)
        assert [face.rank for face in by_rank.faces] == [1]
    assert by_rank.probability == second.probability and by_rank.faces_seen == verdict.faces_seen == 2


def iter_frames(path: Path) -> Iterator[np.ndarray]:
    with av.open(str(path)) as container:
        yield from (frame.to_ndarray(format="bgr24") for frame in container.decode(video=0))


def best_match(thumbnail: np.ndarray, picture: np.ndarray) -> float:
    """Correlation of a thumbnail with the place of a picture that it was cut from, whatever its size."""
    return max(
        float(cv2.matchTemplate(cv2.resize(picture, None, fx=scale, fy=scale), thumbnail, cv2.TM_CCOEFF_NORMED).max())
        for scale in np.geomspace(0.4, 1.2, 25)
        if min(picture.shape[:2]) * scale > 96
    )


def test_who_is_silent_keeps_no_one_else_from_a_verdict(tmp_path, write_video, talking, checkpoint) -> None:
    silent = list(talking_frames(number=4, frames=40, silent=True))
    path = write_video(tmp_path / "v.mp4", beside(silent, talking))
    verdict = Detector(checkpoint, face="all")(path)
    reasons = {face.assessment.reason for face in verdict.faces}
    assert reasons == {Reason.MOUTH_CLOSED, None}
    assert verdict.reason is None and verdict.probability is not None
    assert all(face.thumbnail.size for face in verdict.faces)


def test_a_face_that_is_not_there_is_no_verdict(talk, checkpoint, followed) -> None:
    verdict = Detector(checkpoint, face="1")(talk)
    assert verdict.coverage == 0 and verdict.faces_seen == 1
    assert (verdict.decision, verdict.reason) == (Decision.NO_VERDICT, Reason.NO_FACE)
    assert "face 1 was requested" in verdict.assessment.detail


@pytest.mark.parametrize("face", ["9", "-1", "x", "", "1.5", 9, -1, 1.5, True, None, [0]])
def test_a_face_that_cannot_be_is_refused(checkpoint, face) -> None:
    with pytest.raises(UserError, match="face must be largest, all or a rank"):
        Detector(checkpoint, face=face)


def test_arguments_of_other_types_are_refused_in_one_line(checkpoint) -> None:
    for device in (0, None, ["cpu"]):
        with pytest.raises(UserError, match="device must be auto, cpu or cuda"):
            Detector(checkpoint, device=device)
    with pytest.raises(UserError, match="no checkpoint 5"):
        Detector(5)
    with pytest.raises(UserError, match="the video must be a path, not None"):
        Detector(checkpoint)(None)
    assert Detector(checkpoint, device=torch.device("cpu"))("\0.mp4").assessment.reason is Reason.MISSING


@pytest.mark.parametrize(
    "device", ["gpu", pytest.param("cuda", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="has one"))]
)
def test_a_device_that_is_not_there_is_refused(checkpoint, device) -> None:
    with pytest.raises(UserError, match="^device .*auto"):
        Detector(checkpoint, device=device)


# The grounds


def test_evidence_is_given_if_asked_for(talk, judge, followed) -> None:
    assert judge(talk).faces[0].evidence == ()
    (face,) = judge(talk, evidence=True).faces
    probabilities = [window.probability for window in face.windows]
    assert [one.window for one in face.evidence] == [np.argmax(probabilities), np.argmin(probabilities)]
    mouths = extract(talk, MouthConfig(), replace(judge.checkpoint.config.sampling, windows=sys.maxsize))
    for one in face.evidence:
        assert np.array_equal(one.frames, mouths.frames[one.window])
        assert np.array_equal(one.residues, mouths.residues[one.window])
        assert one.heat.shape == (8, 64, 144) and one.heat.dtype == np.float32
        assert one.heat.min() >= 0 and one.heat.max() == 1


def test_native_mouths_are_judged_each_window_at_its_size(talk, make_checkpoint) -> None:
    mouth = MouthConfig(cut="native", margin=0.15)
    judge = Detector(make_checkpoint(name="noise_features", mouth=mouth))
    verdict = judge(talk, evidence=True)
    (face,) = verdict.faces
    model, sampling = judge.checkpoint.model, replace(judge.checkpoint.config.sampling, windows=sys.maxsize)
    clips = extract(talk, mouth, sampling)
    scores = []
    for number, window in enumerate(face.windows):
        frames, residues = (torch.from_numpy(part)[None] for part in clips.window(number))
        with torch.inference_mode():
            real, fake = model.score_clips(frames, residues)[0].tolist()
        scores.append(fake - real)
        assert window.probability == pytest.approx(judge.checkpoint.calibration.probability(scores[-1]), abs=1e-6)
    assert verdict.probability == pytest.approx(judge.checkpoint.calibration.probability(np.mean(scores)), abs=1e-6)
    for one in face.evidence:
        assert np.array_equal(one.frames, clips.window(one.window)[0])
        assert one.heat.shape == one.frames.shape[:3] and one.heat.max() == 1


def test_networks_see_the_middle_of_native_mouths(talk, make_checkpoint) -> None:
    mouth = MouthConfig(cut="native", margin=0.15, height=16, width=40)
    judge = Detector(make_checkpoint(mouth=mouth))
    (face,) = judge(talk, evidence=True).faces
    clips = extract(talk, mouth, replace(judge.checkpoint.config.sampling, windows=sys.maxsize))
    fitted = [fit_mouths(clips.window(number)[0], 16, 40) for number in range(len(face.windows))]
    scores, _ = judge._score(np.stack(fitted), residues(np.stack(fitted), mouth.residue))
    expected = judge.checkpoint.calibration.probability(scores)
    assert [window.probability for window in face.windows] == pytest.approx(expected, abs=1e-5)
    assert all(np.array_equal(one.frames, fitted[one.window]) for one in face.evidence)


def test_evidence_of_windows_that_are_all_alike_is_one_window(talk, make_checkpoint, followed) -> None:
    (face,) = Detector(make_checkpoint(score=1.0))(talk, evidence=True).faces
    assert len(face.windows) > 1 and len(face.evidence) == 1
    assert not face.evidence[0].heat.any()  # nothing in the mouths moves this score


def test_a_suspicious_stretch_is_shown_by_its_mouths(talk, judge, followed, monkeypatch) -> None:
    """Whatever rule finds the stretches: the mouths that are shown lie in them, and are those of the video."""
    whole = judge(talk)
    times = [window.start for window in whole.faces[0].windows]
    stretch = Segment(times[1], times[3], 0.9)
    monkeypatch.setattr(detection, "choose_windows", lambda windows, _: choose_windows(windows, [stretch]))
    assert judge(talk).faces[0].stills == ()
    stills = judge(talk, evidence=True).faces[0].stills
    assert [still.time for still in stills] == times[1:4]
    mouths = extract(talk, MouthConfig(), replace(judge.checkpoint.config.sampling, windows=sys.maxsize))
    for still, window in zip(stills, (1, 2, 3), strict=True):
        assert still.frame_id == mouths.frame_ids[window, 0]
        assert np.array_equal(still.picture, mouths.frames[window, 0])


# Any file at all


def sound_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())


@pytest.fixture
def bad_file(tmp_path, write_video, talk, talking):
    """bad_file(kind) makes a file that cannot be judged, and gives its path."""

    def make(kind: str) -> Path:
        path = tmp_path / "v.mp4"
        if kind == "text":
            path.write_text("not a video\n" * 100)
        elif kind == "empty":
            path.touch()
        elif kind == "cut before its index":
            path.write_bytes(talk.read_bytes()[: talk.stat().st_size // 2])
        elif kind == "sound only":
            sound_only(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind in ("still.png", "still.jpg"):
            path = tmp_path / kind
            cv2.imwrite(str(path), talking[0])
        elif kind == "one frame":
            write_video(path, talking[:1])
        elif kind == "30 frames":
            write_video(path, talking[:30])
        elif kind == "16 x 16":
            write_video(path, [cv2.resize(frame, (16, 16)) for frame in talking])
        elif kind == "8K":
            write_video(path, [np.full((4320, 7680, 3), 90, np.uint8)] * 3, codec="mpeg4")
        return path

    return make


@pytest.mark.parametrize(
    ("kind", "reason", "detail"),
    [
        ("text", Reason.UNREADABLE, "not a video that FFmpeg can open"),
        ("empty", Reason.UNREADABLE, "not a video that FFmpeg can open"),
        ("cut before its index", Reason.UNREADABLE, "not a video that FFmpeg can open"),
        ("sound only", Reason.UNREADABLE, "it has no video"),
        ("folder", Reason.UNREADABLE, "a folder without pictures, not a video"),
        ("pipe", Reason.UNREADABLE, "not a regular file"),
        ("absent", Reason.MISSING, "no such file"),
        ("still.png", Reason.UNREADABLE, "a picture, not a video"),
        ("still.jpg", Reason.UNREADABLE, "a picture, not a video"),
        ("one frame", Reason.TOO_SHORT, "1 frame, 31 are needed"),
        ("30 frames", Reason.TOO_SHORT, "30 frames, 31 are needed"),
        ("16 x 16", Reason.NO_FACE, "face"),
        pytest.param(
            "8K", Reason.TOO_SHORT, "3 frames (2 of them repeat the one before), 31 are needed", marks=pytest.mark.slow
        ),
    ],
)
def test_what_cannot_be_judged_says_why(bad_file, judge, kind, reason, detail) -> None:
    path = bad_file(kind)
    verdict = judge(path)
    assert (verdict.decision, verdict.reason, verdict.probability) == (Decision.NO_VERDICT, reason, None)
    assert detail in verdict.assessment.detail and "\n" not in verdict.assessment.detail
    assert (verdict.file, verdict.windows) == (str(path), 0)
    assert (verdict.coverage is None) == (reason is not Reason.NO_FACE)  # otherwise no mouth was looked for
    assert bool(verdict.sha256) == (kind not in ("absent", "folder", "pipe"))


def test_a_file_or_folder_without_permission_says_so(unprivileged, judge) -> None:
    file, folder = unprivileged / "closed.mp4", unprivileged / "closed"
    file.touch(mode=0)
    folder.mkdir(mode=0)
    for path in (file, folder, folder / "below.mp4"):
        verdict = judge(path)
        assert (verdict.reason, verdict.assessment.detail) == (Reason.UNREADABLE, "Permission denied"), path


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("v.mp4", "libx264", "gray"),
        ("v.mp4", "libx264", "yuv444p"),
        ("v.mp4", "libx264", "yuv420p10le"),
        ("v.avi", "mpeg4", "yuv420p"),
        ("v.mkv", "libx264", "yuv420p"),
        ("v.mov", "libx264", "yuv420p"),
        ("v.webm", "libvpx", "yuv420p"),
    ],
)
def test_any_container_and_pixel_format_is_judged(tmp_path, write_video, talking, judge, name, codec, pix_fmt) -> None:
    verdict = judge(write_video(tmp_path / name, talking, codec=codec, pix_fmt=pix_fmt))
    assert verdict.probability is not None, verdict.assessment
    assert verdict.windows >= 4 and verdict.coverage == 1.0
    assert verdict.duration == pytest.approx(39 / 25, abs=2e-3)


def test_portrait_format_is_judged(tmp_path, write_video, talking, judge) -> None:
    tall = [cv2.copyMakeBorder(frame, 96, 96, 0, 0, cv2.BORDER_REPLICATE) for frame in talking]
    verdict = judge(write_video(tmp_path / "v.mp4", tall))
    assert verdict.windows >= 4 and verdict.coverage == 1.0


def test_a_phone_that_was_held_upright_is_turned(tmp_path, write_video, talking, judge) -> None:
    path = write_video(tmp_path / "v.mp4", [np.rot90(frame) for frame in talking])
    content = bytearray(path.read_bytes())
    # The display matrix of the track header (ISO/IEC 14496-12): turn clockwise by 90 degrees.
    matrix = content.index(b"tkhd") + 4 + 40
    one, last = 1 << 16, 1 << 30
    content[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 224 * one, 0, last)
    path.write_bytes(content)
    verdict = judge(path)
    assert verdict.windows >= 4 and verdict.coverage == 1.0
    height, width = verdict.faces[0].thumbnail.shape[:2]
    assert height > width  # a face that lies on its side is wider than high


def test_times_of_a_variable_frame_rate_are_those_of_its_frames(tmp_path, talking, judge) -> None:
    at = np.cumsum([0] + [(40, 15, 90)[i % 3] for i in range(39)])  # in ms
    millisecond = Fraction(1, 1000)
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 224, 224, "yuv420p"
        stream.codec_context.time_base = stream.time_base = millisecond
        for image, time in zip(talking, at, strict=True):
            picture = av.VideoFrame.from_ndarray(image, format="bgr24")
            picture.pts, picture.time_base = int(time), millisecond
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    verdict = judge(tmp_path / "v.mkv")
    assert verdict.frames == 40 and verdict.duration == pytest.approx(at[-1] / 1000, abs=2e-3)
    for window in verdict.faces[0].windows:
        assert window.start == pytest.approx(at[window.frame_ids[0]] / 1000, abs=2e-3)
        assert window.end == pytest.approx(at[window.frame_ids[4]] / 1000, abs=2e-3)


@pytest.mark.parametrize("name", ["v.mkv", "v.ts"])
def test_a_file_that_breaks_off_is_judged_by_what_is_there(tmp_path, write_video, talking, judge, name) -> None:
    path = write_video(tmp_path / name, talking)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 95 // 100])
    verdict = judge(path)
    assert 31 <= verdict.frames < 40
    assert verdict.windows >= 1 and verdict.probability is not None


@pytest.mark.parametrize(
    "name", ["two words.mp4", 'it\'s "quoted".mp4', "<script>.mp4", "口型 é.mp4", "line\nbreak.mp4"]
)
def test_file_names_are_taken_as_they_are(tmp_path, judge, name) -> None:
    (tmp_path / name).write_text("no video")
    verdict = judge(tmp_path / name)
    assert verdict.reason is Reason.UNREADABLE and verdict.file == str(tmp_path / name)
    assert verdict.assessment.detail == "not a video that FFmpeg can open"


def test_a_name_of_no_encoding_is_refused_before_it_kills_the_program(tmp_path, talk, judge) -> None:
    path = tmp_path / "caf\udce9.mp4"
    path.write_bytes(talk.read_bytes())
    verdict = judge(path)
    assert (verdict.reason, len(verdict.sha256)) == (Reason.UNREADABLE, 64)
    assert "is not UTF-8; rename it" in verdict.assessment.detail


def test_a_folder_of_frames_is_judged_like_its_video(tmp_path, judge, talking) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for number, image in enumerate(talking, start=1):
        cv2.imwrite(str(frames / f"{number}.png"), image)
    verdict = judge(frames)
    assert verdict.probability is not None and verdict.frames == len(talking)
    assert verdict.duration == pytest.approx((len(talking) - 1) / 25)
    assert verdict.sha256 == video_sha256(frames)
    assert verdict.stream.container == "pictures" and "assumed" in verdict.stream.notes[0]
    assert find_videos([str(tmp_path)]) == find_videos([str(frames)]) == find_videos([f"{tmp_path}/f*"]) == [frames]
    (frames / "7.png").write_bytes(b"")
    verdict = judge(frames)
    assert (verdict.reason, verdict.assessment.detail) == (Reason.UNREADABLE, "the picture 7.png is damaged")


@pytest.mark.parametrize(
    ("surest", "answer", "why"),
    [(0.5, "real", ""), (0.9, "uncertain", "stretch stands out"), (0.999, "fake", "not as a whole, but a stretch")],
)
def test_a_stretch_may_decide_on_a_video_that_shows_no_trace_as_a_whole(
    make_checkpoint, talk, followed, monkeypatch, surest, answer, why
):
    stretch = Segment(0.2, 1.4, surest)
    monkeypatch.setattr(detection, "find_segments", lambda *_: (stretch,))
    verdict = Detector(make_checkpoint(score=-5.0))(talk)
    assert verdict.decision.value == answer and why in verdict.assessment.detail
    assert verdict.segments == (stretch,)
    assert verdict.probability == pytest.approx(1 / (1 + np.exp(5)), abs=1e-3)  # that of the whole


@pytest.mark.parametrize(("likely", "decision"), [("raw", "fake"), ("social", "uncertain")])
def test_the_band_is_that_of_the_quality_of_the_video(make_checkpoint, talk, followed, likely, decision):
    """The same score decides on a video as a camera made it, and not on one that looks like a compressed copy."""
    quality = Detector(make_checkpoint(score=0.0))(talk).quality.to_array()[None].repeat(120, axis=0)
    rng = np.random.default_rng(0)
    here, elsewhere = (
        quality * np.exp(rng.normal(scale=0.1, size=quality.shape) + shift) for shift in (0.0, np.log(0.2))
    )
    videos = np.concatenate([here, elsewhere] if likely == "raw" else [elsewhere, here])
    bands = fit_bands(videos, np.repeat(["raw", "social"], 120), {"raw": (-1.0, 1.0), "social": (-3.0, 3.0)})
    verdict = Detector(make_checkpoint(Calibration(uncertain=(-3.0, 3.0), bands=bands), score=2.0))(talk)
    assert verdict.decision.value == decision
    bound = 1.0 if likely == "raw" else 3.0
    found = verdict.to_json()["uncertain_between"]
    assert found == pytest.approx([1 / (1 + np.exp(bound)), 1 / (1 + np.exp(-bound))], abs=1e-6)


def test_a_video_outside_the_known_quality_is_uncertain_and_says_why(make_checkpoint, talk, followed):
    limits = {"face_height": (5000.0, 6000.0)}
    verdict = Detector(make_checkpoint(Calibration(limits=limits), score=-5.0))(talk)
    assert verdict.decision is Decision.UNCERTAIN
    assert "5000 to 6000 px" in verdict.assessment.detail
    assert 10 < verdict.quality.face_height < 5000
