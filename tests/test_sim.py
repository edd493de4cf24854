"""The simulator: are its publics what they are said to be, and is its judge just?"""

import hashlib
import json
import math
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sim import baselines, judge, streams
from tests.sim.__main__ import QUICK, RATCHET, full_plans, held, quick_plans, tightened, worse
from tests.sim.judge import Alert, Case, Loudness, Report, garwood, quantile, wilson
from tests.sim.streams import DAY, MEAN_OF, PRESETS, WEEK, Event, Streams
from tests.sim.trial import attempt, labels, seed_for, seeds_of


def quiet(events: tuple[Event, ...] = (), minutes: int = 2 * WEEK) -> Streams:
    """One brand with a post a minute, all neutral, and events that are only told."""
    sums = np.zeros((minutes, 1, 4), np.int64)
    sums[:, :, 0] = 1
    return Streams("quiet", sums, sums, np.zeros((minutes, 1, 2), np.int64), np.ones((minutes, 1), np.bool_), (events,),
                   (1.0,))


@cache
def public(preset: str, brands: int = 6) -> Streams:
    """Six brands of a preset, two of them large, for a month."""
    return streams.make(preset, 4, brands)


def swing(on: int = WEEK + 1000, sign: int = -1, floor: int | None = 5) -> Event:
    """A swing of an hour, and an hour's tail."""
    return Event("swing", on, on + 60, on + 120, sign, 0.35, floor=floor)


def after(event: Event, minutes: int, sign: int = -1) -> Alert:
    """An alert so many minutes after an event began."""
    return Alert(0, event.on + minutes, sign, event.on)


# -- the publics ------------------------------------------------------------------------------------------------------


def test_a_brand_is_the_same_beside_any_others() -> None:
    """Each has a generator of its own, so that more brands change none."""
    few, many = streams.make("calm", 7, brands=2, weeks=1), streams.make("calm", 7, brands=8, weeks=1)
    assert (few.votes == many.votes[:, :2]).all()
    assert few.events == many.events[:2]
    later = streams.make("calm", 7, brands=2, weeks=1, first=6)
    assert (later.raw == many.raw[:, 6:]).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_sums_are_those_of_scores_between_minus_one_and_one(preset: str) -> None:
    """|s| <= n, s^2 <= n q, |c| <= q <= n in every minute; nobody is empty where others speak."""
    made = streams.make(preset, 3, brands=6, weeks=1)
    for sums in (made.votes, made.raw):
        n, s, q, c = np.moveaxis(sums / np.array([1.0, 1e4, 1e8, 1e12]), -1, 0)
        assert (np.abs(s) <= n + 1e-9).all()
        assert (s * s <= n * q + 1e-3).all()
        assert (q <= n + 1e-9).all()
        assert (np.abs(c) <= n + 1e-9).all()
    assert (made.votes[:, :, 0] <= made.raw[:, :, 0]).all()
    assert (made.classes.sum(axis=2) <= made.raw[:, :, 0]).all()


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("count", [streams.EXACT, streams.EXACT + 1, 400])
def test_sums_have_the_moments_of_single_scores(count: int, kind: int) -> None:
    """Drawn one by one or as a normal, means and spreads of s, q and c agree with scores drawn singly."""
    rng = np.random.default_rng(count)
    drawn = streams._scores(rng, np.full(4000, count), kind) / np.array([1e4, 1e8, 1e12])
    single = np.clip(rng.normal(streams.MEANS[kind], streams.SPREADS[kind], (4000, count)), -1, 1)
    slow = np.stack([(single**power).sum(axis=1) for power in (1, 2, 3)], axis=1)
    error = np.sqrt(2 / 4000) * slow.std(axis=0)
    assert (np.abs(drawn.mean(axis=0) - slow.mean(axis=0)) < 5 * error).all()
    assert drawn.std(axis=0) == pytest.approx(slow.std(axis=0), rel=0.08)


def test_an_ar_has_the_spread_and_the_memory_it_was_given() -> None:
    """Doubling the past gives what the plain recursion gives."""
    rng = np.random.default_rng(5)
    noise = rng.standard_normal(400) * 0.3
    phi = math.exp(-1 / 20)
    slow = [noise[0]]
    for step in noise[1:]:
        slow.append(phi * slow[-1] + step * math.sqrt(1 - phi * phi))
    assert streams.ar(np.random.default_rng(5), 400, 0.3, 20) == pytest.approx(slow, abs=1e-9)


def test_a_tilt_moves_net_mood_by_what_was_asked() -> None:
    """Bisection ends at the mood that was asked for, or at the limit."""
    base = np.array([0.2, 0.5, 0.3])
    before = float(streams.net(base, np.array(0.1)))
    moved = float(streams.net(base, np.array(0.1 + streams.tilt_to(base, 0.1, -0.35))))
    assert moved - before == pytest.approx(-0.35, abs=1e-9)
    ended = float(streams.net(base, np.array(0.1 + streams.tilt_to(base, 0.1, -5))))
    assert ended == pytest.approx(-streams.LIMIT, abs=1e-9)


def test_volume_is_that_of_the_brand() -> None:
    """Nothing happens: the mean number of posts a minute is the brand's rate, and every post is a vote."""
    made = streams.make("null-calm", 2, brands=6, weeks=1)
    assert made.raw[:, :, 0].mean(axis=0) == pytest.approx(made.rates, rel=0.05)
    assert (made.raw == made.votes).all()


def test_events_keep_apart_and_within_the_stream() -> None:
    """The first comes after the warm-up, the next a third of 1.4 days after the last at least, none in the last day."""
    made = public("calm", 12)
    for events in made.events:
        assert all(before.stop + int(0.35 * 1.4 * DAY) <= now.on
                   for before, now in pairwise(events))
        assert WEEK <= events[0].on <= WEEK + DAY
        assert all(event.on <= event.end <= event.stop <= made.minutes for event in events)
        assert events[-1].on <= made.minutes - DAY


def test_a_swing_is_in_the_votes() -> None:
    """Large swings of busy brands: the votes move by their size while they last."""
    made = public("calm", 12)
    moves = []
    for brand, events in enumerate(made.events):
        for event in events:
            if event.kind == "swing" and event.size >= 0.35 and made.rates[brand] >= 200:
                now, before = (made.votes[span, brand].sum(axis=0) for span in
                               (slice(event.on + 30, event.end), slice(event.on - 60, event.on)))
                moves.append(event.sign * (now[1] / now[0] - before[1] / before[0]) / 1e4 / event.size)
    assert np.median(moves) == pytest.approx(1, abs=0.1)


def test_copies_are_posts_and_hardly_votes() -> None:
    """Three in a hundred copies pass for votes, and one of a cluster and hour."""
    made = public("calm", 12)
    for brand, events in enumerate(made.events):
        for event in events:
            added = (made.raw - made.votes)[event.on : event.end, brand, 0].sum()
            if event.kind == "attack":
                assert added == pytest.approx(event.copies * (event.end - event.on), rel=0.6)
            else:
                assert added == 0


@pytest.mark.parametrize(("preset", "kind"), [
    ("evasion", "attack"), ("slow-boil", "boil"), ("loud", "loud"), ("outage", "outage"), ("gap", "gap"),
    ("replay", "replay"), ("amplified", "swing")])
def test_an_adversary_comes_as_announced(preset: str, kind: str) -> None:
    """Each hard preset holds its own kind of event."""
    made = public(preset)
    assert kind in {event.kind for events in made.events for event in events}


def test_only_minutes_of_a_gap_are_untested() -> None:
    """A gap is known to the detector: its minutes are unclean, and no others."""
    made = public("gap")
    known = np.ones_like(made.tested)
    for brand, events in enumerate(made.events):
        for event in events:
            if event.kind == "gap":
                known[event.on : event.end, brand] = False
    assert (made.tested == known).all()


def test_a_mute_classifier_says_neutral() -> None:
    """In an outage no post is negative or positive."""
    made = public("outage")
    said = [made.classes[event.on : event.end, brand].sum()
            for brand, events in enumerate(made.events) for event in events if event.kind == "outage"]
    assert said
    assert not any(said)


def test_late_posts_are_missing() -> None:
    """Three posts in ten are never seen."""
    late, all_of_them = public("late"), public("calm")
    share = late.raw[:WEEK, :, 0].sum() / all_of_them.raw[:WEEK, :, 0].sum()
    assert share == pytest.approx(0.7, abs=0.05)


def test_the_oracle_needs_more_minutes_for_less() -> None:
    """One vote a minute against a hundred; a move that is none is never seen."""
    event = Event("swing", 10, 310, 400, -1, 0.35)
    truth = np.where(np.arange(400) < 10, 0.1, -0.25)
    few, many = (streams.floor(event, truth, np.full(400, votes)) for votes in (1, 100))
    # (0.35)^2 / (2 (0.35 / n + 0.012^2)) nats a minute, 11.5 in all
    assert few == math.ceil(math.log(100_800) / (0.35**2 / (2 * (0.35 + 0.012**2))))
    assert many == 1
    assert streams.floor(event, np.full(400, 0.1), np.full(400, 100)) is None
    assert streams.floor(event, truth, np.zeros(400, np.int64)) is None


def test_streams_come_back_from_a_file(tmp_path: Path) -> None:
    """What is cached is what was made."""
    made = streams.cached(tmp_path / "new", "gap", 4, brands=2, weeks=1)
    again = streams.cached(tmp_path / "new", "gap", 4, brands=2, weeks=1)
    assert (made.votes == again.votes).all()
    assert (made.preset, made.events, made.rates) == (again.preset, again.events, again.rates)


def test_joined_streams_are_the_parts_side_by_side() -> None:
    """Brands keep their order, minutes stay minutes."""
    parts = [streams.make(preset, 4, brands=2, weeks=1) for preset in ("calm", "gap")]
    both = streams.join(parts)
    assert (both.votes[:, 2:] == parts[1].votes).all()
    assert both.events == parts[0].events + parts[1].events
    assert both.weeks == parts[0].weeks + parts[1].weeks


# -- the judge --------------------------------------------------------------------------------------------------------


def test_an_alert_in_time_catches_and_later_ones_repeat() -> None:
    """Caught at the tenth minute; the second alert and one in the tail are duplicates."""
    #  on        end        stop       stop + 30
    #  [ caught   again )    again         )  false
    event = swing()
    report = judge.judge([after(event, 9), after(event, 30), after(event, 100), after(event, 151)], quiet((event,)))
    assert report.recall().value == 1
    assert report.delay().value == 10
    assert report.above_floor().value == 5
    assert report.duplicates().value == 2
    assert report.false == {("quiet", 1.0): 1}


def test_an_alert_after_the_end_catches_nothing() -> None:
    """At the end is in time, a minute later is a duplicate of nothing."""
    event = swing()
    assert judge.judge([after(event, 60)], quiet((event,))).recall().value == 1
    late = judge.judge([after(event, 61)], quiet((event,)))
    assert (late.recall().value, late.of("swing")[0].again, sum(late.false.values())) == (0, 1, 0)


def test_the_wrong_way_is_false() -> None:
    """An alert upwards in a swing downwards, also in its tail."""
    event = swing()
    report = judge.judge([after(event, 9, 1), after(event, 100, 1)], quiet((event,)))
    assert report.false == {("wrong way", 1.0): 2}
    assert report.recall().value == 0


def test_a_swing_that_no_oracle_sees_counts_only_among_all() -> None:
    """Detectable: seen by the oracle before half of it is over."""
    events = swing(floor=30), swing(WEEK + 3000, floor=31), swing(WEEK + 5000, floor=None)
    report = judge.judge([], quiet(events))
    assert (len(report.detectable), len(report.of("swing"))) == (1, 3)


@pytest.mark.parametrize("kind", ["burst", "drift", "outage", "gap", "replay"])
def test_what_must_be_silent_is_false_by_its_kind(kind: str) -> None:
    """Each alert is false; the event counts once."""
    event = Event(kind, WEEK + 1000, WEEK + 1060, WEEK + 1090)
    report = judge.judge([after(event, 9), after(event, 30)], quiet((event,)))
    assert report.false == {(kind, 1.0): 2}
    assert report.raised(kind).value == 1


def test_an_attack_is_organic_unless_it_is_labelled() -> None:
    """It is no false alarm, it has a column of its own; one organic alert of several is enough."""
    event = Event("attack", WEEK + 1000, WEEK + 1060, WEEK + 1120, -1, copies=10)
    alerts, told = [after(event, 9), after(event, 30)], quiet((event,))
    assert not judge.judge(alerts, told).false
    assert judge.judge(alerts, told).as_organic().value == 1
    assert judge.judge(alerts, told, ["coordinated", "amplified"]).as_organic().value == 0
    assert judge.judge(alerts, told, ["coordinated", "organic"]).as_organic().value == 1


def test_the_first_week_is_not_judged() -> None:
    """It is there to warm up."""
    assert not judge.judge([Alert(0, WEEK - 1, -1, 0)], quiet()).false
    assert judge.judge([Alert(0, WEEK, -1, 0)], quiet()).false


def test_volume_is_judged_apart() -> None:
    """A burst is caught; an attack and a swing with volume are neither asked for nor false; the rest is false."""
    burst = Event("burst", WEEK + 1000, WEEK + 1060, WEEK + 1090, factor=8)
    attack = Event("attack", WEEK + 3000, WEEK + 3060, WEEK + 3120, -1, copies=10)
    still, loud = swing(WEEK + 5000), Event("swing", WEEK + 7000, WEEK + 7060, WEEK + 7090, 1, 0.35, factor=3)
    found = judge.judge_volume([after(event, 9) for event in (burst, burst, attack, still, loud)],
                               quiet((burst, attack, still, loud)))
    assert found == Loudness(1, [Case(burst, 1.0, after(burst, 9))], found.others, 1, 1)
    assert found.others == {"attack": 1, "swing": 1}
    assert found.recall(5, 10).value == 1


def test_reports_add_up() -> None:
    """Two brands judged apart and together."""
    event = swing()
    one, other = judge.judge([after(event, 9)], quiet((event,))), judge.judge([Alert(0, WEEK + 5, 1, 0)], quiet())
    both = one + other
    assert (both.weeks, both.weeks_of, both.false) == (2, {1.0: 2}, {("quiet", 1.0): 1})
    assert both.recall() == one.recall()
    assert isinstance(both, Report)


class Spoken:
    """A detector that says what it was told to say, and keeps what it was asked."""

    def __init__(self, said: dict[int, list[tuple[int, str, int]]]) -> None:
        self.said = said
        self.shapes: set[tuple[int, ...]] = set()

    def step(self, minute: int, sums: np.ndarray, tested: np.ndarray) -> list["Spoken.Turn"]:
        """The next minute."""
        self.shapes.add((*sums.shape, *tested.shape))
        return [Spoken.Turn(series, minute, kind, sign) for series, kind, sign in self.said.get(minute, [])]

    class Turn:
        """As a detector's."""

        def __init__(self, series: int, minute: int, kind: str, sign: int) -> None:
            self.series, self.minute, self.kind, self.sign, self.onset, self.window = series, minute, kind, sign, 0, 15


def test_alerts_go_to_the_streams_of_their_brands() -> None:
    """Two streams in one detector: the brands are counted through; an alert knows its end."""
    parts = [streams.join([quiet(minutes=WEEK)] * 2), quiet(minutes=WEEK)]
    spoken = Spoken({5: [(1, "fired", -1), (2, "fired", 1)], 8: [(1, "over", -1)], 9: [(1, "fired", 1)]})
    found = judge.run_beside(lambda _: spoken, parts)
    assert found == [[Alert(1, 5, -1, 0, closed=8), Alert(1, 9, 1, 0)], [Alert(0, 5, 1, 0)]]
    assert spoken.shapes == {(3, 4, 3)}


# -- intervals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "low", "high"), [
    (0, 0.0, 3.6889), (1, 0.0253, 5.5716), (5, 1.6235, 11.6683), (10, 4.7954, 18.3904), (100, 81.3637, 121.6274)])
def test_garwood_is_the_published_interval(count: int, low: float, high: float) -> None:
    """Against published tables of exact Poisson limits."""
    assert garwood(count, 1)[1:] == pytest.approx((low, high), abs=1e-3)
    assert garwood(count, 2) == pytest.approx((count / 2, low / 2, high / 2), abs=1e-3)


@pytest.mark.parametrize(("count", "of", "low", "high"), [
    (0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662), (10, 10, 0.7225, 1.0)])
def test_wilson_is_the_published_interval(count: int, of: int, low: float, high: float) -> None:
    """Newcombe 1998 has 81 of 263."""
    assert wilson(count, of)[1:] == pytest.approx((low, high), abs=1e-4)


def test_a_quantile_has_the_order_statistics_around_it() -> None:
    """For ten values the median is between the second and the ninth: P = 0.979. Five have no such two."""
    assert quantile(range(1, 11), 0.5)[1:] == (2, 9)
    assert quantile(range(1, 6), 0.5)[1:] == (-math.inf, math.inf)


def test_an_order_statistics_interval_covers_as_often_as_it_says() -> None:
    """A hundred exponential draws, a thousand times: the true p90 is inside in 95 of 100 or more, and not always."""
    rng = np.random.default_rng(8)
    truth = -math.log(0.1)
    inside = [low <= truth <= high for _, low, high in
              (quantile(rng.exponential(size=100).tolist(), 0.9) for _ in range(1000))]
    assert 0.94 < np.mean(inside) < 0.985


@given(st.integers(0, 300), st.integers(1, 300))
def test_an_interval_holds_its_figure(count: int, of: int) -> None:
    """Low <= value <= high, and a share stays one."""
    rate = garwood(count, of)
    assert rate.low <= count / of <= rate.high
    share = wilson(min(count, of), of)
    assert 0 <= share.low <= share.value <= share.high <= 1


def test_nothing_says_nothing() -> None:
    """No cases, no share; no values, no quantile; no weeks, no rate."""
    assert all(math.isnan(figure.value) for figure in (wilson(0, 0), quantile([], 0.5), garwood(0, 0)))


# -- the others -------------------------------------------------------------------------------------------------------


def slow_fire(score: list[float], threshold: float) -> list[tuple[int, int, int]]:
    """The alert logic minute by minute: (minute, sign, closed)."""
    found: list[tuple[int, int, int]] = []
    on, low, free = 0, 0, {-1: 0, 1: 0}
    for minute, z in enumerate(score):
        sign = (z > 0) - (z < 0)
        if abs(z) >= threshold and sign != on and free[sign] <= minute:
            if on:
                found[-1] = (*found[-1][:2], minute)
            found.append((minute, sign, -1))
            on, low = sign, 0
        elif on:
            low = low + 1 if z * on < threshold / 2 else 0
            if low >= baselines.CLEAR:
                found[-1] = (*found[-1][:2], minute)
                free[on], on = minute + baselines.COOLDOWN, 0
    return found


@given(st.lists(st.tuples(st.sampled_from([-3.0, -1.0, 0.0, 1.0, 3.0]), st.integers(1, 40)), max_size=20))
def test_rules_fire_as_minute_by_minute(pieces: list[tuple[float, int]]) -> None:
    """Leaping from one hot minute to the next gives the alerts of going through all."""
    score = [value for value, minutes in pieces for _ in range(minutes)]
    found = [(alert.minute, alert.sign, alert.closed) for alert in baselines.fire(np.array(score)[:, None], 3.0)]
    assert found == slow_fire(score, 3.0)


def test_the_z_score_is_the_one_of_the_last_day() -> None:
    """At a few minutes, against the plain definition."""
    made = streams.make("calm", 5, brands=3, weeks=1)
    score = baselines.z60(made)
    votes = made.votes[:, 2].astype(float)
    hour = np.array([votes[max(0, t - 59) : t + 1, 1].sum() / votes[max(0, t - 59) : t + 1, 0].sum() / 1e4
                     for t in range(9000)])
    for minute in (2000, 5000, 8999):
        before = hour[minute - DAY : minute]
        assert score[minute, 2] == pytest.approx((hour[minute] - before.mean()) / before.std(), rel=1e-6)


def test_a_scan_stands_until_the_next() -> None:
    """Looked at once an hour, with the minute that ends it."""
    score = baselines._at(np.arange(300.0)[:, None], 60)[:, 0]
    assert score[:59].tolist() == [0] * 59
    assert score[59:119].tolist() == [59] * 60
    assert score[119:179].tolist() == [119] * 60


@pytest.mark.parametrize("rule", baselines.RULES, ids=lambda rule: rule.name)
def test_every_rule_finds_a_great_swing(rule: baselines.Rule) -> None:
    """A day and a half at -0.7 after two weeks at +0.3: each of them sees that, downwards, at some setting."""
    rng = np.random.default_rng(1)
    turn, minutes = 2 * WEEK, 2 * WEEK + 2160
    mix = np.where((np.arange(minutes) < turn)[:, None], (0.1, 0.5, 0.4), (0.97, 0.02, 0.01))
    sums, classes = streams._natural(rng, np.full(minutes, 30), mix)
    clean = np.ones((minutes, 1), np.bool_)
    made = Streams("great", sums[:, None], sums[:, None], classes[:, None], clean, ((),), (30.0,))
    alerts = baselines.fire(rule.score(made), rule.thresholds[0])
    assert -1 in {alert.sign for alert in alerts if alert.minute >= turn}


# -- the trial --------------------------------------------------------------------------------------------------------


def test_the_seeds_of_a_release_follow_from_its_tag() -> None:
    """Four words of SHA-256 of tag and "swing"; another tag, other seeds; none is a development seed."""
    digest = hashlib.sha256(b"v0.2.0swing").digest()
    assert seeds_of("v0.2.0") == tuple(int.from_bytes(digest[at : at + 8]) for at in range(0, 32, 8))
    assert not set(seeds_of("v0.2.0")) & (set(seeds_of("v0.2.1")) | set(range(51)))
    assert [seed_for(preset, (1, 2, 3, 4)) for preset in ("calm", "noisy-real", "null-calm", "thin")] == [1, 2, 3, 4]


def test_a_full_run_is_large_enough() -> None:
    """144 brand-weeks of a preset, 288 of the null ones; a second turn has other brands."""
    for plan in full_plans((1, 2, 3, 4)):
        assert (288 if plan.is_null else 144) == plan.brands * plan.weeks
    assert all(again.first == plan.brands
               for plan, again in zip(full_plans((1, 2, 3, 4)), full_plans((1, 2, 3, 4), turn=1), strict=True))


def test_copies_in_the_window_make_the_label() -> None:
    """No copies is organic; nine posts of ten are copies: coordinated; half of them: amplified."""
    made = quiet()
    raw = made.raw.copy()
    raw[12_000:12_100, :, 0], raw[14_000:, :, 0] = 2, 10
    copied = Streams("copied", made.votes, raw, made.classes, made.tested, made.events, made.rates)
    assert labels([Alert(0, minute, -1, 0) for minute in (11_000, 12_050, 14_050)], copied) == [
        "organic", "amplified", "coordinated"]


def test_the_ratchet_holds_what_was_reached() -> None:
    """More false alarms or fewer swings are worse; better is kept when it is tightened."""
    class Found:
        """An outcome with a swing that was caught after so many minutes, and false alarms."""

        def __init__(self, delay: int, false: int) -> None:
            event = swing()
            alerts = [after(event, delay - 1), *[Alert(0, WEEK + 10 * at, 1, 0) for at in range(false)]]
            self.found = judge.judge(alerts, quiet((event,)))
            self.plan = full_plans((1, 2, 3, 4), ["calm"])[0]

    held_at = tightened([Found(10, 1)], {})  # type: ignore[list-item]
    assert held_at == {"calm": {"false alarms": 1, "caught": 1, "median delay": 10}}
    assert worse([Found(9, 1)], held_at) == []  # type: ignore[list-item]
    assert worse([Found(11, 0)], held_at) == ["calm: median delay 11, held at 10"]  # type: ignore[list-item]
    assert worse([Found(70, 2)], held_at) == [  # type: ignore[list-item]
        "calm: false alarms 2, held at 1", "calm: caught 0, held at 1", "calm: median delay inf, held at 10"]
    assert tightened([Found(9, 2)], held_at) == {  # type: ignore[list-item]
        "calm": {"false alarms": 1, "caught": 1, "median delay": 9}}


@pytest.mark.slow
def test_the_detector_is_no_worse_than_it_was() -> None:
    """False alarms, swings caught and delay of the quick run against the figures in ratchet.json."""
    outcomes = attempt(quick_plans(), True)
    ratchet = json.loads(RATCHET.read_text())
    assert set(ratchet) == set(QUICK)
    assert worse(outcomes, ratchet) == []
    assert all(held(outcome) for outcome in outcomes)


def test_scores_of_a_class_mean_what_the_truth_says() -> None:
    """The truth takes the mean of clipped scores: a little under 0.72 either way."""
    assert MEAN_OF[0] == pytest.approx(-MEAN_OF[2])
    assert 0.70 < MEAN_OF[2] < 0.72
