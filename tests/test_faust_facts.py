"""What Faust 0.15.3 does, where our workers rely on it or keep away from it. An upgrade that changes it fails here.

No Kafka: real apps, streams and consumers, with events put into their queues by hand.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from streams.agents.app import FAUST, FaustGroup, begun, pulse_app, score_app, watch
from streams.heart.errors import BrokenPromise
from streams.settings import Settings

TOPIC = "denyut.posts"
Body = Callable[[Any], Coroutine[Any, Any, None]]


class Stub:
    """A consumer that only remembers what was acked."""

    def __init__(self) -> None:
        self.acked: list[int] = []
        self.unacked = self._unacked_messages = set[Any]()

    def ack(self, message: Any) -> bool:
        self.acked.append(message.offset)
        return True

    def track_message(self, message: Any) -> None:
        """Nothing is tracked."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def app_of(kind: str = "raw") -> Any:
    """An app with a topic whose values are bytes, or JSON."""
    import faust

    app = faust.App("facts", broker="kafka://nowhere", web_enabled=False, table_standby_replicas=0)
    app.finalize()
    app.topic_under_test = app.topic(TOPIC, key_type=bytes, value_type=bytes if kind == "raw" else dict,
                                     key_serializer="raw", value_serializer=kind)
    return app


def message(offset: int, value: bytes | None = b"v", key: bytes | None = b"k", generation: int = 1) -> Any:
    """A record as the consumer hands it over."""
    from faust.types import TP
    from faust.types.tuples import ConsumerMessage

    return ConsumerMessage(TOPIC, 0, offset, 1.5, 1, [], key, value, None, tp=TP(TOPIC, 0), generation_id=generation)


async def fed(app: Any, body: Body, values: list[bytes | None]) -> tuple[Any, list[int]]:
    """Runs an agent on records 0, 1, … until it has settled; the agent, and the offsets acked."""
    app._consumer, app.consumer_generation_id = Stub(), 1
    agent = app.agent(app.topic_under_test, name="agent")(body)
    app.flow_control.resume()
    await agent.start()
    channel = next(iter(agent._actors)).stream.channel
    for offset, value in enumerate(values):
        record = message(offset, value)
        record.incref()
        await channel.deliver(record)
    for _ in range(60):
        await asyncio.sleep(0.005)
    return agent, app._consumer.acked


async def ended(agent: Any) -> None:
    """Lets the agent's tasks end with the loop: a stop in order waits for ever for a body that failed."""
    agent._stopped.set()
    agent.supervisor._stopped.set()


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """The crashes below are meant."""
    caplog.set_level("CRITICAL")


def test_these_are_facts_of_the_release_that_we_pin() -> None:
    """The reading loop of ours is a copy of this release's, so it is used with this one only."""
    import faust

    assert faust.__version__ == FAUST


def test_take_acks_a_batch_that_failed() -> None:
    """Fact 1: an exception in the body loses the whole batch. Our batcher acks by hand."""
    async def run() -> list[int]:
        failed = False

        async def body(stream: Any) -> None:
            nonlocal failed
            async for _ in stream.take(3, within=0.05):
                if not failed:
                    failed = True
                    raise ValueError("mid-batch")

        agent, acked = await fed(app_of(), body, [b"a", b"b", b"c"])
        await ended(agent)
        return acked

    assert asyncio.run(run()) == [0, 1, 2]


def test_a_value_that_does_not_decode_ends_a_taking_agent_in_silence() -> None:
    """Fact 2: no exception, no restart; our topics are raw bytes, and the watchdog looks at the agents' tasks."""
    async def run() -> tuple[bool, bool]:
        async def body(stream: Any) -> None:
            async for _ in stream.take(3, within=0.05):
                pass

        agent, _ = await fed(app_of("json"), body, [b"{", b"{}"])
        tasks = [actor.actor_task for actor in agent._actors]
        state = all(task.done() for task in tasks), agent.crashed
        await ended(agent)
        return state

    assert asyncio.run(run()) == (True, False)


def test_raw_bytes_and_null_always_come_through() -> None:
    """Nothing that a producer may write stops the stream: not nonsense, not null, not a missing key."""
    async def run() -> list[tuple[bytes | None, bytes | None]]:
        app = app_of()
        app._consumer = Stub()
        app.flow_control.resume()
        stream = app.topic_under_test.stream()
        values = [b"\xff\x00{", None, b""]
        for offset, value in enumerate(values):
            await stream.channel.deliver(message(offset, value, key=None if value is None else b"\xff"))
        queue = stream.channel.queue
        got = [queue.get_nowait() for _ in values]
        return [(event.message.key, event.message.value) for event in got]

    assert asyncio.run(run()) == [(b"\xff", b"\xff\x00{"), (None, None), (b"\xff", b"")]


async def _nothing(_: Any) -> None:
    """What the app would do at a revocation."""


@contextmanager
def unconnected(app: Any) -> Iterator[Any]:
    """The app's consumer, a real one, that never starts."""
    consumer = app.consumer
    app.topics._acking_topics.add(TOPIC)
    try:
        yield consumer
    finally:
        consumer._thread.thread_loop.close()


def committable(consumer: Any, committed: int | None, *offsets: int) -> int | None:
    """The offset that would be committed after these acks."""
    from faust.types import TP

    consumer._committed_offset[TP(TOPIC, 0)] = committed
    for acked in offsets:
        consumer.ack(message(acked))
    offset: int | None = consumer._new_offset(TP(TOPIC, 0))
    return offset


@pytest.mark.parametrize(("committed", "acked", "expected"), [
    (100, (100, 101), 102),
    (100, (102, 103), None),  # held back, as it should be
    (100, (101, 102), 103),   # 100 is in flight, and lost if we die now
    (None, (105, 106), 107),  # before the first commit, any gap is ignored
])
def test_acks_out_of_order_lose_records(committed: int | None, acked: tuple[int, ...], expected: int | None) -> None:
    """Fact 3: which is why a batch is acked after the one before it, in the order of its records."""
    async def run() -> int | None:
        with unconnected(app_of()) as consumer:
            return committable(consumer, committed, *acked)

    assert asyncio.run(run()) == expected


def test_a_revocation_forgets_acks_that_were_not_committed() -> None:
    """Why every rebalance brings duplicates, and why commits are a second apart."""
    async def run() -> int | None:
        from faust.types import TP

        with unconnected(app_of()) as consumer:
            consumer.ack(message(100))
            assert consumer._acked[TP(TOPIC, 0)] == [100]
            consumer._on_partitions_revoked = _nothing
            await consumer.on_partitions_revoked({TP(TOPIC, 0)})
            return committable(consumer, None)

    assert asyncio.run(run()) is None


def test_what_is_held_is_waited_for_and_what_is_dropped_is_not() -> None:
    """A change of assignment waits for the batches in the model, and for nothing that we let go."""
    async def run() -> list[int]:
        with unconnected(app_of()) as consumer:
            group = FaustGroup(consumer.app)
            records = [message(offset) for offset in range(3)]
            for record in records:
                record.incref()
            group.hold(records)
            counts = [len(consumer.unacked)]
            group.ack(records[:1])
            counts.append(len(consumer.unacked))
            group.drop(records[1:])
            return [*counts, len(consumer.unacked)]

    assert asyncio.run(run()) == [3, 2, 0]


def test_a_message_bears_the_generation_it_was_read_under() -> None:
    """So that one which slips through a rebalance is told from the rest."""
    async def run() -> list[bool]:
        app = app_of()
        app.consumer_generation_id = 7
        return [FaustGroup(app).is_current(message(0, generation=generation)) for generation in (6, 7)]

    assert asyncio.run(run()) == [False, True]


def test_the_library_still_reads_as_our_loop_was_copied_from() -> None:
    """The names that `_drain` uses, and the call that it replaces, are in this release's own loop."""
    from faust.transport.consumer import Consumer

    source = inspect.getsource(Consumer._drain_messages)
    for name in ("self._read_offset", "self.callback", "getmany(timeout=1.0)", "self._add_gap", "acks_enabled_for",
                 "self._commit_every", "self._n_acked", "consumer_stopped_errors", "self.suspend_flow.wait()"):
        assert name in source.replace("self.getmany", "getmany"), name
    assert "await self.wait_first(" in source


class Reading:
    """What `_deliver` needs of a consumer."""

    def __init__(self, waits: int | None = None) -> None:
        self._read_offset: dict[str, int | None] = {"tp": None}
        self._commit_every, self._n_acked = 10**9, 0
        self.app = self
        self.topics = self
        self.suspend_flow = asyncio.Event()
        self.waits = waits
        self.took: list[int] = []
        self.gaps: list[tuple[int, int]] = []
        self.waited = 0

    def acks_enabled_for(self, topic: str) -> bool:
        return topic == TOPIC

    async def callback(self, record: Any) -> None:
        if record.offset == self.waits:
            await asyncio.sleep(0.01)
        self.took.append(record.offset)

    async def _add_gap(self, _: str, first: int, last: int) -> None:
        self.gaps.append((first, last))

    async def wait_first(self, *coroutines: Any) -> None:
        self.waited += 1
        tasks = [asyncio.ensure_future(one) for one in coroutines]
        _, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()


async def records(*offsets: int) -> AsyncIterator[tuple[str, Any]]:
    for offset in offsets:
        yield "tp", message(offset)


def test_our_reading_loop_waits_only_where_it_must() -> None:
    """A record whose delivery has to wait is waited for; the others cost no task."""
    async def run() -> Reading:
        from streams.agents.app import _deliver

        reading = Reading(waits=5)
        await _deliver(reading, records(*range(10)))
        return reading

    reading = asyncio.run(run())
    assert (reading.took, reading.waited, reading._read_offset) == (list(range(10)), 1, {"tp": 9})


def test_our_reading_loop_sees_gaps_and_drops_what_was_read() -> None:
    """As the library's own does: compacted offsets are passed on as a gap, an offset from before is not delivered."""
    async def run() -> Reading:
        from streams.agents.app import _deliver

        reading = Reading()
        await _deliver(reading, records(3, 4, 8, 5, 9))
        return reading

    reading = asyncio.run(run())
    assert (reading.took, reading.gaps) == ([3, 4, 8, 9], [(5, 8)])


def test_a_coroutine_that_was_begun_goes_on_as_if_it_had_not_been() -> None:
    """Its waits, its errors and its cancellation are its own."""
    async def run() -> list[object]:
        seen: list[object] = []

        async def at_once() -> None:
            seen.append("at once")

        async def later(fails: bool) -> str:
            try:
                await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise
            if fails:
                raise ValueError("later")
            return "later"

        seen.append(begun(at_once()))
        for fails in (False, True):
            rest = begun(later(fails))
            assert rest is not None
            seen.extend(map(repr, await asyncio.gather(rest, return_exceptions=True)))
        rest = begun(later(False))
        assert rest is not None
        task = asyncio.ensure_future(rest)
        await asyncio.sleep(0)
        task.cancel()
        seen.append(type((await asyncio.gather(task, return_exceptions=True))[0]))
        return seen

    expected = ["at once", None, "'later'", "ValueError('later')", "cancelled", asyncio.CancelledError]
    assert asyncio.run(run()) == expected


@pytest.mark.parametrize(("make", "name"), [(score_app, "denyut-score"), (pulse_app, "denyut-pulse")])
def test_both_apps_have_no_tables_no_pages_and_no_standbys(make: Callable[[Settings], Any], name: str) -> None:
    """An app with a table loses input at rebalances; its pages tell strangers too much."""
    async def run() -> None:
        conf = make(Settings()).conf
        assert conf.id == name
        assert (conf.web_enabled, conf.table_standby_replicas, conf.topic_disable_leader) == (False, 0, True)
        assert (conf.topic_allow_declare, conf.processing_guarantee.value) == (False, "at_least_once")
        assert conf.broker_request_timeout >= conf.broker_session_timeout == 10.0
        assert conf.stream_wait_empty == (make is score_app)

    asyncio.run(run())


@pytest.mark.parametrize(("make", "promised"), [(score_app, False), (pulse_app, True)])
def test_a_gap_in_mentions_is_a_broken_promise_and_one_in_posts_is_not(
    make: Callable[[Settings], Any], promised: bool
) -> None:
    """Posts are compacted; mentions are not, and a record skipped there would never be counted."""
    async def run() -> None:
        from faust.types import TP

        with unconnected(make(Settings())) as consumer:
            if promised:
                with pytest.raises(BrokenPromise):
                    await consumer._add_gap(TP("denyut.mentions", 3), 10, 20)
            else:
                await consumer._add_gap(TP(TOPIC, 3), 10, 20)
                assert consumer._gap[TP(TOPIC, 3)]

    asyncio.run(run())


def test_the_watchdog_ends_a_worker_whose_agent_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that returns is not started again by Faust, and its partitions would stand still."""
    monkeypatch.setattr("streams.agents.app.WATCH_S", 0.01)
    monkeypatch.setattr("streams.agents.app.DEAD_S", 0.03)

    async def run() -> None:
        async def body(_: Any) -> None:
            return

        app = app_of()
        agent, _ = await fed(app, body, [])
        try:
            with pytest.raises(BrokenPromise, match="agent"):
                await asyncio.wait_for(watch(app), 5)
        finally:
            await ended(agent)

    asyncio.run(run())
