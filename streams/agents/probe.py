"""Probe: waits for the broker and its topics, and proves that they keep what is promised, before a worker begins.

Knows nothing of posts, frames or figures.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from streams.heart.errors import LostBroker
from streams.keeping import MANY, breaches, named, refuse, same
from streams.knock import knock
from streams.topics import may_not_ask
from streams.wire import Wire

SAY_S = 10.0  # while we wait for something, a line this often
ANSWER_S = 10.0
KNOCK_S = 3.0  # for each step of it, and each broker: a stop waits for it
log = logging.getLogger("denyut.probe")


class Found(NamedTuple):
    """What a broker says of some topics, each by its full name."""

    partitions: dict[str, int]  # 0: not there, or not for us to describe
    policies: dict[str, dict[str, str]] | None  # empty: not for us to know; None: this broker has no policies


async def wait_for_topics(wire: Wire, topics: Sequence[str], *, replay: bool | None = None) -> int:
    """Waits until the broker answers and has all `topics`; says what is missing every 10 s. Returns their partitions.

    `replay`: whether posts are dated by their one feed, None: either will do. Raises `BadSetting` when a login is
    refused or a right is missing, when the topics do not have the same number of partitions, or when one of them breaks
    a promise: then a count might be lost, or a text kept that should be gone.
    """
    said_s = float("-inf")
    while True:
        try:
            await asyncio.to_thread(knock, wire, KNOCK_S)
            found = await _ask(wire, topics)
            absent = [topic for topic, count in found.partitions.items() if not count]
            if not absent:
                return prove(found, replay=replay)
            missing = f"{', '.join(absent)} not there yet: `denyut topics --create` makes the topics"
        except LostBroker as error:
            missing = str(error)
        if time.monotonic() - said_s >= SAY_S:
            said_s = time.monotonic()
            log.warning("%s; trying again", missing)
        await asyncio.sleep(1.0)


def prove(found: Found, *, replay: bool | None = None) -> int:
    """The number of partitions that these topics have. Raises `BadSetting`, naming every key that breaks a promise."""
    number = same({topic: count for topic, count in found.partitions.items() if _name(topic) in MANY})
    if found.policies is None:
        log.info("this broker has no policies to prove: it is the one inside the demo")
        return number
    for topic, theirs in found.policies.items():
        if not theirs:
            log.warning(may_not_ask(topic))
    refuse(breach for topic, theirs in found.policies.items() if theirs
           for breach in breaches(topic, named(_name(topic)), theirs, replay=replay))
    return number


def _name(topic: str) -> str:
    """Behind the prefix, which may have dots of its own."""
    return topic.rpartition(".")[2]


async def _ask(wire: Wire, topics: Sequence[str]) -> Found:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.client import AIOKafkaClient
    from aiokafka.errors import ClusterAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError

    near = {"request_timeout_ms": 5000, **wire.for_aiokafka()}
    client, admin = AIOKafkaClient(**near), AIOKafkaAdminClient(**near)
    try:
        await asyncio.wait_for(client.bootstrap(), ANSWER_S)
        # All topics, not these: asking for a topic by name may make the broker create it.
        cluster = await asyncio.wait_for(client.fetch_all_metadata(), ANSWER_S)
        counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}
        if not all(counts.values()):
            return Found(counts, {})
        await asyncio.wait_for(admin.start(), ANSWER_S)
        return Found(counts, await asyncio.wait_for(_policies(admin, topics), ANSWER_S))
    except (ClusterAuthorizationFailedError, TopicAuthorizationFailedError) as error:
        raise wire.denied("describe", ", ".join(topics), error) from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise LostBroker(f"no Kafka broker answers at {wire} ({type(error).__name__})") from None
    finally:
        await admin.close()
        await client.close()


async def _policies(admin: Any, topics: Sequence[str]) -> dict[str, dict[str, str]] | None:
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
    from aiokafka.errors import IncompatibleBrokerVersion, TopicAuthorizationFailedError, for_code

    try:
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics])
    except IncompatibleBrokerVersion:  # it does not list the request: the broker inside the demo; every Kafka does
        return None
    found = {}
    for code, _, _, topic, entries in (one for answer in answers for one in answer.resources):
        if code and for_code(code) is not TopicAuthorizationFailedError:
            raise for_code(code)(topic)
        found[topic] = {entry[0]: str(entry[1]) for entry in entries}
    return found
