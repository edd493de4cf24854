"""Stop: Ctrl-C and SIGTERM, for what runs in a plain loop. Workers have an event loop, and their own way to hear of it.

Knows nothing of what is stopped.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """A list that is no longer empty once somebody pressed Ctrl-C or sent SIGTERM; a second time interrupts at once."""
    caught: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        caught.append(number)
        if len(caught) > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
