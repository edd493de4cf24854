"""The ward shows what its trackers know, brand by brand, and only what is in its care."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from streams.agents import ward as module
from streams.agents.ward import Ward
from streams.heart.errors import BrokenPromise
from streams.heart.explain import Evidence
from streams.heart.incident import Standing, Step, Swing
from streams.heart.settled import Settled
from streams.heart.tracker import AGAIN_MS, Times, Tracker
from streams.metrics import Shown
from tests.frames import Mentions
from tests.test_swings_edge import swing

NOW_MS = 1_795_586_400_000
BRANDS = [f"brand-{number}" for number in range(12)]


@pytest.fixture
def mentions() -> Mentions:
    return Mentions(BRANDS, 4)


@pytest.fixture
def ward() -> Ward:
    made = Ward(4, Times(), BRANDS)
    for partition in range(4):
        made.adopt(made.new(partition))
    return made


def day(ward: Ward) -> dict[str, int]:
    """Brand -> mentions of the last day that are shown; a brand shown twice is an error."""
    out: dict[str, int] = {}
    for shown in ward.shown().values():
        for brand, readings in shown.readings.items():
            assert brand not in out
            out[brand] = next(reading.mentions for reading in readings if reading.window == "24h")
    return out


def test_a_silent_brand_is_shown_at_zero(ward: Ward) -> None:
    """Every brand of the file has its four readings from the start, with no mood."""
    readings = [reading for shown in ward.shown().values() for of in shown.readings.values() for reading in of]
    assert {reading.brand for reading in readings} == set(BRANDS)
    assert len(readings) == 4 * len(BRANDS)
    assert {(reading.mentions, reading.mood) for reading in readings} == {(0, None)}


def test_what_is_applied_is_shown_after_settling(ward: Ward, mentions: Mentions) -> None:
    """Frames of several calls add up, and what became visible is told once."""
    seen = 0
    for second in range(5):
        ward.apply({partition: [frame] for partition, frame in mentions.frames(40, NOW_MS + 1000 * second).items()})
        seen += sum(count for one in ward.settle() for *_, count in one.counted)
    assert day(ward) == {brand: mentions.said[brand] for brand in BRANDS}
    assert seen == 200
    assert not ward.settle()


def test_a_tracker_that_read_its_log_first_shows_the_same(ward: Ward, mentions: Mentions) -> None:
    """Recovery and live reading are one code, and the past is told to no counter."""
    log = [mentions.frames(40, NOW_MS + 1000 * second) for second in range(5)]
    for frames in log:
        ward.apply({partition: [frame] for partition, frame in frames.items()})
    ward.settle()
    again = Ward(4, Times(), BRANDS)
    for partition in range(4):
        tracker = again.new(partition)
        tracker.apply(frames[partition] for frames in log)
        again.adopt(tracker)
    assert again.shown() == ward.shown()
    assert not again.settle()


def test_a_dropped_partition_takes_its_figures_along(ward: Ward, mentions: Mentions) -> None:
    """What is not kept is not shown, and what was shown before does not change."""
    before = ward.shown()
    ward.keep({1, 3, 7})
    assert ward.owned == ward.shown().keys() == {1, 3}
    assert before.keys() == {0, 1, 2, 3}
    with pytest.raises(BrokenPromise, match="partition 0"):
        ward.apply({0: [mentions.frames(1, NOW_MS)[0]]})


def test_two_partitions_never_show_one_brand(ward: Ward, mentions: Mentions) -> None:
    """A frame that came to the wrong partition is not shown there: the series would be there twice."""
    frames = mentions.frames(40, NOW_MS)
    ward.apply({0: [frames[1], frames[0]], 1: [frames[1]]})
    ward.settle()
    assert day(ward).keys() == set(BRANDS)
    assert all(day(ward)[brand] == mentions.said[brand] for brand in mentions.of(0) + mentions.of(1))


def test_a_new_brand_file_shows_its_brands(ward: Ward, mentions: Mentions) -> None:
    """Silent until something is said of them; what others show stays."""
    ward.apply({partition: [frame] for partition, frame in mentions.frames(40, NOW_MS).items()})
    ward.settle()
    before = day(ward)
    ward.renew([*BRANDS, "new-brand"])
    assert day(ward) == {**before, "new-brand": 0}


def test_bytes_that_are_no_frame_are_a_broken_promise(ward: Ward) -> None:
    """Better loud than wrong."""
    with pytest.raises(BrokenPromise):
        ward.apply({0: [b"what is this"]})


def test_an_empty_ward_shows_nothing() -> None:
    """More workers than partitions: one has none."""
    ward = Ward(4, Times(), BRANDS)
    assert dict(ward.shown()) == {}
    assert ward.settle() == []
    assert Shown().readings == {}


class Telling(Tracker):
    """A tracker whose brands swing when a test says so. `steps` come with the next settling, one incident a brand."""

    steps: tuple[Swing, ...] = ()
    opened: dict[str, Swing]

    def tell(self, *steps: Swing) -> None:
        """These are due."""
        self.steps += steps

    def settle(self) -> Settled:
        steps, self.steps = self.steps, ()
        self.opened = {**self.opened_now(), **{step.brand: step for step in steps}}
        settled = super().settle()
        self._remember(steps)
        return replace(settled, swings=steps)

    def opened_now(self) -> dict[str, Swing]:
        return getattr(self, "opened", {})

    def open_swings(self) -> tuple[Swing, ...]:
        return tuple(step for step in self.opened_now().values() if step.is_open)

    def standing(self) -> dict[str, Standing]:
        return {step.brand: Standing(down=step.severity) for step in self.open_swings()}

    def evidence(self, swing: Swing) -> Evidence:
        del swing
        return Evidence((), (), self.partition)


@pytest.fixture
def telling(monkeypatch: pytest.MonkeyPatch, mentions: Mentions) -> Telling:
    """A tracker of partition 1 that has read some of its log, at NOW_MS, and is in nobody's care."""
    monkeypatch.setattr(module, "Tracker", Telling)
    made = Telling(1, 4, Times())
    made.apply([mentions.frames(1, NOW_MS)[1]])
    return made


def ids(steps: Iterable[Swing]) -> list[tuple[str, int]]:
    """Brand and number of each step."""
    return [(step.brand, step.step) for step in steps]


def test_a_step_comes_out_of_its_settling_once(ward: Ward, telling: Telling, mentions: Mentions) -> None:
    """Live: what became known is handed on, and shown as the brand's standing while it is open."""
    brand = mentions.of(1)[0]
    ward.adopt(telling)
    telling.tell(swing(brand), swing(brand, 2, Step.RISEN, severity=3))
    for wanted in ([(brand, 0), (brand, 2)], []):
        ward.apply({1: [mentions.frames(1, NOW_MS)[1]]})
        assert ids(step for one in ward.settle() for step in one.swings) == wanted
        assert ward.shown()[1].standing == {brand: Standing(down=3)}


def test_what_may_not_have_been_delivered_is_told_again(ward: Ward, telling: Telling, mentions: Mentions) -> None:
    """Steps of what is still open, however old, and those of the last hour; from every settling of the read-back."""
    old_ms, recent_ms = NOW_MS - AGAIN_MS - 3_000, NOW_MS - AGAIN_MS
    still, over, lately = mentions.of(1)
    telling.tell(swing(still, at_ms=old_ms), swing(over, at_ms=old_ms), swing(lately, at_ms=old_ms))
    telling.settle()
    telling.tell(swing(over, 2, Step.CLOSED, at_ms=old_ms))
    telling.settle()
    telling.tell(swing(lately, 2, Step.CLOSED, at_ms=recent_ms))
    assert ids(ward.adopt(telling).swings) == [(still, 0), (lately, 2)]
    assert not ward.settle()


def test_a_log_that_was_half_read_tells_nothing(ward: Ward, telling: Telling, mentions: Mentions) -> None:
    """It is read anew, from its beginning, and its steps are made anew."""
    telling.tell(swing(mentions.of(1)[0], at_ms=NOW_MS))
    telling.settle()
    assert ward.adopt(ward.new(1)).swings == ()


def test_two_partitions_never_tell_of_one_brand(ward: Ward, telling: Telling, mentions: Mentions) -> None:
    """A frame that came to the wrong partition swings nothing."""
    elsewhere = swing(mentions.of(2)[0], at_ms=NOW_MS)
    telling.tell(elsewhere)
    assert ward.adopt(telling).swings == ()
    telling.tell(elsewhere)
    ward.apply({1: [mentions.frames(1, NOW_MS)[1]]})
    assert [one.swings for one in ward.settle()] == [()]
    assert ward.shown()[1].standing == {}


def test_only_the_owner_of_a_brand_has_its_evidence(ward: Ward, telling: Telling, mentions: Mentions) -> None:
    """Its rows are with its tracker, and go with it."""
    step = swing(mentions.of(1)[0])
    ward.adopt(telling)
    assert ward.evidence(step) == ((), (), 1)
    ward.keep({0, 2})
    assert ward.evidence(step) is None
