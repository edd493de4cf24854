"""A public on the air: everything once, in order, none before its time, and no tick that says too much."""

import time
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
    out = aired(*range(0, 60_000, 1_500), most=60_000, speed=100.0)
    for place, (kind, at_ms, _) in enumerate(out):
        if kind == "tick":
            assert all(later >= at_ms for what, later, _ in out[place:] if what == "sent")
    assert sum(kind == "tick" for kind, _, _ in out) >= 2


def test_time_goes_on_where_sending_lags_behind() -> None:
    """A feed that is slower than its public still ticks, and tells of no later time than it has sent."""
    clock = Clock.public(0, 240.0)
    out: list[tuple[str, int]] = []

    def send(one: At) -> None:
        out.append(("sent", one.at_ms))
        time.sleep(0.03)  # 7,200 ms of the public's; the next one is due after 1,000

    air([At(ms) for ms in range(0, 30_000, 1000)], clock, send, lambda ms: out.append(("tick", ms)), lambda: False)
    ticks = [(place, ms) for place, (what, ms) in enumerate(out) if what == "tick"]
    assert len(ticks) >= 5
    assert all(later >= ms for place, ms in ticks for what, later in out[place:] if what == "sent")
    assert ticks[-1][1] < clock.now_ms() - 10_000


def test_it_ends_when_it_is_over() -> None:
    """Also while it waits for the next, and while it is behind."""
    assert [at_ms for kind, at_ms, _ in aired(1, 10**9, most=20_000) if kind == "sent"] in ([], [1])  # a slow machine
    assert [one for one in aired(-3, -2, -1, most=0) if one[0] == "sent"] == []
