"""Topics: the one place that makes them, and that asks whether they keep what is promised.

    denyut.posts      the only one that carries text: compacted, so that a removal takes the text out within 24 h
    denyut.mentions   frames of rows and floors: the state of the counting workers; ids are gone with it
    denyut.swings     what happened to public mood, step by step, for long
    denyut.rejects    reason codes and coordinates of what was no post
    denyut.blocks     sealed state
    denyut.cursors    where each source goes on

Only `denyut topics --create` makes topics. Everybody else asks the broker how many partitions there are, and does not
start where a topic breaks a promise (streams/keeping.py has the table).
Knows nothing of what is in a record.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from streams.heart.errors import BadSetting, LostBroker
from streams.keeping import MANY, TOPICS, Topic, breaches, named, parts, policy_of, refuse, same
from streams.knock import knock
from streams.settings import Settings
from streams.wire import Wire

PATIENCE_MS = 10_000
EMBEDDED = (2, 0)  # what kafka-python must be told when it talks to the in-process broker
PAIRED = ("posts", "mentions")  # without both of them nothing that is written counts
log = logging.getLogger("denyut.topics")


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
    of partitions, then `settings.partitions`. Raises `BadSetting` when topics that need the same number disagree in it,
    when the broker refuses a topic or our login, and `LostBroker` when there is none.
    """
    with admin_of(Wire.of(settings)) as admin:
        found = counts(admin, settings)
        there = {settings.topic(name): found[name] for name in MANY if name in found}
        number = same(there) if there else settings.partitions
        missing = {}
        for topic in TOPICS:
            if topic.name not in found:
                missing[settings.topic(topic.name)] = _asked(topic, number, settings.replication, replay)
        if missing:
            _create(admin, missing)
        kept = {settings.topic(topic.name): policy_of(topic, replay=replay) for topic in TOPICS if topic.name in found}
        differs = _differences(admin, kept)
    made = []
    for topic in TOPICS:
        name = settings.topic(topic.name)
        state = State.CREATED if name in missing else State.OTHER if differs.get(name) else State.THERE
        partitions = found.get(topic.name, number if topic.many else 1)
        made.append(Made(name, partitions, state, differs.get(name, ())))
    return made


def partitions(settings: Settings, *, embedded: bool = False, dates: bool = False) -> int:
    """How many partitions posts and mentions have, asked from the broker (`embedded`: the one inside this process).

    For whoever writes posts: proves as well that theirs keeps what is promised. `dates`: the caller gives each record a
    time; then, also without a public clock, the topic may take it. Raises `BadSetting` when one of them is missing,
    when they disagree, or when posts are kept otherwise; `LostBroker` when nobody answers.
    """
    with admin_of(Wire.of(settings), embedded=embedded) as admin:
        found = counts(admin, settings)
        if missing := [settings.topic(name) for name in PAIRED if name not in found]:
            raise BadSetting(f"{settings.brokers} has no topic {' and no topic '.join(missing)}, or none for this user "
                             f"to describe: `denyut topics --create` makes what is missing, or "
                             f"DENYUT_PREFIX={settings.prefix} is another's")
        number = same({settings.topic(name): found[name] for name in PAIRED})
        if not embedded:  # the embedded broker keeps all it can, and has no policies to ask for
            _prove(admin, settings, replay=True if settings.clock else None if dates else False)
    return number


def policy(settings: Settings, name: str) -> dict[str, str]:
    """The policy that the broker has for a topic of ours: key -> value; empty where it does not say it to us.

    Raises `BadSetting`, `LostBroker`.
    """
    topic = settings.topic(name)
    with admin_of(Wire.of(settings)) as admin:
        return policies(admin, [topic])[topic]


@contextlib.contextmanager
def admin_of(wire: Wire, *, embedded: bool = False, patience_ms: int = PATIENCE_MS) -> Iterator[Any]:
    """kafka-python's admin client, within a `with`. Raises `LostBroker`, or `BadSetting` where a login is refused or a
    right is missing.
    """
    from kafka import KafkaAdminClient
    from kafka.errors import AuthorizationError, KafkaError

    near: dict[str, Any] = {"bootstrap_timeout_ms": patience_ms, "request_timeout_ms": patience_ms}
    if embedded:
        near["api_version"] = EMBEDDED
    knock(wire, patience_ms / 2000)  # a client that fails to start leaks sockets, and does not say why
    try:
        with KafkaAdminClient(**wire.for_kafka_python(), **near) as admin:
            yield admin
    except AuthorizationError as error:
        raise wire.denied("describe", f"the topics of {wire}", error) from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise LostBroker(f"Kafka at {wire} does not answer: {error}") from error


def counts(admin: Any, settings: Settings) -> dict[str, int]:
    """Which of ours are there -> how many partitions each has. Those that we may not describe are not there for us."""
    ours = {settings.topic(topic.name): topic.name for topic in TOPICS}
    there = {about["name"]: about["partitions"] for about in admin.describe_topics() if not about["error_code"]}
    return {ours[name]: len(parts) for name, parts in there.items() if name in ours and parts}


def policies(admin: Any, topics: Sequence[str]) -> dict[str, dict[str, str]]:
    """Topic, by its full name -> its policy, key -> value; empty where the broker does not say it, or not to us."""
    from kafka.admin import ConfigResource, ConfigResourceType

    if not topics:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics]
    said = admin.describe_configs(asked, config_filter="all").get("topic", {})
    return {name: {key: str(one["value"]) for key, one in said.get(name, {}).items()} for name in topics}


def may_not_ask(topic: str) -> str:
    """What to say where a broker does not say a topic's policy to us."""
    return f"how {topic} is kept is not proven: give this user DescribeConfigs on the topic, and the broker says it"


def _prove(admin: Any, settings: Settings, replay: bool | None) -> None:
    """Raises `BadSetting` where the topic of posts breaks a promise; `replay` as in `breaches`."""
    topic = settings.topic("posts")
    theirs = policies(admin, [topic])[topic]
    if theirs:
        refuse(breaches(topic, named("posts"), theirs, replay=replay))
    else:
        log.warning(may_not_ask(topic))


def _asked(topic: Topic, number: int, replication: int, replay: bool) -> dict[str, Any]:
    configs = policy_of(topic, replay=replay)
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
    """Topic -> where its policy is not the one asked for, whether or not that breaks anything."""
    said = policies(admin, list(kept))
    for name in kept:
        if not said[name]:
            log.warning(may_not_ask(name))
    return {name: tuple(f"{key}: {said[name].get(key)}, not {value}" for key, value in ours.items()
                        if parts(said[name].get(key, "")) != parts(value))
            for name, ours in kept.items() if said[name]}
