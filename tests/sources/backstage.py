"""Backstage: a stage whose server lives on a thread of its own, for tests that run other processes beside it."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from tests.sources.scenarios import Step
from tests.sources.stage import Stage

PATIENCE_S = 30.0


class Backstage:
    """Performs steps on the server's own loop, from any thread."""

    def __init__(self, stage: Stage, loop: asyncio.AbstractEventLoop) -> None:
        self._stage = stage
        self._loop = loop

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs something there, and waits for it."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def perform(self, *steps: Step) -> None:
        """One step after the other."""
        for step in steps:
            self.do(self._stage.perform(step))


@contextmanager
def backstage(stage: Stage) -> Iterator[Backstage]:
    """The server listens within a `with`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    behind = Backstage(stage, loop)
    try:
        behind.do(stage.start())
        yield behind
        behind.do(stage.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()
