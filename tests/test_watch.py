"""Swings, the whole way of counting: rows in frames, in; steps of incidents, out."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from random import Random

import msgspec
import numpy as np
import pytest

from streams.heart.frame import FLOOR, GONE, ROW, Frame, Health, Mark, Names, pack, unpack
from streams.heart.incident import Step, Swing, decode, encode
from streams.heart.pane import Rows
from streams.heart.tracker import Tracker
from tests.sim.people import Manner, People

START_MS = 1_795_586_400_000
HOURS = 26
BRANDS = ("kopi", "teh")


@cache
def talk() -> tuple[bytes, ...]:
    """A day and two hours of two brands, with swings and attacks after both are warm."""
    return tuple(People(1, BRANDS, 8.0, Manner(pace=0.35), hours=HOURS).frames())


def swings(frames: Iterable[bytes], tracker: Tracker | None = None, every: int = 40) -> list[Swing]:
    """What a tracker tells of these frames, settled every so many."""
    tracker = tracker or Tracker(0, 1)
    told: list[Swing] = []
    for at, frame in enumerate(frames):
        tracker.apply([frame])
        if at % every == every - 1:
            told += tracker.settle().swings
    return told + list(tracker.settle().swings)


@cache
def told() -> tuple[bytes, ...]:
    return tuple(encode(swing) for swing in swings(talk()))


def test_there_is_something_to_tell() -> None:
    """The talk of these tests has swings that open and close; else the tests below would claim nothing."""
    states = [decode(step).state for step in told()]
    assert states.count(Step.OPENED) >= 3
    assert states.count(Step.CLOSED) >= 3


@pytest.mark.parametrize("every", [1, 400])
def test_swings_do_not_depend_on_how_much_is_read_at_once(every: int) -> None:
    """Live reading, minute by minute, and recovery, hours at a time, tell the same steps, byte for byte."""
    frames = talk()[:600] if every == 1 else talk()
    expected = [step for step in told() if decode(step).at_ms <= _last_ms(frames)]
    assert expected == [encode(swing) for swing in swings(frames, every=every)]


def test_a_restart_from_the_log_tells_the_same_swings() -> None:
    """A worker that dies midway reads the log back and tells every step again, byte for byte, and then goes on."""
    half = len(talk()) // 2
    before = [encode(swing) for swing in swings(talk()[:half], every=7)]
    again = [encode(swing) for swing in swings([*talk()[:half], *talk()[half:]], every=333)]
    assert before == again[:len(before)]
    assert list(told()) == again


def test_swings_do_not_depend_on_the_order_within_the_delay() -> None:
    """Rows that change places between frames, inside the delay, and frames that come twice, change nothing."""
    assert list(told()) == [encode(swing) for swing in swings(_shuffled(talk(), Random(5)))]


def test_swings_do_not_depend_on_the_numbers_behind_names() -> None:
    """Brands, sources and languages that stand in another order in every frame change not one digit."""
    assert list(told()) == [encode(swing) for swing in swings(_renumbered(talk(), Random(7)))]


@pytest.mark.parametrize("every", [7, 2000])
def test_sick_sources_are_the_same_at_any_pace(every: int) -> None:
    """Ticks that stop for an hour, of one source or of all, tell the same whether read minute by minute or at once."""
    frames = [_ticking(frame, at) for at, frame in enumerate(talk())]
    expected = [encode(swing) for swing in swings(frames)]
    assert expected
    assert list(told()) != expected
    assert expected == [encode(swing) for swing in swings(frames, every=every)]


def test_parts_add_up_over_sick_minutes() -> None:
    """What was said while a source was sick is in neither the headline nor its parts."""
    frames = [_ticking(frame, at) for at, frame in enumerate(talk())]
    for step in swings(frames):
        for dimension in ("source", "language") if step.series == "mood" else ():
            total = sum(part.amount for part in step.parts if part.dimension == dimension)
            assert abs(total - step.effect) < 1e-9


def test_a_brand_tells_the_same_alone_as_beside_others() -> None:
    """How brands are spread over partitions does not matter."""
    together = {brand: [step for step in told() if decode(step).brand == brand] for brand in BRANDS}
    apart = {brand: [encode(swing) for swing in swings(_only(talk(), brand))] for brand in BRANDS}
    assert together == apart


def test_parts_add_up_to_the_headline() -> None:
    """By source and by language alike, mix, mood and baseline are the change from usual to now."""
    for step in map(decode, told()):
        if step.series == "mood" and step.state is Step.OPENED:
            for dimension in ("source", "language"):
                total = sum(part.amount for part in step.parts if part.dimension == dimension)
                assert abs(total - step.effect) < 1e-9
            assert abs(step.now - step.usual - step.effect) < 1e-12


def test_steps_of_an_incident_are_numbered_and_whole() -> None:
    """Opened is 0, 1 is kept for explained, then 2, 3, …; the last one of each incident is closed, or it is open."""
    tracker = Tracker(0, 1)
    steps: dict[str, list[Swing]] = {}
    for swing in swings(talk(), tracker):
        steps.setdefault(swing.id, []).append(swing)
    for of in steps.values():
        assert [0, *range(2, len(of) + 1)] == [swing.step for swing in of]
        assert Step.OPENED == of[0].state
        assert of[-1].is_open == (of[-1] in tracker.open_swings())


def test_a_late_post_corrects_figures_and_never_history() -> None:
    """Rows that arrive after their pane has closed move the mood of the window, and not one byte of a swing."""
    assert list(told()) == [encode(swing) for swing in swings(_with_latecomers(talk()))]


def test_evidence_is_of_the_swing_s_polarity_and_still_counts() -> None:
    """Posts to be read: voting, on the side of the swing, the smallest hashes first, none that was removed since."""
    tracker, opened, at = _until_first(talk())
    evidence = tracker.evidence(opened)
    assert evidence.now
    assert sorted(voice.post for voice in evidence.now) == [voice.post for voice in evidence.now]
    sign = -1 if opened.direction == "down" else 1
    assert all(voice.score * sign >= 0 for voice in evidence.now)
    gone = evidence.now[0].post
    tracker.apply([_removal([gone], talk()[at])])
    tracker.settle()
    assert gone not in {voice.post for voice in tracker.evidence(opened).now}


def test_a_removal_that_was_too_late_for_the_figures_is_no_evidence_all_the_same() -> None:
    """Where one posts partition is behind, a removal heard by another may be later than the post's grace: the post
    counts on, as the rule says, and is quoted by nobody.
    """
    tracker, opened, at = _until_first(talk())
    gone = tracker.evidence(opened).now[0].post
    counted = tracker.between(0, 1 << 40).values.sum()
    tracker.apply([_removal([gone], talk()[at], late_ms=90 * 60_000)])
    tracker.settle()
    assert tracker.between(0, 1 << 40).values.sum() == counted
    assert gone not in {voice.post for voice in tracker.evidence(opened).now}


def test_late_posts_withdraw_nothing() -> None:
    """However many come, and however calm they are: only what is taken back takes a swing back."""
    tracker, opened, at = _until_first(talk())
    assert swings([_with_calm(talk()[at + 1], opened), *talk()[at + 2:at + 8]], tracker, every=1) == []


def test_a_swing_whose_posts_are_removed_is_withdrawn() -> None:
    """When what it rested on is gone, the incident is withdrawn, once, and its severity is gone from the board."""
    tracker, opened, at = _until_first(talk())
    tracker.apply([_removal([voice.post for voice in tracker.evidence(opened).now], talk()[at])])
    steps = swings(talk()[at + 1:at + 8], tracker, every=1)
    mine = [swing for swing in steps if swing.id == opened.id]
    assert [(Step.WITHDRAWN, "withdrawn")] == [(swing.state, swing.ended) for swing in mine]
    assert 0 == getattr(tracker.standing()[opened.brand], opened.direction)


def test_a_new_model_is_not_a_swing() -> None:
    """A ruler that puts every score 0.4 lower fires nothing, and its level is the new normal after two hours."""
    cut = len(talk()) * 2 // 3
    steps = swings([*talk()[:cut], *(_measured_anew(frame) for frame in talk()[cut:])])
    hushed = range(_end_ms(talk()[cut]), _end_ms(talk()[cut]) + 120 * 60_000)
    opened = [swing for swing in steps if swing.state is Step.OPENED and swing.series == "mood"]
    assert not [swing for swing in steps if swing.state is Step.OPENED and swing.at_ms in hushed]
    later = [swing for swing in opened if swing.at_ms >= hushed.stop]
    assert all(swing.usual < -0.2 for swing in later)


def test_a_sick_source_opens_nothing() -> None:
    """While the one source is silent by its own account, no swing begins."""
    first = decode(told()[0])
    sick = [_sick(frame) if abs(_end_ms(frame) - first.at_ms) < 600_000 else frame for frame in talk()]
    assert not [swing for swing in swings(sick) if abs(swing.at_ms - first.at_ms) < 300_000]


def test_a_swing_is_marked_with_the_minutes_in_which_its_source_was_sick() -> None:
    """Nothing is tested in them, time goes on, and the next step says how many there were."""
    first = decode(told()[0])
    opened_ms = first.at_ms + 60_000
    ill = range(opened_ms, opened_ms + 300_000)
    sick = [_sick(frame, 3_600_000 if _end_ms(frame) in ill else -60_000) for frame in talk()]
    steps = [swing for swing in swings(sick) if swing.id == first.id]
    assert 0 == steps[0].unheard
    assert steps[-1].unheard in range(4, 8)
    assert not [swing for swing in steps if opened_ms + 120_000 < swing.at_ms <= opened_ms + 300_000]


def test_a_burst_is_marked_with_the_minutes_in_which_its_source_was_sick() -> None:
    """As a swing of mood is: what is loud is not measured in them, and its next step says how many there were."""
    burst = range(_end_ms(talk()[1470]), _end_ms(talk()[1490]))
    frames = [_loud(frame) if _end_ms(frame) in burst else frame for frame in _only(talk(), "teh")]
    first = next(swing for swing in swings(frames) if swing.series == "volume")
    opened_ms = first.at_ms + 60_000
    ill = range(opened_ms, opened_ms + 300_000)
    sick = [_sick(frame, 3_600_000 if _end_ms(frame) in ill else -60_000) for frame in frames]
    steps = [swing for swing in swings(sick) if swing.id == first.id]
    assert [Step.OPENED, 0] == [steps[0].state, steps[0].unheard]
    assert [Step.CLOSED, True] == [steps[-1].state, steps[-1].unheard in range(4, 8)]


def test_after_a_week_of_silence_a_brand_begins_anew() -> None:
    """A year in which nobody speaks costs next to nothing, and what is told after it is what a new tracker tells."""
    tracker = Tracker(0, 1)
    swings(talk()[:500], tracker, every=100)
    year = [_moved(frame, 366 * 86_400_000) for frame in talk()]
    anew = swings(year)
    assert anew
    assert anew == [swing for swing in swings(year, tracker) if swing.at_ms > _end_ms(year[0])]


def test_a_brand_that_slept_tells_the_same_as_one_that_did_not_exist() -> None:
    """It is forgotten by itself, while the others go on."""
    later = [_moved(frame, 8 * 86_400_000) for frame in _only(talk(), "teh")]
    between = list(People(5, ("kopi",), 0.2, Manner(pace=0), hours=8 * 24).frames())
    together = swings([*_only(talk()[:400], "teh"), *between[400:], *later])
    alone = swings(later)
    assert alone
    assert alone == [swing for swing in together if swing.brand == "teh" and swing.at_ms > _end_ms(later[0])]


# -- making records ---------------------------------------------------------------------------------------------------


def _last_ms(frames: Sequence[bytes]) -> int:
    return unpack(frames[-1]).marks[0].mark_ms - 2_000 - 30_000


def _end_ms(frame: bytes) -> int:
    return unpack(frame).marks[0].mark_ms + 1


def _shuffled(frames: Sequence[bytes], rng: Random) -> Iterator[bytes]:
    """Half of each frame's rows come a frame later, its mark with them; one frame in five comes twice."""
    kept: Frame | None = None
    for data in frames:
        frame = unpack(data)
        rows = frame.rows[np.array(rng.sample(range(len(frame.rows)), len(frame.rows)), np.int64)]
        half = len(rows) // 2
        early = msgspec.structs.replace(frame, rows=rows[:half], marks=())
        late = msgspec.structs.replace(frame, rows=rows[half:])
        if kept is not None:
            yield from [pack(early), pack(kept)]
            if rng.random() < 0.2:
                yield pack(kept)
        else:
            yield pack(early)
        kept = late
    if kept is not None:
        yield pack(kept)


def _renumbered(frames: Sequence[bytes], rng: Random) -> Iterator[bytes]:
    """Every frame with its names in an order of its own, those in use alone."""
    for data in frames:
        frame = unpack(data)
        rows, names = frame.rows.copy(), {}
        for kind in ("brand", "source", "lang"):
            known = getattr(frame.names, kind)
            some = sorted(set(rows[kind].tolist()), key=lambda _: rng.random())
            places = np.zeros(len(known), np.int64)
            places[some] = np.arange(len(some))
            rows[kind], names[kind] = places[rows[kind]], tuple(known[at] for at in some)
        yield pack(msgspec.structs.replace(frame, rows=rows, names=msgspec.structs.replace(frame.names, **names)))


def _ticking(data: bytes, at: int) -> bytes:
    """The frame with the ticks of a minute; the first source is silent from 380 to 440, all from 1040 to 1100."""
    frame = unpack(data)
    mark = frame.marks[0].mark_ms
    sick = frame.names.source if 1040 <= at < 1100 else frame.names.source[:1] if 380 <= at < 440 else ()
    health = [Health(source, mark - 50_000 + 10_000 * tick, mark - 50_000 + 10_000 * tick)
              for source in frame.names.source if source not in sick for tick in range(6)]
    return pack(msgspec.structs.replace(frame, health=tuple(health)))


def _moved(data: bytes, by_ms: int) -> bytes:
    """The frame as it would have been so much later."""
    frame = unpack(data)
    rows = frame.rows.copy()
    rows["event"] += by_ms
    rows["arrival"] += by_ms
    return pack(msgspec.structs.replace(
        frame, rows=rows, marks=tuple(Mark(mark.partition, mark.mark_ms + by_ms) for mark in frame.marks)))


def _only(frames: Sequence[bytes], brand: str) -> Iterator[bytes]:
    for data in frames:
        frame = unpack(data)
        yield pack(msgspec.structs.replace(frame, rows=frame.rows[frame.rows["brand"] == BRANDS.index(brand)]))


def _with_latecomers(frames: Sequence[bytes]) -> Iterator[bytes]:
    """To every frame three angry posts are added, dated ten minutes before."""
    for at, data in enumerate(frames):
        frame = unpack(data)
        rows = np.zeros(3, ROW)
        rows["id"] = rows["author"] = rows["dup"] = np.arange(3) + 10 * at + (1 << 60)
        rows["arrival"] = frame.marks[0].mark_ms
        rows["event"] = rows["arrival"] - 600_000
        rows["score"], rows["label"], rows["brand"] = -9_000, 0, np.arange(3) % 2
        yield pack(msgspec.structs.replace(frame, rows=_both(frame.rows, rows)))


def _both(some: Rows, more: Rows) -> Rows:
    return np.concatenate([some.view(ROW), more])


def _loud(data: bytes, times: int = 20) -> bytes:
    """The frame in which others say as much again, so many times."""
    frame = unpack(data)
    rows = frame.rows
    for n in range(1, times):
        more = frame.rows.copy()
        for name in ("id", "author", "dup"):
            more[name] ^= np.uint64(n << 40)
        rows = _both(rows, more)
    return pack(msgspec.structs.replace(frame, rows=rows))


def _until_first(frames: Sequence[bytes]) -> tuple[Tracker, Swing, int]:
    """A tracker at the moment when the first swing that votes bear has opened."""
    tracker = Tracker(0, 1)
    for at, frame in enumerate(frames):
        tracker.apply([frame])
        for swing in tracker.settle().swings if at % 10 == 9 or at > 300 else ():
            if swing.series == "mood" and swing.authenticity == "organic" and swing.window_min <= 45:
                return tracker, swing, at
    raise AssertionError("no swing")


def _removal(posts: Sequence[int], before: bytes, late_ms: int = 0) -> bytes:
    floors = np.zeros(len(posts), FLOOR)
    floors["id"], floors["rev"], floors["arrival"] = posts, GONE, _end_ms(before) + late_ms
    return pack(Frame(Names(), np.zeros(0, ROW), floors))


def _with_calm(data: bytes, opened: Swing, count: int = 300) -> bytes:
    """The frame, and so many posts of people who are calm, dated within the window that opened a swing."""
    frame = unpack(data)
    rows = np.zeros(count, ROW)
    rows["id"] = rows["author"] = rows["dup"] = np.arange(count) * 7919 + (1 << 60)
    rows["arrival"], rows["offset"] = frame.marks[0].mark_ms, np.arange(count) + 10**9
    rows["event"] = opened.at_ms - 60_000 * opened.window_min * (np.arange(count) + 1) // (count + 1)
    rows["score"], rows["label"], rows["brand"] = 2000, 1, BRANDS.index(opened.brand)
    return pack(msgspec.structs.replace(frame, rows=_both(frame.rows, rows)))


def _measured_anew(data: bytes) -> bytes:
    frame = unpack(data)
    rows = frame.rows.copy()
    rows["score"] = np.maximum(rows["score"].astype(int) - 4000, -10_000)
    return pack(msgspec.structs.replace(frame, rows=rows, names=msgspec.structs.replace(frame.names, model=("new",))))


def _sick(data: bytes, behind_ms: int = 3_600_000) -> bytes:
    frame = unpack(data)
    mark = frame.marks[0].mark_ms
    health = tuple(Health(source, mark, mark - behind_ms) for source in frame.names.source)
    return pack(msgspec.structs.replace(frame, health=health))
