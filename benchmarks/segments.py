"""Segments: which stretches of videos are flagged, by videos that are real, wholly forged, and forged in part.

    python -m benchmarks.segments --clips data/clips --folds outputs/mouth_noise_folds

Splices each real clip with its own fakes, at random places. `--folds` names the folder of a cross-validation (`lipinc
crossval --calibration out-of-fold`): a clip is scored by the detector that was not trained on it. Each clip is scored
once; the windows of many videos are then joined from those of clips (benchmarks/splicing.py). `--videos` of the spliced
ones are also encoded and scored as files. Real videos are one scene, which repeats a clip, or many scenes: clips of one
source, most of them of different people, which is harder than an interview.

Prints the fraction of real minutes that are flagged, with an interval by person; the stretches found, by length and by
generator, and how far off their ends are; the decisions by length of the video; and the constants of
lipinc/detection/segments.py as the real videos give them, with each source left out. Writes segments.csv, a row per
video, and segments.png to --out. The clips' index needs the columns file, label, person, generator, pair and
source_repo.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.command import run_benchmark
from benchmarks.plots import plot_found
from benchmarks.splicing import Piece, Windows, join_frames, join_windows, one_after_another
from lipinc.commands.release import read_calibration
from lipinc.detection.detector import Detector
from lipinc.detection.segments import Segment, decide_in_part, find_segments, scan
from lipinc.errors import UserError
from lipinc.files.csv_table import read_table, write_table
from lipinc.models.calibration import Calibration
from lipinc.models.checkpoint import DEFAULT_CHECKPOINT
from lipinc.video.quality import QUALITY_NAMES
from lipinc.video.writer import encode

LENGTHS = (2.0, 3.0, 5.0)
"""Lengths of forged stretches, in s."""
SECONDS = 32.0
"""Length of the videos with a forged stretch, and of the real ones beside them, in s."""
DURATIONS = (5.0, 15.0, 60.0, 180.0, 600.0)
"""Lengths of the real and the wholly forged videos that are decided on, in s."""
MIN_CLIPS = 4
"""Fewest real clips of a source that are shown one after another."""
OVERLAP = 0.5
"""A forged stretch is found by a segment whose intersection with it is at least this fraction of their union."""
PROBABILITIES = (0.0, 0.5, 0.75, 0.9, 1.0)
"""Bounds of the probabilities that are compared with how many segments are forged."""
REAL = ("one scene", "many scenes")
"""Kinds of real videos."""
BOOTSTRAP = 1000
"""Resamples of the people."""
LOW_SCORE = 1.2
"""Lowest score of the stretches from which the constants are fitted."""
LOWEST_SCORE = 0.4
"""Lowest score of the curve."""


@dataclass(frozen=True)
class Arguments:
    """Suspicious stretches of real and spliced videos."""

    clips: Path
    """Folder of clips with an index clips.csv."""
    folds: Path | None = None
    """Folder <output>/<name>_folds of a cross-validation, whose runs lie beside it; by default `checkpoint` scores."""
    checkpoint: str = str(DEFAULT_CHECKPOINT)
    """Checkpoint, or name of a shipped one. It must not be trained on the clips."""
    videos: int = 24
    """Spliced videos that are encoded and scored as files."""
    seed: int = 0
    """Seed of the places."""
    out: Path = Path("outputs/benchmarks")
    """Folder of the table, the figure, the scored windows and the videos."""


@dataclass(frozen=True)
class Clip:
    """A clip of the index."""

    file: str
    fake: bool
    person: str
    generator: str
    source: str
    real: str
    """The file of the real clip that a fake was made from; that of a real clip itself."""


@dataclass(frozen=True)
class Case:
    """A video of the benchmark."""

    kind: str
    """one scene, many scenes, forged, spliced, or encoded (a spliced video file)."""
    clip: Clip
    """The forged clip; of a real video the first clip."""
    seconds: float
    length: float
    """Length of the forged stretch in s; 0 without one."""
    pieces: tuple[Piece, ...]
    forged: tuple[float, float] | None
    """Start and end of the forged stretch in s."""


@dataclass(frozen=True)
class Result:
    """A video of the benchmark with what was found in it."""

    case: Case
    segments: tuple[Segment, ...]
    stretches: np.ndarray
    """(S, 3) float64: start and end in s, and score, of all stretches with at least LOWEST_SCORE."""

    @property
    def flagged(self) -> float:
        """Seconds in segments."""
        return sum(segment.end - segment.start for segment in self.segments)

    @property
    def hit(self) -> Segment | None:
        """The segment that finds the forged stretch."""
        return next((one for one in self.segments if _overlap(one.start, one.end, self.case.forged) >= OVERLAP), None)


def main(arguments: Arguments) -> None:
    """Score the clips, then print the tables."""
    clips = read_index(arguments.clips)
    detectors = Detectors(arguments)
    windows = {}
    for clip in tqdm(clips, desc="clips", unit="clip"):
        if (found := detectors.score_clip(clip)) is not None:
            windows[clip.file] = found
    clips = [clip for clip in clips if clip.file in windows]
    rng = np.random.default_rng(arguments.seed)
    real = list(real_cases(clips, windows, SECONDS, rng))
    spliced = list(spliced_cases(clips, windows, rng))
    forged = [_repeated("forged", clip, windows, SECONDS) for clip in clips if clip.fake]
    results = [
        _search(case, join_windows(case.pieces, windows)) for case in tqdm(real + spliced + forged, unit="video")
    ]
    chosen = rng.permutation(len(spliced))[: arguments.videos]
    for case in tqdm([spliced[number] for number in chosen], desc="encoded", unit="video"):
        if (found := detectors.score_spliced(case)) is not None:
            results.append(_search(replace(case, kind="encoded"), found))
    print(f"{len(clips)} clips with windows in {arguments.clips}, {SECONDS:.0f} s videos, seed {arguments.seed}")
    _print_flagged(results, rng)
    _print_found(results)
    _print_reliability(results)
    _print_decisions(clips, windows, detectors.calibration, rng)
    _print_constants([one for one in results if one.case.kind in REAL])
    _write(results, arguments.out / "segments.csv")
    _plot(results, arguments.out / "segments.png")


def read_index(folder: Path) -> list[Clip]:
    """Read the clips of an index whose real clip is known, and all real clips.

    Raises:
        UserError: the index is missing, or has no such columns.
    """
    table = read_table(folder / "clips.csv")
    table.require(("file", "label", "person", "generator", "pair", "source_repo"))
    rows = [cells for _, cells in table.rows]
    reals = {Path(row["file"]).stem: row["file"] for row in rows if row["label"] == "real"}
    if not reals:
        raise UserError(f"{table.path} has no clips with the label real")
    return [
        Clip(
            file=row["file"],
            fake=row["label"] != "real",
            person=row["person"],
            generator=row["generator"],
            source=row["source_repo"],
            real=row["file"] if row["label"] == "real" else reals[row["pair"]],
        )
        for row in rows
        if row["label"] == "real" or row["pair"] in reals
    ]


class Detectors:
    """Scores clips, each by a detector that was not trained on it. Keeps the scores in the output folder."""

    def __init__(self, arguments: Arguments):
        self._root, self._out = arguments.clips, arguments.out
        self._files: dict[str, str] = {}
        self._checkpoint, self.calibration = arguments.checkpoint, Calibration()
        self._loaded: dict[str, Detector] = {}
        self._name = Path(arguments.checkpoint).stem
        if arguments.folds is not None:
            self._name = arguments.folds.name
            self.calibration = read_calibration(arguments.folds / "calibration.json")
            for run in sorted(arguments.folds.parent.glob(f"{self._name.removesuffix('_folds')}*_fold[0-9]*")):
                for _, cells in read_table(run / "splits.csv").rows:
                    if cells["split"] == "test":
                        self._files.setdefault(cells["path"], str(run / "checkpoints" / "best.safetensors"))
        else:
            self.calibration = self._detector("").checkpoint.calibration

    def score_clip(self, clip: Clip) -> Windows | None:
        """Score a clip; None if it cannot be scored."""
        return self._score(clip.file, self._root / clip.file, Path(self._name, clip.file))

    def score_spliced(self, case: Case) -> Windows | None:
        """Encode a spliced video, if it does not exist, and score it."""
        name = f"{Path(case.clip.file).stem}_{case.forged[0]:.2f}_{case.forged[1]:.2f}.mp4"
        video = self._out / "segments_videos" / name
        if not video.exists():
            encode(join_frames(case.pieces, self._root), video, crf=18, preset="veryfast")
        return self._score(case.clip.file, video, Path(self._name, "videos", name))

    def _score(self, clip: str, video: Path, name: Path) -> Windows | None:
        """Score a video by the detector of a clip, or read its scores."""
        table = self._out / "segments_windows" / f"{name}.csv"
        if not table.exists():
            if self._files and clip not in self._files:
                raise UserError(
                    f"{clip} is in no test split beside {self._name}; run the cross-validation on these clips"
                )
            detector = self._detector(clip)
            verdict = detector(video)
            # Far from 0 and 1, so that the logit is finite. Scores without calibration, whatever the detector's own is.
            found = [one for face in verdict.faces for one in face.windows]
            likely = np.clip([one.probability for one in found], 1e-12, 1 - 1e-12)
            own = detector.checkpoint.calibration
            scores = np.log(likely / (1 - likely)) * own.temperature + own.threshold
            quality = asdict(verdict.quality) if found else {}
            rows = [
                {
                    **{name: getattr(one, name) for name in ("start", "end", "contrast", "scene")},
                    "score": score,
                    **quality,
                    "duration": verdict.duration,
                }
                for one, score in zip(found, scores, strict=True)
            ]
            write_table(table, ("start", "end", "score", "contrast", "scene", *QUALITY_NAMES, "duration"), rows)
        values = np.array([[float(cell) for cell in cells.values()] for _, cells in read_table(table).rows])
        if not len(values):
            return None
        start, end, score, contrast, scene, *quality, duration = values.T
        compared = contrast, scene.astype(int), np.stack(quality, axis=1)
        return Windows(start, end, self.calibration.logit(score), *compared, float(duration[0]))

    def _detector(self, clip: str) -> Detector:
        file = self._files.get(clip, self._checkpoint)
        if file not in self._loaded:
            self._loaded[file] = Detector(file, face="largest")
        return self._loaded[file]


def real_cases(
    clips: list[Clip], windows: dict[str, Windows], seconds: float, rng: np.random.Generator
) -> Iterator[Case]:
    """Plan a video of one scene for each real clip, and one of many scenes from its source."""
    sources = defaultdict(list)
    for clip in clips:
        if not clip.fake:
            sources[clip.source].append(clip)
    for same in sources.values():
        for clip in same:
            yield _repeated("one scene", clip, windows, seconds)
            if len(same) >= MIN_CLIPS:
                others = [same[number].file for number in rng.permutation(len(same)) if same[number] is not clip]
                scenes = [(file, windows[file].duration) for file in (clip.file, *others)]
                yield Case("many scenes", clip, seconds, 0.0, tuple(one_after_another(scenes, seconds)), None)


def spliced_cases(clips: list[Clip], windows: dict[str, Windows], rng: np.random.Generator) -> Iterator[Case]:
    """Plan videos of each real clip, repeated, with a stretch of one of its fakes at a random place."""
    for clip in clips:
        if not clip.fake or clip.real not in windows:
            continue
        real, fake = windows[clip.real].duration, windows[clip.file].duration
        for length in LENGTHS:
            if fake < length - 0.25:  # a fake of 3 s often lacks a few frames
                continue
            kept = min(length, fake)
            begin, before = rng.uniform(0, fake - kept), rng.uniform(2, SECONDS - kept - 2)
            pieces = (
                *one_after_another([(clip.real, real)], before),
                Piece(clip.file, begin, begin + kept),
                *one_after_another([(clip.real, real)], SECONDS - before - kept),
            )
            yield Case("spliced", clip, SECONDS, length, pieces, (before, before + kept))


def _repeated(kind: str, clip: Clip, windows: dict[str, Windows], seconds: float) -> Case:
    pieces = one_after_another([(clip.file, windows[clip.file].duration)], seconds)
    return Case(kind, clip, seconds, 0.0, tuple(pieces), None)


def _search(case: Case, windows: Windows) -> Result:
    stretches = scan(*windows.compared, LOWEST_SCORE)
    return Result(case, find_segments(*windows.compared), np.array(stretches).reshape(-1, 3))


def _overlap(start: float, end: float, forged: tuple[float, float]) -> float:
    """Intersection over union."""
    both = min(end, forged[1]) - max(start, forged[0])
    return max(both, 0) / (max(end, forged[1]) - min(start, forged[0]))


def _print_flagged(results: list[Result], rng: np.random.Generator) -> None:
    print(f"\n{'real videos':28s}{'videos':>8s}{'minutes flagged':>28s}{'videos with a segment':>24s}")
    for kind in REAL:
        of_kind = [one for one in results if one.case.kind == kind]
        counts = Counter(one.case.clip.source for one in of_kind)
        for source in (None, *(name for name, count in counts.most_common(5) if count >= MIN_CLIPS)):
            chosen = [one for one in of_kind if source in (None, one.case.clip.source)]
            if not chosen:
                continue
            flagged = np.array([one.flagged / one.case.seconds for one in chosen])
            low, high = _interval(flagged, [one.case.clip.person for one in chosen], rng)
            share = np.mean(flagged > 0)
            name = f"{kind}{', ' + source.split('/')[0] if source else ''}"
            print(f"{name:28.28s}{len(chosen):8d}{flagged.mean():12.2%} [{low:5.2%}, {high:5.2%}]{share:24.1%}")


def _interval(values: np.ndarray, people: list[str], rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of a mean, by resampled people."""
    _, person = np.unique(people, return_inverse=True)
    sums, counts = np.bincount(person, values), np.bincount(person)
    drawn = rng.integers(len(sums), size=(BOOTSTRAP, len(sums)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (2.5, 97.5))
    return float(low), float(high)


def _print_found(results: list[Result]) -> None:
    print(
        f"\n{'forged stretches':28s}{'videos':>8s}{'found':>8s}{'median error':>14s}{'within 0.5 s':>14s}{'fake':>8s}"
    )
    for kind in ("spliced", "encoded"):
        of_kind = [one for one in results if one.case.kind == kind]
        groups = {
            f"{kind}, {length:.0f} s": [one for one in of_kind if one.case.length == length] for length in LENGTHS
        }
        three = [one for one in of_kind if one.case.length == 3 and kind == "spliced"]
        for column in ("source", "generator"):
            for name, count in Counter(getattr(one.case.clip, column) for one in three).most_common():
                if count >= MIN_CLIPS:
                    same = [one for one in three if getattr(one.case.clip, column) == name]
                    groups[f"3 s, {name.split('/')[0]}"] = same
        for name, chosen in groups.items():
            if not chosen:
                continue
            hits = [(one.hit, one.case.forged) for one in chosen if one.hit is not None]
            errors = np.abs([(hit.start - start, hit.end - end) for hit, (start, end) in hits])
            median, near = (np.median(errors), np.mean(errors <= 0.5)) if hits else (math.nan, math.nan)
            fake = np.mean([decide_in_part(-1, one.segments) == 1 for one in chosen])
            print(f"{name:28.28s}{len(chosen):8d}{len(hits) / len(chosen):8.0%}{median:12.2f} s{near:14.0%}{fake:8.0%}")
    steady = [one for one in results if one.case.kind == "forged"]
    if steady:
        print(f"wholly forged with a segment: {np.mean([one.flagged > 0 for one in steady]):.0%} of {len(steady)}")


def _print_reliability(results: list[Result]) -> None:
    """How many segments are forged, by their probability, if every other video has a forged stretch."""
    real = [one for one in results if one.case.kind in REAL]
    spliced = [one for one in results if one.case.kind == "spliced"]
    if not real or not spliced:
        return
    print(f"\n{'probability of a segment':28s}{'in real':>8s}{'in spliced':>12s}{'forged':>8s}")
    for low, high in pairwise(PROBABILITIES):
        inside = [[s for s in one.segments if low <= s.probability < high] for one in real]
        false = sum(map(len, inside)) / len(real)
        both = [
            min(s.end, one.case.forged[1]) > max(s.start, one.case.forged[0])
            for one in spliced
            for s in one.segments
            if low <= s.probability < high
        ]
        forged, beside = sum(both) / len(spliced), (len(both) - sum(both)) / len(spliced)
        among = forged / total if (total := forged + beside + false) else math.nan
        print(f"{f'{low:.2f} to {high:.2f}':28s}{sum(map(len, inside)):8d}{len(both):12d}{among:8.0%}")


def _print_decisions(
    clips: list[Clip], windows: dict[str, Windows], calibration: Calibration, rng: np.random.Generator
) -> None:
    """Decisions by the whole alone, and with segments, for real and wholly forged videos by their length."""
    print(f"\n{'seconds':>8s}  {'videos':24s}{'number':>8s}{'fake':>8s}{'uncertain':>11s}{'fake by segments':>18s}")
    for seconds in DURATIONS:
        cases = list(real_cases(clips, windows, seconds, rng))
        cases += [_repeated("forged", clip, windows, seconds) for clip in clips if clip.fake]
        for kind in (*REAL, "forged"):
            decisions = []
            for case in cases:
                if case.kind == kind:
                    joined = join_windows(case.pieces, windows)
                    if not len(joined.logit):
                        continue
                    score = joined.logit.mean() * calibration.temperature + calibration.threshold
                    whole = int(calibration.of_video(joined.quality).decide(score))
                    segments = find_segments(*joined.compared)
                    decisions.append((whole, decide_in_part(whole, segments)))
            if decisions:
                whole, both = np.array(decisions).T
                by_segments = np.mean((both == 1) & (whole < 1))
                print(
                    f"{seconds:8.0f}  {kind:24s}{len(both):8d}{np.mean(both == 1):8.1%}"
                    f"{np.mean(both == 0):11.1%}{by_segments:18.1%}"
                )


def _print_constants(real: list[Result]) -> None:
    """The rate of high scores in real videos: an exponential tail, fitted without each of the largest sources."""
    print(f"\n{'constants without':28s}{'RATE_SCORE':>12s}{'RATE_SLOPE':>12s}")
    counts = Counter(one.case.clip.source for one in real)
    for source in (None, *(name for name, _ in counts.most_common(3))):
        chosen = [one for one in real if one.case.clip.source != source]
        if not chosen:
            continue
        minutes = sum(one.case.seconds for one in chosen) / 60
        above = np.concatenate([one.stretches[:, 2] for one in chosen])
        above = above[above >= LOW_SCORE]
        if len(above) > 1:
            slope = 1 / np.mean(above - LOW_SCORE)
            print(f"{source or 'none':28.28s}{LOW_SCORE + math.log(len(above) / minutes) / slope:12.2f}{slope:12.2f}")


def _write(results: Iterable[Result], path: Path) -> None:
    columns = ("kind", "clip", "person", "source", "generator", "seconds", "forged_start", "forged_end", "segments")
    write_table(
        path,
        columns,
        (
            {
                "kind": one.case.kind,
                "clip": one.case.clip.file,
                "person": one.case.clip.person,
                "source": one.case.clip.source,
                "generator": one.case.clip.generator,
                "seconds": one.case.seconds,
                "forged_start": one.case.forged[0] if one.case.forged else "",
                "forged_end": one.case.forged[1] if one.case.forged else "",
                "segments": " ".join(f"{s.start:.2f}-{s.end:.2f}:{s.probability:.3f}" for s in one.segments),
            }
            for one in results
        ),
    )


def _plot(results: list[Result], path: Path) -> None:
    """Plot the 3 s stretches that are found over the real minutes that are flagged, at all thresholds."""
    spliced = [one for one in results if one.case.kind == "spliced" and one.case.length == 3]
    best = [
        max(
            (score for start, end, score in one.stretches if _overlap(start, end, one.case.forged) >= OVERLAP),
            default=0,
        )
        for one in spliced
    ]
    curves = {}
    for kind in REAL:
        real = [one for one in results if one.case.kind == kind]
        if real and spliced:
            stretches = np.concatenate([one.stretches for one in real])
            stretches = stretches[np.argsort(-stretches[:, 2])]
            flagged = np.cumsum(stretches[:, 1] - stretches[:, 0]) / sum(one.case.seconds for one in real)
            found = np.mean(np.array(best)[:, None] >= stretches[:, 2], axis=0)
            curves[f"{kind} ({len(real)})"] = flagged, found
    plot_found(curves, path, title=f"Forged stretches of 3 s ({len(spliced)}) in videos of {SECONDS:.0f} s")


if __name__ == "__main__":
    run_benchmark(main, Arguments, __spec__.name, __doc__)
