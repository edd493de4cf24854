"""Reasons: the parts add up, words are those of many, and a planted cause is told first."""

from collections import Counter
from itertools import combinations
from math import fsum
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.heart.incident import Cause, Copies, Term
from streams.heart.reasons import (
    Amount,
    Carried,
    Posts,
    authenticity,
    causes,
    concentration,
    copied,
    mean,
    parts,
    ranked,
    split,
    term_causes,
)
from streams.heart.terms import Said, carried, exemplars, terms, words
from tests.sim.incidents import KINDS, judged

# A segment with some votes, with very many, or with none at all.
amounts = st.one_of(st.just((0, 0.0)), st.tuples(st.integers(1, 10**6), st.floats(-1, 1)).map(
    lambda drawn: (drawn[0], drawn[0] * drawn[1])))
sums = st.dictionaries(st.sampled_from("abcdef"), amounts, max_size=6)


def naive_mean(side: dict[str, Amount]) -> float | None:
    votes = sum(votes for votes, _ in side.values())
    return sum(total for _, total in side.values()) / votes if votes else None


def adds_up(before: dict[str, Amount], now: dict[str, Amount], usual: float) -> bool:
    """Whether the parts sum to the change, and with the baseline to what stands in the headline, within 1e-9."""
    then, today = naive_mean(before), naive_mean(now)
    found, whole = (fsum(part.amount for part in some) for some in
                    (split(before, now, "source"), parts(before, now, usual, "source")))
    change = 0.0 if then is None or today is None else today - then
    return abs(found - change) < 1e-9 and abs(whole - (0.0 if today is None else today - usual)) < 1e-9


@settings(max_examples=500)
@given(sums, sums, st.floats(-1, 1))
def test_mix_and_mood_add_up_to_the_change(before: dict[str, Amount], now: dict[str, Amount], usual: float) -> None:
    """Segments that are empty, new, gone or alone: nothing of the change is left over."""
    assert adds_up(before, now, usual)


def test_ten_thousand_changes_add_up() -> None:
    """Many more, of all sizes, drawn without hypothesis's care."""
    rng = Random(7)

    def drawn() -> dict[str, Amount]:
        votes = {name: rng.choice((0, 1, 3, rng.randrange(10**6))) for name in rng.sample("abcdef", rng.randint(0, 6))}
        return {name: (count, count * rng.uniform(-1, 1)) for name, count in votes.items()}

    assert all(adds_up(drawn(), drawn(), rng.uniform(-1, 1)) for _ in range(9500))


@given(sums, sums, st.randoms(use_true_random=False))
def test_the_order_of_segments_does_not_matter(before: dict[str, Amount], now: dict[str, Amount], rng: Random) -> None:
    """The same sums in another order give the same parts, to the last bit."""
    shuffled = dict(rng.sample(sorted(now.items()), len(now)))
    assert split(before, now, "source") == split(before, shuffled, "source")
    assert mean(now) == mean(shuffled)


def test_a_new_segment_is_all_mix() -> None:
    """Who was not there before has not changed his mind."""
    found = {(part.kind, part.segment): part.amount
             for part in split({"app": (10, 1.0)}, {"app": (10, 1.0), "forum": (10, -5.0)}, "source")}
    assert 0.0 == found["mood", "forum"]
    assert found["mix", "forum"] < 0


# -- terms ------------------------------------------------------------------------------------------------------------


def said(number: int, text: str, author: int | None = None, score: float = -0.8) -> Said:
    """A post of its own author and its own text, unless told otherwise."""
    return Said(f"demo:{number:08x}", number if author is None else author, text, number, score)


ORDINARY = ["kopi dingin dan pahit", "antrean lama di kasir", "kurir salah alamat", "harga naik terus",
            "service was slow again", "rude staff at the counter", "kecewa sama rasa susu", "tidak ramah barista"]
BEFORE = [said(1000 + number, f"{ORDINARY[number % 8]} {ORDINARY[number * 3 % 7]}") for number in range(160)]


def names(found: tuple[Term, ...]) -> list[str]:
    return [term.term for term in found]


def test_a_dozen_posts_are_enough() -> None:
    """Minutes after an onset there is little to read; a word that most of a dozen say is found, in either language."""
    now = [said(n, ("refund saya belum masuk " if n % 2 else "still no refund after ") + ORDINARY[n % 8])
           for n in range(12)]
    assert "refund" == names(terms(now, BEFORE))[0]


def test_a_term_is_the_word_of_five_authors() -> None:
    """However often four say it; and a fifth makes it a term."""
    now = [said(n, f"refund {ORDINARY[n % 8]}", author=n % 4) for n in range(40)]
    assert () == terms(now, BEFORE)
    now = [said(n, f"refund {ORDINARY[n % 8]}", author=n % 5) for n in range(40)]
    assert 5 == next(term.authors for term in terms(now, BEFORE) if term.term == "refund")


def test_a_pasted_text_has_no_terms() -> None:
    """Forty accounts with one text are one text."""
    pasted = [said(n, "boikot sekarang juga refund semua")._replace(cluster=7) for n in range(40)]
    assert () == terms(pasted + [said(100 + n, ORDINARY[n % 8]) for n in range(40)], BEFORE)


def test_no_handle_no_link_no_number_becomes_a_term() -> None:
    """Whatever marks stand round them, and in whatever width they are written."""
    now = [said(n, f"@budi.s (@BUDI), cc:@budi/@ani ＠wati budi@mail.id https://bit.ly/abc www.refund.com t.co/x"
                   f" 500 08123456 b0812345678 {ORDINARY[n % 8]}") for n in range(60)]
    assert () == terms(now, BEFORE)


def test_the_brands_own_names_are_no_terms() -> None:
    """Phrases as the brand file has them; the words beside them stay."""
    now = [said(n, f"Kopi Arunika #arunika refund {ORDINARY[n % 8]}") for n in range(60)]
    assert ["refund"] == [term for term in names(terms(now, BEFORE, ("kopi arunika", "#arunika"))) if " " not in term]


def test_a_pair_is_told_when_it_is_more_than_its_words() -> None:
    """"tidak login" of people who said "tidak" before; and "refund uang" adds nothing to "refund"."""
    before = [said(1000 + n, f"{'login' if n % 2 else 'tidak'}, {ORDINARY[n % 8]}") for n in range(160)]
    now = [said(n, f"tidak login, {ORDINARY[n % 8]}") for n in range(80)]
    assert "tidak login" == names(terms(now, before))[0]
    now = [said(n, f"refund {'uang' if n % 2 else 'saldo'} {ORDINARY[n % 8]}") for n in range(80)]
    assert "refund uang" not in names(terms(now, BEFORE))


def test_terms_do_not_depend_on_the_order_of_posts() -> None:
    """And are ten at most, the surest first."""
    vocabulary = [f"kata{letter}" for letter in "abcdefghijklmnop"]
    now = [said(n, " . ".join(Random(n).sample(vocabulary, 9))) for n in range(60)]
    found = terms(now, BEFORE)
    assert found == terms(Random(1).sample(now, len(now)), BEFORE[::-1])
    assert 10 == len(found)
    assert sorted(found, key=lambda term: (-term.z, term.term)) == list(found)


def test_nothing_to_compare_with_gives_no_terms() -> None:
    """Without a past nothing is said more than before."""
    assert () == terms([said(n, "refund") for n in range(20)], [])
    assert () == terms([], BEFORE)


def test_as_before_is_no_news() -> None:
    """The same talk on both sides has no term."""
    assert () == terms([said(n, post.text) for n, post in enumerate(BEFORE)], BEFORE)


@given(st.text())
def test_any_text_has_words(text: str) -> None:
    """Whatever is written; none holds a space, a handle's sign or a mark."""
    assert all(not word or (word[0].isalpha() and "@" not in word and " " not in word) for word in words(text))


# -- exemplars --------------------------------------------------------------------------------------------------------

REFUND = (Term("refund", 6.0, 20), Term("belum masuk", 4.0, 9))


def test_exemplars_differ_in_author_and_text() -> None:
    """Three at most, the one with most of the terms first, in whatever order the posts came."""
    best = said(1, "refund saya belum masuk sampai sekarang ya")
    now = [best, said(2, "refund lama sekali di sini", author=1), best._replace(key="demo:copy", author=9),
           said(3, "refund kapan"), said(4, "mana refund nya"), said(5, "kopi dingin")]
    found = exemplars(now, REFUND)
    assert 3 == len(found)
    assert found[0] in (best.key, "demo:copy")
    assert not {"demo:00000002"} & set(found) or best.key not in found
    assert found == exemplars(now[::-1], REFUND)


def test_an_exemplar_is_confidently_scored_and_holds_a_term() -> None:
    """A post that the model is unsure of is no example, nor one that speaks of something else."""
    assert () == exemplars([said(1, "refund belum masuk", score=-0.3), said(2, "kopi dingin")], REFUND)
    assert 2 == len(exemplars([said(1, "refund", score=0.9), said(2, "kopi dingin", score=0.9)], ()))


def test_one_word_is_not_the_best_example() -> None:
    """What tells more of it in a short sentence stands before the bare word."""
    now = [said(1, "refund"), said(2, "refund belum masuk juga padahal sudah lapor")]
    assert now[1].key == exemplars(now, REFUND)[0]


# -- who says it ------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 6), max_size=40))
def test_concentration_is_what_the_slow_count_says(authors: list[int]) -> None:
    """All pairs of posts counted one by one."""
    pairs = list(combinations(authors, 2))
    found, counts = concentration(authors), Counter(authors).values()
    assert found.same == pytest.approx(sum(a == b for a, b in pairs) / len(pairs) if pairs else 0)
    assert found.top == pytest.approx(max(counts, default=0) / max(len(authors), 1))
    assert found.effective == pytest.approx(len(authors) ** 2 / sum(c * c for c in counts) if counts else 0)
    assert copied(authors)[0] == pytest.approx(1 - len(counts) / len(authors) if authors else 0)


@given(st.floats(0, 1), st.floats(0, 0.3), st.floats(10, 1e6), st.booleans(), st.booleans())
def test_a_viral_event_is_not_coordinated(authentic: float, share: float, many: float, votes: bool, raw: bool) -> None:
    """Many people with an ordinary share of repeats: whatever they raise, and however much each of them says."""
    copies = Copies(authentic, 0.8, copied=share, effective_authors=many)
    assert "organic" == authenticity(copies, votes, raw)


@pytest.mark.parametrize(("authentic", "share", "authors", "votes_fire", "word"), [
    (1.0, 0.05, 400.0, True, "organic"),
    (0.7, 0.45, 200.0, True, "amplified"),
    (0.3, 0.80, 200.0, True, "coordinated"),   # evading copies may trip the vote test as well
    (0.7, 0.45, 200.0, False, "coordinated"),
    (0.6, 0.05, 4.0, False, "coordinated"),    # few loud accounts, each with words of its own
    (0.9, 0.05, 4.0, True, "organic"),         # a thin night: few speak, but the votes say so too
])
def test_the_word_for_who_says_it(authentic: float, share: float, authors: float, votes_fire: bool, word: str) -> None:
    """The raw test fires in all of these."""
    assert word == authenticity(Copies(authentic, 0.8, copied=share, effective_authors=authors), votes_fire, True, 0.1)


def test_copies_are_measured_against_the_brands_usual() -> None:
    """A brand whose public repeats itself every day is not amplified on one more such day."""
    assert "organic" == authenticity(Copies(1.0, 0.5, copied=0.45, effective_authors=90.0), True, True, 0.4)


# -- one ranking ------------------------------------------------------------------------------------------------------

USUAL = {"app": (9500, 950.0), "forum": (500, 50.0)}


def test_size_alone_is_no_reason() -> None:
    """All turn alike, and one segment holds nearly all votes: nothing in particular is to blame."""
    assert () == causes({"source": (USUAL, {"app": (190, -57.0), "forum": (10, -3.0)})})


def test_what_turns_alone_is_the_reason() -> None:
    """A small source that turns is told, a large one that holds still is not."""
    found = causes({"source": (USUAL, {"app": (190, 19.0), "forum": (60, -48.0)})})
    assert ("source", "forum") in {(cause.kind, cause.name) for cause in found}
    assert "app" not in {cause.name for cause in found}


def test_nobody_changed_his_mind() -> None:
    """More of those who were always gloomier: it is the mix, whole and alone."""
    usual = {"app": (900, 270.0), "forum": (100, -50.0)}
    found = causes({"source": (usual, {"app": (100, 30.0), "forum": (100, -50.0)})})
    assert [("mix", 1.0)] == [(cause.kind, round(cause.share, 9)) for cause in found]


def test_a_loud_account_shows_in_all_posts() -> None:
    """The votes stand still, all posts have moved, and one account's posts are the difference."""
    posts = Posts((10_000, 1000.0), (200, -60.0), (100, -70.0))
    found = causes({"source": (USUAL, {"app": (95, 9.5), "forum": (5, 0.5)})}, posts)
    assert ["account"] == [cause.kind for cause in found]


def test_a_source_is_not_blamed_for_its_loudest_account() -> None:
    """Nor its language: both only hold the posts of the one."""
    now = {"app": (95, 9.5), "forum": (105, -69.5)}
    found = causes({"source": (USUAL, now)}, Posts((10_000, 1000.0), (200, -60.0), (100, -70.0)))
    assert "account" == found[0].kind
    assert "forum" not in {cause.name for cause in found}


def test_a_word_of_all_days_carries_nothing() -> None:
    """As many of the complaints hold it as ever; there are only more complaints."""
    now, before = ([said(n, "kecewa" if n % 2 else "lambat") for n in range(count)] for count in (100, 20))
    assert () == carried(now, before, (Term("kecewa", 3.1, 50),), 0.6)


def test_texts_join_the_ranking_later() -> None:
    """What was told at the opening, and the words that came after it, are one list."""
    opened = (Cause("source", "forum", 0.4), Cause("mix", "", 0.2))
    told = term_causes([Carried("refund", 0.5, -0.7), Carried("gula", 0.01, -0.7)], 0.1, -0.5)
    assert ["refund", "forum", ""] == [cause.name for cause in ranked(opened, told)]


@pytest.mark.slow
def test_a_planted_cause_is_told_first() -> None:
    """Of 500 incidents, each with one cause, at least 95 % are told by it first; of each kind at least 90 %."""
    hits = {kind: judged(kind, 100) for kind in KINDS}
    assert sum(hits.values()) >= 475
    assert all(right >= 90 for right in hits.values()), hits


@pytest.mark.slow
def test_where_nothing_is_planted_nothing_is_blamed() -> None:
    """All turn alike: in at least 95 % no cause is told for half of the change."""
    assert judged("none", 100) >= 95
