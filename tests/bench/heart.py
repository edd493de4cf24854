"""The counting heart, from memory: time for each mention, and what it holds."""

import ctypes
import gc
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

from streams.heart.pane import Minutes
from streams.heart.tracker import Tracker
from tests.bench.mentions import Mentions, brands
from tests.bench.stage import Bench
from tests.bench.table import Row

T = TypeVar("T")

T0_MS = 1_795_586_400_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
PARTITIONS, PARTITION = 12, 0
HELD = 83_000  # one of 12 partitions of a million
EACH = 64
CALLS = 100


def live(bench: Bench) -> Row:
    """New mentions on top of a full hour: taken in 64 at a time, settled once a second."""
    tracker, said = _full(bench.size(HELD))
    count = EACH * 6 * CALLS
    rows = said.rows(PARTITION, count, T0_MS + HOUR_MS - 1000 * CALLS, T0_MS + HOUR_MS)
    frames = list(said.frames(PARTITION, rows, EACH))
    applied = settled = shown = 0.0
    for start in range(0, len(frames), 6):
        began = time.process_time()
        tracker.apply(frames[start:start + 6])
        taken = time.process_time()
        changed = tracker.settle().changed
        joined = time.process_time()
        tracker.readings(changed)
        applied, settled = applied + taken - began, settled + joined - taken
        shown += time.process_time() - joined
    each_us = 1e6 * (applied + settled) / count
    return Row(f"the counting heart, for each mention at {EACH} a call", "<= 10 us", f"{each_us:.1f} us", each_us <= 10,
               f"CPU; {1e6 * applied / count:.1f} to take in, {1e6 * settled / count:.1f} to settle once a second "
               f"({6 * EACH} mentions); readings of 83 brands once a second take {1e3 * shown / CALLS:.0f} ms more")


def recovery(bench: Bench) -> Row:
    """The same hour read back: settled when much has come together."""
    said, count = Mentions(brands(1000), PARTITIONS), bench.size(HELD)
    frames = list(said.frames(PARTITION, said.rows(PARTITION, count, T0_MS, T0_MS + HOUR_MS - MINUTE_MS), EACH))
    each_us = min(_read_back(frames) for _ in range(3)) * 1e6 / count
    return Row("the same in recovery", "<= 2 us", f"{each_us:.1f} us", each_us <= 2,
               f"CPU; {count:,} mentions, {EACH} a frame, settled every 2 MB, best of 3")


def _read_back(frames: list[bytes]) -> float:
    tracker, waiting = Tracker(PARTITION, PARTITIONS), 0
    began = time.process_time()
    for start in range(0, len(frames), 200):
        tracker.apply(frames[start:start + 200])
        waiting += sum(map(len, frames[start:start + 200]))
        if waiting > 2_000_000:
            tracker.settle()
            waiting = 0
    tracker.settle()
    return time.process_time() - began


def _full(count: int) -> tuple[Tracker, Mentions]:
    """A tracker that holds so many mentions, all inside the grace."""
    tracker, said = Tracker(PARTITION, PARTITIONS), Mentions(brands(1000), PARTITIONS)
    rows = said.rows(PARTITION, count, T0_MS, T0_MS + HOUR_MS - 2 * MINUTE_MS)
    tracker.apply(list(said.frames(PARTITION, rows, EACH)))
    tracker.settle()
    return tracker, said


# Memory.


def memory_mention(bench: Bench) -> Row:
    """What a mention takes while its row is held."""
    count = bench.size(10 * HELD)
    held, grown = _apart(_held, count)
    return Row("memory for each mention inside the grace", "<= 100 bytes", f"{grown / count:.0f} bytes",
               grown <= 100 * count, f"growth of the process with {count:,} mentions; {held / count:.0f} by the "
               "tracker's own account")


def _held(count: int) -> tuple[int, int]:
    said = Mentions(brands(1000), PARTITIONS)
    rows = said.rows(PARTITION, count, T0_MS, T0_MS + HOUR_MS - 2 * MINUTE_MS)
    frames = list(said.frames(PARTITION, rows, EACH))
    warm = Tracker(PARTITION, PARTITIONS)  # what the libraries take once is none of the mentions'
    warm.apply(frames[:10])
    warm.settle()
    before = _resident()
    tracker = Tracker(PARTITION, PARTITIONS)
    for start in range(0, len(frames), 200):
        tracker.apply(frames[start:start + 200])
        tracker.settle()
    grown = _resident() - before
    return tracker.nbytes(), grown


def memory_day(bench: Bench) -> Row:
    """What a day of sums takes, every brand spoken of in every minute."""
    count = bench.size(1000)
    held, grown = _apart(_day, count)
    return Row("24 h of sealed minutes of 1,000 busy brands", "<= 150 MB", f"{grown / 1e6:.0f} MB", grown <= 150e6,
               f"growth of the process; {held / 1e6:.0f} MB by the tracker's own account"
               + (f"; with {count} brands" if count < 1000 else ""))


def _day(count: int) -> tuple[int, int]:
    said, tracker = Mentions(brands(count), 1), Tracker(0, 1)
    before = _resident()
    minutes, step = 25 * 60 + 2, 10
    for minute in range(0, minutes, step):
        start_ms = T0_MS + minute * MINUTE_MS
        rows = said.every(0, step, start_ms)
        tracker.apply([said.frame(0, rows, start_ms + step * MINUTE_MS)])
        tracker.settle()
    tracker.readings()
    full = _resident()
    held = sum(part.nbytes for _, part in tracker._minutes.held())
    tracker._minutes = Minutes()
    return held, max(full - _resident(), full - before - tracker.nbytes())


def _apart(what: Callable[[int], T], count: int) -> T:
    """Runs something in a process of its own, whose memory nobody else has touched."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(what, count).result()


def _resident() -> int:
    """The memory of this process, bytes, after what is free has gone back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
