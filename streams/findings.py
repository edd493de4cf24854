"""Findings: what `denyut doctor` says of one thing, and what all of it means for the exit code.

Knows nothing of what is looked at, or how.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """What a check found."""

    OK = "ok"
    WARNING = "warning"  # it starts, and somebody should know
    FAULT = "fault"
    SKIPPED = "skipped"  # something else must be mended first


class Line(NamedTuple):
    """What one check says of one thing: what was seen, what was expected, what to do. `yours`: the user's to mend."""

    what: str
    verdict: Verdict
    seen: str
    expected: str = ""
    do: str = ""
    yours: bool = True

    def __str__(self) -> str:
        rest = f"; expected {self.expected}" if self.expected else ""
        return f"{self.verdict:<7}  {self.what:<18}  {self.seen}{rest}" + (f": {self.do}" if self.do else "")


Lines = Iterator[Line]


def exit_code(lines: Sequence[Line]) -> int:
    """0: nothing is wrong; 2: something is that the user can mend; 1: only what nobody here can."""
    faults = [line for line in lines if line.verdict is Verdict.FAULT]
    return 0 if not faults else 2 if any(line.yours for line in faults) else 1


def size(count: int) -> str:
    """Bytes, for people.

    >>> size(268435456), size(5 << 30)
    ('256 MB', '5.0 GB')
    """
    return f"{count / (1 << 30):.1f} GB" if count >= 1 << 30 else f"{count >> 20} MB"
