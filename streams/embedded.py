"""Embedded broker: a Kafka of 5 MB inside this process, for the demo and for tests that need no more.

    with EmbeddedBroker() as broker:
        ... broker.address ...

It is librdkafka's mock cluster. It keeps what it is given in memory, about 5 MB a partition, the oldest goes first;
nothing outlives the process. Topics appear on first use with `partitions` partitions, and a consumer group may have one
member: several workers of a kind need a real Kafka.
kafka-python reads its answers only when told `API_VERSION`.
Knows nothing of topics, posts or workers.
"""

import time
from types import TracebackType
from typing import Any, Self

from streams.heart.errors import LostBroker

API_VERSION = (2, 0)  # for kafka-python; it cannot decode what the mock says of its versions. aiokafka needs no help.
PARTITIONS = 4  # of every topic; the mock has no other
PATIENCE_S = 10.0


class EmbeddedBroker:
    """One broker on a free port of 127.0.0.1. Runs from its making until `close`.

    Raises `LostBroker` when it does not come up.
    """

    partitions = PARTITIONS
    api_version = API_VERSION

    def __init__(self) -> None:
        from confluent_kafka import Producer

        # The cluster lives as long as this client does. What it logs are its own connections.
        self._client: Any = Producer({
            "test.mock.num.brokers": 1, "bootstrap.servers": "embedded", "log_level": 0,
        })
        self.address = self._address()

    def _address(self) -> str:
        """Host and port, which the client knows a moment after its making."""
        until_s = time.monotonic() + PATIENCE_S
        while True:
            brokers = self._client.list_topics(timeout=PATIENCE_S).brokers.values()
            for broker in brokers:
                return f"{broker.host}:{broker.port}"
            if time.monotonic() > until_s:
                raise LostBroker("the embedded broker did not start")

    def close(self) -> None:
        """Ends it; what it held is gone."""
        self._client = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
