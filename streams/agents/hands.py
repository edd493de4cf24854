"""Hands: frames on their way from the group's reading to the trackers, by partition.

A partition is open from the offset up to which its log has been read. From there every frame comes in turn: one that
comes again has been taken, one that is missing is a broken promise, for it would never be counted.
Knows nothing of Faust, threads or what a frame says.
"""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from streams.heart.errors import BrokenPromise

FULL = 64_000_000  # bytes in hand: above it, whoever brings more waits


class Ackable(Protocol):
    """What is told that its frame has been applied."""

    def ack(self) -> bool: ...


class Held(NamedTuple):
    """A frame in hand."""

    partition: int
    frame: bytes
    event: Ackable
    since_s: float


class Hands:
    """Frames taken and not yet drained, in the order in which they came. For one thread: the event loop's.

    >>> hands = Hands()
    >>> hands.open(3, 17)
    >>> hands.next
    {3: 17}
    """

    def __init__(self) -> None:
        self._next: dict[int, int] = {}
        self._held: deque[Held] = deque()
        self._bytes = 0

    @property
    def next(self) -> Mapping[int, int]:
        """Open partition -> the offset that comes next."""
        return dict(self._next)

    @property
    def full(self) -> bool:
        """Whether whoever brings more should wait."""
        return self._bytes > FULL

    @property
    def oldest_s(self) -> float | None:
        """When the oldest frame in hand was taken; None: nothing in hand."""
        try:
            return self._held[0].since_s
        except IndexError:  # asked by another thread, and just drained
            return None

    def open(self, partition: int, after: int) -> None:
        """The log of this partition has been read up to the offset `after`: go on from there."""
        self._next[partition] = after

    def close(self, partition: int) -> None:
        """This partition is no longer ours: what is in hand of it goes, and more is not taken."""
        if self._next.pop(partition, None) is not None:
            self._held = deque(held for held in self._held if held.partition != partition)
            self._bytes = sum(len(held.frame) for held in self._held)

    def take(self, partition: int, offset: int, frame: bytes, event: Ackable, now_s: float) -> None:
        """Takes a frame. One of a partition that is not open is left alone: it is read back when it opens. One that was
        taken before is acked and let go.

        Raises `BrokenPromise` when frames are missing between the last one and this one.
        """
        expected = self._next.get(partition)
        if expected is None:
            return
        if offset > expected:
            raise BrokenPromise(
                f"partition {partition}: frames {expected} to {offset - 1} were never read; "
                f"they are read back at the next start"
            )
        if offset < expected:
            event.ack()
            return
        self._next[partition] = offset + 1
        self._held.append(Held(partition, frame, event, now_s))
        self._bytes += len(frame)

    def drain(self, most_bytes: int) -> list[Held]:
        """Gives out what is in hand, oldest first, up to about so many bytes."""
        out: list[Held] = []
        given = 0
        while self._held and given < most_bytes:
            out.append(self._held.popleft())
            given += len(out[-1].frame)
        self._bytes -= given
        return out
