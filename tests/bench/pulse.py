"""The counting worker, from Kafka."""

import time
from collections.abc import Iterator
from itertools import chain
from typing import Any

from streams.scrape import Page
from streams.settings import Settings
from tests.bench.mentions import Mentions, brands
from tests.bench.stage import PARTITIONS, Bench, Message, fill, records_in
from tests.bench.table import Row

BRANDS = 1000
MENTIONS = 1_000_000
FLUSHES_S = 2
LIVE_EACH = 128  # rows of a frame: 64 for each of the four times a second that the worker takes frames in
LIVE_S = 30
REST_S = 3.0
MINUTE_MS = 60_000
HELD_MS = 55 * MINUTE_MS
DAY_MIN = 23 * 60
ROWS = "denyut_mention_rows_total"


def _settings(bench: Bench) -> Settings:
    names = brands(BRANDS)
    path = bench.folder / "thousand.toml"
    path.write_text("number = 1\npublished = 2019-12-31T00:00:00Z\n"
                    + "".join(f'[[brand]]\nname = "{name}"\nany = ["{name}"]\n' for name in names))
    return bench.topics(brands=str(path))


def recovery(bench: Bench) -> Row:
    """An hour of mentions, as a score worker would have written it: a frame for every partition twice a second."""
    settings, count = _settings(bench), bench.size(MENTIONS)
    fill(settings.brokers, settings.topic("mentions"), _hour(count, int(time.time() * 1000)))
    with bench.worker("pulse", settings) as worker:
        page = worker.wait(lambda page: _shown(page) == count)
    took_s = page.values("denyut_recovery_seconds_sum")[0]
    frames = page.count("denyut_recovered_frames_total")
    return Row(f"recovery of {BRANDS:,} brands with {count:,} mentions inside the grace", "<= 15 s", f"{took_s:.1f} s",
               took_s <= 15, f"from the assignment until all partitions are shown; read back from Kafka, {frames:,} "
               f"frames of {count / max(frames, 1):.0f} mentions, as written by one score worker")


def recovery_from_blocks(bench: Bench) -> Row:
    """The same hour and a day before it, every brand spoken of in every minute: from blocks, and without."""
    settings, count = _settings(bench), bench.size(MENTIONS)
    now_ms = int(time.time() * 1000)
    fill(settings.brokers, settings.topic("mentions"), chain(_day(bench.size(DAY_MIN), now_ms), _hour(count, now_ms)))
    with bench.worker("pulse", settings) as worker:
        worker.wait(lambda page: _shown(page) >= count)
        without_s = worker.page().values("denyut_recovery_seconds_sum")[0]
        fill(settings.brokers, settings.topic("mentions"), _flush(Mentions(brands(BRANDS), PARTITIONS), 1))
        page = worker.wait(lambda page: page.count("denyut_block_seconds_count") >= PARTITIONS)
        shown, written_s = _shown(page), page.values("denyut_block_seconds_sum")[0]
    with bench.worker("pulse", settings) as worker:
        page = worker.wait(lambda page: _shown(page) == shown)
    took_s = page.values("denyut_recovery_seconds_sum")[0]
    frames = page.count("denyut_recovered_frames_total")
    megabytes = sum(len(value or b"") for value in records_in(settings, "blocks")) / 1e6
    return Row("the same with a busy day behind it, from blocks", "<= 15 s", f"{took_s:.1f} s", took_s <= 15,
               f"{without_s:.1f} s from the log alone; {shown:,} mentions of 24 h, {frames:,} frames read again; the "
               f"blocks, {megabytes:.0f} MB before Kafka compresses them, were written in {written_s:.1f} s")


def _day(minutes: int, now_ms: int) -> Iterator[Message]:
    """Every brand once a minute, up to an hour ago; a frame for every partition and minute."""
    said = Mentions(brands(BRANDS), PARTITIONS)
    for minute in range(minutes, 0, -1):
        start_ms = now_ms - HELD_MS - minute * MINUTE_MS
        for at in range(PARTITIONS):
            yield None, said.frame(at, said.every(at, 1, start_ms), start_ms + MINUTE_MS), at


def _shown(page: Page) -> int:
    return page.count("denyut_window_mentions", window="24h")


def _hour(count: int, now_ms: int) -> Iterator[Message]:
    said = Mentions(brands(BRANDS), PARTITIONS)
    flushes = int(FLUSHES_S * HELD_MS / 1000 * min(1.0, count / MENTIONS)) or 1
    parts = {at: said.rows(at, count // PARTITIONS + (at < count % PARTITIONS), now_ms - HELD_MS, now_ms - MINUTE_MS)
             for at in range(PARTITIONS)}
    span_ms = HELD_MS // flushes
    for flush in range(flushes + 1):
        upto_ms = now_ms - HELD_MS + span_ms * (flush + 1) if flush < flushes else now_ms
        for at, rows in parts.items():
            ready = int(rows["arrival"].searchsorted(upto_ms))
            parts[at] = rows[ready:]
            yield None, said.frame(at, rows[:ready], upto_ms), at


def live(bench: Bench) -> Row:
    """Mentions as they come, at 3,000 a second."""
    settings, said = _settings(bench), Mentions(brands(BRANDS), PARTITIONS)
    seconds = max(bench.size(LIVE_S), 5)
    # Every partition is heard of before the worker starts, so that it counts as present.
    fill(settings.brokers, settings.topic("mentions"), _flush(said, 1))
    with bench.worker("pulse", settings) as worker:
        _paced(settings, said, 5)
        worker.wait(lambda page: page.count(ROWS) >= 5 * FLUSHES_S * LIVE_EACH * PARTITIONS, 0.2)
        cpu_s, count = worker.cpu_s, seconds * FLUSHES_S * LIVE_EACH * PARTITIONS
        _paced(settings, said, seconds)
        time.sleep(REST_S)  # a look at 47,000 series costs as much as 5,000 mentions: none until it is over
        each_us = 1e6 * (worker.cpu_s - cpu_s) / count
        worker.wait(lambda page: page.count(ROWS) >= count + 5 * FLUSHES_S * LIVE_EACH * PARTITIONS)
    return Row("counting worker, all in, for each mention", "<= 60 us", f"{each_us:.0f} us", each_us <= 60,
               f"CPU of all threads, from Kafka to /metrics; {count // seconds:,} mentions/s of {BRANDS:,} brands, "
               f"{LIVE_EACH} a frame, figures renewed every second")


def _paced(settings: Settings, said: Mentions, seconds: int) -> None:
    from kafka import KafkaProducer

    rules: dict[str, Any] = {"acks": 1, "compression_type": "lz4", "enable_idempotence": False}
    began_s = time.monotonic()
    with KafkaProducer(bootstrap_servers=settings.brokers, **rules) as producer:
        for flush in range(seconds * FLUSHES_S):
            time.sleep(max(began_s + flush / FLUSHES_S - time.monotonic(), 0.0))
            for _, frame, partition in _flush(said, LIVE_EACH):
                producer.send(settings.topic("mentions"), frame, partition=partition)
        producer.flush(60)


def _flush(said: Mentions, each: int) -> Iterator[Message]:
    """One frame for every partition, of posts written in the last seconds."""
    now_ms = int(time.time() * 1000)
    for at in range(PARTITIONS):
        rows = said.rows(at, each, now_ms - 5000, now_ms - 500)
        rows["arrival"] = rows["arrival"].clip(None, now_ms)
        yield None, said.frame(at, rows, now_ms), at
