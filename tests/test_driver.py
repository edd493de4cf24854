"""The driver finds nothing wrong in the heart, and its judge something wrong in every planted fault."""

import pytest

from tests.driver import run
from tests.planted import FAULTS, Fault, noticed


@pytest.mark.parametrize("seed", range(40))
def test_figures_and_minutes_equal_the_recount_whatever_happens(seed: int) -> None:
    """Crashes, zombies, freezes, duplicates, edits, removals, late posts: the figures are those of the slow recount,
    and what the watch was told of every minute is what was on time.

    The long run is `python -m tests.driver 1000`.
    """
    assert run(seed) == []


@pytest.mark.parametrize("judge", sorted({fault.judge for fault in FAULTS}), ids=lambda judge: judge or "driver")
def test_a_heart_without_a_fault_passes(judge: str) -> None:
    """What a judge notices is the fault, not the planting."""
    fault = FAULTS[0]
    assert noticed(Fault("none", fault.file, fault.good, fault.good, judge=judge), 3) == ""


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.rule for fault in FAULTS])
def test_every_rule_is_needed(fault: Fault) -> None:
    """With any one rule of time, counting or swings edited away, its judge finds what is wrong."""
    assert noticed(fault, 150)
