"""What verdicts say: the words of decisions, reasons, error rates and input quality, alike in every output."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lipinc.detection.decision import Decision
from lipinc.video.rejection import Reason

if TYPE_CHECKING:
    from lipinc.video.error_rates import ErrorRates
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

MEANINGS = {
    Decision.FAKE: "The mouth shows traces that this detector knows from lip movements made by a program.",
    Decision.REAL: "The detector found no trace that it knows. That does not show that the video is genuine.",
    Decision.UNCERTAIN: "The detector does not decide about this video. That speaks neither for nor against it.",
    Decision.NO_VERDICT: "The detector could not examine this video. That speaks neither for nor against it.",
}
"""What each decision means, in a sentence or two."""

NO_PROOF = "A verdict is a hint, not proof: let it decide nothing about anybody, and check the video by other means."

_OTHER_MEANS = (
    "Find the original upload: the earliest copy, in the largest size. Each copy removes traces, so have that one "
    "examined, too.",
    "Compare it with other recordings of the same event, and with what the person is known to have said.",
    "Ask the source for the file that the camera wrote, and what was edited afterwards.",
)
CHECK_NEXT = {
    Decision.FAKE: (
        "Watch the suspicious part in full size, slowly and with sound: do the lips close at p, b and m, and stop when "
        "the voice stops?",
        *_OTHER_MEANS,
        "Have a specialist look at that part in full size, and at this report, before anything is published.",
    ),
    Decision.REAL: (
        "Listen whether lips and sound agree: another voice with genuine lips leaves no trace of this kind.",
        *_OTHER_MEANS,
    ),
    Decision.UNCERTAIN: (
        *_OTHER_MEANS,
        "Watch it in full size, slowly and with sound: do the lips close at p, b and m, and stop when the voice stops?",
    ),
    Decision.NO_VERDICT: _OTHER_MEANS,
}
"""What a reader should check next."""

REMEDIES = {
    Reason.MISSING: "Check the name of the file.",
    Reason.UNREADABLE: "Get the file again, or play it: if no player opens it, it is damaged.",
    Reason.TOO_SHORT: "Find a longer part of the recording, with some seconds of speech.",
    Reason.NO_FACE: "Find a copy in a larger size, or a part in which the face is seen from the front.",
    Reason.MOUTH_CLOSED: "Find a part of the recording in which the person speaks.",
    Reason.NO_MOVEMENT: "Find a part of the recording in which the person speaks.",
    Reason.NO_SIMILAR_POSE: "Find a longer part in which the head stays in one pose for some seconds.",
    Reason.TIME_LIMIT: "Examine a shorter part of the video, or allow more time (--time-limit).",
    Reason.DAMAGED: "Extract the clips again.",
    Reason.CRASHED: "Try again; if it fails again, convert the video to another format and report the fault.",
}
"""What helps against each reason of having no verdict."""

CANNOT_SEE = (
    "The detector looks at the mouth only, and only for lip movements made by a program. It does not hear the sound, "
    "and does not notice dubbing, cuts, swapped faces, wholly generated videos, or lip-sync programs unlike those it "
    "knows."
)
"""What no verdict says anything about."""

MEASURES = {
    "face_height": ("size of the face", "{:.0f}", " px"),
    "sharpness": ("sharpness", "{:.1f}", " octaves"),
    "noise": ("noise", "{:.2f}", " grey levels"),
    "blockiness": ("blockiness", "{:.2f}", ""),
    "frame_rate": ("pictures per second", "{:.1f}", ""),
    "bits_per_pixel": ("bits per pixel", "{:.3f}", ""),
    "repeats": ("repeated frames", "{:.0%}", ""),
}
"""Measure of input quality -> its name, format and unit for readers."""

MEASURE_MEANINGS = {
    "face_height": "from the chin to the top of the forehead, in pixels of the video",
    "sharpness": "how much of the fine detail around the face is left; lower values are blurred or enlarged",
    "noise": "grain of the camera around the face, in steps of brightness from 0 to 255; compression removes it",
    "blockiness": "how visible the squares of the compression are; about 0 without any",
    "frame_rate": "different pictures of the mouth in each second",
    "bits_per_pixel": "how much data the video spends on each point of a picture; low values mean strong compression",
    "repeats": "share of the pictures that only repeat the one before; they are left out",
}
"""Measure of input quality -> what it measures, for readers."""

BAND_TEXT = "scores like this one were too often wrong on videos that the detector was not trained on"
"""Why a video is uncertain whose input quality is known."""
PART_TEXTS = {
    Decision.UNCERTAIN: "a stretch stands out from the rest of the video, but such stretches occur in real videos, too",
    Decision.FAKE: "not as a whole, but a stretch stands out that is very rare in real videos",
}
"""Why the answer on a video is not that on its whole."""


@dataclass(frozen=True)
class QualityRow:
    """A measure of input quality, for readers."""

    name: str
    meaning: str
    value: str
    known: str
    """Its range in the videos of the calibration; "" if it has no limits."""
    outside: bool
    """Whether the value lies outside that range."""


def quality_rows(quality: "Quality", limits: dict[str, tuple[float, float]]) -> list[QualityRow]:
    """Describe all measures of input quality, and what the calibration knows of each."""
    rows, outside = [], quality.outside(limits)
    for measure, (name, _, unit) in MEASURES.items():
        value = getattr(quality, measure)
        known = _range(measure, *limits[measure]) if measure in limits else ""
        shown = "unknown" if value != value else _number(measure, value) + unit
        rows.append(QualityRow(name, MEASURE_MEANINGS[measure], shown, known, measure in outside))
    return rows


def outside_text(quality: "Quality", limits: dict[str, tuple[float, float]]) -> str:
    """Say which measures lie outside the limits of the calibration; "" if none does."""
    found = []
    for measure in quality.outside(limits):
        name, value = MEASURES[measure][0], getattr(quality, measure)
        # A value just outside must not read like the limit.
        differs = (finer for finer in range(6) if _number(measure, value, finer) not in _bounds(measure, limits, finer))
        finer = next(differs, 6)
        known = _range(measure, *limits[measure], finer)
        found.append(f"{name} is {_number(measure, value, finer)}, but the detector was tested on {known}")
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
        f"{rates.fakes} lip-synced ones, and was uncertain about {1 - rates.decided:.0%} of all (copies of a "
        "video in other qualities, if any, counted)."
    )


def _bounds(measure: str, limits: dict[str, tuple[float, float]], finer: int) -> list[str]:
    return [_number(measure, bound, finer) for bound in limits[measure]]


def _range(measure: str, low: float, high: float, finer: int = 0) -> str:
    return f"{_number(measure, low, finer)} to {_number(measure, high, finer)}{MEASURES[measure][2]}"


def _number(measure: str, value: float, finer: int = 0) -> str:
    """A value with some more decimals than usual."""
    template = MEASURES[measure][1]
    decimals = int(template[3])
    return template.replace(f".{decimals}", f".{decimals + finer}").format(value)
