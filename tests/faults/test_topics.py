"""Topics are made as the table says, once, by a real broker; and nothing starts where they are kept otherwise."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from streams.heart.errors import BadSetting, LostBroker
from streams.keeping import HOUR, TOPICS, named, policy_of
from streams.settings import Settings
from streams.topics import State, create, partitions
from tests.faults.kafka import Kafka

_number = count()


@pytest.fixture
def settings(kafka: Kafka) -> Callable[..., Settings]:
    """Settings with a prefix of the test's own."""
    prefix = f"topics{next(_number)}"
    return lambda partitions=12, replication=1: Settings(
        brokers=kafka.address, prefix=prefix, partitions=partitions, replication=replication)


def _configs(kafka: Kafka, topic: str) -> dict[str, str]:
    with KafkaAdminClient(bootstrap_servers=kafka.address) as admin:
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic)]
        said = admin.describe_configs(asked, config_filter="all")["topic"][topic]
    return {key: one["value"] for key, one in said.items()}


def _make(kafka: Kafka, topic: str, partitions: int, configs: Mapping[str, str] | None = None) -> None:
    asked = {"num_partitions": partitions, "replication_factor": 1, "configs": dict(configs or {})}
    with KafkaAdminClient(bootstrap_servers=kafka.address) as admin:
        admin.create_topics({topic: asked}, wait_for_metadata=True)


def _grow(kafka: Kafka, topic: str, partitions: int) -> None:
    with KafkaAdminClient(bootstrap_servers=kafka.address) as admin:
        admin.create_partitions({topic: partitions})


def _start(settings: Settings, *words: str) -> tuple[int, str]:
    """`denyut WORDS`: the exit code, and what it said on its standard error."""
    environ = {name: said for name, said in os.environ.items() if not name.startswith("DENYUT_")}
    environ |= {"DENYUT_BROKERS": settings.brokers, "DENYUT_PREFIX": settings.prefix, "DENYUT_HTTP": "127.0.0.1:0"}
    done = subprocess.run([sys.executable, "-P", "-m", "streams.cli", *words], env=environ, capture_output=True,
                          text=True, timeout=120, check=False)
    return done.returncode, done.stderr


def test_topics_have_the_policies_of_the_table(kafka: Kafka, settings: Callable[..., Settings]) -> None:
    """Every policy arrives at the broker, and posts and mentions have the partitions asked for."""
    made = create(settings(partitions=5))
    assert [one.state for one in made] == [State.CREATED] * len(TOPICS)
    assert [one.partitions for one in made] == [5 if topic.many else 1 for topic in TOPICS]
    assert partitions(settings()) == 5
    posts = _configs(kafka, settings().topic("posts"))
    assert set(posts["cleanup.policy"].split(",")) == {"compact", "delete"}
    assert posts["message.timestamp.type"] == "LogAppendTime"
    assert {key: int(posts[key]) // 3_600_000 for key in (
        "retention.ms", "segment.ms", "min.compaction.lag.ms", "max.compaction.lag.ms", "delete.retention.ms",
    )} == {"retention.ms": 168, "segment.ms": 1, "min.compaction.lag.ms": 12, "max.compaction.lag.ms": 20,
           "delete.retention.ms": 168}
    mentions = _configs(kafka, settings().topic("mentions"))
    assert (mentions["cleanup.policy"], int(mentions["retention.ms"])) == ("delete", 26 * 3_600_000)


def test_a_second_time_changes_nothing(settings: Callable[..., Settings]) -> None:
    """Idempotent, also when another number of partitions is asked for: what is there decides."""
    create(settings(partitions=3))
    again = create(settings(partitions=12))
    assert {one.state for one in again} == {State.THERE}
    assert partitions(settings()) == 3


def test_what_is_missing_is_made_to_fit(kafka: Kafka, settings: Callable[..., Settings]) -> None:
    """With posts there already, mentions get its number of partitions; the foreign policy is reported."""
    _make(kafka, settings().topic("posts"), 7)
    made = {one.topic: one for one in create(settings(partitions=12))}
    assert made[settings().topic("mentions")].partitions == 7
    posts = made[settings().topic("posts")]
    assert posts.state is State.OTHER
    assert "message.timestamp.type: CreateTime, not LogAppendTime" in posts.differs


def test_posts_and_mentions_must_agree(kafka: Kafka, settings: Callable[..., Settings]) -> None:
    """Another number of partitions on each side is an error that names both."""
    _make(kafka, settings().topic("posts"), 3)
    _make(kafka, settings().topic("mentions"), 4)
    for ask in (create, partitions):
        with pytest.raises(BadSetting, match=r"posts has 3, .*mentions has 4 partitions"):
            ask(settings())


@pytest.mark.parametrize("name", ["rejects", "blocks"])
def test_what_no_worker_could_use_is_not_made_beside_it(
    kafka: Kafka, settings: Callable[..., Settings], name: str
) -> None:
    """A number that differs is said by whoever makes topics, not by each worker in turn."""
    create(settings(partitions=3))
    _grow(kafka, settings().topic(name), 4)
    with pytest.raises(BadSetting, match=rf"posts has 3, .*{name} has 4.* partitions"):
        create(settings())


def test_posts_without_mentions_are_not_fed(kafka: Kafka, settings: Callable[..., Settings]) -> None:
    """Nor mentions without posts: whichever is missing is named, and nothing is made by asking."""
    for there, missing in (("mentions", "posts"), ("posts", "mentions")):
        asked = replace(settings(), prefix=f"{settings().prefix}-{there}")
        _make(kafka, asked.topic(there), 3, policy_of(named(there)))
        with pytest.raises(BadSetting, match=rf"has no topic {asked.topic(missing)}, or none for this user"):
            partitions(asked)


def test_what_is_kept_otherwise_is_said_by_who_makes_topics(
    kafka: Kafka, settings: Callable[..., Settings]
) -> None:
    """On its standard error, one line for each key; a second time as well."""
    _make(kafka, settings().topic("posts"), 3, {**policy_of(named("posts")), "segment.ms": "60000"})
    for _ in range(2):
        code, said = _start(settings(), "topics", "--create")
        assert 0 == code
        assert [f"denyut: {settings().topic('posts')} was there, with segment.ms: 60000, not 3600000"] == [
            line for line in said.splitlines() if "was there" in line]


def test_missing_topics_are_said_to_be_missing(settings: Callable[..., Settings]) -> None:
    """Asking makes nothing; the message says which command does."""
    with pytest.raises(BadSetting, match="topics --create"):
        partitions(settings())


def test_a_refusal_is_the_users(settings: Callable[..., Settings]) -> None:
    """More copies than brokers cannot be had."""
    with pytest.raises(BadSetting, match=r"refuses to make .*posts"):
        create(settings(replication=3))


def test_nobody_there_is_a_lost_broker() -> None:
    """No answer is nobody's fault, and comes in bounded time."""
    with pytest.raises(LostBroker, match=r"no Kafka broker answers at 127\.0\.0\.1:1"):
        create(Settings(brokers="127.0.0.1:1"))


@pytest.mark.parametrize("replay", [False, True])
def test_arrival_is_the_brokers_time_but_in_a_replay(
    kafka: Kafka, settings: Callable[..., Settings], replay: bool
) -> None:
    """A producer's time counts for nothing in the live topic, and for everything in a replay's."""
    create(settings(partitions=1), replay=replay)
    topic = settings().topic("posts")
    with KafkaProducer(bootstrap_servers=kafka.address, enable_idempotence=False) as producer:
        producer.send(topic, b"?", b"demo:0123456789", timestamp_ms=1_577_836_800_000).get(30)
    consumer = KafkaConsumer(bootstrap_servers=kafka.address, group_id=None, enable_auto_commit=False)
    tp = TopicPartition(topic, 0)
    consumer.assign([tp])
    consumer.seek_to_beginning(tp)
    records = consumer.poll(30_000)[tp]
    consumer.close()
    assert (records[0].timestamp == 1_577_836_800_000) is replay


FEED, SCORE, PULSE = ("feed", "public", "--for", "1"), ("work", "score"), ("work", "pulse")
WRONG = [
    (FEED, "posts", {"retention.ms": "1209600000"}, "1209600000 (14d), expected at least 86400000 (1d) and at most "
                                                    "604800000 (7d)"),
    *((words, "posts", {"message.timestamp.type": "CreateTime", "retention.ms": "-1"},
       "CreateTime, expected LogAppendTime") for words in (FEED, SCORE, PULSE)),
    (SCORE, "posts", {"min.compaction.lag.ms": "3600000"}, "3600000 (1h), expected at least 43200000 (12h)"),
    (SCORE, "mentions", {"max.message.bytes": "1000000"}, "1000000, expected at least 4000000"),
    (PULSE, "mentions", {"cleanup.policy": "compact"}, "compact, expected delete"),
    (PULSE, "blocks", {"max.compaction.lag.ms": "9223372036854775807"}, "9223372036854775807 (for ever), expected at "
                                                                               "most 72000000 (20h)"),
    (PULSE, "swings", {"segment.ms": "604800000"}, "604800000 (7d), expected at most 14400000 (4h)"),
]


@pytest.mark.parametrize(("words", "name", "wrong", "says"), WRONG, ids=[f"{w[1]}-{n}" for w, n, _, _ in WRONG])
def test_a_topic_that_breaks_a_promise_stops_the_start(
    kafka: Kafka, settings: Callable[..., Settings], words: tuple[str, ...], name: str, wrong: dict[str, str], says: str
) -> None:
    """Exit code 2, and one line that names topic, key and both numbers."""
    topic = settings().topic(name)
    _make(kafka, topic, 12 if named(name).many else 1, {**policy_of(named(name)), **wrong})
    create(settings())
    code, said = _start(settings(), *words)
    assert (2, True) == (code, f"{topic} has {next(iter(wrong))}={says}" in said), said


@pytest.mark.parametrize(("words", "name"), [(FEED, "mentions"), (SCORE, "rejects"), (PULSE, "blocks")],
                         ids=["feed", "score", "pulse"])
def test_a_topic_with_another_number_of_partitions_stops_the_start(
    kafka: Kafka, settings: Callable[..., Settings], words: tuple[str, ...], name: str
) -> None:
    """Exit code 2, and both numbers."""
    topic = settings().topic(name)
    create(settings(partitions=3))
    _grow(kafka, topic, 4)
    code, said = _start(settings(), *words)
    assert 2 == code, said
    assert f"{settings().topic('posts')} has 3" in said
    assert f"{topic} has 4" in said


def test_what_is_kept_more_carefully_is_not_in_the_way(kafka: Kafka, settings: Callable[..., Settings]) -> None:
    """Text that goes sooner than we promise is nobody's loss."""
    careful = {"retention.ms": str(48 * HOUR), "max.compaction.lag.ms": str(14 * HOUR), "segment.ms": str(HOUR // 2)}
    _make(kafka, settings().topic("posts"), 3, {**policy_of(named("posts")), **careful})
    create(settings())
    assert 3 == partitions(settings())


def test_a_public_clock_asks_for_the_feeds_times(kafka: Kafka, settings: Callable[..., Settings]) -> None:
    """By the broker's time each post of a replay would be late; the start says so."""
    create(settings())
    replaying = Settings(brokers=kafka.address, prefix=settings().prefix, clock="1577836800000@1795586400000x240")
    with pytest.raises(BadSetting, match=r"type=LogAppendTime, expected CreateTime"):
        partitions(replaying)
