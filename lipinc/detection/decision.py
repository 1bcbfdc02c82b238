"""The decision on a video."""

from enum import Enum


class Decision(str, Enum):
    """The possible decisions; their values are those of the field `verdict` of JSON and CSV."""

    FAKE = "fake"
    REAL = "real"  # no trace of a forgery was found, which does not prove that there is none
    UNCERTAIN = "uncertain"  # by the score, or because the input quality is unlike that of the calibration
    NO_VERDICT = "no verdict"  # rejected, for one of the reasons in video/rejection.py

    @property
    def words(self) -> str:
        """What is known, in words for readers."""
        return {"fake": "lip-sync found", "real": "no trace of lip-sync found"}.get(self.value, self.value)

    @property
    def suspicion(self) -> int:
        """Order of the decisions on several faces: the highest is that of the video."""
        return (Decision.NO_VERDICT, Decision.REAL, Decision.UNCERTAIN, Decision.FAKE).index(self)
