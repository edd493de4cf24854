"""Speaker: the feed, on a thread of its own: the public at its pace, and whatever mischief is asked for in between.

Time is the public's, and goes on only as posts are handed over: while the broker is away and the feed has no room, the
public waits too. So no outage makes its posts late, and no pause of ours is a silence of the source.
Knows nothing of faults, workers or figures.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import blake2b
from queue import Empty, SimpleQueue
from typing import NamedTuple

from streams.feed import Feed, Rules
from streams.settings import Settings
from streams.sources.public import SOURCE, START_MS, Campaign, Course, Crisis, Public
from tests.faults.storm.mischief import Sent

MIN_MS = 60_000
TICK_MS = 15_000
RECENT = 600
BEHIND_S = 1.0
ROOM = 2_000
WARM_MIN = 360  # minutes with votes that a baseline needs
Ask = Callable[[int, list[Sent]], Iterable[Sent]]  # the public's time and what was sent lately -> what is sent


class Pace(NamedTuple):
    """How much is said: posts a second of ours on an average day, how many of its minutes the public lives in one of
    ours, how many of its minutes a run lasts."""

    rate_per_s: float = 120.0
    speed: float = 384.0
    minutes: int = 500


CRISIS, CAMPAIGN = "kopi-lumora", "lajuro"
CRISIS_MIN, CAMPAIGN_MIN, PURGE_MIN = WARM_MIN + 12, WARM_MIN + 62, WARM_MIN + 30


def public(seed: int, pace: Pace) -> Public:
    """People who are warm when a crisis comes, and then a campaign; both are over before the end, and come each day."""
    events = (
        Crisis(CRISIS, _course(CRISIS_MIN, 4, 30, 10)),
        Campaign(CAMPAIGN, _course(CAMPAIGN_MIN, 2, 30, 5)),
    )
    return Public(seed=seed, rate_per_s=pace.rate_per_s, speed=pace.speed, events=events)


def _course(begin: int, ramp: int, hold: int, tail: int) -> Course:
    return Course(START_MS + begin * MIN_MS, ramp * MIN_MS, hold * MIN_MS, tail * MIN_MS)


def digest(key: bytes | None, value: bytes | None) -> bytes:
    """What a record is known by."""
    return blake2b(b"%d %b %d %b" % (len(key or b""), key or b"", value is not None, value or b""),
                   digest_size=16).digest()


class Speaker:
    """Speaks from `start` until its minutes are over, or until it is closed."""

    def __init__(self, settings: Settings, seed: int, pace: Pace, *, purge: bool = False) -> None:
        """`purge`: in the middle of the crisis most of what was said in it is removed, and its swing with it."""
        self.feed = Feed(settings, "storm", (SOURCE,), rules=Rules(create_time=True, room=ROOM))
        self.now_ms = START_MS
        self.acked: Counter[bytes] = Counter()
        self.error: BaseException | None = None
        self._pace = pace
        self._public = public(seed, pace)
        self._asked: SimpleQueue[Ask] = SimpleQueue()
        self._recent: deque[Sent] = deque(maxlen=RECENT)
        self._purged: list[bytes] | None = [] if purge else None  # keys of posts that will be removed
        self._ticked_ms = START_MS - TICK_MS
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="speaker", daemon=True)

    @property
    def minute(self) -> float:
        """Minutes of the public since the beginning."""
        return (self.now_ms - START_MS) / MIN_MS

    @property
    def is_speaking(self) -> bool:
        """Whether there is more to come."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begins to speak."""
        self._thread.start()

    def ask(self, ask: Ask) -> None:
        """This is to be sent too, as soon as there is room."""
        self._asked.put(ask)

    def close(self) -> None:
        """Says no more, and ends the feed."""
        self._over.set()
        self._thread.join(10.0)
        self.feed.close(5.0)

    def _run(self) -> None:
        try:
            self._speak()
        except BaseException as error:  # whoever waits for us must hear of it
            self.error = error

    def _speak(self) -> None:
        begun_s = time.monotonic()
        end_ms = START_MS + self._pace.minutes * MIN_MS
        for happening in self._public:
            if happening.at_ms >= end_ms or self._over.is_set():
                break
            due_s = begun_s + self._public.pace.due_s(happening.at_ms)
            ahead_s = due_s - time.monotonic()
            if ahead_s > 0:
                self._over.wait(ahead_s)
            elif ahead_s < -BEHIND_S:
                begun_s -= ahead_s  # the public waits for us
            while self._ticked_ms + TICK_MS <= happening.at_ms:
                self._tick(self._ticked_ms + TICK_MS)
            self._send(Sent(happening.at_ms, happening.key, happening.value))
            self._listen()
            self._purge()
        self._listen()
        self._tick(self.now_ms + 1)

    def _listen(self) -> None:
        while True:
            try:
                ask = self._asked.get_nowait()
            except Empty:
                return
            for sent in ask(self.now_ms, list(self._recent)):
                self._send(sent)

    def _purge(self) -> None:
        if self._purged is None or self.minute < CRISIS_MIN:
            return
        if self._recent[-1].value is not None and b"lumora" in (self._recent[-1].value or b"").lower():
            self._purged.append(self._recent[-1].key)
        if self.minute >= PURGE_MIN:
            for key in self._purged:
                self._send(Sent(self.now_ms, key, None))
            self._purged = None

    def _tick(self, now_ms: int) -> None:
        self._ticked_ms = now_ms
        self.now_ms = max(self.now_ms, now_ms)
        self.feed.tick(now_ms)

    def _send(self, sent: Sent) -> None:
        self.now_ms = max(self.now_ms, sent.at_ms)
        self.feed.send(sent, partial(self._told, digest(sent.key, sent.value)))
        self._recent.append(sent)

    def _told(self, what: bytes, reason: str) -> None:
        if not reason:
            self.acked[what] += 1
