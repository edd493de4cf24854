"""The clock shows what it says it shows."""

import pytest

from streams.clock import Clock
from streams.heart.errors import BadSetting


def test_the_wall_clock_is_the_default() -> None:
    """Without a setting the clock is the wall clock, in whole milliseconds."""
    assert Clock(wall=lambda: 1_795_586_400.1239).now_ms() == 1_795_586_400_123


def test_a_public_clock_runs_at_its_speed_from_its_anchor() -> None:
    """One second of the wall is 240 s of the public, before the anchor as after it."""
    clock = [1_000.0]
    public = Clock("5000000@1000000x240", wall=lambda: clock[0])
    assert public.now_ms() == 5_000_000
    clock[0] = 1_001.0
    assert public.now_ms() == 5_240_000
    clock[0] = 999.0
    assert public.now_ms() == 4_760_000
    assert public.speed == 240


def test_two_processes_that_read_the_same_clock_agree() -> None:
    """A clock's text is the clock."""
    made = Clock.public(1_577_836_800_000, 240, wall=lambda: 12.5)
    assert Clock(str(made), wall=lambda: 20.0).now_ms() == 1_577_836_800_000 + 7_500 * 240
    assert str(Clock()) == ""


@pytest.mark.parametrize("said", ["now", "1@2", "1@2x", "1@2x0", "1@2x-3", "1@2xnan", " 1@2x3", "1@2x3 "])
def test_a_clock_that_cannot_be_is_refused(said: str) -> None:
    """Anything but PUBLIC_MS@WALL_MSxSPEED with a speed above 0 is the user's to put right."""
    with pytest.raises(BadSetting, match="PUBLIC_MS@WALL_MSxSPEED"):
        Clock(said)


def test_spans_are_told_in_a_watchs_seconds() -> None:
    """What the public calls four minutes is one second to the one who waits."""
    assert Clock("0@0x240").seconds(240_000) == 1.0
    assert Clock().seconds(1_500) == 1.5
