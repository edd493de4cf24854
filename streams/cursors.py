"""Cursors: where a source goes on after a restart, in `denyut.cursors`.

    key    source, or source/part          value  {"schema": 1, "position": "…"}

A position is written only when everything before it is delivered. What it means is the source's affair; no id or name
of a person stands in it. The topic is compacted: of each key the last record stands. What is known to stand there is
not written again.
Blocking. Knows nothing of sources or posts.
"""

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from streams.heart.errors import LostBroker
from streams.settings import Settings
from streams.wire import Wire

SCHEMA = 1
PATIENCE_S = 20.0  # without a single record, or an answer; how long all of it takes is a question of how much there is
_QUICK: dict[str, Any] = {"allow_auto_create_topics": False, "bootstrap_timeout_ms": 10_000,
                          "reconnect_backoff_max_ms": 1000, "request_timeout_ms": 10_000}


class Cursor(msgspec.Struct, frozen=True):
    """The value of a record."""

    position: str
    schema: int = SCHEMA


_decode = msgspec.json.Decoder(Cursor).decode


class Cursors:
    """The positions of one source. One thread at a time."""

    def __init__(self, settings: Settings, source: str) -> None:
        self._wire = Wire.of(settings)
        self._topic = settings.topic("cursors")
        self._source = source
        self._producer: Any = None
        self._there: dict[str, str] = {}  # as we wrote it last

    def read(self) -> dict[str, str]:
        """Part -> position; what cannot be read is passed by. Raises `LostBroker`; `BadSetting` when we may not."""
        from kafka import KafkaConsumer, TopicPartition
        from kafka.errors import AuthorizationError, KafkaError

        at = TopicPartition(self._topic, 0)
        found: dict[str, str] = {}
        until_s = time.monotonic() + PATIENCE_S
        consumer = None
        try:
            consumer = KafkaConsumer(enable_auto_commit=False, auto_offset_reset="earliest", metrics_enabled=False,
                                     **_QUICK, **self._wire.for_kafka_python())
            consumer.assign([at])
            end = consumer.end_offsets([at])[at]
            consumer.seek_to_beginning(at)
            while consumer.position(at) < end:
                records = consumer.poll(timeout_ms=500).get(at, ())
                for record in records:
                    self._take(found, record.key, record.value)
                if records:
                    until_s = time.monotonic() + PATIENCE_S
                elif time.monotonic() > until_s:
                    raise LostBroker(f"{self._topic} cannot be read: no answer")
        except AuthorizationError as error:
            raise self._wire.denied("read", self._topic, error) from error
        except (KafkaError, OSError, TimeoutError) as error:
            raise LostBroker(f"{self._topic} cannot be read: {error}") from error
        finally:
            if consumer is not None:
                consumer.close()
        return found

    def _take(self, found: dict[str, str], key: bytes | None, value: bytes | None) -> None:
        source, _, part = (key or b"").decode("utf-8", "replace").partition("/")
        if source != self._source:
            return
        try:
            found[part] = _decode(value or b"").position
        except (msgspec.DecodeError, UnicodeDecodeError):
            found.pop(part, None)

    def write(self, positions: Mapping[str, str]) -> None:
        """Writes positions, and waits until they are there. Raises `LostBroker`; `BadSetting` when we may not."""
        from kafka.errors import AuthorizationError, KafkaError

        positions = {part: position for part, position in positions.items() if self._there.get(part) != position}
        if not positions:
            return
        try:
            if self._producer is None:
                self._producer = self._connected()
            sent = [self._producer.send(self._topic, msgspec.json.encode(Cursor(position)), self._key(part))
                    for part, position in positions.items()]
            for one in sent:
                one.get(timeout=PATIENCE_S)
            self._there.update(positions)
        except AuthorizationError as error:
            raise self._wire.denied("write", self._topic, error) from error
        except (KafkaError, OSError, TimeoutError) as error:
            raise LostBroker(f"{self._topic} takes no position: {error}") from error

    def _key(self, part: str) -> bytes:
        return (f"{self._source}/{part}" if part else self._source).encode()

    def _connected(self) -> Any:
        from kafka import KafkaProducer

        return KafkaProducer(acks="all", enable_idempotence=False, max_in_flight_requests_per_connection=1,
                             compression_type="lz4", metrics_enabled=False, delivery_timeout_ms=15_000,
                             max_block_ms=10_000, **_QUICK, **self._wire.for_kafka_python())

    def close(self) -> None:
        """Ends its connection."""
        from kafka.errors import KafkaError

        if self._producer is not None:
            try:
                self._producer.close(timeout=1.0)
            except KafkaError:
                self._producer._sender.force_close()
            self._producer = None
