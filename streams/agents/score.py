"""Score: the edge of the worker that scores. Posts in, frames out; it holds nothing that the log does not.

    Faust's queue ──collect──▶ batcher ──▶ answer: the model, a thread of its own ──▶ deliver: outbox, then ack in order
                   decode, match              while this batch is scored …             … the one before it is sent

Decoding and matching stand on the event loop, in slices of a few ms: there they run beside the model, whose thread
leaves the interpreter while it computes; on the model's thread they would take turns with it. Tokenizer and model live
on that one thread only.
Batches pass through all three steps in the order in which they were read, and are acked in it. A batch that cannot be
finished because its partitions went elsewhere is dropped with all that came after it: nothing later may be delivered
in its place, for marks say that everything before them has been.
Knows nothing of how a post is decoded, matched or packed, or of which model answers.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from streams.agents.app import FaustGroup, Life, calm, conduct, run_worker, score_app
from streams.agents.batcher import SLICE, Batcher, Caps, Load, drain, record
from streams.agents.brandfile import BrandFile
from streams.agents.model import Load as LoadModel
from streams.agents.model import ModelThread
from streams.agents.probe import wait_for_topics
from streams.clock import Clock
from streams.heart.errors import BadBrands, Reason
from streams.heart.intake import Asked, Done, Intake, Limits, Scored
from streams.heart.notice import HandedBack, Observer, PostRejected, Rebalanced
from streams.knock import keep_knocking
from streams.logs import OFTEN
from streams.metrics import Metrics, release
from streams.outbox import FaustSender, Outbox
from streams.serve import Health, Pages
from streams.settings import Settings
from streams.wire import Wire

IDLE_S = 0.005  # an empty queue is looked at again after this
BEAT_S = 0.25
STUCK_S = 60.0  # a record in hand for so long: do not count on this worker
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0
log = logging.getLogger("denyut.score")
often = logging.getLogger(f"{OFTEN}.score")


class Group(Protocol):
    """What the worker needs of its consumer group. Its fake is in tests/test_score.py."""

    @property
    def unsettled(self) -> bool:
        """An assignment is changing, or the worker is stopping: begin nothing new."""

    def is_current(self, message: Any) -> bool:
        """Whether a message was read under the present assignment."""

    def hold(self, messages: Sequence[Any]) -> None:
        """These are being worked on: a change of assignment waits for them."""

    def ack(self, messages: Sequence[Any]) -> None:
        """These are done, in this order."""

    def drop(self, messages: Sequence[Any]) -> None:
        """These are not: they come again, to whoever owns their partition."""


class Model(Protocol):
    """Answers on a thread of its own: `streams.agents.model.ModelThread`."""

    @property
    def name(self) -> str:
        """How it is called in frames: another name is another ruler."""

    async def ask(self, texts: Sequence[Asked]) -> list[Scored | None]:
        """One score for each text; None: the model fails on this text, and on this alone. Raises `NoModel`."""


@dataclass(frozen=True, slots=True)
class Page:
    """Where a worker writes how it is."""

    observer: Observer
    health: Health


class Scorer:
    """The score worker's loop between a consumer group and an outbox. Lives on one event loop."""

    def __init__(
        self, intake: Intake, batcher: Batcher, model: Model, group: Group, outbox: Outbox, page: Page
    ) -> None:
        self.intake = intake  # replaced when the brand file is
        self._batcher = batcher
        self._model = model
        self._group = group
        self._outbox = outbox
        self._page = page
        self._asked: asyncio.Queue[Load] = asyncio.Queue(1)
        self._answered: asyncio.Queue[tuple[Load, Done]] = asyncio.Queue(1)
        self._busy: list[Load] = []  # what is between `collect` and its ack, in order

    @property
    def oldest_s(self) -> float:
        """The age of the oldest record in hand, seconds; 0: nothing is in hand. Any thread may ask."""
        since = [load.since_s for load in list(self._busy)]
        if self._batcher.since_s is not None:
            since.append(self._batcher.since_s)
        return time.monotonic() - min(since) if since else 0.0

    # What the group says.

    def revoked(self) -> None:
        """The assignment has ended: nothing that was read under it is finished any more."""
        self._page.health.unmet("group", "the assignment is changing")
        self._lose(self._busy)
        self._hand_back(self._batcher.take())

    def assigned(self) -> None:
        """There is an assignment; records come."""
        self._page.observer.observe(Rebalanced("score"))
        self._page.health.met("group")

    # The three steps. None of them ends by itself.

    async def collect(self, queue: Any) -> None:
        """Takes records from the queue, decodes and matches them, and passes them on when the time has come."""
        while True:
            if self._group.unsettled:
                # Nothing is taken now: what the group puts into the queue from here on belongs to the next assignment.
                self._hand_back(self._batcher.take())
                await asyncio.sleep(IDLE_S)
            elif self._batcher.is_due(time.monotonic()) and not self._asked.full():
                self._pass_on()
            elif self._batcher.is_full or not self._take(queue):
                await asyncio.sleep(IDLE_S)
            else:
                await asyncio.sleep(0)

    def _take(self, queue: Any) -> bool:
        messages = drain(queue, SLICE)
        current = [message for message in messages if self._group.is_current(message)]
        if len(current) < len(messages):
            self._page.observer.observe(HandedBack(len(messages) - len(current)))
        part = self.intake.read([record(message) for message in current])
        self._batcher.add(current, part, time.monotonic())
        return bool(messages)

    def _pass_on(self) -> None:
        load = self._batcher.take()
        if load is not None:
            self._busy.append(load)
            self._asked.put_nowait(load)

    async def answer(self, partitions: int) -> None:
        """Has each batch scored and packed, one after the other."""
        while True:
            load = await self._asked.get()
            scores = None
            if not (load.is_lost or self._group.unsettled):
                self._group.hold(load.messages)
                scores = await self._scores(load)
            if scores is None:
                self._give_up(load)
            else:
                done = self.intake.finish(load.batch, scores, self._model.name, partitions)
                await self._answered.put((load, done))

    async def _scores(self, load: Load) -> list[Scored | None] | None:
        """The model's scores; None: it has none, and the batch is no longer ours."""
        from models.score import NoModel

        pause_s = FIRST_PAUSE_S
        while load.batch.texts:
            try:
                scores = await self._model.ask(load.batch.texts)
            except NoModel as error:
                # Not the texts' fault: rejecting them would empty the topic into the rejects.
                log.error("the model does not answer (%s); trying again", error)
                self._page.health.unmet("model", "it does not answer")
            else:
                self._page.health.met("model")
                return scores
            if load.is_lost or self._group.unsettled:
                return None
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        return []

    async def deliver(self) -> None:
        """Sends each batch, waits until all of it is delivered, and only then acks it."""
        while True:
            load, done = await self._answered.get()
            delivered = not load.is_lost and await self._outbox.deliver(done.frames, done.rejects, self._wants(load))
            # Delivered, but lost meanwhile: not ours to ack, and whoever has it now delivers it again.
            if delivered and not self._is_lost(load):
                self._finish(load, done)
            else:
                self._give_up(load)

    def _finish(self, load: Load, done: Done) -> None:
        self._busy.remove(load)
        self._group.ack(load.messages)
        self._page.observer.observe(done.counts)
        for reject in done.rejects:
            self._page.observer.observe(PostRejected(str(reject.reason)))
        if any(reject.reason is Reason.UNKNOWN_SOURCE for reject in done.rejects):
            often.warning("posts of a source that this worker's DENYUT_SOURCES does not name are rejected for good")

    def _is_lost(self, load: Load) -> bool:
        return load.is_lost

    def _wants(self, load: Load) -> Callable[[], bool]:
        return lambda: not (load.is_lost or self._group.unsettled)

    def _give_up(self, load: Load) -> None:
        """Drops a batch, and with it all that were read after it: their marks would say that this one is delivered.

        One that a revocation has taken already goes alone: what came after it may belong to the next assignment.
        """
        if not load.is_lost:
            self._lose(self._busy[self._busy.index(load):])
        self._hand_back(load)

    def _lose(self, loads: Iterable[Load]) -> None:
        for load in loads:
            load.is_lost = True

    def _hand_back(self, load: Load | None) -> None:
        if load is not None:
            if load in self._busy:
                self._busy.remove(load)
            self._group.drop(load.messages)
            self._page.observer.observe(HandedBack(len(load)))


# From settings to a running worker.


def run(settings: Settings, load: LoadModel | None = None) -> int:
    """`denyut work score`: scores until it is told to stop. 0: told to; 1: a promise of our own is broken.

    `load` finds the model, in place of `models.load`. Raises `BadSetting` for what only the user can put right.
    """
    wire, brands = Wire.of(settings), BrandFile(settings)
    metrics = Metrics((), settings.sources, Clock(settings.clock))
    page = Page(metrics, Health("model", "broker", "group"))
    with Pages(settings.http, metrics.registry, page.health) as pages:
        log.info("pages at %s", pages.url)
        model = ModelThread(settings, metrics, load)
        page.health.met("model")
        metrics.build(release(), model.name, "score")
        try:
            worker = _Worker(settings, wire, brands, model, metrics, page)
            return run_worker(settings.stop_ms, worker.work)
        finally:
            model.close()


class _Worker:
    """The parts of one score worker, put together."""

    def __init__(
        self, settings: Settings, wire: Wire, brands: BrandFile, model: ModelThread, metrics: Metrics, page: Page
    ) -> None:
        self._settings = settings
        self._wire = wire
        self._brands = brands
        self._model = model
        self._metrics = metrics
        self._page = page
        self._scorer: Scorer | None = None
        metrics.oldest_unacked(self._oldest_s)

    async def work(self, life: Life) -> None:
        """Waits for the broker, joins the group, and works until cancelled."""
        settings = self._settings
        beating = asyncio.create_task(self._beat())
        try:
            posts = settings.topic("posts")
            needed = [posts, settings.topic("mentions"), settings.topic("rejects")]
            partitions = await wait_for_topics(self._wire, needed, replay=bool(settings.clock))
            self._page.health.met("broker")
            app = score_app(settings)
            calm()
            scorer = self._scorer = self._put_together(app)
            bind(scorer, app, posts, life)
            app.on_partitions_assigned.connect(self._owns, weak=False)
            knocking = keep_knocking(self._wire, self._page.health, lambda: Wire.of(settings))
            jobs = [scorer.answer(partitions), scorer.deliver(), self._renew(scorer), knocking]
            await conduct(app, life, jobs, self._wire.denials)
        finally:
            beating.cancel()

    def _put_together(self, app: Any) -> Scorer:
        settings = self._settings
        caps = Caps(settings.flush_ms / 1000, texts=settings.batch_posts, bytes=settings.flush_bytes)
        outbox = Outbox(FaustSender(app), settings.prefix, settings.flush_bytes)
        return Scorer(self._intake(), Batcher(caps), self._model, FaustGroup(app), outbox, self._page)

    def _intake(self) -> Intake:
        settings = self._settings
        limits = Limits(settings.grace_ms, settings.early_ms)
        return Intake(frozenset(settings.sources), self._brands.now, self._model.judge, limits)

    async def _owns(self, _: Any, partitions: Any, **__: Any) -> None:
        self._metrics.owns(len(partitions))

    def _oldest_s(self) -> float:
        return 0.0 if self._scorer is None else self._scorer.oldest_s

    async def _beat(self) -> None:
        """Says for ever that the loop lives, how late it runs, and whether something is stuck."""
        health = self._page.health
        while True:
            asked_s = time.monotonic()
            await asyncio.sleep(BEAT_S)
            self._metrics.loop_lag(time.monotonic() - asked_s - BEAT_S)
            health.beat()
            if self._oldest_s() > STUCK_S:
                health.unmet("flow", f"a record has been in hand for {self._oldest_s():.0f} s")
            else:
                health.met("flow")

    async def _renew(self, scorer: Scorer) -> None:
        """Looks at the brand file once a second for ever, and matches by the new one where there is one."""
        brands, health = self._brands, self._page.health
        while True:
            await asyncio.sleep(1.0)
            try:
                if await asyncio.to_thread(brands.look):
                    scorer.intake = self._intake()
                    log.info("brand file %d is in force", brands.now.number)
            except BadBrands as error:
                log.error("the new brand file is not taken, number %d stays in force: %s", brands.now.number, error)
            missed = brands.missed()
            if missed:
                health.unmet("brands", missed)
            else:
                health.met("brands")


def bind(scorer: Scorer, app: Any, topic: str, life: Life) -> None:
    """Gives a Faust app its one agent, and tells `scorer` what the group says. What goes wrong ends `life`."""
    raw = app.topic(topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    async def score(stream: Any) -> None:
        try:
            await scorer.collect(stream.channel.queue)
        except Exception as error:
            life.fail(error)

    async def revoked(*_: Any, **__: Any) -> None:
        scorer.revoked()

    async def assigned(*_: Any, **__: Any) -> None:
        scorer.assigned()

    app.agent(raw, name="score", concurrency=1)(score)
    app.on_partitions_revoked.connect(revoked, weak=False)
    app.on_partitions_assigned.connect(assigned, weak=False)
