"""The broker of these tests is one: it keeps what it was given, whatever becomes of its process."""

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from tests.faults.kafka import Kafka


def _topic(kafka: Kafka, name: str) -> str:
    with KafkaAdminClient(bootstrap_servers=kafka.address) as admin:
        admin.create_topics({name: {"num_partitions": 1, "replication_factor": 1}})
    return name


def _write(kafka: Kafka, topic: str, *values: bytes) -> None:
    with KafkaProducer(bootstrap_servers=kafka.address, enable_idempotence=False) as producer:
        for value in values:
            producer.send(topic, value).get(30)


def _read(kafka: Kafka, topic: str) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=kafka.address, enable_auto_commit=False, group_id=None)
    try:
        tp = TopicPartition(topic, 0)
        consumer.assign([tp])
        consumer.seek_to_beginning(tp)
        end, values = consumer.end_offsets([tp])[tp], []
        while consumer.position(tp) < end:
            values += [record.value for records in consumer.poll(1000).values() for record in records]
        return values
    finally:
        consumer.close()


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_what_was_written_outlives_the_process(kafka: Kafka, end: str) -> None:
    """After kill -9, and after an orderly stop, the same address gives the same records and takes new ones."""
    topic, address = _topic(kafka, f"kept-{end}"), kafka.address
    _write(kafka, topic, b"before")
    getattr(kafka, end)()
    assert not kafka.running
    kafka.start()
    assert kafka.address == address
    _write(kafka, topic, b"after")
    assert _read(kafka, topic) == [b"before", b"after"]


def test_a_frozen_broker_thaws(kafka: Kafka) -> None:
    """Frozen, it is there and silent; afterwards it serves on."""
    topic = _topic(kafka, "thawed")
    with kafka.frozen():
        assert kafka.running
    _write(kafka, topic, b"again")
    assert _read(kafka, topic) == [b"again"]


def test_topics_are_made_only_on_request(kafka: Kafka) -> None:
    """A name that nobody made stays unknown, as in production."""
    with KafkaAdminClient(bootstrap_servers=kafka.address) as admin:
        assert "never-made" not in admin.list_topics()
        kafka.create_topics(partitions=3, prefix="made")
        assert {"made.posts", "made.mentions"} <= set(admin.list_topics())
