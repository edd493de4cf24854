"""A public on the air: everything once, in order, none before its time, and no tick that says too much."""

from typing import NamedTuple

from streams.air import air
from streams.clock import Clock


class At(NamedTuple):
    at_ms: int


def aired(*due_ms: int, most: int = 10_000, speed: float = 1000.0) -> list[tuple[str, int, int]]:
    """What went out: kind, its time, what the clock showed."""
    clock = Clock.public(0, speed)
    out: list[tuple[str, int, int]] = []
    air([At(ms) for ms in due_ms], clock, lambda one: out.append(("sent", one.at_ms, clock.now_ms())),
        lambda now_ms: out.append(("tick", now_ms, now_ms)), lambda: clock.now_ms() >= most)
    return out


def test_each_goes_once_in_order_and_not_before_its_time() -> None:
    """Also those that are overdue at the start."""
    out = [one for one in aired(-50, -1, 100, 400, 400, 900) if one[0] == "sent"]
    assert [at_ms for _, at_ms, _ in out] == [-50, -1, 100, 400, 400, 900]
    assert all(shown >= at_ms for _, at_ms, shown in out)


def test_a_tick_never_says_more_than_has_been_sent() -> None:
    """What was due before a tick stands before it."""
    out = aired(*range(0, 60_000, 1_500), most=60_000)
    for place, (kind, at_ms, _) in enumerate(out):
        if kind == "tick":
            assert all(later > at_ms for what, later, _ in out[place:] if what == "sent")
    assert sum(kind == "tick" for kind, _, _ in out) >= 3


def test_it_ends_when_it_is_over() -> None:
    """Also while it waits for the next, and while it is behind."""
    assert aired(1, 10**9, most=200)[-1][0] == "tick"
    assert [one for one in aired(-3, -2, -1, most=0) if one[0] == "sent"] == []
