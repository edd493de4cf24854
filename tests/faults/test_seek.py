"""After a change of assignment reading goes on from what was committed, also from a place that aiokafka passes by.

Faust drops what it had read ahead, and asks aiokafka to go back. A worker would never see the first records of a topic
again if they were read within the few milliseconds in which an assignment changes.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from streams.agents.app import pulse_app, score_app
from streams.settings import Settings
from streams.topics import create
from tests.faults.kafka import Kafka

RECORDS = 5


class Thread:
    """What Faust's consumer asks of the thread that has aiokafka's."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def _ensure_consumer(self) -> Any:
        return self._consumer

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._consumer.seek(place, offset)

    async def seek_to_committed(self) -> Any:
        return await self._consumer.seek_to_committed()

    async def call_thread(self, what: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        return await what(*args)


async def after_reading(kafka: Kafka, committed: int | None, seek: Callable[[Any], Awaitable[Any]]) -> int:
    """Where a consumer stands that has read all of a topic, and was then sought to what its group had committed."""
    settings = Settings(brokers=kafka.address, prefix=f"seek-{uuid.uuid4().hex[:8]}", partitions=1)
    await asyncio.to_thread(create, settings)
    place = TopicPartition(settings.topic("mentions"), 0)
    async with AIOKafkaProducer(bootstrap_servers=kafka.address) as producer:
        for number in range(RECORDS):
            await producer.send_and_wait(place.topic, b"%d" % number)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.address, group_id=settings.prefix, enable_auto_commit=False,
                                auto_offset_reset="earliest")
    async with consumer:
        consumer.assign([place])
        if committed is not None:
            await consumer.commit({place: committed})
        while await consumer.position(place) < RECORDS:
            await consumer.getmany(place, timeout_ms=1000)
        await seek(consumer)
        return int(await consumer.position(place))


@pytest.mark.parametrize(("committed", "stands"), [(3, 3), (0, RECORDS), (None, RECORDS)])
def test_aiokafka_passes_by_the_beginning(kafka: Kafka, committed: int | None, stands: int) -> None:
    """The fact that we go round; should it change one day, what goes round it can go."""
    assert stands == asyncio.run(after_reading(kafka, committed, lambda consumer: consumer.seek_to_committed()))


@pytest.mark.parametrize("made", [score_app, pulse_app])
@pytest.mark.parametrize(("committed", "stands"), [(3, 3), (0, 0), (None, 0)])
def test_our_consumer_goes_back_to_the_beginning(
        kafka: Kafka, made: Callable[[Settings], Any], committed: int | None, stands: int) -> None:
    """Of both workers: to a place of 0, and to where a group begins that has committed nothing yet."""
    async def seek(consumer: Any) -> None:
        kind = made(Settings(brokers=kafka.address)).transport.Consumer
        ours = object.__new__(kind)  # without the services of a whole worker, that it does not ask for here
        ours._thread = Thread(consumer)
        await ours.seek_to_committed()

    assert stands == asyncio.run(after_reading(kafka, committed, seek))
