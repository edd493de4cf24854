"""Steps: what the watch makes of minutes, told one by one; and what it holds to be usual.

    0                                200           what a test says
    ├────────────── calm ─────────────┼───────────────────────────▶ minutes
     40 votes a minute, mood 0.1

The whole way, from frames to steps, is `test_watch.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest

from streams.heart.facts import FACT
from streams.heart.incident import Step, Swing
from streams.heart.minute import Minute, Segments, segment_key
from streams.heart.pane import UNIT, Rows
from streams.heart.swing import Knobs
from streams.heart.usual import Dimension, Usual
from streams.heart.volume import VolumeKnobs
from streams.heart.watch import Names, Watch, Window

CALM, LAG = 200, 60
NAMES = Names(["teh", "kopi"], ["demo", "other"], ["id"])
PASTED = 80  # posts
YES = np.array([True])


class Said(NamedTuple):
    """What is said of a brand in a minute: so many votes of this mood, and copies of theirs."""

    votes: int = 40
    mood: float = 0.1
    copies: int = 0
    copied: float = -0.9
    brand: int = 0
    source: int = 0
    abstained: int = 0
    ruler: int = 0


def minute(number: int, *said: Said) -> Minute:
    """The minute in which this is said."""
    brands = sorted({one.brand for one in said})
    of = [[one for one in said if one.brand == brand] for brand in brands]
    segments = {(one.brand, one.source): one for one in said}
    brand, source = np.array(sorted(segments), np.int64).T
    keys = segment_key(brand, source, np.zeros(len(brand), np.int64))
    return Minute(
        number, np.array(brands, np.uint32), np.array([_sums(some, 0) for some in of]),
        np.array([_sums(some, 1) for some in of]),
        np.array([sum(one.votes + one.copies + one.abstained for one in some) for some in of]),
        np.array([sum(one.copies for one in some) for some in of]),
        np.array([[min(one.ruler for one in some), max(one.ruler for one in some)] for some in of]),
        Segments(keys, np.array([[*_sums([one], 0)[:2], *_sums([one], 1)[:2]] for _, one in sorted(segments.items())])))


def _sums(said: Sequence[Said], copies: int) -> list[int]:
    """Scores spread by 0.3 about their mood, and the copies if asked."""
    parts = [[one.mood - 0.3, one.mood + 0.3] * (one.votes // 2) + [one.copied] * (one.copies * copies) for one in said]
    x = np.rint(UNIT * np.concatenate(parts)).astype(np.int64)
    return [len(x), int(x.sum()), int((x**2).sum()), int((x**3).sum())]


@dataclass
class Kept:
    """Whoever keeps the rows: all of them different, or the same `pasted` text by different people."""

    pasted: int = 0
    left: Window | None = None  # what removals have left
    whole_from: int | None = None  # of windows that begin in this minute or later they have taken nothing
    asked: list[bool] = field(default_factory=list)  # whether for posts, each time

    def said(self, brand: int, first: int, after: int) -> Rows:  # noqa: ARG002 (the same in every window)
        rows = np.zeros(200 + self.pasted, FACT)
        rows["author"] = rows["dup"] = np.arange(len(rows))
        rows["dup"][200:] = 1 << 40
        rows["brand"] = brand
        return rows

    def remaining(  # the same in every window
        self, brand: int, first: int, after: int, known_ms: int, of_posts: bool,  # noqa: ARG002
    ) -> Window | None:
        self.asked.append(of_posts)
        if self.left is not None and self.whole_from is not None and first >= self.whole_from:
            return Window(80, self.left.total, 80, self.left.total)
        return self.left


@dataclass
class Talk:
    """A watch that has been told of calm minutes, and goes on."""

    kept: Kept = field(default_factory=Kept)
    usual: Sequence[Said] = (Said(),)
    volume: VolumeKnobs = field(default_factory=VolumeKnobs)
    now: int = 0

    def __post_init__(self) -> None:
        self.watch = Watch(NAMES, Knobs(warm_up=30), self.volume)
        assert not self.says(CALM, *self.usual)

    def says(self, minutes: int, *said: Said, sick: Iterable[int] = ()) -> list[Swing]:
        """All steps of so many more minutes in which this is said."""
        steps = []
        for _ in range(minutes):
            steps += self.watch.step(minute(self.now, *said), frozenset(sick), self.kept)
            self.now += 1
        return steps


def states(steps: Sequence[Swing]) -> list[tuple[str, str]]:
    return [(swing.state.value, swing.ended) for swing in steps]


# -- moods


def test_a_fall_is_opened_once_and_closed() -> None:
    """-0.2 for half an hour, and back: opened as step 0, closed as step 2; what it says is what was said."""
    talk = Talk()
    opened, *more = talk.says(30, Said(mood=-0.1))
    assert not more
    assert (Step.OPENED, 0, "teh", "down", 2) == (
        opened.state, opened.step, opened.brand, opened.direction, opened.severity)
    assert [0.1, opened.now - opened.usual] == pytest.approx([opened.usual, opened.effect], abs=0.01)
    assert abs(opened.onset_ms // 60_000 - CALM) <= 2
    closed, *more = talk.says(90, Said())
    assert (Step.CLOSED, 2, opened.id, "over") == (closed.state, closed.step, closed.id, closed.ended)
    assert not more


@pytest.mark.parametrize(("said", "severity"), [
    (Said(mood=-0.1), 2), (Said(mood=-0.3), 3), (Said(mood=0.0), 1),
    (Said(votes=80, mood=-0.1), 2), (Said(votes=400, mood=-0.1), 3),  # many speak
    (Said(mood=-0.1, copies=20, copied=-0.1), 2), (Said(mood=-0.1, copies=160, copied=-0.1), 1),  # few votes behind it
])
def test_severity_is_the_effect_more_where_many_speak_less_where_few_votes_stand_behind_it(
        said: Said, severity: int) -> None:
    """0.06, 0.15, 0.30; one step up from three times the usual votes, one down where under half of the posts vote."""
    opened = Talk().says(90, said)[0]
    assert (Step.OPENED, severity) == (opened.state, opened.severity)


def test_a_swing_that_grows_is_told_again_when_it_is_more_severe() -> None:
    """-0.2, then -0.25, then -0.5: opened as serious, risen to severe, once."""
    talk = Talk()
    assert [("opened", "")] == states(talk.says(15, Said(mood=-0.1)))
    assert not talk.says(15, Said(mood=-0.15))
    risen, *more = talk.says(60, Said(mood=-0.4))
    assert (Step.RISEN, 3, 2) == (risen.state, risen.severity, risen.step)
    assert not more
    assert [(risen.id, 2)] == [(swing.id, swing.step) for swing in talk.watch.open()]


@pytest.mark.parametrize(("mood", "left", "is_gone"), [
    (-0.1, Window(80, -80 * 1000, 80, -80 * 1000), False), (-0.1, Window(80, -80 * 1000, 60, -60 * 1000), False),
    (-0.1, Window(80, -80 * 1000, 70, 70 * 900), True),  # those that are left say what is usual
    (-0.7, Window(80, -80 * 7000, 40, -40 * 7000), False),
    (-0.7, Window(80, -80 * 7000, 12, -12 * 7000), False),  # one removal more or less ends nothing
    (-0.7, Window(80, -80 * 7000, 9, -9 * 7000), True),  # they are too few
    (-0.1, None, False),
])
def test_a_swing_stands_while_what_is_left_of_it_would_be_one(
        mood: float, left: Window | None, is_gone: bool) -> None:
    """Removals that take its votes, or its mood, withdraw it, and it is not told a second time."""
    talk = Talk()
    assert [("opened", "")] == states(talk.says(5, Said(mood=mood)))
    talk.kept.left = left
    assert ([("withdrawn", "withdrawn")] if is_gone else []) == states(talk.says(30, Said(mood=mood)))
    assert is_gone == (0 == talk.watch.standing()["teh"].down)


def test_a_swing_that_goes_on_is_not_withdrawn_for_what_began_it() -> None:
    """Of a fall of half an hour the first two minutes may be deleted: people still speak as badly."""
    talk = Talk()
    talk.says(20, Said(mood=-0.4))
    talk.kept.left, talk.kept.whole_from = Window(80, -80 * 4000, 0, 0), CALM + 3
    assert not talk.says(30, Said(mood=-0.4))
    assert talk.watch.standing()["teh"].down


def test_copies_that_are_removed_are_told_of_no_longer() -> None:
    """What a platform deletes most: of posts, not of votes, it is asked what is left."""
    talk = Talk(Kept(pasted=400))
    assert [("opened", "")] == states(talk.says(5, Said(copies=PASTED)))
    talk.kept.left = Window(240, -240 * 5000, 80, 80 * 1000)
    assert [("withdrawn", "withdrawn")] == states(talk.says(2, Said(copies=PASTED)))
    assert {True} == set(talk.kept.asked)
    assert not talk.watch.standing()["teh"].coordinated


def test_after_a_withdrawal_the_next_fall_is_told() -> None:
    """The detector is in no swing then: it rests for the cooldown, no longer."""
    talk = Talk()
    talk.says(5, Said(mood=-0.1))
    talk.kept.left = Window(80, -80 * 1000, 1, 900)
    assert [("withdrawn", "withdrawn")] == states(talk.says(2, Said(mood=-0.1)))
    talk.kept.left = None
    assert not talk.says(Knobs().cooldown, Said())
    assert [("opened", "")] == states(talk.says(8, Said(mood=-0.4)))


def test_brands_are_told_in_the_order_of_their_names() -> None:
    """Not in that of their numbers, which each reader gives as it meets them."""
    talk = Talk(usual=(Said(), Said(brand=1)))
    steps = talk.says(10, Said(mood=-0.1), Said(mood=-0.1, brand=1))
    assert ["kopi", "teh"] == [swing.brand for swing in steps]
    assert 1 == len({swing.at_ms for swing in steps})


# -- all posts


def test_copies_that_votes_do_not_share_are_coordinated() -> None:
    """Two posts of three are one angry text: told as coordinated, and not as a fall of mood."""
    talk = Talk(Kept(pasted=400))
    opened = talk.says(10, Said(copies=PASTED))[0]
    assert ("down", "coordinated") == (opened.direction, opened.authenticity)
    standing = talk.watch.standing()["teh"]
    assert (0, opened.severity) == (standing.down, standing.coordinated)


def test_many_people_whose_votes_have_not_turned_are_no_swing() -> None:
    """All posts have turned, by nobody's copies: without the votes there is nothing to tell."""
    assert not Talk().says(30, Said(copies=PASTED))


def test_votes_that_follow_the_copies_are_the_same_incident() -> None:
    """First the campaign, then the people: one incident, told again, amplified."""
    talk = Talk(Kept(pasted=150))
    opened = talk.says(10, Said(copies=PASTED))[0]
    risen, *more = talk.says(20, Said(mood=-0.5, copies=PASTED))
    assert not more
    assert (Step.RISEN, opened.id) == (risen.state, risen.id)
    assert opened.severity <= risen.severity
    assert risen.usual == pytest.approx(0.1, abs=0.02)


def test_a_small_move_of_votes_does_not_inherit_the_severity_of_the_copies_before_it() -> None:
    """Serious as a campaign, a notice as a fall of mood."""
    talk = Talk(Kept(pasted=150))
    opened = talk.says(10, Said(copies=PASTED))[0]
    assert ("coordinated", 2) == (opened.authenticity, opened.severity)
    risen, *_ = talk.says(60, Said(mood=-0.02, copies=40))
    assert "coordinated" != risen.authenticity
    assert (Step.RISEN, 1) == (risen.state, risen.severity)
    assert (1, 0) == (talk.watch.standing()["teh"].down, talk.watch.standing()["teh"].coordinated)


def test_votes_that_turn_against_the_copies_end_their_incident() -> None:
    """A campaign that makes people speak well of a brand: one is closed, the other opened."""
    talk = Talk(Kept(pasted=400))
    opened = talk.says(10, Said(copies=PASTED))[0]
    closed, up = talk.says(20, Said(mood=0.5, copies=PASTED))
    assert [("closed", "turned"), ("opened", "")] == states([closed, up])
    assert (opened.id, "up") == (closed.id, up.direction)


# -- rulers and sources


@pytest.mark.parametrize("said", [Said(mood=-0.3, ruler=1), Said(copies=PASTED, ruler=1)])
def test_another_ruler_opens_nothing_on_votes_nor_on_posts(said: Said) -> None:
    """What another model measures is held against nothing for two hours; then it is the level."""
    talk = Talk(Kept(pasted=400))
    assert not talk.says(300, said)


def test_another_ruler_ends_a_swing() -> None:
    """What it would say of it now, nobody knows."""
    talk = Talk()
    talk.says(10, Said(mood=-0.1))
    assert [("closed", "new ruler")] == states(talk.says(30, Said(mood=-0.1, ruler=1)))


@pytest.mark.parametrize(("share", "is_told"), [(0.5, False), (0.2, False), (0.05, True)])
def test_a_minute_that_lacks_a_tenth_of_the_usual_votes_is_not_tested(share: float, is_told: bool) -> None:
    """A source that is sick hides what its share of the votes is."""
    votes = [round(80 * (1 - share) / 2) * 2, round(80 * share / 2) * 2]
    usual = [Said(votes[0]), Said(votes[1], source=1)]
    talk = Talk(usual=usual)
    steps = talk.says(20, *(one._replace(mood=-0.2) for one in usual), sick=[1])
    assert is_told == bool(steps)


# -- volume


@pytest.mark.parametrize(("factor", "severity"), [(6, 2), (60, 3)])
def test_a_burst_is_loud_and_says_nothing_of_mood(factor: int, severity: int) -> None:
    """Many times the posts in the usual mood: a volume incident, told early, more severe as it grows, and closed with
    how loud it became."""
    talk = Talk(volume=VolumeKnobs(warm_up=150))
    opened, *risen, closed = talk.says(40, Said(votes=40 * factor)) + talk.says(120, Said())
    assert ("volume", Step.OPENED, "up") == (opened.series, opened.state, opened.direction)
    assert (Step.CLOSED, opened.id) == (closed.state, closed.id)
    assert {Step.RISEN} == {step.state for step in risen}
    assert (severity, severity) == (risen[-1].severity, closed.severity)
    assert [opened.usual, closed.peak] == pytest.approx([40, 40 * factor - 40], rel=0.1)
    for step in (opened, *risen, closed):
        assert step.mentions == pytest.approx(step.now * step.window_min, abs=0.5)
        assert step.z == pytest.approx(1.96 * step.effect / (step.upper - step.effect), rel=0.01)


# -- what is usual


def learned(*said: Said, minutes: int = 100, quiet: bool = True) -> Usual:
    """What is usual after so many minutes of this."""
    usual = Usual()
    usual.grow(1)
    for number in range(minutes):
        usual.step(minute(number, *said), np.zeros(1, np.int64), YES, np.array([quiet]), LAG)
    return usual


def test_what_is_usual_is_an_hour_old() -> None:
    """Votes to posts as they were before the last hour; what is said since does not count yet, and then does."""
    usual = learned(Said(copies=40))
    for number in range(100, 100 + LAG):
        assert usual.votes_per_post(0) == pytest.approx(0.5)
        usual.step(minute(number, Said()), np.zeros(1, np.int64), YES, YES, LAG)
    for number in range(100 + LAG, 500):
        usual.step(minute(number, Said()), np.zeros(1, np.int64), YES, YES, LAG)
    assert usual.votes_per_post(0) > 0.8


def test_nothing_is_learned_of_a_minute_that_the_detector_does_not_learn() -> None:
    """Swings and sick sources are not usual."""
    usual = learned(Said(copies=40), quiet=False)
    assert (1.0, None, ({}, 0)) == (
        usual.votes_per_post(0), usual.posts(0), (usual.split(0, Dimension(8, NAMES.sources), 0, False)[0], 0))


def test_usual_figures_are_shares_of_what_was_said() -> None:
    """Votes to posts and to mentions, copies to posts, and the mood of all posts."""
    usual = learned(Said(copies=10, copied=-0.4, abstained=30))
    assert [40 / 50, 40 / 80, 10 / 50] == pytest.approx(
        [usual.votes_per_post(0), usual.votes_per_mention(0), usual.copied(0)])
    posts = usual.posts(0)
    assert posts is not None
    assert posts[1] / posts[0] == pytest.approx((40 * 0.1 - 10 * 0.4) / 50)


def test_now_is_the_window_s_minutes_and_usual_is_what_was_learned() -> None:
    """By source: of votes or of posts, the last `width` minutes against all that was learned."""
    usual = learned(Said(), Said(20, source=1))
    for number in range(100, 105):
        usual.step(minute(number, Said(mood=-0.2, copies=10)), np.zeros(1, np.int64), YES, YES, LAG)
    sources = Dimension(8, NAMES.sources)
    before, now = usual.split(0, sources, 5, False)
    assert now["demo"] == pytest.approx((200, -40.0))
    assert {"demo"} == set(now)
    assert before["other"][0] / before["demo"][0] == pytest.approx(0.5)
    assert usual.split(0, sources, 5, True)[1]["demo"] == pytest.approx((250, -40.0 - 45.0))
    assert {"demo", "other"} == set(usual.split(0, sources, 6, False)[1])


def test_a_minute_is_as_complete_as_the_votes_of_its_healthy_sources() -> None:
    """The share of the usual votes whose source was well; none of a brand of which nothing is known."""
    usual = learned(Said(60), Said(20, source=1))
    brands = np.array([0, 1])
    assert [1.0, 1.0] == usual.complete(brands, frozenset()).tolist()
    assert [0.75, 0.0] == pytest.approx(usual.complete(brands, frozenset([1])).tolist())
