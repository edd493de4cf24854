"""Feed: the edge through which posts, removals and ticks enter `denyut.posts`.

    a source ──▶ send(happening) ──▶ checked ──▶ its key free? room? ──▶ one request in flight ──▶ delivered, or counted

What is handed over is delivered, or counted as not sent with a reason from a short list; nothing is dropped silently.
- A key has one record under way at a time. So a removal is written after every earlier version of its post, and no
  version is ever written after the removal, also when something in between is refused and sent again.
- A refused record takes the others of its batch with it (kafka-python without idempotence, which would end the whole
  producer instead). They are sent again one by one, alone, so that only the culprit stays refused.
- What waits in memory is bounded: above `room` records, and while Kafka is away, `send` waits.
- Where Kafka does not let us write, that is said at once, and nothing more is taken in: no delay would mend it.
- Where arrival is the caller's time (`create_time`), the times written never fall, in whichever order records come.
Knows nothing of what a post says, of where it comes from, or of any clock but that of its caller.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from streams.heart.errors import BadSetting, LostBroker
from streams.heart.notice import Nobody, Observer, PostNotSent, PostSent
from streams.heart.post import encode_tick, tick_key
from streams.settings import Settings
from streams.topics import EMBEDDED, partitions
from streams.wire import Wire

MAX_RECORD = 1_000_000  # bytes of key and value; the broker's own limit is a little above
AHEAD_MS = 600_000  # no clock of a source runs so far ahead; a broker refuses a time that is 1 h ahead of its own
TRIES = 2  # of a record that was refused for a reason of its own
INNOCENT_TRIES = 10  # of one that was refused for the company it kept
SAY_S = 10.0
LOOK_S = 1.0
STOP_S = 10.0
log = logging.getLogger("denyut.feed")


class Happening(Protocol):
    """What a source hands over: a record of `denyut.posts`. A value of None is a removal."""

    @property
    def at_ms(self) -> int:
        """When it is sent, by the source's clock; written as the arrival where `create_time` is on."""

    @property
    def key(self) -> bytes:
        """The post's id."""

    @property
    def value(self) -> bytes | None:
        """The post on the wire."""


class Rules(NamedTuple):
    """How a feed sends."""

    create_time: bool = False  # arrival is `at_ms`, not the broker's time: demo and replay topics only
    embedded: bool = False  # the broker is the one inside this process
    room: int = 10_000  # records under way, at most
    delivery_ms: int = 120_000  # then a record that is not delivered counts as not sent
    linger_ms: int = 20  # a batch waits so long for more


class Tally(NamedTuple):
    """What became of what was handed over so far."""

    sent: Mapping[str, int]  # post, removal, tick -> count
    not_sent: Mapping[str, int]  # reason -> count
    under_way: int


class _Sent:
    """A record under way."""

    __slots__ = ("at_ms", "key", "kind", "partition", "told", "tries", "value")

    def __init__(self, kind: str, key: bytes, value: bytes | None, at_ms: int, partition: int | None = None) -> None:
        self.kind = kind
        self.key = key
        self.value = value
        self.at_ms = at_ms
        self.partition = partition  # None: by its key
        self.told: Callable[[str], None] | None = None  # who wants to know what became of it
        self.tries = 0


class Feed:
    """A producer of one topic of posts. Any thread may call it; one that must wait makes the others wait."""

    def __init__(
        self, settings: Settings, name: str, sources: Sequence[str], *,
        observer: Observer | None = None, rules: Rules | None = None,
    ) -> None:
        """Waits until Kafka answers. `name` is what its ticks are called; `sources` are those that it carries.

        Raises `BadSetting` when the topics are missing, or when Kafka refuses us.
        """
        self.name = name
        self._wire = Wire.of(settings)
        self._rules = rules or Rules()
        self._sources = tuple(sources)
        self._topic = settings.topic("posts")
        self._observer: Observer = observer or Nobody()
        self._door = threading.RLock()  # who holds it sends
        self._state = threading.Condition()  # held for an instant: the producer's own thread asks for it
        self._open: set[bytes] = set()  # keys with a record under way
        self._under_way = 0
        self._refused: deque[_Sent] = deque()  # still under way: to be sent again
        self._due: tuple[int, Mapping[str, int]] | None = None
        self._last_ms = 0
        self._said_s = 0.0
        self._closed = False
        self._denied: BadSetting | None = None  # what else will be sent is denied as well
        self._sent: Counter[str] = Counter()
        self._not_sent: Counter[str] = Counter()
        self._partitions, self._producer = self._connect(settings)

    @property
    def partitions(self) -> int:
        """How many partitions the topic has."""
        return self._partitions

    @property
    def tally(self) -> Tally:
        """What became of everything so far."""
        with self._state:
            return Tally(dict(self._sent), dict(self._not_sent), self._under_way)

    def send(self, happening: Happening, told: Callable[[str], None] | None = None) -> bool:
        """Hands one record over; waits while there is no room, or while its key has another one under way.

        `told` is called once, by any thread: "" when it is delivered, or the reason why it was not: timeout (Kafka was
        away for too long, or does not let us write), or one of its own. False: it can never be written, and is counted
        as not sent (no_key, too_large, bad_time). Raises `BadSetting` once Kafka has said that we may not write: then
        this record was not taken in, is counted nowhere, and `told` is never called.
        """
        self._may_go_on()
        kind = "removal" if happening.value is None else "post"
        sent = _Sent(kind, happening.key, happening.value, happening.at_ms)
        sent.told = told
        if reason := self._unfit(sent):
            self._give_up(sent, reason)
            return False
        with self._door:
            self._send_due()
            self._mend()
            while sent.key in self._open:
                self._push()
                self._mend()
            self._make_room()
            self._hand_over(sent)
        return True

    def tick(self, now_ms: int, healthy: Mapping[str, int] | None = None) -> None:
        """Writes a sign of life to every partition: the sources were listened to without a gap until the times given.

        Without `healthy`, all of this feed's sources are healthy until `now_ms`. Call it once a second; a tick that
        would have to wait for a sender is written by that sender.
        """
        self._due = (now_ms, dict.fromkeys(self._sources, now_ms) if healthy is None else dict(healthy))
        if self._door.acquire(blocking=False):
            try:
                self._mend()
                self._send_due()
            finally:
                self._door.release()

    def flush(self, timeout_s: float | None = None) -> bool:
        """Waits until everything handed over is delivered or counted as not sent. False: the time was up before.

        Raises `BadSetting` when some was not sent because Kafka does not let us write.
        """
        done = self._flush(timeout_s)
        self._may_go_on()
        return done

    def _may_go_on(self) -> None:
        if self._denied is not None:
            raise self._denied

    def _flush(self, timeout_s: float | None) -> bool:
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        with self._door:
            self._send_due()
            while self.tally.under_way:
                left_s = LOOK_S if until_s is None else min(LOOK_S, until_s - time.monotonic())
                if left_s <= 0:
                    return False
                if not self._refused:
                    self._push(left_s)
                else:
                    self._mend()
        return True

    def close(self, timeout_s: float = STOP_S) -> None:
        """Flushes for at most so long, then ends; what is not delivered by then is counted as not sent."""
        with self._door:
            if self._closed:
                return
            self._flush(timeout_s)
            self._closed = True
            self._end()
        for reason, count in self.tally.not_sent.items():
            log.warning("%d records were not sent: %s", count, reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # Connecting.

    def _connect(self, settings: Settings) -> tuple[int, Any]:
        from kafka import KafkaProducer
        from kafka.errors import RetriableError

        while True:
            try:
                number = partitions(settings, embedded=self._rules.embedded, dates=self._rules.create_time)
                return number, KafkaProducer(**_producer_rules(settings, self._wire, self._rules))
            except (LostBroker, RetriableError) as error:
                self._say("waiting for Kafka: %s", error)
                time.sleep(LOOK_S)  # nothing else can be done before it is there

    def _end(self) -> None:
        from kafka.errors import KafkaError

        try:
            self._producer.close(timeout=1.0)
        except KafkaError:  # its own flush gave up, and left its thread running: it would go on sending
            self._producer._sender.force_close()
            self._producer._sender.join(STOP_S)
        with self._state:
            left = list(self._refused)
            self._refused.clear()
        for sent in left:
            self._lost(sent, "refused")

    # Sending. Whoever calls these holds the door.

    def _unfit(self, sent: _Sent) -> str | None:
        if not sent.key:
            return "no_key"
        if len(sent.key) + len(sent.value or b"") > MAX_RECORD:
            return "too_large"
        if self._rules.create_time and not 0 <= sent.at_ms <= time.time() * 1000 + AHEAD_MS:
            return "bad_time"
        return None

    def _hand_over(self, sent: _Sent) -> None:
        from kafka.errors import KafkaError

        sent.tries += 1
        if self._rules.create_time:
            # A record that is sent again goes behind what was sent since: its old time would contradict a mark.
            self._last_ms = max(self._last_ms, sent.at_ms)
        if sent.tries == 1:
            with self._state:
                self._under_way += 1
                if sent.partition is None:
                    self._open.add(sent.key)
        try:
            future = self._producer.send(self._topic, sent.value, sent.key, partition=sent.partition,
                                         timestamp_ms=self._last_ms if self._rules.create_time else None)
        except KafkaError as error:
            self._failed(sent, error)
        else:
            future.add_callback(partial(self._delivered, sent))
            future.add_errback(partial(self._failed, sent))

    def _send_due(self) -> None:
        due, self._due = self._due, None
        if due is not None:
            now_ms, healthy = due
            key, value = tick_key(self.name), encode_tick(dict(healthy))
            for number in range(self._partitions):
                self._hand_over(_Sent("tick", key, value, now_ms, number))

    def _make_room(self) -> None:
        while self._under_way >= self._rules.room:
            with self._state:
                if self._under_way >= self._rules.room and not self._refused:
                    self._state.wait(LOOK_S)
            self._mend()
            if self._under_way >= self._rules.room:
                self._say("Kafka is slow or away: %d records under way, no more are taken in", self._under_way)

    def _mend(self) -> None:
        """Sends refused records again, each alone: everything else is out of the way before, and waits meanwhile."""
        while self._refused:
            self._settle()
            with self._state:
                sent = self._refused.popleft()
            self._hand_over(sent)
            self._settle()

    def _settle(self) -> None:
        """Waits until nothing is under way but what was refused."""
        while self._under_way > len(self._refused):
            self._push()

    def _push(self, timeout_s: float = SAY_S) -> None:
        """Sends what lingers, and waits for what is under way, for a while."""
        from kafka.errors import KafkaTimeoutError, UnknownError

        try:
            self._producer.flush(timeout_s)
        except KafkaTimeoutError:
            self._say("Kafka is slow or away: %d records under way", self._under_way)
        except UnknownError:  # a batch was too large and is split: kafka-python's flush knows nothing of its parts
            log.debug("a batch is split")

    # What becomes of it. The producer's thread calls these.

    def _delivered(self, sent: _Sent, _where: object) -> None:
        with self._state:
            self._sent[sent.kind] += 1
            self._leave(sent)
        self._observer.observe(PostSent(sent.kind))
        if sent.told is not None:
            sent.told("")

    def _failed(self, sent: _Sent, error: BaseException) -> None:
        from kafka import errors

        # The culprit is told what is wrong with it, the others of its batch only that there was one.
        tries = INNOCENT_TRIES if type(error) is errors.KafkaError else TRIES
        own = type(error) is errors.KafkaError or isinstance(error, (
            errors.MessageSizeTooLargeError, errors.RecordListTooLargeError, errors.InvalidTimestampError,
            errors.InvalidRecordError, errors.CorruptRecordError, errors.PolicyViolationError))
        if isinstance(error, errors.AuthorizationError | errors.SaslAuthenticationFailedError):
            self._denied = self._wire.denied("write", self._topic, error)
        late = not own or self._closed  # Kafka's trouble (away, full, access withdrawn), and not this record's
        if late or sent.kind == "tick" or sent.tries >= tries:
            self._lost(sent, "timeout" if late else "refused")
            return
        with self._state:
            self._refused.append(sent)
            self._state.notify_all()

    def _lost(self, sent: _Sent, reason: str) -> None:
        with self._state:
            self._leave(sent)
        self._give_up(sent, reason)

    def _leave(self, sent: _Sent) -> None:
        self._under_way -= 1
        if sent.partition is None:
            self._open.discard(sent.key)
        self._state.notify_all()

    def _give_up(self, sent: _Sent, reason: str) -> None:
        with self._state:
            self._not_sent[reason] += 1
        log.debug("a %s was not sent: %s", sent.kind, reason)
        self._observer.observe(PostNotSent(reason))
        if sent.told is not None:
            sent.told(reason)

    def _say(self, sentence: str, *values: object) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s >= SAY_S:
            self._said_s = now_s
            log.warning(sentence, *values)


class Ticking:
    """Ticks a feed at once and then once a second, on a thread of its own, within a `with`."""

    def __init__(
        self, feed: Feed, now_ms: Callable[[], int], healthy: Callable[[], Mapping[str, int]] | None = None,
        every_s: float = 1.0,
    ) -> None:
        """`now_ms` is the feed's clock; `healthy` says how far each source has been listened to (None: up to now)."""
        self._feed = feed
        self._now_ms = now_ms
        self._healthy = healthy
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"ticks of {feed.name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        while True:
            self._feed.tick(self._now_ms(), self._healthy() if self._healthy else None)
            if self._ended.wait(self._every_s):
                return


def _producer_rules(settings: Settings, wire: Wire, rules: Rules) -> dict[str, Any]:
    """What kafka-python must be told; its defaults reorder, hang, or end for good after one refusal."""
    return {
        **wire.for_kafka_python(),
        "client_id": f"{settings.prefix}-feed",
        "acks": "all",
        "enable_idempotence": False,  # with it, one refused record ends the producer, and a long outage hangs it
        "max_in_flight_requests_per_connection": 1,  # more may be reordered by a retry: a post after its removal
        "compression_type": "lz4",
        "linger_ms": rules.linger_ms,
        "batch_size": 131_072,
        "delivery_timeout_ms": rules.delivery_ms,
        "request_timeout_ms": min(10_000, rules.delivery_ms - rules.linger_ms),
        "max_block_ms": 10_000,
        "bootstrap_timeout_ms": 10_000,
        "reconnect_backoff_max_ms": 1000,
        "allow_auto_create_topics": rules.embedded,
        "metrics_enabled": False,
        "api_version": EMBEDDED if rules.embedded else None,
    }
