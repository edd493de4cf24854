"""Topics: which there are, how long each keeps what, and the one place that makes them.

    denyut.posts      the only one that carries text: compacted, so that a removal takes the text out within 24 h
    denyut.mentions   frames of rows and floors: the state of the counting workers; ids are gone with it
    denyut.swings     what happened to public mood, step by step, for long
    denyut.rejects    reason codes and coordinates of what was no post
    denyut.blocks     sealed state
    denyut.cursors    where each source goes on

Only `denyut topics --create` makes topics. Everybody else asks the broker how many partitions there are.
Knows nothing of what is in a record.
"""

import contextlib
import logging
import socket
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from streams.heart.errors import BadSetting, LostBroker
from streams.settings import Settings

PATIENCE_MS = 10_000
EMBEDDED = (2, 0)  # what kafka-python must be told when it talks to the in-process broker
log = logging.getLogger("denyut.topics")

_MIN = 60_000
_HOUR = 60 * _MIN
_DAY = 24 * _HOUR


class Topic(NamedTuple):
    """One topic: its name behind the prefix, whether it has a partition per partition of posts, its policy."""

    name: str
    many: bool
    policy: Mapping[str, str | int]


TOPICS = (
    # A removal is written as null; compaction takes the text out when its segment is closed (1 h) and at the latest
    # 20 h after the record was written. No sooner than 12 h: scoring may be down for so long and misses nothing.
    # LogAppendTime, because arrival decides what is late, and no producer's clock may.
    Topic("posts", True, {
        "cleanup.policy": "compact,delete",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": 7 * _DAY,
        "segment.ms": _HOUR,
        "min.compaction.lag.ms": 12 * _HOUR,
        "max.compaction.lag.ms": 20 * _HOUR,
        "delete.retention.ms": 7 * _DAY,
    }),
    # Only closed segments are deleted: the default of a week would keep ids for a week. The broker's time, because a
    # worker's clock in the future would keep a segment for ever.
    Topic("mentions", True, {
        "cleanup.policy": "delete",
        "max.message.bytes": 4_000_000,  # a frame that carries the removals of a whole account
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": 26 * _HOUR,
        "segment.ms": 30 * _MIN,
    }),
    # Long enough to look up the same season of last year.
    Topic("swings", False, {"cleanup.policy": "compact,delete", "retention.ms": 400 * _DAY}),
    Topic("rejects", True, {"cleanup.policy": "delete", "retention.ms": 7 * _DAY}),
    Topic("blocks", True, {"cleanup.policy": "compact,delete", "retention.ms": 14 * _DAY}),
    Topic("cursors", False, {"cleanup.policy": "compact"}),
)
PAIRED = ("posts", "mentions")  # the same number of partitions, or nothing works

# A replay writes its posts' own, old times: with the policies above they would be late at once, and soon deleted.
REPLAY = {"message.timestamp.type": "CreateTime", "retention.ms": -1}


class State(StrEnum):
    """What `create` found or did."""

    CREATED = "created"
    THERE = "there"
    OTHER = "other policy"


class Made(NamedTuple):
    """One topic after `create`. `differs` says where its policy is another one than ours: `key: theirs, not ours`."""

    topic: str
    partitions: int
    state: State
    differs: tuple[str, ...] = ()


def create(settings: Settings, *, replay: bool = False) -> list[Made]:
    """Makes the topics that are not there and leaves the others as they are; a second time it changes nothing.

    With `replay` the topic of posts takes the times that its one feed gives. What is there already decides the number
    of partitions, then `settings.partitions`. Raises `BadSetting` when posts and mentions disagree in it, when the
    broker refuses a topic, and `LostBroker` when there is none.
    """
    with _admin(settings.brokers) as admin:
        found = _found(admin, settings)
        number = _agreed(settings, found) or settings.partitions
        missing = {}
        for topic in TOPICS:
            if topic.name not in found:
                missing[settings.topic(topic.name)] = _asked(topic, number, settings.replication, replay)
        if missing:
            _create(admin, missing)
        kept = {settings.topic(topic.name): _policy(topic, replay) for topic in TOPICS if topic.name in found}
        differs = _differences(admin, kept)
    made = []
    for topic in TOPICS:
        name = settings.topic(topic.name)
        state = State.CREATED if name in missing else State.OTHER if differs.get(name) else State.THERE
        partitions = found.get(topic.name, number if topic.many else 1)
        made.append(Made(name, partitions, state, differs.get(name, ())))
    return made


def partitions(settings: Settings, *, embedded: bool = False) -> int:
    """How many partitions posts and mentions have, asked from the broker (`embedded`: the one inside this process).

    Raises `BadSetting` when they are missing or disagree, `LostBroker` when nobody answers.
    """
    with _admin(settings.brokers, embedded=embedded) as admin:
        number = _agreed(settings, _found(admin, settings))
    if number is None:
        raise BadSetting(f"{settings.brokers} has no topic {settings.topic('posts')}: "
                         f"`denyut topics --create` makes it, or DENYUT_PREFIX={settings.prefix} is another's")
    return number


def policy(settings: Settings, name: str) -> dict[str, str]:
    """The policy that the broker has for a topic of ours: key -> value. Raises `LostBroker`."""
    from kafka.admin import ConfigResource, ConfigResourceType

    topic = settings.topic(name)
    with _admin(settings.brokers) as admin:
        said = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
    return {key: str(one["value"]) for key, one in said.get("topic", {}).get(topic, {}).items()}


@contextlib.contextmanager
def _admin(brokers: str, *, embedded: bool = False) -> Iterator[Any]:
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    near: dict[str, Any] = {"bootstrap_timeout_ms": PATIENCE_MS, "request_timeout_ms": PATIENCE_MS}
    if embedded:
        near["api_version"] = EMBEDDED
    _knock(brokers)
    try:
        with KafkaAdminClient(bootstrap_servers=brokers.split(","), **near) as admin:
            yield admin
    except (KafkaError, OSError, TimeoutError) as error:
        raise LostBroker(f"Kafka at {brokers} does not answer: {error}") from error


def _knock(brokers: str) -> None:
    """Raises `LostBroker` when none of the addresses takes a connection: a client that fails to start leaks sockets."""
    why: OSError | None = None
    for address in brokers.split(","):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5.0).close()
        except OSError as error:
            why = error
        else:
            return
    raise LostBroker(f"no connection to {brokers} ({why})")


def _found(admin: Any, settings: Settings) -> dict[str, int]:
    """Which of ours are there -> how many partitions each has."""
    ours = {settings.topic(topic.name): topic.name for topic in TOPICS}
    there = {about["name"]: about["partitions"] for about in admin.describe_topics() if not about["error_code"]}
    return {ours[name]: len(parts) for name, parts in there.items() if name in ours and parts}


def _agreed(settings: Settings, found: Mapping[str, int]) -> int | None:
    """The number of partitions that posts and mentions have; None where neither is there."""
    counts = {settings.topic(name): found[name] for name in PAIRED if name in found}
    if len(set(counts.values())) > 1:
        said = " and ".join(f"{name} has {count}" for name, count in counts.items())
        raise BadSetting(f"{said} partitions: both need the same number; delete one of them, "
                         f"or choose new topics by another DENYUT_PREFIX")
    return next(iter(counts.values()), None)


def _policy(topic: Topic, replay: bool) -> dict[str, str]:
    changed = REPLAY if replay and topic.name == "posts" else {}
    return {key: str(value) for key, value in {**topic.policy, **changed}.items()}


def _asked(topic: Topic, number: int, replication: int, replay: bool) -> dict[str, Any]:
    configs = _policy(topic, replay)
    if replication >= 3:
        configs["min.insync.replicas"] = "2"  # one broker may go, and what was acknowledged stays
    return {"num_partitions": number if topic.many else 1, "replication_factor": replication, "configs": configs}


def _create(admin: Any, missing: Mapping[str, Mapping[str, Any]]) -> None:
    from kafka.errors import BrokerResponseError, RetriableError, TopicAlreadyExistsError

    for name, asked in missing.items():
        try:
            admin.create_topics({name: asked}, wait_for_metadata=True)
        except TopicAlreadyExistsError:  # somebody else makes them too, at this moment
            log.info("%s was made by somebody else", name)
        except RetriableError:
            raise
        except BrokerResponseError as error:
            raise BadSetting(f"the broker refuses to make {name}: {error}") from None


def _differences(admin: Any, kept: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    """Topic -> where its policy is not the one asked for."""
    from kafka.admin import ConfigResource, ConfigResourceType

    if not kept:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in kept]
    said = admin.describe_configs(asked, config_filter="all").get("topic", {})
    differs = {}
    for name, policy in kept.items():
        theirs = {key: one["value"] for key, one in said.get(name, {}).items()}
        differs[name] = tuple(f"{key}: {theirs.get(key)}, not {value}" for key, value in policy.items()
                              if _parts(theirs.get(key)) != _parts(value))
    return differs


def _parts(said: str | None) -> set[str]:
    """A list in a policy means the same in any order."""
    return set((said or "").split(","))
