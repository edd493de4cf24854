"""Listen: `denyut feed` of a live source. From its connection to `denyut.posts`, over every restart.

    source ──heard──▶ door ──records──▶ feed ──delivered──▶ progress ──once a second──▶ denyut.cursors
                      kept: what stands in the log              └──▶ ticks: nothing is missing until …

- At least once: a position is written when everything before it is delivered, and a source goes on from there. What it
  then tells again is known at the door, which has read back what stands in the log.
- Kafka away for so long that a record is given up, or that a position cannot be written: all begins again from the last
  position that was.
- What is under way is bounded by the feed's room: while it is full, the source is not asked.
Knows nothing of any one source.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

from streams import topics
from streams.agents.brandfile import BrandFile
from streams.clock import Clock
from streams.cursors import Cursors
from streams.door import Door
from streams.ear import Ear
from streams.feed import Feed, Rules, Tally, Ticking
from streams.heart.errors import BadBrands, BadSetting, LostBroker
from streams.heart.notice import Observer, SourceHeard, SourceRefused
from streams.kept import Kept
from streams.knock import keep_knocking
from streams.logs import OFTEN
from streams.metrics import Metrics, release
from streams.policy import Policy
from streams.progress import Progress
from streams.replay import read_back
from streams.serve import Health, Pages
from streams.settings import Settings
from streams.sources.contract import Heard, Source
from streams.sources.reader import Patience, lasting
from streams.wire import Wire

WRITE_S = 1.0  # a position is written so often
FLUSH_S = 8.0
AGAIN_S = 1.0
OVERDUE = 70  # exit code, as of a worker that does not stop
SWEEP_S = 600.0
log = logging.getLogger("denyut.feed")
often = logging.getLogger(f"{OFTEN}.feed")
_Of = TypeVar("_Of")


class Wish(NamedTuple):
    """What was asked on the command line. `everything`: posts that name no brand are sent as well. `seconds` None:
    until it is told to stop."""

    everything: bool = False
    seconds: float | None = None
    patience: Patience = Patience()


class _Lost(Exception):
    """Something that was handed over is not delivered: begin again."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a session is made in."""

    settings: Settings
    name: str
    is_pushed: bool  # as its source says
    make: Callable[[], Source]  # a new one for each session: what the one before knew was perhaps not delivered
    brands: BrandFile
    secret: bytes
    wish: Wish
    metrics: Metrics
    health: Health
    clock: Clock


def run(settings: Settings, make: Callable[[], Source], wish: Wish) -> Tally:
    """Listens until it is told to stop. Raises `BadSetting` for what only the user can put right."""
    source = make()
    name = source.name
    if name not in settings.sources:
        raise BadSetting(f"DENYUT_SOURCES={','.join(settings.sources)}: expected {name} among them; "
                         "the posts of any other are rejects")
    if not (settings.brands or wish.everything):
        raise BadSetting("DENYUT_BRANDS is empty: the demo's brands are invented, and nobody speaks of them; name a "
                         "file of yours, or say --everything")
    clock = Clock(settings.clock)
    secret, brands, policy = settings.read_secret(), BrandFile(settings), Policy.read(settings)
    health = Health("broker", "source")
    metrics = Metrics(brands.now.names, settings.sources, clock)
    metrics.build(release(), "", "feed")
    metrics.feeds()
    metrics.listens(name)
    room = Room(settings, name, source.is_pushed, make, brands, secret, wish, metrics, health, clock)
    with Pages(settings.http, metrics.registry, health) as pages:
        log.info("pages at %s", pages.url)
        return asyncio.run(_until_told(room, policy))


async def _until_told(room: Room, policy: Policy) -> Tally:
    """Listens, session after session, until a signal or the time wished for ends it."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if room.wish.seconds is not None:
        loop.call_later(room.wish.seconds, stop.set)
    working = asyncio.create_task(_work(room, policy, stop))
    knocking = keep_knocking(Wire.of(room.settings), room.health, lambda: Wire.of(room.settings))
    beside = [asyncio.create_task(one) for one in (_beat(room), _deadline(stop, room.settings.stop_ms), knocking)]
    try:
        done, _ = await asyncio.wait((working, *beside), return_when=asyncio.FIRST_COMPLETED)
        for task in done - {working}:
            task.result()  # neither ends by itself: raises what ended it
        return await working
    finally:
        for task in (working, *beside):
            task.cancel()


async def _work(room: Room, policy: Policy, stop: asyncio.Event) -> Tally:
    kept_ms = await _admitted(room, policy, stop)
    return Tally({}, {}, 0) if kept_ms is None else await _sessions(room, kept_ms, stop)


async def _deadline(stop: asyncio.Event, stop_ms: int) -> None:
    """Ends the process for good when it was told to stop and does not: with Kafka away a send may wait for minutes.

    Nothing is lost by it: what is not delivered is told again from the last position.
    """
    await stop.wait()
    await asyncio.sleep(FLUSH_S + stop_ms / 1000)
    log.error("not stopped in time: some records may not be delivered; they are told again after the next start")
    os._exit(OVERDUE)


async def _admitted(room: Room, policy: Policy, stop: asyncio.Event) -> int | None:
    """For how long (ms) a record may stand in the topic of posts, if the policy lets the source start with it.

    Waits for Kafka. None: told to stop. Raises `BadSetting`.
    """
    settings = room.settings
    while not stop.is_set():
        try:
            await asyncio.to_thread(topics.partitions, settings)
            posts, cursors = [await asyncio.to_thread(topics.policy, settings, name) for name in ("posts", "cursors")]
        except LostBroker as error:
            often.warning("waiting for Kafka: %s", error)
            await _either(stop, AGAIN_S)
            continue
        policy.admit(room.name, posts)
        if "compact" not in cursors.get("cleanup.policy", ""):
            raise BadSetting(f"topic {settings.topic('cursors')}: expected cleanup.policy=compact, saw "
                             f"{cursors.get('cleanup.policy', 'no such topic')}; `denyut topics --create` makes it")
        return int(posts["retention.ms"]) + 2 * int(posts["segment.ms"])
    return None


async def _sessions(room: Room, kept_ms: int, stop: asyncio.Event) -> Tally:
    """One session after the other: each begins again at the last position that was written."""
    while True:
        session = Session(room, kept_ms)
        try:
            return await session.run(stop)
        except (LostBroker, _Lost) as error:
            room.health.unmet("broker", "Kafka is away")
            session.rest()
            log.warning("beginning again at the last position: %s", error or "records were not delivered in time")
            await _either(stop, AGAIN_S)
            if stop.is_set():
                return session.tally


async def _beat(room: Room) -> None:
    """Says for ever that the loop lives, and takes the brand file anew where it has changed."""
    while True:
        room.health.beat()
        try:
            if await asyncio.to_thread(room.brands.look):
                room.metrics.renew(room.brands.now.names)
                log.info("brand file %d is in force", room.brands.now.number)
        except BadBrands as error:
            log.error("the new brand file is not taken, number %d stays in force: %s", room.brands.now.number, error)
        if missed := room.brands.missed():
            room.health.unmet("brands", missed)
        else:
            room.health.met("brands")
        await asyncio.sleep(WRITE_S)


async def _either(stop: asyncio.Event, seconds: float) -> None:
    """Waits so long, or until it is told to stop."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


class Session:
    """One unbroken stretch of listening: nothing that was handed over in it is lost."""

    def __init__(self, room: Room, kept_ms: int) -> None:
        settings, name = room.settings, room.name
        self._room = room
        self._progress = Progress()
        self._ear = Ear(name, settings.delay_ms, room.metrics, room.health)
        self._kept = Kept(name, kept_ms)
        self._door = Door(name, room.secret, self._kept, everything=room.wish.everything,
                          is_pushed=room.is_pushed)
        self._cursors = Cursors(settings, name)
        self._hands = ThreadPoolExecutor(1, "door")  # the door, its memory and the feed wait here, not on the loop
        self.tally = Tally({}, {}, 0)

    async def run(self, stop: asyncio.Event) -> Tally:
        """Listens until told to stop. Raises `LostBroker` or `_Lost` when it must begin again."""
        with closing(self._kept), closing(self._cursors), self._hands:
            positions = await self._do(self._cursors.read)
            await self._read_back(stop)
            if stop.is_set():
                return self.tally
            rules = Rules(create_time=bool(self._room.settings.clock))
            name = self._room.name
            feed = await self._do(
                lambda: Feed(self._room.settings, name, (name,), observer=self._room.metrics, rules=rules))
            try:
                with Ticking(feed, self._room.clock.now_ms, self._healthy):
                    self._room.health.met("broker")
                    await self._listen(feed, positions, stop)
                if await self._do(lambda: feed.flush(FLUSH_S)):
                    await self._do(self._write)
            finally:
                await self._do(feed.close)
                self.tally = feed.tally
        return self.tally

    async def _do(self, work: Callable[[], _Of]) -> _Of:
        return await asyncio.get_running_loop().run_in_executor(self._hands, work)

    async def _read_back(self, stop: asyncio.Event) -> None:
        """Learns what stands in the log; until it is told to stop."""
        settings = self._room.settings
        number = await asyncio.to_thread(topics.partitions, settings)
        starts = dict.fromkeys(range(number), 0)
        reading = read_back(Wire.of(settings), settings.topic("posts"), starts, lambda: not stop.is_set())
        async with aclosing(reading):  # type: ignore[type-var]  # a generator
            async for chunk in reading:
                for key, value, arrival_ms in zip(chunk.keys, chunk.values, chunk.arrivals, strict=True):
                    self._kept.take(key, value, arrival_ms)
        log.info("%d posts of %s stand in %s", len(self._kept), self._room.name, settings.topic("posts"))

    async def _listen(self, feed: Feed, positions: dict[str, str], stop: asyncio.Event) -> None:
        hearing = asyncio.create_task(self._hear(feed, positions))
        writing = asyncio.create_task(self._keep_writing())
        stopping = asyncio.create_task(stop.wait())
        tasks = {hearing, writing, stopping}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _hear(self, feed: Feed, positions: dict[str, str]) -> None:
        heard_all: AsyncIterator[Heard] = lasting(self._room.make(), positions, self._ear, self._room.wish.patience)
        async with aclosing(heard_all):  # type: ignore[type-var]  # a generator
            async for heard in heard_all:
                if heard.happenings or heard.gap is not None:  # a gap: not while positions are being written
                    stands = await self._do(partial(self._take, feed, heard))
                    if heard.taken is not None:
                        heard.taken(stands)
                else:
                    self._progress.close(self._progress.open(heard.positions, heard.until_ms, heard.receipt))

    def _take(self, feed: Feed, heard: Heard) -> list[bool]:
        """Lets a `Heard` in, and hands its records to the feed. Returns of each happening whether it stands there."""
        brands, now_ms, name = self._room.brands.now, self._room.clock.now_ms(), self._room.name
        observer: Observer = self._room.metrics
        if heard.gap is not None:
            self._ear.gap(heard.gap)
        lot = self._progress.open(heard.positions, heard.until_ms, heard.receipt)
        counts: dict[str, int] = {}
        stands: list[bool] = []
        for happening in heard.happenings:
            verdict = self._door.let_in(happening, brands, now_ms)
            for record in verdict.records:
                feed.send(record, self._progress.record(lot))
            stands.append(verdict.stands)
            counts[verdict.outcome] = counts.get(verdict.outcome, 0) + 1
            if verdict.is_misdated:
                counts["misdated"] = counts.get("misdated", 0) + 1
            if verdict.reason:
                observer.observe(SourceRefused(name, verdict.reason))
        self._progress.close(lot)
        for outcome, count in counts.items():
            observer.observe(SourceHeard(name, outcome, count))
        return stands

    async def _keep_writing(self) -> None:
        """Writes positions for ever, and sweeps out what the log no longer holds."""
        loop = asyncio.get_running_loop()
        swept = loop.time()
        while True:
            await asyncio.sleep(WRITE_S)
            if self._progress.is_lost:
                raise _Lost
            await self._do(self._write)
            if loop.time() - swept >= SWEEP_S:
                swept = loop.time()
                await self._do(lambda: self._kept.forget(self._room.clock.now_ms()))

    def _write(self) -> None:
        if self._ear.is_holding:
            return
        if reached := self._progress.reached():
            self._cursors.write(reached)

    def rest(self) -> None:
        """Nobody listens any more, and the page says so."""
        self._ear.is_up = False
        self._healthy()

    def _healthy(self) -> dict[str, int]:
        return self._ear.healthy(self._progress.until_ms, self._room.clock.now_ms())
