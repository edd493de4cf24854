"""Pulse: the edge of the worker that counts. Frames of `denyut.mentions` in, figures out; the log is the state.

    the group's reading ──▶ hands ──every 250 ms──▶ ward (trackers, on a thread of their own) ──▶ figures ──▶ /metrics
                                                                            └─▶ steps of swings ──▶ herald
                                                                            └─▶ blocks ──▶ keeper ──▶ denyut.blocks
    an assignment ──catch_up──▶ the newest block, then the log from there ──▶ new trackers, before the group reads on

No frame is lost between the two ways of reading: a partition is read back up to an offset, that offset is committed as
the group's position while nothing is being read, and only then does Faust seek and go on, from exactly there. Were it
otherwise, `Hands` would see the hole and stop the worker. A partition that we keep across an assignment goes on from
where we are, whatever another worker committed for it in the meantime.
Trackers work on one thread beside the event loop, so no settling, however long, stalls heartbeats or pages.
Knows nothing of posts, models, or how figures are computed.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from streams.agents.app import Life, calm, conduct, pulse_app, run_worker
from streams.agents.brandfile import BrandFile
from streams.agents.hands import Hands, Held
from streams.agents.keeper import Keeper
from streams.agents.probe import wait_for_topics
from streams.agents.quotes import Quotes
from streams.agents.swings import Explainer, Herald, Posts, Steps
from streams.agents.ward import Ward
from streams.clock import Clock
from streams.heart.block import Block
from streams.heart.brands import Brands
from streams.heart.errors import BadBrands, BrokenPromise, LostBroker
from streams.heart.explain import Evidence, Voice, explain
from streams.heart.frame import partition_of
from streams.heart.incident import Swing
from streams.heart.notice import Rebalanced, Recovered
from streams.heart.pane import Rows
from streams.heart.settled import Settled
from streams.heart.tracker import AGAIN_MS, Times
from streams.knock import keep_knocking
from streams.metrics import Called, Figures, Metrics, PulseCollector, Severities, Shown, release
from streams.outbox import FaustSender
from streams.replay import Chunk, bounds, read_back
from streams.serve import Health, Pages
from streams.settings import Settings
from streams.wire import Wire

DRAIN_S = 0.25  # frames wait at most so long to be applied
READ_S = 1.0  # readings are made at most so often,
SHARE = 10  # and take at most one part in so many of the time
APPLY_BYTES = 8_000_000  # a job's worth of frames
SETTLE_BYTES = 2_000_000  # read back so much before settling: what a log of a day holds does not pile up
COMMIT_S = 5.0
AGAIN_S = 1.0  # before trying the broker once more
log = logging.getLogger("denyut.pulse")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """What a worker shows, and where it is written."""

    metrics: Metrics
    health: Health
    figures: Figures


@dataclass(frozen=True, slots=True)
class Ears:
    """Who hears what is found: `steps` of swings, and since when (ms) those that are opened may be explained; `floors`
    (dtype FLOOR): edits and removals. `told`: whether the steps heard until now are delivered, to be asked later.
    """

    steps: Callable[[Sequence[Swing], int], None] = lambda *_: None
    floors: Callable[[Rows], None] = lambda _: None
    told: Callable[[], Callable[[], bool]] = lambda: lambda: True


class Log(Protocol):
    """The mentions log, as the counting worker needs it: read back, and the group's position in it set."""

    async def bounds(self, partitions: Collection[int]) -> Mapping[int, tuple[int, int]]:
        """See `streams.replay.bounds`."""

    def read_back(self, starts: Mapping[int, int], wanted: Callable[[], bool]) -> AsyncIterator[Chunk]:
        """See `streams.replay.read_back`."""

    async def commit(self, positions: Mapping[int, int]) -> bool:
        """Sets the group's position of these partitions; False: not now."""


class Pulse:
    """The counting worker's loop, between a consumer group and a page of figures. Lives on one event loop."""

    def __init__(
        self,
        ward: Ward,
        page: Page,
        keeper: Keeper,
        ears: Ears | None = None,
        now: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self.ward = ward
        self._keeper = keeper
        self._now, self._cpu = now, cpu
        self.hands = Hands()
        self._figures, self._metrics, self._health = page.figures, page.metrics, page.health
        self._severities = Severities(page.metrics.clock)
        self._ears = ears or Ears()
        self._mine: frozenset[int] = frozenset()
        self._epoch = 0  # rises with every revocation and assignment: what began before it is out of date
        self._regrouped = asyncio.Event()  # we know what is ours
        self._regrouped.set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ward")
        self.read_at_s = 0.0  # no reading before this
        self._unread = False  # frames were applied since the last reading
        self._strangers: frozenset[str] = frozenset()
        self._metrics.oldest_unacked(self._oldest_s)

    def _oldest_s(self) -> float:
        oldest = self.hands.oldest_s
        return 0.0 if oldest is None else self._now() - oldest

    async def _do(self, what: Callable[..., T], *args: Any) -> T:
        """Runs something on the trackers' own thread. Jobs run in the order in which they were asked for."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, what, *args)

    def is_mine(self, brand: str) -> bool:
        """Whether a brand is counted here."""
        return partition_of(brand, self.ward.partitions) in self._mine

    async def evidence(self, swing: Swing) -> Evidence | None:
        """The posts behind a swing that still count; None: its brand is not counted here."""
        return await self._do(self.ward.evidence, swing)

    # What the group says.

    def heard(self) -> None:
        """The group answered a heartbeat; any thread."""
        self._figures.heard()

    def revoked(self) -> None:
        """The assignment is about to change. Figures stay until we know what is ours."""
        self._epoch += 1
        self._regrouped.clear()

    def assigned(self, partitions: Collection[int]) -> None:
        """These are ours from now on: what is not, is gone from the page at once."""
        self._epoch += 1
        self._regrouped.set()
        self._mine = frozenset(partitions)
        for partition in self.hands.next.keys() - self._mine:
            self.hands.close(partition)
        self._keeper.keep(self.hands.next)
        self._severities.keep(self.hands.next)
        self._show(self._figures.now())
        self.heard()
        self._metrics.owns(len(self._mine))
        self._metrics.observe(Rebalanced("pulse"))
        new = self._mine - self.hands.next.keys()
        if new:
            self._health.unmet("recovery", f"reading {len(new)} partitions back")

    async def catch_up(self, broker: Log) -> None:
        """Reads the partitions back that are new, then sets the group's position of all to where each stands.

        Awaited before the group reads on. Gives up, leaving it to the next call, when the assignment changes meanwhile;
        then it returns when the new one is known: the group would read on under the old one.
        Raises `BadSetting` where there are blocks and none can be read.
        """
        epoch = self._epoch

        def wanted() -> bool:
            return epoch == self._epoch

        # A tracker is kept only with its place in the log; one that was adopted while the assignment changed has none.
        await self._do(self.ward.keep, self._mine & self.hands.next.keys())
        self._show(await self._do(self.ward.shown))
        new = self._mine - self.hands.next.keys()
        if new:
            await self._read_back(broker, new, wanted)
        while wanted() and not await broker.commit(self.hands.next):
            log.warning("the position of %d partitions could not be set; trying again", len(self.hands.next))
            await asyncio.sleep(AGAIN_S)
        if wanted():
            self._health.met("recovery")
        await self._regrouped.wait()

    async def _read_back(self, broker: Log, new: Collection[int], wanted: Callable[[], bool]) -> None:
        started = self._now()
        frames, left = 0, frozenset(new)
        while left and wanted():
            try:
                frames += await self._replayed(broker, left, wanted)
            except LostBroker as error:
                log.warning("%s; trying again", error)
                await asyncio.sleep(AGAIN_S)
            left = frozenset(new) - self.hands.next.keys()
        if wanted():
            self._metrics.observe(Recovered(len(new), frames, self._now() - started))

    async def _replayed(self, broker: Log, partitions: Collection[int], wanted: Callable[[], bool]) -> int:
        bounds: dict[int, tuple[int, int]] = {}

        async def ends() -> Mapping[int, int]:
            bounds.update(await broker.bounds(partitions))
            return {partition: end for partition, (_, end) in bounds.items()}

        blocks = await self._keeper.recall(partitions, ends, wanted)
        _look_for_holes(blocks, bounds)
        trackers = {partition: await self._do(self.ward.new, partition, blocks.get(partition))
                    for partition in partitions}
        starts = {partition: blocks[partition].resume if partition in blocks else 0 for partition in partitions}
        waiting = dict.fromkeys(trackers, 0)
        frames = 0
        async for chunk in broker.read_back(starts, wanted):
            tracker = trackers[chunk.partition]
            some = [value or b"" for value in chunk.values]
            await self._do(tracker.apply, some, chunk.after - len(some))
            frames += len(some)
            waiting[chunk.partition] += sum(map(len, some))
            # Not before all rows of a block's panes are there: settled by halves, panes that a shorter grace would have
            # sealed would be sealed by halves.
            if waiting[chunk.partition] > SETTLE_BYTES and chunk.after >= tracker.position:
                self._ears.floors((await self._do(tracker.settle)).floors)
                waiting[chunk.partition] = 0
            if chunk.last and wanted():
                settled = await self._do(self.ward.adopt, tracker)
                self._ears.floors(settled.floors)
                shown = await self._do(self.ward.shown)
                if wanted():
                    self._open(chunk.partition, chunk.after, shown)
                    # Rows are kept for an hour: of what opened before, there would be less to read than there was.
                    self._ears.steps(settled.swings, (shown[chunk.partition].watermark_ms or 0) - AGAIN_MS)
        return frames

    def _open(self, partition: int, after: int, shown: Mapping[int, Shown]) -> None:
        self.hands.open(partition, after)
        self._metrics.assigned(self.ward.listed(partition))
        self._show(shown)

    # The loop.

    async def live(self) -> None:
        """Applies what is in hand and renews the figures, for ever. Raises `BrokenPromise` only."""
        while True:
            more = await self.apply()
            if self._unread and self._now() >= self.read_at_s:
                await self.read()
            if not more:
                await asyncio.sleep(DRAIN_S)

    async def apply(self) -> bool:
        """Applies what is in hand, then acks it. True: there is more."""
        held = self.hands.drain(APPLY_BYTES)
        if held:
            # Handed to the thread without a pause in between, so before any `keep` that would drop its partition.
            await self._do(self.ward.apply, _by_partition(held))
            self._unread = True
            for one in held:
                one.event.ack()
        return self.hands.oldest_s is not None

    async def read(self) -> None:
        """Settles, shows what moved, and counts it."""
        began = self._now()
        self._unread = False
        settled, shown, blocks, took = await self._do(self._settled)
        self._show(shown)
        for one in settled:
            self._metrics.observe(one.counts)
            self._metrics.counted(one.counted, one.votes)
            self._metrics.swung(one.swings)
            self._ears.steps(one.swings, 0)
            self._ears.floors(one.floors)
            if len(one.event_ms):
                self._metrics.became_visible(one.event_ms, one.arrival_ms)
            await asyncio.sleep(0)  # a thousand brands are some thousand counters
        # One that is read back and not open yet has steps that nobody has heard of.
        self._keeper.put([one for one in blocks if one.partition in self.hands.next], self._ears.told())
        self._look_for_strangers(settled)
        self._metrics.reading_took(took)
        self.read_at_s = began + max(READ_S, SHARE * took)

    def _settled(self) -> tuple[list[Settled], Mapping[int, Shown], list[Block], float]:
        began = self._cpu()
        settled, shown, blocks = self.ward.settle(), self.ward.shown(), self.ward.blocks()
        return settled, shown, blocks, self._cpu() - began

    def _look_for_strangers(self, settled: list[Settled]) -> None:
        """Brands that are counted and that our brand file does not have: a newer one is out, and we have not got it."""
        self._strangers |= self._metrics.unlisted({brand for one in settled for brand, *_ in one.counted})
        if self._strangers:
            self._health.unmet(
                "brands",
                f"{len(self._strangers)} brands are counted that are not in this worker's brand file: it is an old one",
            )

    async def renew(self, brands: Sequence[str]) -> None:
        """A new brand file: its brands may be shown and counted, and begin at 0."""
        self._metrics.renew(brands)
        await self._do(self.ward.renew, brands)
        self._metrics.assigned(brand for partition in self.hands.next for brand in self.ward.listed(partition))
        self._show(await self._do(self.ward.shown))
        self._strangers = self._metrics.unlisted(self._strangers)
        if not self._strangers:
            self._health.met("brands")

    def _show(self, shown: Mapping[int, Shown]) -> None:
        # Open partitions only: one that went and came is not shown until it has been read back.
        mine = {partition: one for partition, one in shown.items() if partition in self.hands.next}
        self._figures.show({partition: self._severities.of(partition, one) for partition, one in mine.items()})

    def close(self) -> None:
        """Ends the trackers' thread; what it was doing is dropped: the log has it."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _look_for_holes(blocks: Mapping[int, Block], bounds: Mapping[int, tuple[int, int]]) -> None:
    """Says so where the log is not kept as far back as a block needs it. Of the time that is missing no tick was heard,
    so figures of it are incomplete, and nothing is tested in it.
    """
    for partition, block in blocks.items():
        begin = bounds[partition][0]
        if begin > block.position:
            log.error("partition %d: frames %d to %d are gone from the log: counting was away for longer than the log "
                      "is kept; what was said then is not counted", partition, block.position, begin - 1)
        elif begin > block.resume:
            log.warning("partition %d: the log begins at %d, not at %d: edits and removals of then, and what was not "
                        "sealed, are not known any more", partition, begin, block.resume)


def _by_partition(held: list[Held]) -> dict[int, list[bytes]]:
    out: dict[int, list[bytes]] = {}
    for one in held:
        out.setdefault(one.partition, []).append(one.frame)
    return out


class Broker:
    """The log in Kafka, and what the group's heartbeats say."""

    def __init__(self, wire: Wire, topic: str, app: Any) -> None:
        self._wire = wire
        self._topic = topic
        self._app = app

    async def bounds(self, partitions: Collection[int]) -> Mapping[int, tuple[int, int]]:
        """See `streams.replay.bounds`."""
        return await bounds(self._wire, self._topic, partitions)

    def read_back(self, starts: Mapping[int, int], wanted: Callable[[], bool]) -> AsyncIterator[Chunk]:
        """See `streams.replay.read_back`."""
        return read_back(self._wire, self._topic, starts, wanted)

    async def commit(self, positions: Mapping[int, int]) -> bool:
        """Sets the group's position of these partitions; False: not now."""
        from faust.types import TP

        offsets = {TP(self._topic, partition): offset for partition, offset in positions.items()}
        if not offsets:
            return True
        try:
            return bool(await asyncio.wait_for(self._app.consumer._commit(offsets), COMMIT_S))
        except TimeoutError:  # aiokafka tries without end while the coordinator is away
            return False

    def heartbeats(self, heard: Callable[[], None]) -> None:
        """Calls `heard`, on the consumer's thread, whenever a heartbeat of the group is answered."""
        coordinator = self._app.consumer._thread._consumer._coordinator
        if getattr(coordinator, "denyut_hears", False):
            return
        ask = coordinator._do_heartbeat

        async def asked() -> bool:
            answered = bool(await ask())
            if answered:
                heard()
            return answered

        coordinator._do_heartbeat, coordinator.denyut_hears = asked, True


class Blocks:
    """The topic of blocks in Kafka: see `streams.agents.keeper.Topic`."""

    def __init__(self, wire: Wire, topic: str, sender: FaustSender) -> None:
        self._wire = wire
        self._topic = topic
        self._sender = sender

    def read(self, partitions: Collection[int], wanted: Callable[[], bool]) -> AsyncIterator[Chunk]:
        """See `streams.agents.keeper.Topic`."""
        return read_back(self._wire, self._topic, dict.fromkeys(partitions, 0), wanted)

    async def send(self, partition: int, key: bytes, value: bytes | None) -> None:
        """See `streams.agents.keeper.Topic`."""
        await self._sender.send(self._topic, value, partition, key)


def bind(pulse: Pulse, app: Any, broker: Broker, topic: str, life: Life) -> None:
    """Gives a Faust app its one agent, and tells `pulse` what the group says."""
    raw = app.topic(topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    @app.agent(raw, name="gather", concurrency=1)  # type: ignore[untyped-decorator]
    async def gather(stream: Any) -> None:
        stream.enable_acks = False  # a frame is acked when it has been applied
        async for event in stream.events():
            message = event.message
            try:
                pulse.hands.take(message.partition, message.offset, message.value, event, time.monotonic())
            except BrokenPromise as error:
                life.fail(error)
            while pulse.hands.full:
                await asyncio.sleep(DRAIN_S / 10)

    async def revoked(_app: Any, _partitions: Any, **_rest: Any) -> None:
        pulse.revoked()

    async def assigned(_app: Any, partitions: Any, **_rest: Any) -> None:
        broker.heartbeats(pulse.heard)
        pulse.assigned({tp.partition for tp in partitions if tp.topic == topic})

    async def complete(_app: Any, **_rest: Any) -> None:
        try:
            await pulse.catch_up(broker)
        except Exception as error:
            life.fail(error)
            await asyncio.Event().wait()  # nothing is read any more

    app.on_partitions_revoked.connect(revoked, weak=False)
    app.on_partitions_assigned.connect(assigned, weak=False)
    app.on_rebalance_complete.connect(complete, weak=False)


def run(settings: Settings) -> int:
    """`denyut work pulse`: counts until it is told to stop. 0: told to; 1: a promise of our own is broken.

    Raises `BadSetting` for what only the user can put right.
    """
    file, clock = BrandFile(settings), Clock(settings.clock)
    page = Page(
        Metrics(file.now.names, settings.sources, clock),
        Health("broker", "group", "recovery"),
        Figures(settings.session_ms / 1000),
    )
    page.metrics.registry.register(PulseCollector(page.figures, page.metrics.listed, clock, lambda: called(file.now)))
    page.metrics.build(release(), "", "pulse")
    with Pages(settings.http, page.metrics.registry, page.health) as pages:
        log.info("pages at %s", pages.url)
        return run_worker(settings.stop_ms, lambda life: _work(settings, file, page, life))


def called(brands: Brands) -> dict[str, Called]:
    """How every brand is called and grouped, each by the last of its rules that says so, also if it is yet to begin."""
    out: dict[str, Called] = {}
    for rule in brands.file.brand:
        before = out.get(rule.name, Called(rule.name))
        out[rule.name] = Called(rule.title or before.title, rule.group or before.group)
    return out


async def _work(settings: Settings, file: BrandFile, page: Page, life: Life) -> None:
    beating = asyncio.create_task(beat(page, settings.session_ms / 1000))
    topic = settings.topic("mentions")
    pulse = None
    try:
        wire = Wire.of(settings)
        needed = [topic, *(settings.topic(name) for name in ("posts", "blocks", "swings"))]
        partitions = await wait_for_topics(wire, needed, replay=bool(settings.clock))
        page.health.met("broker")
        times = Times(settings.delay_ms, settings.grace_ms, settings.early_ms)
        app = pulse_app(settings)
        herald = Herald(FaustSender(app), settings.topic("swings"), page.metrics)
        posts, quotes = Posts(wire, settings.topic("posts")), Quotes()

        def explained(swing: Swing, evidence: Evidence, text_of: Callable[[Voice], tuple[str, str] | None]) -> Swing:
            return explain(swing, evidence, text_of, file.now.called(swing.brand))

        explainer = Explainer(explained, posts, frozenset(settings.sources), page.metrics, quotes)

        def tell(steps: Sequence[Swing], since_ms: int) -> None:
            herald.tell(steps)
            explainer.ask(steps, since_ms)

        keeper = Keeper(Blocks(wire, settings.topic("blocks"), FaustSender(app)), partitions, page.metrics)
        pulse = Pulse(Ward(partitions, times, file.now.names), page, keeper, Ears(tell, explainer.heard, herald.so_far))
        bind(pulse, app, Broker(wire, topic, app), topic, life)
        calm()
        told = Steps(wire, settings.topic("swings"))
        telling = [herald.work(pulse.is_mine), explainer.work(pulse.evidence, herald.tell),
                   explainer.revise(pulse.is_mine, herald.tell),
                   told.follow(lambda step: quotes.note(step, pulse.is_mine(step.brand)), quotes.caught_up)]
        beside = [keeper.work(), keep_knocking(wire, page.health, lambda: Wire.of(settings))]
        await conduct(app, life, [pulse.live(), _renew(pulse, file), *telling, *beside], wire.denials)
    finally:
        beating.cancel()
        if pulse is not None:
            pulse.close()


async def _renew(pulse: Pulse, file: BrandFile) -> None:
    """Looks at the brand file once a second for ever, and shows the brands of a new one."""
    while True:
        await asyncio.sleep(READ_S)
        try:
            if await asyncio.to_thread(file.look):
                await pulse.renew(file.now.names)
                log.info("brand file %d is in force", file.now.number)
        except BadBrands as error:
            log.error("the new brand file is not taken, the old one (number %d) stays: %s", file.now.number, error)


async def beat(page: Page, group_s: float) -> None:
    """Beats for ever, and says so when the group has not answered for `group_s`."""
    while True:
        asked = time.monotonic()
        await asyncio.sleep(DRAIN_S)
        page.metrics.loop_lag(time.monotonic() - asked - DRAIN_S)
        page.health.beat()
        if page.figures.silent_s > group_s:
            page.health.unmet("group", "no heartbeat was answered lately: not a member yet, or no broker")
        else:
            page.health.met("group")
