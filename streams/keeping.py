"""Keeping: which topics there are, how long each keeps what, and which of that is a promise.

    a topic ──▶ a rule for each key: what we set, and what may stand there instead ──▶ what a broker has ──▶ breaches

A topic that is merely kept more carefully than ours passes: text that goes sooner, a removal that works faster. What
would lose a count, keep a text longer than we say, or let a removed text come back is a breach, and stops a start.
Knows nothing of how a broker is asked.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from streams.heart.errors import BadSetting

MIN = 60_000
HOUR = 60 * MIN
DAY = 24 * HOUR
FOR_EVER = -1
MAKE_NEW = "choose another DENYUT_PREFIX and let `denyut topics --create` make new ones"
_WITHOUT_END = 1 << 62  # what brokers say for "no limit" where -1 is none of the values


class Rule(NamedTuple):
    """One key of a policy. `value` is what we set; `least` and `most`, inclusive, are what else keeps the promise.

    Neither given: exactly ours. With `free` no value breaks anything. -1 is for ever, more than any number.
    """

    value: str | int | float
    why: str = ""
    least: int | None = None
    most: int | None = None
    free: bool = False

    def allows(self, theirs: str | None) -> bool:
        """Whether what a broker says keeps the promise. None: it does not say it.

        >>> Rule(7 * DAY, "text goes", most=7 * DAY).allows("-1"), Rule("a,b", "both").allows("b,a")
        (False, True)
        """
        if self.free:
            return True
        if theirs is None:
            return False
        if self.least is None and self.most is None:
            return parts(theirs) == parts(str(self.value))
        try:
            number = int(theirs)
        except ValueError:
            return False
        number = _WITHOUT_END if number < 0 else number
        return (self.least is None or number >= self.least) and (self.most is None or number <= self.most)

    def expected(self, key: str) -> str:
        """What would do.

        >>> Rule(HOUR, "", most=4 * HOUR).expected("segment.ms"), Rule("compact").expected("cleanup.policy")
        ('at most 14400000 (4h)', 'compact')
        """
        if self.least is None and self.most is None:
            return shown(key, self.value)
        words = (("at least", self.least), ("at most", self.most))
        return " and ".join(f"{word} {shown(key, bound)}" for word, bound in words if bound is not None)


class Topic(NamedTuple):
    """One topic: its name behind the prefix, whether it has a partition per partition of posts, its rules."""

    name: str
    many: bool
    rules: Mapping[str, Rule]

    @property
    def policy(self) -> Mapping[str, str | int | float]:
        """What `denyut topics --create` sets: key -> value."""
        return {key: rule.value for key, rule in self.rules.items()}


class Breach(NamedTuple):
    """One key of a topic that breaks a promise. `theirs`: what the broker has, None where it does not say."""

    topic: str
    key: str
    theirs: str | None
    expected: str
    why: str

    def __str__(self) -> str:
        theirs = "not there" if self.theirs is None else shown(self.key, self.theirs)
        return f"{self.topic} has {self.key}={theirs}, expected {self.expected} ({self.why})"


_BROKERS_TIME = "arrival decides what is late, and when it goes; no producer's clock may"
_BY_AGE_ALONE = "what goes by size goes before anybody knows whether it is still needed"

TOPICS = (
    # A removal is written as null; compaction takes the text out when its segment is closed and 20 h after the record
    # was written at the latest. Lag and segment together stay within the 24 h that we promise.
    Topic("posts", True, {
        "cleanup.policy": Rule("compact,delete", "removed text goes by the one, all text by the other"),
        "message.timestamp.type": Rule("LogAppendTime", _BROKERS_TIME),
        "retention.ms": Rule(7 * DAY, "text goes after 7 days, and no sooner than scoring may be down",
                             least=DAY, most=7 * DAY),
        "retention.bytes": Rule(FOR_EVER, _BY_AGE_ALONE),
        "segment.ms": Rule(HOUR, "only a closed segment is cleaned: with the lag, within 24 h", most=4 * HOUR),
        "min.compaction.lag.ms": Rule(12 * HOUR, "scoring may be down for 12 h and misses no version", least=12 * HOUR),
        "max.compaction.lag.ms": Rule(20 * HOUR, "removed text is gone within 24 h", most=20 * HOUR),
        "delete.retention.ms": Rule(7 * DAY, "a removal is known for as long as its post could stand there, or a feed "
                                             "would bring it back", least=7 * DAY),
    }),
    # Only closed segments are deleted: the default of a week would keep ids for a week.
    Topic("mentions", True, {
        "cleanup.policy": Rule("delete", "every frame counts; none stands for another"),
        "max.message.bytes": Rule(4_000_000, "a frame may carry the removals of a whole account", least=4_000_000),
        "message.timestamp.type": Rule("LogAppendTime", _BROKERS_TIME),
        "retention.ms": Rule(26 * HOUR, "counting may be down for 24 h, and ids go soon after",
                             least=26 * HOUR, most=30 * HOUR),
        "retention.bytes": Rule(FOR_EVER, _BY_AGE_ALONE),
        "segment.ms": Rule(30 * MIN, "ids go when their segment does", most=2 * HOUR),
    }),
    # Long enough to look up the same season of last year. An explained step is written again, under the same key, when
    # a post that it quotes is removed: what it said before goes within a day. Steps are few, so a segment is closed by
    # its age; 3 h make it three thousand files in 400 days at most, and leave the cleaner an hour.
    Topic("swings", False, {
        "cleanup.policy": Rule("compact,delete", "what was written again goes by the one, what is old by the other"),
        "message.timestamp.type": Rule("LogAppendTime", _BROKERS_TIME),
        "retention.ms": Rule(400 * DAY, "keys of posts are not kept for ever, a swing that goes on is",
                             least=7 * DAY, most=400 * DAY),
        "segment.ms": Rule(3 * HOUR, "only a closed segment is cleaned: with the lag, within 24 h", most=4 * HOUR),
        "max.compaction.lag.ms": Rule(20 * HOUR, "what quoted a removed post is gone within 24 h", most=20 * HOUR),
    }),
    # Coordinates and reasons, no text; they have no key, and a topic that is compacted refuses what has none.
    Topic("rejects", True, {
        "cleanup.policy": Rule("delete", "a reject has no key, and compaction asks for one"),
        "retention.ms": Rule(7 * DAY, free=True),
    }),
    # Sealed state, its keys hashes of authors' hours: gone within 26 h of being replaced. Blocks come every 10 minutes
    # and replace each other, so cleaning begins when a fifth of a log is stale.
    Topic("blocks", True, {
        "cleanup.policy": Rule("compact,delete", "what was replaced goes by the one, what is forgotten by the other"),
        "message.timestamp.type": Rule("LogAppendTime", _BROKERS_TIME),
        "retention.ms": Rule(14 * DAY, "what a brand's mood usually is outlives a pause, and no block its use",
                             least=2 * DAY, most=14 * DAY),
        "retention.bytes": Rule(FOR_EVER, _BY_AGE_ALONE),
        "segment.ms": Rule(HOUR, "only a closed segment is cleaned: with the lag, within 26 h", most=4 * HOUR),
        "max.compaction.lag.ms": Rule(20 * HOUR, "what was replaced is gone within 26 h", most=20 * HOUR),
        "min.cleanable.dirty.ratio": Rule(0.2, free=True),
        "delete.retention.ms": Rule(DAY, "who reads while the cleaner runs sees what was taken back",
                                    least=HOUR),
    }),
    # A feed reads all of it when it starts, and writes some records a second: Kafka's own defaults would leave a week
    # of them uncleaned, for nothing in the segment that is written to is. Free: who has it so loses time, no count.
    Topic("cursors", False, {
        "cleanup.policy": Rule("compact", "a quiet source's last position is kept for ever"),
        "segment.ms": Rule(HOUR, free=True),
        "min.cleanable.dirty.ratio": Rule(0.1, free=True),
        "max.compaction.lag.ms": Rule(2 * HOUR, free=True),
    }),
)
MANY = tuple(topic.name for topic in TOPICS if topic.many)

# A replay writes its posts' own, old times: with the rules above they would be late at once, and soon deleted.
REPLAY = {
    "message.timestamp.type": Rule("CreateTime", "a replay's posts arrive when its one feed says"),
    "retention.ms": Rule(FOR_EVER, "with message.timestamp.type=CreateTime old posts would go at once"),
}


def named(name: str) -> Topic:
    """The topic of that name behind the prefix."""
    return next(topic for topic in TOPICS if topic.name == name)


def policy_of(topic: Topic, *, replay: bool = False) -> dict[str, str]:
    """What `denyut topics --create` sets for a topic, as a broker would say it."""
    return {key: str(rule.value) for key, rule in _rules(topic, replay=replay).items()}


def breaches(full_name: str, topic: Topic, theirs: Mapping[str, str], *, replay: bool | None = None) -> list[Breach]:
    """Where what a broker has for a topic breaks a promise.

    `replay`: whether posts are dated by their one feed; None: either will do, if only it is consistent.
    """
    if replay is None:
        replay = theirs.get("message.timestamp.type") == REPLAY["message.timestamp.type"].value
    return [Breach(full_name, key, theirs.get(key), rule.expected(key), rule.why)
            for key, rule in _rules(topic, replay=replay).items() if not rule.allows(theirs.get(key))]


def refuse(broken: Iterable[Breach]) -> None:
    """Raises `BadSetting` that names every one of them; nothing where there is none."""
    if said := "; ".join(map(str, broken)):
        raise BadSetting(f"topic {said}: alter it (kafka-configs.sh --alter --entity-type topics), or {MAKE_NEW}")


def same(counts: Mapping[str, int]) -> int:
    """The number of partitions that all of these topics have. Raises `BadSetting` that names them with theirs.

    >>> same({"a": 12, "b": 12})
    12
    """
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{topic} has {count}" for topic, count in counts.items())
        raise BadSetting(f"{found} partitions: they need the same number; delete those that differ, or {MAKE_NEW}")
    return next(iter(counts.values()))


def shown(key: str, value: str | float) -> str:
    """A value of a policy, with its span beside it where it is one.

    >>> shown("retention.ms", 604800000), shown("segment.ms", "1800000"), shown("retention.ms", -1)
    ('604800000 (7d)', '1800000 (30m)', '-1 (for ever)')
    """
    try:
        number = int(value)
    except ValueError:
        return str(value)
    if not key.endswith(".ms") or key.startswith("max.message"):
        return str(value)
    if number < 0 or number >= _WITHOUT_END:
        return f"{value} (for ever)"
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MIN), ("s", 1000)):
        if number and number % size == 0:
            return f"{value} ({number // size}{unit})"
    return str(value)


def _rules(topic: Topic, *, replay: bool) -> Mapping[str, Rule]:
    return {**topic.rules, **REPLAY} if replay and topic.name == "posts" else topic.rules


def parts(said: str) -> set[str]:
    """A list in a policy means the same in any order."""
    return {part.strip() for part in said.split(",")}
