"""Patient: a worker whose broker goes away between the first look at it and Faust's own start waits for it.

Faust's producer and consumer connect once, and the worker would end with a traceback. A broker that has just come back
may answer that there is no broker, and then aiokafka's membership dies of it in silence. Here each of them tries again
for as long as the worker is wanted; what cannot be mended by waiting (a refused login) goes through.
Knows nothing of topics, groups or what is read.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from streams.logs import OFTEN

AGAIN_S = 1.0
TRIES, TRY_S = 10, 0.2  # less than a session in all, or the leader would be put out meanwhile
often = logging.getLogger(OFTEN)


def fit_patience(app: Any) -> None:
    """Gives the app a producer and a consumer that wait. After its consumer's class is chosen, before either starts."""
    from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Producer

    class PatientProducer(Producer):  # type: ignore[misc]
        async def on_start(self) -> None:
            await patiently(super().on_start, self, "_producer")

    class PatientThread(AIOKafkaConsumerThread):  # type: ignore[misc]
        async def on_start(self) -> None:
            await patiently(super().on_start, self, "_consumer")
            know_topics(self._consumer)

    class PatientConsumer(app.transport.Consumer):  # type: ignore[misc]
        def _new_consumer_thread(self) -> Any:
            return PatientThread(self, loop=self.loop, beacon=self.beacon)

    app.transport.Producer, app.transport.Consumer = PatientProducer, PatientConsumer


def know_topics(consumer: Any) -> None:
    """Lets the leader of a group hand out partitions when it knows of them, and not before.

    A broker that has just come back may not tell yet which partitions a topic has; aiokafka then hands out none, and
    nobody asks again. After `TRIES` it goes on as it would: the topic may be gone.
    """
    coordinator = consumer._coordinator
    hand_out = coordinator._perform_assignment

    async def handed_out(response: Any) -> Any:
        for _ in range(TRIES):
            if all(coordinator._cluster.partitions_for_topic(topic) for topic in consumer.subscription()):
                break
            often.warning("Kafka does not tell yet which partitions there are; asking again before any is handed out")
            await coordinator._client.force_metadata_update()
            await asyncio.sleep(TRY_S)
        return await hand_out(response)

    coordinator._perform_assignment = handed_out


def _brokers(client: Any) -> int:
    """How many brokers the client was told of. aiokafka's producer and consumer keep it under two names."""
    return len((client.client if hasattr(client, "client") else client._client).cluster.brokers())


async def patiently(start: Callable[[], Awaitable[None]], owner: Any, client: str) -> None:
    """Starts until it succeeds, or `owner` is to stop. `client`: the name under which `owner` keeps aiokafka's."""
    from aiokafka.errors import KafkaConnectionError

    while True:
        try:
            await start()
            if _brokers(getattr(owner, client)):
                return
            raise KafkaConnectionError("no broker among the brokers")
        except KafkaConnectionError as error:
            failed = getattr(owner, client)
            setattr(owner, client, None)
            if failed is not None:
                await failed.stop()
            if owner.should_stop or owner.app.should_stop:
                raise
            often.warning("Kafka went away while this worker started (%s); trying again", type(error).__name__)
            await asyncio.sleep(AGAIN_S)
