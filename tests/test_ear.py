"""Ear: ticks claim what is heard, and a gap makes every pane that it touches incomplete."""

from hypothesis import given
from hypothesis import strategies as st

from streams.ear import Ear
from streams.heart.frame import Health as Said
from streams.heart.health import Wellness
from streams.heart.notice import Nobody
from streams.heart.pane import PANE_MS
from streams.serve import Health
from streams.sources.contract import Gap

DELAY_MS = 30_000
START = 1_795_586_400_000


def ear() -> Ear:
    return Ear("bluesky", DELAY_MS, Nobody(), Health("source"))


@given(st.integers(0, 120_000), st.integers(1, 120_000), st.integers(0, 20_000))
def test_every_pane_that_a_gap_touches_is_sick_and_no_pane_long_after(begin: int, length: int, late: int) -> None:
    """A tick a second, read as the counting worker reads it, by arrival."""
    gap = Gap(START + begin, START + begin + length)
    one, wellness = ear(), Wellness()
    told = False
    for second in range(420):
        now_ms = START + 1000 * second
        if not told and now_ms >= gap.to_ms + late:  # known when the connection is back, or somewhat later
            told = True
            one.gap(gap)
        until_ms = now_ms if told or now_ms <= gap.from_ms else gap.from_ms  # what the source may claim
        said = one.healthy(until_ms, now_ms)
        wellness.update([Said("bluesky", now_ms, said["bluesky"])])
    touched = range(gap.from_ms // PANE_MS, -(-gap.to_ms // PANE_MS))
    for pane in range(START // PANE_MS, START // PANE_MS + 36):
        wellness.close(pane, DELAY_MS)
    sick = [pane for pane in range(START // PANE_MS, START // PANE_MS + 36) if wellness.sick(pane, pane + 1)]
    assert set(touched) - set(sick) == set()
    spread = -(-(late + DELAY_MS) // PANE_MS) + 2
    assert all(touched.start - 1 <= pane <= touched.stop + spread for pane in sick)


def test_a_tick_never_claims_the_future_or_goes_back() -> None:
    """Sources with a clock of their own may be ahead; what was claimed stands."""
    one = ear()
    assert {"bluesky": START} == one.healthy(START + 5000, START)
    assert {"bluesky": START + 1000} == one.healthy(START - 5000, START + 1000) or one.healthy(0, START)["bluesky"]
    assert START <= one.healthy(None, START + 2000)["bluesky"]


def test_nothing_is_claimed_before_anything_is_heard() -> None:
    """A source that was never heard is sick, not calm."""
    assert {"bluesky": 0} == ear().healthy(None, START)


def test_readiness_says_why_a_source_is_away() -> None:
    """One line for a person, gone when it is back."""
    health = Health("source")
    one = Ear("bluesky", DELAY_MS, Nobody(), health)
    one.down("bluesky: 401, wrong or expired: look at --token-file")
    assert {"source": "bluesky: 401, wrong or expired: look at --token-file"} == health.missing()
    one.up()
    assert health.ready
