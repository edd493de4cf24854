"""Progress: up to where everything that a source told is delivered.

    heard ──open──▶ a lot, and what it says when it is done ──▶ its records are handed over ──close──▶ delivered: done
    lots are done in their order: where a source goes on is what the last one said before which none is left

A record that Kafka refuses for a reason of its own is done with, and counted elsewhere. One that could not be delivered
in time is not: from then on nothing more is done, and whoever reads a source begins again at the last position.
Any thread may say what became of a record. Knows nothing of sources, Kafka, or what a position means.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping

LOST = "timeout"  # what the feed says of a record that it could not deliver in time


class Lot:
    """Some records on their way. `Progress.open` makes them."""

    __slots__ = ("is_closed", "left", "positions", "receipt", "until_ms")

    def __init__(self, positions: Mapping[str, str], until_ms: int | None,
                 receipt: Callable[[bool], None] | None) -> None:
        self.positions = positions
        self.until_ms = until_ms
        self.receipt = receipt
        self.left = 0
        self.is_closed = False

    @property
    def is_done(self) -> bool:
        return self.is_closed and not self.left


class Progress:
    """The lots of one session.

    >>> progress = Progress()
    >>> first, second = progress.open({"": "1"}, 10), progress.open({"": "2"}, 20)
    >>> told = [progress.record(lot) for lot in (first, second)]
    >>> for lot in (first, second): progress.close(lot)
    >>> told[1](""); progress.reached(), progress.until_ms
    ({}, None)
    >>> told[0](""); progress.reached(), progress.until_ms
    ({'': '2'}, 20)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lots: deque[Lot] = deque()
        self._reached: dict[str, str] = {}
        self._until_ms: int | None = None
        self._is_lost = False

    def open(self, positions: Mapping[str, str], until_ms: int | None = None,
             receipt: Callable[[bool], None] | None = None) -> Lot:
        """A new lot, after all others."""
        lot = Lot(positions, until_ms, receipt)
        with self._lock:
            self._lots.append(lot)
        return lot

    def record(self, lot: Lot) -> Callable[[str], None]:
        """One more record of this lot; returns what must be called with its outcome: "" or why it was not delivered."""
        with self._lock:
            lot.left += 1

        def told(outcome: str) -> None:
            self._told(lot, outcome)

        return told

    def close(self, lot: Lot) -> None:
        """No more records come to this lot."""
        with self._lock:
            lot.is_closed = True
            receipt = self._settle(lot)
        if receipt is not None:
            receipt(True)

    def _told(self, lot: Lot, outcome: str) -> None:
        receipt = None
        with self._lock:
            if outcome == LOST:
                self._is_lost = True
                receipt, lot.receipt = lot.receipt, None
            else:
                lot.left -= 1
                receipt = self._settle(lot)
        if receipt is not None:
            receipt(outcome != LOST)

    def _settle(self, lot: Lot) -> Callable[[bool], None] | None:
        """Moves on as far as all is done; returns the receipt to be given out, once."""
        while self._lots and self._lots[0].is_done:
            done = self._lots.popleft()
            self._reached.update(done.positions)
            if done.until_ms is not None:
                self._until_ms = max(done.until_ms, self._until_ms or 0)
        if not lot.is_done:
            return None
        receipt, lot.receipt = lot.receipt, None
        return receipt

    def reached(self) -> dict[str, str]:
        """The positions that may be kept: those that were not asked for before."""
        with self._lock:
            reached, self._reached = self._reached, {}
            return reached

    @property
    def until_ms(self) -> int | None:
        """Nothing that was said before is missing from what is delivered; None: nothing is known yet."""
        with self._lock:
            return self._until_ms

    @property
    def is_lost(self) -> bool:
        """Whether a record was not delivered in time: nothing after it may be called done."""
        with self._lock:
            return self._is_lost
