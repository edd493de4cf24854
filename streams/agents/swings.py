"""Swings: the edge that tells of swings. Steps go to `denyut.swings`; of what opened, the posts are read once more.

    steps ──▶ herald ──in order, each until it is delivered──▶ denyut.swings
      └─opened─▶ explainer: which posts? ──▶ denyut.posts, by offset ──▶ which still count? ──▶ terms ──▶ herald

Neither holds up the counting: both are tasks of their own on the event loop, and the reading of terms is a thread's. A
step has the key of its incident and number, so one that is told twice is told once. What led to a step may be acked
before the step is delivered: whoever reads the log back makes it again (`Ward.adopt`).
The text of a post is held while its swing is explained and nowhere else: no error, log line or record has any of it.
Knows nothing of how a swing is found or explained, or of assignments.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from streams.heart.errors import BadPost, LostBroker
from streams.heart.explain import Evidence, Voice
from streams.heart.incident import Step, Swing, encode, key
from streams.heart.post import Post, decode, id64
from streams.outbox import SAY_S, insist

WAITING = 64  # swings that wait to be explained; then the oldest goes unexplained
RECORDS = 800  # posts that are read for one swing
BUDGET_S = 20.0  # for reading them; what was read by then is used
NEAR = 256  # records: so far ahead, reading on is quicker than seeking
log = logging.getLogger("denyut.swings")

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

    def tell(self, steps: Iterable[Swing]) -> None:
        """These are to be delivered, after those before."""
        for step in steps:
            self._steps.put_nowait(step)
        self._tally.steps_wait(self._steps.qsize())

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
    """Explains swings, one after the other, each once. Lives on one event loop."""

    def __init__(self, explain: Explain, posts: Reader, sources: frozenset[str], tally: Tally) -> None:
        self._explain = explain
        self._posts = posts
        self._sources = sources
        self._tally = tally
        self._asked: asyncio.Queue[Swing] = asyncio.Queue(WAITING)

    def ask(self, steps: Iterable[Swing], since_ms: int) -> None:
        """Those of these steps that open a swing, and were known since then, are to be explained."""
        for step in steps:
            if step.state is Step.OPENED and step.at_ms >= since_ms:
                if self._asked.full():
                    self._asked.get_nowait()
                    self._tally.explanation("dropped")
                self._asked.put_nowait(step)

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
        said = await self._said((*asked.now, *asked.before))
        # Reading took a while: what was removed or edited meanwhile does not count any more.
        allowed = await evidence(swing)
        if allowed is None:
            return "dropped"
        left = allowed._replace(now=_left(allowed.now, said), before=_left(allowed.before, said))
        if not left.now:
            return "empty"

        def text_of(voice: Voice) -> Said | None:
            return said.get((voice.partition, voice.offset))

        tell((await asyncio.to_thread(self._explain, swing, left, text_of),))
        return "explained"

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


def _left(voices: Iterable[Voice], said: Mapping[Place, Said]) -> tuple[Voice, ...]:
    return tuple(voice for voice in voices if (voice.partition, voice.offset) in said)


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

    def __init__(self, brokers: str, topic: str) -> None:
        self._brokers = brokers
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
            bootstrap_servers=self._brokers,
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
