"""A real worker for the bench, with two things added: a note of what held up its event loop, and a model that costs
nothing where one is asked for.

    python -m tests.bench.worker score|pulse NOTES [instant]
"""

import asyncio
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from models.score import Card, Score
from streams.settings import Settings

LONG_S = 0.005


class Instant:
    """A scorer that answers at once."""

    def __init__(self) -> None:
        from models.registry import EMBEDDED, card_of

        self.card: Card = card_of(EMBEDDED, "")

    def score(self, texts: Sequence[str]) -> list[Score]:
        """The same for all."""
        return [Score(0.2, 0.3, 0.5)] * len(texts)


def watch() -> list[tuple[float, float, str]]:
    """From now on notes what holds the main thread's event loop for long: its end (epoch s), how long (s), its name."""
    stalls: list[tuple[float, float, str]] = []
    handles: Any = asyncio.Handle
    run: Callable[[Any], None] = handles._run

    def timed(handle: Any) -> None:
        began_s = time.monotonic()
        run(handle)
        took_s = time.monotonic() - began_s
        if took_s > LONG_S and threading.current_thread() is threading.main_thread():
            stalls.append((time.time(), took_s, _name(handle._callback)))

    handles._run = timed
    return stalls


def _name(callback: Any) -> str:
    """The coroutines behind a callback, down to the one that waits now; or the function."""
    task = getattr(callback, "__self__", None)
    what, names = task.get_coro() if isinstance(task, asyncio.Task) else callback, []
    while hasattr(what, "__qualname__"):
        names.append(what.__qualname__)
        what = getattr(what, "cr_await", None)
    return " > ".join(names)


def main() -> int:
    """Runs one until it is told to stop."""
    from streams.agents import pulse, score

    kind, notes, *rest = sys.argv[1:]
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("denyut").setLevel(logging.INFO)
    stalls, settings = watch(), Settings.read(os.environ)
    try:
        if kind == "pulse":
            return pulse.run(settings)
        return score.run(settings, Instant if "instant" in rest else None)
    finally:
        Path(notes).write_text(json.dumps(stalls))


if __name__ == "__main__":
    sys.exit(main())
