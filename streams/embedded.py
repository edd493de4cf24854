"""Embedded: a Kafka broker inside this process, for the demo and for tests. No Java, no Docker, nothing on disk.

It is librdkafka's mock cluster, from the wheel of confluent-kafka. Its ways: topics appear when they are first asked
for and have 4 partitions; one worker per consumer group; about 5 MB of a partition are kept, the oldest go first;
nothing is compacted and nothing refused; kafka-python must be told `api_version=(2, 0)`.
Knows nothing of what is written to it.
"""

from types import TracebackType
from typing import Any, Self

from streams.keeping import TOPICS

PARTITIONS = 4
PATIENCE_S = 5.0


class EmbeddedBroker:
    """One broker, serving from birth until `close`. Other processes of this machine may use it too."""

    partitions = PARTITIONS

    def __init__(self, prefix: str = "denyut") -> None:
        """Makes Denyut's topics at once, with `prefix`."""
        from confluent_kafka import Producer

        # The cluster lives in this object and dies with it. "x" is never asked: the mock puts its own address there.
        self._cluster: Any = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "x", "log_level": 0})
        broker = next(iter(self._cluster.list_topics(timeout=PATIENCE_S).brokers.values()))
        self.address = f"{broker.host}:{broker.port}"

        self.make(prefix)

    def make(self, prefix: str) -> None:
        """Makes Denyut's topics once more, with another prefix. What is there stays."""
        for topic in TOPICS:
            self._cluster.list_topics(f"{prefix}.{topic.name}", timeout=PATIENCE_S)

    def close(self) -> None:
        """Ends it; what was written is gone."""
        self._cluster = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
