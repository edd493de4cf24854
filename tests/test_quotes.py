"""Quotes: what was told of posts that are gone is due to be told again; nothing else is."""

from typing import Any

import msgspec
import numpy as np
import pytest

from streams.agents import quotes as module
from streams.agents.quotes import LIFE_MS, Quotes
from streams.heart.explain import Evidence, Voice
from streams.heart.frame import FLOOR, GONE
from streams.heart.incident import Cause, Step, Swing, Term
from streams.heart.pane import Rows
from streams.heart.post import id64, post_key
from tests.incidents import ONSET_MS, swing

POSTS = [post_key("demo", str(number), b"tests") for number in range(40)]
NOTHING = Evidence((), (), 1.0)


def explained(name: str = "one", exemplars: tuple[int, ...] = (0, 1, 2), authors: int = 9, **other: Any) -> Swing:
    """The step that explains an incident: three exemplars, one term."""
    return swing(id=name, step=1, state=Step.EXPLAINED, exemplars=tuple(POSTS[n] for n in exemplars),
                 terms=(Term("refund", 5.0, authors),), causes=(Cause("mix", "", 0.4), Cause("term", "refund", 0.3)),
                 **other)  # fmt: skip


def evidence(now: range = range(10), before: range = range(30, 35), rev: int = 0) -> Evidence:
    """These posts were read."""
    since, lately = (tuple(Voice(0, n, id64(POSTS[n]), n, n, -0.8, rev) for n in some) for some in (now, before))
    return Evidence(since, lately, 0.8)


def floors(*numbers: int, rev: int = GONE, at_ms: int = ONSET_MS + 3_600_000) -> Rows:
    """These posts are removed, or edited."""
    return np.array([(id64(POSTS[n]), rev, at_ms) for n in numbers], FLOOR)


def known(*steps: Swing) -> Quotes:
    """What a process knows that has read these steps."""
    quotes = Quotes()
    for step in steps:
        quotes.note(step)
    quotes.caught_up()
    return quotes


def due(quotes: Quotes) -> list[str]:
    """The incidents that are due, by name."""
    return [quoted.step.id for quoted in quotes.due()]


def test_an_exemplar_that_is_removed_makes_its_incident_due() -> None:
    """That one alone, and until it has been told without it."""
    quotes = known(explained("one"), explained("two", (1, 3)), explained("three", (4, 5)))
    quotes.heard(floors(7, 8))
    assert due(quotes) == []
    quotes.heard(floors(0, 3, 9))
    assert due(quotes) == ["one", "two"]
    for quoted in quotes.due():
        quotes.told(quoted.bare(), None)
    assert due(quotes) == []
    quotes.heard(floors(0, 3))
    assert due(quotes) == []


def test_what_is_told_without_texts_loses_what_may_rest_on_what_is_gone() -> None:
    """The exemplars, and terms whose authors may be fewer than five now, with the causes that they are."""
    quotes = known(explained("many", authors=8), explained("few", authors=5))
    quotes.heard(floors(1))
    many, few = (quoted.bare() for quoted in quotes.due())
    assert many.exemplars == few.exemplars == (POSTS[0], POSTS[2])
    assert [term.term for term in many.terms] == ["refund"]
    assert [cause.kind for cause in many.causes] == ["mix", "term"]
    assert few.terms == ()
    assert [cause.kind for cause in few.causes] == ["mix"]
    assert (few.id, few.step, few.state, few.effect) == ("few", 1, Step.EXPLAINED, explained().effect)


def test_a_restart_hears_a_removal_before_it_knows_what_is_quoted() -> None:
    """Floors wait until all that was told is known; those that an explanation knew of take nothing from it."""
    quotes = Quotes()
    quotes.heard(floors(0))
    quotes.heard(floors(4, at_ms=ONSET_MS))
    assert due(quotes) == []
    quotes.note(explained("one"))
    quotes.note(explained("two", (4, 5)))
    quotes.note(swing(id="three", exemplars=(POSTS[0],)))
    quotes.caught_up()
    assert due(quotes) == ["one"]


def test_what_waits_at_a_restart_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic of swings that cannot be read makes nobody hold floors without end: the latest stay."""
    monkeypatch.setattr(module, "EARLY", 3)
    quotes = Quotes()
    for number in (0, 1, 2, 3):
        quotes.heard(floors(number))
    quotes.note(explained("one", (0,)))
    quotes.note(explained("two", (3,)))
    quotes.caught_up()
    assert due(quotes) == ["two"]


def test_a_post_that_goes_while_it_is_read_is_heard() -> None:
    """Between the last look at what counts and the telling nothing is missed; what did not count by then is nothing."""
    quotes = known()
    opened = swing(id="one")
    quotes.reads(opened, evidence())
    quotes.heard(floors(9))  # before the second look: the explanation does without it
    quotes.heard(floors(2))
    left = evidence()._replace(now=evidence().now[:9])
    quotes.told(explained("one"), left)
    (quoted,) = quotes.due()
    assert quoted.opened == opened
    asked = quoted.left()
    assert asked is not None
    assert [voice.offset for voice in asked.now] == [0, 1, 3, 4, 5, 6, 7, 8]
    quotes.told(explained("one", (0, 1)), asked)
    assert due(quotes) == []


def test_a_term_is_counted_again_when_it_may_rest_on_fewer_than_five() -> None:
    """Who said it is not kept: it is due when as many are gone as could have taken it below five."""
    quotes = known()
    quotes.reads(swing(id="one"), evidence(range(20)))
    quotes.told(explained("one", authors=7), evidence(range(20)))
    quotes.heard(floors(10, 11, 30, 31, 32, 33))  # those of the hour before are nobody's term
    assert due(quotes) == []
    quotes.heard(floors(11, 12))
    assert due(quotes) == ["one"]
    left = quotes.due()[0].left()
    assert left is not None
    assert (len(left.now), len(left.before)) == (17, 1)


@pytest.mark.parametrize(("rev", "is_due"), [(3, False), (4, True), (GONE, True)])
def test_the_floor_of_the_very_version_that_was_read_is_no_removal(rev: int, is_due: bool) -> None:
    """Frames come more than once, and an edit sets a floor to its own number."""
    quotes = known()
    quotes.reads(swing(id="one"), evidence(rev=3))
    quotes.told(explained("one"), evidence(rev=3))
    quotes.heard(floors(1, rev=rev))
    assert due(quotes) == (["one"] if is_due else [])


def test_of_what_it_explained_itself_a_process_knows_better_than_the_topic() -> None:
    """The topic is read behind: it may still say what has been told otherwise since."""
    quotes = known()
    quotes.reads(swing(id="one"), evidence())
    quotes.told(explained("one"), evidence())
    quotes.heard(floors(1))
    retold = explained("one", (0, 2, 3))
    quotes.told(retold, quotes.due()[0].left())
    quotes.note(explained("one"))
    assert due(quotes) == []
    quotes.heard(floors(3))
    assert [quoted.step for quoted in quotes.due()] == [retold]


def test_what_another_worker_tells_otherwise_is_taken_over() -> None:
    """The last step stands; what it does not quote any more is not due."""
    quotes = known(explained("one"))
    quotes.heard(floors(1))
    quotes.note(explained("one", (0, 2)))
    assert due(quotes) == []
    quotes.heard(floors(2))
    assert due(quotes) == ["one"]


def test_what_a_worker_that_was_cut_off_delivers_late_does_not_stand() -> None:
    """It was told before a removal, by one that did not hear of it: whoever counts the brand now tells its own again.
    """
    quotes = known()
    quotes.reads(swing(id="one"), evidence(range(1, 10)))  # post 0 had gone before this one explained
    ours = explained("one", (1, 2, 3))
    quotes.told(ours, evidence(range(1, 10)))
    quotes.note(ours, is_mine=True)
    quotes.note(explained("one", (0, 1, 2)), is_mine=True)
    (quoted,) = quotes.due()
    assert quoted.left() == evidence(range(1, 10))
    quotes.told(ours, quoted.left())
    assert due(quotes) == []
    quotes.note(ours, is_mine=True)
    assert due(quotes) == []


def test_what_was_taken_out_once_is_taken_out_of_what_comes_late() -> None:
    """A removal is remembered after it has been heeded."""
    quotes = known()
    quotes.reads(swing(id="one"), evidence())
    quotes.told(explained("one"), evidence())
    quotes.heard(floors(0))
    retold = explained("one", (1, 2, 3))
    quotes.told(retold, quotes.due()[0].left())
    for step in (explained("one"), retold, explained("one")):  # our own two, and then a third of before
        assert due(quotes) == []
        quotes.note(step, is_mine=True)
    (quoted,) = quotes.due()
    left = quoted.left()
    assert left is not None
    assert id64(POSTS[0]) not in {voice.post for voice in left.now}


def test_where_the_brand_is_anothers_by_now_that_one_knows_better() -> None:
    """Whoever counted it before has heard of no removal since, and must not tell again from the posts of then."""
    quotes = known()
    quotes.reads(swing(id="one"), evidence())
    quotes.told(explained("one"), evidence())
    quotes.note(explained("one"))
    quotes.note(explained("one", (2, 3)))
    quotes.heard(floors(2))
    (quoted,) = quotes.due()
    assert quoted.left() is None
    assert quoted.bare().exemplars == (POSTS[3],)


def test_an_older_explanation_stays_known_while_its_incident_is_explained_anew() -> None:
    """After a restart: should nothing be left to explain it from, what was told of it must still go."""
    quotes = known(explained("one"))
    quotes.reads(swing(id="one"), NOTHING)
    quotes.heard(floors(0))
    (quoted,) = quotes.due()
    assert quoted.empty() == msgspec.structs.replace(
        explained("one"), exemplars=(), terms=(), causes=(Cause("mix", "", 0.4),))  # fmt: skip


def test_quotes_are_remembered_for_as_long_as_posts_live() -> None:
    """Of an older incident the posts are gone by the log's own retention."""
    quotes = known(explained("old"), explained("new", at_ms=ONSET_MS + LIFE_MS + 3_600_000))
    quotes.heard(floors(0, at_ms=ONSET_MS + LIFE_MS + 7_200_000))
    assert due(quotes) == ["new"]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many incidents, and of the last few of them all posts."""
    monkeypatch.setattr(module, "MOST", 3)
    monkeypatch.setattr(module, "MOST_READ", 1)
    quotes = known()
    for name in ("a", "b", "c", "d"):
        quotes.reads(swing(id=name), evidence())
        quotes.told(explained(name), evidence())
    quotes.heard(floors(0))
    assert [(quoted.step.id, quoted.left() is not None) for quoted in quotes.due()] == [
        ("b", False), ("c", False), ("d", True)]  # fmt: skip
