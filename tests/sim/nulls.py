"""Nulls: what `streams/heart/chance.py` says of chance, counted in the trials and written there.

Knows nothing of how the trials were made.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.sim.trial import Outcome

CHANCE = Path(__file__).parents[2] / "streams" / "heart" / "chance.py"
BEGIN, END = "# Written by `python -m tests.sim --full --write`.\n", "# Until here.\n"
WIDTH = 118


def said(outcomes: Sequence[Outcome]) -> str:
    """The constants as Python."""
    early, late = onset_errors(outcomes)
    lines = [f"ONSET_MINUTES = ({-late}, {-early})  # of the true onset about the one that is told, nine in ten",
             "NULLS = ("]
    for one in outcomes:
        if one.plan.is_null and one.curve:
            alarms = ", ".join(f"({h:g}, {sum(one.curve[h].false.values())})" for h in sorted(one.curve))
            lines.append(f"    Null({one.weather:.3f}, {one.found.weeks:g}, ({alarms})),")
    return "\n".join([*lines, ")"]) + "\n"


def onset_errors(outcomes: Sequence[Outcome]) -> tuple[int, int]:
    """The 5 % and 95 % quantiles of the onset told less the true one, minutes, over all swings that were caught."""
    errors = [case.first.onset - case.event.on for outcome in outcomes if outcome.plan.preset in ("calm", "noisy-real")
              for case in outcome.found.of("swing") if case.first is not None]
    low, high = np.quantile(errors, [0.05, 0.95], method="inverted_cdf")
    return int(low), int(high)


def write(outcomes: Sequence[Outcome]) -> None:
    """Puts the constants into `streams/heart/chance.py`."""
    text = CHANCE.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    CHANCE.write_text(f"{before}{BEGIN}{said(outcomes)}{END}{after}")
