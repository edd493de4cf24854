"""What Faust 0.15.3 does, where our workers rely on it or keep away from it. An upgrade that changes it fails here.

No Kafka: real apps, streams and consumers, with events put into their queues by hand.
"""

import asyncio
import inspect
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib import import_module, metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.agents import pulse, score
from streams.agents.app import FaustGroup, pulse_app, score_app, watch
from streams.agents.consumer import FAUST, _coordinator_answers, begun, deliver
from streams.heart.errors import BrokenPromise
from streams.logs import OFTEN
from streams.settings import Settings

TOPIC = "denyut.posts"
Body = Callable[[Any], Coroutine[Any, Any, None]]


class Stub:
    """A consumer that only remembers what was acked."""

    _thread = None

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


PINS = {"faust-streaming": FAUST, "aiokafka": "0.14.0", "mode-streaming": "0.7.1", "kafka-python": "3.0.12"}


@pytest.mark.parametrize("name", PINS)
def test_these_are_facts_of_the_releases_that_we_pin(name: str) -> None:
    """Our consumer is made of their insides. The message is the instruction: this is no test to be edited until green.
    """
    found = metadata.version(name)
    assert found == PINS[name], (
        f"{name} is {found}, and what we know of it was seen in {PINS[name]}. Before this number is changed: read what "
        f"changed in the names that streams/agents/consumer.py uses (with Faust: Consumer._drain_messages, of which "
        f"`deliver` is a copy), run this file and everything in tests/faults, then change the pin in pyproject.toml, "
        f"deploy/constraints.txt, here, and FAUST in streams/agents/consumer.py"
    )


@pytest.mark.parametrize("name", PINS)
def test_what_is_installed_is_what_is_required(name: str) -> None:
    """Faust's own pins are floors: without ours an installation may bring any later release."""
    wanted = [line for line in metadata.requires("denyut") or [] if line.startswith((f"{name}=", f"{name}<"))]
    upper = "<3.1,>=" if name == "kafka-python" else "=="
    assert wanted == [f"{name}{upper}{PINS[name]}"]


@pytest.mark.parametrize(("owner", "names"), [
    ("faust.transport.consumer:Consumer", "_add_gap _new_offset perform_seek wait_empty getmany ack"),
    ("faust.transport.drivers.aiokafka:AIOKafkaConsumerThread", "on_start seek_to_committed call_thread"),
    ("aiokafka.consumer.group_coordinator:GroupCoordinator",
     "reset_generation _do_heartbeat _push_error_to_user check_errors fetch_committed_offsets"),
    ("faust.tables.recovery:Recovery", "_restart_recovery _resume_streams"),
    ("aiokafka.consumer.subscription_state:TopicPartitionState", "consumed_to seek await_reset"),
])
def test_the_insides_that_our_consumer_is_made_of_are_there(owner: str, names: str) -> None:
    """A name that goes away is found here, and not in a worker."""
    module, _, kind = owner.partition(":")
    assert not [name for name in names.split() if not hasattr(getattr(import_module(module), kind), name)]


@pytest.mark.parametrize("module", [
    "streams.agents.app", "streams.agents.consumer", "streams.agents.batcher", "streams.agents.score",
    "streams.agents.hands", "streams.agents.pulse", "streams.serve", "streams.logs",
    "aiokafka.consumer.group_coordinator", "aiokafka.producer.sender", "aiokafka.producer.message_accumulator",
    "aiokafka.conn", "mode.timers", "mode.services",
])
def test_no_deadline_stands_on_the_wall_clock(module: str) -> None:
    """A clock that is set an hour forward or back ends no worker and no session, and lets nobody wait for an hour."""
    source = inspect.getsource(import_module(module))
    assert not re.search(r"\btime\.time\(|\btime_ns\(|datetime\.now|utcnow", source)


def test_aiokafka_still_keeps_its_troubles_to_itself_where_we_look() -> None:
    """`_pending_exception` and `_coordination_task` are set; nobody in Faust asks by `check_errors`."""
    import faust
    from aiokafka.consumer.group_coordinator import GroupCoordinator

    source = inspect.getsource(GroupCoordinator)
    for name in ("self._pending_exception = exc", "self._coordination_task = create_task(", "self.member_id = "):
        assert name in source, name
    files = Path(faust.__file__).parent.rglob("*.py")
    assert not [path for path in files if "check_errors(" in path.read_text()], "the watchdog may have become needless"


def test_a_place_moves_on_with_what_is_handed_out() -> None:
    """So a record at or above it was handed out before a seek, and is handed out again."""
    from aiokafka.consumer import fetcher
    from aiokafka.consumer.subscription_state import TopicPartitionState

    async def run() -> list[int | None]:
        state = TopicPartitionState(None)
        seen = [state._position]
        state.seek(7)
        seen.append(state._position)
        state.consumed_to(12)
        seen.append(state._position)
        state.await_reset(-2)
        return [*seen, state._position]

    assert asyncio.run(run()) == [None, 7, 12, None]
    assert "state.consumed_to(self._partition_records.next_fetch_offset)" in inspect.getsource(fetcher.FetchResult)


def test_faust_seeks_before_it_lets_records_flow_where_there_are_no_tables() -> None:
    """With tables it is the other way round, and what was read ahead makes false gaps: we have none."""
    from faust.tables.recovery import Recovery

    source = inspect.getsource(Recovery._resume_streams)
    assert 0 < source.index("perform_seek()") < source.index("resume_flow()")


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
        self.out_of_turn: list[tuple[int, int | None]] = []
        self.again: set[int] = set()
        self.waited = 0

    def acks_enabled_for(self, topic: str) -> bool:
        return topic == TOPIC

    async def callback(self, record: Any) -> None:
        if record.offset == self.waits:
            await asyncio.sleep(0.01)
        self.took.append(record.offset)

    async def denyut_out_of_turn(self, _: str, offset: int, before: int | None) -> bool:
        self.out_of_turn.append((offset, before))
        return offset not in self.again

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
        reading = Reading(waits=5)
        await deliver(reading, records(*range(10)))
        return reading

    reading = asyncio.run(run())
    assert (reading.took, reading.waited, reading._read_offset) == (list(range(10)), 1, {"tp": 9})


def test_our_reading_loop_asks_about_every_record_out_of_turn() -> None:
    """The first one, a jump, one from before: what is not taken does not move the place; the rest is taken."""
    async def run() -> Reading:
        reading = Reading()
        reading.again = {99}
        await deliver(reading, records(3, 4, 8, 99, 5, 6))
        return reading

    reading = asyncio.run(run())
    assert reading.took == [3, 4, 8, 5, 6]
    assert reading.out_of_turn == [(3, None), (8, 4), (99, 8), (5, 8)]


def test_our_reading_loop_takes_up_where_it_was_put() -> None:
    """After a seek the place is the record that comes next, else the one that came last: both are in turn."""
    async def run() -> Reading:
        reading = Reading()
        reading._read_offset["tp"] = 7
        await deliver(reading, records(7, 8))
        return reading

    reading = asyncio.run(run())
    assert (reading.took, reading.out_of_turn) == ([7, 8], [])


@contextmanager
def standing(consumer: Any, place: int | None) -> Iterator[Any]:
    """The consumer, as if aiokafka would hand out this offset next."""
    state = SimpleNamespace(state_value=lambda _: SimpleNamespace(_position=place))
    thread, subscription = consumer._thread, SimpleNamespace(subscription=SimpleNamespace(assignment=state))
    consumer._thread = SimpleNamespace(_consumer=SimpleNamespace(_subscription=subscription))
    try:
        yield consumer
    finally:
        consumer._thread = thread


def place_of(topic: str) -> Any:
    from faust.types import TP

    return TP(topic, 3)


@pytest.mark.parametrize(("make", "topic"), [(score_app, TOPIC), (pulse_app, "denyut.mentions")])
@pytest.mark.parametrize("before", [None, 100, 200])
def test_a_record_from_before_a_seek_is_dropped_because_it_comes_again(
    make: Callable[[Settings], Any], topic: str, before: int | None
) -> None:
    """Taken, it would make everything between look compacted, and that would be committed past, unread."""
    #  committed 100 .... aiokafka stands at 130 .... record 150 was handed out before the seek back to 100
    async def run() -> None:
        with unconnected(make(Settings())) as consumer, standing(consumer, 130):
            assert not await consumer.denyut_out_of_turn(place_of(topic), 150, before)
            assert not consumer._gap[place_of(topic)]
            assert consumer.denyut_again == 1

    asyncio.run(run())


@pytest.mark.parametrize("place", [None, 7])
def test_nobody_falls_over_a_partition_whose_place_is_being_looked_for(place: int | None) -> None:
    """Faust's livelock detector asks for the place every 2.5 s, and dies of there being none; all it has is lines."""
    from aiokafka.consumer.subscription_state import TopicPartitionState
    from faust.transport.consumer import Consumer

    async def run() -> None:
        state = TopicPartitionState(None)
        if place is not None:
            state.seek(place)
        state.timestamp, state.highwater = time.monotonic() * 1000, 9
        with unconnected(score_app(Settings())) as consumer:
            thread = consumer._thread
            thread.time_started = 0.0
            assignment = SimpleNamespace(active=True, state_value=lambda _: state)
            subscriptions = SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))
            thread._consumer = SimpleNamespace(_fetcher=SimpleNamespace(_subscriptions=subscriptions))
            consumer.assignment = lambda: {message(0).tp}
            consumer.log = thread.log = logging.getLogger("nobody")
            await consumer.verify_all_partitions_active()
            theirs = Consumer.verify_all_partitions_active(consumer)
            if place is None:
                with pytest.raises(AssertionError):
                    await theirs
            else:
                await theirs

    asyncio.run(run())


def test_a_log_that_was_cut_is_read_again_and_its_acks_count(caplog: pytest.LogCaptureFixture) -> None:
    """Faust would drop what lies below the place it read last, and not commit what lies below the place committed."""
    async def run() -> int | None:
        caplog.set_level("ERROR")
        with unconnected(score_app(Settings())) as consumer, standing(consumer, 8):
            consumer.app.topics._acking_topics.add(TOPIC)
            assert committable(consumer, 5000, 5000) == 5001
            assert await consumer.denyut_out_of_turn(message(3).tp, 3, 5000)
            for one in (3, 4):
                consumer.ack(message(one))
            offset: int | None = consumer._new_offset(message(3).tp)
            return offset

    assert asyncio.run(run()) == 5
    assert "record 3 comes after 5000" in caplog.text


@pytest.mark.parametrize(("offset", "before"), [(110, 100), (3, 100)])
def test_a_jump_in_mentions_is_a_broken_promise_either_way(offset: int, before: int) -> None:
    """A record that is not there, or a log that was cut: the next start reads it back from its beginning."""
    async def run() -> None:
        promise = pytest.raises(BrokenPromise, match=r"denyut\.mentions 3: ")
        with unconnected(pulse_app(Settings())) as consumer, standing(consumer, 500), promise:
            await consumer.denyut_out_of_turn(place_of("denyut.mentions"), offset, before)

    asyncio.run(run())


def test_gaps_just_after_an_assignment_are_counted_and_told_at_most_every_ten_seconds(
    caplog: pytest.LogCaptureFixture
) -> None:
    """Posts are compacted, so a gap may be right; many of them at an assignment are what a lost seek looks like."""
    async def run() -> tuple[int, list[str]]:
        caplog.set_level("INFO")
        caplog.clear()
        app = score_app(Settings())
        with unconnected(app) as consumer:
            await consumer._add_gap(place_of(TOPIC), 1, 4)
            before = consumer.denyut_gaps
            await app.on_partitions_assigned.send(set())
            for first in (11, 21):
                await consumer._add_gap(place_of(TOPIC), first, first + 4)
            said = [one.message for one in caplog.records if one.name.startswith(OFTEN)]
            return consumer.denyut_gaps - before, said

    count, said = asyncio.run(run())
    assert count == 2
    assert [line.split("; ")[1] for line in said] == ["gap 1 so far", "gap 2 so far"]


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
        app = make(Settings())
        conf = app.conf
        assert conf.id == name
        assert (conf.web_enabled, conf.table_standby_replicas, conf.topic_disable_leader) == (False, 0, True)
        assert (conf.topic_allow_declare, conf.processing_guarantee.value) == (False, "at_least_once")
        assert conf.broker_request_timeout >= conf.broker_session_timeout == 10.0
        assert conf.stream_wait_empty == (make is score_app)
        assert (conf.broker_max_poll_records, conf.broker_commit_interval) == (500, 1.0)
        assert conf.stream_buffer_maxsize >= 4096  # a full queue is looked at again after a second
        assert conf.producer_request_timeout == 30.0  # 1200 by default: a send would hang on for 20 minutes
        assert conf.broker_rebalance_timeout == 30.0
        assert app.producer.buffer.max_messages == 10_000  # 100 by default stalls reading
        assert conf.broker_max_poll_interval > 30 * 86_400  # else who cannot deliver for long leaves for good

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


def test_a_commit_that_never_returns_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka tries without end while the coordinator is away; we try again ourselves, and look up in between."""
    monkeypatch.setattr("streams.agents.pulse.COMMIT_S", 0.02)

    async def never(_: Any) -> bool:
        await asyncio.Event().wait()
        return True

    async def run() -> bool:
        app = SimpleNamespace(consumer=SimpleNamespace(_commit=never))
        broker = object.__new__(pulse.Broker)
        broker._app, broker._topic = app, "denyut.mentions"
        return await asyncio.wait_for(broker.commit({3: 17}), 10)

    assert asyncio.run(run()) is False


@pytest.mark.parametrize("worker", ["score", "pulse"])
def test_both_agents_read_raw_bytes_one_at_a_time(worker: str) -> None:
    """Two at a time would ack out of order; a value that Faust decodes can end the agent in silence."""
    async def run() -> None:
        life: Any = None
        if worker == "score":
            app = score_app(Settings())
            score.bind(cast(Any, None), app, TOPIC, life)
        else:
            app = pulse_app(Settings())
            pulse.bind(cast(Any, None), app, cast(Any, None), "denyut.mentions", life)
        (agent,) = app.agents.values()
        assert agent.concurrency == 1
        assert (agent.channel.value_serializer, agent.channel.key_serializer) == ("raw", "raw")
        assert (agent.channel.value_type, agent.channel.key_type) == (bytes, bytes)

    asyncio.run(run())


async def recovered(app: Any, consumer: Any) -> asyncio.Task[None]:
    """Faust's recovery after an assignment to this consumer, until it has ended or waits for the next."""
    recovery = app.tables.recovery
    app._consumer, app.consumer_generation_id, recovery._generation_id = consumer, 1, 1
    app.conf.broker_request_timeout, recovery.recovery_delay = 0.3, 0
    recovery._is_changelog_tp = lambda _: False
    # Faust knows a sender by its place in memory: handlers of another test's app may come to this one.
    app.on_rebalance_complete = SimpleNamespace(send=lambda: asyncio.sleep(0))
    task: asyncio.Task[None] = asyncio.ensure_future(recovery._restart_recovery(recovery))
    await asyncio.sleep(0)
    recovery.signal_recovery_start.set()
    await asyncio.wait({task}, timeout=1.0)
    return task


def test_faust_takes_a_seek_that_is_not_answered_for_a_stop() -> None:
    """Why ours gives up before it: nothing would be read any more, in silence, by a member in good standing."""
    async def run() -> None:
        slow = SimpleNamespace(assignment=lambda: {message(0).tp}, resume_partitions=lambda _: None,
                               perform_seek=lambda: asyncio.sleep(60))
        task = await recovered(app_of(), slow)
        assert task.done()
        assert task.exception() is None

    asyncio.run(run())


@pytest.mark.parametrize("make", [score_app, pulse_app])
def test_a_coordinator_that_does_not_tell_where_reading_goes_on_ends_the_worker(
    make: Callable[[Settings], Any]
) -> None:
    """With a word, and before Faust's recovery ends without one."""
    async def run() -> None:
        app = make(Settings())
        with unconnected(app) as consumer:
            consumer.assignment, consumer.resume_partitions = lambda: {message(0).tp}, lambda _: None
            consumer._thread.seek_to_committed = lambda: asyncio.sleep(60)
            task = await recovered(app, consumer)
            with pytest.raises(BrokenPromise, match="coordinator does not say where"):
                task.result()

    asyncio.run(run())


@pytest.mark.parametrize("ends_by", ["an answer", "another assignment", "a stop"])
def test_reading_waits_for_a_coordinator_that_is_away(ends_by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For as long as it takes, before Faust begins to count; and no longer than the assignment holds."""
    monkeypatch.setattr("streams.agents.consumer.ASKED_S", 0.01)

    async def run() -> None:
        away = asyncio.Event()
        theirs = SimpleNamespace(assignment=lambda: {message(0).tp},
                                 _coordinator=SimpleNamespace(fetch_committed_offsets=lambda _: away.wait()))
        thread = SimpleNamespace(_ensure_consumer=lambda: theirs, call_thread=lambda what, *args: what(*args))
        app = SimpleNamespace(should_stop=False, consumer_generation_id=1, consumer=SimpleNamespace(_thread=thread))
        waiting = asyncio.ensure_future(_coordinator_answers(app))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        if ends_by == "an answer":
            away.set()
        elif ends_by == "a stop":
            app.should_stop = True
        else:
            app.consumer_generation_id = 2
        await asyncio.wait_for(waiting, 5)

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
