"""Stage: a source and the fake server that it listens to; and the performance of a scenario on it.

A stage speaks the source's real wire on this machine's loopback. What a scenario calls "one" has a native id of the
stage's own. After each step the performance waits until what must be known by then is known (or for a refusal, a gap, a
new connection), so that a step meets the source where the scenario says; nothing else is assumed of time.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Protocol

from streams.sources.contract import AuthorGone, Gap, Gone, Heard, Refused, Said, Source
from streams.sources.reader import Patience, lasting
from tests.sources.scenarios import Drop, Fail, Freeze, Garbage, Lose, Restart, Rewind, Scenario, Step, truth

# Quick, so that a scenario takes no longer than its steps: everything that waits, waits by these.
QUICK = Patience(connect_s=2.0, quiet_s=0.4, first_s=0.02, longest_s=0.2, denied_s=0.2, beat_s=0.05)
PATIENCE_S = 20.0  # for one step to be known, on a busy machine


class Stage(Protocol):
    """What each source brings to the suite."""

    @property
    def can(self) -> frozenset[type]:
        """The kinds of steps that this source's server can take, and whose outcome its wire can tell."""

    async def start(self) -> None:
        """The server listens."""

    async def stop(self) -> None:
        """It does not, and all its connections are closed."""

    async def perform(self, step: Step) -> None:
        """What the server does in this step. `Restart` and `Rewind` are not asked for."""

    def source(self, patience: Patience) -> Source:
        """A new source, as a new process would make it."""

    def native(self, post: str) -> str:
        """The native id of the post that the scenario calls so."""

    def author(self, author: str) -> str:
        """The native id of an author."""

    def connections(self) -> int:
        """How many connections, or polls, were served so far; refused ones do not count."""


@dataclass
class Known:
    """All that was heard, folded: what a reader of the log would know."""

    texts: dict[str, str | None] = field(default_factory=dict)  # native -> text; None: gone
    revs: dict[str, int] = field(default_factory=dict)
    authors: dict[str, str] = field(default_factory=dict)
    created: dict[str, int] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)  # alias -> native
    refused: Counter[str] = field(default_factory=Counter)
    gaps: list[Gap] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    positions: dict[str, str] = field(default_factory=dict)
    heard: int = 0
    is_up: bool = False

    def up(self) -> None:
        self.is_up = True

    def down(self, why: str) -> None:
        self.is_up = False
        self.troubles.append(why)

    def take(self, heard: Heard) -> None:
        """Folds as the log does: what is gone stays gone, and of two versions the higher `rev` stands."""
        self.heard += 1
        for one in heard.happenings:
            match one:
                case Said():
                    self._said(one)
                case Gone(native, alias):
                    gone = native or self.aliases.get(alias, "")
                    if gone:
                        self.texts[gone] = None
                case AuthorGone(author):
                    self.texts |= {native: None for native, by in self.authors.items() if by == author}
                case Refused(reason):
                    self.refused[str(reason)] += 1
        self.positions.update(heard.positions)
        if heard.gap is not None:
            self.gaps.append(heard.gap)
        if heard.receipt is not None:
            heard.receipt(True)
        if heard.taken is not None:
            heard.taken([isinstance(one, Said) for one in heard.happenings])

    def _said(self, said: Said) -> None:
        self.authors[said.native] = said.author
        if said.alias:
            self.aliases[said.alias] = said.native
        is_gone = self.texts.get(said.native, "") is None
        if not is_gone and said.rev >= self.revs.get(said.native, 0):
            self.texts[said.native], self.revs[said.native] = said.text, said.rev
            self.created.setdefault(said.native, said.created_ms)


class Performance:
    """One scenario on one stage."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.known = Known()
        self._marks: list[dict[str, str]] = []  # positions before each step
        self._hearing: asyncio.Task[None] | None = None

    async def run(self, scenario: Scenario) -> Known:
        """Performs all steps; returns what is known in the end. What stays unknown is an `AssertionError`."""
        await self.stage.start()
        try:
            self._listen(self.known.positions)
            await self._until(lambda: self.known.heard > 0, "anything is heard")
            for at, step in enumerate(scenario.steps):
                self._marks.append(dict(self.known.positions))
                await self._step(step, scenario.steps[:at + 1])
            if scenario.gap:
                await self._until(lambda: bool(self.known.gaps), "a gap is told")
        finally:
            await self._hush()
            await self.stage.stop()
        return self.known

    async def _step(self, step: Step, so_far: tuple[Step, ...]) -> None:
        refused, connected = self.known.refused.total(), self.stage.connections()
        if isinstance(step, Restart | Rewind):
            back = self._marks[-1 - step.steps] if isinstance(step, Rewind) else dict(self.known.positions)
            await self._hush()
            self.known.positions = dict(back)
            self._listen(back)
            await self._until(lambda: self.stage.connections() > connected, "there is a new connection")
        else:
            await self.stage.perform(step)
            if isinstance(step, Drop | Freeze | Fail | Lose):
                await self._until(lambda: self.stage.connections() > connected, "there is a new connection")
            if isinstance(step, Garbage):
                await self._until(lambda: self.known.refused.total() > refused, "something is refused")
        want = {self.stage.native(post): text for post, text in truth(so_far).items()}
        await self._until(lambda: self.known.texts == want, f"after {step!r} is known: {want}")

    def _listen(self, positions: Mapping[str, str]) -> None:
        self._hearing = asyncio.create_task(self._hear(self.stage.source(QUICK), dict(positions)))

    async def _hear(self, source: Source, positions: Mapping[str, str]) -> None:
        hearing: AsyncIterator[Heard] = lasting(source, positions, self.known, QUICK)
        async with aclosing(hearing):  # type: ignore[type-var]  # a generator
            async for heard in hearing:
                self.known.take(heard)

    async def _hush(self) -> None:
        if self._hearing is not None:
            self._hearing.cancel()
            with suppress(asyncio.CancelledError):
                await self._hearing
            self._hearing = None

    async def _until(self, holds: "Holds", what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                for pause_s in itertools.chain([0.0] * 10, itertools.repeat(0.01)):
                    if self._hearing is not None and self._hearing.done():
                        self._hearing.result()  # raises what ended it
                    if holds():
                        return
                    await asyncio.sleep(pause_s)
        except TimeoutError:
            raise AssertionError(f"not within {PATIENCE_S:.0f} s: {what}; known: {self.known}") from None


class Holds(Protocol):
    def __call__(self) -> bool: ...


def performed(stage: Stage, scenario: Scenario) -> Known:
    """Performs a scenario and checks what every source promises."""
    known = asyncio.run(Performance(stage).run(scenario))
    assert bool(known.gaps) >= scenario.gap
    assert not scenario.reasons or known.refused.keys() & scenario.reasons, known.refused
    assert all(gap.from_ms <= gap.to_ms for gap in known.gaps)
    return known
