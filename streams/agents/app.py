"""App: how both workers stand on Faust, and how they begin and end.

    probe ──▶ topics and their partitions ──▶ an app ──conduct──▶ the app and the jobs beside it ──▶ an exit code

From Faust we take membership, reading, flow control and commits. We leave its tables, its web server, its exactly-once
mode and its command line alone, and add what it lacks: a deadline for stopping, a guard against false gaps, a watchdog
for agents that end in silence, and a reading loop that makes no task for a message. `tests/test_faust_facts.py` pins
the behaviour that this relies on.
Knows nothing of posts, frames, models or figures.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from streams.heart.errors import BadSetting, BrokenPromise, LostBroker
from streams.settings import Settings

FAUST = "0.15.3"  # the release whose reading loop ours replaces; with any other, its own is used
SCORE_QUEUE = 16_384  # a full queue is looked at again after a second: it must hold more than a second's records
PULSE_QUEUE = 4096  # of frames
SAY_S = 10.0  # while we wait for something, a line this often
TOO_LATE = 70  # the exit code of a stop that took too long
SETTLED_S = 5.0  # after an assignment; a gap read later than this is no leftover of it
WATCH_S = 1.0
DEAD_S = 5.0  # an agent without a living task for so long does not come back
YOUNG = (10_000, 50, 50)  # objects, then rounds, before Python looks for garbage among the young, older and oldest
GIVE_WAY_S = 0.001
log = logging.getLogger("denyut.app")


# The apps.


def score_app(settings: Settings) -> Any:
    """A Faust app for the score worker. Its agents are the caller's."""
    app = _app(settings, "score", {
        "broker_session_timeout": settings.session_ms / 1000,
        "broker_heartbeat_interval": max(settings.session_ms / 10_000, 0.3),
        "broker_request_timeout": max(30.0, settings.session_ms / 1000),
        "stream_wait_empty": True,  # what is in the model may be finished and delivered before we hand over
        "stream_buffer_maxsize": SCORE_QUEUE,
        "producer_linger": 0.005,
        "producer_max_request_size": 4_000_000,  # as denyut.mentions takes
    })
    _fit_consumer(app, promised=frozenset())
    return app


def pulse_app(settings: Settings) -> Any:
    """A Faust app for the pulse worker; a member with a name of its own where DENYUT_INSTANCE is set."""
    app = _app(settings, "pulse", {
        "broker_session_timeout": settings.session_ms / 1000,
        "broker_heartbeat_interval": max(min(settings.session_ms / 10_000, 3.0), 0.3),
        "broker_request_timeout": max(40.0, settings.session_ms / 1000),
        "consumer_group_instance_id": settings.instance or None,
        "stream_wait_empty": False,  # what is not applied comes again, and again is free
        "stream_buffer_maxsize": PULSE_QUEUE,
        "producer_linger": 0.0,
        "producer_max_request_size": 4_000_000,
    })
    _fit_consumer(app, promised=frozenset({settings.topic("mentions")}))
    return app


def _app(settings: Settings, worker: str, rules: Mapping[str, Any]) -> Any:
    import faust

    app = faust.App(
        f"{settings.prefix}-{worker}",
        broker=[f"kafka://{one.strip()}" for one in settings.brokers.split(",")],
        autodiscover=False,
        web_enabled=False,
        processing_guarantee="at_least_once",  # identity makes figures exact, not delivery
        table_standby_replicas=0,  # 1, the default, brings Faust's own assignor along
        topic_disable_leader=True,
        topic_allow_declare=False,
        reply_create_topic=False,
        cython_optimizations=True,
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=500,
        broker_rebalance_timeout=30.0,
        broker_commit_interval=1.0,  # bounds what is worked on twice after a rebalance
        producer_request_timeout=30.0,
        producer_compression_type="lz4",
        producer_max_batch_size=262_144,
        **rules,
    )
    app._create_directories = lambda: None  # they are for tables; a container's disk may be read-only
    app.finalize()
    app.producer.buffer.max_messages = 10_000  # 100, the default, stalls reading
    return app


# The consumer: a guard, and a faster reading loop.


def _fit_consumer(app: Any, promised: frozenset[str]) -> None:
    """Gives the app our consumer. `promised`: topics of which no record is ever missing (they are not compacted)."""
    import faust
    from faust.transport.drivers.aiokafka import Consumer

    class Ours(Consumer):  # type: ignore[misc]
        async def seek_to_committed(self) -> Any:
            places = await super().seek_to_committed()
            await _go_back_to_the_beginning(self, places)
            return places

        denyut_gaps = 0  # holes read within SETTLED_S of an assignment, in topics where compaction makes holes

        async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
            if tp.topic in promised:
                error = BrokenPromise(f"{tp.topic} {tp.partition}: skipped records {offset_from} to {offset_to - 1}")
                log.critical("%s", error)
                raise error  # ends the reading loop, and with it the worker; at the next start they are read
            if time.monotonic() - getattr(self.app, "denyut_assigned_s", 0.0) < SETTLED_S:
                self.denyut_gaps += 1
                log.info("%s %d: %d records are missing just after an assignment (compacted away)",
                         tp.topic, tp.partition, offset_to - offset_from)
            await super()._add_gap(tp, offset_from, offset_to)

    class Fast(Ours):
        async def _drain_messages(self, fetcher: Any) -> None:
            await _drain(self, fetcher)

    async def assigned(sender: Any, *_: Any, **__: Any) -> None:
        sender.denyut_assigned_s = time.monotonic()

    app.on_partitions_assigned.connect(assigned, weak=False)
    if faust.__version__ == FAUST:
        app.transport.Consumer = Fast
    else:
        log.warning("faust %s is not %s: its own, slower reading loop is used", faust.__version__, FAUST)
        app.transport.Consumer = Ours


async def _go_back_to_the_beginning(consumer: Any, places: Mapping[Any, int | None]) -> None:
    """aiokafka goes back to a committed place only if it is above 0. What was read while an assignment changed is
    dropped, and at the beginning of a topic would never be read again. `places`: what is committed, None: nothing yet.
    """
    for tp, offset in places.items():
        if offset == 0:
            await consumer._seek(tp, 0)
    if unknown := [tp for tp, offset in places.items() if offset is None]:
        thread = consumer._thread
        await thread.call_thread(thread._ensure_consumer().seek_to_beginning, *unknown)


async def _drain(consumer: Any, fetcher: Any) -> None:
    """Faust's own `Consumer._drain_messages`, but for one thing: no tasks for a message that need not wait."""
    try:
        while not (consumer._stopped.is_set() or fetcher._stopped.is_set()):
            records = consumer.getmany(timeout=1.0)
            await consumer.sleep(0)
            if not consumer.should_stop:
                await _deliver(consumer, records)
    except (*consumer.consumer_stopped_errors, asyncio.CancelledError):
        if not consumer.app.should_stop:
            raise


async def _deliver(consumer: Any, records: AsyncIterator[tuple[Any, Any]]) -> None:
    read, callback, acks = consumer._read_offset, consumer.callback, consumer.app.topics.acks_enabled_for
    since_pause = 0
    async for tp, message in records:
        since_pause += 1
        if since_pause > 100:
            await asyncio.sleep(0)
            since_pause = 0
        offset, before = message.offset, read[tp]
        if before is not None and offset < before:
            continue
        if before and offset - before > 1 and acks(message.topic):
            await consumer._add_gap(tp, before + 1, offset)
        if consumer._commit_every is not None and consumer._n_acked >= consumer._commit_every:
            consumer._n_acked = 0
            await consumer.commit()
        rest = begun(callback(message))
        if rest is not None:
            await consumer.wait_first(rest, consumer.suspend_flow.wait())
        read[tp] = offset


def begun(coroutine: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any] | None:
    """Runs a coroutine as far as it goes without waiting. None: it has ended; else what is left of it."""
    try:
        waits_for = coroutine.send(None)
    except StopIteration:
        return None
    return _rest(coroutine, waits_for)


async def _rest(coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> Any:
    return await _go_on(coroutine, waits_for)


@types.coroutine
def _go_on(coroutine: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, Any]:
    while True:
        error: BaseException | None = None
        got = None
        try:
            got = yield waits_for
        except BaseException as raised:
            error = raised
        try:
            waits_for = coroutine.send(got) if error is None else coroutine.throw(error)
        except StopIteration as end:
            return end.value


class FaustGroup:
    """What a worker with a batcher of its own needs of its consumer group."""

    def __init__(self, app: Any) -> None:
        self._app = app

    @property
    def unsettled(self) -> bool:
        """An assignment is changing, or the worker is stopping: begin nothing new."""
        return bool(self._app.rebalancing or self._app.should_stop)

    def is_current(self, message: Any) -> bool:
        """Whether a message was read under the present assignment. (A member with a static id keeps its generation.)"""
        return bool(message.generation_id == self._app.consumer_generation_id)

    def hold(self, messages: Iterable[Any]) -> None:
        """These are being worked on: a change of assignment, or a stop, waits for them."""
        # Not `track_message`: its sensors cost 3 us a message, and nobody reads them.
        self._app.consumer._unacked_messages.update(messages)

    def ack(self, messages: Iterable[Any]) -> None:
        """These are done, in this order: Faust commits past a gap where it should not."""
        for message in messages:
            message.ack(self._app.consumer)

    def drop(self, messages: Iterable[Any]) -> None:
        """These are not done; nobody waits for them any more."""
        self._app.consumer._unacked_messages.difference_update(messages)


# Before the start.


def release() -> str:
    """The version that is installed, for /metrics; "checkout" where none is."""
    try:
        return version("denyut")
    except PackageNotFoundError:
        return "checkout"


async def wait_for_topics(brokers: str, topics: Sequence[str]) -> int:
    """Waits until the broker answers and has all `topics`; says what is missing every 10 s. Returns their partitions.

    Raises `BadSetting` when the topics do not all have the same number of partitions.
    """
    said_s = 0.0
    while True:
        missing = ""
        try:
            counts = await _partitions(brokers, topics)
            absent = [topic for topic, count in counts.items() if not count]
            if not absent:
                return _same(counts)
            missing = f"{', '.join(absent)} not there yet: `denyut topics --create` makes the topics"
        except LostBroker as error:
            missing = str(error)
        if time.monotonic() - said_s >= SAY_S:
            said_s = time.monotonic()
            log.warning("%s; trying again", missing)
        await asyncio.sleep(1.0)


async def _partitions(brokers: str, topics: Sequence[str]) -> dict[str, int]:
    from aiokafka.client import AIOKafkaClient
    from aiokafka.errors import KafkaError

    client = AIOKafkaClient(bootstrap_servers=brokers, request_timeout_ms=5000)
    try:
        await asyncio.wait_for(client.bootstrap(), 10.0)
        # All topics, not these: asking for a topic by name may make the broker create it.
        cluster = await asyncio.wait_for(client.fetch_all_metadata(), 10.0)
        return {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}
    except (KafkaError, OSError, TimeoutError) as error:
        raise LostBroker(f"no Kafka broker answers at {brokers} ({type(error).__name__})") from None
    finally:
        await client.close()


def _same(counts: Mapping[str, int]) -> int:
    """The number of partitions that all topics have.

    >>> _same({"a": 12, "b": 12})
    12
    """
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{topic} has {count}" for topic, count in counts.items())
        raise BadSetting(f"{found} partitions: they need the same number; make new topics under another DENYUT_PREFIX")
    return next(iter(counts.values()))


# From the start to the end.


class Life:
    """What the parts of a worker tell when it must end. `fail` may be called from any thread."""

    def __init__(self, stop_ms: int) -> None:
        self.stop_ms = stop_ms
        self._loop = asyncio.get_running_loop()
        self.broken: asyncio.Future[None] = self._loop.create_future()

    def fail(self, error: BaseException) -> None:
        """Going on would be wrong: ends the worker with exit code 1. The first call counts."""
        self._loop.call_soon_threadsafe(self._fail, error)

    def _fail(self, error: BaseException) -> None:
        if not self.broken.done():
            self.broken.set_exception(error)


def calm() -> None:
    """Spares the event loop what would hold it up. Called once, when everything is loaded.

    What lives by now lives as long as the process: looking through it for garbage stops all threads for 100 ms. A page
    of figures is 50,000 objects that need no looking for: by Python's own thresholds each page had everything looked
    through. And a thread that renders one gives way to the loop within 1 ms, not 5.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*YOUNG)
    sys.setswitchinterval(GIVE_WAY_S)


def run_worker(stop_ms: int, work: Callable[[Life], Coroutine[Any, Any, None]]) -> int:
    """Runs `work` until SIGTERM or SIGINT: 0, or until it fails: 1. A stop that takes longer than `stop_ms` is cut off
    (exit code 70 at once): with the broker away, the last commit would wait for ever; what it held comes again.

    Raises `BadSetting`.
    """
    return asyncio.run(_run(stop_ms, work))


async def _run(stop_ms: int, work: Callable[[Life], Coroutine[Any, Any, None]]) -> int:
    life, told = Life(stop_ms), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    main, stop = asyncio.create_task(work(life)), asyncio.create_task(told.wait())
    await asyncio.wait({main, stop}, return_when=asyncio.FIRST_COMPLETED)
    was_told = told.is_set() and not main.done()
    if was_told:
        log.info("told to stop")
        main.cancel()
    stop.cancel()
    try:
        await main
    except asyncio.CancelledError:
        return 0 if was_told else 1
    except BadSetting:
        raise
    except Exception as error:
        log.critical("this worker stops: %s", error, exc_info=not isinstance(error, BrokenPromise))
        return 1
    return 0


async def conduct(app: Any, life: Life, jobs: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Runs the app and the jobs beside it, none of which ends by itself, until cancelled or until one fails.

    Then the app stops first, while the jobs finish what it still waits for.
    """
    running: list[asyncio.Future[None]] = [asyncio.ensure_future(job) for job in (_started(app), watch(app), *jobs)]
    code = 1
    try:
        done, _ = await asyncio.wait([*running, life.broken], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        raise BrokenPromise("a part of this worker ended by itself")
    except asyncio.CancelledError:
        code = TOO_LATE
        raise
    except BaseException:
        app.conf.stream_wait_empty = False  # whoever it would wait for may be the one that failed
        raise
    finally:
        _deadline(life.stop_ms / 1000, code)
        with contextlib.suppress(Exception):  # Faust has said so in its own words; the way out is the same
            await app.stop()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _started(app: Any) -> None:
    await app.start()
    await app.wait_until_stopped()
    raise app.crash_reason or BrokenPromise("Faust stopped by itself")


async def watch(app: Any) -> None:
    """Raises `BrokenPromise` when an agent has had no living task for 5 s: Faust would go on, and read nothing."""
    seen: dict[str, float] = {}
    while True:
        await asyncio.sleep(WATCH_S)
        now_s = time.monotonic()
        for name, agent in app.agents.items():
            tasks = [actor.actor_task for actor in agent._actors if actor.actor_task is not None]
            if not tasks or any(not task.done() for task in tasks):
                seen[name] = now_s
            elif now_s - seen.setdefault(name, now_s) > DEAD_S:
                raise BrokenPromise(f"the agent {name} has ended")


def _deadline(seconds: float, code: int) -> None:
    """Ends the process in so many seconds, whatever still runs."""

    def end() -> None:
        time.sleep(seconds)
        log.error("the stop took more than %.0f s and is cut off; what was not committed comes again", seconds)
        logging.shutdown()
        os._exit(code)

    threading.Thread(target=end, name="deadline", daemon=True).start()
