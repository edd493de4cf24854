"""Replay: partitions of a log, read back at full speed.

Without a group: this reading moves nobody's position. It goes up to where the log ended when it began, and no further:
what was written since, by anyone, comes by the live way.
Knows nothing of frames, trackers or assignments.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from streams.heart.errors import LostBroker
from streams.wire import Wire

RECORDS = 64  # a call: parsing 64 records of 100 kB holds the event loop for about 15 ms
PATIENCE_S = 30.0  # without an answer: nobody's move but to try again, from the beginning


class Chunk(NamedTuple):
    """Some records of one partition, in order. `after` is the offset that follows them; `last`: the end is reached.

    `keys` and `arrivals` (ms) belong to `values`, one each; None: the record is null.
    """

    partition: int
    values: tuple[bytes | None, ...]
    after: int
    last: bool
    keys: tuple[bytes | None, ...] = ()
    arrivals: tuple[int, ...] = ()


async def read_back(
    wire: Wire, topic: str, starts: Mapping[int, int], wanted: Callable[[], bool] = lambda: True
) -> AsyncIterator[Chunk]:
    """Reads partitions (partition -> first offset, 0: the whole log) up to their present ends, all at once.

    Every partition ends with a chunk whose `last` is True, also an empty one; without it, it was not read to its end:
    `wanted()` turned False. A log that no longer holds its first offset is read from what it still holds.
    Raises `LostBroker` when Kafka does not answer for 30 s.
    """
    async with _reader(wire, topic) as consumer:
        async for chunk in _read(consumer, topic, starts, wanted):
            yield chunk


async def bounds(wire: Wire, topic: str, partitions: Collection[int]) -> dict[int, tuple[int, int]]:
    """Partition -> its first offset, and the one after its last. Raises `LostBroker`."""
    from aiokafka import TopicPartition

    async with _reader(wire, topic) as consumer:
        of = {partition: TopicPartition(topic, partition) for partition in partitions}
        ends = await asyncio.wait_for(consumer.end_offsets(list(of.values())), PATIENCE_S)
        begins = await asyncio.wait_for(consumer.beginning_offsets(list(of.values())), PATIENCE_S)
        return {partition: (begins[tp], ends[tp]) for partition, tp in of.items()}


@asynccontextmanager
async def _reader(wire: Wire, topic: str) -> AsyncIterator[Any]:
    """A consumer without a group; what goes wrong with it is `LostBroker`."""
    import aiokafka
    from aiokafka.errors import KafkaError

    consumer = aiokafka.AIOKafkaConsumer(
        **wire.for_aiokafka(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4_000_000,
        fetch_max_bytes=8_000_000,  # an answer is taken in at one go: one of 50 MB holds the event loop for 75 ms
        retry_backoff_ms=200,
    )
    try:
        await asyncio.wait_for(consumer.start(), PATIENCE_S)
        yield consumer
    except (KafkaError, TimeoutError, ConnectionError) as error:
        raise LostBroker(f"reading {topic} back: {error or 'no answer'}") from error
    finally:
        await consumer.stop()


def _chunk(partition: int, records: Sequence[Any], end: int) -> Chunk:
    after = records[-1].offset + 1
    return Chunk(partition, tuple(record.value for record in records), after, after >= end,
                 tuple(record.key for record in records), tuple(record.timestamp for record in records))


async def _read(
    consumer: Any, topic: str, starts: Mapping[int, int], wanted: Callable[[], bool]
) -> AsyncIterator[Chunk]:
    from aiokafka import TopicPartition

    of = {partition: TopicPartition(topic, partition) for partition in starts}
    consumer.assign(list(of.values()))
    # Once, at the beginning: a zombie may go on writing for as long as we read.
    ends = await asyncio.wait_for(consumer.end_offsets(list(of.values())), PATIENCE_S)
    begins = await asyncio.wait_for(consumer.beginning_offsets(list(of.values())), PATIENCE_S)
    left = dict(of)
    for partition, tp in of.items():
        first = max(starts[partition], begins[tp])
        if first >= ends[tp]:
            consumer.pause(tp)
            del left[partition]
            yield Chunk(partition, (), ends[tp], True)
        else:
            consumer.seek(tp, first)
    heard = asyncio.get_running_loop().time()
    while left and wanted():
        got = await consumer.getmany(*left.values(), timeout_ms=500, max_records=RECORDS)
        now = asyncio.get_running_loop().time()
        heard = now if got else heard
        if now - heard > PATIENCE_S:
            raise TimeoutError(f"no record for {PATIENCE_S:.0f} s")
        for tp, records in got.items():
            chunk = _chunk(tp.partition, records, ends[tp])
            if chunk.last:
                consumer.pause(tp)
                del left[tp.partition]
            yield chunk
        if not got:
            # The last offsets may hold no record (a transaction's end); the position passes them all the same.
            for tp in list(left.values()):
                if (after := await consumer.position(tp)) >= ends[tp]:
                    consumer.pause(tp)
                    del left[tp.partition]
                    yield Chunk(tp.partition, (), after, True)
