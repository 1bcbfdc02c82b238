"""What verdicts say: the words of decisions, reasons, error rates and input quality, alike in every output."""

from typing import TYPE_CHECKING

from lipinc.video.rejection import Reason

if TYPE_CHECKING:
    from lipinc.models.calibration import ErrorRates
    from lipinc.video.quality import Quality

REASON_TEXTS = {
    Reason.MISSING: "The file does not exist.",
    Reason.UNREADABLE: "The file cannot be opened as a video, or none of its frames can be decoded.",
    Reason.TOO_SHORT: "The video has too few frames to compare mouths over time.",
    Reason.NO_FACE: "Too few frames show the selected face clearly enough to find its mouth.",
    Reason.MOUTH_CLOSED: "No speech detected: the mouth is never open over enough adjacent frames to score the video.",
    Reason.NO_MOVEMENT: "No speech detected: nothing moves, or the lips do not. A photograph, or a silent person.",
    Reason.NO_SIMILAR_POSE: "The mouth opens, but too few other frames show the head in the same pose for comparison.",
    Reason.TIME_LIMIT: "The analysis was stopped at the time limit, which says nothing about the video.",
    Reason.DAMAGED: "The stored clips of the video are damaged.",
    Reason.CRASHED: "The program failed on this file, which says nothing about the video.",
}
"""What each reason means, in one sentence."""

CANNOT_SEE = (
    "The detector looks at the mouth only, and only for lip movements made by a program. It does not hear the sound, "
    "and does not notice dubbing, cuts, swapped faces, wholly generated videos, or lip-sync programs unlike those it "
    "knows."
)
"""What no verdict says anything about."""

MEASURES = {
    "face_height": ("size of the face", "{:.0f} px high"),
    "sharpness": ("sharpness", "{:.1f} octaves"),
    "noise": ("noise", "{:.2f} grey levels"),
    "blockiness": ("blockiness", "{:.2f}"),
    "frame_rate": ("pictures per second", "{:.1f}"),
    "bits_per_pixel": ("bits per pixel", "{:.3f}"),
    "repeats": ("repeated frames", "{:.0%}"),
}
"""Measure of input quality -> its name and format for readers."""

BAND_TEXT = "scores like this one were too often wrong on videos that the detector was not trained on"
"""Why a video is uncertain whose input quality is known."""


def quality_values(quality: "Quality") -> dict[str, str]:
    """Return the measures of input quality for readers: name -> value with its unit, or "unknown"."""
    return {name: _value(measure, getattr(quality, measure)) for measure, (name, _) in MEASURES.items()}


def outside_text(quality: "Quality", limits: dict[str, tuple[float, float]]) -> str:
    """Say which measures lie outside the limits of the calibration; "" if none does."""
    found = []
    for measure, (low, high) in limits.items():
        value = getattr(quality, measure)
        if value < low or value > high:
            name = MEASURES[measure][0]
            known = f"{_value(measure, low)} to {_value(measure, high)}"
            found.append(f"{name} is {_value(measure, value)}, but the detector was tested on {known}")
    return "; ".join(found)


def error_text(rates: "ErrorRates | None") -> str:
    """Say in one sentence how often the detector errs on videos like this one."""
    if rates is None:
        return "How often this detector errs on videos like this one was not measured."
    low, high = rates.face_height
    size = f"faces of {low:.0f} to {high:.0f} px" if high < float("inf") else f"faces of {low:.0f} px and more"
    return (
        f"On other videos with {size}, of people and sources that it was not trained on, this detector called "
        f"{rates.reals_accused:.1%} of {rates.reals} real ones lip-synced, missed {rates.fakes_missed:.1%} of "
        f"{rates.fakes} lip-synced ones, and was uncertain about {1 - rates.decided:.0%} of all."
    )


def _value(measure: str, value: float) -> str:
    return "unknown" if value != value else MEASURES[measure][1].format(value)
