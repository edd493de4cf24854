"""The embedded broker does what the demo asks of it."""

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams.embedded import EmbeddedBroker
from streams.settings import Settings
from streams.topics import EMBEDDED, partitions


def test_a_record_comes_back_as_it_was_sent() -> None:
    """Key, null value, and the sender's time survive."""
    with EmbeddedBroker() as broker:
        near = {"bootstrap_servers": broker.address, "api_version": EMBEDDED}
        with KafkaProducer(**near, enable_idempotence=False, acks="all", compression_type="lz4") as producer:
            producer.send("d.posts", key=b"a", value=b"1", partition=2, timestamp_ms=1_577_836_800_000).get(10)
            producer.send("d.posts", key=b"a", value=None, partition=2, timestamp_ms=1_577_836_800_001).get(10)
        consumer = KafkaConsumer(**near, group_id=None, auto_offset_reset="earliest")
        consumer.assign([TopicPartition("d.posts", 2)])
        seen: list[tuple[bytes, bytes | None, int]] = []
        while len(seen) < 2:
            for records in consumer.poll(500).values():
                seen += [(one.key, one.value, one.timestamp) for one in records]
        consumer.close()
    assert seen == [(b"a", b"1", 1_577_836_800_000), (b"a", None, 1_577_836_800_001)]


def test_asking_for_the_topics_makes_them() -> None:
    """Whoever waits for the topics finds them, with as many partitions as the broker says."""
    with EmbeddedBroker() as broker:
        assert partitions(Settings(brokers=broker.address), embedded=True) == broker.partitions


def test_two_brokers_know_nothing_of_each_other() -> None:
    """Each has a port and a memory of its own."""
    with EmbeddedBroker() as one, EmbeddedBroker() as other:
        assert one.address != other.address
