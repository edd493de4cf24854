"""App: how both workers stand on Faust, and how they begin and end.

    probe ──▶ topics and their partitions ──▶ an app ──conduct──▶ the app and the jobs beside it ──▶ an exit code

From Faust we take membership, reading, flow control and commits. We leave its tables, its web server, its exactly-once
mode and its command line alone, and add what it lacks: a deadline for stopping, a watchdog for what ends or hangs in
silence, and a consumer of our own (`streams/agents/consumer.py`). `tests/test_faust_facts.py` pins the behaviour that
this relies on.
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
import warnings
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from streams.agents.consumer import Membership, fit_consumer
from streams.agents.patient import fit_patience
from streams.heart.errors import BadSetting, BrokenPromise, DenyutError
from streams.settings import Settings
from streams.wire import Wire

SCORE_QUEUE = 16_384  # a full queue is looked at again after a second: it must hold more than a second's records
PULSE_QUEUE = 4096  # of frames
# aiokafka leaves a group in which nothing was read for so long, and joins it again when something is read, which takes
# an assignment: never. A worker that cannot deliver reads nothing. Whether it lives, heartbeats and /livez say.
NEVER_S = 365 * 86_400.0
TOO_LATE = 70  # the exit code of a stop that took too long
WATCH_S = 1.0
DEAD_S = 5.0  # an agent without a living task for so long does not come back
HANGS = 60  # times that the consumer's thread was asked, WATCH_S apart, and did not answer
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
        "broker_max_poll_interval": NEVER_S,
        "stream_wait_empty": True,  # what is in the model may be finished and delivered before we hand over
        "stream_buffer_maxsize": SCORE_QUEUE,
        "producer_linger": 0.005,
        "producer_max_request_size": 4_000_000,  # as denyut.mentions takes
    })
    return _fitted(app, promised=frozenset())


def pulse_app(settings: Settings) -> Any:
    """A Faust app for the pulse worker; a member with a name of its own where DENYUT_INSTANCE is set."""
    app = _app(settings, "pulse", {
        "broker_session_timeout": settings.session_ms / 1000,
        "broker_heartbeat_interval": max(min(settings.session_ms / 10_000, 3.0), 0.3),
        "broker_request_timeout": max(40.0, settings.session_ms / 1000),
        "consumer_group_instance_id": settings.instance or None,
        "broker_max_poll_interval": NEVER_S,
        "stream_wait_empty": False,  # what is not applied comes again, and again is free
        "stream_buffer_maxsize": PULSE_QUEUE,
        "producer_linger": 0.0,
        "producer_max_request_size": 4_000_000,
    })
    return _fitted(app, promised=frozenset({settings.topic("mentions")}))


def _app(settings: Settings, worker: str, rules: Mapping[str, Any]) -> Any:
    import faust

    app = faust.App(
        f"{settings.prefix}-{worker}",
        **Wire.of(settings).for_faust(),
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
    return app


def _fitted(app: Any, promised: frozenset[str]) -> Any:
    fit_consumer(app, promised=promised)
    fit_patience(app)
    app.producer.buffer.max_messages = 10_000  # 100, the default, stalls reading
    return app


# The group.


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


# From the start to the end.


class Life:
    """What the parts of a worker tell when it must end. `fail` may be called from any thread."""

    def __init__(self, stop_ms: int) -> None:
        self.stop_ms = stop_ms
        self._loop = asyncio.get_running_loop()
        self.broken: asyncio.Future[None] = self._loop.create_future()
        self._why: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """Going on would be wrong: ends the worker with exit code 1. The first call counts."""
        self._loop.call_soon_threadsafe(self._fail, error)

    def say_why(self, error: BaseException) -> None:
        """Logs what ends the worker. Said once, and before anything is stopped: the stop may be cut off."""
        if self._why is not error:
            self._why = error
            # What an error of somebody else's says may quote a post.
            words = str(error) if isinstance(error, DenyutError) else ""
            log.critical("this worker stops: %s", words or type(error).__name__,
                         exc_info=not isinstance(error, BrokenPromise | BadSetting))

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
    before = _hear(stop_ms, told)
    try:
        return await _until_told(life, work(life), told)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _hear(stop_ms: int, told: asyncio.Event) -> dict[int, Any]:
    """Sets `told` at SIGTERM or SIGINT, and the deadline at the first of them. Returns the handlers there were."""
    loop = asyncio.get_running_loop()
    heard: list[int] = []

    # Not the loop's own way: it would wait for its turn in a loop that hangs.
    def hear(number: int, _: Any) -> None:
        if not heard:
            _deadline(stop_ms / 1000, TOO_LATE)
        heard.append(number)
        loop.call_soon_threadsafe(told.set)

    return {number: signal.signal(number, hear) for number in (signal.SIGTERM, signal.SIGINT)}


async def _until_told(life: Life, work: Coroutine[Any, Any, None], told: asyncio.Event) -> int:
    main, stop = asyncio.create_task(work), asyncio.create_task(told.wait())
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
        life.say_why(error)
        return 1
    return 0


async def conduct(
    app: Any, life: Life, jobs: Sequence[Coroutine[Any, Any, None]],
    translated: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
) -> None:
    """Runs the app and the jobs beside it, none of which ends by itself, until cancelled or until one fails.

    Then the app stops first, while the jobs finish what it still waits for. Within `translated`, what fails may become
    an error that says more, such as `Wire.denials`: before it is said, and before the deadline's exit code is chosen.
    """
    running: list[asyncio.Future[None]] = [asyncio.ensure_future(job) for job in (_started(app), watch(app), *jobs)]
    try:
        done, _ = await asyncio.wait([*running, life.broken], return_when=asyncio.FIRST_COMPLETED)
        with translated():
            for task in done:
                task.result()
        raise BrokenPromise("a part of this worker ended by itself")
    except asyncio.CancelledError:
        raise  # whoever told us so has set the deadline
    except BaseException as error:
        life.say_why(error)
        _deadline(life.stop_ms / 1000, 2 if isinstance(error, BadSetting) else 1)
        with warnings.catch_warnings():  # that we set it late, which is the point
            warnings.simplefilter("ignore")
            app.conf.stream_wait_empty = False  # whoever it would wait for may be the one that failed
        raise
    finally:
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
    """Raises `BrokenPromise` when Faust would go on and read nothing: an agent has had no living task for 5 s, the
    consumer's thread is dead or hangs, or nobody speaks to the group any more.
    """
    seen: dict[str, float] = {}
    membership = Membership(HANGS, getattr(app.conf, "consumer_group_instance_id", None) or "")
    while True:
        await asyncio.sleep(WATCH_S)
        if not app.should_stop and (trouble := membership.trouble(app)):
            raise BrokenPromise(trouble)
        now_s = time.monotonic()
        for name, agent in app.agents.items():
            tasks = [actor.actor_task for actor in agent._actors if actor.actor_task is not None]
            if not tasks or any(not task.done() for task in tasks):
                seen[name] = now_s
            elif now_s - seen.setdefault(name, now_s) > DEAD_S:
                raise BrokenPromise(f"the agent {name} has ended")


def _deadline(seconds: float, code: int) -> None:
    """Ends the process in so many seconds, whatever still runs."""

    def say() -> None:
        log.error("the stop took more than %.0f s and is cut off; what was not committed comes again", seconds)
        logging.shutdown()

    def end() -> None:
        time.sleep(seconds)
        saying = threading.Thread(target=say, daemon=True)
        saying.start()
        saying.join(1.0)  # whoever hangs may hang in writing a line, and hold the lock
        os._exit(code)

    threading.Thread(target=end, name="deadline", daemon=True).start()
