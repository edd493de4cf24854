"""Keeping: what a broker may have instead of our policies, and what would break a promise."""

import pytest

from streams.agents.probe import Found, prove
from streams.embedded import EmbeddedBroker
from streams.heart.errors import BadSetting
from streams.keeping import DAY, HOUR, MANY, TOPICS, Breach, breaches, named, policy_of, refuse, same
from streams.wire import Wire

LIMIT = str((1 << 63) - 1)


def found(name: str, **changed: str | None) -> list[str]:
    """The keys that break a promise when a topic is ours but for `changed` (None: the broker does not say it)."""
    theirs = policy_of(named(name)) | {key.replace("_", "."): value for key, value in changed.items()}
    return [breach.key for breach in breaches(f"denyut.{name}", named(name), {
        key: value for key, value in theirs.items() if value is not None})]


@pytest.mark.parametrize("topic", TOPICS, ids=[topic.name for topic in TOPICS])
def test_what_we_make_breaks_nothing(topic: object) -> None:
    """Every topic of ours passes its own rules, and every rule that can stop a start says why."""
    (ours,) = (one for one in TOPICS if one is topic)
    assert [] == breaches("denyut.x", ours, policy_of(ours))
    assert all(rule.free or rule.why for rule in ours.rules.values())


def test_what_is_more_careful_passes() -> None:
    """Text and ids may go sooner, removals work faster, tombstones stay longer, records be larger."""
    assert [] == found("posts", retention_ms=str(2 * DAY), max_compaction_lag_ms=str(13 * HOUR), segment_ms="60000")
    assert [] == found("posts", delete_retention_ms=str(30 * DAY), min_compaction_lag_ms=str(13 * HOUR))
    assert [] == found("mentions", max_message_bytes="8000000", segment_ms="1000")
    assert [] == found("blocks", min_cleanable_dirty_ratio="0.5", delete_retention_ms=str(9 * DAY))
    assert [] == found("posts", cleanup_policy="delete, compact")


def test_where_sources_go_on_is_soon_cleaned_and_an_older_topic_stops_nobody() -> None:
    """A feed reads all of it when it starts. One made without these keys is slower to read, and loses nothing."""
    ours = policy_of(named("cursors"))
    assert HOUR == int(ours["segment.ms"])
    assert 2 * HOUR >= int(ours["max.compaction.lag.ms"])
    assert 0.1 >= float(ours["min.cleanable.dirty.ratio"])
    assert [] == found("cursors", segment_ms=str(7 * DAY), min_cleanable_dirty_ratio="0.5", max_compaction_lag_ms=LIMIT)


@pytest.mark.parametrize(("name", "key", "theirs"), [
    ("posts", "cleanup.policy", "delete"), ("posts", "cleanup.policy", "compact"),
    ("posts", "message.timestamp.type", "CreateTime"), ("posts", "retention.ms", "-1"),
    ("posts", "retention.ms", str(8 * DAY)), ("posts", "retention.ms", str(12 * HOUR)),
    ("posts", "retention.bytes", "1000000000"), ("posts", "segment.ms", str(7 * DAY)),
    ("posts", "min.compaction.lag.ms", "0"), ("posts", "max.compaction.lag.ms", LIMIT),
    ("posts", "delete.retention.ms", str(DAY)), ("mentions", "cleanup.policy", "compact,delete"),
    ("mentions", "retention.ms", str(25 * HOUR)), ("mentions", "retention.ms", str(7 * DAY)),
    ("mentions", "max.message.bytes", "1048588"), ("mentions", "segment.ms", str(7 * DAY)),
    ("swings", "cleanup.policy", "compact"), ("swings", "max.compaction.lag.ms", LIMIT),
    ("rejects", "cleanup.policy", "compact"), ("blocks", "cleanup.policy", "delete"),
    ("blocks", "retention.ms", str(400 * DAY)), ("blocks", "max.compaction.lag.ms", LIMIT),
    ("cursors", "cleanup.policy", "compact,delete"), ("posts", "retention.ms", "soon"),
])
def test_what_breaks_a_promise_is_named(name: str, key: str, theirs: str) -> None:
    """The key, and no other; for posts by the feed's time the key is retention, which must be without end then."""
    broken = breaches(f"denyut.{name}", named(name), policy_of(named(name)) | {key: theirs})
    wanted = "retention.ms" if theirs == "CreateTime" else key
    assert [wanted] == [one.key for one in broken]
    with pytest.raises(BadSetting, match=rf"denyut\.{name} has {wanted}=.*expected .*kafka-configs"):
        refuse(broken)


def test_a_key_that_the_broker_does_not_know_is_not_kept() -> None:
    """An old broker that has no such policy does not clean either."""
    assert ["max.compaction.lag.ms"] == found("posts", max_compaction_lag_ms=None)
    assert "has max.compaction.lag.ms=not there" in str(Breach("t", "max.compaction.lag.ms", None, "20h", "why"))


def test_a_replay_is_kept_for_ever_by_the_feeds_time() -> None:
    """Both together, or neither; where a replay is wanted the broker's time is wrong."""
    posts, replay = named("posts"), policy_of(named("posts"), replay=True)
    assert [] == breaches("t", posts, replay)
    assert [] == breaches("t", posts, replay, replay=True)
    assert ["message.timestamp.type", "retention.ms"] == [
        one.key for one in breaches("t", posts, policy_of(posts), replay=True)]


def test_a_replay_is_refused_where_there_is_no_public_clock() -> None:
    """A topic that keeps all text for ever is not live because it says so itself."""
    there = Found({"denyut.posts": 3}, {"denyut.posts": policy_of(named("posts"), replay=True)})
    assert 3 == prove(there) == prove(there, replay=True)
    with pytest.raises(BadSetting, match=r"type=CreateTime, expected LogAppendTime.*retention\.ms=-1"):
        prove(there, replay=False)


def test_topics_of_different_sizes_are_refused() -> None:
    """A brand's partition is a number modulo one count."""
    with pytest.raises(BadSetting, match=r"posts has 12, denyut\.mentions has 4"):
        same({"denyut.posts": 12, "denyut.mentions": 4})


def test_only_topics_with_a_partition_per_partition_are_counted() -> None:
    """Swings and cursors have one; a prefix may have dots."""
    counts = {f"a.b.{topic.name}": 12 if topic.name in MANY else 1 for topic in TOPICS}
    assert 12 == prove(Found(counts, {f"a.b.{topic.name}": policy_of(topic) for topic in TOPICS}))
    with pytest.raises(BadSetting, match=r"a\.b\.posts has 12.*a\.b\.blocks has 3"):
        prove(Found(counts | {"a.b.blocks": 3}, None))


def test_a_policy_that_is_not_for_us_to_know_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """It names the permission, and the start goes on; what we are told of the others is proven all the same."""
    counts = {"denyut.posts": 3, "denyut.mentions": 3}
    assert 3 == prove(Found(counts, {"denyut.posts": {}, "denyut.mentions": policy_of(named("mentions"))}))
    assert ["how denyut.posts is kept is not proven: give this user DescribeConfigs on the topic, and the broker says "
            "it"] == [record.getMessage() for record in caplog.records]
    with pytest.raises(BadSetting, match=r"retention\.ms"):
        prove(Found(counts, {"denyut.posts": {}, "denyut.mentions": policy_of(named("mentions")) | {
            "retention.ms": "1000"}}))


def test_the_embedded_broker_has_no_policies(caplog: pytest.LogCaptureFixture) -> None:
    """It does not know the request: that, and no other refusal, is why nothing is proven there."""
    import asyncio

    from streams.agents.probe import wait_for_topics

    with EmbeddedBroker() as broker, caplog.at_level("INFO", "denyut.probe"):
        topics = [f"denyut.{topic.name}" for topic in TOPICS]
        assert broker.partitions == asyncio.run(wait_for_topics(Wire(broker.address), topics))
    assert "no policies to prove" in caplog.text
