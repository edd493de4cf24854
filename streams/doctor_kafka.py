"""Doctor, of Kafka: are we let in, are the topics there and kept as promised, do our clocks agree?

    each address ──let in──▶ topics ──▶ copies ──▶ room on disk ──▶ clocks

It asks and writes nothing. What the broker does not tell this user is a warning that names the permission.
Knows nothing of other checks.
"""

import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from streams.findings import Line, Lines, Verdict, size
from streams.heart.errors import BadSetting, LostBroker
from streams.heart.watermark import GUARD_MS
from streams.keeping import MAKE_NEW, MANY, REPLAY, TOPICS, Topic, breaches, shown
from streams.knock import knock
from streams.settings import Settings
from streams.topics import admin_of, counts, may_not_ask, policies
from streams.wire import Wire

TICK_S = 1.3  # a feed writes a tick each second
PATIENCE_MS = 4000  # for a broker's answers
TIGHT = 0.1  # of a broker's disk, less is a warning


def look(settings: Settings) -> Lines:
    """Each address, then, over whichever lets us in, the topics and the clock."""
    wire = Wire.of(settings)
    open_to_us = []
    for address in wire.brokers.split(","):
        began_s = time.perf_counter()
        try:
            knock(replace(wire, brokers=address), PATIENCE_MS / 2000)
        except BadSetting as error:
            yield Line("broker", Verdict.FAULT, str(error))
        except LostBroker as error:
            yield _away(address, error)
        else:
            open_to_us.append(address)
            login = f"{wire.mechanism} as {wire.user}" if wire.mechanism else "without a login"
            yield Line("broker", Verdict.OK, f"{address} lets us in, {wire.protocol}, {login}, "
                                             f"{(time.perf_counter() - began_s) * 1000:.0f} ms")
    if not open_to_us:
        yield Line("topics", Verdict.SKIPPED, "not looked at before a broker answers")
        return
    with admin_of(replace(wire, brokers=",".join(open_to_us)), patience_ms=PATIENCE_MS) as admin:
        there = counts(admin, settings)
        said = policies(admin, [settings.topic(name) for name in there])
        theirs = {name: said[settings.topic(name)] for name in there}
        yield from _topics(settings, there, theirs)
        yield from _copies(admin, settings, theirs)
        yield from _room(admin)
        yield from _skew(admin, settings, theirs.get("posts", {}))


def _away(address: str, error: LostBroker) -> Line:
    """Nobody there may be anybody's fault; somebody there who is no Kafka is a wrong port."""
    host, _, port = address.strip().rpartition(":")
    with suppress(OSError):
        socket.create_connection((host.strip("[]"), int(port)), 2.0).close()
        return Line("broker", Verdict.FAULT, f"{address} takes connections, and answers otherwise than Kafka ({error})",
                    "Kafka", "correct the port in DENYUT_BROKERS; if it is right, the broker is starting, or ill")
    return Line("broker", Verdict.FAULT, str(error), "a broker there", "start it, or correct DENYUT_BROKERS; is there "
                "a firewall between?", yours=False)


def _topics(settings: Settings, there: Mapping[str, int], theirs: Mapping[str, Mapping[str, str]]) -> Lines:
    """Each topic, its policy, and whether their partitions agree. `there`: partitions; `theirs`: policies, empty where
    they are not for us to know; both by names behind the prefix, without the topics that are not there."""
    for topic in TOPICS:
        name = settings.topic(topic.name)
        if topic.name in there:
            yield from _kept(settings, topic, there[topic.name], theirs[topic.name])
        else:
            yield Line("topic", Verdict.FAULT, f"{name} is not there, or not for this user to describe", "",
                       f"`denyut topics --create` makes it, or DENYUT_PREFIX={settings.prefix} is another's")
    counted = {settings.topic(name): there[name] for name in MANY if name in there}
    if len(set(counted.values())) > 1:
        found = ", ".join(f"{name} has {count}" for name, count in counted.items())
        yield Line("partitions", Verdict.FAULT, found, "the same number of each",
                   f"delete those that differ, or {MAKE_NEW}")


def _kept(settings: Settings, topic: Topic, partitions: int, theirs: Mapping[str, str]) -> Lines:
    name = settings.topic(topic.name)
    said = f"{name}: {partitions} partition{'s' * (partitions != 1)}"
    if not theirs:
        yield Line("topic", Verdict.WARNING, f"{said}; {may_not_ask(name)}")
        return
    wrong = breaches(name, topic, theirs, replay=bool(settings.clock))
    for one in wrong:
        found = "nothing" if one.theirs is None else shown(one.key, one.theirs)
        yield Line("topic", Verdict.FAULT, f"{name} has {one.key}={found}", one.expected,
                   f"{one.why}; kafka-configs.sh --alter --entity-type topics --entity-name {name}")
    if not wrong:
        yield Line("topic", Verdict.OK, f"{said}, kept as promised")


def _copies(admin: Any, settings: Settings, theirs: Mapping[str, Mapping[str, str]]) -> Lines:
    """How many brokers may go before something is lost, or nothing can be written."""
    thin, short, unsafe = [], [], []
    for about in admin.describe_topics([settings.topic(name) for name in theirs]) if theirs else ():
        name, parts = about["name"], about["partitions"]
        copies = min((len(part["replica_nodes"]) for part in parts), default=0)
        if copies < 3:
            thin.append(copies)
        if any(len(part["isr_nodes"]) < len(part["replica_nodes"]) for part in parts):
            short.append(name)
        least = theirs[name.removeprefix(f"{settings.prefix}.")].get("min.insync.replicas", "2")
        if copies >= 3 and int(least) < 2:
            unsafe.append(name)
    if thin:
        numbers = " or ".join(map(str, sorted({*thin})))
        yield Line("copies", Verdict.WARNING, f"{len(thin)} topics have {numbers} of each record", "3",
                   "DENYUT_REPLICATION=3 for new topics; with one copy a lost disk loses what is on it")
    if unsafe:
        yield Line("copies", Verdict.WARNING, f"{', '.join(unsafe)}: min.insync.replicas=1", "2",
                   "alter it: what one broker alone has acknowledged goes with it")
    if short:
        yield Line("copies", Verdict.WARNING, f"{', '.join(short)}: copies are behind or away", "all in step",
                   "see which broker is down")
    if theirs and not (thin or unsafe or short):
        yield Line("copies", Verdict.OK, "3 or more of each topic, all in step")


def _room(admin: Any) -> Lines:
    """The brokers' disks, where they say how full they are, and say it to us."""
    from kafka.errors import KafkaError

    try:
        found = [(one["broker"], log) for one in admin.describe_log_dirs() for log in one["log_dirs"]]
    except (KafkaError, KeyError):
        return
    for broker, log in found:
        total, free = log.get("total_bytes") or 0, log.get("usable_bytes") or 0
        if total > 0 and free < TIGHT * total:
            yield Line("broker's disk", Verdict.WARNING, f"broker {broker}: {size(free)} of {size(total)} free",
                       f"{TIGHT:.0%} or more", "make room: a broker whose disk is full ends", yours=False)


# The clocks.


class Skew(NamedTuple):
    """How far a broker's clock is ahead of ours, ms: between these two. `who` showed it."""

    least_ms: float
    most_ms: float
    who: str

    @property
    def surely_ms(self) -> float:
        """At least so far are the clocks apart, whoever is ahead."""
        return max(self.least_ms, -self.most_ms, 0.0)

    def __str__(self) -> str:
        middle, half = (self.least_ms + self.most_ms) / 2, (self.most_ms - self.least_ms) / 2
        return f"{self.who} is {abs(middle) / 1000:.2f} s {'ahead of' if middle > 0 else 'behind'} this machine " \
               f"(within {half / 1000:.2f} s)"


def _skew(admin: Any, settings: Settings, posts: Mapping[str, str]) -> Lines:
    """Nothing is written to find out. Where a feed ticks, its next tick shows the clock of each leader; where none
    does, the quorum says what time it is, to whoever may Describe the cluster."""
    by_broker = posts.get("message.timestamp.type") != REPLAY["message.timestamp.type"].value
    found = ticked(admin, settings.topic("posts")) if posts and by_broker else []
    found = found or asked(admin)
    if not found:
        yield Line("clock", Verdict.WARNING, "not compared: no feed ticks, and the cluster does not tell this user the "
                   "time", "", "look again while a feed runs, or give this user Describe on the cluster")
        return
    worst = max(found, key=lambda one: (one.surely_ms, abs(one.least_ms + one.most_ms)))
    if worst.surely_ms > GUARD_MS:  # so far a watermark stays behind the marks: more makes it a guess
        yield Line("clock", Verdict.FAULT, str(worst), f"at most {GUARD_MS / 1000:g} s",
                   "let chrony or ntp set the clocks of this machine and of the brokers")
    else:
        yield Line("clock", Verdict.OK, str(worst))


def ticked(admin: Any, topic: str, clock: Callable[[], float] = time.time, wait_s: float = TICK_S) -> list[Skew]:
    """What the leaders' clocks show, by the time of the next record of each: it is written between our two looks."""
    from kafka import TopicPartition
    from kafka.admin import OffsetSpec
    from kafka.errors import KafkaError

    (about,) = admin.describe_topics([topic])
    leaders = {TopicPartition(topic, part["partition_index"]): part["leader_id"] for part in about["partitions"]}
    first: dict[Any, int] = {}
    found: dict[int, Skew] = {}
    looked_ms, until_s = 0.0, time.monotonic() + wait_s
    while time.monotonic() < until_s and len(found) < len(set(leaders.values())):
        began_ms = clock() * 1000
        try:
            said = admin.list_partition_offsets(dict.fromkeys(leaders, OffsetSpec.MAX_TIMESTAMP))
        except KafkaError:  # before Kafka 3.0 nobody can ask so
            return []
        ended_ms = clock() * 1000
        for tp, last in said.items():
            before = first.setdefault(tp, last.offset)
            if last.offset > before and (who := leaders[tp]) not in found:
                found[who] = Skew(last.timestamp - ended_ms, last.timestamp - looked_ms, f"broker {who}")
        looked_ms = began_ms
        time.sleep(0.02)
    return list(found.values())


def asked(admin: Any, clock: Callable[[], float] = time.time) -> list[Skew]:
    """What the leader of the quorum says of itself: it caught up with itself now."""
    from kafka.errors import KafkaError

    began_ms = clock() * 1000
    try:
        (part,) = admin.describe_metadata_quorum()["topics"][0]["partitions"]
        ended_ms = clock() * 1000
        (leader,) = (one for one in part["current_voters"] if one["replica_id"] == part["leader_id"])
        now_ms = leader["last_caught_up_timestamp"]
    except (KafkaError, LookupError, ValueError):
        return []
    return [Skew(now_ms - ended_ms, now_ms - began_ms, f"controller {part['leader_id']}")] if now_ms > 0 else []
