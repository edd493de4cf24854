"""Ear: how well a source is listened to, and what its ticks may claim. Silence is not calm.

A tick says until when nothing is missing. It says no more than what is delivered; and after a gap it says nothing new
until every pane that the gap touches has closed, so that each of them is known to be incomplete.

    gap     from ├───────┤ to
    panes   ─────┼─────┼─────┼─────
    ticks   …from                    ──held──▶ end of the pane of `to` + delay ──▶ now

Written by the loop that listens, read by the thread that ticks and by whoever scrapes.
Knows nothing of any one source, of Kafka, or of clocks.
"""

import logging
import threading
import time

from streams.heart.notice import Observer, SourceGap, SourceReconnects, SourceStands
from streams.heart.pane import end_ms, pane_of
from streams.serve import Health
from streams.sources.contract import Gap

SLACK_MS = 5_000  # the broker's clock is not ours
SAY_S = 10.0
log = logging.getLogger("denyut.source")


class Ear:
    """How one source is heard."""

    def __init__(self, source: str, delay_ms: int, observer: Observer, health: Health) -> None:
        self._source = source
        self._delay_ms = delay_ms
        self._observer = observer
        self._health = health
        self._until_ms = 0
        self._since_ms = 0  # when it was first asked
        self._lock = threading.Lock()
        self._held: Gap | None = None
        self._said, self._said_s = "", float("-inf")
        self._held_back = 0
        self.is_up = False

    def up(self) -> None:
        """There is a connection, and it works."""
        if not self.is_up:
            self.is_up = True
            self._health.met("source")
            log.info("listening to %s", self._source)

    def down(self, why: str) -> None:
        """There is none. `why` is a line for a person; it is said once in a while."""
        self.is_up = False
        self._health.unmet("source", why)
        self._observer.observe(SourceReconnects(self._source))
        now_s = time.monotonic()
        if why != self._said or now_s - self._said_s >= SAY_S:
            log.warning("%s%s", why, f" ({self._held_back} more times)" if self._held_back else "")
            self._said, self._said_s, self._held_back = why, now_s, 0
        else:
            self._held_back += 1

    def gap(self, gap: Gap) -> None:
        """Something is missing, and will not come."""
        seconds = max(gap.to_ms - gap.from_ms, 0) / 1000
        self._observer.observe(SourceGap(self._source, seconds))
        log.warning("%s: %.0f s may be missing", self._source, seconds)
        with self._lock:
            held = self._held or gap
            self._held = Gap(min(held.from_ms, gap.from_ms), max(held.to_ms, gap.to_ms))

    @property
    def is_holding(self) -> bool:
        """Whether a gap still holds the ticks back. Until then no position past it is written, or a restart would
        forget it."""
        with self._lock:
            return self._held is not None

    def healthy(self, until_ms: int | None, now_ms: int) -> dict[str, int]:
        """What a tick at `now_ms` may say, if nothing before `until_ms` is missing from what is delivered."""
        with self._lock:
            held = self._held
            if held is not None and held.to_ms > now_ms:  # a server's clock is ahead: none is of the future
                held = self._held = Gap(min(held.from_ms, now_ms), now_ms)
            if held is not None and now_ms >= end_ms(pane_of(held.to_ms)) + self._delay_ms + SLACK_MS:
                held = self._held = None
        claim_ms = min(until_ms or 0, now_ms)
        if held is not None:
            claim_ms = min(claim_ms, held.from_ms)
        self._until_ms = max(claim_ms, self._until_ms)
        self._since_ms = self._since_ms or now_ms
        behind_s = (now_ms - (self._until_ms or self._since_ms)) / 1000
        self._observer.observe(SourceStands(self._source, self.is_up, behind_s))
        return {self._source: self._until_ms}
