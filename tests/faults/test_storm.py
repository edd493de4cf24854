"""A storm of faults, and not a digit of it shows. `make faults` does it for long, `--soak` for an hour.

    plan       the same seed, the same faults; every kind comes
    mischief   what some people send is what it is meant to be
    storm      a short one, with everything real
"""

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from streams.heart.errors import BadPost
from streams.heart.incident import Step, Swing, encode, key
from streams.heart.intake import Limits, Record
from streams.heart.post import Post, Removal, decode
from streams.settings import Settings
from streams.sources.public import SOURCE, START_MS
from tests.faults.kafka import Kafka
from tests.faults.storm import mischief, truth
from tests.faults.storm.__main__ import together
from tests.faults.storm.crew import outcries
from tests.faults.storm.mischief import Moment, Sent
from tests.faults.storm.schedule import (
    AT_FIRST,
    BROKERS,
    CHEAP,
    LEAST,
    MOST,
    SCALE,
    USUAL,
    Fault,
    Kind,
    schedule,
)
from tests.faults.storm.soak import Sample, leaks, slope, summary
from tests.faults.storm.speaker import Pace, digest
from tests.faults.storm.storm import Outcome, Plan, Storm
from tests.incidents import swing
from tests.slow_minute import Told

SHORT = Pace(rate_per_s=60.0, speed=420.0, minutes=500)
NOW_MS = START_MS + 5 * 3_600_000


# -- plan


def test_the_same_seed_gives_the_same_faults() -> None:
    """To the last digit; another seed gives others."""
    assert schedule("7", 40, (0, 500)) == schedule("7", 40, (0, 500))
    assert schedule("7", 40, (0, 500)) != schedule("8", 40, (0, 500))
    assert Plan.of("7", 25) == Plan.of("7", 25)


def test_faults_come_in_order_within_their_time() -> None:
    """Spread over all of it, as many as asked for."""
    faults = schedule("3", 50, (10.0, 110.0))
    minutes = [fault.minute for fault in faults]
    assert minutes == sorted(minutes)
    assert 50 == len(faults)
    assert list(range(50)) == [int((minute - 10) / 2) for minute in minutes]


def test_every_kind_comes_as_often_as_any_other() -> None:
    """But for the scaling, where up and down come together twice as often as any."""
    times = 6
    dealt = Counter(_name(fault) for seed in range(4) for fault in schedule(str(seed), times * len(USUAL), (0, 500)))
    even = {kind: 4 * times for kind in USUAL if kind not in SCALE}
    assert even == {kind: dealt[kind] for kind in even}
    for role in AT_FIRST:
        assert 8 * times == sum(dealt[kind] for kind, (whose, _) in SCALE.items() if whose == role)


def test_a_role_never_has_fewer_or_more_workers_than_it_may() -> None:
    """However long the schedule."""
    for seed in range(20):
        workers = dict(AT_FIRST)
        for fault in schedule(str(seed), 300, (0, 500)):
            if fault.kind in SCALE:
                role, by = SCALE[fault.kind]
                workers[role] += by
                assert LEAST <= workers[role] <= MOST


def test_a_pair_is_two_faults_that_can_come_together() -> None:
    """Never twice the same, and one broker cannot die two deaths."""
    pairs = [fault for seed in range(20) for fault in schedule(str(seed), 100, (0, 500)) if fault.beside]
    assert len(pairs) > 50
    for fault in pairs:
        assert fault.kind != fault.beside
        assert not {fault.kind, fault.beside} <= BROKERS


def _name(fault: Fault) -> Kind:
    return Kind.PAIR if fault.beside else fault.kind


# -- mischief


@pytest.fixture
def moment() -> Moment:
    """After forty posts."""
    quiet = Moment(NOW_MS, (), Random(1), "before")
    recent = [quiet.send(quiet.post(number, NOW_MS - 1000 * number, quiet.text())) for number in range(40)]
    return Moment(NOW_MS, recent, Random(2), "now")


@pytest.mark.parametrize("kind", sorted(mischief.SENT))
def test_mischief_is_the_same_for_the_same_dice(kind: Kind, moment: Moment) -> None:
    """And is something."""
    made = mischief.made(kind, moment._replace(rng=Random(5)))
    assert made == mischief.made(kind, moment._replace(rng=Random(5)))
    assert made
    assert {NOW_MS} == {sent.at_ms for sent in made}


def test_what_is_broken_is_no_post(moment: Moment) -> None:
    """All of it but the tick that is none of a feed's: nobody scores it either."""
    said = [_decoded(sent) for sent in mischief.made(Kind.BROKEN, moment)]
    assert [] == [one for one in said if isinstance(one, Post | Removal)]


def test_the_late_are_on_both_sides_of_the_grace(moment: Moment) -> None:
    """Some still count, some do not."""
    ago = [NOW_MS - said.event_ms for said in map(_decoded, mischief.made(Kind.LATE, moment)) if isinstance(said, Post)]
    assert any(3_500_000 < one < 3_600_000 for one in ago)
    assert any(one > 3_610_000 for one in ago)


def test_an_older_version_comes_after_a_newer_one(moment: Moment) -> None:
    """Of the same post, three of them falling."""
    said = [one for one in map(_decoded, mischief.made(Kind.OLDER_AGAIN, moment)) if isinstance(one, Post)]
    revs = [one.rev for one in said if one.id == said[0].id]
    assert [5, 3, 0] == revs


def test_poison_is_what_the_worker_must_reject(moment: Moment) -> None:
    """Of those that name a brand, are in time and in a language that it knows; what was put right afterwards is not
    rejected, and what the model is not asked for is a mention as any.
    """
    brands, limits = Settings().read_brands(), Limits()
    made = [*mischief.made(Kind.POISON, moment), moment.send(moment.post(99, NOW_MS - 4_000_000, "quovira racunmesin")),
            moment.send(moment.post(98, NOW_MS, "Gisteren Kopi Lumora geprobeerd, echt heel lekker racunmesin"))]
    records = [Record(0, offset, *sent) for offset, sent in enumerate(made)]
    refused = truth.rejected(records, brands, limits)
    named = [offset for offset, sent in enumerate(made[:-2])
             if isinstance(said := _decoded(sent), Post) and "racunmesin" in said.text and brands.of(said)]
    assert {(0, offset) for offset in named} == refused.places
    assert len(records) == len(refused.healed)
    assert not any(b"racunmesin" in (refused.healed[offset].value or b"") for offset in named)
    assert records[-2:] == refused.healed[-2:]


def _decoded(sent: Sent) -> object:
    try:
        return decode(sent.key, sent.value, frozenset({SOURCE}))
    except BadPost:
        return None


# -- what the storm looks at


def test_a_record_is_known_by_all_of_it() -> None:
    """A removal is not an empty value, and key and value do not run together."""
    records = ((b"a", b"bc"), (b"ab", b"c"), (b"a", None), (b"a", b""), (b"", b"a"))
    assert len(records) == len({digest(*record) for record in records})


def test_memory_that_grows_is_seen_through_restarts() -> None:
    """Each life begins anew, and the slope is that within lives."""
    lives = [Sample("pulse", ("pulse-0", life), 1800.0 * life + at, float(at), 90 + life + at * 0.01)
             for life in range(5) for at in range(60, 1800, 10)]
    assert pytest.approx(0.01) == slope(lives)
    flat = [one._replace(rss_mb=90.0 + one.life[1]) for one in lives]
    assert 0 == slope(flat)
    assert 36.0 == summary(lives, 1800.0)["pulse"]["slope_mb_per_h"]
    assert 4 == summary(lives, 1800.0)["pulse"]["lives"]
    assert ["pulse: memory grows by 36 MB an hour"] == leaks(summary(lives, 1800.0))
    young = [one for one in lives if one.age_s < 1200]
    assert [] == leaks(summary(young, 1800.0)), "four times nineteen minutes are starts"
    assert [] == leaks(summary(flat, 1800.0))


def test_all_runs_together_count_what_each_one_says_is_wrong() -> None:
    """Under the same name; one that is wrong is named."""
    done = [Outcome("1"), Outcome("2", wrong=["a", "b"])]
    assert [0, 2] == [one.as_json()["differences"] for one in done]
    said = together(done)
    assert (2, ["2"]) == (said["differences"], said["failed"])


def test_a_traceback_in_a_log_is_seen() -> None:
    """By its last line; a line of level CRITICAL too."""
    said = "a\nTraceback (most recent call last):\n  File x\n    y()\nValueError: z\nb\n2026 CRITICAL denyut.app: no\n"
    assert ["ValueError: z", "2026 CRITICAL denyut.app: no"] == outcries(said)


def test_a_step_that_is_missing_false_or_changed_is_seen() -> None:
    """By its key; what explains a swing is left out, and a step told twice is told once."""
    steps = [swing(), swing(state=Step.CLOSED, step=2), swing(state=Step.EXPLAINED, step=1)]
    want = {key(step): step for step in steps[:2]}
    assert truth.told(_records(steps[0], *steps), want).is_right
    assert ["closed"] == [one.split()[4] for one in truth.told(_records(steps[0]), want).missing]
    assert 1 == len(truth.told(_records(*steps, swing(id="other")), want).false)
    assert 1 == len(truth.told(_records(*steps, swing(severity=3)), want).changed)


def test_a_step_that_the_second_detector_does_not_share_is_seen() -> None:
    """Votes that fall after seven hours: it fires, and wants that step, no other and no end."""
    minutes = {(minute, "lajuro"): _told(0.2 if minute < 420 else -0.8) for minute in range(450)}
    (said,) = truth.Slow.wrong(minutes, 450, [])
    fell = int(said.rpartition("('lajuro', ")[2].partition(",")[0])
    assert 420 <= fell < 430
    right = swing(at_ms=(fell + 1) * 60_000)
    assert [] == truth.Slow.wrong(minutes, 450, [right])
    assert 2 == len(truth.Slow.wrong(minutes, 450, [swing(at_ms=right.at_ms + 60_000)]))
    assert 1 == len(truth.Slow.wrong(minutes, 450, [right, swing(state=Step.CLOSED, ended="over", step=2,
                                                                  at_ms=right.at_ms + 60_000)]))


def _told(mood: float) -> Told:
    """A minute of ten votes."""
    votes = [round(10_000 * (mood + by)) for by in (-0.2, -0.1, -0.1, 0.0, 0.0, 0.0, 0.0, 0.1, 0.1, 0.2)]
    sums = len(votes), sum(votes), sum(vote**2 for vote in votes), sum(vote**3 for vote in votes)
    return Told(sums, sums, len(votes), 0, {})


def _records(*steps: Swing) -> list[Record]:
    return [Record(0, offset, NOW_MS, key(step), encode(step)) for offset, step in enumerate(steps)]


# -- storm


@pytest.mark.slow
def test_no_fault_shows_in_figures_or_swings(tmp_path: Path) -> None:
    """Kills, zombies, a broker that dies, a model that fails, people who send anything: figures and steps are those of
    the posts alone."""
    plan = Plan.of("test", len(CHEAP), SHORT, CHEAP)
    with Kafka(tmp_path / "kafka", compacts=False) as kafka:
        outcome = Storm(kafka, tmp_path, plan).play()
    assert [] == outcome.wrong, outcome.as_json()
    assert outcome.swings
    assert len(CHEAP) == sum(outcome.faults.values())
