"""Ear: ticks claim what is heard, and a gap makes every pane that it touches incomplete."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.ear import SLACK_MS, Ear
from streams.heart.frame import Health as Said
from streams.heart.health import Wellness
from streams.heart.notice import Nobody, Notice, SourceGap, SourceReconnects, SourceStands
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


class Noted:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def observe(self, notice: Notice) -> None:
        self.notices.append(notice)


def test_gaps_hold_until_the_last_pane_that_any_of_them_touches_is_closed() -> None:
    """Nothing new is claimed, and no position written, before the panes of all of them are known."""
    one = ear()
    held = [one.is_holding]
    one.gap(Gap(START - 8000, START - 5000))
    one.gap(Gap(START - 6000, START - 1))
    end = START + DELAY_MS + SLACK_MS  # START ends a pane
    assert {"bluesky": START - 8000} == one.healthy(end - 1, end - 1)
    held.append(one.is_holding)
    assert {"bluesky": end} == one.healthy(end, end)
    assert [False, True, False] == [*held, one.is_holding]


def test_what_is_not_delivered_yet_is_not_claimed_up_to_a_gap() -> None:
    """A gap that begins after it changes nothing."""
    one = ear()
    one.gap(Gap(START - 1000, START))
    assert {"bluesky": START - 50_000} == one.healthy(START - 50_000, START)


def test_how_it_is_heard_is_told() -> None:
    """Up or not, how far behind, since when where nothing was heard; gaps in seconds, never less than none."""
    noted = Noted()
    one = Ear("bluesky", DELAY_MS, noted, Health("source"))
    one.healthy(None, START)
    one.healthy(None, START + 3000)
    one.up()
    one.healthy(START + 1000, START + 4000)
    one.down("away")
    one.healthy(START + 1000, START + 5000)
    one.gap(Gap(START, START + 1500))
    one.gap(Gap(START, START - 1500))
    assert noted.notices == [
        SourceStands("bluesky", False, 0.0), SourceStands("bluesky", False, 3.0), SourceStands("bluesky", True, 3.0),
        SourceReconnects("bluesky"), SourceStands("bluesky", False, 4.0),
        SourceGap("bluesky", 1.5), SourceGap("bluesky", 0.0)]


def test_a_flapping_source_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """One line in a while for one reason, with how often it was; another reason is said at once."""
    caplog.set_level(logging.WARNING, "denyut.source")
    one = ear()
    for _ in range(5):
        one.down("away")
    one._said_s = float("-inf")
    one.down("away")
    one._said_s = float("-inf")
    one.down("away")
    one.down("401")
    assert ["away", "away (4 more times)", "away", "401"] == [record.message for record in caplog.records]


def test_a_gap_that_ends_in_the_future_ends_now() -> None:
    """A server whose clock is ahead must not hold the ticks, and the positions, for as long."""
    one = ear()
    one.gap(Gap(START - 5000, START + 86_400_000))
    for second in range(60):
        one.healthy(START + 1000 * second, START + 1000 * second)
    assert not one.is_holding
