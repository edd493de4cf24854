"""A broker that goes away while a worker starts is waited for."""

import asyncio
import threading
import time
import uuid

import pytest
from kafka import KafkaProducer

from streams.agents.app import score_app
from streams.settings import Settings
from tests.faults.kafka import Kafka

WAIT_S = 90.0


@pytest.mark.slow
def test_an_app_that_starts_without_its_broker_waits_for_it(kafka: Kafka) -> None:
    """Faust alone would end with a traceback; here the app starts when the broker is back, and reads."""
    settings = Settings(brokers=kafka.address, prefix=f"patient-{uuid.uuid4().hex[:8]}")
    kafka.create_topics(1, settings.prefix)
    with KafkaProducer(bootstrap_servers=kafka.address, enable_idempotence=False) as producer:
        producer.send(settings.topic("posts"), b"v", b"k").get(WAIT_S)
    kafka.kill()
    read: list[bytes] = []

    async def work() -> None:
        app = score_app(settings)

        @app.agent(app.topic(settings.topic("posts"), key_type=bytes, value_type=bytes, key_serializer="raw",
                             value_serializer="raw"))  # type: ignore[untyped-decorator]
        async def reader(stream: object) -> None:
            async for one in stream:  # type: ignore[attr-defined]
                read.append(one)  # noqa: PERF401  # it never ends

        starting = asyncio.create_task(app.start())
        await asyncio.sleep(2.5)  # long enough for Faust to have given up
        assert not starting.done()
        await asyncio.to_thread(kafka.start)
        await asyncio.wait_for(starting, WAIT_S)
        give_up = time.monotonic() + WAIT_S
        while not read:
            assert time.monotonic() < give_up
            await asyncio.sleep(0.1)
        await app.stop()

    # The broker ends with the thread that started it: a thread of the test's own would end too soon.
    assert threading.current_thread() is threading.main_thread()
    try:
        asyncio.run(work())
    finally:
        kafka.stop()
    assert read == [b"v"]
