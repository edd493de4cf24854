"""Swings: the edge that tells of swings. Steps go to `denyut.swings`; of what opened, the posts are read once more.

    steps ──▶ herald ──in order, each until it is delivered──▶ denyut.swings ──followed──▶ quotes ◀── floors
      └─opened─▶ explainer: which posts? ──▶ denyut.posts, by offset ──▶ which still count? ──▶ terms ──▶ herald
                    └──again, without what was taken back, whatever is due by the quotes──────────────────▶ herald

None of them holds up the counting: all are tasks on the event loop, and the reading of terms is a thread's. A step has
the key of its incident and number, so one that is told twice is told once, and one that is told otherwise later takes
the place of the first. What led to a step may be acked before the step is delivered: whoever reads the log back makes
it again (`Ward.adopt`).
The text of a post is held while its swing is explained and nowhere else: no error, log line or record has any of it.
Knows nothing of how a swing is found or explained, or of assignments.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from streams.agents.quotes import LIFE_MS, Quoted, Quotes
from streams.heart.errors import BadPost, LostBroker
from streams.heart.explain import Evidence, Voice
from streams.heart.incident import Step, Swing, encode, key
from streams.heart.incident import decode as step_of
from streams.heart.pane import Rows
from streams.heart.post import Post, decode, id64
from streams.logs import OFTEN
from streams.outbox import SAY_S, insist
from streams.wire import Wire

WAITING = 64  # swings that wait to be explained; then the oldest goes unexplained
RECORDS = 800  # posts that are read for one swing
BUDGET_S = 20.0  # for reading them; what was read by then is used
NEAR = 256  # records: so far ahead, reading on is quicker than seeking
AGAIN_S = 3.0  # what is due is looked at so often: who leaves takes many posts along, one after the other
AWAY_S = 5.0  # before the followed topic is looked for again
log = logging.getLogger("denyut.swings")
often = logging.getLogger(f"{OFTEN}.swings")

Place = tuple[int, int]  # partition and offset in denyut.posts
Take = Callable[[Place, bytes | None, bytes | None], None]  # hears a record's place, key and value
Said = tuple[str, str]  # a post's key and its text
Explain = Callable[[Swing, Evidence, Callable[[Voice], Said | None]], Swing]  # see `streams.heart.explain.explain`
Seek = Callable[[Swing], Awaitable[Evidence | None]]  # the posts behind a swing that still count
Tell = Callable[[Sequence[Swing]], None]


class Sender(Protocol):
    """The door to Kafka. Its fake is in tests/test_swings_edge.py."""

    async def send(self, topic: str, value: bytes, partition: int | None, key: bytes | None = None) -> None:
        """Returns once the record is delivered.

        Raises `LostBroker` (another try may do) or `BrokenPromise` (none will).
        """


class Reader(Protocol):
    """The log of posts, read here and there: `Posts`."""

    async def read(self, places: Iterable[Place], take: Take) -> None:
        """Gives the records that still exist at these places to `take`. Raises `LostBroker`."""


class Tally(Protocol):
    """What counts: `streams.metrics.Metrics`."""

    def step_told(self, state: str, waiting: int) -> None:
        """One step was delivered; so many wait."""

    def steps_wait(self, waiting: int) -> None:
        """So many steps wait for their delivery."""

    def explanation(self, outcome: str) -> None:
        """What became of a swing that was to be explained: explained, empty, failed, dropped."""


class Herald:
    """Delivers steps, one after the other. Lives on one event loop."""

    def __init__(
        self, sender: Sender, topic: str, tally: Tally, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._sender = sender
        self._topic = topic
        self._tally = tally
        self._pause = pause
        self._steps: asyncio.Queue[Swing] = asyncio.Queue()  # a swing is rare, and none is dropped
        self._said_s = float("-inf")
        self._asked = self._done = 0

    def tell(self, steps: Iterable[Swing]) -> None:
        """These are to be delivered, after those before."""
        for step in steps:
            self._steps.put_nowait(step)
            self._asked += 1
        self._tally.steps_wait(self._steps.qsize())

    def so_far(self) -> Callable[[], bool]:
        """Says, whenever it is asked, whether all that was to be told until now is delivered or another's to tell."""
        asked = self._asked
        return lambda: self._done >= asked

    async def work(self, is_mine: Callable[[str], bool]) -> None:
        """Delivers for ever; gives a step up only when its brand is another's: who will make it again.

        Raises `BrokenPromise` for a step that Kafka will never take.
        """
        while True:
            step = await self._steps.get()
            if is_mine(step.brand) and await self._deliver(step, is_mine):
                self._tally.step_told(step.state, self._steps.qsize())
            else:
                self._tally.steps_wait(self._steps.qsize())
            self._done += 1

    async def _deliver(self, step: Swing, is_mine: Callable[[str], bool]) -> bool:
        value = encode(step)
        return await insist(
            lambda: self._sender.send(self._topic, value, None, key(step)),
            lambda: is_mine(step.brand), self._lost, self._pause)

    def _lost(self, error: LostBroker) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s > SAY_S:
            self._said_s = now_s
            log.warning("a step of a swing was not delivered (%s); trying again", error)


class Explainer:
    """Explains swings, one after the other, and again when it must. Lives on one event loop."""

    def __init__(
        self, explain: Explain, posts: Reader, sources: frozenset[str], tally: Tally, quotes: Quotes | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._explain = explain
        self._posts = posts
        self._sources = sources
        self._tally = tally
        self._quotes = quotes or Quotes()
        self._pause = pause
        self._asked: asyncio.Queue[Swing] = asyncio.Queue(WAITING)

    def ask(self, steps: Iterable[Swing], since_ms: int) -> None:
        """Those of these steps that open a swing, and were known since then, are to be explained."""
        for step in steps:
            if step.state is Step.OPENED and step.at_ms >= since_ms:
                if self._asked.full():
                    self._asked.get_nowait()
                    self._tally.explanation("dropped")
                self._asked.put_nowait(step)

    def heard(self, floors: Rows) -> None:
        """These floors were settled (dtype FLOOR): what was told of their posts may have to be told again."""
        self._quotes.heard(floors)

    async def work(self, evidence: Seek, tell: Tell) -> None:
        """Explains for ever. What fails is counted and left: a swing without its terms is a swing all the same.

        `evidence` finds None where the brand is another's by now; `tell` hears the steps.
        """
        while True:
            swing = await self._asked.get()
            try:
                outcome = await self._explained(swing, evidence, tell)
            except Exception as error:
                # Its kind alone: what it says may come from a post.
                log.warning("a swing of %s could not be explained (%s)", swing.brand, type(error).__name__)
                outcome = "failed"
            self._tally.explanation(outcome)

    async def _explained(self, swing: Swing, evidence: Seek, tell: Tell) -> str:
        asked = await evidence(swing)
        if asked is None:
            return "dropped"
        self._quotes.reads(swing, asked)
        said = await self._said((*asked.now, *asked.before))
        # Reading took a while: what was removed or edited meanwhile does not count any more.
        allowed = await evidence(swing)
        if allowed is None:
            return "dropped"
        left = _among(allowed, said)
        if not left.now:
            return "empty"
        step = await asyncio.to_thread(self._explain, swing, left, _texts(said))
        self._quotes.told(step, left)
        tell((step,))
        return "explained"

    async def revise(self, is_mine: Callable[[str], bool], tell: Tell) -> None:
        """Tells again, for ever, what was told of posts that are gone: from the posts that are left."""
        while True:
            await self._pause(AGAIN_S)
            for quoted in self._quotes.due():
                if is_mine(quoted.step.brand):
                    await self._revised(quoted, tell)

    async def _revised(self, quoted: Quoted, tell: Tell) -> None:
        try:
            step, left = await self._again(quoted)
        except LostBroker:
            return  # nor could it be told: it stays due
        except Exception as error:
            log.warning("a swing of %s could not be explained again (%s)", quoted.step.brand, type(error).__name__)
            step, left = quoted.empty(), None
        self._quotes.told(step, left)
        tell((step,))
        self._tally.explanation("revised")

    async def _again(self, quoted: Quoted) -> tuple[Swing, Evidence | None]:
        """The step to tell in place of the last one, and what it was read from."""
        asked = quoted.left()
        if asked is None or quoted.opened is None:
            return quoted.bare(), None
        said = await self._said((*asked.now, *asked.before))
        left = _among(asked, said)
        if not left.now:
            return quoted.empty(), None
        return await asyncio.to_thread(self._explain, quoted.opened, left, _texts(said)), left

    async def _said(self, voices: Sequence[Voice]) -> dict[Place, Said]:
        """The posts of these voices, as far as they still exist."""
        wanted = {(voice.partition, voice.offset): voice for voice in voices[:RECORDS]}
        said: dict[Place, Said] = {}

        def take(place: Place, key: bytes | None, value: bytes | None) -> None:
            post = read_post(wanted[place], key, value, self._sources)
            if post is not None:
                said[place] = post.id, post.text

        try:
            async with asyncio.timeout(BUDGET_S):
                await self._posts.read(wanted, take)
        except TimeoutError:
            log.info("of %d posts %d were read in time", len(wanted), len(said))
        return said


def _among(evidence: Evidence, said: Mapping[Place, Said]) -> Evidence:
    """The posts that could be read."""
    now, before = (tuple(voice for voice in voices if (voice.partition, voice.offset) in said)
                   for voices in (evidence.now, evidence.before))
    return evidence._replace(now=now, before=before)


def _texts(said: Mapping[Place, Said]) -> Callable[[Voice], Said | None]:
    return lambda voice: said.get((voice.partition, voice.offset))


def read_post(voice: Voice, key: bytes | None, value: bytes | None, sources: frozenset[str]) -> Post | None:
    """The post of a voice, if this record is it."""
    try:
        post = decode(key, value, sources)
    except BadPost:
        return None
    if not isinstance(post, Post) or (id64(post.id), post.rev) != (voice.post, voice.rev):
        return None
    return post


class Posts:
    """`denyut.posts`, read without a group: nobody's position moves. Its reader lives for one reading."""

    def __init__(self, wire: Wire, topic: str) -> None:
        self._wire = wire
        self._topic = topic

    async def read(self, places: Iterable[Place], take: Take) -> None:
        """See `Reader`."""
        import aiokafka
        from aiokafka.errors import KafkaError

        wanted: dict[int, set[int]] = {}
        for partition, offset in places:
            wanted.setdefault(partition, set()).add(offset)
        if not wanted:
            return
        consumer = aiokafka.AIOKafkaConsumer(
            **self._wire.for_aiokafka(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=65_536,  # an answer holds a whole batch at least
            retry_backoff_ms=200,
        )
        try:
            await consumer.start()
            for partition, offsets in sorted(wanted.items()):
                at = aiokafka.TopicPartition(self._topic, partition)
                consumer.assign([at])
                await _read(consumer, at, deque(sorted(offsets)), take)
        except (KafkaError, ConnectionError) as error:
            raise LostBroker(f"reading {self._topic}: {type(error).__name__}") from error
        finally:
            await consumer.stop()


async def _read(consumer: Any, at: Any, left: deque[int], take: Take) -> None:
    """Reads one partition at these offsets, which rise."""
    end = (await consumer.end_offsets([at]))[at]
    position = -NEAR - 1  # nowhere yet
    while left and left[0] < end:
        if not position <= left[0] <= position + NEAR:
            position = left[0]
            consumer.seek(at, position)
        records = (await consumer.getmany(at, timeout_ms=500, max_records=NEAR)).get(at, ())
        for record in records:
            while left and left[0] < record.offset:  # compacted away: there is a later version, or a removal
                left.popleft()
            if left and left[0] == record.offset:
                take((at.partition, left.popleft()), record.key, record.value)
            position = record.offset + 1
        if not records and await consumer.position(at) >= end:
            return


class Steps:
    """`denyut.swings`, followed without a group, from as far back as posts live."""

    def __init__(self, wire: Wire, topic: str, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._wire = wire
        self._topic = topic
        self._pause = pause

    async def follow(self, take: Callable[[Swing], None], caught_up: Callable[[], None]) -> None:
        """Gives every step to `take` for ever, after a lost broker from the beginning; calls `caught_up` once, when all
        that was there is read. While the topic is not there, it is looked for.
        """
        from aiokafka.errors import KafkaError

        while True:
            try:
                await self._followed(take, caught_up)
            except (KafkaError, ConnectionError) as error:
                often.warning("%s cannot be followed (%s); trying again", self._topic, type(error).__name__)
            await self._pause(AWAY_S)

    async def _followed(self, take: Callable[[Swing], None], caught_up: Callable[[], None]) -> None:
        import aiokafka

        consumer = aiokafka.AIOKafkaConsumer(
            **self._wire.for_aiokafka(), enable_auto_commit=False, auto_offset_reset="earliest", retry_backoff_ms=200)
        try:
            await consumer.start()
            # All topics, not this one: asking for a topic by name may make the broker create it.
            cluster = await consumer._client.fetch_all_metadata()
            at = [aiokafka.TopicPartition(self._topic, number)
                  for number in sorted(cluster.partitions_for_topic(self._topic) or ())]
            if not at:
                return
            consumer.assign(at)
            ends = await _go_back(consumer, at, int(time.time() * 1000) - LIFE_MS)
            while True:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        if (step := read_step(record.value)) is not None:
                            take(step)
                if ends and all([await consumer.position(one) >= end for one, end in ends.items()]):
                    ends = {}
                    caught_up()
        finally:
            await consumer.stop()


async def _go_back(consumer: Any, at: Sequence[Any], since_ms: int) -> dict[Any, int]:
    """Sets the positions to the first records since a time; returns where these partitions end now."""
    ends: dict[Any, int] = await consumer.end_offsets(at)
    found = await consumer.offsets_for_times(dict.fromkeys(at, since_ms))
    for one in at:
        consumer.seek(one, ends[one] if found.get(one) is None else found[one].offset)
    return ends


def read_step(value: bytes | None) -> Swing | None:
    """The step of a record; None for what is none, or of a release that says it otherwise."""
    try:
        return step_of(value or b"")
    except msgspec.MsgspecError:
        return None
