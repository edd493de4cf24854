"""What enters the feed is delivered or counted, in order by key, and what it writes can be read."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import InvalidTimestampError, KafkaError, KafkaTimeoutError, TopicAuthorizationFailedError

import streams.feed
from streams.embedded import EmbeddedBroker
from streams.feed import MAX_RECORD, Feed, Rules, Ticking
from streams.heart.errors import BadSetting
from streams.heart.notice import Notice, PostNotSent, PostSent
from streams.heart.post import Tick, decode
from streams.settings import Settings
from streams.topics import EMBEDDED

T0 = 1_577_836_800_000


class Said(NamedTuple):
    """What a source hands over."""

    at_ms: int
    key: bytes
    value: bytes | None = b"{}"


class Heard:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def observe(self, notice: Notice) -> None:
        self.notices.append(notice)


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    """One broker for all; every test has a prefix of its own."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def settings(broker: EmbeddedBroker, request: pytest.FixtureRequest) -> Settings:
    prefix: str = request.node.name
    broker.make(prefix)
    return Settings(brokers=broker.address, prefix=prefix)


def _feed(settings: Settings, **rules: Any) -> Feed:
    return Feed(settings, "test", ["demo"], rules=Rules(embedded=True, linger_ms=5, **rules))


def _written(settings: Settings) -> dict[int, list[Any]]:
    """Every record of the topic of posts, by partition, in order."""
    consumer = KafkaConsumer(bootstrap_servers=settings.brokers, api_version=EMBEDDED, group_id=None)
    try:
        tps = [TopicPartition(settings.topic("posts"), number) for number in range(EmbeddedBroker.partitions)]
        consumer.assign(tps)
        consumer.seek_to_beginning(*tps)
        ends = consumer.end_offsets(tps)
        written: dict[int, list[Any]] = {tp.partition: [] for tp in tps}
        while any(consumer.position(tp) < end for tp, end in ends.items()):
            for tp, records in consumer.poll(1000).items():
                written[tp.partition] += records
        return written
    finally:
        consumer.close()


def test_what_is_sent_is_written_in_the_order_of_its_key(settings: Settings) -> None:
    """Three versions and a removal of each of 50 posts: each key in one partition, in its order, nothing twice."""
    keys = [f"demo:{number:08}".encode() for number in range(50)]
    values = (b"0", b"1", b"2", None)
    with _feed(settings) as feed:
        for value in values:
            for key in keys:
                assert feed.send(Said(0, key, value))
        assert feed.flush(30)
        assert feed.tally == ({"post": 150, "removal": 50}, {}, 0)
    found: dict[bytes, list[Any]] = {}
    for number, records in _written(settings).items():
        for record in records:
            found.setdefault(record.key, []).append((record.value, number))
    assert found.keys() == set(keys)
    for versions in found.values():
        assert [value for value, _ in versions] == list(values)
        assert len({number for _, number in versions}) == 1


def test_a_key_has_one_record_under_way_at_a_time(settings: Settings) -> None:
    """A removal right behind its post waits until the post is delivered, without waiting for a batch to fill."""
    with _feed(settings) as feed:
        for _ in range(20):
            feed.send(Said(0, b"demo:aaaaaaaa", b"a post"))
            feed.send(Said(0, b"demo:aaaaaaaa", None))
            assert feed.tally.under_way <= 1
        assert feed.flush(30)
    records = [record.value for records in _written(settings).values() for record in records]
    assert records == [b"a post", None] * 20


def test_a_tick_goes_to_every_partition(settings: Settings) -> None:
    """Time reaches quiet partitions too, with what each source is healthy until."""
    with _feed(settings, create_time=True) as feed:
        feed.tick(T0)
        feed.tick(T0 + 1000, {"demo": T0 - 5000})
        assert feed.flush(30)
    for records in _written(settings).values():
        assert [decode(record.key, record.value, frozenset()) for record in records] == [
            Tick("test", {"demo": T0}), Tick("test", {"demo": T0 - 5000})]
        assert [record.timestamp for record in records] == [T0, T0 + 1000]


def test_times_written_never_fall(settings: Settings) -> None:
    """With the caller's times as arrivals, one that comes out of turn is lifted to the last one."""
    with _feed(settings, create_time=True) as feed:
        for number, at_ms in enumerate([T0, T0 + 500, T0 + 200, T0 + 900]):
            feed.send(Said(at_ms, f"demo:{number:08}".encode()))
        assert feed.flush(30)
    times = sorted((record.key, record.timestamp - T0) for records in _written(settings).values() for record in records)
    assert [at for _, at in times] == [0, 500, 500, 900]


def test_what_can_never_be_written_is_counted(settings: Settings) -> None:
    """No key, too large, dated beyond what a broker takes: not sent, told to the observer, and nothing waits for it."""
    heard = Heard()
    rules = Rules(embedded=True, create_time=True)
    with Feed(settings, "test", ["demo"], observer=heard, rules=rules) as feed:
        assert not feed.send(Said(T0, b""))
        assert not feed.send(Said(T0, b"demo:aaaaaaaa", bytes(MAX_RECORD)))
        assert not feed.send(Said(2 * T0, b"demo:aaaaaaaa"))
        assert feed.send(Said(T0, b"demo:aaaaaaaa"))
        assert feed.flush(30)
        assert feed.tally == ({"post": 1}, {"no_key": 1, "too_large": 1, "bad_time": 1}, 0)
    reasons = [PostNotSent("no_key"), PostNotSent("too_large"), PostNotSent("bad_time")]
    assert heard.notices == [*reasons, PostSent("post")]


def test_ticking_begins_at_once_and_ends_with_its_block(settings: Settings) -> None:
    """The first tick does not wait for a second to pass, and no thread is left."""
    ticked = threading.Event()

    def now_ms() -> int:
        ticked.set()
        return T0

    with _feed(settings) as feed:
        with Ticking(feed, now_ms, lambda: {"demo": T0 - 1}):
            assert ticked.wait(10)
        assert feed.flush(30)
        assert feed.tally.sent == {"tick": EmbeddedBroker.partitions}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ticks of")]
    assert all(len(records) == 1 for records in _written(settings).values())


# A producer that refuses: what a broker does to a batch with a bad record in it.


class Future:
    """What `send` gives back."""

    def __init__(self) -> None:
        self.ended: Callable[..., object] = lambda _: None
        self.failed: Callable[..., object] = lambda _: None

    def add_callback(self, called: Callable[..., object]) -> None:
        self.ended = called

    def add_errback(self, called: Callable[..., object]) -> None:
        self.failed = called


class Refusing:
    """Keeps records until it is flushed; a batch with a cursed record fails as a whole. One partition."""

    def __init__(
        self, cursed: frozenset[bytes | None] = frozenset(), away: bool = False, denial: KafkaError | None = None,
    ) -> None:
        self.cursed, self.away, self.denial = cursed, away, denial or InvalidTimestampError()
        self.log: list[tuple[bytes, bytes | None, int]] = []
        self.batches: list[int] = []
        self._waiting: list[tuple[Future, bytes, bytes | None, int]] = []

    def send(self, _topic: str, value: bytes | None, key: bytes, *, timestamp_ms: int, partition: int | None) -> Future:
        assert partition is None
        self._waiting.append((Future(), key, value, timestamp_ms))
        return self._waiting[-1][0]

    def flush(self, _timeout_s: float) -> None:
        if self.away:
            raise KafkaTimeoutError
        batch, self._waiting = self._waiting, []
        self.batches.append(len(batch))
        bad = any(value in self.cursed for _, _, value, _ in batch)
        for future, key, value, at_ms in batch:
            if not bad:
                self.log.append((key, value, at_ms))
                future.ended(None)
            else:
                future.failed(self.denial if value in self.cursed else KafkaError("in bad company"))

    def close(self, timeout: float) -> None:
        for future, *_ in self._waiting:
            future.failed(KafkaTimeoutError(f"not within {timeout} s"))


@contextmanager
def _refusing(producer: Refusing, **rules: Any) -> Iterator[Feed]:
    with (mock.patch("kafka.KafkaProducer", return_value=producer),
          mock.patch.object(streams.feed, "partitions", return_value=1),
          Feed(Settings(), "test", ["demo"], rules=Rules(create_time=True, **rules)) as feed):
        yield feed


def test_only_the_culprit_stays_refused() -> None:
    """The others of its batch are sent again, alone, in their order, and none is written twice."""
    producer = Refusing(frozenset({b"cursed"}))
    with _refusing(producer) as feed:
        for number, value in enumerate([b"a", b"cursed", b"b", b"c"]):
            feed.send(Said(T0 + number, str(number).encode(), value))
        assert feed.flush()
        assert feed.tally == ({"post": 3}, {"refused": 1}, 0)
    assert [value for _, value, _ in producer.log] == [b"a", b"b", b"c"]
    assert producer.batches == [4, 1, 1, 1, 1]


def test_whoever_asks_is_told_once_what_became_of_a_record() -> None:
    """Delivered, refused for its own sake, never sendable, or not delivered in time: each in its own word."""
    told: dict[str, list[str]] = {name: [] for name in ("good", "cursed", "no key", "late")}
    producer = Refusing(frozenset({b"cursed"}))
    with _refusing(producer) as feed:
        feed.send(Said(T0, b"1", b"good"), told["good"].append)
        feed.send(Said(T0, b"2", b"cursed"), told["cursed"].append)
        feed.send(Said(T0, b"", b"no key"), told["no key"].append)
        assert feed.flush()
        producer.away = True
        feed.send(Said(T0, b"3", b"late"), told["late"].append)
        feed.close(timeout_s=0)
    assert {"good": [""], "cursed": ["refused"], "no key": ["no_key"], "late": ["timeout"]} == told


def test_a_removal_waits_until_its_refused_post_is_written() -> None:
    """A post that failed in bad company is written again before its removal, never after it."""
    producer = Refusing(frozenset({b"cursed"}))
    with _refusing(producer) as feed:
        feed.send(Said(T0, b"key", b"post"))
        feed.send(Said(T0, b"other", b"cursed"))
        feed.send(Said(T0, b"key", None))
        assert feed.flush()
    assert [value for key, value, _ in producer.log if key == b"key"] == [b"post", None]


KEYS = st.sampled_from([b"k1", b"k2", b"k3", b"k4"])


@given(st.lists(st.tuples(KEYS, st.booleans(), st.integers(-50, 50)), max_size=30), st.integers(1, 8),
       st.sets(st.integers(0, 29), max_size=4))
def test_nothing_is_lost_and_no_key_is_reordered(
    said: list[tuple[bytes, bool, int]], room: int, cursed: set[int]
) -> None:
    """Whatever is refused: each record is written once or counted, keys keep their order, times never fall."""
    producer = Refusing(frozenset(b"%d" % number for number in cursed))
    handed = [Said(T0 + at, key, b"%d" % number if is_post else None) for number, (key, is_post, at) in enumerate(said)]
    with _refusing(producer, room=room) as feed:
        for one in handed:
            # The fake's thread is ours: it works only when it is flushed.
            if feed.tally.under_way >= room:
                producer.flush(0)
            feed.send(one)
        assert feed.flush()
        sent, not_sent, under_way = feed.tally
    kept = [one for one in handed if one.value not in producer.cursed]
    assert (sum(sent.values()), not_sent.get("refused", 0), under_way) == (len(kept), len(handed) - len(kept), 0)
    for key in {one.key for one in handed}:
        assert [value for k, value, _ in producer.log if k == key] == [one.value for one in kept if one.key == key]
    assert all(one <= other for (_, _, one), (_, _, other) in pairwise(producer.log))


def test_what_is_not_delivered_at_the_end_is_counted() -> None:
    """Closing while the broker is away ends in time, and every record under way becomes a counted error."""
    producer = Refusing(away=True)
    with _refusing(producer) as feed:
        feed.send(Said(T0, b"key", b"post"))
        feed.close(timeout_s=0)
        assert feed.tally == ({}, {"timeout": 1}, 0)


def test_a_feed_that_may_not_write_takes_nothing_more() -> None:
    """What was handed over is counted as not sent; whoever hands over more, or waits, hears that no delay will help."""
    producer = Refusing(frozenset({b"denied"}), denial=TopicAuthorizationFailedError())
    with _refusing(producer) as feed:
        feed.send(Said(T0, b"1", b"denied"))
        with pytest.raises(BadSetting, match=r"who does not log in may not write denyut\.posts"):
            feed.flush()
        with pytest.raises(BadSetting, match="may not write"):
            feed.send(Said(T0, b"2", b"another"))
        assert feed.tally == ({}, {"timeout": 1}, 0)
    assert not producer.log


def test_a_full_feed_makes_its_source_wait() -> None:
    """Above `room` records under way `send` does not return; it goes on when one is delivered."""
    producer = Refusing()
    passed = threading.Event()
    with _refusing(producer, room=2) as feed:
        feed.send(Said(T0, b"1"))
        feed.send(Said(T0, b"2"))

        def third() -> None:
            feed.send(Said(T0, b"3"))
            passed.set()

        source = threading.Thread(target=third)
        source.start()
        assert not passed.wait(0.05)
        assert feed.tally.under_way == 2
        producer.flush(0)
        assert passed.wait(10)
        source.join()
