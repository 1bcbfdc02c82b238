"""Cross-validation by identity: every video is tested once, by a detector that never saw its person.

    lipinc crossval --config own_clips --split.folds 5
    lipinc crossval --config noise_features --split.folds 5 --leave-out each --seeds 0 1 2

With --leave-out, the detector has not seen the generator that it is tested on either: `each` generator in turn, or
`all` at once, where only pseudo-fakes are trained on (data.forgeries). With several seeds, of weights and of the draw of
the folds, everything is repeated for each, and the spread is printed. A fold is an ordinary run, continued where it was
interrupted: <output>/<name>_..._fold<i>/. The pooled results of the first seed and the spread over all of them are in
<output>/<name>_folds/.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lipinc.config import Config, experiment, parse_command_line
from lipinc.cross_validation import cross_validate


@dataclass(frozen=True)
class Arguments(Config):
    """A config, and how it is cross-validated."""

    leave_out: Literal["nothing", "each", "all"] = "nothing"
    """Generators that are held out as well as the people."""
    seeds: tuple[int, ...] = ()
    """Seeds of weights and folds; none: those of the config."""


def main(argv: Sequence[str], prog: str) -> None:
    """Cross-validate."""
    arguments = parse_command_line(Arguments, argv, prog=prog, description=__doc__)
    cross_validate(experiment(arguments), arguments.leave_out, arguments.seeds)
