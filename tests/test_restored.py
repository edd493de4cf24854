"""A tracker that went on from a block is the tracker that never rested: figures, minutes, swings and blocks."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest

from streams.heart.block import Block
from streams.heart.brands import Brands
from streams.heart.errors import BrokenPromise
from streams.heart.frame import FLOOR, ROW, Frame, Mark, Names, pack, unpack
from streams.heart.incident import Swing
from streams.heart.intake import Intake, Judged, Record
from streams.heart.tracker import AGAIN_MS, Times, Tracker
from tests.story import BRANDS_TOML, MOODS, PARTITIONS, PLANTED, Story

HOME = 0  # the partition under test; both count a brand
UNHEARD = range(440, 444)  # minutes in which no tick said that anybody was listening


@cache
def logs() -> list[list[bytes]]:
    """What the score worker makes of a story with a swing in it: partition -> frames."""
    intake = Intake(frozenset({"demo"}), Brands.parse(BRANDS_TOML), lambda *_: Judged("en", True))
    rng, ends = random.Random(3), [0] * PARTITIONS
    out: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    gone: list[tuple[int, int, bytes, bytes | None]] = []
    for number, said in enumerate(Story(people=900).minutes):
        minute = [one for one in said if number not in UNHEARD or not one[2].startswith(b"~")]
        told = sorted([*minute, *((at, minute[-1][1], name, None) for at, _, name, _ in gone)], key=lambda one: one[1])
        gone = [one for one in minute if one[3] and rng.random() < 0.05 and PLANTED.encode() not in (one[3] or b"")
                and not one[2].startswith(b"~")]  # removed a minute later
        records = []
        for at, arrival, name, value in told:
            records.append(Record(at, ends[at], arrival, name, value))
            ends[at] += 1
        for part in (records[:len(records) // 2], records[len(records) // 2:]):
            batch = intake.read(part)
            scores = [next(MOODS[word] for word in text.split() if word in MOODS) for text, _ in batch.texts]
            for at, frame in intake.finish(batch, scores, "rule", PARTITIONS).frames.items():
                out[at].append(frame)
    return out


@dataclass
class Life:
    """One reading of a log, with rests or without."""

    log: Sequence[bytes]
    tracker: Tracker = field(default_factory=lambda: Tracker(HOME, PARTITIONS))
    steps: dict[tuple[str, int], Swing] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    rests: int = 0
    furthest: int = 0

    def read(self, rng: random.Random | None = None, most: int = 14) -> "Life":
        """Reads all of it; with `rng` it dies now and then, and who comes goes on from the newest block."""
        at, ends = 0, sorted(rng.sample(range(len(self.log)), 10)) if rng else []
        while at < len(self.log):
            some = rng.randrange(1, most) if rng else 4
            self.tracker.apply(self.log[at:at + some], at)
            at = min(at + some, len(self.log))
            if at > self.furthest:
                self.furthest = at
                self.tracker.caught_up()
            self.steps |= {(step.id, step.step): step for step in self.tracker.settle().swings}
            if self.tracker.is_block_due and at >= self.tracker.position:
                self.blocks.append(self.tracker.block())
            if ends and self.blocks and at >= ends[0]:
                ends.pop(0)
                self.tracker, at = Tracker.restore(self.blocks[-1]), self.blocks[-1].resume
                self.rests += 1
        return self


@cache
def undisturbed() -> Life:
    """Read from the beginning to the end."""
    return Life(logs()[HOME]).read()


def test_the_story_swings() -> None:
    """Or nothing below would say anything of swings."""
    states = [step.state for step in undisturbed().steps.values()]
    assert {"opened", "closed"} <= set(states)
    assert len(undisturbed().blocks) > 50


@pytest.mark.parametrize("seed", range(4))
def test_rests_change_nothing(seed: int) -> None:
    """Whenever it rests and however much it reads at once: the same steps, readings, standing, and the same block."""
    life = Life(logs()[HOME]).read(random.Random(seed))
    assert life.rests > 3
    assert life.steps == undisturbed().steps
    assert life.tracker.readings() == undisturbed().tracker.readings()
    assert life.tracker.standing() == undisturbed().tracker.standing()
    assert life.tracker.told() == undisturbed().tracker.told()
    ends = [one.tracker.block() for one in (life, undisturbed())]
    assert ends[0].state == ends[1].state
    assert ends[0][:5] == ends[1][:5]


def test_all_steps_since_the_block_are_told_again() -> None:
    """Also of an incident that opened and closed meanwhile, hours ago: whoever made them may not have told them."""
    before = next(one for one in reversed(undisturbed().blocks)
                  if one.watermark_ms < min(step.at_ms for step in undisturbed().steps.values()))
    tracker = Tracker.restore(before)
    tracker.apply(logs()[HOME][before.resume:], before.resume)
    tracker.settle()
    tracker.settle()
    assert {(step.id, step.step): step for step in tracker.told()} == undisturbed().steps
    tracker.caught_up()
    assert tracker.told() == undisturbed().tracker.told()
    assert len(tracker.told()) < len(undisturbed().steps)


def test_a_block_has_the_steps_that_may_not_have_been_delivered() -> None:
    """Those of the last hour, of what has closed as well: explanations are asked for anew."""
    block = undisturbed().blocks[-1]
    lately = [step for step in undisturbed().steps.values()
              if block.watermark_ms - AGAIN_MS <= step.at_ms <= block.watermark_ms]
    assert lately
    assert set(lately) <= set(Tracker.restore(block).told())


def test_only_what_still_matters_is_read_again() -> None:
    """Two hours and a little of the log: the rows of panes that are not sealed, and the floors that may touch them."""
    block = undisturbed().blocks[-1]
    frames = block.position - block.resume
    assert 2 * 120 <= frames <= 2 * 125  # two frames a minute
    tracker = Tracker.restore(block)
    before = {(mark.partition, mark.mark_ms) for data in logs()[HOME][:block.resume] for mark in unpack(data).marks}
    needed_ms = (tracker.watermark_ms or 0) - 7_270_000
    assert max(ms for _, ms in before) < needed_ms


def test_rows_that_come_before_their_marks_are_read_again() -> None:
    """A large frame goes out in pieces, and its marks are in the last one."""
    times = Times(delay_ms=1_000, grace_ms=3_600_000)
    tracker, late_ms = Tracker(0, 1, times), 3 * 3_600_000
    rows = np.zeros(1, ROW)
    rows["arrival"] = late_ms
    rows["event"] = late_ms - 1000
    names = Names(("kopi",), ("demo",), ("id",), ("m",), ("r",))
    for frame in (Frame(Names(), rows[:0], np.zeros(0, FLOOR), (Mark(0, 1_000),)),
                  Frame(names, rows, np.zeros(0, FLOOR)),
                  Frame(Names(), rows[:0], np.zeros(0, FLOOR), (Mark(0, late_ms + 7_200_000),))):
        tracker.apply([pack(frame)])
        tracker.settle()
    assert tracker.block().resume == 1


def test_a_row_that_is_read_again_meets_what_it_met() -> None:
    """Of one record the score that came before its pane closed stands, though a replay's came after and is smaller."""
    times = Times(delay_ms=1_000, grace_ms=3_600_000)
    tracker = Tracker(0, 1, times)
    names = Names(("kopi",), ("demo",), ("id",), ("m",), ("r",))
    log = []
    for score, mark_ms in ((9_000, 20_000), (8_000, 30_000), (0, 60_000)):
        rows = np.zeros(1 if score else 0, ROW)
        rows["arrival"], rows["event"], rows["score"], rows["label"] = 15_000, 5_000, score, 2
        log.append(pack(Frame(names, rows, np.zeros(0, FLOOR), (Mark(0, mark_ms),))))
        tracker.apply(log[-1:])
        tracker.settle()
    again = Tracker.restore(tracker.block(), times)
    again.apply(log, 0)
    again.settle()
    assert tracker.between(0, 10).values.tolist() == again.between(0, 10).values.tolist()
    assert 9_000 in tracker.between(0, 10).values


@pytest.mark.parametrize(("before", "after"), [(7_200_000, 3_600_000), (3_600_000, 7_200_000)])
def test_another_grace_after_a_rest_loses_and_doubles_nothing(before: int, after: int) -> None:
    """What was sealed stays sealed; what was not is there whole before it is sealed."""
    log = logs()[HOME]
    tracker, whole = Tracker(HOME, PARTITIONS, Times(grace_ms=before)), Tracker(HOME, PARTITIONS)
    block = None
    for at, frame in enumerate(log):
        whole.apply([frame])
        tracker.apply([frame])
        if at % 8 == 7:
            tracker.settle()
            whole.settle()
        if at == 799:
            block = tracker.block()
    assert block is not None
    again = Tracker.restore(block, Times(grace_ms=after))
    again.apply(log[block.resume:block.position], block.resume)
    again.settle()
    again.apply(log[700:800], 700)  # and a zombie sends some of it once more, behind the block
    for data in [*log[block.position:], *log[600:700]]:
        again.apply([data])
    again.settle()
    whole.settle()
    day = [{(one.brand, one.window): one.mentions for one in each.readings()} for each in (again, whole)]
    assert day[0] == day[1]


def test_a_log_that_begins_later_is_known_to() -> None:
    """Nothing stands before its beginning, also where nothing stands at all."""
    tracker = Tracker(0, 2)
    tracker.apply([], 205)
    assert tracker.position == 205
    tracker.apply([logs()[0][0]])
    assert tracker.position == 206


def test_a_frame_from_before_says_nothing_new_of_time() -> None:
    """Its facts are taken in; its marks, and what it heard of sources, are in the block."""
    block = undisturbed().blocks[-1]
    tracker = Tracker.restore(block)
    marks, now_ms = tracker.marks, tracker.watermark_ms
    tracker.apply(logs()[HOME][block.resume:block.position], block.resume)
    assert (tracker.marks, tracker.watermark_ms, tracker.position) == (marks, now_ms, block.position)
    assert not tracker.settle().swings
    tracker.apply(logs()[HOME][block.position:block.position + 1])
    assert tracker.position == block.position + 1


def test_a_block_is_made_of_what_is_settled() -> None:
    """What waits to be settled would be in no block, and before its position."""
    tracker = Tracker.restore(undisturbed().blocks[-1])
    tracker.apply(logs()[HOME][-1:])
    with pytest.raises(BrokenPromise, match="not settled"):
        tracker.block()
    with pytest.raises(BrokenPromise, match="not settled"):
        Tracker(0, 2).block()


def test_a_state_that_is_none_is_a_broken_promise() -> None:
    """Its digest was right, and it does not read: our own mistake."""
    with pytest.raises(BrokenPromise):
        Tracker.restore(undisturbed().blocks[-1]._replace(state=b"\x80"))


def test_a_torn_frame_is_named_by_its_coordinates() -> None:
    """Partition and offset: whoever looks for it finds it."""
    tracker = Tracker(1, 2)
    good = logs()[1][0]
    with pytest.raises(BrokenPromise, match="mentions, partition 1, offset 18: not a frame"):
        tracker.apply([good, b"XXXX and more than ten bytes"], 17)
