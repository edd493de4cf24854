"""The driver finds nothing wrong in the heart, and something wrong in every planted fault."""

import pytest

from tests.driver import run
from tests.planted import FAULTS, Fault, noticed


@pytest.mark.parametrize("seed", range(40))
def test_figures_equal_the_recount_whatever_happens(seed: int) -> None:
    """Crashes, zombies, freezes, duplicates, edits, removals, late posts: the figures are those of the slow recount.

    The long run is `python -m tests.driver 1000`.
    """
    assert run(seed) == []


def test_a_heart_without_a_fault_passes() -> None:
    """What the driver notices is the fault, not the planting."""
    fault = FAULTS[0]
    assert noticed(Fault("none", fault.file, fault.good, fault.good), 3) == ""


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.rule for fault in FAULTS])
def test_every_rule_is_needed(fault: Fault) -> None:
    """With any one rule of time or counting edited away, the driver finds figures that are wrong."""
    assert noticed(fault, 150)
