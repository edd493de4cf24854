"""An incident in words: true, short, and the most telling first."""

import pytest

from streams import wording
from streams.heart.incident import Cause, Copies, Step, Term
from tests.incidents import ONSET_MS, swing

MINUTE_MS = 60_000
COPIES = Copies(authentic=0.12, usual_votes_per_post=0.9, copied=0.85)
TERMS = (Term("susu", 6.0, 40), Term("oatlira", 5.0, 30))


def test_what_is_open_says_now_against_usual() -> None:
    """Figures of the window that leads, and for how long it has gone on."""
    assert "now -0.55, usually +0.18" == wording.figures(swing())
    assert "since 14:12 (22 min)" == wording.course(swing(), ONSET_MS + 22 * MINUTE_MS)
    assert "since 14:12 (8 min)" == wording.course(swing())


def test_what_is_over_says_how_far_it_went_and_how_long() -> None:
    """Peak and duration, and how it ended."""
    over = swing(state=Step.CLOSED, ended="over", peak=-0.81, now=0.15, at_ms=ONSET_MS + 98 * MINUTE_MS)
    assert "peak -0.63, usually +0.18" == wording.figures(over)
    assert "14:12, over after 98 min" == wording.course(over, over.at_ms + MINUTE_MS)
    assert "14:12, new normal after 98 min" == wording.course(swing(
        state=Step.CLOSED, ended="new normal", at_ms=ONSET_MS + 98 * MINUTE_MS))
    assert "14:12, withdrawn" == wording.course(swing(state=Step.WITHDRAWN, ended="withdrawn"))


def test_volume_is_told_in_mentions() -> None:
    """Now and usual are mentions a minute; votes and moods are not spoken of."""
    volume = swing(series="volume", direction="up", now=11.24, usual=2.4, effect=8.84, peak=8.84, authenticity="")
    assert "now 11.2 a minute, usually 2.4" == wording.figures(volume)
    assert "63 mentions" == wording.grounds(volume)[0]
    assert "volume" in wording.sentence(volume, "Lajuro")


@pytest.mark.parametrize(("weeks", "is_bound", "said"), [
    (57.6, False, "by chance 1 in 58 weeks"), (192.0, True, "by chance <1 in 192 weeks")])
def test_chance_says_whether_it_is_a_bound(weeks: float, is_bound: bool, said: str) -> None:
    """Never more than was simulated."""
    assert said in wording.grounds(swing(chance_weeks=weeks, chance_is_bound=is_bound))


def test_unknown_chance_is_not_spoken_of() -> None:
    """No figure, no phrase."""
    assert not any("chance" in said for said in wording.grounds(swing(chance_weeks=0.0)))


@pytest.mark.parametrize(("causes", "said"), [
    ((Cause("term", "oatlira", 0.62),), ["about oatlira 62%, susu"]),
    ((Cause("source", "demo", 0.7), Cause("term", "oatlira", 0.3)), [
        "70% of the change goes with source demo", "about oatlira, susu"]),
    ((Cause("mix", "", 0.55),), [
        "55% of the change goes with another mix of sources or languages", "about susu, oatlira"]),
    ((Cause("account", "", 0.4),), ["40% of the change goes with one account", "about susu, oatlira"]),
    ((Cause("language", "id", 1.4),), ["100% of the change goes with language id", "about susu, oatlira"]),
    ((), ["about susu, oatlira"]),
])
def test_the_first_cause_is_named_once(causes: tuple[Cause, ...], said: list[str]) -> None:
    """A term that is the cause leads the terms; any other cause stands before them."""
    assert said == wording.grounds(swing(causes=causes, terms=TERMS))[3:]


def test_a_board_is_told_the_same_in_fewer_words() -> None:
    """There is room for some eighty cells."""
    briefly = {"source": "55% with source demo", "mix": "55% with another mix"}
    for kind, said in briefly.items():
        name = "demo" if kind == "source" else ""
        assert said in wording.grounds(swing(causes=(Cause(kind, name, 0.55),)), is_brief=True)
    copied = swing(authenticity="coordinated", copies=COPIES)
    assert "coordinated (12% authentic)" in wording.grounds(copied, is_brief=True)


def test_copies_are_called_by_their_name() -> None:
    """A campaign is coordinated, with how authentic it is against the usual; an organic swing needs no figure."""
    copied = swing(authenticity="coordinated", copies=COPIES)
    assert "coordinated (12% as authentic as usual)" in wording.grounds(copied)
    assert "organic" in wording.grounds(swing(copies=COPIES))


def test_a_sentence_says_it_all_on_one_line() -> None:
    """For a log: state, brand, direction, severity, course, figures, grounds."""
    said = wording.sentence(swing(terms=TERMS), "Lajuro")
    assert ("swing opened: Lajuro: mood down, serious; since 14:12 (8 min); now -0.55, usually +0.18; 59 votes; "
            "by chance <1 in 192 weeks; organic; about susu, oatlira") == said


@pytest.mark.parametrize(("room", "said"), [(100, "a · b, c, d · e"), (10, "a · b, c"), (9, "a · b, c"), (4, "a"),
                                            (0, "")])
def test_what_does_not_fit_is_left_out_whole(room: int, said: str) -> None:
    """Phrases are not broken; lists lose their last."""
    assert said == wording.fitted(["a", "b, c, d", "e"], room, " · ")
