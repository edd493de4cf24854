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

    class PatientConsumer(app.transport.Consumer):  # type: ignore[misc]
        def _new_consumer_thread(self) -> Any:
            return PatientThread(self, loop=self.loop, beacon=self.beacon)

    app.transport.Producer, app.transport.Consumer = PatientProducer, PatientConsumer


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
