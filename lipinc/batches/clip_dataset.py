"""Dataset of cached clips, read one batch at a time as uint8."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from lipinc.batches.augment import augment
from lipinc.batches.batch import ClipBatch
from lipinc.cache.clip_file import (
    ArrayOffsets,
    check_clips,
    read_clips,
    read_native_window,
    read_times,
    read_window,
)
from lipinc.cache.manifest import ManifestRow
from lipinc.cache.store import Cache
from lipinc.config import AugmentConfig
from lipinc.datasets.records import VideoRecord, paired_reals
from lipinc.video.mouth import fit_mouths, residues


@dataclass(frozen=True)
class Draw:
    """A request for one clip, with the random seed of its augmentation; an empty seed means evaluation."""

    clip: int
    seed: tuple[int, ...]


MIXED = -1
"""Label of a window that is neither real nor forged: it is neither trained on nor evaluated by itself."""


def label_windows(record: VideoRecord, times: np.ndarray, local_frames: int) -> np.ndarray:
    """Label the windows of a video that is forged in part.

    The local frames say where a window is. Its global frames come from anywhere in the video: real local frames with
    forged global ones are MIXED.

    Args:
        record: the video, with `fake_periods`.
        times: (K, N) float64, presentation times of the frames in s, local frames first.
        local_frames: number of local frames of a window, L.

    Returns:
        (K,) int64: 1 if a local frame lies in a forged period, 0 if no frame does, else MIXED.
    """
    starts, ends = np.array(record.periods).T
    forged = ((starts <= times[..., None]) & (times[..., None] <= ends)).any(axis=-1)
    return np.where(forged[:, :local_frames].any(axis=1), 1, np.where(forged.any(axis=1), MIXED, 0)).astype(np.int64)


class ClipDataset(Dataset):
    """The cached clips of a list of videos, indexed by `Draw`.

    The seed is part of the index, so augmentation depends neither on the number of loader processes nor on their order.
    Native mouths are brought to the size of the config (`fit_mouths`).
    """

    def __init__(self, cache: Cache, rows: Sequence[ManifestRow], augmentation: AugmentConfig | None = None):
        self.rows = list(rows)
        self.clips = [(video, window) for video, row in enumerate(self.rows) for window in range(row.windows)]
        self.real_of = paired_reals([row.record for row in self.rows])
        """(V,) int64: index of the real video that each fake was made from; -1: none in this dataset."""
        mouth, sampling = cache.settings["mouth"], cache.settings["sampling"]
        self._files = [cache.clips_file(row.record.key) for row in self.rows]
        self.labels = self._label_windows(sampling["local_frames"])
        """(clips,) int64: 1 = fake; windows of a video that is forged in part have their own, some are MIXED."""
        self.groups = self.labels + np.array([self.rows[video].record.forgery is not None for video, _ in self.clips])
        """(clips,) int: 0 real, 1 fake, 2 pseudo-fake, MIXED."""
        self._shape = (sampling["local_frames"] + sampling["global_frames"], mouth["height"], mouth["width"], 3)
        self._residue_mode, self._native = mouth["residue"], mouth["cut"] == "native"
        self._checked: set[int] = set()
        self._offsets: dict[int, ArrayOffsets] = {}
        self._augmentation = augmentation if augmentation is not None and augmentation.active() else None

    def _label_windows(self, local_frames: int) -> np.ndarray:
        labels = [
            label_windows(row.record, read_times(file), local_frames)
            if row.record.fake_periods
            else [row.record.label] * row.windows
            for row, file in zip(self.rows, self._files, strict=True)
        ]
        return np.concatenate([*labels, []]).astype(np.int64)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitems__(self, draws: Sequence[Draw]) -> ClipBatch:
        """Load a batch.

        Raises:
            UserError: a clip file is damaged; the message names it.
        """
        frames = np.empty((len(draws), *self._shape), dtype=np.uint8)
        residue = np.empty((len(draws), self._shape[0] - 1, *self._shape[1:]), dtype=np.uint8)
        for draw, clip_frames, clip_residues in zip(draws, frames, residue, strict=True):
            self._load(draw, clip_frames, clip_residues)
        clips = [draw.clip for draw in draws]
        return ClipBatch(
            labels=torch.from_numpy(self.labels[clips]),
            videos=torch.tensor([self.clips[clip][0] for clip in clips]),
            frames=torch.from_numpy(frames),
            residues=torch.from_numpy(residue),
        )

    def partners(self) -> dict[int, list[int]]:
        """Return fake clip -> the clips of the real video that it was made from."""
        by_video: dict[int, list[int]] = defaultdict(list)
        for clip, (video, _) in enumerate(self.clips):
            by_video[video].append(clip)
        real_of = self.real_of.tolist()
        return {
            clip: by_video[real_of[video]] for clip, (video, _) in enumerate(self.clips) if real_of[video] in by_video
        }

    def pairs_in(self, videos: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the pairs in a batch.

        Args:
            videos: (B,) int64: index of each clip's video.
            labels: (B,) int64, 1 = fake. Real windows of a video that is forged in part are in no pair.

        Returns:
            (P, 2) int64: positions in the batch of a fake, and of a clip of the real video that it was made from.
        """
        pairs = (torch.from_numpy(self.real_of)[videos][:, None] == videos[None]).nonzero()
        return pairs[labels[pairs[:, 0]] == 1]

    def read_windows(self, video: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Read all windows of a video.

        Args:
            video: index of the video in `rows`.

        Returns:
            Frames (N, h, w, 3) and residues (N - 1, h, w, 3) uint8 of each window, at its own size.

        Raises:
            UserError: the clip file is damaged; the message names it.
        """
        check_clips(self._files[video], self.rows[video])
        clips = read_clips(self._files[video])
        return [tuple(map(torch.from_numpy, clips.window(number))) for number in range(len(clips.frames))]

    def _load(self, draw: Draw, frames: np.ndarray, residue: np.ndarray) -> None:
        """Load one clip into its slices of a batch."""
        video, window = self.clips[draw.clip]
        file = self._files[video]
        if video not in self._checked:
            check_clips(file, self.rows[video])  # only once per file, because it reads the whole file
            self._checked.add(video)
        has_residues = False
        if self._native:
            frames[:] = fit_mouths(read_native_window(file, window), *frames.shape[1:3])
        else:
            stored = residue if self._augmentation is None else None
            offsets = self._offsets[video] = read_window(file, window, frames, stored, self._offsets.get(video))
            has_residues = stored is not None and offsets.residues is not None
        if self._augmentation is not None:
            random = np.random.default_rng(draw.seed)
            frames[:] = augment(torch.from_numpy(frames), self._augmentation, random).numpy()
        if not has_residues:
            residues(frames, self._residue_mode, out=residue)
