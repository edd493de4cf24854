"""The minute that the detector is told of: against the slow loop, and what of the facts may enter it.

What becomes of it over a whole run, with everything that goes wrong, the driver holds to `slow_minute.py`.
"""

from collections import defaultdict
from collections.abc import Sequence
from random import Random

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from streams.heart.ballot import Voted
from streams.heart.facts import COUNTED, FACT, Floors, Slice
from streams.heart.frame import ABSTAINED, FLOOR, GONE
from streams.heart.minute import MINUTE_MS, Minute, minute_of, segment_key, segment_of
from streams.heart.pane import Rows, end_ms, pane_of
from streams.recount import Mention, vote
from tests.slow_minute import OnTime, Told, told_of

START = 29_926_440  # the first minute here
GRACE_MS, DELAY_MS = 100_000, 30_000

# One mention: post, author, text, second since the start, brand, score, label, source, language.
Said = tuple[int, int, int, int, int, int, int, int, int]
mentions = st.lists(st.tuples(
    st.integers(0, 40), st.integers(0, 6), st.integers(0, 9), st.integers(0, 179), st.integers(0, 2),
    st.integers(-10_000, 10_000), st.sampled_from([0, 1, 2, ABSTAINED]), st.integers(0, 1), st.integers(0, 2),
), max_size=40, unique_by=lambda one: (one[0], one[4]))


def rows_of(said: Sequence[Said]) -> Rows:
    """These mentions as rows."""
    rows = np.zeros(len(said), FACT)
    for name, column in zip(("id", "author", "dup", "event", "brand", "score", "label", "source", "lang"),
                            zip(*said, strict=True), strict=False):
        rows[name] = column
    rows["event"] = START * MINUTE_MS + 1000 * rows["event"]
    rows["score"][rows["label"] == ABSTAINED] = 0
    return rows


def told(rows: Rows, voted: Voted | None = None) -> list[Minute]:
    """The minutes of these rows, one after the other."""
    voted = voted or Voted()
    numbers = rows["event"] // MINUTE_MS
    return [minute_of(number, rows[numbers == number], voted) for number in range(START, START + 3)]


def slowly(rows: Rows) -> dict[tuple[int, int], Told]:
    """Minute and brand -> the same, by the loop."""
    found = [OnTime(str(row["brand"]), int(row["id"]), int(row["event"]), int(row["author"]), int(row["dup"]),
                    int(row["label"]), int(row["score"]), str(row["source"]), lang=str(row["lang"])) for row in rows]
    vote(list[Mention](found))
    together: dict[tuple[int, int], list[OnTime]] = defaultdict(list)
    for one in found:
        together[one.event_ms // MINUTE_MS, int(one.brand)].append(one)
    return {key: told_of(some) for key, some in together.items()}


@given(mentions)
def test_a_minute_is_what_the_slow_loop_counts(said: list[Said]) -> None:
    """Votes, posts, copies and segments of three minutes that share one memory of who has voted."""
    rows = rows_of(said)
    got = {}
    for minute in told(rows):
        segments: dict[int, dict[tuple[str, str], tuple[int, int, int, int]]] = defaultdict(dict)
        for key, sums in zip(minute.segments.key.tolist(), minute.segments.sums.tolist(), strict=True):
            brand, source, lang = segment_of(key)
            segments[brand][str(source), str(lang)] = tuple(sums)
        for at, brand in enumerate(minute.brand.tolist()):
            got[minute.number, brand] = Told(
                tuple(minute.votes[at].tolist()), tuple(minute.raw[at].tolist()), int(minute.mentions[at]),
                int(minute.copies[at]), segments[brand])
    assert slowly(rows) == got


@given(mentions, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(said: list[Said], rng: Random) -> None:
    """Rows come as their slices hold them: by the hash of the post, which means nothing."""
    rows = rows_of(said)
    order = list(range(len(rows)))
    rng.shuffle(order)
    assert [_bytes(minute) for minute in told(rows)] == [_bytes(minute) for minute in told(rows[order])]


def _bytes(minute: Minute) -> list[bytes]:
    return [part.tobytes() for part in (*minute[1:7], *minute.segments)]


def test_a_brand_tells_of_every_ruler_that_measured_it() -> None:
    """The lowest and the highest (model, rule) of each brand: they differ where two were at work in one minute."""
    rows = rows_of([(1, 1, 1, 0, 0, 5, 1, 0, 0), (2, 2, 2, 0, 0, 5, 1, 0, 0), (3, 3, 3, 0, 2, 5, 1, 0, 0)])
    rows["model"], rows["rule"] = [0, 1, 1], [3, 2, 2]
    assert [[3, (1 << 16) + 2], [(1 << 16) + 2, (1 << 16) + 2]] == told(rows)[0].rulers.tolist()


@given(st.integers(0, 2**32 - 1), st.integers(0, 255), st.integers(0, 255))
def test_a_segment_s_key_can_be_taken_apart(brand: int, source: int, lang: int) -> None:
    """Brand, source and language share one number."""
    key = segment_key(*(np.array([number]) for number in (brand, source, lang)))
    assert (brand, source, lang) == segment_of(int(key[0]))


# One version: post, brand, rev, seconds of its arrival, score.
versions = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 3), st.integers(-100, 110),
                              st.integers(-3, 3)), max_size=12)
# One floor: post, rev, seconds of its arrival.
bounds = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1, 2, 3, GONE]), st.integers(-210, 150)), max_size=8)


@given(versions, bounds, st.integers(-100, 110))
@example([(0, 0, 0, -50, 1), (0, 0, 1, -40, 2)], [], 30)  # two versions, no floor
@example([(0, 0, 0, -49, 1)], [(0, GONE, -150)], 30)  # a floor that came a grace and a second before its row
def test_what_was_known_is_what_would_count_had_nothing_come_later(
        some: list[tuple[int, int, int, int, int]], floors: list[tuple[int, int, int]], now: int) -> None:
    """At any time until the pane seals: later rows and floors hide nothing, and bring nothing back."""
    pane = pane_of(START * MINUTE_MS)
    before = end_ms(pane) + 1000 * now
    rows, bars = np.zeros(len(some), FACT), np.zeros(len(floors), FLOOR)
    for at, (post, brand, rev, second, score) in enumerate(some):
        rows[["id", "brand", "rev", "event", "arrival", "offset", "score"]][at] = (
            post, brand, rev, START * MINUTE_MS, end_ms(pane) + 1000 * second, at, score)
    for at, (post, rev, second) in enumerate(floors):
        bars[at] = post, rev, end_ms(pane) + 1000 * second
    before = min(before, end_ms(pane) + GRACE_MS)
    knew, _ = _resolved(pane, rows[rows["arrival"] < before], bars[bars["arrival"] < before])
    knows, held = _resolved(pane, rows, bars)
    known = knows.known(held, before, GRACE_MS)
    assert _plain(knew.rows[knew.rows["state"] & COUNTED != 0]) == _plain(known)


def _resolved(pane: int, rows: Rows, floors: Rows) -> tuple[Slice, Floors]:
    one, held = Slice(pane), Floors()
    one.fresh.append(rows)
    held.add(floors)
    one.resolve(held, GRACE_MS)
    return one, held


def _plain(rows: Rows) -> list[tuple[int, ...]]:
    return [tuple(row[name] for name in ("id", "brand", "rev", "arrival", "offset", "score")) for row in rows]
