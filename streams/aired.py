"""Aired: `denyut feed public`. The demo's invented public, live, onto any Kafka; with the pages of a worker.

By the wall clock it lives as slowly as we do, and a brand takes six hours to be known. With DENYUT_CLOCK it lives on
that clock: then `denyut.posts` must take the producer's times (message.timestamp.type=CreateTime), and the workers must
be told the same clock.
Knows nothing of brands or scores.
"""

import logging
import time
from typing import NamedTuple

from streams.air import air
from streams.clock import Clock
from streams.feed import Feed, Rules, Tally
from streams.heart.errors import BadSetting
from streams.metrics import Metrics, release
from streams.serve import Health, Pages
from streams.settings import Settings
from streams.sources.public import SOURCE, Happening, Public, planned
from streams.stop import interruptible

FLUSH_S = 10.0
log = logging.getLogger("denyut.feed")


class Wish(NamedTuple):
    """What was asked on the command line. `seconds` None: until it is told to stop. `seed` None: another public each
    time, so that none sends the ids of one that was there before."""

    seed: int | None
    rate: float
    seconds: float | None


def run(settings: Settings, wish: Wish) -> Tally:
    """Sends the public's posts in their time. Raises `BadSetting` where its source is not among those that count."""
    if SOURCE not in settings.sources:
        raise BadSetting(f"DENYUT_SOURCES={','.join(settings.sources)}: expected {SOURCE} among them; "
                         "the posts of any other are rejects")
    settings.read_secret(needed=False)  # its people need none; but a file that is named and not there stops the start
    clock, health = Clock(settings.clock), Health("broker", stale_s=float("inf"))  # alive also while it waits for Kafka
    metrics = Metrics((), settings.sources, clock)
    metrics.build(release(), "", "feed")
    metrics.feeds()
    with interruptible() as stop, Pages(settings.http, metrics.registry, health) as pages:
        log.info("pages at %s", pages.url)
        rules = Rules(create_time=bool(settings.clock))
        with Feed(settings, SOURCE, (SOURCE,), observer=metrics, rules=rules) as feed:
            health.met("broker")
            start_ms = clock.now_ms()
            seed = start_ms if wish.seed is None else wish.seed
            public = Public(seed, wish.rate, start_ms=start_ms, speed=clock.speed, events=planned(start_ms))
            until = float("inf") if wish.seconds is None else time.monotonic() + wish.seconds

            def is_over() -> bool:
                return bool(stop) or time.monotonic() >= until

            def send(happening: Happening) -> None:
                feed.send(happening)

            air(public, clock, send, feed.tick, is_over)
            feed.flush(FLUSH_S)
    return feed.tally
