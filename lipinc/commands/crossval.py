"""Cross-validation by identity: each video is tested once, with a detector that was not trained on its person.

    lipinc crossval --config own_clips --split.folds 5
    lipinc crossval --config mouth_noise --split.folds 5 --leave-out each --seeds 0 1 2
    lipinc crossval --config mouth_noise --split.folds 8 --split.apart family --calibration out-of-fold

With --split.apart family, whole sources are left out: each video is tested by detectors that saw neither its person nor
its source. With --leave-out, generators are held out as well: `each` generator in turn, or `all` at once, with training
on pseudo-fakes only (data.forgeries). With several seeds (for weights and folds), the cross-validation is repeated for
each seed and the spread is printed. Each fold is an ordinary run in <output>/<name>_..._fold<i>/ and is resumed if it
was interrupted. The pooled results of the first seed and the spread over all seeds are written to
<output>/<name>_folds/.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lipinc.config import Config, experiment, parse_command_line
from lipinc.cross_validation import cross_validate


@dataclass(frozen=True)
class Arguments(Config):
    """Arguments of crossval: a config and the cross-validation settings."""

    leave_out: Literal["nothing", "each", "all"] = "nothing"
    """Generators to hold out in addition to people."""
    seeds: tuple[int, ...] = ()
    """Random seeds of weights and folds; empty: the seeds of the config."""
    calibration: Literal["validation", "out-of-fold"] = "validation"
    """How the videos of a fold are decided: by its validation videos, or by the scores of the other folds."""


def main(argv: Sequence[str], prog: str) -> None:
    """Run the command."""
    arguments = parse_command_line(Arguments, argv, prog=prog, description=__doc__)
    cross_validate(experiment(arguments), arguments.leave_out, arguments.seeds, arguments.calibration)
