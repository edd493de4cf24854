"""Frames in hand come out as they went in, and a hole is never overlooked."""

import pytest

from streams.agents import hands as module
from streams.agents.hands import Hands
from streams.heart.errors import BrokenPromise


class Event:
    """Counts its acks."""

    def __init__(self) -> None:
        self.acks = 0

    def ack(self) -> bool:
        self.acks += 1
        return True


def take(hands: Hands, partition: int, *offsets: int) -> list[Event]:
    """Brings frames of these offsets; their events."""
    events = [Event() for _ in offsets]
    for offset, event in zip(offsets, events, strict=True):
        hands.take(partition, offset, b"%d/%d" % (partition, offset), event, now_s=float(offset))
    return events


def test_frames_come_out_in_the_order_in_which_they_came() -> None:
    """Over all partitions, so that acks are in offset order in each."""
    hands = Hands()
    hands.open(0, 5)
    hands.open(1, 0)
    take(hands, 0, 5, 6)
    take(hands, 1, 0)
    take(hands, 0, 7)
    held = hands.drain(1_000)
    assert [(one.frame, one.since_s) for one in held] == [(b"0/5", 5.0), (b"0/6", 6.0), (b"1/0", 0.0), (b"0/7", 7.0)]
    assert hands.next == {0: 8, 1: 1}


def test_a_frame_that_was_never_read_stops_the_worker() -> None:
    """From the offset up to which the log was read back, no frame may be missing."""
    hands = Hands()
    hands.open(0, 5)
    with pytest.raises(BrokenPromise, match="partition 0: frames 5 to 6 were never read"):
        take(hands, 0, 7)


def test_a_frame_that_comes_again_is_let_go() -> None:
    """The group's position may lie before ours: what was taken is acked once more, and what follows has no hole."""
    hands = Hands()
    hands.open(0, 5)
    take(hands, 0, 5, 6)
    again = take(hands, 0, 4, 5, 6, 7)
    assert [event.acks for event in again] == [1, 1, 1, 0]
    assert len(hands.drain(1_000)) == 3
    with pytest.raises(BrokenPromise):
        take(hands, 0, 9)


def test_frames_of_a_partition_that_is_not_open_are_left_alone() -> None:
    """Before it is read back they are part of what is read back; after it went away they are another worker's."""
    hands = Hands()
    take(hands, 0, 100)
    hands.open(0, 5)
    take(hands, 0, 5)
    hands.close(0)
    take(hands, 0, 6)
    assert not hands.drain(1_000)
    assert not hands.next


def test_closing_one_partition_leaves_the_others() -> None:
    """What is in hand of a partition that stays ours is applied, across any number of assignments."""
    hands = Hands()
    hands.open(0, 0)
    hands.open(1, 0)
    take(hands, 0, 0)
    take(hands, 1, 0, 1)
    hands.close(0)
    assert [held.partition for held in hands.drain(1_000)] == [1, 1]


def test_a_drain_is_bounded_and_hands_get_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst is applied in pieces, and whoever brings more waits while too much is in hand."""
    monkeypatch.setattr(module, "FULL", 8)
    hands = Hands()
    hands.open(0, 0)
    full = []
    for offset in range(3):
        take(hands, 0, offset)
        full.append(hands.full)
    assert full == [False, False, True]
    assert [len(hands.drain(4)) for _ in range(3)] == [2, 1, 0]


def test_the_oldest_in_hand_is_known() -> None:
    """Its age is how far behind the loop is; with nothing in hand there is none."""
    hands = Hands()
    hands.open(0, 5)
    ages = [hands.oldest_s]
    take(hands, 0, 5, 6)
    ages.append(hands.oldest_s)
    assert ages == [None, 5.0]
