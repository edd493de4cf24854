"""The feed against a real broker: what it refuses, and what becomes of posts while it is away."""

import os
import threading
import time
from itertools import count
from typing import NamedTuple

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from streams.feed import Feed, Rules
from streams.heart.errors import BadSetting
from streams.keeping import named, policy_of
from streams.settings import Settings
from streams.topics import create
from tests.faults.kafka import Kafka

T0 = 1_577_836_800_000
PARTITIONS = 3
_number = count()


class Said(NamedTuple):
    """What a source hands over."""

    at_ms: int
    key: bytes
    value: bytes | None = b"{}"


@pytest.fixture
def settings(kafka: Kafka) -> Settings:
    """Settings with a prefix of the test's own."""
    return Settings(brokers=kafka.address, prefix=f"feed{next(_number)}", partitions=PARTITIONS)


def _written(settings: Settings) -> list[tuple[bytes, bytes | None]]:
    consumer = KafkaConsumer(bootstrap_servers=settings.brokers, group_id=None)
    try:
        tps = [TopicPartition(settings.topic("posts"), number) for number in range(PARTITIONS)]
        consumer.assign(tps)
        consumer.seek_to_beginning(*tps)
        ends, written = consumer.end_offsets(tps), []
        while any(consumer.position(tp) < end for tp, end in ends.items()):
            for records in consumer.poll(1000).values():
                written += [(record.key, record.value) for record in records]
        return written
    finally:
        consumer.close()


def test_a_refused_post_takes_nobody_with_it(kafka: Kafka, settings: Settings) -> None:
    """One that the broker refuses for good is counted, one that it refuses for now is not; all others are written."""
    strict = {**policy_of(named("posts"), replay=True), "message.timestamp.before.max.ms": str(3_600_000),
              "max.message.bytes": "20000"}
    with KafkaAdminClient(bootstrap_servers=kafka.address) as admin:
        admin.create_topics({settings.topic("posts"): {
            "num_partitions": PARTITIONS, "replication_factor": 1, "configs": strict}}, wait_for_metadata=True)
    create(settings)
    now_ms = int(time.time() * 1000)
    old, large = b"demo:too-old-0", b"demo:too-large"
    others = [b"demo:%08d" % number for number in range(60)]
    with Feed(settings, "test", ["demo"], rules=Rules(create_time=True, linger_ms=200)) as feed:
        feed.send(Said(T0, old))  # takes its whole batch with it; sent again, it bears the time of the others
        for key in others:
            feed.send(Said(now_ms, key))
        feed.send(Said(now_ms, large, os.urandom(50_000)))
        assert feed.flush(60)
        assert feed.send(Said(now_ms, b"demo:later-00"))
        assert feed.flush(60)
        assert feed.tally == ({"post": 62}, {"refused": 1}, 0)
    assert sorted(key for key, _ in _written(settings)) == sorted([old, *others, b"demo:later-00"])


@pytest.mark.slow
def test_nothing_is_lost_when_the_broker_is_killed(kafka: Kafka, settings: Settings) -> None:
    """Posts and removals sent across a kill -9 are all written, and each removal after its post."""
    create(settings)
    keys = [b"demo:%08d" % number for number in range(4000)]
    killed = threading.Event()
    with Feed(settings, "test", ["demo"], rules=Rules(room=500)) as feed:

        def source() -> None:
            for number, key in enumerate(keys):
                feed.send(Said(0, key, b"a post"))
                if number == len(keys) // 4:
                    killed.wait(30)
            for key in keys[::8]:
                feed.send(Said(0, key, None))

        thread = threading.Thread(target=source)
        thread.start()
        while feed.tally.sent.get("post", 0) < 500:
            assert thread.is_alive()
        kafka.kill()
        killed.set()
        kafka.start()
        thread.join(120)
        assert feed.flush(120)
        assert feed.tally == ({"post": 4000, "removal": 500}, {}, 0)
    last = dict(_written(settings))
    assert last == {key: None if number % 8 == 0 else b"a post" for number, key in enumerate(keys)}


@pytest.mark.slow
def test_what_waited_too_long_is_counted(kafka: Kafka, settings: Settings) -> None:
    """With the broker away for longer than the delivery time, each record becomes a counted error; later ones pass."""
    create(settings)
    with Feed(settings, "test", ["demo"], rules=Rules(delivery_ms=2000)) as feed:
        feed.send(Said(0, b"demo:before-0"))
        assert feed.flush(30)
        kafka.kill()
        feed.send(Said(0, b"demo:during-0"))
        assert feed.flush(60)
        assert feed.tally == ({"post": 1}, {"timeout": 1}, 0)
        kafka.start()
        for number in range(100):
            feed.send(Said(0, b"demo:after-%02d" % number))
        assert feed.flush(60)
        sent, not_sent, under_way = feed.tally
        assert sum(sent.values()) + sum(not_sent.values()) == 102
        assert under_way == 0
    assert len(_written(settings)) >= sent["post"]


def test_missing_topics_are_said_at_the_start(settings: Settings) -> None:
    """A feed makes no topics."""
    with pytest.raises(BadSetting, match="topics --create"):
        Feed(settings, "test", ["demo"])


@pytest.mark.slow
def test_a_feed_waits_for_its_broker(kafka: Kafka, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """Started before Kafka, a feed says what it waits for, and goes on when it is there."""
    create(settings)
    kafka.stop()
    feeds: list[Feed] = []
    thread = threading.Thread(target=lambda: feeds.append(Feed(settings, "test", ["demo"])))
    thread.start()
    while not caplog.records:
        assert thread.is_alive()
    kafka.start()
    thread.join(60)
    with feeds[0] as feed:
        feed.tick(T0)
        assert feed.flush(30)
        assert feed.tally.sent == {"tick": PARTITIONS}
    assert f"waiting for Kafka: no Kafka broker answers at {kafka.address}" in caplog.text
