"""The algebra of facts, panes, votes and frames: claims that hold for any input."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner import murmur2 as kafkas_murmur2

from streams.heart.ballot import Voted, keys_of, sums_of, tally
from streams.heart.errors import BrokenPromise
from streams.heart.facts import FACT, Floors, Slice
from streams.heart.frame import FLOOR, GONE, PROMPTED, ROW, Frame, Health, Mark, Names, murmur2, pack, unpack
from streams.heart.health import Wellness
from streams.heart.pane import FIELDS, NOTHING, Minutes, Rows, Sums, add, dense
from streams.heart.tracker import Times, Tracker
from streams.heart.watermark import Watermark
from streams.heart.window import interval, variance
from streams.recount import Mention, vote

HOUR_MS = 3_600_000
NAMED = ("source", "lang", "model", "rule")


def facts(*rows: tuple[int, ...]) -> Rows:
    """(id, brand, rev, arrival, score[, kind]) -> facts of pane 0."""
    out = np.zeros(len(rows), FACT)
    for at, (post, brand, rev, arrival, score, *kind) in enumerate(rows):
        out[at]["id"], out[at]["brand"], out[at]["rev"] = post, brand, rev
        out[at]["arrival"], out[at]["score"], out[at]["kind"] = arrival, score, sum(kind)
        out[at]["author"], out[at]["dup"] = post, 1000 * post + rev
    return out


_fact = st.tuples(st.integers(1, 4), st.integers(0, 1), st.integers(0, 3), st.integers(0, 5), st.integers(-9, 9),
                  st.sampled_from([0, PROMPTED]))
# Pane 0 ends at 10,000; with a grace of 20 ms its floors arrive before 10,020.
_floor = st.tuples(st.integers(1, 4), st.sampled_from([1, 2, 3, GONE]), st.sampled_from([0, 4, 60, 10_019, 10_020]))


def slice_of(parts: list[list[tuple[int, ...]]], floors: Floors) -> Slice:
    one = Slice(0)
    for part in parts:
        one.fresh.append(facts(*part))
        one.resolve(floors, 20)
    return one


@given(st.lists(_fact, max_size=25), st.lists(_floor, max_size=8), st.randoms(use_true_random=False))
def test_facts_join_in_any_order_and_any_number_of_times(
        rows: list[tuple[int, ...]], floors: list[tuple[int, ...]], rng: random.Random) -> None:
    """Union is idempotent, commutative and associative: shuffled, repeated and split, the counted rows are the same."""
    held = Floors()
    held.add(np.array(floors, FLOOR))
    again = rows + rng.sample(rows, len(rows) // 2)
    rng.shuffle(again)
    cut = rng.randint(0, len(again))
    forth, back = slice_of([rows], held), slice_of([again[:cut], again[cut:]], held)
    assert forth.counted().tobytes() == back.counted().tobytes()


@given(st.lists(_fact, max_size=25), st.lists(_floor, max_size=8))
def test_every_row_read_gets_its_verdict(rows: list[tuple[int, ...]], floors: list[tuple[int, ...]]) -> None:
    """A version that was there is a duplicate, one under another is superseded, one under a floor removed."""
    held = Floors()
    held.add(np.array(floors, FLOOR))
    slow: dict[str, int] = dict.fromkeys(("new", "duplicate", "superseded", "removed"), 0)
    fast = dict(slow)
    known: set[tuple[int, ...]] = set()
    one_slice = Slice(0)
    for row in rows:
        post, brand, rev, arrival, *_ = row
        higher = [r for p, b, r in known if (p, b) == (post, brand) and r > rev]
        floor = max((r for p, r, at in floors if p == post and arrival - 20 <= at < 10_020), default=0)
        verdict = ("duplicate" if (post, brand, rev) in known else "superseded" if higher
                   else "removed" if rev < floor else "new")
        slow[verdict] += 1
        known.add((post, brand, rev))
        one_slice.fresh.append(facts(row))
        said = one_slice.resolve(held, 20)
        for name in fast:
            fast[name] += getattr(said, name)
    assert slow == fast


@given(st.lists(_floor, max_size=20), st.lists(_floor, max_size=20), st.sampled_from([0, 5, 60, 10_020]))
def test_floors_are_a_set(one: list[tuple[int, ...]], other: list[tuple[int, ...]], before: int) -> None:
    """Added in either order, the lowest rev that counts is the highest of those that arrived in time."""
    since = np.array([0, 1, 5, 61], np.int64)
    posts = np.arange(1, 5, dtype=np.uint64)
    forth, back = Floors(), Floors()
    for floors, order in ((forth, (one, other)), (back, (other, one, other))):
        for part in order:
            floors.add(np.array(part, FLOOR))
    want = [max((rev for post, rev, at in one + other if post == p and since[p - 1] <= at < before), default=0)
            for p in range(1, 5)]
    assert want == forth.lowest(posts, since, before).tolist() == back.lowest(posts, since, before).tolist()


def one(row: tuple[int, ...]) -> Sums:
    """(brand, *values) -> sums."""
    return Sums(np.array(row[:1], np.uint32), np.array([row[1:]], np.int64))


def same(these: Sums, those: Sums) -> bool:
    return np.array_equal(these.brand, those.brand) and np.array_equal(these.values, those.values)


_sum = st.tuples(st.integers(0, 2), *[st.integers(-50, 50)] * len(FIELDS))


@given(st.lists(_sum, max_size=12), st.integers(0, 12))
def test_sums_add_up_however_they_are_split(rows: list[tuple[int, ...]], cut: int) -> None:
    """Whole numbers: addition is exact, in any grouping."""
    singles = [one(row) for row in rows]
    whole, split = add(singles), add([add(singles[cut:]), NOTHING, add(singles[:cut])])
    assert same(whole, split)
    assert [sum(row[1 + at] for row in rows) for at in range(len(FIELDS))] == dense([whole], 3).sum(axis=0).tolist()


@given(st.lists(st.tuples(st.integers(0, 400), _sum), max_size=30), st.integers(0, 60), st.integers(0, 60))
def test_minutes_hold_what_was_sealed(sealed: list[tuple[int, tuple[int, ...]]], first: int, length: int) -> None:
    """Any span of minutes is the sum of its panes, whole hours cached or not."""
    minutes = Minutes()
    for pane, row in sealed:
        minutes.seal(pane, one(row))
        add(minutes.between(0, 70))  # fills the caches, which later panes must empty
    want = add([one(row) for pane, row in sealed if first <= pane // 6 < first + length])
    assert same(want, add(minutes.between(first, first + length)))


_mention = st.tuples(st.integers(0, 3 * HOUR_MS), st.integers(1, 6), st.integers(1, 5), st.integers(0, 3),
                     st.integers(-9, 9))


@given(st.lists(_mention, max_size=40))
def test_votes_are_those_of_the_plain_loop(said: list[tuple[int, ...]]) -> None:
    """The rounds over arrays choose whom the loop of the rule's own words chooses, with the same values and copies."""
    said = sorted(said)
    rows = np.zeros(len(said), FACT)
    for at, (event, author, text, label, score) in enumerate(said):
        rows[at]["id"], rows[at]["event"], rows[at]["author"], rows[at]["dup"] = at, event, author * 997, text * 1009
        rows[at]["label"], rows[at]["score"] = label, score
    slow = [Mention("b", at, event, author * 997, text * 1009, label, score, "s")
            for at, (event, author, text, label, score) in enumerate(said)]
    vote(slow)
    outcome = tally(rows, Voted())
    assert [m.vote is not None for m in slow] == outcome.votes.tolist()
    assert [m.copy for m in slow] == outcome.copies.tolist()
    panes = rows["event"] // 10_000
    each = [panes == pane for pane in np.unique(panes)]
    sums = add(sums_of(rows[at], outcome.of(at)) for at in each)
    assert [m.vote or 0 for m in slow] == outcome.values.tolist()
    assert sum(m.vote or 0 for m in slow) == sums.values[:, FIELDS.index("vote")].sum()


def test_an_hour_that_has_voted_can_give_its_vote_back() -> None:
    """Adding and taking back leaves nothing."""
    voted, keys = Voted(), keys_of(facts((1, 0, 0, 0, 0), (2, 0, 0, 0, 0)))
    voted.add(keys)
    assert voted.has(keys.author).all()
    voted.take_back(keys)
    assert not voted.has(keys.author).any()
    assert len(voted) == 0


_row = st.tuples(*[st.integers(0, {"brand": 1, "label": 3, "kind": 4}.get(name, 0 if name in NAMED else 100))
                   for name in ROW.names or ()])
_frames = st.builds(
    lambda rows, floors, marks: Frame(Names(("a", "b"), ("s",), ("id",), ("m",), ("always",)), np.array(rows, ROW),
                                      np.array(floors, FLOOR), tuple(Mark(*m) for m in marks), (Health("s", 1, 2),)),
    st.lists(_row, max_size=5), st.lists(_floor, max_size=5),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 2**45)), max_size=4))


@given(_frames)
def test_a_frame_comes_back_as_it_was_packed(frame: Frame) -> None:
    """Packing and unpacking are each other's inverse."""
    back = unpack(pack(frame))
    assert (frame.names, frame.marks, frame.health) == (back.names, back.marks, back.health)
    assert (frame.rows.tobytes(), frame.floors.tobytes()) == (back.rows.tobytes(), back.floors.tobytes())


@given(_frames, st.data())
def test_torn_or_foreign_bytes_stop_the_reader(frame: Frame, data: st.DataObject) -> None:
    """A frame cut short, prolonged or of another version is a broken promise, never a wrong figure."""
    whole = pack(frame)
    cut = data.draw(st.integers(0, len(whole) - 1))
    for bad in (whole[:cut], whole + b"x", b"JUNK" + whole[4:], whole[:4] + b"\x09" + whole[5:],
                whole[:5] + b"\x01" + whole[6:]):
        with pytest.raises(BrokenPromise):
            unpack(bad)


@pytest.mark.parametrize("name", ["brand", "source", "lang", "model", "rule", "label", "kind"])
def test_a_frame_that_does_not_name_its_numbers_is_refused(name: str) -> None:
    """A number without a name would be counted for somebody else."""
    rows = np.zeros(1, ROW)
    rows[name] = 7
    with pytest.raises(BrokenPromise):
        unpack(pack(Frame(Names(("a",), ("s",), ("id",), ("m",), ("always",)), rows, np.zeros(0, FLOOR))))


@given(st.binary(max_size=40))
def test_murmur2_is_kafkas_own(key: bytes) -> None:
    """Any client that hashes a brand lands in the partition where we count it."""
    assert kafkas_murmur2(key) & 0xFFFFFFFF == murmur2(key)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 10**6)), min_size=1, max_size=30),
       st.randoms(use_true_random=False))
def test_the_watermark_follows_from_the_marks_in_any_order(marks: list[tuple[int, int]], rng: random.Random) -> None:
    """It never falls, and ends where the lowest of the partitions' highest marks puts it."""
    watermark, before = Watermark(3), None
    rng.shuffle(marks)
    for mark in marks:
        watermark.update([Mark(*mark)])
        assert before is None or (watermark.now_ms is not None and watermark.now_ms >= before)
        before = watermark.now_ms
    highest = [max((m for p, m in marks if p == partition), default=None) for partition in range(3)]
    assert (None if None in highest else min(h for h in highest if h is not None) - 2000) == before


def test_a_source_that_fell_silent_makes_its_panes_sick() -> None:
    """A pane is judged as it closes, by the ticks that came before that; what is said later changes nothing."""
    wellness = Wellness()
    wellness.update([Health("s", at, min(at, 25_000)) for at in range(0, 100_000, 1000)])
    for pane in range(6):
        wellness.close(pane, 30_000)
    #  0      10      20  25  30      40      50
    #  [ well )[ well )[ sick )[ sick )[ sick )
    assert 1.0 == wellness.share("s", 0, 2)
    assert 0.5 == wellness.share("s", 0, 4)
    assert 1.0 == wellness.share("unheard of", 0, 4)


@given(st.integers(1, 10_000), st.floats(-1, 1))
def test_an_interval_holds_its_mood_and_stays_on_the_scale(votes: int, mood: float) -> None:
    """Few votes, extreme votes: still an interval, still on [-1, 1]."""
    total = round(mood * votes * 10_000)
    centre, lower, upper = interval(votes, total, total * total // votes, 0.45)
    assert -1 <= lower <= centre <= upper <= 1


def test_the_interval_covers_what_it_says() -> None:
    """Of 2,000 windows of 40 independent votes, about 95 in 100 intervals hold the true mood."""
    rng = random.Random(5)
    day = rng.choices([-8000, 0, 9000], [0.3, 0.3, 0.4], k=5000)
    prior = variance(len(day), sum(day), sum(v * v for v in day), 0.45)
    held = 0
    for _ in range(2000):
        votes = rng.choices([-8000, 0, 9000], [0.3, 0.3, 0.4], k=40)
        _, lower, upper = interval(len(votes), sum(votes), sum(v * v for v in votes), prior)
        held += lower <= 0.12 <= upper
    assert 0.93 <= held / 2000 <= 0.975


def test_few_votes_make_a_wide_interval() -> None:
    """Three angry posts do not look certain, though their own variance is nil."""
    _, lower, upper = interval(3, -27_000, 3 * 9000**2, 0.45)
    assert upper - lower > 0.5


def test_before_every_partition_is_heard_of_time_does_not_start() -> None:
    """A tracker without marks shows nothing and seals nothing."""
    tracker = Tracker(0, 2, Times())
    assert [] == tracker.readings()
    tracker.apply([pack(Frame(Names(), np.zeros(0, ROW), np.zeros(0, FLOOR), (Mark(0, 10**12),)))])
    tracker.settle()
    assert tracker.watermark_ms is None


def test_completeness_does_not_depend_on_when_one_settles() -> None:
    """A worker that reads the log back in one go judges the same panes as one that was there."""
    def frame(now: int, sick: bool) -> bytes:
        rows = np.zeros(1, ROW)
        rows["id"], rows["event"], rows["arrival"] = now, now, now
        until = 100_000 if sick else now
        return pack(Frame(Names(("a",), ("s",), ("id",), ("m",), ("always",)), rows, np.zeros(0, FLOOR),
                          (Mark(0, now),), (Health("s", now, until),)))

    log = [frame(now, 100_000 < now < 250_000) for now in range(0, 400_000, 5000)]
    live, back = Tracker(0, 1), Tracker(0, 1)
    for data in log:
        live.apply([data])
        live.settle()
    back.apply(log)
    back.settle()
    assert live.readings() == back.readings()
    assert live.readings()[1].completeness < 1
