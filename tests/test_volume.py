"""Volume: what is loud, what is not, and for how long it is not told again."""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.heart.errors import BrokenPromise
from streams.heart.volume import Spike, Volume, VolumeKnobs

WARM = 360
KNOBS = VolumeKnobs(warm_up=180)


class Crowd:
    """A brand of so many mentions a minute, warm; and what is told of it."""

    def __init__(self, rate: float = 10, knobs: VolumeKnobs = KNOBS) -> None:
        self.volume, self.rate, self.now, self._owed = Volume(knobs, 1), rate, 0, 0.0
        assert not self.speaks(WARM)

    def speaks(self, minutes: int, factor: float = 1.0, *, tested: bool = True) -> list[Spike]:
        """So many more minutes of so many times the usual."""
        told = []
        for _ in range(minutes):
            self._owed += self.rate * factor
            count = int(self._owed)
            self._owed -= count
            told += self.volume.step(self.now, np.array([count]), np.array([tested]))
            self.now += 1
        return told


def kinds(spikes: Iterable[Spike]) -> list[str]:
    return [spike.kind for spike in spikes]


@pytest.mark.parametrize(("factor", "told"), [(0.0, []), (1.0, []), (1.6, []), (2.5, ["fired"]), (20.0, ["fired"])])
def test_a_spike_is_twice_the_usual_or_more(factor: float, told: list[str]) -> None:
    """Less is the mood of the day, and silence is a question for the sources."""
    assert told == kinds(Crowd().speaks(60, factor))


def test_a_spike_says_when_it_began_and_how_loud_it_is() -> None:
    """Onset, mentions a minute now and usually, and at its end how loud it became."""
    crowd = Crowd()
    fired = crowd.speaks(30, 6)[0]
    assert abs(fired.onset - WARM) <= 2
    assert fired.usual == pytest.approx(10, rel=0.05)
    over = crowd.speaks(90)[0]
    assert ("over", fired.onset) == (over.kind, over.onset)
    assert over.peak == pytest.approx(60, rel=0.05)
    assert over.age >= 30 + KNOBS.clear


def test_it_fires_on_minutes_in_a_row() -> None:
    """Five in a row come three minutes after two."""
    soon, late = (Crowd(knobs=KNOBS._replace(persistence=some)).speaks(30, 6)[0].minute for some in (2, 5))
    assert soon + 3 == late


@pytest.mark.parametrize(("posts", "told"), [(18, []), (40, ["fired"])])
def test_a_handful_of_posts_is_no_spike(posts: int, told: list[str]) -> None:
    """A brand of three mentions an hour: whatever the factor, a window needs twenty."""
    assert told == kinds(Crowd(rate=0.05).speaks(15, posts / 15 / 0.05))


@pytest.mark.parametrize(("factor", "after", "told"), [
    (6, 300, []), (6, 1400, []), (9, 300, []), (20, 300, ["fired"]), (6, 1500, ["fired"])])
def test_a_spike_is_told_once_a_day_unless_the_next_is_twice_as_loud(
        factor: float, after: int, told: list[str]) -> None:
    """As loud again within the day: silence; twice as loud, or the day after: told."""
    crowd = Crowd()
    assert ["fired"] == kinds(crowd.speaks(30, 6))
    assert ["over"] == kinds(crowd.speaks(after - 30))
    assert told == kinds(crowd.speaks(30, factor))


def test_what_lasts_half_a_day_is_the_new_normal() -> None:
    """Told once, closed after half a day; from then on that much is usual."""
    crowd = Crowd()
    assert ["fired", "new normal"] == kinds(crowd.speaks(1000, 4))
    assert crowd.volume.expected(crowd.now, 60).tolist() == pytest.approx([60 * 40], rel=0.1)


def test_a_minute_that_is_not_tested_neither_fires_nor_is_learned() -> None:
    """While a source is sick, what the others bring is neither a spike nor usual."""
    crowd = Crowd()
    before = crowd.volume.expected(crowd.now, 60)
    assert not crowd.speaks(200, 6, tested=False)
    assert before.tolist() == pytest.approx(crowd.volume.expected(crowd.now, 60).tolist(), rel=0.01)


def test_another_rule_is_no_spike() -> None:
    """A rule that finds six times as many posts: no spike for an hour, whose mean is the usual then; one that goes on
    ends."""
    crowd = Crowd()
    crowd.volume.hush(0)
    assert not crowd.speaks(200, 6)
    assert crowd.volume.expected(crowd.now, 60).tolist() == pytest.approx([60 * 60], rel=0.1)
    spiking = Crowd()
    assert ["fired"] == kinds(spiking.speaks(20, 6))
    spiking.volume.hush(0)
    assert ["new ruler"] == kinds(spiking.speaks(20, 6))


def test_a_spike_is_not_learned() -> None:
    """What is loud now is held against what was usual before it, however long it lasts; nor is it usual after."""
    crowd = Crowd()
    before = crowd.volume.expected(crowd.now, 60)
    crowd.speaks(300, 6)
    assert before.tolist() == pytest.approx(crowd.volume.expected(crowd.now, 60).tolist(), rel=0.05)
    crowd.speaks(200)
    assert before.tolist() == pytest.approx(crowd.volume.expected(crowd.now, 60).tolist(), rel=0.05)


def test_the_hours_of_the_day_have_their_own_usual() -> None:
    """A brand that is five times as loud at noon as at night: after three days no noon is a spike."""
    volume, told = Volume(VolumeKnobs(warm_up=3 * 1440), 1), []
    for now in range(5 * 1440):
        told += volume.step(now, np.array([round(18 - 12 * np.cos(2 * np.pi * now / 1440))]), np.array([True]))
    assert not told
    night, noon = (float(volume.expected(5 * 1440 + hour * 60, 60)[0]) for hour in (0, 12))
    assert noon > 3 * night


def told_of(counts: Sequence[Sequence[int]]) -> list[Spike]:
    """The spikes of several series side by side; counts (minutes, series)."""
    volume = Volume(KNOBS, len(counts[0]))
    return [spike for now, some in enumerate(counts)
            for spike in volume.step(now, np.array(some), np.ones(len(some), np.bool_))]


def _two_crowds() -> list[list[int]]:
    rng = np.random.default_rng(4)
    counts = rng.poisson(8, (700, 2))
    counts[400:450, 0] *= 5
    counts[500:560, 1] *= 7
    return [list(map(int, row)) for row in counts]


def test_a_series_does_not_know_who_is_beside_it() -> None:
    """Each alone tells what it told among the others."""
    together = told_of(_two_crowds())
    assert {0, 1} == {spike.series for spike in together}
    alone = [spike._replace(series=at) for at in (0, 1) for spike in told_of([[row[at]] for row in _two_crowds()])]
    assert sorted(together) == sorted(alone)


@given(st.integers(0, 700))
@settings(max_examples=8)
def test_restored_it_goes_on_as_if_nothing_had_been(at: int) -> None:
    """Broken off at any minute: the same spikes from there on, and in the end the same bytes."""
    counts = _two_crowds()
    whole, told = Volume(KNOBS, 2), []
    for now, some in enumerate(counts):
        if now == at:
            parted = Volume.restore(whole.snapshot(), KNOBS)
        told += whole.step(now, np.array(some), np.ones(2, np.bool_))
    if at == len(counts):
        parted = Volume.restore(whole.snapshot(), KNOBS)
    again = [spike for now, some in enumerate(counts) if now >= at
             for spike in parted.step(now, np.array(some), np.ones(2, np.bool_))]
    assert [spike for spike in told if spike.minute >= at] == again
    assert whole.snapshot() == parted.snapshot()


def test_a_series_that_begins_anew_is_as_one_that_was_never_there() -> None:
    """Reset in the middle, with minutes left out before it: it tells what a fresh one tells."""
    counts = np.array(_two_crowds())
    volume, fresh = Volume(KNOBS, 2), Volume(KNOBS, 2)
    for now, some in enumerate(counts[:480]):
        volume.step(now, some, np.ones(2, np.bool_))
    volume.reset([0, 1])
    volume.skip(20_000)
    told = [[spike for now, some in enumerate(counts, 20_000) for spike in one.step(now, some, np.ones(2, np.bool_))]
            for one in (volume, fresh)]
    assert told[0]
    assert told[1] == told[0]


def test_minutes_come_one_after_the_other() -> None:
    """One that was skipped would have lost mentions: a broken promise. So are bytes that no volume wrote."""
    volume = Volume(KNOBS, 1)
    volume.step(7, np.array([1]), np.array([True]))
    with pytest.raises(BrokenPromise):
        volume.step(9, np.array([1]), np.array([True]))
    with pytest.raises((BrokenPromise, ValueError)):
        Volume.restore(volume.snapshot()[:-8], KNOBS)
